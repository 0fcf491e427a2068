//! Misuse that must not compile. A trait that is derived by mistake makes one of these calls ambiguous, and the tests do not build.

use std::fmt::Display;

use codehost_oauth::keeper::TokenKeeper;
use codehost_oauth::router::CsrfToken;
use codehost_oauth::seal::{KeyRing, Plaintext};
use codehost_oauth::settings::{IntegrationSecrets, Integrations};
use codehost_oauth::transport::HttpClient;
use codehost_oauth::{
    AccessToken, AuthorizationUrl, Callback, ClientCredentials, Integration, Login, PendingLogin, PendingLogins,
    RefreshToken, TokenSet, VerifiedGrant,
};
use serde::Serialize;

/// Fails to compile if one of the types has one of the traits: then the type has two methods of that name.
macro_rules! assert_not_implemented {
    ($($type:ty),+; $traits:tt) => {
        $(assert_not_implemented!(@one $type; $traits);)+
    };
    (@one $type:ty; ($($trait:path),+)) => {
        $({
            trait Ambiguous<Which> {
                fn found() {}
            }
            struct Implemented;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
            <$type as Ambiguous<_>>::found();
        })+
    };
}

#[test]
fn secrets_are_not_serialized_printed_compared_or_copied() {
    assert_not_implemented!(
        AccessToken, RefreshToken, TokenSet, ClientCredentials, VerifiedGrant, Callback, AuthorizationUrl, Plaintext, CsrfToken;
        (Serialize, Display, PartialEq, Clone)
    );
    assert_not_implemented!(IntegrationSecrets, KeyRing; (Serialize, Display, PartialEq));
}

#[test]
fn a_login_is_not_kept_or_finished_twice() {
    assert_not_implemented!(PendingLogin, PendingLogins; (Display, PartialEq, Clone));
    assert_not_implemented!(Login; (Serialize, Display, PartialEq, Clone, Default));
}

/// They are in an app's state, and in its tasks.
#[test]
fn what_an_app_shares_can_be_shared() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Integration>();
    is_shared::<Integrations>();
    is_shared::<HttpClient>();
    is_shared::<TokenKeeper>();
    is_shared::<Login>();
    is_shared::<PendingLogins>();
    is_shared::<codehost_oauth::router::LoginRoutes>();
    is_shared::<codehost_oauth::admin::AdminRoutes>();
    is_shared::<codehost_oauth::error::Error>();
    is_shared::<codehost_oauth::keeper::KeeperError>();
    is_shared::<codehost_oauth::settings::IntegrationsError>();
}
