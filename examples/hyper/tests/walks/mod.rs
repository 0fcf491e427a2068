//! Walks through one of the two programs as a browser without a script would.

use std::collections::BTreeMap;
use std::process::Stdio;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The running program. Dropping this value kills it.
pub(crate) struct Program {
    _child: Child,
    url: String,
    /// The callback URL of the code host in the flags.
    pub(crate) callback: String,
    errors: Lines<BufReader<ChildStderr>>,
}

impl Program {
    /// With a fake GitLab and a fake Forgejo in its process.
    pub(crate) async fn start() -> Self {
        Self::with_flags(&[]).await
    }

    /// With a GitLab on this machine.
    pub(crate) async fn at_gitlab(base_url: &str) -> Self {
        let flags = ["--platform", "gitlab", "--base-url", base_url, "--client-id", CLIENT_ID, "--allow-http"];
        Self::with_flags(&flags).await
    }

    async fn with_flags(flags: &[&str]) -> Self {
        let mut command = Command::new(super::PROGRAM);
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
        command.env_remove("CODEHOST_KEYS").env("CODEHOST_CLIENT_SECRET", CLIENT_SECRET);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = lines(child.stdout.take());
        let errors = lines(child.stderr.take());
        let mut callback = String::new();
        while let Some(line) = output.next_line().await.unwrap() {
            if let Some(url) = line.strip_prefix("callback: ") {
                callback = url.to_owned();
            }
            if let Some(url) = line.strip_prefix("open: ") {
                return Self { _child: child, url: url.trim_end_matches('/').to_owned(), callback, errors };
            }
        }
        panic!("the program ended before it listened: {:?}", child.wait_with_output().await);
    }

    pub(crate) fn browser(&self) -> Browser {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Browser { client, base: self.url.clone(), cookies: BTreeMap::new() }
    }

    /// The next line of the log.
    pub(crate) async fn log(&mut self) -> String {
        self.errors.next_line().await.unwrap().unwrap()
    }
}

fn lines<T: AsyncRead + Unpin>(pipe: Option<T>) -> Lines<BufReader<T>> {
    BufReader::new(pipe.unwrap()).lines()
}

#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    base: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Requests a path of the app, or a whole URL of the app or of a code host.
    async fn send(&mut self, method: Method, url: &str, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Page {
        let url = if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        let at_app = url.starts_with(&format!("{}/", self.base));
        let mut request = change(self.client.request(method, &url));
        if at_app && !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if at_app {
            // The app redirects with 303 only: 307 would send the form again. A code host may use 302.
            assert!(!(301..=308).contains(&status) || status == 303, "{status}");
            // Each page of the login, also one about a failure.
            assert_eq!(
                (&headers["cache-control"], &headers["referrer-policy"]),
                (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
            );
            headers.get_all(SET_COOKIE).iter().for_each(|cookie| self.keep(cookie.to_str().unwrap()));
        }
        Page { status, headers, body: response.text().await.unwrap() }
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(attributes.split(';').any(|found| found.trim() == attribute), "{cookie}");
        }
        match attributes.contains("Max-Age=0") {
            true => self.cookies.remove(name),
            false => self.cookies.insert(name.to_owned(), value.to_owned()),
        };
    }

    pub(crate) async fn get(&mut self, url: &str) -> Page {
        self.send(Method::GET, url, |request| request).await
    }

    async fn post(&mut self, url: &str, fields: &[(String, String)]) -> Page {
        let pair = |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
        let body = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        let form = "application/x-www-form-urlencoded";
        self.send(Method::POST, url, |request| request.header("content-type", form).body(body)).await
    }

    /// Presses a button of a page.
    pub(crate) async fn press(&mut self, page: &str, button: &str, more: &[(&str, &str)]) -> Page {
        let page = self.get(page).await;
        let form = page.form(button);
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.post(&form.action, &form.fields.into_iter().chain(more).collect::<Vec<_>>()).await
    }

    /// Begins a login or a connection. Returns the URL at the code host.
    pub(crate) async fn begin(&mut self, page: &str, button: &str) -> String {
        self.press(page, button, &[]).await.location()
    }

    /// Presses "Authorize" at the code host. Returns the callback URL.
    pub(crate) async fn authorize(&mut self, url: &str, user: &str) -> String {
        self.press(url, "Authorize", &[("user", user)]).await.location()
    }

    /// A whole login or connection. Returns the page that the callback leads to.
    pub(crate) async fn go(&mut self, page: &str, button: &str, user: &str) -> Page {
        let url = self.begin(page, button).await;
        let callback = self.authorize(&url, user).await;
        let redirect = self.get(&callback).await;
        self.get(&redirect.location()).await
    }
}

pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Page {
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        assert!([302, 303].contains(&self.status), "{}: {}", self.status, self.body);
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn assert(&self, status: u16, texts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.body);
        texts.iter().for_each(|text| assert!(self.body.contains(text), "no {text:?} in {}", self.body));
    }

    /// The form with this button.
    #[track_caller]
    fn form(&self, button: &str) -> Form {
        let form = self.body.split("<form ").find(|form| form.contains(&format!(">{button}</button>")));
        let form = form.unwrap_or_else(|| panic!("no button {button:?} in {}", self.body));
        let field = |field: &str| (attribute(field, "name"), attribute(field, "value"));
        let fields = form.split("<input ").skip(1).map(field).collect();
        Form { action: attribute(form, "action"), fields }
    }
}

fn attribute(html: &str, name: &str) -> String {
    let value = html.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
    value.replace("&quot;", "\"").replace("&lt;", "<").replace("&#x27;", "'").replace("&amp;", "&")
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(crate) const CLIENT_ID: &str = "walk-client";
pub(crate) const CLIENT_SECRET: &str = "walk-secret";
pub(crate) const ALICE: &str = "gitlab:gitlab:2";
pub(crate) const WELCOME: &str = "<h1>Welcome</h1>";

#[tokio::test]
async fn a_user_logs_in_and_out() {
    let program = Program::start().await;
    let mut browser = program.browser();
    browser.get("/").await.assert(200, &[WELCOME, "href=\"/login/gitlab\"", "href=\"/login/forgejo\""]);
    let page = browser.get("/login/gitlab").await;
    page.assert(200, &["Log in with GitLab", "GitLab: 127.0.0.1:"]);
    let before = page.form("Log in with GitLab").fields;
    browser.go("/login/gitlab", "Log in with GitLab", "alice").await.assert(200, &["Your accounts", ALICE]);

    // A form from before the login is of no use after it, nor one from before the log-out after that.
    browser.post("/logout", &before).await.assert(403, &["press the button once more"]);
    let token = browser.get("/").await.form("Log out").fields;
    assert_eq!(browser.begin("/", "Log out").await, "/");
    browser.get("/").await.assert(200, &[WELCOME]);
    browser.get("/login/gitlab").await;
    browser.post("/login/gitlab", &token).await.assert(403, &["press the button once more"]);
}

#[tokio::test]
async fn a_user_connects_a_second_account() {
    let program = Program::start().await;
    let mut browser = program.browser();
    browser.go("/login/gitlab", "Log in with GitLab", "alice").await.assert(200, &[ALICE]);
    let both = browser.go("/", "Connect Forgejo or Gitea", "jane").await;
    both.assert(200, &[ALICE, "forgejo:forgejo:"]);

    // Both lead to the same user.
    browser.begin("/", "Log out").await;
    browser
        .go("/login/forgejo", "Log in with Forgejo or Gitea", "jane")
        .await
        .assert(200, &[ALICE, "forgejo:forgejo:"]);

    // An account that belongs to a user is not connected to another one.
    let mut other = program.browser();
    let page = other.go("/login/gitlab", "Log in with GitLab", "bob").await;
    assert!(!page.body.contains(ALICE) && !page.body.contains("forgejo:forgejo:"), "{}", page.body);
    let url = other.begin("/", "Connect Forgejo or Gitea").await;
    let callback = other.authorize(&url, "jane").await;
    other.get(&callback).await.assert(409, &["Another user", "href=\"/\""]);
    assert!(!other.get("/").await.body.contains("forgejo:forgejo:"));
}

#[tokio::test]
async fn a_connection_needs_a_user_and_logs_nobody_in() {
    let program = Program::start().await;
    let mut browser = program.browser();
    let token = browser.get("/login/gitlab").await.form("Log in with GitLab").fields;
    browser.post("/connect/gitlab", &token).await.assert(403, &["Log in first", "href=\"/login/gitlab\""]);

    // The user logs out while they are at the code host.
    browser.go("/login/gitlab", "Log in with GitLab", "alice").await;
    let url = browser.begin("/", "Connect Forgejo or Gitea").await;
    browser.begin("/", "Log out").await;
    let callback = browser.authorize(&url, "jane").await;
    browser.get(&callback).await.assert(400, &["Login failed"]);
    browser.get("/").await.assert(200, &[WELCOME]);
}

#[tokio::test]
async fn a_denial_is_not_a_failure() {
    let mut program = Program::start().await;
    let mut browser = program.browser();
    let url = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let callback = browser.press(&url, "Deny", &[]).await.location();
    browser.get(&callback).await.assert(200, &["The login was stopped", "href=\"/login/gitlab\""]);
    // It has used the login up, which is the first failure in the log.
    browser.get(&callback).await.assert(400, &["Login failed", "href=\"/login/gitlab\""]);
    let log = program.log().await;
    assert!(log.starts_with("error[state_unknown]: "), "{log}");
    let (_, query) = callback.split_once('?').unwrap();
    query.split('&').for_each(|pair| assert!(!log.contains(pair.split_once('=').unwrap().1), "{log}"));
}

#[tokio::test]
async fn a_callback_works_once() {
    let program = Program::start().await;
    let mut browser = program.browser();
    let url = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let callback = browser.authorize(&url, "alice").await;
    let before = browser.clone();
    assert_eq!(browser.get(&callback).await.location(), "/");
    browser.get(&callback).await.assert(400, &["Login failed", "href=\"/\""]);
    browser.get("/").await.assert(200, &[ALICE]);
    // Not with the cookies from before either.
    let mut copy = before.clone();
    copy.get(&callback).await.assert(400, &["Login failed", "href=\"/login/gitlab\""]);
    copy.get("/").await.assert(200, &[WELCOME]);
}

#[tokio::test]
async fn a_callback_works_only_in_the_browser_that_began() {
    let program = Program::start().await;
    let (mut browser, mut other) = (program.browser(), program.browser());
    let url = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let callback = browser.authorize(&url, "alice").await;
    other.begin("/login/gitlab", "Log in with GitLab").await;
    for stranger in [&mut other, &mut program.browser()] {
        stranger.get(&callback).await.assert(400, &["Login failed", "href=\"/login/gitlab\""]);
        stranger.get("/").await.assert(200, &[WELCOME]);
    }
    // Nor at the callback URL of another integration, which uses the login up.
    let mut elsewhere = browser.clone();
    let moved = callback.replace("/gitlab/gitlab?", "/forgejo/forgejo?");
    elsewhere.get(&moved).await.assert(400, &["Login failed"]);
    // The strangers have changed nothing for the browser.
    let mut third = program.browser();
    third.get("/").await.assert(200, &[WELCOME]);
}

#[tokio::test]
async fn a_request_that_no_user_has_made_changes_nothing() {
    let program = Program::start().await;
    let mut browser = program.browser();
    let url = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let callback = browser.authorize(&url, "alice").await;
    let head = browser.send(Method::HEAD, &callback, |request| request).await;
    assert_eq!((head.status, head.headers.get(SET_COOKIE)), (503, None));
    let prefetch = browser.send(Method::GET, &callback, |request| request.header("sec-purpose", "prefetch")).await;
    assert_eq!((prefetch.status, prefetch.headers.get(SET_COOKIE)), (503, None));
    browser.get("/").await.assert(200, &[WELCOME]);
    assert_eq!(browser.get(&callback).await.location(), "/");
    browser.get("/").await.assert(200, &[ALICE]);
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_browser() {
    let program = Program::start().await;
    let (mut browser, mut other) = (program.browser(), program.browser());
    let foreign = other.get("/login/gitlab").await.form("Log in with GitLab").fields;
    let empty = vec![("csrf_token".to_owned(), String::new())];
    // Also without any cookie.
    for fields in [&foreign, &empty] {
        browser.post("/login/gitlab", fields).await.assert(403, &["press the button once more"]);
    }
    browser.go("/login/gitlab", "Log in with GitLab", "alice").await.assert(200, &[ALICE]);
    for path in ["/login/gitlab", "/connect/forgejo", "/logout"] {
        for fields in [&foreign, &empty] {
            browser.post(path, fields).await.assert(403, &["press the button once more", "href=\"/\""]);
        }
    }
    browser.get("/").await.assert(200, &[ALICE]);
    // A link begins nothing, and ends nothing.
    browser.get("/login/gitlab").await.assert(200, &[]);
    assert!(browser.get("/logout").await.status >= 404);
    browser.get("/").await.assert(200, &[ALICE]);
}

#[tokio::test]
async fn a_finished_login_drops_the_others() {
    let program = Program::start().await;
    let mut browser = program.browser();
    let first = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let second = browser.begin("/login/forgejo", "Log in with Forgejo or Gitea").await;
    let first = browser.authorize(&first, "bob").await;
    let second = browser.authorize(&second, "jane").await;
    assert_eq!(browser.get(&second).await.location(), "/");
    browser.get(&first).await.assert(400, &["Login failed"]);
    browser.get("/").await.assert(200, &["forgejo:forgejo:"]);
}

#[tokio::test]
async fn a_wrong_link_and_a_blocked_account_have_a_page() {
    let program = Program::start().await;
    let mut browser = program.browser();
    for path in ["/login/bitbucket", "/oauth/callback/bitbucket/bitbucket?code=x&state=y", "/nothing"] {
        browser.get(path).await.assert(404, &["href=\"/\""]);
    }
    let url = browser.begin("/login/gitlab", "Log in with GitLab").await;
    let callback = browser.authorize(&url, "carol").await;
    browser.get(&callback).await.assert(400, &["Login failed", "href=\"/login/gitlab\""]);
    browser.get("/").await.assert(200, &[WELCOME]);
}

#[tokio::test]
async fn a_user_logs_in_at_the_code_host_in_the_flags() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let program = Program::at_gitlab(gitlab.base_url()).await;
    gitlab.add_application(FakeApplication::new(CLIENT_ID, CLIENT_SECRET, &program.callback, "read_user"));
    let mut browser = program.browser();
    browser.go("/login/gitlab", "Log in with GitLab", "alice").await.assert(200, &[ALICE]);
    browser.get("/login/forgejo").await.assert(404, &[]);
}
