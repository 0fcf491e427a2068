//! The crate `oauth2` with our HTTP client, and tokens from and into its types.

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::provider::ProviderWrapper;
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, BaseUrl, CallbackUrl, ClientCredentials, Integration, IntegrationConfig, RefreshToken, TokenNote, TokenSet,
};
use oauth2::basic::{BasicClient, BasicTokenResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, CsrfToken, PkceCodeChallenge, RequestTokenError, TokenResponse as _,
    TokenUrl,
};
use url::Url;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::platforms::all;
use crate::secrets::leak_check::{self, LeakChecked as _};
use crate::support::{canned_http, http};

#[tokio::test]
async fn a_login_and_a_refresh_work_on_every_platform() {
    for host in all::all().await {
        let platform = host.platform;
        let http = canned_http::client();
        let builder = canned_http::builder(platform, &host.base_url, "canary-right").access(Access::SignIn);
        let integration = builder.transport(http.clone()).build().unwrap();
        let client = integration.oauth2_client().leak_checked().unwrap();

        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request = client.authorize_url(CsrfToken::new_random).add_scopes(integration.oauth2_scopes());
        let (url, state) = request.set_pkce_challenge(challenge).url();
        assert_same_parameters(&integration, &url);
        let callback = Url::parse(&(host.authorize)(url.as_str(), host.user).unwrap()).unwrap();
        let parameter = |wanted: &str| callback.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
        assert_eq!(&parameter("state"), state.secret());

        let code = AuthorizationCode::new(parameter("code"));
        let exchange = client.exchange_code(code).set_pkce_verifier(verifier);
        let response = exchange.request_async(&http).await.leak_checked().unwrap();
        let tokens = TokenSet::from_oauth2(&response, integration.binding()).unwrap();
        leak_check::debug("the tokens", &tokens);
        assert_eq!(tokens.notes, [], "{platform}");
        let user = integration.user(&tokens.access_token).await.leak_checked().unwrap();
        assert!(user.key.to_string().starts_with(&format!("{platform}:demo:")));

        // Their tokens are renewed by `oauth2`, and the new ones by this crate.
        let old = response.refresh_token().unwrap();
        let refresh =
            client.exchange_refresh_token(old).add_extra_param("redirect_uri", integration.callback_url().as_str());
        let response = refresh.request_async(&http).await.leak_checked().unwrap();
        let tokens = TokenSet::from_oauth2(&response, integration.binding()).unwrap();
        let renewed = integration.refresh(tokens.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
        assert_eq!(integration.user(&renewed.access_token).await.unwrap().key, user.key, "{platform}");
    }
}

/// The authorization URL has the parameters that our own has, but for the values that are new in each login.
fn assert_same_parameters(integration: &Integration, url: &Url) {
    let ours = Url::parse(integration.begin_login(None).unwrap().redirect_to.as_str()).unwrap();
    let fixed = |url: &Url| {
        let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
        pairs.retain(|(name, _)| name != "state" && name != "code_challenge");
        pairs.sort();
        pairs
    };
    assert_eq!(fixed(&ours), fixed(url));
    assert_eq!(ours[..url::Position::AfterPath], url[..url::Position::AfterPath]);
}

/// The client has the endpoints and the authentication of the platform, and its `Debug` no secret.
#[test]
fn the_client_is_configured_for_its_platform() {
    for (platform, base_url, token_url, authentication) in [
        (
            "gitlab",
            "https://git.example.com/gitlab",
            "https://git.example.com/gitlab/oauth/token",
            AuthType::RequestBody,
        ),
        (
            "bitbucket-cloud",
            "https://bitbucket.org",
            "https://bitbucket.org/site/oauth2/access_token",
            AuthType::BasicAuth,
        ),
    ] {
        let integration = canned_http::builder(platform, base_url, "canary-right").build().unwrap();
        let client = integration.oauth2_client().leak_checked().unwrap();
        assert_eq!(client.token_uri().as_str(), token_url);
        assert!(matches!(
            (client.auth_type(), authentication),
            (AuthType::BasicAuth, AuthType::BasicAuth) | (AuthType::RequestBody, AuthType::RequestBody)
        ));
        assert_eq!(client.client_id().as_str(), "my-id");
        assert_eq!(client.redirect_uri().unwrap().as_str(), integration.callback_url().as_str());
    }
}

/// A provider that sends nothing to renew tokens.
#[derive(Debug)]
struct NoRefresh(GitLab);

#[async_trait::async_trait]
impl ProviderWrapper for NoRefresh {
    type Inner = GitLab;

    fn inner(&self) -> &GitLab {
        &self.0
    }

    async fn refresh(
        &self,
        _: &dyn Transport,
        _: &ClientCredentials,
        _: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        Err(TransportError::Unreachable.into())
    }
}

#[test]
fn a_provider_without_a_token_request_has_no_client() {
    let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
    let http = ScriptedTransport::new();
    let provider = NoRefresh(GitLab::new(base_url).unwrap()).into_provider();
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Demo".to_owned(),
        public_url: "http://127.0.0.1:9000".parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: "canary-right".to_owned(),
        access: Access::SignIn,
    };
    let integration = Integration::builder(std::sync::Arc::new(provider), http.clone(), config).build().unwrap();
    let error = integration.oauth2_client().leak_checked().unwrap_err();
    assert_eq!(error.code(), "no_token_request");
    assert!(http.requests().is_empty());
}

