use super::{Advice, UntrustedText, advised};

/// Why a call of a store failed: of tokens, or of integrations.
///
/// After [`TimedOut`](Self::TimedOut) and [`Unreachable`](Self::Unreachable) the call may have taken effect. After every
/// other error it has not.
///
/// ```
/// use codehost_oauth::error::StoreError;
///
/// assert!(StoreError::TimedOut.advice().is_transient);
/// assert!(!StoreError::Schema { found: 9 }.advice().is_transient);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No response in time.
    #[error("the store did not respond in time")]
    TimedOut,
    /// The connection could not be made, or it broke.
    #[error("the store cannot be reached")]
    Unreachable {
        /// The driver's message.
        detail: UntrustedText,
    },
    /// The server does not accept writes: it is a replica, or it is still starting. Each further call makes a new
    /// connection, which reaches the new primary after a fail-over.
    #[error("the store does not accept writes at the moment")]
    NotPrimary {
        /// The store's message.
        detail: UntrustedText,
    },
    /// The store refused the request, for example because of permissions, disk space or memory.
    #[error("the store refused the request")]
    Refused {
        /// The store's message.
        detail: UntrustedText,
    },
    /// The tables have a version that this version of codehost-oauth does not know.
    #[error("the store's tables have version {found}, which this version of codehost-oauth does not know")]
    Schema {
        /// The version that was found.
        found: i64,
    },
    /// What is stored cannot be read: another program has written it, or a newer version of codehost-oauth.
    #[error("what is stored for {id} cannot be read")]
    Malformed {
        /// The id of what is stored.
        id: String,
    },
    /// The store's address is not valid.
    #[error("the store's address is not valid")]
    Address {
        /// Why, without the address: it can contain a password.
        detail: UntrustedText,
    },
}

impl StoreError {
    pub(crate) fn advice_row(&self) -> Advice {
        let advice = match self {
            Self::TimedOut => Advice::operator("store_timed_out", "Check the load of the database.").transient(),
            Self::Unreachable { .. } => {
                Advice::operator("store_unreachable", "Start the database, or correct its address.").transient()
            }
            Self::NotPrimary { .. } => Advice::operator(
                "store_not_primary",
                "Wait for the end of the fail-over. If it happens again, configure the address of the primary.",
            )
            .transient(),
            Self::Refused { .. } => {
                Advice::operator("store_refused", "Check the database's log, permissions, disk space and memory.")
                    .transient()
            }
            Self::Schema { .. } => Advice::operator("store_schema", "Update codehost-oauth on every node."),
            Self::Malformed { .. } => Advice::operator(
                "store_malformed",
                "Update codehost-oauth on every node, or restore what is stored from a backup.",
            ),
            Self::Address { .. } => Advice::operator("store_address", "Correct the address of the database."),
        };
        advice.public("This cannot be done at the moment. Please try again later.")
    }
}

advised!(StoreError);
