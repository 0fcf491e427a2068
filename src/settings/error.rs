use super::field::FieldErrors;
use super::move_kind::MoveKind;
use super::store::{StoredIntegration, WriteError};
use crate::error::{Advice, AppError, SealError, StoreError, advised};

/// Why integrations cannot be read or changed.
///
/// ```
/// use codehost_oauth::error::{Audience, StoreError};
/// use codehost_oauth::settings::IntegrationsError;
///
/// let deleted = IntegrationsError::Deleted;
/// assert_eq!((deleted.code(), deleted.advice().audience), ("integration_deleted", Audience::Administrator));
/// assert!(IntegrationsError::from(StoreError::TimedOut).advice().is_transient);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrationsError {
    /// The settings are wrong.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
    /// Somebody else has changed the integration since it was read. Nothing was written.
    #[error("the integration was changed in the meantime")]
    Stale {
        /// What is stored now.
        stored: Box<StoredIntegration>,
    },
    /// Somebody else has deleted the integration since it was read. Nothing was written.
    #[error("the integration was deleted in the meantime")]
    Deleted,
    /// There is or was an integration with this id.
    #[error("there is or was an integration with this ID")]
    IdTaken,
    /// The change would lead to another server or OAuth application; see [`IntegrationEditor::move_to`](super::IntegrationEditor::move_to).
    #[error("the change moves the integration to another server or OAuth application")]
    IsMove(MoveKind),
    /// Nobody has proposed another base URL, or the proposal has ended.
    #[error("no other base URL is proposed")]
    NoProposal,
    /// The proposal is older than an hour.
    #[error("the proposed base URL was not confirmed within an hour")]
    ProposalExpired,
    /// The app's hook refused the write.
    #[error("the app refused the change")]
    Refused(#[source] AppError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secrets cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl IntegrationsError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::Fields(_) => Advice::administrator("fields", "Correct the fields that the message names."),
            Self::Stale { .. } => Advice::administrator(
                "stale",
                "Look at what is stored now, and repeat the change if it is still needed.",
            ),
            Self::Deleted => Advice::administrator(
                "integration_deleted",
                "Read the integrations again, and create another one if it is still needed.",
            ),
            Self::IdTaken => Advice::administrator("id_taken", "Add the integration again, with another ID."),
            Self::IsMove(_) => Advice::administrator(
                "is_move",
                "Decide whether it is another server, another OAuth application, or the same server under a new name.",
            ),
            Self::NoProposal => Advice::administrator("no_proposal", "Propose the new base URL first."),
            Self::ProposalExpired => Advice::administrator("proposal_expired", "Enter the new base URL again."),
            Self::Refused(_) => {
                Advice::administrator("refused", "Read the app's reason, which is the source of this error.")
            }
            Self::Store(error) => error.advice(),
            Self::Seal(error) => error.advice(),
        }
    }
}

advised!(IntegrationsError);

impl From<WriteError> for IntegrationsError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => Self::Refused(error),
            WriteError::Store(error) => Self::Store(error),
        }
    }
}
