use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::inner::{Inner, with_timeout};
use super::store::LeaseOwner;
use crate::error::Error;
use crate::provider::revocation::Revocation;

/// The result of [`TokenKeeper::disconnect`](super::TokenKeeper::disconnect).
#[derive(Debug)]
#[non_exhaustive]
pub struct Disconnected {
    /// Whether anything was stored.
    pub deleted: bool,
    /// The result of the revocation at the code host; `None` if there were no stored tokens, or they could not be
    /// opened.
    pub revocation: Option<Result<Revocation, Error>>,
}

impl Inner {
    /// Revokes the tokens and deletes them.
    pub(super) async fn disconnect(&self, connection: &ConnectionId) -> Result<Disconnected, KeeperError> {
        let owner = LeaseOwner::random()?;
        let disconnected = match self.wait_for_lease(connection, &owner).await {
            Ok(()) => self.revoke_and_delete(connection).await,
            Err(error) => Err(error),
        };
        if disconnected.is_err() {
            // The record is still there, and a lease would block every refresh. If this fails too, the lease expires.
            let _ = with_timeout(self.store.release(connection, &owner)).await;
        }
        disconnected
    }

    /// Waits for a running refresh: the new tokens that it gets must be revoked too.
    async fn wait_for_lease(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), KeeperError> {
        let deadline = Instant::now().checked_add(MAX_WAIT_FOR_LEASE).unwrap_or_else(Instant::now);
        while !with_timeout(self.store.lease(connection, owner, self.lease)).await? {
            let is_deleted = with_timeout(self.store.load(connection)).await?.is_none();
            if is_deleted || Instant::now() >= deadline {
                // Continue without the lease: the tokens must be deleted in any case.
                break;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn revoke_and_delete(&self, connection: &ConnectionId) -> Result<Disconnected, KeeperError> {
        let revocation = match self.integration(connection).await {
            Ok(integration) => match self.load(connection, &integration).await {
                Ok(Some(record)) => Some(integration.revoke(&record.tokens).await),
                Ok(None) => None,
                Err(error @ KeeperError::Store(_)) => return Err(error),
                // The tokens are deleted even if they cannot be opened: a lost key, or a changed base URL.
                Err(_) => None,
            },
            Err(error @ KeeperError::App(_)) => return Err(error),
            // The app has deleted the integration.
            Err(_) => None,
        };
        let deleted = with_timeout(self.store.delete(connection)).await;
        self.token_cache.remove(connection);
        let deleted = deleted?;
        self.refreshes.resume(connection);
        Ok(Disconnected { deleted, revocation })
    }
}

const MAX_WAIT_FOR_LEASE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
