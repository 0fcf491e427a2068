//! The guide for GitLab at a real Doorkeeper, GitLab's OAuth server: the application is created on its own page, and nothing at it was
//! prepared.

use fantoccini::Locator;

use super::Browser;
use crate::example_app::{INTEGRATIONS, Program, directory};
use crate::secrets::leak_check;
use crate::support::doorkeeper::Doorkeeper;

#[tokio::test(flavor = "multi_thread")]
async fn the_gitlab_guide_at_a_real_server() {
    let gitlab = Doorkeeper::start(&[]).await;
    let program = Program::without_demo(&directory("doorkeeper").join("host.sqlite")).await;
    let browser = Browser::start("doorkeeper", true, false).await;
    let page = |path: &str| format!("{}{path}", program.url);

    // Without a login, by the setup link.
    browser.open(&page(&program.setup)).await;
    browser.click("Begin setup").await;
    browser.wait_for_text("There is no integration yet").await;
    browser.begin_integration(&gitlab, "Our GitLab").await;
    browser.create_application_at(&gitlab, true).await;

    // The server refuses a wrong secret, and accepts the right one.
    let secret = browser.value("#client_secret").await;
    browser.fill("client_secret", "canary-wrong-secret").await;
    browser.click("Check").await;
    browser.wait_for_text("Nothing was saved: something is wrong").await;
    assert_eq!(browser.focus().await, "client_secret");
    browser.fill("client_secret", &secret).await;
    browser.click("Check").await;
    browser.wait_for_text("Everything that can be checked without a login is correct.").await;
    browser.click("Create integration").await;
    browser.wait_for_text("The integration was created.").await;
    let integration = browser.path().await;
    let login_link = browser.value("input[value*='/login/']").await;

    // The login link: first with the consent page, then without.
    browser.open(&login_link).await;
    browser.click("Log in with Our GitLab").await;
    browser.consent("Our GitLab", "Authorize").await;
    browser.wait_for_text("You are the administrator from now on.").await;
    browser.wait_for_text("Alice Åström").await;
    assert_eq!(gitlab.valid_tokens("Our GitLab").await, 1);
    browser.click("Log out").await;
    browser.wait_for_text("Log in to").await;
    browser.open(&login_link).await;
    browser.click("Log in with Our GitLab").await;
    browser.wait_for_text("Connected accounts").await;
    browser.click("Who am I there?").await;
    browser.wait_for_text("The code host says now: alice, alice@example.com.").await;

    // A test login leaves no token.
    let before = gitlab.valid_tokens("Our GitLab").await;
    browser.open(&page(&integration)).await;
    browser.click("Test login").await;
    browser.wait_for_text("The integration accepts this user").await;
    for text in ["alice@example.com", "read_user", "api"] {
        browser.wait_for_text(text).await;
    }
    assert_eq!(gitlab.valid_tokens("Our GitLab").await, before);

    // A second application at the same server. The user first denies, then connects the account.
    browser.open(&page(INTEGRATIONS)).await;
    browser.begin_integration(&gitlab, "Second GitLab").await;
    browser.create_application_at(&gitlab, false).await;
    browser.click("Create integration").await;
    browser.wait_for_text("The integration was created.").await;
    browser.open(&page("/account")).await;
    browser.click("Connect Second GitLab").await;
    browser.consent("Second GitLab", "Deny").await;
    browser.wait_for_text("You did not allow").await;
    assert_eq!(gitlab.valid_tokens("Second GitLab").await, 0);
    browser.open(&page("/account")).await;
    browser.click("Connect Second GitLab").await;
    browser.consent("Second GitLab", "Authorize").await;
    browser.wait_for_text("The account is connected.").await;
    assert_eq!(gitlab.valid_tokens("Second GitLab").await, 1);

    // Disconnecting revokes the tokens of this account, and no other's.
    let disconnect = "//h3[normalize-space()='Second GitLab']/following::button[normalize-space()='Disconnect'][1]";
    browser.element(Locator::XPath(disconnect), async |button| button.click().await).await;
    browser.wait_for_text("The account is disconnected, and its tokens were revoked.").await;
    assert_eq!(gitlab.valid_tokens("Second GitLab").await, 0);
    browser.open(&format!("{}/oauth/authorized_applications", gitlab.base_url)).await;
    browser.wait_for_text("Our GitLab").await;
    assert!(!browser.text().await.contains("Second GitLab"));
    browser.open(&page("/account")).await;
    browser.click("Who am I there?").await;
    browser.wait_for_text("The code host says now: alice, alice@example.com.").await;
    browser.end().await;
}

