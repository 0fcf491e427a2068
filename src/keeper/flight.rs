//! One refresh, from the lease to the store.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::binding::Binding;
use super::client::{self, Client};
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::event::KeeperEvent;
use super::failure::{Failure, is_dead, is_outage, unclear};
use super::flights::{Admission, RefreshGuard};
use super::inner::{FIRST_PAUSE, Inner, MAX_PAUSE, Written, in_time};
use super::login_reason::LoginReason;
use super::outcome::{Outcome, busy, not_now};
use super::pauses::Waiting;
use super::record::Record;
use super::store::LeaseOwner;
use crate::error::{ApiError, Error};
use crate::integration::Integration;
use crate::values::token::{AccessToken, RefreshToken, TokenSet};

impl Inner {
    /// Joins the connection's refresh, or begins it. It runs in a task of its own, so that nobody who goes away can cut
    /// it off after the platform has spent the refresh token.
    pub(super) fn enter(
        self: &Arc<Self>,
        connection: &ConnectionId,
        integration: Arc<Integration>,
        unwanted: Option<&AccessToken>,
        valid: bool,
    ) -> Result<Admission, KeeperError> {
        let binding = Binding::of(&integration)?;
        Ok(self.flights.enter(connection, binding, valid, |guard| {
            let flight = Flight::new(Arc::clone(self), integration, &guard, unwanted.map(AccessToken::duplicate));
            tokio::spawn(async move {
                let result = match flight {
                    Ok(flight) => flight.run().await,
                    Err(error) => Err(error),
                };
                guard.end(result);
            });
        }))
    }
}

struct Flight {
    inner: Arc<Inner>,
    integration: Arc<Integration>,
    connection: ConnectionId,
    binding: Binding,
    client: Arc<Client>,
    permits: Arc<Semaphore>,
    owner: LeaseOwner,
    unwanted: Option<AccessToken>,
}

impl Flight {
    fn new(
        inner: Arc<Inner>,
        integration: Arc<Integration>,
        guard: &RefreshGuard,
        unwanted: Option<AccessToken>,
    ) -> Result<Self, KeeperError> {
        Ok(Self {
            inner,
            integration,
            connection: guard.connection.clone(),
            binding: guard.binding,
            client: Arc::clone(&guard.client),
            permits: Arc::clone(&guard.permits),
            owner: LeaseOwner::random()?,
            unwanted,
        })
    }

