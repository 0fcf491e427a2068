//! The example app over HTTP: statuses, headers and rights.

use std::collections::BTreeMap;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::header::{LOCATION, SET_COOKIE};

use super::{Program, directory};
use crate::secrets::leak_check;
use crate::support::network_programs::{Authority, Certificate, Program as NetworkProgram};

/// A browser without a script.
pub(super) struct HttpBrowser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    base: String,
}

pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl HttpBrowser {
    pub(super) fn of(program: &Program) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { http, cookies: BTreeMap::new(), base: program.url.clone() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, at_app: bool) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if at_app { request.header("cookie", cookies.join("; ")) } else { request };
        let mut response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        if at_app {
            for cookie in headers.get_all(SET_COOKIE) {
                let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
        }
        Page { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        let (url, at_app) = self.url(path);
        let page = self.send(self.http.get(url), at_app).await;
        // This page stands for the code host's page and shows a client secret.
        if at_app && !path.starts_with("/demo/application") {
            leak_check::response("a page of the example app", &page.headers, &page.body);
        }
        page
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let (url, at_app) = self.url(path);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let page = self.send(request, at_app).await;
        if at_app {
            leak_check::response("a page of the example app", &page.headers, &page.body);
        }
        page
    }

    /// Sends a form in a task of its own, so that the caller can kill the program meanwhile.
    pub(super) fn post_in_background(&self, path: &str, body: String) -> tokio::task::JoinHandle<Option<u16>> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.post(self.url(path).0).header("cookie", cookies.join("; "));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        tokio::spawn(async move { request.send().await.ok().map(|response| response.status().as_u16()) })
    }

    /// Follows redirects until there is a page.
    pub(super) async fn open(&mut self, path: &str) -> Page {
        let mut page = self.get(path).await;
        while page.status == 303 {
            page = self.get(page.location()).await;
        }
        page
    }

    /// Submits a form of a page with its CSRF token, and follows the redirect.
    pub(super) async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.open(page).await.token();
        let mut all = vec![("csrf_token", token.as_str())];
        all.extend(fields);
        let response = self.post(action, &all).await;
        if response.status == 303 { self.open(response.location()).await } else { response }
    }

    fn url(&self, path: &str) -> (String, bool) {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let at_app = url.starts_with(&format!("{}/", self.base));
        (url, at_app)
    }

    /// Adds an integration as an administrator does. Returns its id.
    pub(super) async fn add(&mut self, program: &Program, organization: &str, platform: &str, name: &str) -> String {
        let slug: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let id = format!("{organization}-{slug}");
        let base_url = program.fake(platform);
        let application = self.get(&format!("/demo/application?platform={platform}&id={id}")).await;
        let values: Vec<&str> = application
            .body
            .split("<textarea ")
            .skip(1)
            .map(|rest| before(rest.split_once('>').unwrap().1, "<"))
            .collect();
        leak_check::learn("client secret", values[1]);
        let form = format!("/org/{organization}/integrations/new");
        if self.get(&form).await.status == 403 {
            self.submit("/setup", "/setup", &[("token", &program.token)])
                .await
                .assert_text("You have entered the one-time token.");
        }
        let fields = [
            ("platform", platform),
            ("name", name),
            ("base_url", base_url),
            ("access", "sign-in"),
            ("client_id", values[0]),
            ("client_secret", values[1]),
            ("act", "save"),
        ];
        let saved = self.submit(&form, &form, &fields).await;
        assert!(saved.body.contains(&format!("The integration {name} is saved.")), "{}", saved.body);
        assert!(!saved.body.contains(values[1]));
        id
    }

    /// Submits a login page, then "Authorize" as this user, or "Deny". Returns the callback URL.
    pub(super) async fn authorize(&mut self, page: &str, action: &str, username: Option<&str>) -> String {
        let token = self.open(page).await.token();
        let begun = self.post(action, &[("csrf_token", &token)]).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        let consent = self.get(begun.location()).await;
        let form = consent.body.split("<form").nth(if username.is_some() { 1 } else { 2 }).unwrap();
        let mut fields: Vec<(String, String)> = form
            .split("type=\"hidden\" name=\"")
            .skip(1)
            .map(|rest| {
                let value = rest.split_once("value=\"").unwrap().1;
                (before(rest, "\"").to_owned(), before(value, "\"").replace("&amp;", "&"))
            })
            .collect();
        if let Some(username) = username {
            fields.push(("user".to_owned(), username.to_owned()));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let action = before(form.split_once("action=\"").unwrap().1, "\"").to_owned();
        let response = self.post(&action, &fields).await;
        leak_check::callback(response.location());
        response.location().to_owned()
    }

    /// A whole login.
    pub(super) async fn log_in(&mut self, id: &str, username: &str) -> Page {
        let link = format!("/login/{id}");
        let callback = self.authorize(&link, &link, Some(username)).await;
        self.open(&callback).await
    }
}

