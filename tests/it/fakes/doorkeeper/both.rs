//! Sends the same requests to both servers, and notes what is different.

use std::fmt::Write as _;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use reqwest::RequestBuilder;

use crate::fakes::{CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, masked, param, send, with};
use crate::support::doorkeeper::Doorkeeper;
use crate::support::reqwest_builder;

pub(super) const ID: &str = "first-client-id";
pub(super) const SECRET: &str = "canary-first-secret";
const OTHER_ID: &str = "other-client-id";
const OTHER_SECRET: &str = "canary-other-secret";

pub(super) const REQUEST: [(&str, &str); 7] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("response_type", "code"),
    ("scope", "read_user"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// The fake and the real server, and what was different.
pub(super) struct Both {
    fake: FakeGitLab,
    session: Session,
    pub(super) servers: [Server; 2],
    differences: String,
    real: Doorkeeper,
}

/// One of them, and what it has issued last.
#[derive(Default)]
pub(super) struct Server {
    pub(super) base_url: String,
    code: String,
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Both {
    pub(super) async fn start() -> Self {
        let applications = [
            FakeApplication::new(ID, SECRET, CALLBACK, "read_user api read_api"),
            FakeApplication::new(OTHER_ID, OTHER_SECRET, CALLBACK, "read_user"),
        ];
        let real = Doorkeeper::start(&applications).await;
        let [first, other] = applications;
        let fake = FakeGitLab::builder().application(first).application(other).remember_consent(true);
        let fake = fake.start().await.unwrap();
        let base_url = real.base_url.replace("localhost", "127.0.0.1");
        let servers = [
            Server { base_url: fake.base_url().to_owned(), ..Server::default() },
            Server { base_url: base_url.clone(), ..Server::default() },
        ];
        Self { fake, session: Session::start(base_url).await, servers, differences: String::new(), real }
    }

    /// Sends a request to both.
    pub(super) async fn compare(&mut self, what: &str, request: impl Fn(&Server) -> RequestBuilder) {
        let [fake, real] = self.servers.each_ref().map(|server| send(request(server)));
        let (fake, real) = futures_util::future::join(fake, real).await;
        let [fake_url, real_url] = self.servers.each_ref().map(|server| server.base_url.as_str());
        let fake = shape(&fake).replace(fake_url, "$BASE");
        let real = shape(&real).replace(real_url, "$BASE").replace(&self.real.base_url, "$BASE");
        self.note(what, &fake, &real);
    }

    /// Compares what the user reads on the page of an error.
    pub(super) async fn compare_pages(&mut self, what: &str, params: &[(&str, &str)]) {
        let fake =
            send(client().get(format!("{}/oauth/authorize?{}", self.servers[0].base_url, encoded(params)))).await;
        let real = self.session.get(params).await;
        let error = |page: &ResponseSummary, tag: &str| {
            let text = page.body.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest).split("</").next();
            let is_error = page.body.contains("An error has occurred");
            format!("{} {}", page.status, if is_error { text.unwrap() } else { "no error" })
        };
        let real = error(&real, "pre").replace(OLD_CHALLENGE_ERROR, CHALLENGE_ERROR);
        self.note(what, &error(&fake, "p"), &real);
    }

    /// Compares where a button of the page leads.
    pub(super) async fn compare_buttons(&mut self, button: &str, params: &[(&str, &str)]) {
        let chosen = if button == "Deny" { ("_method", "delete") } else { ("user", "alice") };
        let url = format!("{}/oauth/authorize", self.servers[0].base_url);
        let fake = send(form(&url, &[params, &[chosen]].concat())).await;
        let real = self.session.press(params, button == "Deny").await;
        let to = |page: &ResponseSummary| format!("{} {}", page.status, masked(page.header("location")));
        self.note(&format!("{button} {params:?}"), &to(&fake), &to(&real));
    }

    /// Compares whether Alice is asked for these scopes again.
    pub(super) async fn compare_skipped_page(&mut self, scopes: &str) {
        let params = with(&REQUEST, "scope", scopes);
        let fake = client().get(format!("{}/oauth/authorize?{}", self.servers[0].base_url, encoded(&params)));
        let fake = send(fake.header("Cookie", "_fake_gitlab_user=alice")).await;
        let real = self.session.get(&params).await;
        let is_skipped = |page: &ResponseSummary| page.body.contains("Click here to redirect").to_string();
        self.note(&format!("{scopes:?} skips the page"), &is_skipped(&fake), &is_skipped(&real));
    }

    fn note(&mut self, what: &str, fake: &str, real: &str) {
        if fake != real {
            write!(self.differences, "\n{what}\n  fake: {fake}\n  real: {real}\n").unwrap();
        }
    }

    /// Alice signs in at both and authorizes.
    pub(super) async fn new_codes(&mut self, params: &[(&str, &str)]) {
        let url = format!("{}/oauth/authorize?{}", self.servers[0].base_url, encoded(params));
        self.servers[0].code = param(&self.fake.authorize(&url, "alice").unwrap(), "code");
        self.servers[1].code = param(self.session.press(params, false).await.header("location"), "code");
    }

    pub(super) async fn log_in(&mut self, scopes: &str) {
        self.new_codes(&with(&REQUEST, "scope", scopes)).await;
        for server in &mut self.servers {
            let tokens = send(server.token(&server.exchange())).await;
            (server.access, server.refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
        }
    }

    pub(super) fn end(self) {
        assert!(self.differences.is_empty(), "{}", self.differences);
    }
}

impl Server {
    pub(super) fn token(&self, params: &[(&str, &str)]) -> RequestBuilder {
        form(&format!("{}/oauth/token", self.base_url), params)
    }

    pub(super) fn revoke(&self, params: &[(&str, &str)]) -> RequestBuilder {
        form(&format!("{}/oauth/revoke", self.base_url), params)
    }

    /// Who the token belongs to, or why it is refused. The texts are GitLab's recorded ones in both.
    pub(super) fn user(&self) -> RequestBuilder {
        client().get(format!("{}/api/v4/user", self.base_url)).bearer_auth(&self.access)
    }

    pub(super) fn exchange(&self) -> Vec<(&str, &str)> {
        vec![
            ("grant_type", "authorization_code"),
            ("code", &self.code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", ID),
            ("client_secret", SECRET),
        ]
    }

    pub(super) fn refresh(&self) -> Vec<(&str, &str)> {
        let token = ("refresh_token", self.refresh.as_str());
        vec![("grant_type", "refresh_token"), token, ("client_id", ID), ("client_secret", SECRET)]
    }

    pub(super) fn revocation<'a>(&self, token: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![("token", token), ("client_id", ID), ("client_secret", SECRET)]
    }
}

/// Alice's browser at the real server.
struct Session {
    http: reqwest::Client,
    base_url: String,
}

impl Session {
    async fn start(base_url: String) -> Self {
        let session = Self { http: reqwest_builder().cookie_store(true).build().unwrap(), base_url };
        let url = format!("{}/users/sign_in", session.base_url);
        let token = authenticity_token(&send(session.http.get(&url)).await, 0);
        let fields =
            [("authenticity_token", token.as_str()), ("username", "alice"), ("password", Doorkeeper::PASSWORD)];
        let signed_in = send(session.post(&url, &fields)).await;
        assert_eq!(signed_in.status, 302, "{}", signed_in.body);
        session
    }

    /// The authorization page.
    async fn get(&self, params: &[(&str, &str)]) -> ResponseSummary {
        send(self.http.get(format!("{}/oauth/authorize?{}", self.base_url, encoded(params)))).await
    }

    /// Sends the form of the page that is shown for [`REQUEST`], with these parameters.
    async fn press(&self, params: &[(&str, &str)], is_deny: bool) -> ResponseSummary {
        // There are no tokens with this scope alone, so the page is never skipped.
        let page = self.get(&with(&REQUEST, "scope", "read_api")).await;
        let token = authenticity_token(&page, usize::from(is_deny));
        let mut fields = vec![("authenticity_token", token.as_str())];
        fields.extend(is_deny.then_some(("_method", "delete")));
        fields.extend(params);
        send(self.post(&format!("{}/oauth/authorize", self.base_url), &fields)).await
    }

    fn post(&self, url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let request = self.http.post(url).header("Content-Type", "application/x-www-form-urlencoded");
        request.body(encoded(fields))
    }
}

/// The CSRF token of a form of a page.
fn authenticity_token(page: &ResponseSummary, form: usize) -> String {
    let field = page.body.split("name=\"authenticity_token\"").nth(form + 1);
    let field = field.unwrap_or_else(|| panic!("no form in {}", page.body));
    field.split('"').nth(1).unwrap().to_owned()
}

/// What a client can notice of a response.
fn shape(response: &ResponseSummary) -> String {
    let headers = ["content-type", "cache-control", "pragma", "www-authenticate", "location"];
    let headers = headers.map(|name| format!("{name}: {}", response.header(name))).join(", ");
    format!("{} {} [{headers}]", response.status, masked(&response.body))
}

pub(super) fn as_other<'a>(params: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    with(&with(params, "client_id", OTHER_ID), "client_secret", OTHER_SECRET)
}

pub(super) fn without_client<'a>(params: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    with(&with(params, "client_id", ""), "client_secret", "")
}

/// The text until Doorkeeper 5.5, and since.
const OLD_CHALLENGE_ERROR: &str = "The code challenge method must be plain or S256.";
const CHALLENGE_ERROR: &str = "The code_challenge_method must be one of plain, S256.";
