use url::Url;

use super::{Advice, advised};

/// Why the token endpoint refused (RFC 6749 section 5.2).
///
/// ```
/// use codehost_oauth::error::{Audience, TokenError};
///
/// let error = TokenError::ClientRejected { setup_link: "https://git.example.com/admin/applications".parse().ok().map(Box::new) };
/// assert_eq!((error.code(), error.advice().audience), ("client_rejected", Audience::Administrator));
/// assert!(error.advice().hint.contains("https://git.example.com/admin/applications"));
/// assert!(!error.advice().public_message.contains("git.example.com"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Wrong client id or secret.
    #[error("the code host does not accept the ID and secret of the OAuth application")]
    ClientRejected {
        /// Where the administrator finds the OAuth application.
        setup_link: Option<Box<Url>>,
    },
    /// The OAuth application has no callback URL, or another one.
    #[error("the OAuth application has no callback URL, or another one than {callback_url}")]
    CallbackUrlRejected {
        /// The callback URL to register.
        callback_url: String,
        /// Where the administrator finds the OAuth application.
        setup_link: Option<Box<Url>>,
    },
    /// The code is expired, was used before, or belongs to another application, callback URL or verifier.
    #[error("the code host does not accept the code: it has expired or was used before, or the callback URL differs")]
    CodeRejected,
    /// The refresh token is expired, revoked or was used before.
    #[error("the code host no longer accepts the refresh token")]
    RefreshRejected,
    /// A scope that the OAuth application lacks.
    #[error("the OAuth application does not have every scope that was asked for")]
    ScopeRejected,
    /// A grant type that the OAuth application may not use.
    #[error("the OAuth application may not use this grant type")]
    GrantNotAllowed,
    /// Another error code.
    #[error("the code host refused the token request")]
    Refused,
}

impl TokenError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::ClientRejected { setup_link } => Advice::administrator(
                "client_rejected",
                format!(
                    "Copy ID and secret of the OAuth application{} again, and nothing else. If both are right, wait some minutes: a code host may refuse a client for \
                     a while.",
                    at(setup_link.as_deref())
                ),
            ),
            Self::CallbackUrlRejected { callback_url, setup_link } => Advice::administrator(
                "callback_url_rejected",
                format!("Set the callback URL of the OAuth application{} to {callback_url}", at(setup_link.as_deref())),
            ),
            Self::CodeRejected => {
                Advice::user("code_rejected", "Start the login again, and do not reload the page before it ends.")
            }
            Self::RefreshRejected => Advice::user("refresh_rejected", "Log in again.").needs_login(),
            Self::ScopeRejected => Advice::scope_not_enabled(),
            Self::GrantNotAllowed => Advice::administrator(
                "grant_not_allowed",
                "Allow the grant types authorization code and refresh token in the OAuth application.",
            ),
            Self::Refused => {
                Advice::administrator("token_refused", "Compare the OAuth application with the setup guide.")
            }
        }
    }
}

