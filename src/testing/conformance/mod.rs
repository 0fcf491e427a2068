//! Checks for your own [`OAuthProvider`].
//!
//! Nothing is sent over the network: the checks have their own transport, client, code and tokens. Their values begin
//! with `mark`, and the checks search URLs and errors for them. See [`Conformance`].

mod meanings;
mod requests;
mod responses;
mod scenario;
mod setup;

pub use self::scenario::Scenario;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use crate::error::Error;
use crate::login::{Callback, Expected, PendingLogin, Purpose};
use crate::provider::grant::VerifiedGrant;
use crate::provider::oauth_provider::OAuthProvider;
use crate::testing::ScriptedTransport;
use crate::transport::Network;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::public_url::PublicUrl;
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenBinding};

/// A provider, its platform's responses to a successful login, and the checks that the provider must pass.
///
/// The checks do not know the wire format of a platform: give its own words for refusals, users and memberships as
/// [`Scenario`]s, and assert the exact requests in your own tests with a [`ScriptedTransport`].
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codehost_oauth::testing::conformance::{Conformance, Scenario};
/// use codehost_oauth::{gitlab::GitLab, transport::Network, BaseUrl};
///
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// let token = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":7200}"#;
/// let wrong_secret = Scenario::exchange("a wrong secret")
///     .respond("/oauth/token", 401, r#"{"error":"invalid_client"}"#)
///     .fails("client_rejected");
/// let violations = Conformance::new(&gitlab, "/oauth/token", token)
///     .api("/api/v4/user", r#"{"id":42,"username":"jane"}"#)
///     .scenario(wrong_secret)
///     .run()
///     .await;
/// // All other checks pass; this one names the next scenario to add.
/// let found: Vec<_> = violations.iter().map(ToString::to_string).collect();
/// assert_eq!(found, ["scenarios: there is no scenario for a used code (code_rejected): add one"]);
///
/// // A provider that sends its token request to another path does not pass.
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
    token_response: String,
    api: Vec<ApiCall>,
    origins: Vec<String>,
    scenarios: Vec<Scenario>,
    user_round_trips: usize,
}

impl<'a> Conformance<'a> {
    /// Checks for `provider`, whose token endpoint has this path and this response: a JSON object with `access_token`,
    /// `token_type` and `refresh_token`. The path includes the base URL's sub-path.
    pub fn new(provider: &'a dyn OAuthProvider, token_path: &str, token_response: &str) -> Self {
        Self {
            provider,
            token_path: token_path.to_owned(),
            token_response: token_response.to_owned(),
            api: Vec::new(),
            origins: vec![origin_of(provider.base_url())],
            scenarios: Vec::new(),
            user_round_trips: 1,
        }
    }

    /// Adds a response for the look-up of a user: JSON, at this path. Each response is given once. If the look-up
    /// requests a path several times, add a response for each request.
    #[must_use]
    pub fn api(self, path: &str, response: &str) -> Self {
        self.api_with_headers(path, response, &[])
    }

    /// Adds a response with headers of its own, for a platform that has a part of the user in them.
    #[must_use]
    pub fn api_with_headers(mut self, path: &str, response: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.api.push(ApiCall { path: path.to_owned(), response: response.to_owned(), headers });
        self
    }

    /// Adds responses of the platform and what they must mean. The check `scenarios` names those that are missing.
    #[must_use]
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.scenarios.push(scenario);
        self
    }

    /// How many round trips the look-up of a user may take: 1 unless set. More are needed where a request depends on the
    /// response to another.
    #[must_use]
    pub fn user_round_trips(mut self, count: usize) -> Self {
        self.user_round_trips = count;
        self
    }

    /// Allows requests to this origin, for example `https://api.example.com`, besides the origin of the base URL.
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
    /// assert!(Conformance::checks().any(|check| check == "junk_responses"));
    /// ```
    pub fn checks() -> impl Iterator<Item = &'static str> {
        CHECKS.iter().map(|(check, _)| *check)
    }

    /// The token endpoint's response with these tokens; without a refresh token if `refresh` is `None`.
    fn tokens(&self, access: &str, refresh: Option<&str>) -> Result<String, String> {
        let response: serde_json::Value = serde_json::from_str(&self.token_response)
            .map_err(|_| "the given token response is not JSON: pass a JSON object to Conformance::new".to_owned())?;
        let serde_json::Value::Object(mut response) = response else {
            return Err("the given token response is not a JSON object: pass one to Conformance::new".to_owned());
        };
        response.insert("access_token".to_owned(), access.into());
        match refresh {
            Some(refresh) => response.insert("refresh_token".to_owned(), refresh.into()),
            None => response.remove("refresh_token"),
        };
        Ok(serde_json::Value::Object(response).to_string())
    }

    fn with_tokens(&self, body: &str) -> ScriptedTransport {
        let http = ScriptedTransport::new();
        http.json(&self.token_path, body);
        http
    }

    /// Adds the response number `index` to a script, with another body if there is one.
    fn queue(&self, http: &ScriptedTransport, index: usize, body: Option<&str>) {
        let Some(ApiCall { path, response, headers }) = self.api.get(index) else { return };
        let own = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = [("content-type", "application/json")].into_iter().chain(own).collect();
        http.respond(path, 200, &headers, body.unwrap_or(response));
    }

    fn with_user(&self) -> ScriptedTransport {
        let http = ScriptedTransport::new();
        for index in 0..self.api.len() {
            self.queue(&http, index, None);
        }
        http
    }
}

/// A request's path, and its response.
#[derive(Clone, Debug)]
struct ApiCall {
    path: String,
    response: String,
    headers: Vec<(String, String)>,
}

