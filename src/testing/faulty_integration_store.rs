use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::fault::{Fault, FaultPlan};
use crate::error::StoreError;
use crate::settings::{
    Health, HealthNote, IntegrationStore, IntegrationWrite, StoredIntegration, UnreadableIntegration, WriteError,
    WriteHook, Written,
};
use crate::values::integration_id::IntegrationId;

/// A store of integrations that passes calls on to another one. The test chooses which calls fail.
///
/// ```
/// use codehost_oauth::settings::{IntegrationStore, MemoryIntegrations};
/// use codehost_oauth::testing::{Fault, FaultyIntegrationStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyIntegrationStore::new(MemoryIntegrations::default());
/// store.fail(1, Fault::Error);
/// let id = "demo".parse()?;
/// assert!(store.load(&id).await.is_ok());
/// assert!(store.version(&id).await.is_err());
/// assert!(store.list(None).await.is_ok());
/// assert_eq!(store.calls(), 3);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct FaultyIntegrationStore {
    store: Arc<dyn IntegrationStore>,
    plan: FaultPlan,
}

impl FaultyIntegrationStore {
    /// A store without faults.
    pub fn new(store: impl IntegrationStore) -> Self {
        Self { store: Arc::new(store), plan: FaultPlan::default() }
    }

    /// Plans a fault for a call. The first call is number 0.
    pub fn fail(&self, call: usize, fault: Fault) {
        self.plan.fail(call, fault);
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.plan.calls()
    }
}

#[async_trait]
impl IntegrationStore for FaultyIntegrationStore {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        self.plan.pass(self.store.load(id)).await
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        self.plan.pass(self.store.version(id)).await
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        self.plan.pass(self.store.list(owner)).await
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        self.plan.pass(self.store.write(write, hook)).await
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        self.plan.pass(self.store.health(ids)).await
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        self.plan.pass(self.store.note(notes)).await
    }
}

impl fmt::Debug for FaultyIntegrationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyIntegrationStore({:?})", self.store)
    }
}