/// The request that shows the token endpoint is not sent.
#[test]
fn building_a_client_sends_nothing() {
    let http = ScriptedTransport::new();
    let integration = canned_http::builder("gitlab", "https://git.example.com", "canary-right")
        .transport(http.clone())
        .build()
        .unwrap();
    integration.oauth2_client().leak_checked().unwrap();
    assert!(http.requests().is_empty());
}

/// The error of a request for tokens at this URL.
async fn error_at(
    http: &HttpClient,
    token_url: String,
) -> RequestTokenError<TransportError, oauth2::basic::BasicErrorResponse> {
    let client = BasicClient::new(ClientId::new("my-id".to_owned())).set_token_uri(TokenUrl::new(token_url).unwrap());
    let code = AuthorizationCode::new("canary-code".to_owned());
    client.exchange_code(code).request_async(http).await.unwrap_err()
}

#[tokio::test]
async fn redirects_are_not_followed_through_oauth2() {
    let server = MockServer::start().await;
    for status in [301, 302, 303, 307, 308] {
        server.reset().await;
        let redirect = ResponseTemplate::new(status).insert_header("Location", "/target");
        Mock::given(path("/token")).respond_with(redirect).mount(&server).await;
        let error = error_at(&http(), format!("{}/token", server.uri())).await;
        assert!(matches!(error, RequestTokenError::Other(_)), "{status}: {error:?}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_network_policy_holds_through_oauth2() {
    let http = HttpClient::builder(Network::public_only()).build().unwrap();
    for (url, code) in [
        ("https://10.0.0.5/token", "address_not_allowed"),
        ("https://169.254.169.254/token", "address_not_allowed"),
        ("http://git.example.com/token", "plain_http"),
    ] {
        let RequestTokenError::Request(cause) = error_at(&http, url.to_owned()).await else { panic!("{url}") };
        assert_eq!(cause.code(), code, "{url}");
    }
}

#[tokio::test]
async fn a_long_body_is_refused_through_oauth2() {
    let server = MockServer::start().await;
    let json = |length: usize| {
        format!(r#"{{"access_token":"canary-access","token_type":"bearer","x":"{}"}}"#, "a".repeat(length))
    };
    for (name, length) in [("/fits", 511 * 1024), ("/long", 512 * 1024)] {
        let response = ResponseTemplate::new(200).set_body_raw(json(length), "application/json");
        Mock::given(path(name)).respond_with(response).mount(&server).await;
    }
    let fits = TokenUrl::new(format!("{}/fits", server.uri())).unwrap();
    let client = BasicClient::new(ClientId::new("my-id".to_owned())).set_token_uri(fits);
    client.exchange_client_credentials().request_async(&http()).await.unwrap();
    let error = error_at(&http(), format!("{}/long", server.uri())).await;
    assert!(matches!(error, RequestTokenError::Request(TransportError::TooLarge { limit: 524_288 })), "{error:?}");
}

/// A response as `oauth2` reads it, with these members beside the access token.
fn response(members: &str) -> BasicTokenResponse {
    serde_json::from_str(&format!(r#"{{"access_token":"canary-access"{members}}}"#)).unwrap()
}

#[test]
fn odd_members_become_notes() {
    let integration = canned_http::builder("gitlab", "https://git.example.com", "canary-right").build().unwrap();
    let read = |members: &str| TokenSet::from_oauth2(&response(members), integration.binding()).unwrap();
    for (members, notes) in [
        (r#","token_type":"bearer""#, &[][..]),
        (r#","token_type":"Bearer","expires_in":7200,"refresh_token":"canary-refresh","scope":"api read_user""#, &[]),
        (r#","token_type":"mac""#, &[TokenNote::NotBearer]),
        (r#","token_type":"bearer","refresh_token":"canary with spaces""#, &[TokenNote::RefreshToken]),
        (r#","token_type":"bearer","scope":"api \"quoted\"""#, &[TokenNote::Scopes]),
        (r#","token_type":"bearer","expires_in":0"#, &[TokenNote::Lifetime]),
    ] {
        assert_eq!(read(members).notes, notes, "{members}");
    }
    // GitHub separates scopes by commas.
    let tokens = read(r#","token_type":"bearer","scope":"repo,read:org""#);
    assert_eq!(tokens.scopes, Some("repo read:org".parse().unwrap()));
    // An access token that cannot be sent is none.
    let invalid: BasicTokenResponse = serde_json::from_str(r#"{"access_token":"a b","token_type":"bearer"}"#).unwrap();
    assert!(TokenSet::from_oauth2(&invalid, integration.binding()).is_none());
}

#[test]
fn tokens_go_both_ways_for_their_code_host_only() {
    let integration = canned_http::builder("gitlab", "https://git.example.com", "canary-right").build().unwrap();
    let given = response(
        r#","token_type":"bearer","expires_in":7200,"refresh_token":"canary-refresh","scope":"api read_user""#,
    );
    let tokens = TokenSet::from_oauth2(&given, integration.binding()).unwrap();
    let base_url = integration.provider().base_url();
    let back = tokens.to_oauth2(base_url).leak_checked().unwrap();
    assert_eq!(back.access_token().secret(), given.access_token().secret());
    assert_eq!(back.refresh_token().unwrap().secret(), given.refresh_token().unwrap().secret());
    assert_eq!((back.expires_in(), back.scopes()), (given.expires_in(), given.scopes()));
    assert_eq!(back.token_type(), &BasicTokenType::Bearer);

    let other = BaseUrl::parse("https://evil.test", &Network::public_only()).unwrap();
    assert_eq!(tokens.to_oauth2(&other).leak_checked().unwrap_err().code(), "other_binding");
}
