//! The codes and audiences of the errors that the app itself causes; those of a code host's responses are in `causes`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::error::Audience::{self, Administrator, Operator, User};
use codehost_oauth::error::{BaseUrlError, ConfigError, SealError, StoreError, TextFault, UntrustedText};
use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::LoginReason;

/// Asserts the code and the audience, and that the hint, the public message and the text are complete.
macro_rules! assert_advice {
    ($seen:ident, $($error:expr => $code:literal, $audience:expr, $transient:literal;)*) => {$({
        let error = $error;
        let found: (&str, Audience, bool) = (error.code(), error.advice().audience, error.advice().is_transient);
        assert_eq!(found, ($code, $audience, $transient), "{error:?}");
        for text in [error.advice().hint, error.advice().public_message, error.to_string().into()] {
            assert!(!text.is_empty() && text.len() < 300 && !text.contains('\n'), "{error:?}: {text}");
        }
        assert!(error.advice().hint.ends_with('.') && error.advice().public_message.ends_with('.'), "{error:?}");
        assert!($seen.insert($code), "{} is the code of two causes", $code);
    })*};
}

fn detail() -> UntrustedText {
    UntrustedText::new("the driver's text")
}

#[test]
fn every_error_of_the_app_has_its_own_code_and_audience() {
    let mut seen = BTreeSet::new();
    assert_advice! { seen,
        ConfigError::PublicUrl(BaseUrlError::Empty) => "public_url", Operator, false;
        ConfigError::IntegrationId => "integration_id", Administrator, false;
        ConfigError::AccountKeyText => "account_key_text", Operator, false;
        ConfigError::NoSlug => "no_slug", Administrator, false;
        ConfigError::Name(TextFault::Empty) => "integration_name", Administrator, false;
        ConfigError::Scope(TextFault::Character) => "scope", Administrator, false;
        ConfigError::NoScopes => "no_scopes", Operator, false;
        ConfigError::ClientId(TextFault::Empty) => "client_id", Administrator, false;
        ConfigError::ClientSecret(TextFault::Character) => "client_secret", Administrator, false;
        ConfigError::OtherBinding { what: "tokens" } => "other_binding", Administrator, false;
        ConfigError::UserNeeded => "user_needed", Operator, false;
        ConfigError::Access => "access", Administrator, false;
        ConfigError::EmailTrust => "email_trust", Administrator, false;
        ConfigError::CallbackPath => "callback_path", Operator, false;
        ConfigError::LoginPath => "login_path", Operator, false;
        ConfigError::Platform { known: "gitlab".to_owned() } => "platform", Administrator, false;
        ConfigError::Cidr => "network", Operator, false;
        ConfigError::NoCertificate => "no_certificate", Administrator, false;
        ConfigError::InvalidCertificate => "invalid_certificate", Administrator, false;
        ConfigError::CertificatesNotSupported => "certificates_not_supported", Operator, false;
        ConfigError::Purpose => "purpose", Operator, false;
        ConfigError::HttpClient => "http_client", Operator, false;
        ConfigError::CryptoProvider => "crypto_provider", Operator, false;
        ConfigError::Random => "random", Operator, false;
        ConfigError::UserId(TextFault::Empty) => "user_id", Operator, false;
        ConfigError::Group { hint: "Enter the group." } => "group", Administrator, false;
        ConfigError::Role { known: "guest, owner".to_owned() } => "role", Administrator, false;
        ConfigError::UnknownScope { scope: "x".to_owned() } => "unknown_scope", Operator, false;
        ConfigError::UnlimitedScopes { needed: "read:user".to_owned() } => "unlimited_scopes", Operator, false;
        ConfigError::UserScope { needed: "read:user".to_owned() } => "user_scope", Operator, false;
        ConfigError::SecretPlaceholder { button: "Regenerate secret" } => "secret_placeholder", Administrator, false;
        ConfigError::GroupScope { scope: "read_api".to_owned() } => "group_scope", Operator, false;
        ConfigError::GroupCount => "group_count", Administrator, false;
        ConfigError::NoEmailDomains => "no_email_domains", Administrator, false;
        ConfigError::EmailDomain => "email_domains", Administrator, false;
        ConfigError::NoSubgroups => "no_subgroups", Operator, false;
        ConfigError::NoGroups => "no_groups", Operator, false;
        ConfigError::ReturnTo => "return_to", User, false;
        ConfigError::ReqwestRedirects => "reqwest_redirects", Operator, false;
        ConfigError::ReqwestDecompression => "reqwest_decompression", Operator, false;
        ConfigError::ReqwestCookies => "reqwest_cookies", Operator, false;
        ConfigError::NoTokenRequest => "no_token_request", Operator, false;
        SealError::NoKey => "seal_no_key", Operator, false;
        SealError::KeyLength { id: 1 } => "seal_key_length", Operator, false;
        SealError::DuplicateKey { id: 1 } => "seal_duplicate_key", Operator, false;
        SealError::KeyText => "seal_key_text", Operator, false;
        SealError::UnknownKey { id: 1 } => "seal_unknown_key", Operator, false;
        SealError::Rejected => "seal_rejected", Operator, false;
        SealError::Malformed => "seal_malformed", Operator, false;
        SealError::Expired => "seal_expired", User, false;
        SealError::TooLarge => "seal_too_large", Operator, false;
        StoreError::TimedOut => "store_timed_out", Operator, true;
        StoreError::Unreachable { detail: detail() } => "store_unreachable", Operator, true;
        StoreError::NotPrimary { detail: detail() } => "store_not_primary", Operator, true;
        StoreError::Refused { detail: detail() } => "store_refused", Operator, true;
        StoreError::Schema { found: 2 } => "store_schema", Operator, false;
        StoreError::Malformed { id: "demo".to_owned() } => "store_malformed", Operator, false;
        StoreError::Address { detail: detail() } => "store_address", Operator, false;
        KeeperError::Unsaved { cause: StoreError::TimedOut } => "tokens_unsaved", Operator, false;
        KeeperError::UnknownIntegration => "unknown_integration", Operator, false;
        KeeperError::Interrupted => "interrupted_refresh", Operator, true;
        KeeperError::Retry { after: Duration::from_secs(1), cause: None } => "refresh_running", Operator, true;
        KeeperError::App(Arc::new(std::fmt::Error)) => "find_integration_failed", Operator, true;
        KeeperError::NeedsLogin(LoginReason::NotConnected) => "not_connected", User, false;
        KeeperError::NeedsLogin(LoginReason::NoRefreshToken) => "no_refresh_token", User, false;
        KeeperError::NeedsLogin(LoginReason::RefreshTokenRejected) => "refresh_rejected", User, false;
        KeeperError::NeedsLogin(LoginReason::ResponseLost) => "refresh_response_lost", User, false;
        KeeperError::NeedsLogin(LoginReason::SubjectChanged) => "refresh_subject_changed", User, false;
        KeeperError::NeedsLogin(LoginReason::ScopesMissing { scopes: "api".parse().unwrap() }) => "scopes_missing", User, false;
    }
    assert_eq!(SealError::Random.code(), ConfigError::Random.code(), "the same failure of the system");
}

