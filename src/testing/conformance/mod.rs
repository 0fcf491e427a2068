//! What every [`OAuthProvider`] must do, as checks to run on one of your own.
//!
//! Nothing is sent: the checks bring their own transport, clients, codes and tokens, each with a mark that they look for
//! in URLs and errors afterwards. See [`Conformance`].

mod answers;
mod requests;
mod setup;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::grant::VerifiedGrant;
use crate::host::{CallbackUrl, Host, IntegrationId};
use crate::login::{Callback, Expected, PendingLogin};
use crate::provider::OAuthProvider;
use crate::testing::ScriptedTransport;
use crate::token::{AccessToken, ClientCredentials, Origin, RefreshToken};
use crate::transport::Network;

/// A provider, with what its platform answers when all is well, and the checks that it must pass.
///
/// It says nothing about the wire format of a platform: assert the exact requests, and what each refusal means, in tests
/// of your own with a [`ScriptedTransport`].
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::{gitlab::GitLab, testing::conformance::Conformance, transport::Network, BaseUrl};
///
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// let token = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":7200}"#;
/// let violations = Conformance::new(&gitlab, "/oauth/token", token)
///     .api("/api/v4/user", r#"{"id":42,"username":"jane"}"#)
///     .run()
///     .await;
/// assert_eq!(violations, []);
///
/// // A provider that asks another path than it says is found out.
/// let violations = Conformance::new(&gitlab, "/login/token", token).run().await;
/// assert!(violations.iter().any(|violation| violation.check == "exchange"));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Conformance<'a> {
    provider: &'a dyn OAuthProvider,
    token_path: String,
    token_answer: String,
    api: Vec<(String, String)>,
    origins: Vec<String>,
}

impl<'a> Conformance<'a> {
    /// Checks for `provider`, whose token endpoint has this path and answers so: a JSON object with `access_token`,
    /// `token_type` and `refresh_token`. The path includes the base URL's sub-path.
    pub fn new(provider: &'a dyn OAuthProvider, token_path: &str, token_answer: &str) -> Self {
        Self {
            provider,
            token_path: token_path.to_owned(),
            token_answer: token_answer.to_owned(),
            api: Vec::new(),
            origins: vec![origin_of(provider.base_url())],
        }
    }

    /// Adds an answer that the look-up of a user needs: JSON, at this path. Each is given once, so a look-up that asks
    /// one path several times needs as many.
    #[must_use]
    pub fn api(mut self, path: &str, answer: &str) -> Self {
        self.api.push((path.to_owned(), answer.to_owned()));
        self
    }

    /// Adds an origin, such as `https://api.example.com`, to which requests may go beside the base URL's.
    #[must_use]
    pub fn api_origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_owned());
        self
    }

    /// Runs every check. An empty list means that the provider conforms.
    pub async fn run(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (check, run) in CHECKS {
            if let Err(what) = run(self).await {
                violations.push(Violation { check, what });
            }
        }
        violations
    }

    /// The names of the checks, in the order in which they run.
    ///
    /// ```
    /// use codehost_oauth::testing::conformance::Conformance;
    ///
    /// assert!(Conformance::checks().any(|check| check == "junk_answers"));
    /// ```
    pub fn checks() -> impl Iterator<Item = &'static str> {
        CHECKS.iter().map(|(check, _)| *check)
    }

    /// The token endpoint's answer, with marks as tokens; without a refresh token if `refresh` is `None`.
    fn tokens(&self, access: &str, refresh: Option<&str>) -> Result<String, String> {
        let answer: serde_json::Value =
            serde_json::from_str(&self.token_answer).map_err(|_| "the given token answer is not JSON".to_owned())?;
        let serde_json::Value::Object(mut answer) = answer else {
            return Err("the given token answer is not an object".to_owned());
        };
        answer.insert("access_token".to_owned(), access.into());
        match refresh {
            Some(refresh) => answer.insert("refresh_token".to_owned(), refresh.into()),
            None => answer.remove("refresh_token"),
        };
        Ok(serde_json::Value::Object(answer).to_string())
    }

    fn answering_tokens(&self, body: &str) -> ScriptedTransport {
        let http = ScriptedTransport::new();
        http.json(&self.token_path, body);
        http
    }

    fn answering_user(&self) -> ScriptedTransport {
        let http = ScriptedTransport::new();
        for (path, answer) in &self.api {
            http.json(path, answer.as_str());
        }
        http
    }
}

/// A check that the provider did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The check; see [`Conformance::checks`].
    pub check: &'static str,
    /// What it expected and what it found. It may hold the checks' own marks, which are no secrets.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)
    }
}

impl std::error::Error for Violation {}

