//! Every error has one sentence for its cause, and a hint that begins with what to do.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codehost_oauth::error::{
    AccountError, Advice, ApiError, BaseUrlError, CallbackError, ConfigError, Error, ProxyError, ResponseError,
    SealError, StoreError, TextFault, TokenError, TransportError, UntrustedText, VerifyError,
};
use codehost_oauth::keeper::{KeeperError, LoginReason};
use codehost_oauth::router::FailureCause;
use codehost_oauth::settings::{IntegrationsError, MoveKind};
use codehost_oauth::transport::{HttpClient, Network};

use crate::support::programs::root;

/// What a hint may begin with.
const VERBS: &str = "Accept Add Allow Ask Build Change Check Choose Compare Configure Confirm Copy Correct Create Decide Enable Enter \
    Find Fix Give Install Keep Let Log Look Mount Name Open Pass Paste Propose Put Read Refresh Remove Renew Repair Revoke Send \
    Set Start Store Switch Synchronize Tick Trust Try Turn Unlock Update Use Wait Write";

#[tokio::test]
async fn every_hint_begins_with_a_verb_and_every_cause_is_one_sentence() {
    let walked = walked().await;
    for (name, cause, advice) in &walked {
        let text = format!("{name}: {cause} | {} | {}", advice.hint, advice.public_message);
        assert!(VERBS.split_whitespace().any(|verb| advice.hint.split(' ').next() == Some(verb)), "{text}");
        assert!(
            advice.hint.ends_with('.') || advice.hint.contains("http") || advice.hint.contains("openssl"),
            "{text}"
        );
        assert!(!cause.contains(". ") && !cause.ends_with('.') && !cause.contains("  "), "{text}");
        assert!(advice.public_message.ends_with(['.', ')']) && !advice.public_message.contains('`'), "{text}");
    }
    // A variant that is missing above would not be checked.
    let found: BTreeSet<_> = walked.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(found, declared());
}

