//! The task that runs one refresh: waits for its turn, takes the lease, requests new tokens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::failure::{Failure, is_refresh_token_rejected};
use super::inner::{Inner, WriteResult, with_timeout};
use super::login_reason::LoginReason;
use super::outcome::{Outcome, busy, retry_later};
use super::pauses::Waiting;
use super::record::Record;
use super::refresh::{Refresh, from_elsewhere};
use super::running_refreshes::Admission;
use super::settings_digest::SettingsDigest;
use super::store::LeaseOwner;
use crate::error::Error;
use crate::integration::Integration;
use crate::values::token::AccessToken;

impl Inner {
    /// Joins the connection's running refresh, or starts one. It runs in its own task, so that it ends normally even if
    /// all callers are dropped after the platform has used up the refresh token.
    pub(super) fn join_or_start_refresh(
        self: &Arc<Self>,
        connection: &ConnectionId,
        integration: Integration,
        rejected: Option<&AccessToken>,
        has_valid_token: bool,
    ) -> Result<Admission, KeeperError> {
        let settings = SettingsDigest::of(&integration)?;
        Ok(self.refreshes.join_or_start(connection, settings, has_valid_token, |guard| {
            let refresh = Refresh::new(Arc::clone(self), integration, &guard, rejected.map(AccessToken::duplicate));
            tokio::spawn(async move {
                let result = match refresh {
                    Ok(refresh) => refresh.run().await,
                    Err(error) => Err(error),
                };
                guard.end(result);
            });
        }))
    }
}

impl Refresh {
    /// Takes the lease and refreshes. If another node has the lease, waits and reads what that node stored. Never
    /// refreshes without the lease.
    async fn run(mut self) -> Result<Outcome, KeeperError> {
        let deadline = Instant::now().checked_add(self.inner.patience).unwrap_or_else(Instant::now);
        let mut poll_interval = FIRST_POLL_INTERVAL;
        let integration = self.connection.integration();
        loop {
            // The limit is for requests: a task that only waits for another node holds no permit.
            let permit = Arc::clone(&self.permits).acquire_owned();
            let Ok(Ok(permit)) = tokio::time::timeout_at(deadline, permit).await else {
                return Ok(busy());
            };
            // A pause may have begun while this task waited for its permit.
            if let Some(waiting) =
                self.inner.refreshes.with_pauses(integration, self.settings, |p| p.waiting(&self.connection))
            {
                drop(permit);
                return self.paused(waiting).await;
            }
            let lease = with_timeout(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await;
            let result = match lease {
                Ok(true) => self.with_lease(permit).await,
                Ok(false) => {
                    drop(permit);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            };
            // Also after an error: the lease may have been taken although the response was lost. If this call fails
            // too, the lease expires.
            let released = with_timeout(self.inner.store.release(&self.connection, &self.owner)).await;
            if let Some(outcome) = result.transpose() {
                return outcome;
            }
            if Instant::now() >= deadline {
                return Ok(busy());
            }
            if released.is_err() {
                // The release may take effect later, and must not end the next lease.
                self.owner = LeaseOwner::random()?;
            }
            tokio::time::sleep(poll_interval).await;
            poll_interval = poll_interval.saturating_mul(2).min(MAX_POLL_INTERVAL);
            if let Some(outcome) = self.stored_outcome().await? {
                return Ok(outcome);
            }
        }
    }

    /// The outcome during a pause: the stored access token while it is valid.
    async fn paused(&self, waiting: Waiting) -> Result<Outcome, KeeperError> {
        let valid =
            self.load().await?.filter(|record| self.rejected.is_none() && record.is_valid(self.inner.clock.now()));
        match valid {
            Some(record) => Ok(Outcome::StillValid(record.tokens.access_token)),
            None => retry_later(waiting.after, waiting.cause),
        }
    }

    /// The outcome by what is stored now; `None` if a refresh is still needed.
    async fn stored_outcome(&self) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        Ok(self.outcome_without_refresh(&record, self.rejected.as_ref()).map(from_elsewhere))
    }

    /// Called with the lease. `None`: another write came in between, so the store must be read again.
    async fn with_lease(&self, permit: OwnedSemaphorePermit) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        if let Some(outcome) = self.outcome_without_refresh(&record, self.rejected.as_ref()) {
            return Ok(Some(from_elsewhere(outcome)));
        }
        if record.unverified {
            match self.belongs_to_user(&record.tokens.access_token).await {
                // The user of this token can no longer be looked up. A refresh gives new tokens, which are verified
                // instead.
                Err(error) if error.is_unauthorized() => {}
                found => return self.store_verification(&record, found).await,
            }
        }
        let Some(token) = &record.tokens.refresh_token else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NoRefreshToken)));
        };
        // If this process ends before the response is stored, the next refresh knows that the token may be used up.
        let mut marked = record.successor()?;
        marked.refreshing_since = Some(self.inner.clock.now());
        match self.replace(&record, &marked).await? {
            WriteResult::Done => {}
            WriteResult::Conflict(_) => return Ok(None),
            WriteResult::Unreadable(error) => return Err(error),
        }
        match self.request_tokens(token).await {
            Ok(tokens) => {
                let new = self.new_record(tokens, &record)?;
                drop(permit);
                self.store(new, marked).await.map(Some)
            }
            Err(Failure { error, .. }) if is_refresh_token_rejected(&error) => {
                drop(permit);
                self.refresh_token_rejected(marked, record.refreshing_since.is_some()).await
            }
            Err(Failure { error, is_token_unused }) => {
                drop(permit);
                if is_token_unused && record.refreshing_since.is_none() {
                    self.remove_mark(&record, &marked).await;
                }
                match &*error {
                    Error::Config(error) => Err(error.clone().into()),
                    _ => self.failed(&record, error).map(Some),
                }
            }
        }
    }

    /// Removes `refreshing_since` after a request that did not use up the refresh token. If this fails, the mark
    /// stays until the next refresh. The only effect is that a rejection is then reported as `ResponseLost`.
    async fn remove_mark(&self, old: &Record, marked: &Record) {
        if let Ok(unmarked) = old.successor() {
            let _ = self.replace(marked, &unmarked).await;
        }
    }
}

const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(20);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