impl Page {
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).unwrap_or_else(|| panic!("no redirect: {}", self.body)).to_str().unwrap()
    }

    pub(super) fn token(&self) -> String {
        let rest = self.body.split_once("name=\"csrf_token\" value=\"");
        before(rest.unwrap_or_else(|| panic!("no form: {}", self.body)).1, "\"").to_owned()
    }

    #[track_caller]
    pub(super) fn assert_text(&self, text: &str) {
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
    }
}

fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split(end).next().unwrap()
}

#[tokio::test]
async fn setup_login_connect_and_delete_for_both_platforms() {
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::of(&program);
    admin.open("/").await.assert_text("Setup mode.");

    let gitlab = admin.add(&program, "main", "gitlab", "Our GitLab").await;
    assert_eq!(gitlab, "main-ourgitlab");
    // Neither reaching the page nor logging in first makes an administrator.
    let mut other = HttpBrowser::of(&program);
    assert_eq!(other.get("/org/main/integrations").await.status, 403);
    assert_eq!(other.get("/org/main/integrations/new").await.status, 403);
    admin.open("/org/main/integrations").await.assert_text("You have entered the one-time token.");

    let account = admin.log_in(&gitlab, "alice").await;
    account.assert_text("you are the administrator from now on");
    account.assert_text("gitlab:main-ourgitlab:2");
    account.assert_text("alice@example.com");
    account.assert_text("Two-factor authentication");

    let bitbucket = admin.add(&program, "main", "bitbucket-cloud", "Bitbucket").await;
    let jane = other.log_in(&bitbucket, "jane").await;
    jane.assert_text("bitbucket-cloud:main-bitbucket:11111111-2222-3333-4444-555555555555");
    jane.assert_text("Unknown: the code host does not report it");
    assert_eq!(other.get("/org/main/integrations").await.status, 403, "the second user is not an administrator");

    // Connect: an account of another user is refused, and an equal e-mail address connects nothing.
    let taken = admin.authorize("/account", &format!("/connect/{bitbucket}"), Some("jane")).await;
    admin.open(&taken).await.assert_text("connected to another user of this app");
    let free = admin.authorize("/account", &format!("/connect/{bitbucket}"), Some("many")).await;
    admin.open(&free).await.assert_text("The account is connected.");
    admin.log_in(&bitbucket, "many").await.assert_text("gitlab:main-ourgitlab:2");

    let key = "bitbucket-cloud:main-bitbucket:22222222-2222-3333-4444-555555555555";
    admin.submit("/account", "/account/disconnect", &[("key", key)]).await.assert_text("The account is disconnected.");
    let last = [("key", "gitlab:main-ourgitlab:2")];
    admin.submit("/account", "/account/disconnect", &last).await.assert_text("cannot be disconnected");

    admin
        .open(&format!("/org/main/integrations/{bitbucket}/delete"))
        .await
        .assert_text("1 account uses this integration");
    let delete = format!("/org/main/integrations/{bitbucket}/delete");
    admin.submit(&delete, &delete, &[]).await.assert_text("The integration Bitbucket is deleted.");
    assert_eq!(other.get(&format!("/login/{bitbucket}")).await.status, 404);
    // The name cannot be used again.
    let form = "/org/main/integrations/new";
    let again = [("platform", "bitbucket-cloud"), ("name", "Bitbucket"), ("access", "sign-in"), ("act", "save")];
    admin
        .submit(form, form, &again)
        .await
        .assert_text("A deleted integration had a name with the same letters and digits.");

    admin.submit("/account", "/logout", &[]).await.assert_text("Log in to Main");
    assert_eq!(admin.get("/account").await.status, 303);
}