/// The hints that only a platform can give.
#[test]
fn hints_of_platforms_begin_with_a_verb() {
    let mut count = 0;
    for folder in ["", "bitbucket_cloud", "bitbucket_data_center", "forgejo", "github", "gitlab"] {
        for file in fs::read_dir(root().join("src/platforms").join(folder)).unwrap() {
            let path = file.unwrap().path();
            let source = if path.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            for hint in source.split("hint: \"").skip(1) {
                let verb = hint.split(' ').next().unwrap();
                assert!(VERBS.split_whitespace().any(|known| known == verb), "{}: {hint:.60}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 8, "{count}");
}

/// Name, text and advice of each error.
async fn walked() -> Vec<(String, String, Advice)> {
    let mut all = Vec::new();
    macro_rules! walk {
        ($type:ident: $($error:expr,)*) => {$({
            let error: $type = $error;
            all.push((name(stringify!($type), &error), error.to_string(), error.advice()));
        })*};
    }
    let text = || "x".to_owned();
    let detail = || UntrustedText::new("x");
    let link = || "https://git.example.com/applications".parse().ok().map(Box::new);
    let private = codehost_oauth::BaseUrl::parse("https://10.0.0.5", &Network::any()).unwrap();
    let public_only = HttpClient::builder(Network::public_only()).build().unwrap();
    let refused = crate::support::get(&public_only, private.as_str(), 1).await.unwrap_err();
    walk! { ConfigError:
        ConfigError::PublicUrl(BaseUrlError::Empty),
        ConfigError::IntegrationId, ConfigError::AccountKeyText, ConfigError::NoSlug,
        ConfigError::Name(TextFault::Empty), ConfigError::Scope(TextFault::Empty), ConfigError::NoScopes,
        ConfigError::ClientId(TextFault::Empty), ConfigError::ClientSecret(TextFault::Empty),
        ConfigError::OtherBinding { what: "tokens" },
        ConfigError::AccountKey, ConfigError::UserNeeded, ConfigError::Access, ConfigError::EmailTrust,
        ConfigError::CallbackPath, ConfigError::LoginPath, ConfigError::Platform { known: text() },
        ConfigError::Cidr, ConfigError::AllowedName,
        ConfigError::ProxyUrl, ConfigError::ProxyUser(TextFault::Empty), ConfigError::ProxyPassword(TextFault::Character),
        ConfigError::ProxySocksCredentials { limit: 128 },
        ConfigError::HeaderName { position: 1 }, ConfigError::HeaderValue { position: 1 },
        ConfigError::HeaderReserved { name: text() },
        ConfigError::NoClientCertificate, ConfigError::InvalidClientCertificate, ConfigError::ClientCertificateExpired,
        ConfigError::ClientKey, ConfigError::ClientKeyEncrypted, ConfigError::ClientKeyPassword, ConfigError::ClientKeyMismatch,
        ConfigError::NoCertificate, ConfigError::InvalidCertificate, ConfigError::CertificatesNotSupported,
        ConfigError::HttpClient, ConfigError::CryptoProvider, ConfigError::Random, ConfigError::Purpose,
        ConfigError::UserId(TextFault::Empty),
        codehost_oauth::Group::path("a//b").unwrap_err(),
        ConfigError::GroupCount, ConfigError::NoEmailDomains, ConfigError::EmailDomain, ConfigError::Role { known: text() },
        ConfigError::UnknownScope { scope: text() }, ConfigError::UnlimitedScopes { needed: text() },
        ConfigError::UserScope { needed: text() }, ConfigError::SecretPlaceholder { button: "x" },
        ConfigError::GroupScope { scope: text() },
        ConfigError::NoSubgroups, ConfigError::NoGroups, ConfigError::ReturnTo,
        ConfigError::ReqwestRedirects, ConfigError::ReqwestDecompression, ConfigError::ReqwestCookies,
        ConfigError::JsonBody, ConfigError::SecondAdminRoutes, ConfigError::NoTokenRequest,
    }
    walk! { BaseUrlError:
        BaseUrlError::Empty, BaseUrlError::TooLong, BaseUrlError::NoScheme, BaseUrlError::Scheme, BaseUrlError::PlainHttp,
        BaseUrlError::NotAscii { read_as: None }, BaseUrlError::NotAscii { read_as: Some(text()) },
        BaseUrlError::Character { found: 'x' }, BaseUrlError::UserInfo, BaseUrlError::QueryOrFragment,
        BaseUrlError::NoHost, BaseUrlError::InvalidHost, BaseUrlError::HostSpelling { read_as: text() },
        BaseUrlError::TrailingDot, BaseUrlError::LocalName, BaseUrlError::AddressNotAllowed, BaseUrlError::Port,
        BaseUrlError::Path, BaseUrlError::OtherPlatform { reason: "x", hint: "Enter x." },
    }
    walk! { CallbackError:
        CallbackError::TooLong, CallbackError::Repeated { name: "x" }, CallbackError::Encoding, CallbackError::CodeAndError,
        CallbackError::Implicit,
    }
    walk! { VerifyError:
        VerifyError::StateMissing, VerifyError::StateUnknown, VerifyError::OtherIntegration, VerifyError::OtherCallbackUrl,
        VerifyError::OtherPurpose, VerifyError::OtherUser, VerifyError::Expired, VerifyError::Clock,
        VerifyError::OtherIssuer { expected: text() }, VerifyError::IdToken { claim: "iss" },
        VerifyError::IdToken { claim: "exp" }, VerifyError::IdToken { claim: "aud" }, VerifyError::Denied,
        VerifyError::ScopeNotEnabled, VerifyError::ConsentTooNarrow { where_to: link() }, VerifyError::CallbackUrlRejected,
        VerifyError::ApplicationSuspended, VerifyError::Unavailable,
        VerifyError::Refused { error: detail(), description: None }, VerifyError::CodeMissing, VerifyError::Code,
    }
    walk! { TransportError:
        TransportError::NameNotAllowed, refused, TransportError::PlainHttp, TransportError::NoTls,
        TransportError::NameNotFound, TransportError::NameLookupTimedOut, TransportError::Unreachable,
        TransportError::TlsUntrusted, TransportError::TlsMissingIntermediate, TransportError::TlsExpired,
        TransportError::TlsNotYetValid, TransportError::TlsWrongName, TransportError::TlsCommonNameOnly,
        TransportError::TlsCertificate, TransportError::Tls, TransportError::ClientCertificate,
        TransportError::NoAuthorities, TransportError::Proxy(ProxyError::Tls), TransportError::TimedOut,
        TransportError::Busy, TransportError::Interrupted, TransportError::Protocol, TransportError::TooLarge { limit: 1 },
        TransportError::Encoded, TransportError::Redirected,
    }
    walk! { ResponseError:
        ResponseError::Redirect { to: None }, ResponseError::Redirect { to: Some(text()) },
        ResponseError::ClientCertificate, ResponseError::Html, ResponseError::NotJson,
        ResponseError::Malformed { field: "x" }, ResponseError::RateLimited { retry_after: None },
        ResponseError::BotChallenge, ResponseError::Unavailable { retry_after: None }, ResponseError::ReadOnly,
        ResponseError::Status,
    }
    walk! { ProxyError:
        ProxyError::NameNotFound, ProxyError::Unreachable, ProxyError::Certificate, ProxyError::Tls,
        ProxyError::CredentialsMissing, ProxyError::CredentialsRefused, ProxyError::Forbidden, ProxyError::CodeHostNotFound,
        ProxyError::CodeHostUnreachable, ProxyError::TimedOut, ProxyError::Protocol,
    }
    walk! { TokenError:
        TokenError::ClientRejected { setup_link: link() },
        TokenError::CallbackUrlRejected { callback_url: "https://app.example.com".to_owned(), setup_link: link() },
        TokenError::CodeRejected, TokenError::RefreshRejected, TokenError::ScopeRejected, TokenError::GrantNotAllowed,
        TokenError::Refused,
    }
    walk! { ApiError:
        ApiError::TokenExpired, ApiError::TokenRevoked, ApiError::TokenRejected,
        ApiError::ScopeMissing { missing: vec![text()], setup_link: link() },
        ApiError::ConsentTooNarrow { missing: vec![text()], where_to: link() },
        ApiError::ApplicationNotApproved, ApiError::EndpointRemoved, ApiError::TooOld { needed: "x" }, ApiError::NotFound,
        ApiError::ResourceNotFound, ApiError::Forbidden,
    }
    walk! { AccountError:
        AccountError::TermsNotAccepted { url: link() }, AccountError::Blocked, AccountError::Deactivated,
        AccountError::PendingApproval, AccountError::Unconfirmed, AccountError::Locked, AccountError::CaptchaRequired,
        AccountError::PasswordExpired, AccountError::NotAPerson, AccountError::NotActive, AccountError::SignOnRequired,
        AccountError::NotAMember, AccountError::TwoFactorRequired, AccountError::TwoFactorUnknown, AccountError::External,
        AccountError::ExternalUnknown, AccountError::EmailDomain, AccountError::OtherAccount,
        AccountError::MembershipScope { scope: text() }, AccountError::EmailNotTrusted, AccountError::EmailEvidenceUnknown,
        AccountError::EmailsIncomplete, AccountError::EmailScope, AccountError::EmailNotAscii, AccountError::NoTrustedEmail,
    }
    walk! { SealError:
        SealError::NoKey, SealError::KeyLength { id: 1 }, SealError::DuplicateKey { id: 1 }, SealError::KeyText,
        SealError::UnknownKey { id: 1 }, SealError::Rejected, SealError::Malformed, SealError::Expired, SealError::TooLarge,
        SealError::Random,
    }
    walk! { StoreError:
        StoreError::TimedOut, StoreError::Unreachable { detail: detail() }, StoreError::NotPrimary { detail: detail() },
        StoreError::Refused { detail: detail() }, StoreError::Schema { found: 2 }, StoreError::Malformed { id: text() },
        StoreError::Address { detail: detail() },
    }
    let (after, cause) = (Duration::from_secs(1), Arc::new(Error::from(VerifyError::Denied)));
    walk! { KeeperError:
        KeeperError::NeedsLogin(LoginReason::NotConnected),
        KeeperError::NeedsLogin(LoginReason::ScopesMissing { scopes: "api".parse().unwrap() }),
        KeeperError::Retry { after, cause: None }, KeeperError::Refused { after, cause },
        KeeperError::Unsaved { cause: StoreError::TimedOut }, KeeperError::UnknownIntegration,
        KeeperError::Config(ConfigError::Random), KeeperError::Store(StoreError::TimedOut),
        KeeperError::Seal(SealError::Random), KeeperError::App(Arc::new(std::fmt::Error)), KeeperError::Interrupted,
    }
    walk! { FailureCause:
        FailureCause::Login(VerifyError::Denied.into()), FailureCause::UnknownIntegration, FailureCause::Csrf,
        FailureCause::NotLoggedIn, FailureCause::LoggedOut, FailureCause::IntegrationGone, FailureCause::IntegrationChanged,
        FailureCause::NoSessionLayer { layer: "x" }, FailureCause::TooLongToKeep, FailureCause::OtherPublicUrl, FailureCause::Session("x".into()),
        FailureCause::LoginHandler("x".into()), FailureCause::FindIntegration("x".into()),
    }
    walk! { IntegrationsError:
        IntegrationsError::Fields(Default::default()), IntegrationsError::Stale { stored: Box::new(stored()) },
        IntegrationsError::Deleted, IntegrationsError::IdTaken, IntegrationsError::IsMove(MoveKind::NewServer),
        IntegrationsError::NoProposal, IntegrationsError::ProposalExpired, IntegrationsError::Refused("x".into()),
        IntegrationsError::Store(StoreError::TimedOut), IntegrationsError::Seal(SealError::Random),
    }
    all
}

fn stored() -> codehost_oauth::settings::StoredIntegration {
    use codehost_oauth::settings::{IntegrationSettings, Stamp, StoredIntegration};
    let settings = IntegrationSettings::new("gitlab", "https://git.example.com", codehost_oauth::Access::SignIn);
    let created = Stamp::new("jane", SystemTime::UNIX_EPOCH);
    StoredIntegration::new("demo".parse().unwrap(), None, settings, Vec::new(), created)
}

/// `Enum::Variant`.
fn name(of: &str, error: &(impl Debug + Display)) -> String {
    let debug = format!("{error:?}");
    format!("{of}::{}", debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
}

/// The variants of the enums, as the source declares them.
fn declared() -> BTreeSet<String> {
    let files = [
        "error/base_url.rs",
        "error/config.rs",
        "error/login.rs",
        "error/platform.rs",
        "error/proxy.rs",
        "error/seal.rs",
        "error/store.rs",
        "error/transport.rs",
        "keeper/error.rs",
        "router/failure.rs",
        "settings/error.rs",
    ];
    let mut all = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(root().join("src").join(file)).unwrap();
        for part in source.split("\npub enum ").skip(1) {
            let (of, body) = part.split_once(" {\n").unwrap();
            for line in body.split("\n}\n").next().unwrap().lines() {
                let variant =
                    line.strip_prefix("    ").filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
                let variant = variant.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap());
                all.extend(variant.map(|variant| format!("{of}::{variant}")));
            }
        }
    }
    all
}
