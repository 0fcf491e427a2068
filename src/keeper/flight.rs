//! One refresh, from the lease to the store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::busy;
use super::connection::ConnectionId;
use super::flights::Takeoff;
use super::inner::{FIRST_PAUSE, Inner, MAX_PAUSE, Written, in_time};
use super::outcome::{LoginReason, Outcome};
use super::record::{Record, duplicate};
use super::store::LeaseOwner;
use crate::error::{ApiError, Error, KeeperError, StoreError, TokenError};
use crate::integration::Integration;
use crate::token::{AccessToken, Origin, RefreshToken, TokenSet};

pub(super) struct Flight {
    inner: Arc<Inner>,
    integration: Arc<Integration>,
    origin: Origin,
    connection: ConnectionId,
    permits: Arc<Semaphore>,
    owner: LeaseOwner,
    unwanted: Option<AccessToken>,
}

impl Flight {
    pub(super) fn new(
        inner: Arc<Inner>,
        integration: Arc<Integration>,
        takeoff: &Takeoff,
        unwanted: Option<AccessToken>,
    ) -> Result<Self, KeeperError> {
        Ok(Self {
            origin: integration.expected().origin.clone(),
            inner,
            integration,
            connection: takeoff.connection.clone(),
            permits: Arc::clone(&takeoff.permits),
            owner: LeaseOwner::random()?,
            unwanted,
        })
    }

