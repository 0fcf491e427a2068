//! Support for another code host through the trait: SourceHut, in one file, and a login with it. Its user look-up is a GraphQL
//! query, sent by `POST`.
//!
//! The provider is the part that your own crate would have. `main` uses it with a small fake of SourceHut in this process, so
//! it needs no account and no network access:
//!
//! ```text
//! cargo run --example custom_provider
//! ```

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use codehost_oauth::error::{AccountError, ApiError, BaseUrlError, Error, ResponseError, TokenError};
use codehost_oauth::provider::{ApiRequest, ApiResponse, Grant, TokenEndpoint, TokenRefusal, display_text};
use codehost_oauth::setup::{
    LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use codehost_oauth::testing::conformance::{Conformance, Scenario};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, AccessToken, AccountKey, AuthorizationRequest, BaseUrl, Callback, CallbackUrl, ClientCredentials, Email,
    EmailAuthority, EmailEvidence, Integration, IntegrationConfig, OAuthProvider, PendingLogins, Platform,
    RefreshToken, Scope, ScopeDescription, Scopes, Service, TokenSet, User, UserState, VerifiedGrant,
};
use http::Uri;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use support::{Failure, exit, print};
use tokio::net::TcpListener;
use url::Url;

const SOURCEHUT: Platform =
    Platform::new("sourcehut", "SourceHut", |base_url, _| Ok(Arc::new(SourceHut::new(base_url))))
        .with_services(&[Service::new("SourceHut", "https://meta.sr.ht")]);

/// The account service of a SourceHut, `https://meta.sr.ht` or your own. Source: man.sr.ht/meta.sr.ht/oauth.md.
#[derive(Debug)]
struct SourceHut {
    base_url: BaseUrl,
    token: Uri,
    query: Uri,
}

impl SourceHut {
    fn new(base_url: BaseUrl) -> Self {
        let token = base_url.endpoint(&["oauth2", "access-token"]);
        let query = base_url.endpoint(&["query"]);
        Self { base_url, token, query }
    }

    fn tokens(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.token, refused).basic()
    }
}

#[async_trait]
impl OAuthProvider for SourceHut {
    fn platform(&self) -> Platform {
        SOURCEHUT
    }

    fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn setup_links(&self, _: &SetupRequest) -> Vec<SetupLink> {
        let page = LinkAddress::Url(self.base_url.page(&["oauth2", "client-registration"]));
        vec![SetupLink::new(page, "Register new client", "every user of SourceHut")]
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        let names: &[&str] = match access {
            Access::Custom(scopes) => return scopes.clone(),
            Access::SignIn => &["meta.sr.ht/PROFILE:RO"],
            Access::Read => &["meta.sr.ht/PROFILE:RO", "git.sr.ht/REPOSITORIES:RO"],
            _ => &["meta.sr.ht/PROFILE:RO", "git.sr.ht/REPOSITORIES:RW"],
        };
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        ScopeDescription::new(scope.clone(), scope.to_string(), "Lets the app do what it is for.")
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        let callback = request.callback_url(SOURCEHUT.id());
        let mut guide = SetupGuide::new(SOURCEHUT.id(), SOURCEHUT.name(), self.base_url.clone(), callback);
        guide.links = self.setup_links(request);
        guide.steps =
            vec!["Register a client with these values, then copy its client ID and client secret.".to_owned()];
        guide.fields = vec![
            SetupField::copy("Client name", &request.name),
            SetupField::copy("Redirection URI", guide.callback_url.as_str()),
        ];
        guide.scopes = SetupScope::list(&self.required_scopes(&request.access), |scope| self.describe_scope(scope));
        guide.has_scope_boxes = false;
        guide.credentials = vec![SetupCredentials::new("Client ID", "Client secret", "The secret is shown only once.")];
        guide
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["oauth2", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.tokens().exchange(http, client, grant).await
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.tokens().refresh(http, client, token).await
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let query = serde_json::json!({ "query": "{ me { id username email } }" });
        let request = ApiRequest::post(&self.query).bearer(token, &self.base_url)?.json(&query)?;
        let response = request.send(http).await?;
        let cause = match response.status().as_u16() {
            200..=299 => return user(token, &response),
            401 => ApiError::TokenRejected,
            403 if response.text().contains("Account suspended") => return Err(AccountError::Blocked.into()),
            403 => ApiError::Forbidden,
            404 => ApiError::NotFound,
            _ => return Err(response.unusable(ResponseError::Status)),
        };
        Err(Error::Api { cause, response: Box::new(response.summary()) })
    }
}

/// GraphQL reports errors with status 200, and then there is no `me`.
fn user(token: &AccessToken, response: &ApiResponse) -> Result<User, Error> {
    #[derive(serde::Deserialize)]
    struct Response {
        data: Option<Data>,
    }
    #[derive(serde::Deserialize)]
    struct Data {
        me: Option<Account>,
    }
    #[derive(serde::Deserialize)]
    struct Account {
        id: u64,
        username: String,
        email: Option<String>,
    }
    let body: Response = response.json()?;
    let account = body.data.and_then(|data| data.me).ok_or_else(|| response.malformed("me"))?;
    let key = AccountKey::new(token.binding().integration().clone(), SOURCEHUT.id(), account.id.to_string());
    let mut user = User::new(key);
    user.username = display_text(account.username);
    user.state = UserState::Active;
    let email = account.email.unwrap_or_default();
    user.emails.extend(Email::new(&email, EmailEvidence::Unknown, EmailAuthority::SelfManaged, true));
    user.raw = response.text().into();
    Ok(user)
}

fn refused(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let setup_link = Some(Box::new(base_url.page(&["oauth2"])));
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client" | "unauthorized_client", _) => TokenError::ClientRejected { setup_link },
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_grant", _) => TokenError::CodeRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// Logs in to a small fake of SourceHut with a provider that this example defines
#[derive(clap::Parser)]
#[command(name = "custom_provider")]
struct Flags {}

#[tokio::main]
async fn main() -> ExitCode {
    let Flags {} = clap::Parser::parse();
    exit(log_in().await)
}

async fn log_in() -> Result<(), Failure> {
    let server = fake_sourcehut().await.map_err(|error| Failure {
        code: "listen".to_owned(),
        message: format!("the fake code host cannot listen on a loopback address: {error}"),
        hint: String::new(),
    })?;
    let network = Network::public_only().allow_loopback_http();
    let provider = SOURCEHUT.provider(BaseUrl::parse(&server, &network)?)?;
    let public_url: codehost_oauth::PublicUrl = "https://packages.example.com".parse()?;
    let request = SetupRequest::new(public_url.clone(), "sourcehut".parse()?, "SourceHut", Access::SignIn)?;
    print(&format!("{}\n\n", provider.setup_guide(&request)))?;

    // The rules for every provider. In your own crate, this is a test.
    let suite = scenarios()
        .into_iter()
        .fold(Conformance::new(&provider, "/oauth2/access-token", TOKENS).api("/query", USER), Conformance::scenario);
    if let Some(violation) = suite.run().await.first() {
        let (code, hint) = ("conformance".to_owned(), "Fix the provider, then run the example again.".to_owned());
        return Err(Failure { code, message: violation.to_string(), hint });
    }
    print(&format!("{} checks passed\n", Conformance::checks().count()))?;

    let integration = Integration::builder(
        provider,
        HttpClient::builder(network).build()?,
        IntegrationConfig {
            id: request.id,
            name: request.name.clone(),
            public_url,
            client_id: "id".to_owned(),
            client_secret: "secret".to_owned(),
            access: request.access,
        },
    )
    .build()?;
    let start = integration.begin_login(None)?;
    let state = start.redirect_to.as_str().split(['?', '&']).find_map(|pair| pair.strip_prefix("state="));
    let callback_url = format!("/oauth/callback/sourcehut/sourcehut?code=a-code&state={}", state.unwrap_or_default());
    let mut session = PendingLogins::default();
    session.insert(start.pending);

    let uri = callback_url.parse().map_err(|_| BaseUrlError::Host)?;
    let callback = Callback::from_uri(&uri)?;
    let pending = session.take(&callback)?;
    let login = integration.finish_login(pending, callback).await?;
    print(&format!("{} is {}\n", login.user.key, login.user.username.as_deref().unwrap_or("(unknown)")))
}

/// What SourceHut says in its own words, and what that must mean.
fn scenarios() -> [Scenario; 6] {
    let token = |scenario: Scenario, error: &str| {
        scenario.respond("/oauth2/access-token", 400, &format!(r#"{{"error":"{error}"}}"#))
    };
    let suspended = r#"{"errors":[{"message":"Account suspended with the following notice: spam"}]}"#;
    [
        token(Scenario::exchange("a wrong secret"), "invalid_client").fails("client_rejected"),
        token(Scenario::exchange("a used code"), "invalid_grant").fails("code_rejected"),
        token(Scenario::refresh("a used refresh token"), "invalid_grant").fails("refresh_rejected"),
        Scenario::user("renamed").respond("/query", 200, &USER.replace("jane\",", "zoe\",")).same_user(),
        Scenario::user("another user").respond("/query", 200, &USER.replace('7', "8")).other_user(),
        Scenario::user("suspended").respond("/query", 403, suspended).refused(),
    ]
}

/// The responses of the token endpoint and of the query.
const TOKENS: &str =
    r#"{"access_token":"an-access-token","token_type":"bearer","expires_in":3600,"refresh_token":"a-refresh-token"}"#;
const USER: &str = r#"{"data":{"me":{"id":7,"username":"jane","email":"jane@example.com"}}}"#;

/// Starts a fake that handles only the two requests of a login, and returns its URL.
async fn fake_sourcehut() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond)));
        }
    });
    Ok(url)
}

async fn respond(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    #[allow(clippy::disallowed_methods, reason = "`Limited` bounds the size")]
    let body = Limited::new(body, 1 << 16).collect().await.unwrap_or_default().to_bytes();
    let body = String::from_utf8_lossy(&body);
    let bearer = head.headers.get("authorization").is_some_and(|value| value == "Bearer an-access-token");
    // `id:secret`.
    let basic = head.headers.get("authorization").is_some_and(|value| value == "Basic aWQ6c2VjcmV0");
    let exchange = basic && ["code=a-code", "code_verifier="].iter().all(|field| body.contains(field));
    let json = match (head.method.as_str(), head.uri.path()) {
        ("POST", "/oauth2/access-token") if exchange => TOKENS,
        ("POST", "/query") if bearer && body.contains("me { id") => USER,
        _ => "",
    };
    let mut response = http::Response::new(Full::from(json));
    if json.is_empty() {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
