//! The example app over HTTP: both guides, the account, and what every page has.

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::header::SET_COOKIE;

use super::client::{HttpBrowser, callback_url};
use super::{INTEGRATIONS, Program, directory};
use crate::secrets::leak_check;
use crate::support::network_programs::{Authority, Certificate, Program as NetworkProgram};

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
    let saved = admin.press(&form, "Create integration").await;
    admin.open(saved.location()).await.assert_text("The integration was created.");
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

#[tokio::test]
async fn users_of_every_platform_log_in_and_are_asked_live() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    for (platform, user, subject, name) in [
        ("gitlab", "bob", "3", "bob"),
        ("bitbucket-cloud", "jane", "11111111-2222-3333-4444-555555555555", "jane"),
        ("github", "janedoe", "12345678", "janedoe"),
        ("forgejo", "jane", "7", "jane"),
        ("bitbucket-data-center", "jdoe", "42", "jdoe"),
    ] {
        let id = admin.add(&program, "main", platform, platform).await;
        let link = admin.invite("main", "Invite a member").await;
        let mut browser = HttpBrowser::of(&program);
        let callback = {
            let screen = browser.open(&link).await.screen();
            let button = format!("Log in with {platform}");
            assert!(screen.buttons().contains(&button), "{:?}", screen.buttons());
            browser.authorize(&link, &button, Some(user)).await
        };
        let account = browser.open(&callback).await;
        account.assert_text("Member of main");
        assert!(
            account.body.contains(&format!("{platform}:{id}:")) && account.body.contains(subject),
            "{}",
            account.body
        );
        let live = browser.submit("/account", "Who am I there?").await;
        live.assert_text("The code host says now:");
        assert!(live.screen().role("status").contains(&format!("({name})")), "{}", live.screen().role("status"));
    }
}

#[tokio::test]
async fn accounts_are_connected_and_disconnected() {
    let program = Program::demo(None).await;
    let (mut admin, gitlab) = HttpBrowser::administrator(&program).await;
    let bitbucket = admin.add(&program, "main", "bitbucket-cloud", "Bitbucket").await;
    let link = admin.invite("main", "Invite a member").await;
    let mut jane = HttpBrowser::of(&program);
    let callback = jane.authorize(&link, "Log in with Bitbucket", Some("jane")).await;
    jane.open(&callback).await.assert_text("Member of main");

    // An account of another user is refused, and an equal e-mail address connects nothing.
    let taken = admin.authorize("/account", "Connect Bitbucket", Some("jane")).await;
    admin.open(&taken).await.assert_text("the account is connected to another user");
    admin.open("/account").await.assert_text("This is your only account here");
    let free = admin.authorize("/account", "Connect Bitbucket", Some("many")).await;
    admin.open(&free).await.assert_text("The account is connected.");
    let page = admin.open(&format!("{INTEGRATIONS}/{bitbucket}/delete")).await;
    page.assert_text("2 accounts");

    // Disconnecting revokes the tokens there: the code host does not know the user any more, and the account cannot log in.
    let key = format!("bitbucket-cloud:{bitbucket}:22222222-2222-3333-4444-555555555555");
    let screen = admin.open("/account").await.screen();
    let (action, mut fields) = screen.submission("Disconnect");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = key;
    let done = admin.post(&action, &fields).await;
    admin.open(done.location()).await.assert_text("The account is disconnected");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = format!("gitlab:{gitlab}:2");
    let only = admin.post(&action, &fields).await;
    admin.open(only.location()).await.assert_text("cannot be disconnected");
    let mut other = HttpBrowser::of(&program);
    other.log_in(&bitbucket, "many").await.assert_text("Only users who were invited have one.");
    admin.submit("/account", "Who am I there?").await.assert_text("The code host says now:");
    assert_eq!(admin.submit("/account", "Log out").await.screen().all("h1"), ["Log in to Main"]);
    assert_eq!(admin.get("/account").await.location(), "/login");
    assert!(admin.log_in(&gitlab, "alice").await.screen().shows("Administrator of main"));
}

