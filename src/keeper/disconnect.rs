use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::inner::{Inner, in_time};
use super::store::LeaseOwner;
use crate::error::Error;
use crate::provider::revocation::Revocation;

/// What a disconnect did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Disconnected {
    /// Whether anything was stored.
    pub deleted: bool,
    /// What came of the revocation at the code host; `None` if there were no tokens that could be opened.
    pub revocation: Option<Result<Revocation, Error>>,
}

impl Inner {
    /// Revokes the tokens and deletes them.
    pub(super) async fn disconnect(&self, connection: &ConnectionId) -> Result<Disconnected, KeeperError> {
        let owner = LeaseOwner::random()?;
        let until = Instant::now().checked_add(DISCONNECT_PATIENCE).unwrap_or_else(Instant::now);
        // A refresh that is under way would otherwise leave tokens behind that nobody knows.
        while !in_time(self.store.lease(connection, &owner, self.lease)).await? {
            let gone = in_time(self.store.load(connection)).await?.is_none();
            if gone || Instant::now() >= until {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let revocation = match self.integration(connection).await {
            Ok(integration) => match self.load(connection, &integration).await {
                Ok(Some(record)) => Some(integration.revoke(&record.tokens).await),
                // Neither a lost key nor a changed base URL may keep tokens alive here.
                Ok(None) | Err(_) => None,
            },
            Err(_) => None,
        };
        let deleted = in_time(self.store.delete(connection)).await;
        self.remembered.forget(connection);
        let deleted = deleted?;
        self.flights.resume(connection);
        Ok(Disconnected { deleted, revocation })
    }
}

const DISCONNECT_PATIENCE: Duration = Duration::from_secs(5);
