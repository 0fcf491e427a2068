//! A provider with the required methods only: each other operation reports that it is not supported, and sends nothing.

use std::sync::Arc;

use codehost_oauth::check::Verdict;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::provider::ProviderWrapper;
use codehost_oauth::setup::{SetupGuide, SetupLink, SetupRequest};
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, AccessToken, AccountKey, AuthorizationRequest, BaseUrl, CallbackUrl, ClientCredentials, Group, Integration,
    IntegrationConfig, LoginPolicy, OAuthProvider, Platform, RefreshToken, Revocation, Scope, ScopeDescription, Scopes,
    TokenBinding, TokenSet, User, VerifiedGrant, gitlab::GitLab,
};
use url::Url;

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http::{self, CannedHttp};

const FORGE: Platform = Platform::new("forge-2", "Forge", |base_url, _| Ok(Arc::new(Forge(GitLab::new(base_url)?))));

/// GitLab's provider, without the optional methods.
#[derive(Debug)]
struct Forge(GitLab);

#[async_trait::async_trait]
impl OAuthProvider for Forge {
    fn platform(&self) -> Platform {
        FORGE
    }
    fn base_url(&self) -> &BaseUrl {
        self.0.base_url()
    }
    fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink> {
        self.0.setup_links(request)
    }
    fn required_scopes(&self, access: &Access) -> Scopes {
        self.0.required_scopes(access)
    }
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        self.0.describe_scope(scope)
    }
    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        self.0.setup_guide(request)
    }
    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        self.0.authorization_url(request)
    }
    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.0.exchange_code(http, client, grant).await
    }
    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.0.refresh(http, client, token, callback_url).await
    }
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        self.0.user(http, token).await
    }
}

fn builder(http: CannedHttp) -> codehost_oauth::IntegrationBuilder {
    let base_url = BaseUrl::parse("https://forge.example.com", &Network::public_only()).unwrap();
    Integration::builder(
        FORGE.provider(base_url).unwrap(),
        http,
        IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Forge".to_owned(),
            public_url: "http://127.0.0.1:9000".parse().unwrap(),
            client_id: "my-id".to_owned(),
            client_secret: "canary-minimal-secret".to_owned(),
            access: Access::Read,
        },
    )
}

#[tokio::test]
async fn unsupported_operations_are_reported_and_send_nothing() {
    let http = CannedHttp::new(|_| Err(TransportError::Unreachable));
    let integration = builder(http.clone()).build().unwrap();
    assert_eq!(integration.provider().issuers(), ["https://forge.example.com"]);
    let revocation = integration.revoke(&canned_http::tokens(&integration, true)).await.leak_checked().unwrap();
    let Revocation::NotSupported { where_to: None, how, .. } = revocation else { panic!("{revocation:?}") };
    assert!(how.contains("settings at the code host"), "{how}");

    let group = Group::path("acme").unwrap();
    let error = builder(http.clone()).policy(LoginPolicy::members_of([group.clone()])).build().unwrap_err();
    assert_eq!(error.code(), "no_groups");
    let token = canned_http::tokens(&integration, false).access_token;
    let error = integration.membership(&token, &group).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "no_groups");

    let report = integration.check().await;
    assert_eq!(report.verdict(), Verdict::CouldNotTell, "{report}");
    assert!(report.to_string().contains("There is no check for this platform"), "{report}");
    assert_eq!(http.urls(), [""; 0]);
}

#[test]
fn platforms_are_compared_by_their_ids() {
    use std::collections::HashSet;
    let platforms = HashSet::from([FORGE, Platform::find("gitlab").unwrap(), FORGE]);
    assert_eq!(platforms.len(), 2);
    assert_eq!(Platform::find("forge-2").unwrap_err().code(), "platform");
}

/// For a constant, this panic is an error of the compiler.
#[test]
fn an_invalid_platform_id_panics() {
    for id in ["", "Forge", "forge/x", "forge ", "förge"] {
        let result =
            std::panic::catch_unwind(|| Platform::new(id, "Forge", |url, _| Ok(Arc::new(Forge(GitLab::new(url)?)))));
        assert!(result.is_err(), "{id:?}");
    }
}

/// A GitLab provider with a mistake in its user.
#[derive(Debug)]
struct OddUser(GitLab, fn(&TokenBinding) -> User);

#[async_trait::async_trait]
impl ProviderWrapper for OddUser {
    type Inner = GitLab;

    fn inner(&self) -> &GitLab {
        &self.0
    }

    async fn user(&self, _: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        Ok((self.1)(token.binding()))
    }
}

#[tokio::test]
async fn the_user_of_any_provider_is_checked() {
    let user_of = async |user: fn(&TokenBinding) -> User| {
        let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
        let provider = OddUser(GitLab::new(base_url).unwrap(), user).into_provider();
        let config = IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "GitLab".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: "id".to_owned(),
            client_secret: "canary-secret".to_owned(),
            access: Access::SignIn,
        };
        let integration = Integration::builder(provider, ScriptedTransport::new(), config).build().unwrap();
        let token = canned_http::tokens(&integration, false).access_token;
        integration.user(&token).await.leak_checked()
    };
    let user = user_of(|binding| {
        let mut user = User::new(AccountKey::new(binding.integration().clone(), "gitlab", "42"));
        user.username = Some("jane\n\u{202E}admin".to_owned());
        user.display_name = Some("\u{200B}".to_owned());
        user
    });
    let user = user.await.unwrap();
    assert_eq!((user.username.as_deref(), user.display_name), (Some("jane\u{FFFD}admin"), None));

    let keys: [fn(&TokenBinding) -> User; 4] = [
        |_| User::new(AccountKey::new("other".parse().unwrap(), "gitlab", "42")),
        |binding| User::new(AccountKey::new(binding.integration().clone(), "github", "42")),
        |binding| User::new(AccountKey::new(binding.integration().clone(), "gitlab", "")),
        |binding| User::new(AccountKey::new(binding.integration().clone(), "gitlab", "4\n2")),
    ];
    for key in keys {
        assert_eq!(user_of(key).await.unwrap_err().code(), "account_key");
    }
}
