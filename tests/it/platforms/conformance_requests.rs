//! Providers with one mistake in their requests each: the conformance suite finds it.

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::provider::ProviderWrapper;
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    AccessToken, BaseUrl, CallbackUrl, ClientCredentials, OAuthProvider as _, RefreshToken, TokenSet, User,
    VerifiedGrant, gitlab::GitLab,
};
use http::HeaderValue;

type Request = http::Request<Vec<u8>>;
type Alter = fn(&mut Request);

/// The mistake, the path of the changed requests, the change, and the checks that find it.
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
    (
        "a token that is not marked as sensitive",
        USER,
        |r| r.headers_mut().values_mut().for_each(|v| v.set_sensitive(false)),
        &["user"],
    ),
    ("a body", USER, |r| r.body_mut().push(b'x'), &["user"]),
];

const TOKEN: &str = "/oauth/token";
const USER: &str = "/api/v4/user";
const BOTH: &[&str] = &["exchange", "refresh"];

#[tokio::test]
async fn every_mistake_in_a_request_is_found() {
    for (what, path, alter, checks) in MISTAKES {
        let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
        let provider = AlteredProvider { gitlab, path, alter }.into_provider();
        let token = crate::support::fixture::Fixture::load("gitlab/token_success.http", "").body;
        let suite = Conformance::new(&provider, TOKEN, &token).api(USER, r#"{"id":42,"username":"jane"}"#);
        let suite = super::scenarios::add(suite, super::scenarios::gitlab("https://git.example.com", ""));
        let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.check).collect();
        assert_eq!(found, checks, "{what}");
    }
}

/// The suite checks the example responses that it is given.
#[tokio::test]
async fn an_invalid_example_response_is_reported() {
    let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
    for response in ["", "[]", "7"] {
        let suite = Conformance::new(&gitlab, TOKEN, response).api(USER, r#"{"id":42}"#);
        let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.to_string()).collect();
        assert!(found.iter().any(|found| found.starts_with("exchange: the given token response is not")), "{found:?}");
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

/// A provider for GitLab whose requests to one path are altered.
#[derive(Debug)]
struct AlteredProvider {
    gitlab: GitLab,
    path: &'static str,
    alter: Alter,
}

/// Alters the requests.
#[derive(Debug)]
struct AlteringTransport<'a>(&'a dyn Transport, &'a AlteredProvider);

#[async_trait::async_trait]
impl Transport for AlteringTransport<'_> {
    async fn send(&self, mut request: Request, max_body: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        if request.uri().path() == self.1.path {
            (self.1.alter)(&mut request);
        }
        self.0.send(request, max_body).await
    }
}

#[async_trait::async_trait]
impl ProviderWrapper for AlteredProvider {
    type Inner = GitLab;

    fn inner(&self) -> &GitLab {
        &self.gitlab
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.gitlab.exchange_code(&AlteringTransport(http, self), client, grant).await
    }
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.gitlab.refresh(&AlteringTransport(http, self), client, token, callback_url).await
    }
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        self.gitlab.user(&AlteringTransport(http, self), token).await
    }
}
