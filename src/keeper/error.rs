use std::sync::Arc;
use std::time::Duration;

use super::login_reason::LoginReason;
use crate::error::{Advice, ConfigError, Error, SealError, StoreError, advised};

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
    /// The store failed.
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
                None => Advice::operator("refresh_running", "Try again in a moment.").public(LATER),
            }
            .retry_after(Some(*after)),
            Self::Refused { cause, .. } => match &**cause {
                // About the user's account or its rights.
                Error::Account { .. } | Error::Api { .. } => Advice { needs_login: false, ..cause.advice() },
                _ => Advice::administrator(cause.code(), cause.advice().hint),
            },
            Self::Unsaved { .. } => {
                Advice::operator("tokens_unsaved", "Repair the database. The user may have to log in again.")
                    .public(LATER)
            }
            Self::UnknownIntegration => Advice::operator(
                "unknown_integration",
                "Enable the integration if it is disabled. If it was deleted, delete its connections too.",
            ),
            Self::Config(cause) => cause.advice_row(),
            Self::Store(cause) => cause.advice_row().public(LATER),
            Self::Seal(cause) => cause.advice_row(),
            Self::App(_) => {
                Advice::operator("find_integration_failed", "Check the source of this error.").public(LATER).transient()
            }
            Self::Interrupted => Advice::operator("interrupted_refresh", "Try again.").public(LATER).transient(),
        }
    }
}

const LATER: &str = "Your connection to the code host cannot be used at the moment. Please try again later.";

advised!(KeeperError);
