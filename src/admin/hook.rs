use std::sync::Arc;

use async_trait::async_trait;

use super::access::{AdminAccess, Administrator, Refusal};
use super::change::{AdminChange, ChangeKind};
use crate::error::AppError;
use crate::settings::{IntegrationWrite, StoreTransaction, StoredBefore, WriteHook};

/// Asks whether the administrator may, and tells the app about the change, in the transaction of the write.
pub(super) struct Hook {
    access: Arc<dyn AdminAccess>,
    administrator: Administrator,
    owner: Option<String>,
    kind: ChangeKind,
}

impl Hook {
    /// For a write to an integration of `owner`.
    pub(super) fn new(
        access: &Arc<dyn AdminAccess>,
        administrator: &Administrator,
        owner: Option<&str>,
        kind: ChangeKind,
    ) -> Self {
        Self { access: Arc::clone(access), administrator: administrator.clone(), owner: owner.map(str::to_owned), kind }
    }

    fn change<'a>(&'a self, write: &'a IntegrationWrite, stored: &'a StoredBefore) -> AdminChange<'a> {
        AdminChange::of(&self.administrator, self.owner.as_deref(), self.kind, write, stored)
    }
}

#[async_trait]
impl WriteHook for Hook {
    async fn before(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        let access = &self.access;
        if !access.may_still_manage(&self.administrator, self.owner.as_deref(), transaction).await? {
            return Err(Refusal::new(NO_ACCESS, "Ask an administrator for access.").into());
        }
        access.before_change(&self.change(write, stored), transaction).await
    }

    async fn after(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        self.access.changed(&self.change(write, stored), transaction).await
    }
}

const NO_ACCESS: &str = "You may not manage these integrations any more. Nothing was saved.";
