use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{StoreError, UntrustedText};
use crate::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

/// A token store that passes calls on to another one. The test chooses which calls fail.
///
/// ```
/// use codehost_oauth::keeper::{MemoryStore, TokenStore};
/// use codehost_oauth::testing::{Fault, FaultyStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyStore::new(MemoryStore::default());
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
    plan: Arc<Mutex<Plan>>,
}

/// What happens to a call.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails and has no effect.
    Error,
    /// The call takes effect, but its result is lost.
    LostResponse,
    /// The call is delayed.
    Delay(Duration),
    /// This function runs before the call, for example to kill the process.
    Before(Arc<dyn Fn() + Send + Sync>),
    /// This function runs after the call, before its result is returned.
    After(Arc<dyn Fn() + Send + Sync>),
}

#[derive(Default)]
struct Plan {
    calls: usize,
    faults: HashMap<usize, Fault>,
}

impl FaultyStore {
    /// A store without faults.
    pub fn new(store: impl TokenStore + 'static) -> Self {
        Self { store: Arc::new(store), plan: Arc::default() }
    }

    /// Plans a fault for a call. The first call is number 0.
    pub fn fail(&self, call: usize, fault: Fault) {
        self.lock().faults.insert(call, fault);
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let fault = {
            let mut plan = self.lock();
            let number = plan.calls;
            plan.calls = number.saturating_add(1);
            plan.faults.remove(&number)
        };
        match fault {
            None => call.await,
            Some(Fault::Error) => Err(unreachable()),
            Some(Fault::LostResponse) => {
                let _ = call.await;
                Err(unreachable())
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                call.await
            }
            Some(Fault::Before(run)) => {
                run();
                call.await
            }
            Some(Fault::After(run)) => {
                let response = call.await;
                run();
                response
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for FaultyStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        self.pass(self.store.load(connection)).await
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        self.pass(self.store.compare_and_swap(connection, expected, new)).await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        self.pass(self.store.lease(connection, owner, duration)).await
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        self.pass(self.store.release(connection, owner)).await
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        self.pass(self.store.delete(connection)).await
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.store)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "Error",
            Self::LostResponse => "LostResponse",
            Self::Delay(_) => "Delay",
            Self::Before(_) => "Before",
            Self::After(_) => "After",
        })
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable { detail: UntrustedText::new("a fault that the test has planned") }
}