/// Why the API refused a token.
///
/// ```
/// use codehost_oauth::error::ApiError;
///
/// let error = ApiError::ScopeMissing { missing: vec!["Account: Read".to_owned()], setup_link: None };
/// assert_eq!(error.to_string(), "the OAuth application lacks the scope Account: Read");
/// assert!(ApiError::TokenRevoked.advice().needs_login && !ApiError::TokenExpired.advice().needs_login);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The access token has expired: refresh it.
    #[error("the access token has expired")]
    TokenExpired,
    /// The access token was revoked, or another node has refreshed it.
    #[error("the access token was revoked")]
    TokenRevoked,
    /// The access token is unknown, or the platform does not say what is wrong with it.
    #[error("the access token is not accepted")]
    TokenRejected,
    /// The OAuth application lacks a scope.
    #[error("the OAuth application lacks the scope {}", missing.join(", "))]
    ScopeMissing {
        /// The labels of the check boxes to tick. If one label has "or" in it, one of those is enough.
        missing: Vec<String>,
        /// Where the administrator finds the OAuth application.
        setup_link: Option<Box<Url>>,
    },
    /// The user has authorized the OAuth application before, with fewer scopes, and the code host keeps those.
    #[error("the user's earlier authorization lacks the scope {}", missing.join(", "))]
    ConsentTooNarrow {
        /// The scopes that are missing.
        missing: Vec<String>,
        /// Where the user revokes the authorization.
        where_to: Option<Box<Url>>,
    },
    /// The organization has not approved the OAuth application.
    #[error("the organization has not approved the OAuth application")]
    ApplicationNotApproved,
    /// The platform removed the endpoint (HTTP 410).
    #[error("the platform has removed an endpoint that this version uses")]
    EndpointRemoved,
    /// The code host is a version that cannot do this.
    #[error("this code host cannot do that: {needed} or later is needed")]
    TooOld {
        /// The platform and the version.
        needed: &'static str,
    },
    /// The code host has no such endpoint.
    #[error("the code host has no such endpoint")]
    NotFound,
    /// A call of the app asked for something that does not exist, or that this user may not see. Code hosts do not say which.
    #[error("the code host does not have this, or this user may not see it")]
    ResourceNotFound,
    /// Refused, for a reason that the platform does not give in a known form.
    #[error("the code host refused the request")]
    Forbidden,
}

impl ApiError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::TokenExpired => Advice::user("token_expired", "Refresh the tokens, or log in again.")
                .public("This session with the code host has expired. Please log in again."),
            Self::TokenRevoked => Advice::user("token_revoked", "Log in again.").needs_login(),
            Self::TokenRejected => Advice::user("token_rejected", "Log in again.").needs_login(),
            Self::ScopeMissing { missing, setup_link } => Advice::administrator(
                "scope_missing",
                format!(
                    "Tick {} in the OAuth application{}, then log in again.",
                    missing.join(", "),
                    at(setup_link.as_deref())
                ),
            ),
            Self::ConsentTooNarrow { where_to, .. } => Advice::consent_too_narrow(where_to.as_deref()),
            Self::ApplicationNotApproved => Advice::administrator(
                "application_not_approved",
                "Ask an owner of the organization to approve this OAuth application, or register it in the organization.",
            ),
            Self::EndpointRemoved => Advice::operator("endpoint_removed", "Update codehost-oauth."),
            Self::TooOld { .. } => Advice::administrator(
                "code_host_too_old",
                "Create the OAuth application by hand, as the setup guide shows, or update the code host.",
            ),
            Self::NotFound => Advice::administrator(
                "api_not_found",
                "Check that the base URL is that of a code host of this platform, with its sub-path.",
            ),
            Self::ResourceNotFound => {
                Advice::user("resource_not_found", "Check at the code host that it exists, and that you may see it.")
            }
            Self::Forbidden => Advice::administrator(
                "forbidden",
                "Read the code host's message in the error's response, or look up the request ID in its logs.",
            ),
        }
    }
}

