//! What a refresh does with the response: stores new tokens, or records the failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client_check;
use super::error::KeeperError;
use super::event::KeeperEvent;
use super::failure::{is_outage, is_told_to_wait};
use super::inner::{FIRST_RETRY_DELAY, MAX_RETRY_DELAY, WriteResult};
use super::login_reason::LoginReason;
use super::outcome::{BUSY_DELAY, Outcome, busy, retry_later};
use super::record::Record;
use super::refresh::{Refresh, from_elsewhere};
use crate::error::Error;
use crate::values::token::TokenSet;

impl Refresh {
    /// The record to store for new tokens. They are stored before the user is verified, so that they cannot be lost,
    /// and given out only after it.
    pub(super) fn new_record(&self, mut tokens: TokenSet, old: &Record) -> Result<Record, KeeperError> {
        tokens.received_at = self.inner.clock.now();
        if !tokens.notes.is_empty() {
            let (connection, notes) = (self.connection.clone(), tokens.notes.clone());
            self.inner.emit(&KeeperEvent::OddResponse { connection, notes });
        }
        let mut new = Record::renewed(tokens, old)?;
        new.unverified = self.inner.verify_identity;
        if let Some(scopes) = old.grown_scopes(&new, &self.integration) {
            self.inner.emit(&KeeperEvent::ScopesGrew { connection: self.connection.clone(), scopes });
        }
        Ok(new)
    }

    /// Stores whether unverified tokens belong to the user of this connection.
    pub(super) async fn store_verification(
        &self,
        record: &Record,
        belongs_to_user: Result<bool, Error>,
    ) -> Result<Option<Outcome>, KeeperError> {
        let mut verified = record.successor()?;
        verified.unverified = false;
        match belongs_to_user {
            Ok(true) => {}
            Ok(false) => verified.needs_login = Some(LoginReason::SubjectChanged),
            Err(error) => return self.failed(record, Arc::new(error)).map(Some),
        }
        match self.replace(record, &verified).await? {
            WriteResult::Done => Ok(self.outcome_without_refresh(&verified, self.rejected.as_ref())),
            WriteResult::Conflict(_) => Ok(None),
            WriteResult::Unreadable(error) => Err(error),
        }
    }

    /// Stores new tokens, and verifies whose they are if that is to be done.
    pub(super) async fn store(&self, new: Record, old: Record) -> Result<Outcome, KeeperError> {
        if let Some(outcome) = self.save(&new, old).await? {
            return Ok(outcome);
        }
        self.inner
            .refreshes
            .with_pauses(self.connection.integration(), self.settings, |p| p.succeeded(&self.connection));
        if !new.unverified {
            return Ok(Outcome::Renewed(new.tokens.access_token));
        }
        match self.belongs_to_user(&new.tokens.access_token).await {
            // The next call verifies them again.
            Err(error) => retry_later(BUSY_DELAY, Some(Arc::new(error))),
            found => Ok(match self.store_verification(&new, found).await? {
                Some(Outcome::StillValid(token)) => Outcome::Renewed(token),
                outcome => outcome.unwrap_or_else(busy),
            }),
        }
    }

    /// Writes new tokens to the store. This process has the only copy, so it retries for ten minutes. Returns the outcome if
    /// another write has replaced the old tokens meanwhile.
    async fn save(&self, new: &Record, mut old: Record) -> Result<Option<Outcome>, KeeperError> {
        let deadline = Instant::now().checked_add(STORE_RETRY_PERIOD).unwrap_or_else(Instant::now);
        let mut delay = FIRST_RETRY_DELAY;
        loop {
            let error = match self.replace(&old, new).await {
                Ok(WriteResult::Done) => return Ok(None),
                // The connection was deleted. That revoked the old pair only, so the new one is revoked here.
                Ok(WriteResult::Conflict(None)) => {
                    let _ = self.integration.revoke(&new.tokens).await;
                    return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
                }
                // A login at another code host has replaced the record, so the new tokens will never be used.
                Ok(WriteResult::Unreadable(error)) => {
                    let _ = self.integration.revoke_pair(&new.tokens).await;
                    return Err(error);
                }
                // An earlier attempt stored the new tokens, and the record was written again since.
                Ok(WriteResult::Conflict(Some(found))) if found.same_pair(new) => return Ok(None),
                // The old tokens are still stored; only what is known about them has changed.
                Ok(WriteResult::Conflict(Some(found))) if found.same_pair(&old) => {
                    old = *found;
                    continue;
                }
                // A new login, or tokens of another node's refresh: not older than the new ones here.
                Ok(WriteResult::Conflict(Some(found))) => {
                    // The login revoked the old pair only, so the new one is revoked here.
                    if found.login != new.login && new.shares_no_token_with(&found) {
                        let _ = self.integration.revoke_pair(&new.tokens).await;
                    }
                    let outcome = self.outcome_without_refresh(&found, None);
                    return Ok(Some(outcome.map(from_elsewhere).unwrap_or_else(busy)));
                }
                Err(KeeperError::Store(error)) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(KeeperError::Unsaved { cause: error });
            }
            tokio::time::sleep(delay).await;
            delay = delay.saturating_mul(2).min(MAX_RETRY_DELAY);
            self.extend_lease().await;
        }
    }