    /// Takes the lease and refreshes; or waits until whoever has it is done, and reads what they stored. Who waits in
    /// vain goes away empty-handed, never on without the lease.
    pub(super) async fn run(self) -> Result<Outcome, KeeperError> {
        let until = Instant::now().checked_add(self.inner.patience).unwrap_or_else(Instant::now);
        let mut pause = FIRST_LOOK;
        loop {
            // The limit is for requests, so nobody who only waits for another node counts.
            let permit = Arc::clone(&self.permits).acquire_owned();
            let Ok(Ok(permit)) = tokio::time::timeout_at(until, permit).await else {
                return Ok(busy());
            };
            let landed = match in_time(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await {
                Ok(true) => self.leased(permit).await,
                Ok(false) => {
                    drop(permit);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            };
            // Also where the answer got lost. If this fails too the lease ends by itself.
            let _ = in_time(self.inner.store.release(&self.connection, &self.owner)).await;
            if let Some(outcome) = landed.transpose() {
                return outcome;
            }
            if Instant::now() >= until {
                return Ok(busy());
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LAST_LOOK);
            if let Some(outcome) = self.look().await? {
                return Ok(outcome);
            }
        }
    }

    /// What the store says by now, if that is an end.
    async fn look(&self) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        Ok(self.inner.settle(&record, self.unwanted.as_ref()).map(by_others))
    }

    /// With the lease. `None`: somebody has written in between, look again.
    async fn leased(&self, permit: OwnedSemaphorePermit) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        if let Some(outcome) = self.inner.settle(&record, self.unwanted.as_ref()) {
            return Ok(Some(by_others(outcome)));
        }
        if record.unverified {
            match self.is_ours(&record.tokens.access_token).await {
                // Nobody can be asked with these any more. What comes instead of them is verified in its turn.
                Err(Error::Api {
                    cause: ApiError::TokenExpired | ApiError::TokenRevoked | ApiError::TokenRejected,
                    ..
                }) => {}
                found => return self.verified(&record, found).await,
            }
        }
        let Some(token) = &record.tokens.refresh_token else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NoRefreshToken)));
        };
        // If this process ends before the answer is stored, the next one knows that the token may be spent.
        let mut marked = record.successor()?;
        marked.refreshing_since = Some(self.inner.clock.now());
        match self.write(&record, &marked).await? {
            Written::Yes => {}
            Written::Conflict(_) => return Ok(None),
        }
        let answer = self.refresh(token).await;
        match answer {
            Ok(tokens) => {
                let new = self.judge(tokens, &record, &marked).await?;
                drop(permit);
                self.store(new, marked).await.map(Some)
            }
            Err(error) if is_dead(&error) => {
                drop(permit);
                self.refused(marked, record.refreshing_since.is_some()).await
            }
            Err(Error::Config(error)) => Err(error.into()),
            Err(error) => self.failed(&record, error).map(Some),
        }
    }

    /// The call, however long it takes: the lease is extended meanwhile.
    async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        let mut call = Box::pin(self.integration.refresh(token));
        loop {
            let pulse = Box::pin(tokio::time::sleep(self.inner.lease.checked_div(3).unwrap_or_default()));
            match select(call, pulse).await {
                Either::Left((answer, _)) => return answer,
                Either::Right((_, unfinished)) => call = unfinished,
            }
            self.extend_lease().await;
        }
    }

    /// The record to store for new tokens: what the answer left out is as before, and tokens that are not what they
    /// should be are marked.
    async fn judge(&self, mut tokens: TokenSet, old: &Record, marked: &Record) -> Result<Record, KeeperError> {
        tokens.received_at = self.inner.clock.now();
        if tokens.refresh_token.is_none() {
            tokens.refresh_token = old.tokens.refresh_token.as_ref().map(RefreshToken::duplicate);
        }
        let granted = tokens.scopes.clone();
        if tokens.scopes.is_none() {
            tokens.scopes = old.tokens.scopes.clone();
        }
        let mut new = Record::new(tokens)?;
        if !self.inner.verify_identity {
            return Ok(new);
        }
        let grew = match (old.scopes(), &granted) {
            (Some(old), Some(new)) => !new.is_subset(old),
            _ => false,
        };
        let wrong = if grew { Some(LoginReason::ScopesGrew) } else { None };
        let wrong = match wrong {
            Some(reason) => Some(reason),
            None => match self.is_ours(&new.tokens.access_token).await {
                Ok(true) => None,
                Ok(false) => Some(LoginReason::SubjectChanged),
                // They are stored before anything else can go wrong, and not handed out before this is known.
                Err(_) => {
                    new.unverified = true;
                    None
                }
            },
        };
        if wrong.is_some() {
            // The old pair stays, although it is spent: nobody must use the other one.
            new.tokens = duplicate(&marked.tokens);
            new.dead = wrong;
        }
        Ok(new)
    }

    async fn is_ours(&self, token: &AccessToken) -> Result<bool, Error> {
        let user = self.integration.user(token).await?;
        Ok(ConnectionId::from(&user.key) == self.connection)
    }

    /// Whose the tokens are that could not be verified when they came.
    async fn verified(&self, record: &Record, ours: Result<bool, Error>) -> Result<Option<Outcome>, KeeperError> {
        let mut known = record.successor()?;
        known.unverified = false;
        match ours {
            Ok(true) => {}
            Ok(false) => known.dead = Some(LoginReason::SubjectChanged),
            Err(error) => return self.failed(record, error).map(Some),
        }
        match self.write(record, &known).await? {
            Written::Yes => Ok(self.inner.settle(&known, self.unwanted.as_ref())),
            Written::Conflict(_) => Ok(None),
        }
    }

    /// Stores new tokens, which exist nowhere but here: again and again, for ten minutes.
    async fn store(&self, new: Record, mut over: Record) -> Result<Outcome, KeeperError> {
        let until = Instant::now().checked_add(STORE_PATIENCE).unwrap_or_else(Instant::now);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.write(&over, &new).await {
                Ok(Written::Yes) => break,
                // Whoever disconnected knew the old pair only, so these would live on.
                Ok(Written::Conflict(None)) => {
                    let _ = self.integration.revoke(&new.tokens).await;
                    return Ok(Outcome::NeedsLogin(LoginReason::NotConnected));
                }
                // Stored by an earlier try, and somebody has gone on from there.
                Ok(Written::Conflict(Some(found))) if found.same_pair(&new) && new.dead.is_none() => break,
                // Only a remark about the pair that these tokens replace.
                Ok(Written::Conflict(Some(found))) if found.same_pair(&over) => {
                    over = found;
                    continue;
                }
                // A new login, or what another node got: not older than ours.
                Ok(Written::Conflict(Some(found))) => {
                    let outcome = self.inner.settle(&found, None);
                    return Ok(outcome.map(by_others).unwrap_or_else(busy));
                }
                Err(error) => error,
            };
            if Instant::now() >= until {
                return Err(match error {
                    KeeperError::Store(cause) => KeeperError::Unsaved { cause },
                    _ => KeeperError::Unsaved { cause: StoreError::TimedOut },
                });
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
            self.extend_lease().await;
        }
        self.inner.flights.resume(&self.connection);
        Ok(match new.dead {
            Some(reason) => Outcome::NeedsLogin(reason),
            None if new.unverified => busy(),
            None => Outcome::Renewed(new.tokens.access_token),
        })
    }

    /// The code host says that the refresh token is dead. That is final only if nobody has stored newer ones.
    async fn refused(&self, marked: Record, tried_before: bool) -> Result<Option<Outcome>, KeeperError> {
        // Whoever tried before us may be slow rather than dead, and about to store what they got.
        let wait = if tried_before { SIBLING_PATIENCE } else { Duration::ZERO };
        let until = Instant::now().checked_add(wait).unwrap_or_else(Instant::now);
        let found = loop {
            let Some(found) = self.load().await? else {
                return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
            };
            if !found.same_pair(&marked) {
                return Ok(self.inner.settle(&found, self.unwanted.as_ref()).map(by_others));
            }
            if found.dead.is_some() || Instant::now() >= until {
                break found;
            }
            tokio::time::sleep(LAST_LOOK).await;
        };
        let reason = if tried_before { LoginReason::AnswerLost } else { LoginReason::Refused };
        let mut dead = found.successor()?;
        dead.dead = Some(found.dead.unwrap_or(reason));
        dead.refreshing_since = None;
        match self.write(&found, &dead).await {
            Ok(Written::Conflict(_)) => Ok(None),
            // Not remembered, then: the next one asks the code host again and hears the same.
            Ok(Written::Yes) | Err(_) => Ok(Some(Outcome::NeedsLogin(reason))),
        }
    }

    /// Neither new tokens nor a final no: what is stored stays.
    fn failed(&self, record: &Record, error: Error) -> Result<Outcome, KeeperError> {
        let refused = matches!(&error, Error::Token { answer, .. } if answer.status().is_client_error());
        let (asked, cause) = (error.retry_after(), Arc::new(error));
        let after = self.inner.flights.pause(&self.connection, asked, Some(Arc::clone(&cause)));
        if self.unwanted.is_none() && record.is_valid(self.inner.clock.now()) {
            return Ok(Outcome::StillValid(record.tokens.access_token.duplicate()));
        }
        if refused {
            Err(KeeperError::Refused { after, cause })
        } else {
            Ok(Outcome::Retry { after, cause: Some(cause) })
        }
    }

    async fn load(&self) -> Result<Option<Record>, KeeperError> {
        self.inner.load(&self.connection, &self.origin).await
    }

    async fn write(&self, over: &Record, new: &Record) -> Result<Written, KeeperError> {
        self.inner.write(&self.connection, &self.origin, Some(over.revision), new).await
    }

    /// If this fails the lease may end early. Then another node may begin too, and the compare-and-swap decides.
    async fn extend_lease(&self) {
        let _ = in_time(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await;
    }
}

/// Whether the code host says that the refresh token is dead, as the standard has it said: with status 400 or 401. The
/// same words from a proxy's error page are an outage.
fn is_dead(error: &Error) -> bool {
    match error {
        Error::Token { cause: TokenError::RefreshRejected, answer } => matches!(answer.status().as_u16(), 400 | 401),
        _ => false,
    }
}

fn by_others(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::StillValid(token) => Outcome::RenewedElsewhere(token),
        outcome => outcome,
    }
}

const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(250);
const SIBLING_PATIENCE: Duration = Duration::from_secs(5);
const STORE_PATIENCE: Duration = Duration::from_secs(600);
