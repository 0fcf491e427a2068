use std::sync::Arc;
use std::time::Duration;

use super::login_reason::LoginReason;
use crate::error::{Advice, ConfigError, Error, SealError, UntrustedText, advised};

/// Why a call of a token store failed.
///
/// After [`TimedOut`](Self::TimedOut) and [`Unreachable`](Self::Unreachable) the call may have taken effect, and the
/// keeper checks that. After every other error it has not.
///
/// ```
/// use codehost_oauth::keeper::StoreError;
///
/// assert!(StoreError::TimedOut.advice().is_transient);
/// assert!(!StoreError::Schema { found: 9 }.advice().is_transient);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No response in time.
    #[error("the token store did not respond in time")]
    TimedOut,
    /// The connection could not be made, or it broke.
    #[error("the token store cannot be reached")]
    Unreachable {
        /// The driver's message.
        detail: UntrustedText,
    },
    /// The server does not accept writes: it is a replica, or it is still starting. Each further call makes a new
    /// connection, which reaches the new primary after a fail-over.
    #[error("the token store does not accept writes at the moment")]
    NotPrimary {
        /// The store's message.
        detail: UntrustedText,
    },
    /// The store refused the request, for example because of permissions, disk space or memory.
    #[error("the token store refused the request")]
    Refused {
        /// The store's message.
        detail: UntrustedText,
    },
    /// The tables have a version that this version of codehost-oauth does not know.
    #[error("the token store's tables have version {found}, which this version of codehost-oauth does not know")]
    Schema {
        /// The version that was found.
        found: i64,
    },
    /// The store's address is not valid.
    #[error("the token store's address is not valid")]
    Address {
        /// Why, without the address: it can contain a password.
        detail: UntrustedText,
    },
}

impl StoreError {
    pub(crate) fn advice_row(&self) -> Advice {
        let advice = match self {
            Self::TimedOut => Advice::operator("store_timed_out", "Check the load of the token store.").transient(),
            Self::Unreachable { .. } => {
                Advice::operator("store_unreachable", "Start the token store, or correct its address.").transient()
            }
            Self::NotPrimary { .. } => Advice::operator(
                "store_not_primary",
                "Wait for the end of the fail-over. If it happens again, configure the address of the primary.",
            )
            .transient(),
            Self::Refused { .. } => {
                Advice::operator("store_refused", "Check the token store's log, permissions, disk space and memory.")
                    .transient()
            }
            Self::Schema { .. } => Advice::operator("store_schema", "Update codehost-oauth on every node."),
            Self::Address { .. } => Advice::operator("store_address", "Correct the token store's address."),
        };
        advice.public(LATER)
    }
}

/// Why there is no valid access token for a connection.
///
/// Only [`NeedsLogin`](Self::NeedsLogin) means that the user must log in again; an outage never does.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::keeper::{KeeperError, LoginReason};
///
/// let outage = KeeperError::Retry { after: Duration::from_secs(30), cause: None };
/// assert!(outage.advice().is_transient && !outage.advice().needs_login);
/// assert_eq!(outage.advice().retry_after, Some(Duration::from_secs(30)));
/// assert!(KeeperError::NeedsLogin(LoginReason::RefreshTokenRejected).advice().needs_login);
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// Only a new login by the user helps.
    #[error("the user must log in again: {0}")]
    NeedsLogin(LoginReason),
    /// There is an outage or a rate limit, or another node renews the tokens. The stored tokens are kept.
    #[error("the tokens cannot be renewed at the moment")]
    Retry {
        /// How long to wait, at most 15 minutes.
        after: Duration,
        /// What went wrong, if something did.
        cause: Option<Arc<Error>>,
    },
    /// The code host refused the refresh, for a reason that an administrator or the user can fix. The stored tokens are kept.
    #[error("the code host refused to renew the tokens: {cause}")]
    Refused {
        /// How long the keeper waits before the next attempt.
        after: Duration,
        /// The code host's error.
        cause: Arc<Error>,
    },
    /// New tokens could not be stored for ten minutes, and are lost.
    #[error("new tokens could not be stored")]
    Unsaved {
        /// The store's last error.
        cause: StoreError,
    },
    /// The app has no integration with this id, or it is disabled. The stored tokens are kept.
    #[error("the app has no integration with this ID, or it is disabled")]
    UnknownIntegration,
    /// The tokens belong to another integration or base URL.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The token store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored tokens cannot be decrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The app could not look up the integration.
    #[error("the app could not look up the integration")]
    App(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The refresh was interrupted: the runtime is shutting down, or a part of the app panicked.
    #[error("the refresh was interrupted")]
    Interrupted,
}

impl KeeperError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::NeedsLogin(reason) => match reason {
                LoginReason::ScopesMissing { scopes } => {
                    let hint = format!("Log in again, and allow the scopes that this app now requests: {scopes}.");
                    Advice::user(reason.code(), hint)
                        .public("Please log in again: this app now asks for more permissions.")
                }
                reason => Advice::user(reason.code(), "Log in again."),
            }
            .needs_login(),
            Self::Retry { after, cause } => match cause {
                Some(cause) => Advice { needs_login: false, ..cause.advice().hide_cause() },
                None => Advice::operator("busy", "Try again in a moment.").public(LATER),
            }
            .retry_after(Some(*after)),
            Self::Refused { cause, .. } => match &**cause {
                // About the user's account or its rights.
                Error::Account { .. } | Error::Api { .. } => Advice { needs_login: false, ..cause.advice() },
                _ => Advice::administrator(cause.code(), cause.advice().hint),
            },
            Self::Unsaved { .. } => {
                Advice::operator("tokens_unsaved", "Repair the token store. The user may have to log in again.")
                    .public(LATER)
            }
            Self::UnknownIntegration => Advice::operator(
                "unknown_integration",
                "Enable the integration if it is disabled. If it was deleted, delete its connections too.",
            ),
            Self::Config(cause) => cause.advice_row(),
            Self::Store(cause) => cause.advice_row(),
            Self::Seal(cause) => cause.advice_row(),
            Self::App(_) => Advice::operator("app", "Check the source of this error.").public(LATER).transient(),
            Self::Interrupted => Advice::operator("interrupted_refresh", "Try again.").public(LATER).transient(),
        }
    }
}

const LATER: &str = "Your connection to the code host cannot be used at the moment. Please try again later.";

advised!(StoreError);
advised!(KeeperError);