/// A check that the provider did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The check; see [`Conformance::checks`].
    pub check: &'static str,
    /// What is wrong, and what is expected. It may contain the values of the checks, which are not secret.
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

const CHECKS: [(&str, Check); 18] = [
    ("platform", |suite| Box::pin(setup::platform(suite))),
    ("scopes", |suite| Box::pin(setup::scopes(suite))),
    ("setup_guide", |suite| Box::pin(setup::setup_guide(suite))),
    ("authorization_url", |suite| Box::pin(requests::authorization_url(suite))),
    ("exchange", |suite| Box::pin(requests::exchange(suite))),
    ("refresh", |suite| Box::pin(requests::refresh(suite))),
    ("user", |suite| Box::pin(requests::user(suite))),
    ("other_binding", |suite| Box::pin(requests::other_binding(suite))),
    ("junk_responses", |suite| Box::pin(responses::junk(suite))),
    ("odd_tokens", |suite| Box::pin(responses::odd_tokens(suite))),
    ("truncated_responses", |suite| Box::pin(responses::truncated(suite))),
    ("lost_responses", |suite| Box::pin(responses::lost(suite))),
    ("refusals", |suite| Box::pin(responses::refusals(suite))),
    ("scenarios", |suite| Box::pin(meanings::scenarios(suite))),
    ("unknown_servers", |suite| Box::pin(meanings::unknown_servers(suite))),
    ("user_values", |suite| Box::pin(meanings::user_values(suite))),
    ("granted_scopes", |suite| Box::pin(meanings::granted_scopes(suite))),
    ("round_trips", |suite| Box::pin(meanings::round_trips(suite))),
];

/// The values of the checks, which must not be in places where secrets are not allowed.
const CLIENT_ID: &str = "mark-client-id";
const SECRET: &str = "mark:client%secret+1";
const CODE: &str = "mark-code/2";
const OLD_ACCESS: &str = "mark-access-old";
const OLD_REFRESH: &str = "mark-refresh-old";
const NEW_ACCESS: &str = "mark-access-new";
const NEW_REFRESH: &str = "mark-refresh-new";
/// The text of a server in responses that a provider cannot read.
const SERVER_TEXT: &str = "mark-server-text";

/// A login that waits for its callback.
struct Flow {
    public_url: PublicUrl,
    id: IntegrationId,
    callback_url: CallbackUrl,
    binding: TokenBinding,
    client: ClientCredentials,
    pending: PendingLogin,
}

impl Flow {
    fn new(provider: &dyn OAuthProvider) -> Result<Self, String> {
        Self::with_base_url(provider, provider.base_url())
    }

    /// The same, with credentials and tokens of this base URL.
    fn with_base_url(provider: &dyn OAuthProvider, base_url: &BaseUrl) -> Result<Self, String> {
        let public_url: PublicUrl = "https://app.example.com/path".parse().map_err(text_of)?;
        let id: IntegrationId = "conformance".parse().map_err(text_of)?;
        let callback_url = CallbackUrl::new(&public_url, provider.platform().id(), &id);
        let binding = TokenBinding::new(id.clone(), base_url.clone());
        let client = ClientCredentials::new(base_url, CLIENT_ID, SECRET).map_err(text_of)?;
        let purpose = Purpose::LogIn;
        let expected = Expected { binding: &binding, callback_url: &callback_url, provider, purpose };
        let pending = PendingLogin::begin(&expected, None, SystemTime::now()).map_err(text_of)?;
        Ok(Self { public_url, id, callback_url, binding, client, pending })
    }

    fn state(&self) -> String {
        self.pending.state().expose().to_owned()
    }

    fn verifier(&self) -> String {
        self.pending.verifier().expose().to_owned()
    }

    /// The verified code, with the credentials to exchange it.
    fn grant(self, provider: &dyn OAuthProvider) -> Result<(VerifiedGrant, ClientCredentials), String> {
        let (binding, callback_url) = (&self.binding, &self.callback_url);
        let expected = Expected { binding, callback_url, provider, purpose: Purpose::LogIn };
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", CODE)
            .append_pair("state", &self.state())
            .finish();
        let path = url::Url::parse(self.callback_url.as_str()).map_err(text_of)?.path().to_owned();
        let uri: http::Uri = format!("{path}?{query}").parse().map_err(text_of)?;
        let callback = Callback::from_uri(&uri).map_err(text_of)?;
        let grant = self.pending.verify(callback, &expected, SystemTime::now()).map_err(text_of)?;
        Ok((grant, self.client))
    }

    fn access_token(&self) -> Result<AccessToken, String> {
        AccessToken::new(OLD_ACCESS.to_owned(), &self.binding)
            .ok_or("the access token of the checks is not valid".to_owned())
    }

    fn refresh_token(&self) -> Result<RefreshToken, String> {
        RefreshToken::new(OLD_REFRESH.to_owned(), &self.binding)
            .ok_or("the refresh token of the checks is not valid".to_owned())
    }
}

fn other_base_url() -> Result<BaseUrl, String> {
    BaseUrl::parse("https://other.example.com", &Network::any()).map_err(text_of)
}

fn origin_of(base_url: &BaseUrl) -> String {
    base_url.page(&[]).origin().ascii_serialization()
}

fn text_of(error: impl fmt::Display) -> String {
    error.to_string()
}

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(what()) }
}

/// All texts of an error that can get into a log or a page.
fn all_texts(error: &Error) -> String {
    let mut text = format!(
        "{error} {error:?} {error:#?} {} {} {}",
        error.code(),
        error.advice().hint,
        error.advice().public_message
    );
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}
