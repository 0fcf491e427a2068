//! What a keeper and its refreshes share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Disconnected;
use super::binding::Binding;
use super::builder::{Integrations, OnEvent};
use super::clock::Clock;
use super::connection::ConnectionId;
use super::event::KeeperEvent;
use super::flight::Flight;
use super::flights::{Entry, Flights};
use super::outcome::{LoginReason, Outcome};
use super::record::Record;
use super::remembered::Remembered;
use super::store::{LeaseOwner, Revision, StoredTokens, TokenStore};
use crate::error::{KeeperError, StoreError};
use crate::integration::Integration;
use crate::seal::KeyRing;
use crate::token::{AccessToken, TokenSet};

pub(super) struct Inner {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) ring: KeyRing,
    pub(super) integrations: Arc<dyn Integrations>,
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

/// What became of one try of an import.
enum Import {
    /// It is stored, or was and somebody has gone on from there.
    Done,
    /// Another login is stored, which came after a try that may have been done.
    Replaced,
    /// Somebody else has written meanwhile.
    Again,
}

impl Inner {
    pub(super) async fn integration(&self, connection: &ConnectionId) -> Result<Arc<Integration>, KeeperError> {
        let found = self.integrations.find(connection.integration()).await?;
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

    fn open(
        &self,
        stored: &StoredTokens,
        connection: &ConnectionId,
        integration: &Integration,
    ) -> Result<Record, KeeperError> {
        let client_id = integration.client().client_id();
        Record::open(stored, &self.ring, connection, integration.expected().origin, client_id)
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

    /// Joins the connection's refresh, or begins it. It runs in a task of its own, so that nobody who goes away can cut
    /// it off after the platform has spent the refresh token.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: &ConnectionId,
        integration: Arc<Integration>,
        unwanted: Option<&AccessToken>,
        valid: bool,
    ) -> Result<Entry, KeeperError> {
        let binding = Binding::of(&integration)?;
        Ok(self.flights.enter(connection, binding, valid, |takeoff| {
            let flight = Flight::new(Arc::clone(self), integration, &takeoff, unwanted.map(AccessToken::duplicate));
            tokio::spawn(async move {
                let result = match flight {
                    Ok(flight) => flight.run().await,
                    Err(error) => Err(error),
                };
                takeoff.land(result);
            });
        }))
    }

    pub(super) fn tell(&self, event: &KeeperEvent) {
        event.log();
        (self.on_event)(event);
    }

    /// Writes `record` if the stored revision is `expected`, and finds out whether an earlier try of the same write
    /// whose answer was lost had succeeded after all. An error is one of the store, or of the sealing.
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

    pub(super) async fn import(
        &self,
        connection: &ConnectionId,
        integration: Arc<Integration>,
        tokens: TokenSet,
    ) -> Result<(), KeeperError> {
        let record = Record::of_login(tokens, integration.scopes())?;
        let sealed = record.seal(&self.ring, connection, integration.client().client_id())?;
        let mut older = None;
        // The login that was stored at the first try of which nobody knows whether it was done.
        let mut tried_over = None;
        let mut pause = FIRST_PAUSE;
        let mut tries = IMPORT_TRIES;
        loop {
            let written = async {
                let stored = in_time(self.store.load(connection)).await?;
                let expected = stored.as_ref().map(|stored| stored.revision);
                // What does not open is written over all the same: its key may be lost, or its base URL changed.
                let found = stored.and_then(|stored| self.open(&stored, connection, &integration).ok());
                let login = found.as_ref().and_then(|found| found.login);
                if login == record.login {
                    return Ok(Import::Done);
                }
                older = found;
                if tried_over.is_some_and(|tried_over| login.is_some() && login != tried_over) {
                    return Ok(Import::Replaced);
                }
                match in_time(self.store.compare_and_swap(connection, expected, &sealed)).await {
                    Ok(true) => Ok(Import::Done),
                    Ok(false) => Ok(Import::Again),
                    Err(error) => {
                        tried_over.get_or_insert(login);
                        Err(error)
                    }
                }
            };
            let written = written.await;
            self.remembered.forget(connection);
            match written {
                // Another login came meanwhile. If ours was stored, theirs has replaced and revoked it, so it must not come
                // back; if it was not, it is as if it had been.
                Ok(Import::Replaced) => {
                    if older.is_some_and(|newer| record.is_replaced_by(&newer)) {
                        tokio::spawn(async move { integration.revoke_pair(&record.tokens).await });
                    }
                    return Ok(());
                }
                Ok(Import::Done) => {
                    self.flights.resume(connection);
                    if let Some(older) = older.filter(|older| older.is_replaced_by(&record)) {
                        // Nobody waits for it, and nobody needs its answer.
                        tokio::spawn(async move { integration.revoke_pair(&older.tokens).await });
                    }
                    return Ok(());
                }
                Ok(Import::Again) => {}
                Err(error) if tries <= 1 => return Err(KeeperError::Store(error)),
                Err(_) => {}
            }
            tries = tries.saturating_sub(1);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }

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

/// No call of a store may keep a refresh from its end.
pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORE_TIMEOUT, call).await.unwrap_or(Err(StoreError::TimedOut))
}

pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(15);
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
const IMPORT_TRIES: u32 = 6;
const DISCONNECT_PATIENCE: Duration = Duration::from_secs(5);