type Outcome = Result<(), String>;
type Check = for<'a> fn(&'a Conformance<'_>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

const CHECKS: [(&str, Check); 14] = [
    ("platform", |suite| Box::pin(setup::platform(suite))),
    ("callback_url", |suite| Box::pin(setup::callback_url(suite))),
    ("scopes", |suite| Box::pin(setup::scopes(suite))),
    ("setup_guide", |suite| Box::pin(setup::setup_guide(suite))),
    ("authorization_url", |suite| Box::pin(requests::authorization_url(suite))),
    ("exchange", |suite| Box::pin(requests::exchange(suite))),
    ("refresh", |suite| Box::pin(requests::refresh(suite))),
    ("user", |suite| Box::pin(requests::user(suite))),
    ("other_instance", |suite| Box::pin(requests::other_instance(suite))),
    ("junk_answers", |suite| Box::pin(answers::junk(suite))),
    ("odd_tokens", |suite| Box::pin(answers::odd_tokens(suite))),
    ("truncated_answers", |suite| Box::pin(answers::truncated(suite))),
    ("lost_answers", |suite| Box::pin(answers::lost(suite))),
    ("refusals", |suite| Box::pin(answers::refusals(suite))),
];

/// Marks: text that must not turn up where it does not belong.
const CLIENT_ID: &str = "mark-client-id";
const SECRET: &str = "mark:client%secret+1";
const CODE: &str = "mark-code/2";
const OLD_ACCESS: &str = "mark-access-old";
const OLD_REFRESH: &str = "mark-refresh-old";
const NEW_ACCESS: &str = "mark-access-new";
const NEW_REFRESH: &str = "mark-refresh-new";
/// Stands in the answers that a provider cannot read.
const PEER: &str = "mark-of-the-peer";

/// A login that has got as far as the callback.
struct Flow {
    host: Host,
    id: IntegrationId,
    callback_url: CallbackUrl,
    origin: Origin,
    client: ClientCredentials,
    pending: PendingLogin,
}

impl Flow {
    fn new(provider: &dyn OAuthProvider) -> Result<Self, String> {
        Self::at(provider, provider.base_url())
    }

    /// The same, for credentials and tokens of another base URL.
    fn at(provider: &dyn OAuthProvider, base_url: &BaseUrl) -> Result<Self, String> {
        let host: Host = "https://host.example.com/app".parse().map_err(said)?;
        let id: IntegrationId = "conformance".parse().map_err(said)?;
        let callback_url = provider.callback_url(&host, &id);
        let origin = Origin::new(id.clone(), base_url.clone());
        let client = ClientCredentials::new(base_url, CLIENT_ID, SECRET).map_err(said)?;
        let expected = Expected::new(&origin, &callback_url, provider.issuer());
        let pending = PendingLogin::begin(&expected, None, SystemTime::now()).map_err(said)?;
        Ok(Self { host, id, callback_url, origin, client, pending })
    }

    fn state(&self) -> String {
        self.pending.state().expose().to_owned()
    }

    fn verifier(&self) -> String {
        self.pending.verifier().expose().to_owned()
    }

    /// The code that came back, with the credentials to exchange it.
    fn grant(self, provider: &dyn OAuthProvider) -> Result<(VerifiedGrant, ClientCredentials), String> {
        let expected = Expected::new(&self.origin, &self.callback_url, provider.issuer());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", CODE)
            .append_pair("state", &self.state())
            .finish();
        let path = url::Url::parse(self.callback_url.as_str()).map_err(said)?.path().to_owned();
        let uri: http::Uri = format!("{path}?{query}").parse().map_err(said)?;
        let callback = Callback::from_uri(&uri).map_err(said)?;
        let grant = self.pending.verify(callback, &expected, SystemTime::now()).map_err(said)?;
        Ok((grant, self.client))
    }

    fn access_token(&self) -> Result<AccessToken, String> {
        AccessToken::new(OLD_ACCESS.to_owned(), &self.origin).ok_or("no access token".to_owned())
    }

    fn refresh_token(&self) -> Result<RefreshToken, String> {
        RefreshToken::new(OLD_REFRESH.to_owned(), &self.origin).ok_or("no refresh token".to_owned())
    }
}

fn other_base_url() -> Result<BaseUrl, String> {
    BaseUrl::parse("https://other.example.com", &Network::any()).map_err(said)
}

fn origin_of(base_url: &BaseUrl) -> String {
    base_url.endpoint(&[]).origin().ascii_serialization()
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(what()) }
}

/// Everything that an error shows of itself to whoever logs it.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {} {} {}", error.code(), error.hint(), error.public_message());
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}