/// They end without a change of the integration, so the administrator cannot do anything.
#[test]
fn errors_of_the_keeper_and_its_store_do_not_blame_the_integration() {
    for error in [
        KeeperError::Retry { after: Duration::from_secs(1), cause: None },
        KeeperError::Interrupted,
        KeeperError::App(Arc::new(std::fmt::Error)),
        KeeperError::Unsaved { cause: StoreError::TimedOut },
        KeeperError::Store(StoreError::TimedOut),
    ] {
        let expected = "Your connection to the code host cannot be used at the moment. Please try again later.";
        assert_eq!(error.advice().public_message, expected, "{error:?}");
    }
}

/// An operator then needs one table of codes only.
#[test]
fn a_wrapping_error_has_the_code_and_text_of_its_cause() {
    let cause = SealError::Rejected;
    let error = KeeperError::from(cause.clone());
    assert_eq!((error.code(), error.advice().hint), (cause.code(), cause.advice().hint));
    let cause = StoreError::Schema { found: 2 };
    let error = KeeperError::from(cause.clone());
    assert_eq!((error.code(), error.to_string()), (cause.code(), cause.to_string()));
    let cause = ConfigError::OtherBinding { what: "tokens" };
    assert_eq!(KeeperError::from(cause.clone()).to_string(), cause.to_string());

    let timed_out = Arc::new(codehost_oauth::error::Error::from(codehost_oauth::error::TransportError::TimedOut));
    let after = Duration::from_secs(30);
    let error = KeeperError::Retry { after, cause: Some(Arc::clone(&timed_out)) };
    assert_eq!((error.code(), error.advice().retry_after), ("timed_out", Some(after)));
    let error = KeeperError::Refused { after, cause: timed_out };
    assert_eq!((error.code(), error.advice().audience), ("timed_out", Administrator));
}
