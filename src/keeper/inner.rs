//! What a keeper and its refreshes share.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::connection::ConnectionId;
use super::error::{KeeperError, StoreError};
use super::event::{KeeperEvent, OnEvent};
use super::flights::Flights;
use super::login_reason::LoginReason;
use super::outcome::Outcome;
use super::record::Record;
use super::remembered::Remembered;
use super::store::{Revision, StoredTokens, TokenStore};
use crate::integration::{FindIntegration, Integration};
use crate::seal::KeyRing;
use crate::values::token::AccessToken;

pub(super) struct Inner {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) ring: KeyRing,
    pub(super) integrations: Arc<dyn FindIntegration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease: Duration,
    pub(super) patience: Duration,
    pub(super) verify_identity: bool,
    pub(super) require_scopes: bool,
    pub(super) on_event: Arc<OnEvent>,
    pub(super) flights: Arc<Flights>,
    pub(super) remembered: Remembered,
}

/// What became of a write.
pub(super) enum Written {
    Yes,
    /// Somebody else has written, and this is it; `None` if the connection is gone.
    Conflict(Option<Record>),
    /// Somebody else has written what does not open here: of another base URL, or sealed with another key.
    Foreign(KeeperError),
}

impl Inner {
    pub(super) async fn integration(&self, connection: &ConnectionId) -> Result<Arc<Integration>, KeeperError> {
        let found = self.integrations.find(connection.integration()).await;
        let found = found.map_err(|cause| KeeperError::App(cause.into()))?;
        found.filter(|found| found.id() == connection.integration()).ok_or(KeeperError::UnknownIntegration)
    }

    pub(super) async fn load(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
    ) -> Result<Option<Record>, KeeperError> {
        let stored = in_time(self.store.load(connection)).await?;
        stored.map(|stored| self.open(&stored, connection, integration)).transpose()
    }

    pub(super) fn open(
        &self,
        stored: &StoredTokens,
        connection: &ConnectionId,
        integration: &Integration,
    ) -> Result<Record, KeeperError> {
        let client_id = integration.client().client_id();
        Record::open(stored, &self.ring, connection, integration.binding(), client_id)
    }

    /// What to say without a refresh; `None` if one is needed.
    pub(super) fn settle(
        &self,
        integration: &Integration,
        record: &Record,
        unwanted: Option<&AccessToken>,
    ) -> Option<Outcome> {
        let now = self.clock.now();
        let token = &record.tokens.access_token;
        if let Some(reason) = &record.dead {
            return Some(Outcome::NeedsLogin(reason.clone()));
        }
        if let Some(scopes) = record.missing_scopes(integration).filter(|_| self.require_scopes) {
            return Some(Outcome::NeedsLogin(LoginReason::ScopesMissing { scopes }));
        }
        if record.unverified {
            return None;
        }
        let refused = unwanted.is_some_and(|unwanted| unwanted.matches(token)) && !record.is_new(now);
        if !refused && !record.is_due(now) {
            return Some(Outcome::StillValid(token.duplicate()));
        }
        match record.tokens.refresh_token {
            Some(_) => None,
            None if !refused && record.is_valid(now) => Some(Outcome::StillValid(token.duplicate())),
            None => Some(Outcome::NeedsLogin(LoginReason::NoRefreshToken)),
        }
    }

    pub(super) fn tell(&self, event: &KeeperEvent) {
        event.log();
        (self.on_event)(event);
    }

    /// Writes `record` if the stored revision is `expected`, and finds out whether an earlier try of the same write
    /// whose response was lost had succeeded after all. An error is one of the store, or of the sealing.
    pub(super) async fn write(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
        expected: Option<Revision>,
        record: &Record,
    ) -> Result<Written, KeeperError> {
        let sealed = record.seal(&self.ring, connection, integration.client().client_id())?;
        let written = in_time(self.store.compare_and_swap(connection, expected, &sealed)).await;
        self.remembered.forget(connection);
        if written? {
            return Ok(Written::Yes);
        }
        Ok(match in_time(self.store.load(connection)).await? {
            Some(found) if found.revision == record.revision => Written::Yes,
            Some(found) => match self.open(&found, connection, integration) {
                Ok(found) => Written::Conflict(Some(found)),
                Err(error) => Written::Foreign(error),
            },
            None => Written::Conflict(None),
        })
    }
}

/// No call of a store may keep a refresh from its end.
pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORE_TIMEOUT, call).await.unwrap_or(Err(StoreError::TimedOut))
}

pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(15);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
