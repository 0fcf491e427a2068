//! The example app over HTTP: what every page has, organizations, and the setup link.

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::header::SET_COOKIE;

use super::client::{HttpBrowser, callback_url};
use super::{INTEGRATIONS, Program, directory};
use crate::secrets::leak_check;
use crate::support::network_programs::{Authority, Certificate, Program as NetworkProgram};

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
    page.assert_shows("You did not allow the login. Start it again to allow it.");
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
    wrong.assert_text("The setup link is not valid Copy all of it.");
    // A program that looks at the link does not use it up.
    let page = browser.get(&program.setup).await.screen();
    let mut founder = HttpBrowser::founder(&program).await;
    for used in [browser.press(&page, "Begin setup").await, browser.get(&program.setup).await] {
        assert_eq!(used.status, 403);
        used.assert_text("The setup link was used It works once, in one browser.");
        used.assert_text("start the app again: it prints a new link");
    }
    assert_eq!(browser.get(INTEGRATIONS).await.status, 401);
    founder.open(INTEGRATIONS).await.assert_text("There is no integration yet");
    // The browser in which the setup was begun goes on.
    assert_eq!(founder.get(&program.setup).await.location(), INTEGRATIONS);
    let id = founder.add(&program, "main", "gitlab", "Our GitLab").await;
    founder.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
    for browser in [&mut browser, &mut founder] {
        let late = browser.get(&program.setup).await;
        assert_eq!(late.status, 403);
        late.assert_text("The setup is finished An administrator can log in.");
    }
    leak_check::text("the setup link", &program.setup);
}

#[tokio::test]
async fn only_other_pages_link_to_the_home_page() {
    let program = Program::demo(None).await;
    let mut browser = HttpBrowser::of(&program);
    assert_eq!(browser.get("/nowhere").await.screen().link("Back to the home page"), Some("/"));
    let home = browser.get("/").await.screen();
    home.assert_shows("Setup mode There is no administrator who can log in.");
    home.assert_hides("Back to the home page");
}

/// An operator who looks at another organization stays there, on the pages of the app and of the crate.
#[tokio::test]
async fn the_navigation_stays_in_the_organization_of_the_page() {
    let program = Program::demo(None).await;
    let (mut admin, _) = HttpBrowser::administrator(&program).await;
    let mut page = admin.open("/org/main/people").await.screen();
    page.set("name", "Acme <Inc>");
    admin.press(&page, "Add organization").await.assert_text("The organization is added.");
    let navigation = async |browser: &mut HttpBrowser, path: &str| {
        let screen = browser.get(path).await.screen();
        let links = ["Integrations", "Users"].map(|name| screen.link(name).unwrap_or_default().to_owned());
        (screen.all("nav").remove(0), screen.all("title").remove(0), links)
    };
    let of = |slug: &str| [format!("/org/{slug}/integrations"), format!("/org/{slug}/people")];
    for path in ["/org/acmeinc/integrations", "/org/acmeinc/integrations/unknown", "/org/acmeinc/people"] {
        let (nav, title, links) = navigation(&mut admin, path).await;
        assert_eq!(links, of("acmeinc"), "{path}");
        assert!(nav.starts_with("Acme <Inc>") && title.contains("Acme <Inc>"), "{path}: {nav}, {title}");
    }
    for path in ["/account", "/org/main/people", INTEGRATIONS, "/org/nobody/people"] {
        let (nav, _, links) = navigation(&mut admin, path).await;
        assert_eq!(links, of("main"), "{path}");
        assert!(nav.starts_with("Main"), "{path}: {nav}");
    }

    // Without the right, there are no links to that organization.
    admin.add(&program, "acmeinc", "gitlab", "Their GitLab").await;
    let link = admin.invite("acmeinc", "Invite an administrator").await;
    let mut bob = HttpBrowser::of(&program);
    bob.log_in_at(&link, "bob").await.assert_text("Administrator of acmeinc");
    assert_eq!(navigation(&mut admin, "/org/acmeinc/people").await.2, of("main"));
    assert_eq!(navigation(&mut bob, "/org/main/people").await.2, of("acmeinc"));
}