#[tokio::test]
async fn disconnecting_revokes_the_tokens_at_the_code_host() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let id = admin.add_gitlab(&gitlab, "Second", "canary-second-secret").await;
    let connect = admin.authorize("/account", "Connect Second", Some("bob")).await;
    admin.open(&connect).await.assert_text("The account is connected.");
    let screen = admin.open("/account").await.screen();
    let (action, mut fields) = screen.submission("Disconnect");
    fields.iter_mut().find(|(name, _)| name == "key").unwrap().1 = format!("gitlab:{id}:3");
    assert_eq!(gitlab.count("/oauth/revoke"), 0);
    let done = admin.post(&action, &fields).await;
    admin.open(done.location()).await.assert_text("The account is disconnected, and its tokens were revoked.");
    assert!(gitlab.count("/oauth/revoke") > 0);
    // Nothing is left that could be sent there again.
    let asked = gitlab.requests().len();
    assert_eq!(admin.post(&action, &fields).await.status, 404);
    assert_eq!(gitlab.requests().len(), asked);
}

#[tokio::test]
async fn a_post_without_the_csrf_token_is_refused() {
    let program = Program::demo(None).await;
    let (mut browser, id) = HttpBrowser::administrator(&program).await;
    let paths = ["/login/ID", "/connect/ID", "/logout", "/account", "/org/main/people", &program.setup];
    let of_integration = ["disable", "enable", "rename", "delete", "secret", "test"];
    let of_integration = of_integration.map(|part| format!("{INTEGRATIONS}/ID/{part}"));
    for path in paths.into_iter().chain(of_integration.iter().map(String::as_str)) {
        let path = path.replace("ID", &id);
        assert_eq!(browser.post(&path, &[]).await.status, 403, "{path}");
        let wrong = [("csrf_token".to_owned(), "x".to_owned())];
        assert_eq!(browser.post(&path, &wrong).await.status, 403, "{path}");
    }
    for path in [&format!("/connect/{id}"), "/logout"] {
        assert_eq!(browser.get(path).await.status, 405, "{path}");
    }
    browser.open("/account").await.assert_text("Administrator of main");
}

#[tokio::test]
async fn callbacks_redirect_and_failures_have_a_page() {
    let program = Program::demo(None).await;
    let (mut admin, id) = HttpBrowser::administrator(&program).await;
    let link = format!("/login/{id}");
    let button = "Log in with Our GitLab";

    let mut browser = HttpBrowser::of(&program);
    let callback = browser.authorize(&link, button, Some("alice")).await;
    let mut other = HttpBrowser::of(&program);
    let failed = other.get(&callback).await;
    failed.assert_text("Start the login again in this browser.");
    let finished = browser.get(&callback).await;
    assert_eq!(finished.location(), "/account");
    for response in [failed, finished] {
        assert_eq!(response.headers["referrer-policy"], "no-referrer");
        assert_eq!(response.headers["cache-control"], "no-store");
        assert!(!response.body.contains("code=") && !response.body.contains("state="));
    }
    // Opened again, it redirects.
    browser.open(&callback).await.assert_text("Administrator of main");

    let mut browser = HttpBrowser::of(&program);
    let denied = browser.authorize(&link, button, None).await;
    let page = browser.open(&denied).await.screen();
    page.assert_shows("Start the login again, and allow it.");
    assert_eq!(page.link(button), Some(&*link));
    for (username, text) in [("dave", "activate your account"), ("carol", "unblock your account")] {
        let callback = browser.authorize(&link, button, Some(username)).await;
        browser.open(&callback).await.assert_text(text);
    }
    admin.open("/account").await.assert_text("Administrator of main");
}

