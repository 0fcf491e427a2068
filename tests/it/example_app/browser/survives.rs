//! What was typed survives errors, a lost session, a login in another tab and the back button. The secret is never in a page.

use fantoccini::Locator;

use super::Browser;
use super::changes::administrator;
use crate::example_app::{INTEGRATIONS, Program};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_survives_with_scripts() {
    let (program, browser) = (Program::demo(None).await, Browser::start("survives", true, false).await);
    survives(&program, &browser).await;
    // The back button leads to the form, not to a question whether to send it again.
    browser.fill("client_secret", "canary-wrong-again").await;
    browser.click("Check").await;
    browser.wait_for_text("Nothing was saved: something is wrong").await;
    browser.click("Cancel").await;
    browser.wait_for_text("Add integration").await;
    browser.client.back().await.unwrap();
    browser.wait_for_text("Which code host").await;
    browser.until("what was typed", async || browser.value("#name").await == NAME).await;
    browser.has_what_was_typed().await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_survives_without_scripts() {
    let (program, browser) = (Program::demo(None).await, Browser::start_phone("survives_plain").await);
    survives(&program, &browser).await;
    browser.end().await;
}

/// The form of a new integration is filled in, and shown again for one reason after the other. It stays open at the end.
async fn survives(program: &Program, browser: &Browser) {
    administrator(program, browser).await;
    browser.open(&format!("{}{INTEGRATIONS}/new", program.url)).await;
    browser.choose("platform", "gitlab").await;
    browser.fill("base_url", program.fake("gitlab")).await;
    browser.guide("/-/user_settings/applications").await;
    let callback = browser.callback().await;
    let (id, _) = browser.create_application(&callback).await;
    browser.fill("name", NAME).await;
    browser.choose("who", "members").await;
    browser.fill("groups", GROUP).await;
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", WRONG).await;
    browser.secrets.lock().unwrap().push(WRONG.to_owned());

    // An error.
    browser.click("Create integration").await;
    browser.wait_for_text("Nothing was saved: something is wrong").await;
    assert_eq!(browser.focus().await, "client_secret");
    browser.has_what_was_typed().await;
    browser.check_page("error").await;

    // The session is lost. After a login in another tab, the same form is sent once more.
    browser.client.delete_cookie("depot").await.unwrap();
    browser.click("Create integration").await;
    browser.wait_for_text("You are not logged in any more. Nothing was saved, and what you typed is still here.").await;
    assert_eq!(browser.focus().await, "ch-notice");
    browser.has_what_was_typed().await;
    browser.check_page("signed-out").await;
    browser.log_in_elsewhere(program).await;
    browser.send_until("Nothing was saved: something is wrong").await;

    // A login in another tab ends the session that the form belongs to.
    browser.log_in_elsewhere(program).await;
    browser.send_until("Nothing was saved: something is wrong").await;
    assert_eq!(browser.focus().await, "client_secret");

    // The kept secret was sent each time.
    browser.wait_for_text("The secret that was refused is kept.").await;
}

const NAME: &str = "שלום <b>Code</b> & Co.";
const GROUP: &str = "acme/tools";
const WRONG: &str = "canary-typed-secret";

impl Browser {
    async fn has_what_was_typed(&self) {
        assert_eq!(self.value("#name").await, NAME);
        assert_eq!(self.value("#groups").await.trim(), GROUP);
        assert!(!self.value("#client_id").await.is_empty());
        assert_eq!(self.value("#client_secret").await, "");
        let chosen = self.value("input[name=platform]:checked, input[type=hidden][name=platform]").await;
        assert_eq!(chosen, "gitlab");
        assert_eq!(self.value("input[name=who]:checked").await, "members");
    }

    async fn log_in_elsewhere(&self, program: &Program) {
        let form = self.open_window().await;
        self.open(&format!("{}/login", program.url)).await;
        self.click("Log in with Our GitLab").await;
        self.authorize("alice").await;
        self.wait_for_text("Connected accounts").await;
        self.close_window(form).await;
    }

    /// Sends the form, at most twice: a page of an older session is shown again with a new token.
    async fn send_until(&self, text: &str) {
        self.click("Create integration").await;
        self.until("a response", async || {
            let shown = self.text().await;
            shown.contains(text) || shown.contains("Press the button once more.")
        })
        .await;
        self.has_what_was_typed().await;
        if !self.text().await.contains(text) {
            self.check_page("older-session").await;
            self.click("Create integration").await;
            self.wait_for_text(text).await;
            self.has_what_was_typed().await;
        }
        let left = self.client.find_all(Locator::Css("#ch-notice")).await.unwrap();
        assert!(left.is_empty());
    }
}
