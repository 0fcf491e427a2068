//! A provider with nothing but what the trait demands: what it leaves out ends in a plain answer, and nothing is sent.

use std::sync::Arc;

use codehost_oauth::check::Verdict;
use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::setup::{AppOwner, SetupGuide, SetupLink, SetupRequest};
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, AccessToken, AuthorizationRequest, BaseUrl, CallbackUrl, ClientCredentials, Group, Host, Integration,
    IntegrationId, Membership, OAuthProvider, Platform, RefreshToken, Revocation, Scope, ScopeDescription, Scopes,
    TokenSet, User, VerifiedGrant, gitlab::GitLab,
};
use url::Url;

use crate::stub::{self, Stub};
use crate::watch::Watched as _;

const FORGE: Platform = Platform::new("forge-2", "Forge", |base_url| Ok(Arc::new(Forge(GitLab::new(base_url)?))));

/// As GitLab, where something must be said.
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
    fn setup_links(&self, owner: &AppOwner) -> Vec<SetupLink> {
        self.0.setup_links(owner)
    }
    fn required_scopes(&self, access: &Access) -> Scopes {
        self.0.required_scopes(access)
    }
    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        self.0.describe_scope(scope)
    }
    fn callback_url(&self, host: &Host, id: &IntegrationId) -> CallbackUrl {
        CallbackUrl::new(host, FORGE.id(), id)
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
    ) -> Result<TokenSet, Error> {
        self.0.refresh(http, client, token).await
    }
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        self.0.user(http, token).await
    }
}

fn builder(http: Stub) -> codehost_oauth::IntegrationBuilder {
    let base_url = BaseUrl::parse("https://forge.example.com", &Network::public_only()).unwrap();
    Integration::builder(FORGE.at(base_url).unwrap())
        .id("demo".parse().unwrap())
        .name("Forge")
        .host("http://127.0.0.1:9000".parse().unwrap())
        .client("my-id", "canary-minimal-secret")
        .access(Access::Read)
        .transport(http)
}

#[tokio::test]
async fn what_a_provider_leaves_out_is_said_and_nothing_is_sent() {
    let http = Stub::new(|_| Err(TransportError::Refused));
    let integration = builder(http.clone()).build().unwrap();
    assert_eq!(integration.provider().issuer(), "https://forge.example.com");
    let revocation = integration.revoke(&stub::tokens(&integration, true)).await.watched().unwrap();
    let Revocation::NotSupported { where_to: None, how, .. } = revocation else { panic!("{revocation:?}") };
    assert!(how.contains("settings at the code host"), "{how}");

    let group = Group::path("acme").unwrap();
    let error = builder(http.clone()).require_group(group.clone()).build().unwrap_err();
    assert_eq!(error.code(), "no_groups");
    let token = stub::tokens(&integration, false).access_token;
    let membership = integration.membership(&token, &group).await.watched();
    assert!(matches!(membership, Ok(Membership::Unavailable { cause: None })), "{membership:?}");
    let denied = Membership::Unavailable { cause: None }.require().unwrap_err();
    assert_eq!(denied.code(), "membership_unclear");

    let report = integration.check().await;
    assert_eq!(report.verdict(), Verdict::CouldNotTell, "{report}");
    assert!(report.to_string().contains("There is no check for this platform"), "{report}");
    assert_eq!(http.urls(), [""; 0]);
}

#[test]
fn platforms_are_told_apart_by_their_ids() {
    use std::collections::HashSet;
    let platforms = HashSet::from([FORGE, Platform::find("gitlab").unwrap(), FORGE]);
    assert_eq!(platforms.len(), 2);
    assert_eq!(Platform::find("forge-2").unwrap_err().code(), "platform");
}

/// When a constant is compiled this stops the compiler.
#[test]
fn an_id_that_would_break_callback_urls_is_no_platform() {
    for id in ["", "Forge", "forge/x", "forge ", "förge"] {
        let made =
            std::panic::catch_unwind(|| Platform::new(id, "Forge", |url| Ok(Arc::new(Forge(GitLab::new(url)?)))));
        assert!(made.is_err(), "{id:?}");
    }
}