#[tokio::test]
async fn every_page_has_security_headers_and_no_secret() {
    let directory = directory("example_app_secrets");
    let database = directory.join("host.sqlite");
    let program = Program::demo(Some(&database)).await;
    let mut browser = HttpBrowser::founder(&program).await;
    let mut form = browser.begin_form("main", "gitlab", program.fake("gitlab"), "Our GitLab").await;
    let callback = callback_url(&form);
    let (client_id, secret) = browser.create_application(&form).await;
    form.set("client_id", &client_id);
    form.set("client_secret", &secret);
    let checked = browser.press(&form, "Check").await;
    assert!(!checked.body.contains(&secret), "{}", checked.body);
    let created = browser.press(&checked.screen(), "Create integration").await;
    let page = created.location().split('?').next().unwrap().to_owned();
    let id = callback.rsplit('/').next().unwrap();
    browser.log_in(id, "alice").await;

    let (link, edit) = (format!("/login/{id}"), format!("{page}/edit"));
    for path in ["/account", INTEGRATIONS, "/org/main/people", "/nowhere", &page, &edit, &link] {
        let page = browser.get(path).await;
        assert!(!page.body.contains(&secret), "{path}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(!page.body.contains("<script>") && !page.body.contains(" style=") && !page.body.contains(" onclick="));
        assert!(page.headers.get_all(SET_COOKIE).iter().all(|cookie| cookie.to_str().unwrap().contains("HttpOnly")));
    }
    let session = browser.cookies["depot"].clone();
    program.kill().await;

    // The files hold no secret in plain text.
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [&secret, &session] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn organizations_cannot_see_each_other() {
    let program = Program::demo(None).await;
    let (mut main, first) = HttpBrowser::administrator(&program).await;
    let mut page = main.open("/org/main/people").await.screen();
    page.set("name", "Evil Corp");
    main.press(&page, "Add organization").await.assert_text("Evil Corp");

    // The same GitLab again, by another organization.
    let second = main.add(&program, "evilcorp", "gitlab", "Our GitLab").await;
    let link = main.invite("evilcorp", "Invite an administrator").await;
    let mut other = HttpBrowser::of(&program);
    let account = other.log_in_at(&link, "alice").await;
    account.assert_text(&format!("gitlab:{second}:2"));
    account.assert_text("Administrator of evilcorp");
    assert!(!account.body.contains(&first), "the same account is another user in another organization");

    other.open("/org/evilcorp/integrations").await.assert_text("Our GitLab");
    for path in
        [INTEGRATIONS, "/org/main/integrations/new", "/org/main/people", &format!("{INTEGRATIONS}/{first}/edit")]
    {
        assert_eq!(other.get(path).await.status, 403, "{path}");
    }
    assert_eq!(other.get(&format!("/org/evilcorp/integrations/{first}/edit")).await.status, 404);
    // Now that it has an administrator, those of the first organization have no access.
    for path in ["/org/evilcorp/integrations", "/org/evilcorp/people"] {
        assert_eq!(main.get(path).await.status, 403, "{path}");
    }

    // Nobody manages an organization that does not exist.
    assert_eq!(main.get("/org/nobody/integrations").await.status, 403);

    // A login of one organization cannot be finished at another, and an account of one cannot be connected at another.
    let callback = other.authorize(&format!("/login/{first}"), "Log in with Our GitLab", Some("bob")).await;
    let moved = callback.replace(&first, &second);
    other.open(&moved).await.assert_text("other_integration");
    let (_, fields) = other.open("/account").await.screen().submission("Log out");
    let begun = other.post(&format!("/connect/{first}"), &fields).await;
    let foreign = other.authorize_at(begun.location(), Some("bob")).await;
    other.open(&foreign).await.assert_text("belongs to another organization");
    // An invitation of one is none at the other.
    let link = other.invite("evilcorp", "Invite an administrator").await;
    let mut third = HttpBrowser::of(&program);
    let callback =
        third.authorize(&format!("/login/{first}?return_to={link}"), "Log in with Our GitLab", Some("bob")).await;
    third.open(&callback).await.assert_text("Only users who were invited have one.");
}

/// Browsers use the base URL, the app an address that only an operator can set.
#[tokio::test]
async fn the_operator_says_where_the_app_reaches_a_code_host() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::founder(&program).await;
    let mut form = admin.begin_form("main", "gitlab", "https://git.example.com/", "GitLab").await;
    let callback = callback_url(&form);
    let scopes = "read_user read_api api";
    gitlab.add_application(FakeApplication::new("api-id", "canary-api-secret", &callback, scopes));
    form.set("api_url", gitlab.base_url());
    form.set("client_id", "api-id");
    form.set("client_secret", "canary-api-secret");
    let created = admin.press(&form, "Create integration").await;
    admin.open(created.location()).await.assert_text("The integration was created.");
    let screen = admin.open("/login").await.screen();
    let begun = admin.press(&screen, "Log in with GitLab").await;
    let page = begun.location().to_owned();
    assert!(page.starts_with("https://git.example.com/oauth/authorize?"), "{page}");
    // The fake stands for the page that browsers reach at the base URL.
    let page = page.replacen("https://git.example.com", gitlab.base_url(), 1);
    let callback = gitlab.authorize(&page, "alice").unwrap();
    admin.open(&callback).await.assert_text("You are the administrator from now on.");

    // An administrator of another organization has no such field.
    let mut page = admin.open("/org/main/people").await.screen();
    page.set("name", "Acme");
    admin.press(&page, "Add organization").await;
    admin.add(&program, "acme", "gitlab", "GitLab").await;
    let invitation = admin.invite("acme", "Invite an administrator").await;
    let mut other = HttpBrowser::of(&program);
    other.log_in_at(&invitation, "bob").await.assert_text("Administrator of acme");
    let form = other.begin_form("acme", "gitlab", "https://git.example.com/", "GitLab").await;
    assert!(!form.fields().contains(&"api_url") && form.fields().contains(&"base_url"));
}

/// The code host demands a client certificate and a header, and is reached through the app's proxy.
#[tokio::test]
async fn a_code_host_behind_a_proxy_and_a_gateway() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let port = url::Url::parse(gitlab.base_url()).unwrap().port().unwrap();
    let (servers, clients) = (Authority::new(), Authority::named("Clients"));
    let server = Certificate { clients: Some(clients.pem()), ..servers.server() };
    let gate = r#"ssl_verify_client on; ssl_client_certificate clients.pem;
                  if ($http_x_gate != "open-for-the-test") { return 403; }"#;
    let nginx = NetworkProgram::nginx_gateway(port, &server, gate).await;
    let proxy = NetworkProgram::tinyproxy(None).await;
    let base_url = format!("https://localhost:{}/gitlab", nginx.port);
    let client = clients.sign("app", |_| {});
    let proxy = format!("http://127.0.0.1:{}", proxy.port);
    let program = Program::with_flags("127.0.0.1:0", &["--proxy", &proxy]).await;

    let mut admin = HttpBrowser::founder(&program).await;
    let mut form = admin.begin_form("main", "gitlab", &base_url, "GitLab").await;
    let callback = callback_url(&form);
    gitlab.add_application(FakeApplication::new("gate-id", "canary-gate-secret", &callback, "read_user read_api api"));
    form.set("client_id", "gate-id");
    form.set("client_secret", "canary-gate-secret");
    form.set("root_certificates", &servers.pem());
    form.set("client_certificate", &format!("{}{}", client.pem, client.key));
    form.set("headers", "X-Gate: open-for-the-test");
    let report = admin.press(&form, "Check").await;
    report.assert_text(&proxy);
    report.assert_text("CN=Test server");
    let created = admin.press(&report.screen(), "Create integration").await;
    admin.open(created.location()).await.assert_text("The integration was created.");
    let screen = admin.open("/login").await.screen();
    let begun = admin.press(&screen, "Log in with GitLab").await;
    let page = begun.location().replacen(&base_url, gitlab.base_url(), 1);
    let callback = gitlab.authorize(&page, "alice").unwrap();
    admin.open(&callback).await.assert_text("You are the administrator from now on.");
}

#[tokio::test]
async fn the_one_time_token_works_once() {
    let program = Program::demo(None).await;
    let mut browser = HttpBrowser::of(&program);
    let wrong = browser.get("/setup/wrong").await;
    assert_eq!(wrong.status, 403);
    wrong.assert_text("The setup link is not valid");
    // A program that looks at the link does not use it up.
    let page = browser.get(&program.setup).await.screen();
    let mut founder = HttpBrowser::founder(&program).await;
    let late = browser.press(&page, "Begin setup").await;
    assert_eq!(late.status, 403);
    assert_eq!(browser.get(INTEGRATIONS).await.status, 401);
    assert_eq!(browser.get(&program.setup).await.status, 403);
    founder.open(INTEGRATIONS).await.assert_text("There is no integration yet");
    leak_check::text("the setup link", &program.setup);
}