    /// Takes the lease and refreshes; or waits until whoever has it is done, and reads what they stored. Who waits in
    /// vain goes away empty-handed, never on without the lease.
    async fn run(mut self) -> Result<Outcome, KeeperError> {
        let until = Instant::now().checked_add(self.inner.patience).unwrap_or_else(Instant::now);
        let mut pause = FIRST_LOOK;
        let integration = self.connection.integration();
        loop {
            // The limit is for requests, so nobody who only waits for another node counts.
            let permit = Arc::clone(&self.permits).acquire_owned();
            let Ok(Ok(permit)) = tokio::time::timeout_at(until, permit).await else {
                return Ok(busy());
            };
            // Those before us may have heard that nobody should ask for a while.
            if let Some(waiting) = self.inner.flights.pauses(integration, self.binding, |p| p.waiting(&self.connection))
            {
                drop(permit);
                return self.waits(waiting).await;
            }
            let ended = match in_time(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await {
                Ok(true) => self.leased(permit).await,
                Ok(false) => {
                    drop(permit);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            };
            // Also where the response got lost. If this fails too the lease ends by itself.
            let released = in_time(self.inner.store.release(&self.connection, &self.owner)).await;
            if let Some(outcome) = ended.transpose() {
                return outcome;
            }
            if Instant::now() >= until {
                return Ok(busy());
            }
            if released.is_err() {
                // It may take effect later, and must not end the next lease.
                self.owner = LeaseOwner::random()?;
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LAST_LOOK);
            if let Some(outcome) = self.look().await? {
                return Ok(outcome);
            }
        }
    }

    /// What there is for somebody who must wait: the stored token, as long as it is good.
    async fn waits(&self, waiting: Waiting) -> Result<Outcome, KeeperError> {
        let valid =
            self.load().await?.filter(|record| self.unwanted.is_none() && record.is_valid(self.inner.clock.now()));
        match valid {
            Some(record) => Ok(Outcome::StillValid(record.tokens.access_token)),
            None => not_now(waiting.after, waiting.cause),
        }
    }

    /// What the store says by now, if that is an end.
    async fn look(&self) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        Ok(self.settle(&record, self.unwanted.as_ref()).map(by_others))
    }

    /// With the lease. `None`: somebody has written in between, look again.
    async fn leased(&self, permit: OwnedSemaphorePermit) -> Result<Option<Outcome>, KeeperError> {
        let Some(record) = self.load().await? else {
            return Ok(Some(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        if let Some(outcome) = self.settle(&record, self.unwanted.as_ref()) {
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
        // If this process ends before the response is stored, the next one knows that the token may be spent.
        let mut marked = record.successor()?;
        marked.refreshing_since = Some(self.inner.clock.now());
        match self.write(&record, &marked).await? {
            Written::Yes => {}
            Written::Conflict(_) => return Ok(None),
            Written::Foreign(error) => return Err(error),
        }
        match self.renew(token).await {
            Ok(tokens) => {
                let new = self.renewed(tokens, &record)?;
                drop(permit);
                self.store(new, marked).await.map(Some)
            }
            Err(Failure { error, .. }) if is_dead(&error) => {
                drop(permit);
                self.refused(marked, record.refreshing_since.is_some()).await
            }
            Err(Failure { error, is_unspent }) => {
                drop(permit);
                if is_unspent && record.refreshing_since.is_none() {
                    self.unmark(&record, &marked).await;
                }
                match &*error {
                    Error::Config(error) => Err(error.clone().into()),
                    _ => self.failed(&record, error).map(Some),
                }
            }
        }
    }

    /// The refresh. A refusal that can be about the client is one about the token only if the client is accepted at the
    /// same time: after the refusal it is asked for, and then the refresh is sent once more, since what kept the client out
    /// may have ended between the two.
    async fn renew(&self, token: &RefreshToken) -> Result<TokenSet, Failure> {
        let refusal = match self.refresh(token).await {
            Err(refusal) if is_dead(&refusal) && self.integration.provider().can_mean_client(&refusal) => refusal,
            response => return response.map_err(Failure::of_refresh),
        };
        match self.client.is_accepted(self.integration.accepts_client()).await {
            Ok(true) => self.refresh(token).await.map_err(Failure::of_refresh),
            Ok(false) => Err(Failure { error: Arc::new(unclear(refusal)), is_unspent: true }),
            Err(error) => Err(Failure { error, is_unspent: true }),
        }
    }

    /// The code host has refused, so the token is not spent: nobody has to wonder about it later.
    async fn unmark(&self, old: &Record, marked: &Record) {
        if let Ok(clean) = old.successor() {
            let _ = self.write(marked, &clean).await;
        }
    }

    /// The call, however long it takes: the lease is extended meanwhile.
    async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        let mut call = Box::pin(self.integration.refresh(token));
        loop {
            let pulse = Box::pin(tokio::time::sleep(self.inner.lease.checked_div(3).unwrap_or_default()));
            match select(call, pulse).await {
                Either::Left((response, _)) => return response,
                Either::Right((_, unfinished)) => call = unfinished,
            }
            self.extend_lease().await;
        }
    }

    /// The record to store for new tokens. They are stored before anything else can go wrong: what the app wants to be sure
    /// of is found out behind that, and they are not handed out before.
    fn renewed(&self, mut tokens: TokenSet, old: &Record) -> Result<Record, KeeperError> {
        tokens.received_at = self.inner.clock.now();
        if !tokens.notes.is_empty() {
            let (connection, notes) = (self.connection.clone(), tokens.notes.clone());
            self.inner.tell(&KeeperEvent::OddResponse { connection, notes });
        }
        let mut new = Record::renewed(tokens, old)?;
        new.unverified = self.inner.verify_identity;
        if let Some(scopes) = old.grown_scopes(&new, &self.integration) {
            self.inner.tell(&KeeperEvent::ScopesGrew { connection: self.connection.clone(), scopes });
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
            Err(error) => return self.failed(record, Arc::new(error)).map(Some),
        }
        match self.write(record, &known).await? {
            Written::Yes => Ok(self.settle(&known, self.unwanted.as_ref())),
            Written::Conflict(_) => Ok(None),
            Written::Foreign(error) => Err(error),
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
                // A login at another code host has taken the place, and nobody will ever ask for these.
                Ok(Written::Foreign(error)) => {
                    let _ = self.integration.revoke_pair(&new.tokens).await;
                    return Err(error);
                }
                // Stored by an earlier try, and somebody has gone on from there.
                Ok(Written::Conflict(Some(found))) if found.same_pair(&new) => break,
                // Only a remark about the pair that these tokens replace.
                Ok(Written::Conflict(Some(found))) if found.same_pair(&over) => {
                    over = found;
                    continue;
                }
                // A new login, or what another node got: not older than ours.
                Ok(Written::Conflict(Some(found))) => {
                    // The login knew the old pair only, so these would live on.
                    if found.login != new.login && new.is_replaced_by(&found) {
                        let _ = self.integration.revoke_pair(&new.tokens).await;
                    }
                    let outcome = self.settle(&found, None);
                    return Ok(outcome.map(by_others).unwrap_or_else(busy));
                }
                Err(KeeperError::Store(error)) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= until {
                return Err(KeeperError::Unsaved { cause: error });
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
            self.extend_lease().await;
        }
        self.inner.flights.pauses(self.connection.integration(), self.binding, |p| p.succeeded(&self.connection));
        if !new.unverified {
            return Ok(Outcome::Renewed(new.tokens.access_token));
        }
        match self.is_ours(&new.tokens.access_token).await {
            // They are asked about again by whoever comes next.
            Err(_) => Ok(busy()),
            ours => Ok(match self.verified(&new, ours).await? {
                Some(Outcome::StillValid(token)) => Outcome::Renewed(token),
                outcome => outcome.unwrap_or_else(busy),
            }),
        }
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
                return Ok(self.settle(&found, self.unwanted.as_ref()).map(by_others));
            }
            if found.dead.is_some() || Instant::now() >= until {
                break found;
            }
            tokio::time::sleep(LAST_LOOK).await;
        };
        let reason = if tried_before { LoginReason::ResponseLost } else { LoginReason::Refused };
        let mut dead = found.successor()?;
        let reason = found.dead.clone().unwrap_or(reason);
        dead.dead = Some(reason.clone());
        dead.refreshing_since = None;
        match self.write(&found, &dead).await {
            Ok(Written::Conflict(_)) => Ok(None),
            Ok(Written::Foreign(error)) => Err(error),
            // Not remembered, then: the next one asks the code host again and hears the same.
            Ok(Written::Yes) | Err(_) => Ok(Some(Outcome::NeedsLogin(reason))),
        }
    }

    /// Neither new tokens nor a final no: what is stored stays. What concerns all connections lets all wait.
    fn failed(&self, record: &Record, cause: Arc<Error>) -> Result<Outcome, KeeperError> {
        let (integration, asked) = (self.connection.integration(), cause.advice().retry_after);
        let is_rejected = client::is_rejected(&cause);
        let (is_new, after) = self.inner.flights.pauses(integration, self.binding, |pauses| {
            if is_rejected {
                return (pauses.hold_all(client::REJECTION_SERVES, &cause), client::REJECTION_SERVES);
            }
            let after = pauses.pause(&self.connection, asked, &cause);
            let all = if is_outage(&cause) { pauses.pause_all(asked, &cause) } else { after };
            (false, after.max(all))
        });
        if is_new {
            let event = KeeperEvent::ClientRejected { integration: integration.clone(), cause: Arc::clone(&cause) };
            self.inner.tell(&event);
        }
        if self.unwanted.is_none() && record.is_valid(self.inner.clock.now()) {
            return Ok(Outcome::StillValid(record.tokens.access_token.duplicate()));
        }
        not_now(after, Some(cause))
    }

    fn settle(&self, record: &Record, unwanted: Option<&AccessToken>) -> Option<Outcome> {
        self.inner.settle(&self.integration, record, unwanted)
    }

    async fn load(&self) -> Result<Option<Record>, KeeperError> {
        self.inner.load(&self.connection, &self.integration).await
    }

    async fn write(&self, over: &Record, new: &Record) -> Result<Written, KeeperError> {
        self.inner.write(&self.connection, &self.integration, Some(over.revision), new).await
    }

    /// If this fails the lease may end early. Then another node may begin too, and the compare-and-swap decides.
    async fn extend_lease(&self) {
        let _ = in_time(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await;
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
