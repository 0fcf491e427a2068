//! `Arc`, `Box` and wrappers are providers: every call is forwarded to the provider inside.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::oauth_provider::OAuthProvider;
use super::platform::Platform;
use super::wrapper::{ProviderWrapper, Wrapped};
use crate::error::{ConfigError, Error, VerifyError};
use crate::provider::check::{CheckReport, CheckRequest};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::revocation::Revocation;
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::transport::{ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::User;

macro_rules! forward {
    (impl<$param:ident: $bound:ident $(+ ?$sized:ident)?> for $type:ty) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<$param: $bound $(+ ?$sized)?> OAuthProvider for $type {
            fn platform(&self) -> Platform {
                $bound::platform(&**self)
            }

            fn base_url(&self) -> &BaseUrl {
                $bound::base_url(&**self)
            }

            fn api_url(&self) -> &BaseUrl {
                $bound::api_url(&**self)
            }

            fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink> {
                $bound::setup_links(&**self, request)
            }

            fn required_scopes(&self, access: &Access) -> Scopes {
                $bound::required_scopes(&**self, access)
            }

            fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
                $bound::describe_scope(&**self, scope)
            }

            fn covered_scopes(&self, scope: &Scope) -> Scopes {
                $bound::covered_scopes(&**self, scope)
            }

            fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
                $bound::ensure_scopes(&**self, scopes)
            }

            fn ensure_credentials(&self, client: &ClientCredentials) -> Result<(), ConfigError> {
                $bound::ensure_credentials(&**self, client)
            }

            fn needs_nonce(&self) -> bool {
                $bound::needs_nonce(&**self)
            }

            fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
                $bound::setup_guide(&**self, request)
            }

            fn issuers(&self) -> Vec<&str> {
                $bound::issuers(&**self)
            }

            fn callback_error(&self, error: &str, description: &str) -> Option<VerifyError> {
                $bound::callback_error(&**self, error, description)
            }

            fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
                $bound::authorization_url(&**self, request)
            }

            async fn exchange_code(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                grant: VerifiedGrant,
            ) -> Result<TokenSet, Error> {
                $bound::exchange_code(&**self, http, client, grant).await
            }

            async fn refresh(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                token: &RefreshToken,
                callback_url: &CallbackUrl,
            ) -> Result<TokenSet, Error> {
                $bound::refresh(&**self, http, client, token, callback_url).await
            }

            async fn revoke(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                tokens: &TokenSet,
            ) -> Result<Revocation, Error> {
                $bound::revoke(&**self, http, client, tokens).await
            }

            async fn revoke_pair(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                tokens: &TokenSet,
            ) -> Result<Revocation, Error> {
                $bound::revoke_pair(&**self, http, client, tokens).await
            }

            fn may_be_about_client(&self, refusal: &Error) -> bool {
                $bound::may_be_about_client(&**self, refusal)
            }

            async fn accepts_client(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                callback_url: &CallbackUrl,
            ) -> Result<bool, Error> {
                $bound::accepts_client(&**self, http, client, callback_url).await
            }

            async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
                $bound::user(&**self, http, token).await
            }

            fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
                $bound::ensure_group(&**self, group, scopes)
            }

            fn needs_user_for_membership(&self, group: &Group) -> bool {
                $bound::needs_user_for_membership(&**self, group)
            }

            async fn membership(
                &self,
                http: &dyn Transport,
                token: &AccessToken,
                group: &Group,
                user: Option<&User>,
            ) -> Result<Membership, Error> {
                $bound::membership(&**self, http, token, group, user).await
            }

            fn api_error(&self, response: &ApiResponse) -> Option<Error> {
                $bound::api_error(&**self, response)
            }

            async fn check(
                &self,
                http: &dyn Transport,
                client: &ClientCredentials,
                request: &CheckRequest,
            ) -> CheckReport {
                $bound::check(&**self, http, client, request).await
            }
        }
    };
}

forward!(impl<W: ProviderWrapper> for Wrapped<W>);
forward!(impl<T: OAuthProvider + ?Sized> for Arc<T>);
forward!(impl<T: OAuthProvider + ?Sized> for Box<T>);
