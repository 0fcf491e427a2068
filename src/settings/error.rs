use super::changes::MoveKind;
use super::field::FieldErrors;
use super::store::{StoredIntegration, WriteError};
use crate::error::{AppError, SealError, StoreError};

/// Why integrations cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrationsError {
    /// The settings are wrong.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
    /// Somebody else has changed or deleted the integration since it was read. Nothing was written.
    #[error("the integration was changed or deleted in the meantime")]
    Stale {
        /// What is stored now.
        stored: Option<Box<StoredIntegration>>,
    },
    /// There is or was an integration with this id.
    #[error("there is or was an integration with this ID")]
    IdTaken,
    /// The change would lead to another server or OAuth application; see [`Integrations::move_to`](super::Integrations::move_to).
    #[error("the change moves the integration to another server or OAuth application")]
    IsMove(MoveKind),
    /// There is no proposal, or it is older than an hour.
    #[error("there is no proposal, or it is older than an hour")]
    NoProposal,
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

impl From<WriteError> for IntegrationsError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => Self::Refused(error),
            WriteError::Store(error) => Self::Store(error),
        }
    }
}