    /// The code host rejects the refresh token. The user must log in again, unless newer tokens are stored.
    pub(super) async fn refresh_token_rejected(
        &self,
        marked: Record,
        tried_before: bool,
    ) -> Result<Option<Outcome>, KeeperError> {
        // The node that tried before may still be running, and about to store new tokens.
        let wait = if tried_before { OTHER_NODE_WAIT } else { Duration::ZERO };
        let deadline = Instant::now().checked_add(wait).unwrap_or_else(Instant::now);
        let found = loop {
            let Some(found) = self.load().await? else {
                return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
            };
            if !found.same_pair(&marked) {
                return Ok(self.outcome_without_refresh(&found, self.rejected.as_ref()).map(from_elsewhere));
            }
            if found.needs_login.is_some() || Instant::now() >= deadline {
                break found;
            }
            tokio::time::sleep(OTHER_NODE_POLL_INTERVAL).await;
        };
        let reason = if tried_before { LoginReason::ResponseLost } else { LoginReason::RefreshTokenRejected };
        let mut ended = found.successor()?;
        let reason = found.needs_login.clone().unwrap_or(reason);
        ended.needs_login = Some(reason.clone());
        ended.refreshing_since = None;
        match self.replace(&found, &ended).await {
            Ok(WriteResult::Conflict(_)) => Ok(None),
            Ok(WriteResult::Unreadable(error)) => Err(error),
            // If it was not stored, the next call asks the code host again and gets the same response.
            Ok(WriteResult::Done) | Err(_) => Ok(Some(Outcome::NeedsLogin(reason))),
        }
    }

    /// There are no new tokens, but the refresh token is not rejected: the record stays. A failure of the whole code
    /// host pauses all connections of the integration.
    pub(super) fn failed(&self, record: &Record, cause: Arc<Error>) -> Result<Outcome, KeeperError> {
        let (integration, retry_after) = (self.connection.integration(), cause.advice().retry_after);
        let is_client_rejected = client_check::is_client_rejected(&cause);
        let (is_first, after) = self.inner.refreshes.with_pauses(integration, self.settings, |pauses| {
            if is_client_rejected {
                let after = client_check::REJECTION_VALID_FOR;
                return (pauses.pause_all_for(after, &cause), after);
            }
            let after = pauses.pause(&self.connection, retry_after, &cause);
            if !is_outage(&cause) {
                return (false, after);
            }
            let fails_for_others = pauses.note_outage(&self.connection);
            let is_of_all = fails_for_others || is_told_to_wait(&cause);
            let all = if is_of_all { pauses.pause_all(retry_after, &cause) } else { after };
            (false, after.max(all))
        });
        if is_first {
            let event = KeeperEvent::ClientRejected { integration: integration.clone(), cause: Arc::clone(&cause) };
            self.inner.emit(&event);
        }
        if self.rejected.is_none() && record.is_valid(self.inner.clock.now()) {
            return Ok(Outcome::StillValid(record.tokens.access_token.duplicate()));
        }
        retry_later(after, Some(cause))
    }
}

/// How long to wait for a node that may be about to store new tokens.
const OTHER_NODE_WAIT: Duration = Duration::from_secs(5);
const OTHER_NODE_POLL_INTERVAL: Duration = Duration::from_millis(250);
const STORE_RETRY_PERIOD: Duration = Duration::from_secs(600);
