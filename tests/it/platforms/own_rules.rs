//! A provider with rules of its own, by the parts of the trait that have a default.

use codehost_oauth::error::{ConfigError, Error, TokenError, VerifyError};
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::provider::{ApiRequest, ProviderWrapper, TokenEndpoint, TokenRefusal};
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, BaseUrl, Callback, CallbackUrl, ClientCredentials, Group, Integration, IntegrationConfig, Membership,
    OAuthProvider as _, Platform, RefreshToken, Scope, ScopeDescription, Scopes, TokenBinding, TokenSet, User,
};
use http::header::{ACCEPT, HeaderName, HeaderValue};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http;

const SECRET: &str = "canary-own-rules";

#[derive(Debug)]
struct OwnRules(GitLab, BaseUrl);

#[async_trait::async_trait]
impl ProviderWrapper for OwnRules {
    type Inner = GitLab;

    fn inner(&self) -> &GitLab {
        &self.0
    }

    fn api_url(&self) -> &BaseUrl {
        &self.1
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        let mut description = self.0.describe_scope(scope);
        description.never_listed = scope.as_str() == "offline_access";
        description
    }

    fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
        match scopes.iter().find(|scope| scope.as_str() == "sudo") {
            Some(scope) => Err(ConfigError::UnknownScope { scope: scope.to_string() }),
            None => Ok(()),
        }
    }

    fn issuers(&self) -> Vec<&str> {
        vec!["https://git.example.com/login/oauth", "https://git.example.com"]
    }

    fn callback_error(&self, error: &str, _: &str) -> Option<VerifyError> {
        match error {
            "redirect_uri_mismatch" => Some(VerifyError::CallbackUrlRejected),
            "application_suspended" => Some(VerifyError::ApplicationSuspended),
            _ => None,
        }
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        let uri = self.1.endpoint(&["token"]);
        let media = HeaderValue::from_static("application/vnd.example+json");
        let endpoint = TokenEndpoint::new(self.0.base_url(), &uri, refused).basic().header(ACCEPT, media);
        endpoint.redirect_uri_at_refresh(callback_url).refresh(http, client, token).await
    }

    fn needs_user_for_membership(&self, group: &Group) -> bool {
        group.is_id()
    }

    async fn membership(
        &self,
        _: &dyn Transport,
        _: &codehost_oauth::AccessToken,
        _: &Group,
        user: Option<&User>,
    ) -> Result<Membership, Error> {
        let role = user.map_or("unknown", |user| user.key.subject()).to_owned();
        Ok(Membership::Member { role })
    }
}

fn refused(_: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    Error::Token { cause: TokenError::Refused, response: refusal.summary() }
}

fn url(text: &str) -> BaseUrl {
    BaseUrl::parse(text, &Network::public_only()).unwrap()
}

fn integration(http: ScriptedTransport, scopes: &str) -> Result<Integration, ConfigError> {
    let gitlab = GitLab::new(url("https://git.example.com")).unwrap();
    let provider = OwnRules(gitlab, url("https://api.example.com/v1")).into_provider();
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Own rules".to_owned(),
        public_url: "https://packages.example.com".parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: SECRET.to_owned(),
        access: Access::Custom(scopes.parse().unwrap()),
    };
    Integration::builder(provider, http, config).build()
}

const USER: &str = r#"{"id":42,"username":"jane","state":"active"}"#;

