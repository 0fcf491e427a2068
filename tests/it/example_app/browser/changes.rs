//! What an administrator does with an integration: test login, new secret, new name, disable, stale edit, move, delete.

use super::Browser;
use crate::example_app::{INTEGRATIONS, Program};

/// Sets up the app with "Our GitLab", whose user "alice" is the administrator. Returns the secret and the path of the integration.
pub(super) async fn administrator(program: &Program, browser: &Browser) -> (String, String) {
    browser.open(&format!("{}{}", program.url, program.setup)).await;
    browser.click("Begin setup").await;
    browser.wait_for_text("There is no integration yet").await;
    let secret = add(program, browser, "gitlab", "Our GitLab").await;
    let path = browser.path().await;
    let link = browser.value("input[value*='/login/']").await;
    browser.open(&link).await;
    browser.click("Log in with Our GitLab").await;
    browser.authorize("alice").await;
    browser.wait_for_text("You are the administrator from now on.").await;
    (secret, path)
}

/// Adds an integration, and shows its page. Returns the secret.
async fn add(program: &Program, browser: &Browser, platform: &str, name: &str) -> String {
    browser.open(&format!("{}{INTEGRATIONS}/new", program.url)).await;
    browser.choose("platform", platform).await;
    browser.fill("base_url", program.fake(platform)).await;
    browser.guide(program.fake(platform)).await;
    browser.until("callback URL", async || browser.callback().await.contains(platform)).await;
    if platform == "bitbucket-cloud" {
        browser.fill("owner", "acme").await;
        browser.guide("/acme/workspace/settings/").await;
    }
    let (id, secret) = browser.create_application(&browser.callback().await).await;
    browser.fill("name", name).await;
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", &secret).await;
    browser.click("Create integration").await;
    browser.wait_for_text("The integration was created.").await;
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_is_tested_changed_moved_and_deleted() {
    let (program, browser) = (Program::demo(None).await, Browser::start("changes", true, false).await);
    let (secret, gitlab) = administrator(&program, &browser).await;
    let other_secret = add(&program, &browser, "bitbucket-cloud", "Bitbucket Cloud").await;
    let bitbucket = browser.path().await;
    let page = |path: &str| format!("{}{path}", program.url);

    // A test login ends in a report.
    browser.open(&page(&gitlab)).await;
    browser.check_page("integration").await;
    browser.press_at("#test button").await;
    browser.authorize("alice").await;
    browser.wait_for_text("The integration accepts this user").await;
    for text in ["alice", "alice@example.com", "read_user", "api", "Two-factor authentication"] {
        browser.wait_for_text(text).await;
    }
    browser.check_page("test-login").await;
    browser.picture("test-login", "body", ".ch-admin").await;
    browser.press_at("a[href$='/integrations']").await;
    browser.wait_for_text("Bitbucket Cloud").await;
    browser.check_page("two-integrations").await;
    browser.picture("list", "body", ".ch-admin").await;
    browser.press_at(".ch-card .ch-copy").await;
    browser.hears("Copied").await;

    // A long name without spaces, from right to left.
    let long = format!("{}{}", "מאגר".repeat(12), "x".repeat(60));
    browser.open(&page(&gitlab)).await;
    browser.rename(&long).await;
    browser.check_page("long-name").await;
    browser.open(&page(INTEGRATIONS)).await;
    browser.check_page("list-with-long-name").await;
    browser.open(&page(&format!("{gitlab}/edit"))).await;
    browser.check_page("edit-with-long-name").await;
    browser.open(&page("/login")).await;
    browser.check_page("login-with-long-name").await;
    browser.open(&page(&gitlab)).await;
    browser.rename("Our GitLab").await;

    // Another secret: checked before it is stored.
    browser.click("Replace the secret").await;
    browser.fill("client_secret", "canary-wrong-secret").await;
    browser.click("Check and save").await;
    browser.wait_for_text("Something is wrong").await;
    assert_eq!(browser.focus().await, "client_secret");
    browser.check_page("wrong-secret").await;
    browser.fill("client_secret", &secret).await;
    browser.click("Check and save").await;
    browser.wait_for_text("The new secret works and was saved.").await;

    // The only integration with which an administrator logs in stays enabled.
    browser.click("Disable").await;
    browser.wait_for_text("No administrator of this organization could log in any more.").await;
    browser.check_page("not-disabled").await;
    // Disabled, nobody logs in.
    browser.open(&page(&bitbucket)).await;
    browser.click("Disable").await;
    browser.wait_for_text("The integration is disabled. Nobody can log in with it.").await;
    browser.check_page("disabled").await;
    browser.open(&page("/login")).await;
    assert!(!browser.text().await.contains("Bitbucket Cloud"));
    browser.open(&page(&bitbucket)).await;
    browser.click("Enable").await;
    browser.wait_for_text("The integration is enabled.").await;

    browser.open(&page(&gitlab)).await;
    // Two windows: the second to save is shown both versions, and loses nothing.
    browser.click("Edit settings").await;
    browser.wait_for_text("Save changes").await;
    browser.fill("name", "My GitLab").await;
    let edit = browser.open_window().await;
    browser.open(&page(&gitlab)).await;
    browser.rename("Their GitLab").await;
    browser.close_window(edit).await;
    browser.click("Save changes").await;
    browser.wait_for_text("The integration was changed in the meantime").await;
    browser.wait_for_text("My GitLab").await;
    browser.wait_for_text("Their GitLab").await;
    browser.check_page("stale").await;
    browser.click("Continue with your version").await;
    browser.until("my version", async || browser.value("#name").await == "My GitLab").await;
    browser.click("Save changes").await;
    browser.wait_for_text("The changes were saved.").await;
    browser.wait_for_text("My GitLab").await;

    // The same server under another name, proved by a test login of an account that is known.
    let renamed = program.fake("gitlab").replace("127.0.0.1", "localhost");
    browser.click("Edit settings").await;
    browser.wait_for_text("Save changes").await;
    browser.fill("base_url", &renamed).await;
    browser.fill("client_secret", &secret).await;
    browser.click("Save changes").await;
    browser.wait_for_text("Move to another server?").await;
    browser.check_page("move").await;
    browser.click("Confirm with a test login").await;
    browser.wait_for_text("New base URL, not in use yet").await;
    browser.check_page("proposed").await;
    browser.click("Confirm with a test login").await;
    browser.authorize("alice").await;
    browser.wait_for_text("It is the same server: the new base URL is in use.").await;
    browser.check_page("proved").await;
    browser.open(&page("/account")).await;
    browser.wait_for_text("alice").await;

    // Another server: everything about the old one is forgotten.
    let moved = program.fake("bitbucket-cloud").replace("127.0.0.1", "localhost");
    browser.open(&page(&format!("{bitbucket}/edit"))).await;
    browser.fill("base_url", &moved).await;
    browser.fill("client_secret", &other_secret).await;
    browser.click("Save changes").await;
    browser.wait_for_text("No account uses this integration.").await;
    browser.click("Move to another server").await;
    browser.wait_for_text("The changes were saved.").await;
    browser.wait_for_text(&moved).await;

    // The last way in of the administrators cannot be deleted. The other one can.
    browser.open(&page(&format!("{gitlab}/delete"))).await;
    browser.wait_for_text("1 account uses this integration.").await;
    browser.check_page("delete").await;
    browser.click("Delete integration").await;
    browser.wait_for_text("No administrator of this organization could log in any more.").await;
    browser.check_page("refused").await;
    browser.open(&page(&bitbucket)).await;
    browser.click("Delete").await;
    browser.click("Delete integration").await;
    browser.wait_for_text("The integration was deleted.").await;
    assert!(!browser.text().await.contains("Bitbucket Cloud"));
    browser.check_page("deleted").await;
    browser.end().await;
}

impl Browser {
    async fn rename(&self, name: &str) {
        self.click("Rename").await;
        self.fill("name", name).await;
        self.click("Save name").await;
        self.wait_for_text("The changes were saved.").await;
    }
}
