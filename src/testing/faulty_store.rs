use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::fault::{Fault, FaultPlan};
use crate::error::StoreError;
use crate::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

/// A token store that passes calls on to another one. The test chooses which calls fail.
///
/// ```
/// use codehost_oauth::keeper::{MemoryTokens, TokenStore};
/// use codehost_oauth::testing::{Fault, FaultyStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyStore::new(MemoryTokens::default());
/// store.fail(1, Fault::Error);
/// let connection = "gitlab:demo:42".parse()?;
/// assert!(store.load(&connection).await.is_ok());
/// assert!(store.load(&connection).await.is_err());
/// assert!(store.load(&connection).await.is_ok());
/// assert_eq!(store.calls(), 3);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct FaultyStore {
    store: Arc<dyn TokenStore>,
    plan: FaultPlan,
}

impl FaultyStore {
    /// A store without faults.
    pub fn new(store: impl TokenStore + 'static) -> Self {
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
impl TokenStore for FaultyStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        self.plan.pass(self.store.load(connection)).await
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        self.plan.pass(self.store.compare_and_swap(connection, expected, new)).await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        self.plan.pass(self.store.lease(connection, owner, duration)).await
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        self.plan.pass(self.store.release(connection, owner)).await
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        self.plan.pass(self.store.delete(connection)).await
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.store)
    }
}
