//! The settings and state that a keeper shares with its refreshes.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::event::{KeeperEvent, OnEvent};
use super::login_reason::LoginReason;
use super::outcome::Outcome;
use super::record::Record;
use super::running_refreshes::RunningRefreshes;
use super::store::{Revision, StoredTokens, TokenStore};
use super::token_cache::TokenCache;
use crate::error::StoreError;
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
    pub(super) refreshes: Arc<RunningRefreshes>,
    pub(super) token_cache: TokenCache,
}

/// The result of a write.
pub(super) enum WriteResult {
    Done,
    /// Another write came first. This is the record now; `None` if the connection was deleted.
    Conflict(Option<Box<Record>>),
    /// Another write came first, and its record cannot be opened: it has another base URL, or was sealed with another
    /// key.
    Unreadable(KeeperError),
}

impl Inner {
    pub(super) async fn integration(&self, connection: &ConnectionId) -> Result<Integration, KeeperError> {
        let found = self.integrations.find(connection.integration()).await;
        let found = found.map_err(|cause| KeeperError::App(cause.into()))?;
        found.filter(|found| found.id() == connection.integration()).ok_or(KeeperError::UnknownIntegration)
    }

    pub(super) async fn load(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
    ) -> Result<Option<Record>, KeeperError> {
        let stored = with_timeout(self.store.load(connection)).await?;
        stored.map(|stored| self.open(&stored, connection, integration)).transpose()
    }

    pub(super) fn open(
        &self,
        stored: &StoredTokens,
        connection: &ConnectionId,
        integration: &Integration,
    ) -> Result<Record, KeeperError> {
        let client_id = integration.client().client_id();
        Record::open(stored, &self.ring, connection, integration.binding(), |url| integration.was_at(url), client_id)
    }

    /// The outcome if no refresh is needed; `None` if one is.
    pub(super) fn outcome_without_refresh(
        &self,
        integration: &Integration,
        record: &Record,
        rejected: Option<&AccessToken>,
    ) -> Option<Outcome> {
        let now = self.clock.now();
        let token = &record.tokens.access_token;
        if let Some(reason) = &record.needs_login {
            return Some(Outcome::NeedsLogin(reason.clone()));
        }
        if let Some(scopes) = record.newly_requested_scopes(integration).filter(|_| self.require_scopes) {
            return Some(Outcome::NeedsLogin(LoginReason::ScopesMissing { scopes }));
        }
        if record.unverified {
            return None;
        }
        let is_rejected = rejected.is_some_and(|rejected| rejected.matches(token)) && !record.is_new(now);
        if !is_rejected && !record.is_due(now) {
            return Some(Outcome::StillValid(token.duplicate()));
        }
        match record.tokens.refresh_token {
            Some(_) => None,
            None if !is_rejected && record.is_valid(now) => Some(Outcome::StillValid(token.duplicate())),
            None => Some(Outcome::NeedsLogin(LoginReason::NoRefreshToken)),
        }
    }

    pub(super) fn emit(&self, event: &KeeperEvent) {
        event.log();
        (self.on_event)(event);
    }

    /// Writes `record` if the stored revision is `expected`. If it is not, an earlier attempt of the same write may
    /// have succeeded without a response; that counts as done. An error comes from the store or from sealing.
    pub(super) async fn write(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
        expected: Option<Revision>,
        record: &Record,
    ) -> Result<WriteResult, KeeperError> {
        let sealed = record.seal(&self.ring, connection, integration.client().client_id())?;
        let written = with_timeout(self.store.compare_and_swap(connection, expected, &sealed)).await;
        self.token_cache.remove(connection);
        if written? {
            return Ok(WriteResult::Done);
        }
        Ok(match with_timeout(self.store.load(connection)).await? {
            Some(found) if found.revision == record.revision => WriteResult::Done,
            Some(found) => match self.open(&found, connection, integration) {
                Ok(found) => WriteResult::Conflict(Some(Box::new(found))),
                Err(error) => WriteResult::Unreadable(error),
            },
            None => WriteResult::Conflict(None),
        })
    }
}

/// Limits a call of the store, so that a store that hangs cannot block a refresh.
pub(super) async fn with_timeout<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORE_TIMEOUT, call).await.unwrap_or(Err(StoreError::TimedOut))
}

/// Delays between attempts to write to the store.
pub(super) const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
pub(super) const MAX_RETRY_DELAY: Duration = Duration::from_secs(15);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
