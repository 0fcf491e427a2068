use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::StoreError;
use crate::keeper::ConnectionId;

/// Keeps tokens in the memory of this process: for tests, and for apps whose users can log in again after a restart.
///
/// Do not use it with two processes: each would use refresh tokens that the other has used up.
///
/// ```
/// use codehost_oauth::keeper::{MemoryTokens, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryTokens::default();
/// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Default)]
pub struct MemoryTokens(Mutex<HashMap<ConnectionId, Row>>);

struct Row {
    tokens: StoredTokens,
    lease: Option<(LeaseOwner, Instant)>,
}

impl MemoryTokens {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryTokens {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        Ok(self.lock().get(connection).map(|row| row.tokens.clone()))
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let mut rows = self.lock();
        if rows.get(connection).map(|row| row.tokens.revision) != expected {
            return Ok(false);
        }
        match rows.get_mut(connection) {
            Some(row) => row.tokens = new.clone(),
            None => {
                rows.insert(connection.clone(), Row { tokens: new.clone(), lease: None });
            }
        }
        Ok(true)
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let mut rows = self.lock();
        let Some(row) = rows.get_mut(connection) else {
            return Ok(false);
        };
        let now = Instant::now();
        if row.lease.as_ref().is_some_and(|(holder, until)| holder != owner && *until > now) {
            return Ok(false);
        }
        row.lease = now.checked_add(duration.min(MAX_LEASE)).map(|until| (owner.clone(), until));
        Ok(true)
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        if let Some(row) = self.lock().get_mut(connection) {
            row.lease.take_if(|(holder, _)| holder == owner);
        }
        Ok(())
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        Ok(self.lock().remove(connection).is_some())
    }
}

/// Shows the number of connections only.
impl fmt::Debug for MemoryTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryTokens({} connections)", self.lock().len())
    }
}