impl Browser {
    /// From the list of integrations to the form with the guide for this server.
    async fn begin_integration(&self, gitlab: &Doorkeeper, name: &str) {
        self.click("Add integration").await;
        self.wait_for_text("Which code host").await;
        self.choose("platform", "gitlab").await;
        self.fill("base_url", &gitlab.base_url).await;
        self.guide(&setup_link(gitlab)).await;
        self.fill("name", name).await;
        self.until(name, async || self.value_to_copy("Name").await == name).await;
    }

    /// Opens the setup link, creates the application there with the values of the guide, and pastes ID and secret into the form.
    async fn create_application_at(&self, gitlab: &Doorkeeper, is_first: bool) {
        let (name, callback) = (self.value_to_copy("Name").await, self.value_to_copy("Redirect URI").await);
        let ticked = "return [...document.querySelectorAll('#ch-guide .ch-scopes li:not(.ch-implied) strong')]
            .map((scope) => scope.innerText).join(' ')";
        let scopes = self.script(ticked).await.as_str().unwrap().to_owned();
        assert_eq!(scopes, "api read_user");

        let form = self.client.window().await.unwrap();
        self.click(&setup_link(gitlab)).await;
        self.until("a second window", async || self.client.windows().await.unwrap().len() == 2).await;
        let windows = self.client.windows().await.unwrap();
        let page = windows.into_iter().find(|window| *window != form).unwrap();
        self.client.switch_to_window(page).await.unwrap();
        if is_first {
            self.fill("username", "alice").await;
            self.fill("password", Doorkeeper::PASSWORD).await;
            self.submit("Sign in").await;
        }
        self.wait_for_text("Your applications").await;
        self.click("New Application").await;
        self.wait_for_text("Use one line per URI").await;
        self.fill("doorkeeper_application_name", &name).await;
        self.fill("doorkeeper_application_redirect_uri", &callback).await;
        self.fill("doorkeeper_application_scopes", &scopes).await;
        assert_eq!(
            self.script("return document.getElementById('doorkeeper_application_confidential').checked").await,
            true
        );
        self.submit("Submit").await;
        self.wait_for_text("Application created.").await;
        let id = self.element(Locator::Id("application_id"), async |code| code.text().await).await;
        let secret = self.element(Locator::Id("secret"), async |code| code.text().await).await;
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(form).await.unwrap();
        leak_check::learn("client secret", &secret);
        self.fill("client_id", &id).await;
        self.fill("client_secret", &secret).await;
    }

    /// Presses a button of Doorkeeper's authorization page.
    async fn consent(&self, application: &str, button: &str) {
        self.wait_for_text(&format!("Authorize {application} to use your account?")).await;
        self.submit(button).await;
    }

    /// Presses a button that is no `button` element.
    async fn submit(&self, label: &str) {
        self.press_at(&format!("input[type=submit][value='{label}']")).await;
    }

    /// A value of the guide, by its label.
    async fn value_to_copy(&self, label: &str) -> String {
        let value = format!(
            "const labels = [...document.querySelectorAll('#ch-guide label')];
             const label = labels.find((label) => label.innerText.startsWith('{label}'));
             return label ? document.getElementById(label.htmlFor).value : ''"
        );
        self.script(&value).await.as_str().unwrap().to_owned()
    }
}

fn setup_link(gitlab: &Doorkeeper) -> String {
    format!("{}/-/user_settings/applications", gitlab.base_url)
}
