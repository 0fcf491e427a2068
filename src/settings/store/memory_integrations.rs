//! Integrations in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, RwLock};

use super::{
    Found, IntegrationStore, IntegrationWrite, StoreTransaction, StoredBefore, StoredIntegration,
    UnreadableIntegration, WriteError, WriteHook, Written,
};
use crate::error::StoreError;
use crate::settings::health::{Health, HealthNote};
use crate::values::integration_id::IntegrationId;

/// Keeps integrations in the memory of this process: for tests, demonstrations and a first try.
///
/// ```
/// use codehost_oauth::settings::{IntegrationStore, MemoryIntegrations};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryIntegrations::default();
/// assert!(store.list(None).await?.is_empty());
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct MemoryIntegrations(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// One write at a time: a hook may wait.
    writing: Mutex<()>,
    /// `None` stands for a deleted one.
    rows: RwLock<HashMap<IntegrationId, Option<Row>>>,
}

#[derive(Clone)]
struct Row {
    stored: StoredIntegration,
    health: Health,
}

#[async_trait]
impl IntegrationStore for MemoryIntegrations {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        Ok(self.row(id).await.map(|row| readable(row.stored)).transpose()?)
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        Ok(self.row(id).await.map(|row| row.stored.version))
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        let rows = self.0.rows.read().await;
        let of_owner = rows.values().flatten().filter(|row| row.stored.owner.as_deref() == owner);
        let mut found: Vec<_> = of_owner.map(|row| row.stored.clone()).collect();
        found.sort_by(|a, b| (&a.settings.name, &a.id).cmp(&(&b.settings.name, &b.id)));
        Ok(found.into_iter().map(readable).collect())
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        let _writing = self.0.writing.lock().await;
        let id = write.id();
        let found = match self.0.rows.read().await.get(id) {
            None => Found::Nothing,
            Some(None) => Found::Deleted,
            Some(Some(row)) => readable(row.stored.clone()).into(),
        };
        let mut before = match write.check(found)? {
            Ok(before) => before,
            Err(written) => return Ok(written),
        };
        if let (StoredBefore::Nothing { of_owner }, Some(new)) = (&mut before, write.integration()) {
            *of_owner = self.list(new.owner.as_deref()).await?.len().try_into().unwrap_or(u64::MAX);
        }
        let mut transaction = StoreTransaction::None;
        hook.before(write, &before, &mut transaction).await.map_err(WriteError::Refused)?;
        hook.after(write, &before, &mut transaction).await.map_err(WriteError::Refused)?;
        let mut rows = self.0.rows.write().await;
        // A note may have been written meanwhile.
        let health = rows.get(id).cloned().flatten().map(|row| row.health).unwrap_or_default();
        let new = match write {
            IntegrationWrite::Create(new) | IntegrationWrite::Replace(new) => {
                Some(Row { stored: (**new).clone(), health })
            }
            IntegrationWrite::Delete { .. } => None,
        };
        rows.insert(id.clone(), new);
        Ok(Written::Done)
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        let rows = self.0.rows.read().await;
        let health = |id| rows.get(id).and_then(Option::as_ref).map(|row| row.health.clone()).unwrap_or_default();
        Ok(ids.iter().map(health).collect())
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        let mut rows = self.0.rows.write().await;
        for note in notes {
            if let Some(Some(row)) = rows.get_mut(&note.id) {
                row.health.add(note);
            }
        }
        Ok(())
    }
}

impl MemoryIntegrations {
    async fn row(&self, id: &IntegrationId) -> Option<Row> {
        self.0.rows.read().await.get(id).cloned().flatten()
    }
}

/// As it would be read from JSON.
fn readable(stored: StoredIntegration) -> Result<StoredIntegration, UnreadableIntegration> {
    let proposed = stored.proposed.as_ref().map_or(Ok(()), |proposal| proposal.settings.ensure_known_version());
    match stored.settings.ensure_known_version().and(proposed) {
        Ok(()) => Ok(stored),
        Err(why) => {
            let StoredIntegration { id, owner, version, settings, changed, .. } = stored;
            Err(UnreadableIntegration { id, owner, version, name: settings.name, why, changed })
        }
    }
}

impl fmt::Debug for MemoryIntegrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryIntegrations")
    }
}
