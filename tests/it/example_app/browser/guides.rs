//! Both guides, sentence by sentence: with the mouse, by keyboard alone, and on a phone without scripts.

use serde_json::json;

use super::Browser;
use super::page::{DESKTOP, PHONE};
use crate::example_app::Program;

#[tokio::test(flavor = "multi_thread")]
async fn both_guides_with_the_mouse() {
    let (program, browser) = (Program::demo(None).await, Browser::start("mouse", true, false).await);
    bitbucket_in_setup_mode(&program, &browser).await;
    gitlab_of_an_organization(&program, &browser).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_guides_on_a_phone_without_scripts() {
    let (program, browser) = (Program::demo(None).await, Browser::start_phone("phone").await);
    bitbucket_in_setup_mode(&program, &browser).await;
    gitlab_of_an_organization(&program, &browser).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_guides_by_keyboard() {
    let (program, browser) = (Program::demo(None).await, Browser::start_with_keyboard("keyboard").await);
    bitbucket_in_setup_mode(&program, &browser).await;
    gitlab_of_an_organization(&program, &browser).await;
    browser.end().await;
}

async fn bitbucket_in_setup_mode(program: &Program, browser: &Browser) {
    // 1. The product has just been installed: "Add integration" without a login.
    browser.open(&program.url).await;
    browser.wait_for_text("There is no administrator who can log in").await;
    browser.look_at("setup-mode").await;
    browser.open(&format!("{}{}", program.url, program.setup)).await;
    browser.look_at("setup-link").await;
    browser.click("Begin setup").await;
    browser.wait_for_text("There is no integration yet").await;
    browser.look_at("empty-list").await;
    assert!(!browser.text().await.contains("Log out"), "nobody is logged in");
    browser.click("Add integration").await;
    browser.wait_for_text("Which code host").await;
    steps_are_in_one_column(browser).await;
    browser.look_at("form").await;

    // 2. The platform and https://bitbucket.org: a setup link appears by itself.
    browser.choose("platform", "bitbucket-cloud").await;
    browser.fill("base_url", "https://bitbucket.org").await;
    browser.guide("https://bitbucket.org/<WORKSPACE_NAME>/workspace/settings/").await;

    // 3. ID and secret stay empty; the workspace's name is filled into the link.
    browser.fill("owner", "acme").await;
    browser.guide("https://bitbucket.org/acme/workspace/settings/").await;
    browser.fill("name", "Bitbucket").await;
    // The demo's Bitbucket stands for the real one.
    let bitbucket = program.fake("bitbucket-cloud");
    browser.fill("base_url", bitbucket).await;
    browser.guide(&format!("{bitbucket}/acme/workspace/settings/")).await;
    assert_eq!((browser.value("#client_id").await, browser.value("#client_secret").await), Default::default());
    let callback = browser.callback().await;
    assert!(callback.starts_with(&format!("{}/oauth/callback/bitbucket-cloud/", program.url)), "{callback}");
    steps_are_in_one_column(browser).await;
    browser.look_at("bitbucket-guide").await;

    // 4. The consumer is created with that callback URL and all scopes that the form lists.
    let text = browser.text().await;
    for scope in ["account", "email", "team", "repository", "pullrequest:write", "webhook"] {
        assert!(text.contains(scope), "{scope}");
    }
    let (id, secret) = browser.create_application(&callback).await;

    // 5. Key and secret are pasted, and the integration is in the list.
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", &secret).await;
    browser.click("Create integration").await;
    browser.wait_for_text("The integration was created.").await;
    browser.look_at("created").await;
    browser.press_at(".ch-crumbs a").await;
    browser.wait_for_text("Add integration").await;
    browser.wait_for_text("Bitbucket").await;
    let link = browser.value(".ch-card input[value*='/login/']").await;
    browser.look_at("list").await;

    // 6. Users log in.
    browser.open(&link).await;
    browser.wait_for_text("Log in with Bitbucket").await;
    browser.look_at("login-link").await;
    browser.click("Log in with Bitbucket").await;
    browser.authorize("jane").await;
    browser.wait_for_text("You are the administrator from now on.").await;
    browser.look_at("account").await;
}

async fn gitlab_of_an_organization(program: &Program, browser: &Browser) {
    browser.click("Users").await;
    browser.wait_for_text("Organizations").await;
    browser.fill("name", "Acme").await;
    browser.click("Add organization").await;
    browser.wait_for_text("The organization is added.").await;
    browser.look_at("users").await;
    browser.click("Acme").await;
    browser.wait_for_text("Users of Acme").await;

    // 1. From the organization's settings: "Integrations", "Add integration".
    browser.click("Integrations of Acme").await;
    browser.wait_for_text("There is no integration yet").await;
    browser.click("Add integration").await;
    browser.wait_for_text("Which code host").await;

    // 2. The platform and the URL of one's own server: a setup link for that server appears by itself.
    let gitlab = program.fake("gitlab");
    browser.choose("platform", "gitlab").await;
    browser.fill("base_url", gitlab).await;
    browser.guide(&format!("{gitlab}/-/user_settings/applications")).await;

    // 3. The callback URL is copied.
    let callback = browser.callback().await;
    assert!(callback.starts_with(&format!("{}/oauth/callback/gitlab/", program.url)), "{callback}");
    if browser.has_script {
        browser.press_at("#ch-guide [data-ch-copy*='/oauth/callback/']").await;
        browser.hears("Copied").await;
    }
    browser.picture("form", "h1", ".ch-copies").await;

    // 4. "Add new application": name, redirect URI, scopes, Confidential and not Trusted.
    for text in ["Redirect URI", "api", "read_user", "Confidential", "Trusted"] {
        browser.wait_for_text(text).await;
    }
    browser.look_at("gitlab-guide").await;
    let (id, secret) = browser.create_application(&callback).await;

    // 5. Application ID and Secret are pasted back. First a wrong one: the error is at its field, and there is the focus.
    let labels =
        "return ['client_id', 'client_secret'].map((id) => document.querySelector(`label[for=${id}]`).innerText)";
    assert_eq!(browser.script(labels).await, json!(["Application ID", "Secret"]));
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", "canary-wrong-secret").await;
    browser.click("Check").await;
    browser.wait_for_text("Nothing was saved: something is wrong").await;
    assert_eq!(browser.focus().await, "client_secret");
    browser.look_at("check-wrong").await;
    browser.fill("client_secret", &secret).await;
    browser.click("Check").await;
    browser.wait_for_text("Everything that can be checked without a login is correct.").await;
    assert_eq!(browser.focus().await, "ch-report");
    browser.look_at("check-right").await;
    browser.picture("check", "section[aria-labelledby=ch-step-3]", "section[aria-labelledby=ch-step-4]").await;
    browser.click("Create integration").await;
    browser.wait_for_text("The integration was created.").await;
    browser.press_at(".ch-crumbs a").await;
    browser.wait_for_text("Login link").await;

    // 6. The login link offers to log in with GitLab, and logs in whoever was invited.
    let link = browser.value(".ch-card input[value*='/login/']").await;
    browser.open(&format!("{}/org/acme/people", program.url)).await;
    browser.click("Invite a member").await;
    browser.wait_for_text("The invitation is ready.").await;
    browser.look_at("invitation").await;
    let invitation = browser.value("#link").await;
    browser.press_at("nav a[href='/account']").await;
    browser.click("Log out").await;
    browser.wait_for_text("Log in to Main").await;
    for link in [invitation, link] {
        browser.open(&link).await;
        browser.press_at("form[action*='/login/'] button").await;
        browser.authorize("bob").await;
        browser.wait_for_text("Member of acme").await;
        browser.click("Log out").await;
        browser.wait_for_text("Log in to").await;
    }
}

/// In this order, on a phone too.
async fn steps_are_in_one_column(browser: &Browser) {
    for width in [PHONE, DESKTOP] {
        browser.show_at(width, browser.scheme).await;
        let places = "return [1, 2, 3, 4].map((step) => {
            const { left, top } = document.getElementById('ch-step-' + step).closest('.ch-step').getBoundingClientRect();
            return [left, top];
        })";
        let places = browser.script(places).await;
        let places: Vec<(f64, f64)> = serde_json::from_value(places).unwrap();
        assert!(places.windows(2).all(|two| two[0].0 == two[1].0 && two[0].1 < two[1].1), "{width}: {places:?}");
    }
    browser.show_at(browser.width, browser.scheme).await;
}

impl Browser {
    /// Checks a page. The keyboard shows the same ones as the mouse.
    async fn look_at(&self, page: &str) {
        if self.has_mouse {
            self.check_page(page).await;
        }
    }

    /// Waits until a screen reader is told this.
    pub(super) async fn hears(&self, text: &str) {
        let live = "return document.getElementById('ch-live').textContent";
        self.until(text, async || self.script(live).await.as_str().is_some_and(|said| said.contains(text))).await;
    }
}