/// Why a user cannot log in although the code host knows them.
///
/// The tokens are not the cause. Keep them, since the user or the code host's administrator can fix it; only those of
/// [another account](Self::OtherAccount) are of no use.
///
/// ```
/// use codehost_oauth::error::{AccountError, Audience};
///
/// assert_eq!(AccountError::Blocked.code(), "account_blocked");
/// assert_eq!(AccountError::TermsNotAccepted { url: None }.advice().audience, Audience::User);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The user has not accepted the terms of service.
    #[error("the user has not accepted the code host's terms of service")]
    TermsNotAccepted {
        /// The page to accept them, if it is below the base URL.
        url: Option<Box<Url>>,
    },
    /// Blocked or banned.
    #[error("the account is blocked")]
    Blocked,
    /// Deactivated, until the user logs in at the code host.
    #[error("the account is deactivated")]
    Deactivated,
    /// Waits for an administrator's approval.
    #[error("the account waits for approval")]
    PendingApproval,
    /// The primary e-mail address is not confirmed.
    #[error("the account's e-mail address is not confirmed")]
    Unconfirmed,
    /// Locked after failed sign-ins.
    #[error("the account is locked")]
    Locked,
    /// The user must answer a CAPTCHA at the code host, after failed sign-ins.
    #[error("the code host requires the user to answer a CAPTCHA")]
    CaptchaRequired,
    /// The password has expired.
    #[error("the account's password has expired")]
    PasswordExpired,
    /// A bot, a service account or an app, not a user.
    #[error("the account belongs to a bot or an app, not to a person")]
    NotAPerson,
    /// Another state than active.
    #[error("the account is not active")]
    NotActive,
    /// An organization of the user requires its own sign-on first.
    #[error("the organization requires its own single sign-on")]
    SignOnRequired,
    /// Not a member of the required group, or with a lower role than required.
    #[error("the user is not a member of the required group with the required role")]
    NotAMember,
    /// The integration requires two-factor authentication, which the account does not have.
    #[error("the account has no two-factor authentication")]
    TwoFactorRequired,
    /// The integration requires two-factor authentication, but the code host does not say whether the account has it.
    #[error("the code host does not say whether the account has two-factor authentication")]
    TwoFactorUnknown,
    /// The integration refuses external users, and the account is marked as one.
    #[error("the account is marked as external")]
    External,
    /// The integration refuses external users, but the code host does not say whether the account is one.
    #[error("the code host does not say whether the account is external")]
    ExternalUnknown,
    /// The integration requires an e-mail address at certain domains, and no trusted address of the account is at one.
    #[error("the account has no trusted e-mail address at an accepted domain")]
    EmailDomain,
    /// The tokens belong to another account than the stored one.
    #[error("the tokens belong to another account")]
    OtherAccount,
    /// The token lacks the scope to look up the membership.
    #[error("the OAuth application lacks the scope {scope}, so the membership cannot be checked")]
    MembershipScope {
        /// The scope.
        scope: String,
    },
    /// The code host says that an e-mail address is confirmed, but the integration's e-mail trust does not accept that.
    #[error("the app does not trust this code host to confirm e-mail addresses")]
    EmailNotTrusted,
    /// The code host does not say whether the user has confirmed the e-mail address.
    #[error("the code host does not say whether the e-mail address is confirmed")]
    EmailEvidenceUnknown,
    /// The code host did not give all e-mail addresses, and the one that is needed is not among those that it gave.
    #[error("the code host did not give all of the account's e-mail addresses")]
    EmailsIncomplete,
    /// The token lacks the scope for e-mail addresses.
    #[error("the OAuth application lacks the scope for e-mail addresses")]
    EmailScope,
    /// The primary e-mail address has characters outside ASCII before the `@`: they can look like others.
    #[error("the account's primary e-mail address has letters outside ASCII before the @")]
    EmailNotAscii,
    /// No e-mail address that the integration's e-mail trust accepts.
    #[error("the account has no e-mail address that can be trusted")]
    NoTrustedEmail,
}

