//! A login with a code host that this crate does not know: SourceHut. The provider is in `sourcehut.rs`, which your own crate would
//! have. `main` uses it with a small fake of SourceHut in this process, so it needs no account and no network access:
//!
//! ```text
//! cargo run --example custom_provider
//! ```

#[allow(unreachable_pub, reason = "a library would export it")]
mod sourcehut;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use codehost_oauth::error::BaseUrlError;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::conformance::{Conformance, Scenario};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, PendingLogins};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sourcehut::SOURCEHUT;
use support::{Failure, exit, print};
use tokio::net::TcpListener;

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
    let server = fake_sourcehut().await.map_err(|error| {
        Failure::new("listen", format!("the fake code host cannot listen on a loopback address: {error}"), "")
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
        return Err(Failure::new("conformance", violation, "Fix the provider, then run the example again."));
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

    let uri = callback_url.parse().map_err(|_| BaseUrlError::InvalidHost)?;
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