fn responding() -> ScriptedTransport {
    let http = ScriptedTransport::new();
    http.json("/oauth/token", r#"{"access_token":"canary-at","token_type":"bearer","scope":"read_api"}"#);
    http.json("/api/v4/user", USER);
    http
}

async fn finish(query: &str) -> Result<codehost_oauth::Login, Error> {
    let integration = integration(responding(), "read_api offline_access").unwrap();
    let start = integration.begin_login(None).unwrap();
    let state = start.redirect_to.as_str().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let callback = Callback::parse(&format!("/oauth/callback/gitlab/demo?state={state}&{query}")).unwrap();
    integration.finish_login(start.pending, callback).await.leak_checked()
}

#[tokio::test]
async fn each_issuer_of_the_provider_is_accepted_and_no_other() {
    for issuer in ["", "&iss=https://git.example.com/login/oauth", "&iss=https://git.example.com/"] {
        assert!(finish(&format!("code=abc{issuer}")).await.is_ok(), "{issuer}");
    }
    for issuer in ["https://git.example.com/login", "https://evil.example.com/login/oauth", ""] {
        let error = finish(&format!("code=abc&iss={issuer}")).await.unwrap_err();
        assert_eq!(error.code(), "other_issuer", "{issuer}");
        assert!(
            error.to_string().contains("https://git.example.com/login/oauth or https://git.example.com"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_error_of_the_platform_s_own_has_its_cause() {
    for (error, code) in [
        ("redirect_uri_mismatch", "callback_url_rejected"),
        ("application_suspended", "application_suspended"),
        ("something_else", "authorization_refused"),
        ("access_denied", "denied"),
    ] {
        assert_eq!(finish(&format!("error={error}")).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn a_scope_that_is_never_listed_is_never_missing() {
    let login = finish("code=abc").await.unwrap();
    assert_eq!(login.tokens.scopes.unwrap().to_string(), "read_api");
    assert!(login.missing_scopes.is_empty(), "{:?}", login.missing_scopes);
}

#[tokio::test]
async fn an_unknown_scope_is_refused_when_the_integration_is_built() {
    let error = integration(ScriptedTransport::new(), "read_api sudo").unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("unknown_scope", "this platform does not know the scope sudo")
    );
}

/// The client secret goes to the API URL too, with the headers and fields that the platform wants.
#[tokio::test]
async fn a_token_endpoint_can_be_at_the_api_url() {
    let http = ScriptedTransport::new();
    let tokens = r#"{"access_token":"canary-new","expires_in":28800,"refresh_token":"canary-r2","refresh_token_expires_in":"15897600"}"#;
    http.json("/v1/token", tokens);
    let integration = integration(http.clone(), "read_api").unwrap();
    let old = RefreshToken::new("canary-r1".to_owned(), integration.binding()).unwrap();
    let tokens = integration.refresh(&old).await.leak_checked().unwrap();
    assert_eq!(tokens.refresh_expires_in.map(|time| time.as_secs()), Some(15_897_600));
    let sent = http.requests();
    assert_eq!(sent[0].url.as_str(), "https://api.example.com/v1/token");
    assert_eq!(sent[0].header("accept"), Some("application/vnd.example+json"));
    assert!(sent[0].header("authorization").unwrap().starts_with("Basic "));
    let callback_url = integration.callback_url().as_str().to_owned();
    assert!(sent[0].form().contains(&("redirect_uri".to_owned(), callback_url)));
}

#[tokio::test]
async fn a_membership_gets_the_user_only_if_it_needs_one() {
    for (group, requests, role) in [(Group::path("acme").unwrap(), 0, "unknown"), (Group::id("7").unwrap(), 1, "42")] {
        let http = ScriptedTransport::new();
        http.json("/api/v4/user", USER);
        let integration = integration(http.clone(), "read_api").unwrap();
        let token = codehost_oauth::AccessToken::new("canary-at".to_owned(), integration.binding()).unwrap();
        let membership = integration.membership(&token, &group).await.leak_checked().unwrap();
        assert_eq!(membership, Membership::Member { role: role.to_owned() });
        assert_eq!(http.requests().len(), requests);
    }
}

#[tokio::test]
async fn a_request_has_what_it_was_given_and_no_secret_for_another_server() {
    let (base, api, other) =
        (url("https://git.example.com"), url("https://api.example.com/v1"), url("https://evil.example.com"));
    let binding = TokenBinding::new("demo".parse().unwrap(), base.clone()).with_api_url(&api);
    let token = codehost_oauth::AccessToken::new("canary-at".to_owned(), &binding).unwrap();
    let client = ClientCredentials::new(&base, "id", SECRET).unwrap().with_api_url(&api);
    let uri = api.endpoint(&["applications", "id", "token"]);
    let request = || ApiRequest::new(http::Method::DELETE, &uri);
    for allowed in [&base, &api] {
        assert!(request().bearer(&token, allowed).is_ok() && request().basic(&client, allowed).is_ok());
    }
    assert_eq!(request().bearer(&token, &other).unwrap_err().code(), "other_binding");
    assert_eq!(request().basic(&client, &other).unwrap_err().code(), "other_binding");

    let http = ScriptedTransport::new();
    http.otherwise(204, &[], "");
    let version = HeaderName::from_static("x-version");
    let request = request().basic(&client, &api).unwrap().header(version, HeaderValue::from_static("1"));
    let request = request.json(&serde_json::json!({"access_token": "at"}));
    assert!(
        !format!("{request:?}").contains("canary") && !format!("{request:?}").contains("applications"),
        "{request:?}"
    );
    let response = request.unwrap().send(&http).await.leak_checked().unwrap();
    assert_eq!((response.status().as_u16(), response.text()), (204, ""));
    let sent = &http.requests()[0];
    assert_eq!((sent.method.as_str(), sent.header("x-version")), ("DELETE", Some("1")));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert!(sent.headers["authorization"].is_sensitive());
    assert!(sent.header("user-agent").unwrap().starts_with("codehost-oauth/"));
}

/// The issuer of a callback (RFC 9207) may be absent. If it is there, it must be the platform's.
#[tokio::test]
async fn each_platform_accepts_its_issuer_and_refuses_another() {
    for platform in Platform::all() {
        let base_url = platform.services().first().map_or("https://git.example.com", |service| service.base_url);
        let provider = platform.provider(BaseUrl::parse(base_url, &Network::public_only()).unwrap()).unwrap();
        let issuer = provider.issuers()[0].to_owned();
        let integration = canned_http::builder(platform.id(), base_url, "canary-issuer").access(Access::SignIn);
        let integration = integration.transport(ScriptedTransport::new()).build().unwrap();
        for (named, code) in [
            (None, "unreachable"),
            (Some(issuer.clone()), "unreachable"),
            (Some(format!("{issuer}/")), "unreachable"),
            (Some("https://evil.example".to_owned()), "other_issuer"),
            (Some(String::new()), "other_issuer"),
        ] {
            let start = integration.begin_login(None).unwrap();
            let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
            let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            let mut parameters = vec![("code", "canary-code"), ("state", &state)];
            parameters.extend(named.as_deref().map(|issuer| ("iss", issuer)));
            let callback = Callback::from_parameters(parameters).unwrap();
            let error = integration.finish_login(start.pending, callback).await.leak_checked().unwrap_err();
            assert_eq!(error.code(), code, "{platform} {named:?}");
        }
    }
}