#[tokio::test]
async fn users_of_every_platform_log_in() {
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::of(&program);
    for (platform, user, subject) in [
        ("gitlab", "alice", "2"),
        ("bitbucket-cloud", "jane", "11111111-2222-3333-4444-555555555555"),
        ("github", "janedoe", "12345678"),
        ("forgejo", "jane", "7"),
        ("bitbucket-data-center", "jdoe", "42"),
    ] {
        let id = admin.add(&program, "main", platform, platform).await;
        admin.open("/org/main/integrations").await.assert_text(program.fake(platform));
        let mut browser = HttpBrowser::of(&program);
        browser.log_in(&id, user).await.assert_text(&format!("{platform}:{id}:{subject}"));
        if platform == "gitlab" {
            admin.log_in(&id, "root").await.assert_text("you are the administrator from now on");
        }
    }
}

#[tokio::test]
async fn a_post_without_the_csrf_token_is_refused() {
    let program = Program::demo(None).await;
    let mut browser = HttpBrowser::of(&program);
    let id = browser.add(&program, "main", "gitlab", "GitLab").await;
    browser.log_in(&id, "alice").await;
    for path in [
        "/login/main-gitlab",
        "/connect/main-gitlab",
        "/logout",
        "/account/disconnect",
        "/organizations",
        "/setup",
        "/org/main/people",
        "/org/main/integrations/new",
        "/org/main/integrations/main-gitlab/edit",
        "/org/main/integrations/main-gitlab/delete",
    ] {
        assert_eq!(browser.post(path, &[]).await.status, 403, "{path}");
        assert_eq!(browser.post(path, &[("csrf_token", "x")]).await.status, 403, "{path}");
    }
    for path in ["/connect/main-gitlab", "/logout", "/account/disconnect"] {
        assert_eq!(browser.get(path).await.status, 405, "{path}");
    }
    browser.open("/account").await.assert_text("gitlab:main-gitlab:2");
}

#[tokio::test]
async fn callbacks_redirect_and_failures_have_a_page() {
    let program = Program::demo(None).await;
    let mut browser = HttpBrowser::of(&program);
    let id = browser.add(&program, "main", "gitlab", "GitLab").await;
    let link = format!("/login/{id}");

    let callback = browser.authorize(&link, &link, Some("alice")).await;
    let mut other = HttpBrowser::of(&program);
    for (client, text) in [(&mut other, "Start the login again in this browser."), (&mut browser, "")] {
        let response = client.get(&callback).await;
        assert_eq!(response.status, 303);
        assert!(!response.location().contains("code") && !response.location().contains("state"));
        assert_eq!(response.headers["referrer-policy"], "no-referrer");
        assert_eq!(response.headers["cache-control"], "no-store");
        client.open(response.location()).await.assert_text(text);
    }
    // Opened again, it redirects.
    browser.open(&callback).await.assert_text("gitlab:main-gitlab:2");

    let denied = browser.authorize(&link, &link, None).await;
    let page = browser.open(&denied).await;
    page.assert_text("You did not allow the login.");
    page.assert_text("href=\"/login/main-gitlab\"");

    for (username, text) in [("dave", "activate your account"), ("carol", "unblock your account")] {
        let callback = browser.authorize(&link, &link, Some(username)).await;
        browser.open(&callback).await.assert_text(text);
    }
}

