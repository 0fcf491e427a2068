//! A provider whose requests are not what they should be, one thing at a time: the suite for providers finds each.

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::setup::{AppOwner, SetupGuide, SetupLink, SetupRequest};
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, AccessToken, AuthorizationRequest, BaseUrl, CallbackUrl, ClientCredentials, Host, IntegrationId,
    OAuthProvider, Platform, RefreshToken, Scope, ScopeDescription, Scopes, TokenSet, User, VerifiedGrant,
    gitlab::GitLab,
};
use http::HeaderValue;
use url::Url;

type Request = http::Request<Vec<u8>>;
type Alter = fn(&mut Request);

/// In which requests, what is done to them, and the checks that find it.
const MISTAKES: [(&str, &str, Alter, &[&str]); 15] = [
    ("nothing", TOKEN, |_| {}, &[]),
    ("a second place for the secret", TOKEN, |r| header(r, "authorization", "Basic eDp5"), BOTH),
    ("a second place for another secret", TOKEN, |r| header(r, "authorization", "Bearer x"), BOTH),
    ("no secret", TOKEN, |r| form(r, |form| form.split("&client_secret").next().unwrap_or_default().to_owned()), BOTH),
    ("another parameter", TOKEN, |r| form(r, |form| form + "&audience=x"), BOTH),
    ("a parameter twice", TOKEN, |r| form(r, |form| form + "&grant_type=x"), BOTH),
    ("another verifier", TOKEN, |r| form(r, |form| form.replace("code_verifier=", "code_verifier=x")), &["exchange"]),
    ("another token", TOKEN, |r| form(r, |form| form.replace("refresh_token=", "refresh_token=x")), &["refresh"]),
    ("a query", TOKEN, |r| query(r, "x=y"), BOTH),
    ("no media type", TOKEN, |r| drop(r.headers_mut().remove("content-type")), BOTH),
    ("another media type", TOKEN, |r| drop(r.headers_mut().remove("accept")), BOTH),
    ("by PUT", TOKEN, |r| *r.method_mut() = http::Method::PUT, BOTH),
    ("no token", USER, |r| drop(r.headers_mut().remove("authorization")), &["user"]),
    ("a token for the log", USER, |r| r.headers_mut().values_mut().for_each(|v| v.set_sensitive(false)), &["user"]),
    ("a body", USER, |r| r.body_mut().push(b'x'), &["user"]),
];

const TOKEN: &str = "/oauth/token";
const USER: &str = "/api/v4/user";
const BOTH: &[&str] = &["exchange", "refresh"];

#[tokio::test]
async fn mistakes_in_a_request_are_found_out() {
    for (what, path, alter, checks) in MISTAKES {
        let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
        let provider = Altered { gitlab, path, alter };
        let token = crate::fixture::Fixture::load("gitlab/token_success.http", "").body;
        let suite = Conformance::new(&provider, TOKEN, &token).api(USER, r#"{"id":42,"username":"jane"}"#);
        let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.check).collect();
        assert_eq!(found, checks, "{what}");
    }
}

/// What the suite is told must be possible, or it says so.
#[tokio::test]
async fn an_answer_that_is_none_is_not_believed() {
    let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
    for answer in ["", "[]", "7"] {
        let suite = Conformance::new(&gitlab, TOKEN, answer).api(USER, r#"{"id":42}"#);
        let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.to_string()).collect();
        assert!(found.iter().any(|found| found.starts_with("exchange: the given token answer is not")), "{found:?}");
        assert!(found.iter().all(|found| Conformance::checks().any(|check| found.starts_with(check))), "{found:?}");
    }
}

fn header(request: &mut Request, name: &'static str, value: &'static str) {
    let mut value = HeaderValue::from_static(value);
    value.set_sensitive(true);
    request.headers_mut().append(name, value);
}

fn form(request: &mut Request, change: fn(String) -> String) {
    let form = String::from_utf8(std::mem::take(request.body_mut())).unwrap();
    *request.body_mut() = change(form).into_bytes();
}

fn query(request: &mut Request, query: &str) {
    *request.uri_mut() = format!("{}?{query}", request.uri()).parse().unwrap();
}

/// GitLab, with something done to its requests to one path.
#[derive(Debug)]
struct Altered {
    gitlab: GitLab,
    path: &'static str,
    alter: Alter,
}

/// Does it.
#[derive(Debug)]
struct Altering<'a>(&'a dyn Transport, &'a Altered);

#[async_trait::async_trait]
impl Transport for Altering<'_> {
    async fn send(&self, mut request: Request, max_body: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        if request.uri().path() == self.1.path {
            (self.1.alter)(&mut request);
        }
        self.0.send(request, max_body).await
    }
}

#[async_trait::async_trait]
impl OAuthProvider for Altered {
    fn platform(&self) -> Platform {
        self.gitlab.platform()
    }
    fn base_url(&self) -> &BaseUrl {
        self.gitlab.base_url()
    }
    fn setup_links(&self, owner: &AppOwner) -> Vec<SetupLink> {
        self.gitlab.setup_links(owner)
    }
    fn required_scopes(&self, access: &Access) -> Scopes {
        self.gitlab.required_scopes(access)
    }
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        self.gitlab.describe_scope(scope)
    }
    fn callback_url(&self, host: &Host, id: &IntegrationId) -> CallbackUrl {
        self.gitlab.callback_url(host, id)
    }
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        self.gitlab.setup_guide(request)
    }
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        self.gitlab.authorization_url(request)
    }
    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.gitlab.exchange_code(&Altering(http, self), client, grant).await
    }
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
    ) -> Result<TokenSet, Error> {
        self.gitlab.refresh(&Altering(http, self), client, token).await
    }
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        self.gitlab.user(&Altering(http, self), token).await
    }
}
