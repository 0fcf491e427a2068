use std::sync::Arc;
use std::time::Duration;

use super::{Advice, ConfigError, Error, SealError, UntrustedText, advised};
use crate::keeper::LoginReason;

/// Why a token store could not do what it was asked.
///
/// Except for [`TimedOut`](Self::TimedOut) and [`Unreachable`](Self::Unreachable), nothing was done. After these two it
/// may have been done all the same; the keeper finds out.
///
/// ```
/// use codehost_oauth::error::StoreError;
///
/// assert!(StoreError::TimedOut.is_transient());
/// assert!(!StoreError::Schema { found: 9 }.is_transient());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No answer in time.
    #[error("the token store did not answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("the token store cannot be reached")]
    Unreachable {
        /// What the driver says.
        detail: UntrustedText,
    },
    /// A server that may not be written to, or not yet: a replica, or one that is starting. A new connection is made for
    /// each further call, so that the new primary is found after a fail-over. Nothing was done.
    #[error("the token store is not the primary, or is not ready yet")]
    NotPrimary {
        /// What the store says.
        detail: UntrustedText,
    },
    /// The store refused: rights, disk, memory.
    #[error("the token store refused the request")]
    Refused {
        /// What the store says.
        detail: UntrustedText,
    },
    /// Tables of another version.
    #[error("the token store's tables have version {found}, which this version does not know")]
    Schema {
        /// The version that was found.
        found: i64,
    },
    /// An address or setting that cannot be used.
    #[error("the token store's address cannot be used")]
    Address {
        /// Why, without the address: it can hold a password.
        detail: UntrustedText,
    },
}

impl StoreError {
    pub(crate) fn advice(&self) -> Advice {
        const LATER: &str = "Your connection to the code host cannot be used at the moment. Please try again later.";
        let advice = match self {
            Self::TimedOut => Advice::operator("store_timed_out", "Look at the load of the token store.").transient(),
            Self::Unreachable { .. } => {
                Advice::operator("store_unreachable", "Start the token store, or correct its address.").transient()
            }
            Self::NotPrimary { .. } => Advice::operator(
                "store_not_primary",
                "Wait for the end of the fail-over; if it stays, give the address of the primary.",
            )
            .transient(),
            Self::Refused { .. } => {
                Advice::operator("store_refused", "Look into the token store's log: rights, disk, memory.").transient()
            }
            Self::Schema { .. } => Advice::operator("store_schema", "Update codehost-oauth on every node."),
            Self::Address { .. } => Advice::operator("store_address", "Correct the token store's address."),
        };
        advice.public(LATER)
    }
}

/// Why there is no valid access token for a connection.
///
/// Only [`NeedsLogin`](Self::NeedsLogin) means that the person must log in again; an outage never does.
///
/// ```
/// use std::time::Duration;
/// use codehost_oauth::{error::KeeperError, keeper::LoginReason};
///
/// let outage = KeeperError::Retry { after: Duration::from_secs(30), cause: None };
/// assert!(outage.is_transient() && !outage.needs_login());
/// assert_eq!(outage.retry_after(), Some(Duration::from_secs(30)));
/// assert!(KeeperError::NeedsLogin(LoginReason::Refused).needs_login());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// Only a new login by the person helps.
    #[error("the person must log in again: {0}")]
    NeedsLogin(LoginReason),
    /// Not now: an outage, a limit, or another node at work. The stored tokens are kept.
    #[error("the tokens cannot be renewed at the moment")]
    Retry {
        /// How long to wait, at most 15 minutes.
        after: Duration,
        /// What went wrong, if something did.
        cause: Option<Arc<Error>>,
    },
    /// The code host refused, for a reason that an administrator can mend. The stored tokens are kept.
    #[error("the code host refused to renew the tokens: {cause}")]
    Refused {
        /// How long the keeper will not ask again.
        after: Duration,
        /// Why.
        cause: Arc<Error>,
    },
    /// New tokens could not be stored for ten minutes, and are lost.
    #[error("new tokens could not be stored")]
    Unsaved {
        /// The last answer of the store.
        cause: StoreError,
    },
    /// The host has no integration of that id.
    #[error("there is no such integration")]
    UnknownIntegration,
    /// The tokens belong to another integration or base URL.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The refresh was cut off: the runtime is shutting down, or a part of the host panicked.
    #[error("the refresh was cut off")]
    Interrupted,
}

impl KeeperError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::NeedsLogin(reason) => match reason {
                LoginReason::ScopesMissing { scopes } => {
                    let hint = format!("Log in again, and allow what is asked for by now: {scopes}.");
                    Advice::user(reason.code(), hint).public("Please log in again: more is asked for by now.")
                }
                reason => Advice::user(reason.code(), "Log in again."),
            }
            .needs_login(),
            Self::Retry { after, cause } => match cause {
                Some(cause) => Advice { hint: cause.hint(), ..Advice::code_host(cause.code(), "") },
                None => Advice::operator("busy", "Try again in a moment."),
            }
            .retry_after(Some(*after)),
            Self::Refused { cause, .. } => Advice { hint: cause.hint(), ..Advice::administrator(cause.code(), "") },
            Self::Unsaved { .. } => {
                Advice::operator("tokens_unsaved", "Repair the token store; the person may have to log in again.")
            }
            Self::UnknownIntegration => {
                Advice::operator("unknown_integration", "Delete the connections of integrations that are gone.")
            }
            Self::Config(cause) => cause.advice(),
            Self::Store(cause) => cause.advice(),
            Self::Seal(cause) => cause.advice(),
            Self::Interrupted => Advice::operator("interrupted_refresh", "Try again.").transient(),
        }
    }
}

advised!(StoreError);
advised!(KeeperError);