#[tokio::test]
async fn every_page_has_security_headers_and_no_secret() {
    let directory = directory("example_app_secrets");
    let database = directory.join("host.sqlite");
    let program = Program::demo(Some(&database)).await;
    let mut browser = HttpBrowser::of(&program);
    let application = browser.get("/demo/application?platform=gitlab&id=main-gitlab").await;
    let secret = application.body.split(">demo-").nth(1).map(|rest| before(rest, "<")).unwrap().to_owned();
    let id = browser.add(&program, "main", "gitlab", "GitLab").await;
    browser.log_in(&id, "alice").await;

    let edit = format!("/org/main/integrations/{id}/edit");
    let kept = [("base_url", program.gitlab.as_str()), ("access", "sign-in"), ("client_id", "x"), ("act", "check")];
    let checked = browser.submit(&edit, &edit, &kept).await;
    checked.assert_text("client_rejected");
    for path in ["/account", "/org/main/integrations", &edit, "/login/main-gitlab", "/organizations", "/nowhere"] {
        let page = browser.get(path).await;
        assert!(!page.body.contains(&secret), "{path}");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(!page.body.contains("<script>") && !page.body.contains(" style=") && !page.body.contains(" onclick="));
    }
    for cookie in checked.headers.get_all(SET_COOKIE) {
        assert!(cookie.to_str().unwrap().contains("HttpOnly; SameSite=Lax"));
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
    let mut main = HttpBrowser::of(&program);
    let first = main.add(&program, "main", "gitlab", "GitLab").await;
    main.log_in(&first, "alice").await;
    main.submit("/organizations", "/organizations", &[("name", "Evil Corp")]).await.assert_text("Evil Corp");

    // The same GitLab again, by another organization.
    let second = main.add(&program, "evilcorp", "gitlab", "GitLab").await;
    assert_eq!(second, "evilcorp-gitlab");
    let mut other = HttpBrowser::of(&program);
    let account = other.log_in(&second, "alice").await;
    account.assert_text("gitlab:evilcorp-gitlab:2");
    account.assert_text("Welcome. You have an account here now.");
    assert_eq!(other.get("/org/evilcorp/integrations").await.status, 403);
    // Until it has an administrator, those of the first organization manage it; here they make alice its administrator.
    let people = main.open("/org/evilcorp/people").await;
    let key = before(people.body.split_once("name=\"key\" value=\"").unwrap().1, "\"").to_owned();
    main.submit("/org/evilcorp/people", "/org/evilcorp/people", &[("key", &key)]).await.assert_text("Organizations");
    assert!(!account.body.contains("main-gitlab"), "the same account is another user in another organization");

    other.open("/org/evilcorp/integrations").await.assert_text("evilcorp-gitlab");
    for path in [
        "/org/main/integrations",
        "/org/main/integrations/new",
        "/org/main/integrations/main-gitlab/edit",
        "/organizations",
    ] {
        assert_eq!(other.get(path).await.status, 403, "{path}");
    }
    assert_eq!(other.get("/org/evilcorp/integrations/main-gitlab/edit").await.status, 404);
    // Now that it has an administrator, the other organization's administrator has no access.
    assert_eq!(main.get("/org/evilcorp/integrations").await.status, 403);
    main.open("/org/evilcorp/login").await.assert_text("Log in with GitLab");

    // A login of one organization cannot be finished at another, and an account of one cannot be connected at another.
    let link = format!("/login/{first}");
    let callback = other.authorize(&link, &link, Some("alice")).await;
    let moved = callback.replace("main-gitlab", "evilcorp-gitlab");
    other.open(&moved).await.assert_text("other_integration");
    let foreign = other.authorize("/account", "/connect/main-gitlab", Some("bob")).await;
    other.open(&foreign).await.assert_text("belongs to another organization");
}

#[tokio::test]
async fn a_changed_base_url_asks_for_the_secret_again() {
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    admin.log_in(&id, "alice").await;
    let edit = format!("/org/main/integrations/{id}/edit");
    let page = admin.open(&edit).await;
    page.assert_text("Cannot be changed: it is part of the callback URL.");
    let client_id = before(page.body.split_once("name=\"client_id\" value=\"").unwrap().1, "\"").to_owned();

    let moved = program.gitlab.replace("127.0.0.1", "localhost");
    let fields = [("access", "sign-in"), ("client_id", &*client_id), ("act", "save")];
    let response = admin.submit(&edit, &edit, &[fields.as_slice(), &[("base_url", &moved)]].concat()).await;
    assert_eq!(response.status, 422);
    response.assert_text("The base URL has changed.");
    // With an unchanged base URL the stored secret is used; name and platform cannot be changed.
    let sent = [("base_url", &*program.gitlab), ("name", "Other"), ("platform", "bitbucket-cloud")];
    admin
        .submit(&edit, &edit, &[fields.as_slice(), &sent].concat())
        .await
        .assert_text("The integration GitLab is saved.");
}

/// Browsers use the base URL, the app an address that its operator has set.
#[tokio::test]
async fn the_operator_says_where_the_app_reaches_a_code_host() {
    let address = crate::support::free_address().to_string();
    let callback = format!("http://{address}/oauth/callback/gitlab/main-gitlab");
    let application = FakeApplication::new("api-id", "canary-api-secret", &callback, "read_user");
    let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
    let api_url = format!("https://git.example.com={}", gitlab.base_url());
    let program = Program::with_flags(&address, &["--api-url", &api_url]).await;
    let mut admin = HttpBrowser::of(&program);
    admin.submit("/setup", "/setup", &[("token", &program.token)]).await;
    let form = "/org/main/integrations/new";
    let fields = [
        ("platform", "gitlab"),
        ("name", "GitLab"),
        ("base_url", "https://git.example.com/"),
        ("access", "sign-in"),
        ("client_id", "api-id"),
        ("client_secret", "canary-api-secret"),
        ("act", "save"),
    ];
    admin.submit(form, form, &fields).await.assert_text("The integration GitLab is saved.");
    let mut browser = HttpBrowser::of(&program);
    let token = browser.open("/login").await.token();
    let begun = browser.post("/login/main-gitlab", &[("csrf_token", &token)]).await;
    let page = begun.location().to_owned();
    assert!(page.starts_with("https://git.example.com/oauth/authorize?"), "{page}");
    // The fake stands for the page that browsers reach at the base URL.
    let page = page.replacen("https://git.example.com", gitlab.base_url(), 1);
    let callback = gitlab.authorize(&page, "alice").unwrap();
    browser.open(&callback).await.assert_text("Two-factor authentication");
}

/// The code host demands a client certificate and a header, and is reached through a proxy. A tenant's form has none of this.
#[tokio::test]
async fn the_operator_sets_proxy_client_certificate_and_headers() {
    let address = crate::support::free_address().to_string();
    let callback = format!("http://{address}/oauth/callback/gitlab/main-gitlab");
    let application = FakeApplication::new("gate-id", "canary-gate-secret", &callback, "read_user");
    let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
    let port = url::Url::parse(gitlab.base_url()).unwrap().port().unwrap();
    let (servers, clients) = (Authority::new(), Authority::named("Clients"));
    let server = Certificate { clients: Some(clients.pem()), ..servers.server() };
    let gate = r#"ssl_verify_client on; ssl_client_certificate clients.pem;
                  if ($http_x_gate != "open-for-the-test") { return 403; }"#;
    let nginx = NetworkProgram::nginx_gateway(port, &server, gate).await;
    let proxy = NetworkProgram::tinyproxy(None).await;
    let base_url = format!("https://localhost:{}/gitlab", nginx.port);

    let folder = directory("operator_sets_proxy");
    let client = clients.sign("app", |_| {});
    std::fs::write(folder.join("client.pem"), format!("{}{}", client.pem, client.key)).unwrap();
    std::fs::write(folder.join("headers"), "X-Gate: open-for-the-test\n").unwrap();
    let file = |name: &str| format!("{base_url}={}", folder.join(name).display());
    let proxy = format!("http://127.0.0.1:{}", proxy.port);
    let flags = ["--proxy", &proxy, "--client-certificate", &file("client.pem"), "--headers", &file("headers")];
    let program = Program::with_flags(&address, &flags).await;

    let mut admin = HttpBrowser::of(&program);
    admin.submit("/setup", "/setup", &[("token", &program.token)]).await;
    let form = "/org/main/integrations/new";
    let ca_pem = servers.pem();
    let mut fields = vec![
        ("platform", "gitlab"),
        ("name", "GitLab"),
        ("base_url", &base_url),
        ("access", "sign-in"),
        ("client_id", "gate-id"),
        ("client_secret", "canary-gate-secret"),
        ("ca_pem", &ca_pem),
        ("act", "check"),
    ];
    let report = admin.submit(form, form, &fields).await;
    report.assert_text(&format!("Proxy: {proxy}"));
    report.assert_text("CN=Test server");
    fields.last_mut().unwrap().1 = "save";
    admin.submit(form, form, &fields).await.assert_text("The integration GitLab is saved.");
    let mut browser = HttpBrowser::of(&program);
    let token = browser.open("/login").await.token();
    let begun = browser.post("/login/main-gitlab", &[("csrf_token", &token)]).await;
    let page = begun.location().replacen(&base_url, gitlab.base_url(), 1);
    let callback = gitlab.authorize(&page, "alice").unwrap();
    browser.open(&callback).await.assert_text("Two-factor authentication");
}

#[tokio::test]
async fn settings_that_could_not_be_checked_can_be_saved_anyway() {
    let program = Program::demo(None).await;
    let mut admin = HttpBrowser::of(&program);
    admin.submit("/setup", "/setup", &[("token", &program.token)]).await;
    let form = "/org/main/integrations/new";
    // A code host during an outage.
    let outage = wiremock::MockServer::start().await;
    let response = wiremock::ResponseTemplate::new(503);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(response).mount(&outage).await;
    let url = outage.uri();
    let fields = [
        ("platform", "gitlab"),
        ("name", "GitLab"),
        ("base_url", url.as_str()),
        ("access", "sign-in"),
        ("client_id", "id"),
    ];
    let fields_with = |act: &'static str, secret: &'static str| {
        [fields.as_slice(), &[("act", act), ("client_secret", secret)]].concat()
    };
    let page = admin.submit(form, form, &fields_with("save", "canary-s3cr3t-t0ken")).await;
    page.assert_text("Not everything could be checked");
    page.assert_text("value=\"save-anyway\"");
    assert!(!page.body.contains("canary-s3cr3t-t0ken"));
    // The secret does not have to be typed again.
    admin.submit(form, form, &fields_with("save-anyway", "")).await.assert_text("The integration GitLab is saved.");

    // Settings with a problem cannot be saved.
    let wrong = admin.submit(form, form, &[("act", "save-anyway")]).await;
    assert_eq!(wrong.status, 422);
    for (field, value, text) in [
        ("timeout", "soon", "not a number of seconds"),
        ("ca_pem", "no certificate", "no certificate in PEM format"),
        ("base_url", "http://git.example.com", "not encrypted"),
        ("base_url", "https://user:pass@git.example.com", "user name or password"),
        ("name", "日本", "1 to 63 ASCII letters or digits"),
        ("client_id", "", "The client ID is empty"),
    ] {
        let mut fields = fields_with("save", "canary-secret");
        fields.retain(|(name, _)| *name != field && (*name != "name" || field == "name"));
        fields.push((field, value));
        if field != "name" {
            fields.push(("name", "Another"));
        }
        let page = admin.submit(form, form, &fields).await;
        assert_eq!(page.status, 422, "{field}");
        page.assert_text(text);
        page.assert_text("aria-invalid=\"true\"");
    }
}

#[tokio::test]
async fn the_one_time_token_works_once() {
    let program = Program::demo(None).await;
    let mut operator = HttpBrowser::of(&program);
    operator.submit("/setup", "/setup", &[("token", "wrong")]).await.assert_text("The token is wrong.");
    operator
        .submit("/setup", "/setup", &[("token", &program.token)])
        .await
        .assert_text("You have entered the one-time token.");
    let mut second_browser = HttpBrowser::of(&program);
    second_browser
        .submit("/setup", "/setup", &[("token", &program.token)])
        .await
        .assert_text("The token has already been used.");
}
