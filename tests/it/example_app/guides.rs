//! Both guides over HTTP, sentence by sentence.

use super::client::{HttpBrowser, callback_url};
use super::{INTEGRATIONS, Program};

/// The guide for GitLab Self-Managed in a cloud product, sentence by sentence.
#[tokio::test]
async fn the_gitlab_guide() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    admin.open("/org/main/people").await.assert_text("Organizations");
    let mut page = admin.open("/org/main/people").await.screen();
    page.set("name", "Acme");
    admin.press(&page, "Add organization").await.assert_text("The organization is added.");

    // 1. From the organization's settings, "Integrations", "Add Integration".
    let people = admin.open("/org/acme/people").await.screen();
    let list = admin.open(people.link("Integrations of Acme").unwrap()).await.screen();
    list.assert_shows("There is no integration yet");
    let mut form = admin.open(list.link("Add integration").unwrap()).await.screen();
    // 2. Platform and the URL of one's own server: a setup link appears.
    let gitlab = program.fake("gitlab");
    form.set("platform", "gitlab");
    form.set("base_url", gitlab);
    let mut form = admin.press(&form, "Show setup link").await.screen();
    let link = format!("{gitlab}/-/user_settings/applications");
    assert!(form.attributes("href").iter().any(|href| href.starts_with(&link)), "{:?}", form.attributes("href"));
    // 3. The form is not submitted yet. The callback URL is copied.
    let callback = callback_url(&form);
    assert!(callback.starts_with(&format!("{}/oauth/callback/gitlab/", program.url)), "{callback}");
    assert_eq!((form.value("client_id"), form.value("client_secret")), Default::default());
    admin.open("/org/acme/integrations").await.assert_text("There is no integration yet");
    // 4. On GitLab: the scopes `api` and `read_user` are ticked; Confidential stays checked.
    let ticked = form.attributes("data-ch-copy");
    assert!(ticked.contains(&"api") && ticked.contains(&"read_user"), "{ticked:?}");
    form.assert_shows("Confidential");
    // 5. Application ID and Secret are pasted back; the list of integrations has it.
    assert_eq!([form.label("client_id"), form.label("client_secret")], ["Application ID", "Secret"]);
    let (id, secret) = admin.create_application(&form).await;
    form.set("client_id", &id);
    form.set("client_secret", &secret);
    form.assert_shows(INVITED_ONLY);
    let saved = admin.press(&form, "Create integration").await;
    let created = admin.open(saved.location()).await;
    created.assert_text("The integration was created.");
    created.assert_text(&format!("Users log in with this link. {INVITED_ONLY}"));
    let list = admin.open("/org/acme/integrations").await.screen();
    let host = gitlab.split('/').nth(2).unwrap();
    list.assert_shows(&format!("GitLab ({host})"));
    // 6. The login link is the organization's own, offers GitLab, and logs in from then on.
    list.assert_shows("Login link");
    let link = format!("{}/login/", program.url);
    let link = list
        .attributes("data-ch-copy")
        .into_iter()
        .chain(list.attributes("data-copy"))
        .find(|url| url.starts_with(&link));
    let link = url::Url::parse(link.unwrap()).unwrap().path().to_owned();
    let invitation = admin.invite("acme", "Invite an administrator").await;
    let mut user = HttpBrowser::of(&program);
    user.open(&link).await.assert_text("Log in with GitLab");
    user.log_in_at(&invitation, "bob").await.assert_text("Administrator of acme");
    user.submit("/account", "Log out").await;
    user.log_in_at(&link, "bob").await.assert_text("Administrator of acme");
    // Now that Acme has an administrator who can log in, those of the first organization have no access.
    assert_eq!(admin.get("/org/acme/integrations").await.status, 403);
}

/// What the app says in place of the crate's sentence about its own rules.
const INVITED_ONLY: &str = "A new user other than the first administrator needs an invitation, from the page “Users”.";

/// The guide for Bitbucket Cloud in a product that has just been installed, sentence by sentence.
#[tokio::test]
async fn the_bitbucket_guide() {
    let program = Program::demo(None).await;
    // 1. Setup mode: nobody is logged in, and the setup link opens "Add integration".
    let mut admin = HttpBrowser::of(&program);
    admin.open("/").await.assert_text("Setup mode");
    assert_eq!(admin.get(INTEGRATIONS).await.status, 401);
    let mut admin = HttpBrowser::founder(&program).await;
    let list = admin.open(INTEGRATIONS).await.screen();
    list.assert_shows("Setup mode");
    let mut form = admin.open(list.link("Add integration").unwrap()).await.screen();
    // 2. Platform Bitbucket, base URL https://bitbucket.org: a setup link appears.
    form.set("platform", "bitbucket-cloud");
    form.set("base_url", "https://bitbucket.org");
    let mut form = admin.press(&form, "Show setup link").await.screen();
    form.assert_shows("https://bitbucket.org/");
    // 3. ID and secret stay empty; the workspace's name is filled into the setup link.
    assert_eq!((form.value("client_id"), form.value("client_secret")), Default::default());
    form.set("owner", "my-team");
    let mut form = admin.press(&form, "Show setup link").await.screen();
    let link = "https://bitbucket.org/my-team/workspace/settings/";
    assert!(form.attributes("href").iter().any(|href| href.starts_with(link)), "{:?}", form.attributes("href"));
    let callback = callback_url(&form);
    // 4. On Bitbucket: that callback URL, and all the scopes that the form lists. Here the fake stands for it.
    for scope in ["account", "email", "team", "repository", "pullrequest:write", "webhook"] {
        assert!(form.attributes("data-ch-copy").contains(&scope) || form.shows(scope), "{scope}");
    }
    form.set("base_url", program.fake("bitbucket-cloud"));
    let mut form = admin.press(&form, "Show setup link").await.screen();
    assert_eq!(callback_url(&form), callback);
    let (id, secret) = admin.create_application(&form).await;
    // 5. Key and secret are pasted; the integration is in the list.
    form.set("client_id", &id);
    form.set("client_secret", &secret);
    let saved = admin.press(&form, "Create integration").await;
    admin.open(saved.location()).await.assert_text("The integration was created.");
    admin.open(INTEGRATIONS).await.assert_text("Bitbucket");
    // 6. Users can now log in: the browser that has set up the app becomes the administrator.
    let id = callback.rsplit('/').next().unwrap();
    let account = admin.log_in(id, "jane").await;
    account.assert_text("You are the administrator from now on.");
    account.assert_text(&format!("bitbucket-cloud:{id}:11111111-2222-3333-4444-555555555555"));
}
