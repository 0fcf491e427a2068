//! The road by HTTP: what no browser shows.

use std::collections::BTreeMap;

use http::header::{LOCATION, SET_COOKIE};

use super::{Program, directory};
use crate::watch;

/// A browser without a script.
pub(super) struct Visitor {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    base: String,
}

pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Visitor {
    pub(super) fn of(program: &Program) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { http, cookies: BTreeMap::new(), base: program.url.clone() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, own: bool) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if own { request.header("cookie", cookies.join("; ")) } else { request };
        let mut response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        if own {
            for cookie in headers.get_all(SET_COOKIE) {
                let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
        }
        Page { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        let (url, own) = self.url(path);
        let page = self.send(self.http.get(url), own).await;
        // The one page that hands out a secret: it plays the code host.
        if own && !path.starts_with("/demo/application") {
            watch::answer("a page of the host", &page.headers, &page.body);
        }
        page
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let (url, own) = self.url(path);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let page = self.send(request, own).await;
        if own {
            watch::answer("a page of the host", &page.headers, &page.body);
        }
        page
    }

    /// Sends a form on a task of its own, for whoever kills the program meanwhile.
    pub(super) fn raw_post(&self, path: &str, body: String) -> tokio::task::JoinHandle<Option<u16>> {
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

    /// Submits a form of a page with its CSRF token, and follows.
    pub(super) async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.open(page).await.token();
        let mut all = vec![("csrf_token", token.as_str())];
        all.extend(fields);
        let answer = self.post(action, &all).await;
        if answer.status == 303 { self.open(answer.location()).await } else { answer }
    }

    fn url(&self, path: &str) -> (String, bool) {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let own = url.starts_with(&format!("{}/", self.base));
        (url, own)
    }

    /// What an administrator does, from the empty form to the saved integration.
    pub(super) async fn add(&mut self, program: &Program, organization: &str, platform: &str, name: &str) -> String {
        let slug: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let id = format!("{organization}-{slug}");
        let base_url = if platform == "gitlab" { &program.gitlab } else { &program.bitbucket };
        let made = self.get(&format!("/demo/application?platform={platform}&id={id}")).await;
        let values: Vec<&str> =
            made.body.split("<textarea ").skip(1).map(|rest| before(rest.split_once('>').unwrap().1, "<")).collect();
        watch::learn("client secret", values[1]);
        let form = format!("/org/{organization}/integrations/new");
        if self.get(&form).await.status == 403 {
            self.submit("/setup", "/setup", &[("token", &program.token)])
                .await
                .says("You are here with the one-time token.");
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

    /// Presses the button on a login page, and "Authorize" or "Deny" as this person: the callback URL.
    pub(super) async fn authorize(&mut self, page: &str, action: &str, person: Option<&str>) -> String {
        let token = self.open(page).await.token();
        let begun = self.post(action, &[("csrf_token", &token)]).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        let consent = self.get(begun.location()).await;
        let form = consent.body.split("<form").nth(if person.is_some() { 1 } else { 2 }).unwrap();
        let mut fields: Vec<(String, String)> = form
            .split("type=\"hidden\" name=\"")
            .skip(1)
            .map(|rest| {
                let value = rest.split_once("value=\"").unwrap().1;
                (before(rest, "\"").to_owned(), before(value, "\"").replace("&amp;", "&"))
            })
            .collect();
        if let Some(person) = person {
            fields.push(("person".to_owned(), person.to_owned()));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let action = before(form.split_once("action=\"").unwrap().1, "\"").to_owned();
        let pressed = self.post(&action, &fields).await;
        watch::came_back(pressed.location());
        pressed.location().to_owned()
    }

    /// A whole login.
    pub(super) async fn log_in(&mut self, id: &str, person: &str) -> Page {
        let link = format!("/login/{id}");
        let callback = self.authorize(&link, &link, Some(person)).await;
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
    pub(super) fn says(&self, text: &str) {
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
    }
}

fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split(end).next().unwrap()
}

#[tokio::test]
async fn the_road_for_both_platforms() {
    let program = Program::demo(None).await;
    let mut admin = Visitor::of(&program);
    admin.open("/").await.says("Setup mode.");

    let gitlab = admin.add(&program, "main", "gitlab", "Our GitLab").await;
    assert_eq!(gitlab, "main-ourgitlab");
    // Being there is no right, and neither is being the first to log in.
    let mut stranger = Visitor::of(&program);
    assert_eq!(stranger.get("/org/main/integrations").await.status, 403);
    assert_eq!(stranger.get("/org/main/integrations/new").await.status, 403);
    admin.open("/org/main/integrations").await.says("You are here with the one-time token.");

    let account = admin.log_in(&gitlab, "alice").await;
    account.says("you are the administrator from now on");
    account.says("gitlab:main-ourgitlab:2");
    account.says("alice@example.com");
    account.says("Two-factor authentication");

    let bitbucket = admin.add(&program, "main", "bitbucket-cloud", "Bitbucket").await;
    let jane = stranger.log_in(&bitbucket, "jane").await;
    jane.says("bitbucket-cloud:main-bitbucket:11111111-2222-3333-4444-555555555555");
    jane.says("Unknown: the platform does not say");
    assert_eq!(stranger.get("/org/main/integrations").await.status, 403, "the second to log in is no administrator");

    // Connect: never by e-mail, and never what is somebody else's.
    let taken = admin.authorize("/account", &format!("/connect/{bitbucket}"), Some("jane")).await;
    admin.open(&taken).await.says("connected to somebody else here");
    let free = admin.authorize("/account", &format!("/connect/{bitbucket}"), Some("many")).await;
    admin.open(&free).await.says("The account is connected.");
    admin.log_in(&bitbucket, "many").await.says("gitlab:main-ourgitlab:2");

    let key = "bitbucket-cloud:main-bitbucket:22222222-2222-3333-4444-555555555555";
    admin.submit("/account", "/account/disconnect", &[("key", key)]).await.says("The account is disconnected.");
    let last = [("key", "gitlab:main-ourgitlab:2")];
    admin.submit("/account", "/account/disconnect", &last).await.says("cannot be disconnected");

    admin.open(&format!("/org/main/integrations/{bitbucket}/delete")).await.says("1 account hangs on it");
    let delete = format!("/org/main/integrations/{bitbucket}/delete");
    admin.submit(&delete, &delete, &[]).await.says("The integration Bitbucket is deleted.");
    assert_eq!(stranger.get(&format!("/login/{bitbucket}")).await.status, 404);
    // The name is spent.
    let form = "/org/main/integrations/new";
    let again = [("platform", "bitbucket-cloud"), ("name", "Bitbucket"), ("access", "sign-in"), ("act", "save")];
    admin.submit(form, form, &again).await.says("exists already, or did once");

    admin.submit("/account", "/logout", &[]).await.says("Log in to Main");
    assert_eq!(admin.get("/account").await.status, 303);
}

#[tokio::test]
async fn a_form_that_is_not_ours_changes_nothing() {
    let program = Program::demo(None).await;
    let mut visitor = Visitor::of(&program);
    let id = visitor.add(&program, "main", "gitlab", "GitLab").await;
    visitor.log_in(&id, "alice").await;
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
        assert_eq!(visitor.post(path, &[]).await.status, 403, "{path}");
        assert_eq!(visitor.post(path, &[("csrf_token", "x")]).await.status, 403, "{path}");
    }
    for path in ["/connect/main-gitlab", "/logout", "/account/disconnect"] {
        assert_eq!(visitor.get(path).await.status, 405, "{path}");
    }
    visitor.open("/account").await.says("gitlab:main-gitlab:2");
}

#[tokio::test]
async fn callbacks_are_303_and_failures_are_pages() {
    let program = Program::demo(None).await;
    let mut visitor = Visitor::of(&program);
    let id = visitor.add(&program, "main", "gitlab", "GitLab").await;
    let link = format!("/login/{id}");

    let callback = visitor.authorize(&link, &link, Some("alice")).await;
    let mut other = Visitor::of(&program);
    for (who, text) in [(&mut other, "Start the login again in this browser."), (&mut visitor, "")] {
        let answer = who.get(&callback).await;
        assert_eq!(answer.status, 303);
        assert!(!answer.location().contains("code") && !answer.location().contains("state"));
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["cache-control"], "no-store");
        who.open(answer.location()).await.says(text);
    }
    // Opened again, it leads on.
    visitor.open(&callback).await.says("gitlab:main-gitlab:2");

    let denied = visitor.authorize(&link, &link, None).await;
    let page = visitor.open(&denied).await;
    page.says("You did not allow the login.");
    page.says("href=\"/login/main-gitlab\"");

    for (person, text) in [("dave", "reactivate your account"), ("carol", "unblock your account")] {
        let callback = visitor.authorize(&link, &link, Some(person)).await;
        visitor.open(&callback).await.says(text);
    }
}

#[tokio::test]
async fn every_page_is_locked_down_and_no_secret_is_shown() {
    let directory = directory("host_app_secrets");
    let database = directory.join("host.sqlite");
    let program = Program::demo(Some(&database)).await;
    let mut visitor = Visitor::of(&program);
    let made = visitor.get("/demo/application?platform=gitlab&id=main-gitlab").await;
    let secret = made.body.split(">demo-").nth(1).map(|rest| before(rest, "<")).unwrap().to_owned();
    let id = visitor.add(&program, "main", "gitlab", "GitLab").await;
    visitor.log_in(&id, "alice").await;

    let edit = format!("/org/main/integrations/{id}/edit");
    let kept = [("base_url", program.gitlab.as_str()), ("access", "sign-in"), ("client_id", "x"), ("act", "check")];
    let checked = visitor.submit(&edit, &edit, &kept).await;
    checked.says("client_rejected");
    for path in ["/account", "/org/main/integrations", &edit, "/login/main-gitlab", "/organizations", "/nowhere"] {
        let page = visitor.get(path).await;
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
    let session = visitor.cookies["depot"].clone();
    program.kill().await;

    // Nothing of it is readable in the files, apart from the key.
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for needle in [&secret, &session] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn organizations_see_nothing_of_each_other() {
    let program = Program::demo(None).await;
    let mut main = Visitor::of(&program);
    let first = main.add(&program, "main", "gitlab", "GitLab").await;
    main.log_in(&first, "alice").await;
    main.submit("/organizations", "/organizations", &[("name", "Evil Corp")]).await.says("Evil Corp");

    // The same GitLab again, by another organization.
    let second = main.add(&program, "evilcorp", "gitlab", "GitLab").await;
    assert_eq!(second, "evilcorp-gitlab");
    let mut evil = Visitor::of(&program);
    let account = evil.log_in(&second, "alice").await;
    account.says("gitlab:evilcorp-gitlab:2");
    account.says("Welcome. You have an account here now.");
    assert_eq!(evil.get("/org/evilcorp/integrations").await.status, 403);
    // Until then those of the first organization look after it, and make her its administrator.
    let people = main.open("/org/evilcorp/people").await;
    let key = before(people.body.split_once("name=\"key\" value=\"").unwrap().1, "\"").to_owned();
    main.submit("/org/evilcorp/people", "/org/evilcorp/people", &[("key", &key)]).await.says("Organizations");
    assert!(!account.body.contains("main-gitlab"), "the same person at the same GitLab is somebody else here");

    evil.open("/org/evilcorp/integrations").await.says("evilcorp-gitlab");
    for path in [
        "/org/main/integrations",
        "/org/main/integrations/new",
        "/org/main/integrations/main-gitlab/edit",
        "/organizations",
    ] {
        assert_eq!(evil.get(path).await.status, 403, "{path}");
    }
    assert_eq!(evil.get("/org/evilcorp/integrations/main-gitlab/edit").await.status, 404);
    // Nor does the other organization's administrator, now that there is one of its own.
    assert_eq!(main.get("/org/evilcorp/integrations").await.status, 403);
    main.open("/org/evilcorp/login").await.says("Log in with GitLab");

    // A login that began at one is not finished at the other, and an account of one is not connected to the other.
    let link = format!("/login/{first}");
    let callback = evil.authorize(&link, &link, Some("alice")).await;
    let moved = callback.replace("main-gitlab", "evilcorp-gitlab");
    evil.open(&moved).await.says("other_integration");
    let foreign = evil.authorize("/account", "/connect/main-gitlab", Some("bob")).await;
    evil.open(&foreign).await.says("belongs to another organization");
}

#[tokio::test]
async fn a_changed_base_url_asks_for_the_secret_again() {
    let program = Program::demo(None).await;
    let mut admin = Visitor::of(&program);
    let id = admin.add(&program, "main", "gitlab", "GitLab").await;
    admin.log_in(&id, "alice").await;
    let edit = format!("/org/main/integrations/{id}/edit");
    let page = admin.open(&edit).await;
    page.says("Locked: the callback URL hangs on it.");
    let client_id = before(page.body.split_once("name=\"client_id\" value=\"").unwrap().1, "\"").to_owned();

    let moved = program.gitlab.replace("127.0.0.1", "localhost");
    let fields = [("access", "sign-in"), ("client_id", &*client_id), ("act", "save")];
    let asked = admin.submit(&edit, &edit, &[fields.as_slice(), &[("base_url", &moved)]].concat()).await;
    assert_eq!(asked.status, 422);
    asked.says("The base URL has changed.");
    // Unchanged, the stored one is enough; name and platform stay whatever is sent.
    let sent = [("base_url", &*program.gitlab), ("name", "Other"), ("platform", "bitbucket-cloud")];
    admin.submit(&edit, &edit, &[fields.as_slice(), &sent].concat()).await.says("The integration GitLab is saved.");
}

#[tokio::test]
async fn what_could_not_be_checked_can_be_saved_all_the_same() {
    let program = Program::demo(None).await;
    let mut admin = Visitor::of(&program);
    admin.submit("/setup", "/setup", &[("token", &program.token)]).await;
    let form = "/org/main/integrations/new";
    // A code host in an outage.
    let outage = wiremock::MockServer::start().await;
    let answer = wiremock::ResponseTemplate::new(503);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&outage).await;
    let url = outage.uri();
    let typed = [
        ("platform", "gitlab"),
        ("name", "GitLab"),
        ("base_url", url.as_str()),
        ("access", "sign-in"),
        ("client_id", "id"),
    ];
    let pressed = |act: &'static str, secret: &'static str| {
        [typed.as_slice(), &[("act", act), ("client_secret", secret)]].concat()
    };
    let shown = admin.submit(form, form, &pressed("save", "canary-s3cr3t-t0ken")).await;
    shown.says("Not every question was answered");
    shown.says("value=\"save-anyway\"");
    assert!(!shown.body.contains("canary-s3cr3t-t0ken"));
    // The secret need not be typed again.
    admin.submit(form, form, &pressed("save-anyway", "")).await.says("The integration GitLab is saved.");

    // A problem is not saved: it is to be corrected.
    let wrong = admin.submit(form, form, &[("act", "save-anyway")]).await;
    assert_eq!(wrong.status, 422);
    for (field, value, text) in [
        ("timeout", "soon", "not a number of seconds"),
        ("ca_pem", "no certificate", "not PEM"),
        ("base_url", "http://git.example.com", "not encrypted"),
        ("base_url", "https://user:pass@git.example.com", "user name or password"),
        ("name", "日本", "no letters or digits of ASCII"),
        ("client_id", "", "The client id is empty"),
    ] {
        let mut fields = pressed("save", "canary-secret");
        fields.retain(|(name, _)| *name != field && (*name != "name" || field == "name"));
        fields.push((field, value));
        if field != "name" {
            fields.push(("name", "Another"));
        }
        let page = admin.submit(form, form, &fields).await;
        assert_eq!(page.status, 422, "{field}");
        page.says(text);
        page.says("aria-invalid=\"true\"");
    }
}

#[tokio::test]
async fn the_one_time_token_works_once() {
    let program = Program::demo(None).await;
    let mut operator = Visitor::of(&program);
    operator.submit("/setup", "/setup", &[("token", "wrong")]).await.says("That is not the token");
    operator
        .submit("/setup", "/setup", &[("token", &program.token)])
        .await
        .says("You are here with the one-time token.");
    let mut late = Visitor::of(&program);
    late.submit("/setup", "/setup", &[("token", &program.token)]).await.says("That is not the token");
}