impl AccountError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::TermsNotAccepted { url } => Advice::user(
                "terms_not_accepted",
                format!("Accept the terms of service at the code host{}, then log in again.", at(url.as_deref())),
            ),
            Self::Blocked => {
                Advice::user("account_blocked", "Ask an administrator of the code host to unblock your account.")
            }
            Self::Deactivated => Advice::user(
                "account_deactivated",
                "Log in at the code host once, then log in here again. If you cannot, ask an administrator of the code host to activate your account.",
            ),
            Self::PendingApproval => Advice::user(
                "account_pending_approval",
                "Ask an administrator of the code host to approve your account.",
            ),
            Self::Unconfirmed => {
                Advice::user("account_unconfirmed", "Confirm your e-mail address at the code host, then log in again.")
            }
            Self::Locked => Advice::user("account_locked", "Unlock your account at the code host, then log in again."),
            Self::CaptchaRequired => {
                Advice::user("account_captcha_required", "Log in once at the code host in a browser, then log in here again.")
            }
            Self::PasswordExpired => {
                Advice::user("account_password_expired", "Set a new password at the code host, then log in again.")
            }
            Self::NotAPerson => Advice::user("account_not_a_person", "Log in with a personal account."),
            Self::NotActive => {
                Advice::user("account_not_active", "Ask an administrator of the code host about your account.")
            }
            Self::SignOnRequired => Advice::user(
                "sign_on_required",
                "Log in to your organization at the code host, then log in here again.",
            ),
            Self::NotAMember => Advice::user(
                "not_a_member",
                "Ask the owners of the required group to add you, then log in again.",
            ),
            Self::TwoFactorRequired => Advice::user(
                "two_factor_required",
                "Turn on two-factor authentication at the code host, then log in again.",
            ),
            Self::TwoFactorUnknown => Advice::administrator(
                "two_factor_unknown",
                "Choose an access level with which this code host reports two-factor authentication, or switch off \"Only users with two-factor authentication\" in this integration.",
            ),
            Self::External => Advice::user(
                "external",
                "Ask an administrator of the code host about your account: external users cannot log in here.",
            ),
            Self::ExternalUnknown => Advice::administrator(
                "external_unknown",
                "Switch off \"No external users\" in this integration: the code host does not say which accounts are external.",
            ),
            Self::EmailDomain => Advice::user(
                "email_domain",
                "Add your work address at the code host and confirm it, then log in again.",
            ),
            Self::OtherAccount => Advice::user("other_account", "Log in again.").needs_login(),
            Self::MembershipScope { scope } => Advice::administrator(
                "membership_scope",
                format!(
                    "Choose an access level with the scope {scope}, tick it in the OAuth application if its form has boxes for scopes, \
                     then log in again."
                ),
            ),
            Self::EmailNotTrusted => Advice::operator(
                "email_not_trusted",
                "Trust the confirmed addresses of this server in the integration's settings, if you trust its operator to confirm e-mail addresses.",
            ),
            Self::EmailEvidenceUnknown => Advice::operator(
                "email_evidence_unknown",
                "Trust addresses without verification in the integration's settings, if you trust the operator of the code host to give each user the right address.",
            ),
            Self::EmailsIncomplete => Advice::code_host(
                "emails_incomplete",
                "Try again in a moment. If it happens again, find out why the code host does not list the e-mail addresses.",
            )
            .transient(),
            Self::EmailScope => Advice::administrator(
                "email_scope",
                "Allow e-mail addresses in the OAuth application, as its setup guide says, then log in again.",
            ),
            Self::EmailNotAscii => Advice::user(
                "email_not_ascii",
                "Choose a primary e-mail address at the code host that has only the letters a-z, digits and punctuation before the @, then log in again.",
            ),
            Self::NoTrustedEmail => Advice::user(
                "no_trusted_email",
                "Confirm your primary e-mail address at the code host, then log in again.",
            ),
        }
    }
}

impl Advice {
    pub(super) fn scope_not_enabled() -> Self {
        Self::administrator(
            "scope_not_enabled",
            "Allow every scope of the setup guide in the OAuth application. If its form has no boxes for them, choose another access level.",
        )
    }

    pub(super) fn consent_too_narrow(where_to: Option<&Url>) -> Self {
        let link = at(where_to);
        let hint = format!("Revoke the access of this app in your settings at the code host{link}, then log in again.");
        Self::user("consent_too_narrow", hint)
    }
}

fn at(link: Option<&Url>) -> String {
    link.map(|link| format!(" ({link})")).unwrap_or_default()
}

advised!(TokenError);
advised!(ApiError);
advised!(AccountError);
