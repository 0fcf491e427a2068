//! One refresh: what it needs, the request to the code host, and the reads and writes of the store.

use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::Semaphore;

use super::client_check::ClientCheck;
use super::connection::ConnectionId;
use super::error::KeeperError;
use super::failure::{Failure, ambiguous, is_refresh_token_rejected};
use super::inner::{Inner, WriteResult, with_timeout};
use super::outcome::Outcome;
use super::record::Record;
use super::running_refreshes::RefreshGuard;
use super::settings_digest::SettingsDigest;
use super::store::LeaseOwner;
use crate::error::Error;
use crate::integration::Integration;
use crate::values::token::{AccessToken, RefreshToken, TokenSet};

pub(super) struct Refresh {
    pub(super) inner: Arc<Inner>,
    pub(super) integration: Integration,
    pub(super) connection: ConnectionId,
    pub(super) settings: SettingsDigest,
    client_check: Arc<ClientCheck>,
    /// Limits the refreshes of the integration that run at the same time.
    pub(super) permits: Arc<Semaphore>,
    pub(super) owner: LeaseOwner,
    /// The access token that the API has rejected, if that is why the caller asks.
    pub(super) rejected: Option<AccessToken>,
}

impl Refresh {
    pub(super) fn new(
        inner: Arc<Inner>,
        integration: Integration,
        guard: &RefreshGuard,
        rejected: Option<AccessToken>,
    ) -> Result<Self, KeeperError> {
        Ok(Self {
            inner,
            integration,
            connection: guard.connection.clone(),
            settings: guard.settings,
            client_check: Arc::clone(&guard.client_check),
            permits: Arc::clone(&guard.permits),
            owner: LeaseOwner::random()?,
            rejected,
        })
    }

    /// Requests new tokens. If the refusal can also mean that the client is rejected, checks the client. If the client
    /// is accepted, requests once more: the client may have been rejected before and accepted since.
    pub(super) async fn request_tokens(&self, token: &RefreshToken) -> Result<TokenSet, Failure> {
        let refusal = match self.send_request(token).await {
            Err(refusal)
                if is_refresh_token_rejected(&refusal) && self.integration.provider().may_be_about_client(&refusal) =>
            {
                refusal
            }
            response => return response.map_err(Failure::of_refresh),
        };
        match self.client_check.is_accepted(self.integration.accepts_client()).await {
            Ok(true) => self.send_request(token).await.map_err(Failure::of_refresh),
            Ok(false) => Err(Failure { error: Arc::new(ambiguous(refusal)), is_token_unused: true }),
            Err(error) => Err(Failure { error, is_token_unused: true }),
        }
    }

    /// Waits for the response as long as it takes, and extends the lease meanwhile.
    async fn send_request(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        let mut call = Box::pin(self.integration.refresh(token));
        loop {
            let pause = Box::pin(tokio::time::sleep(self.inner.lease.checked_div(3).unwrap_or_default()));
            match select(call, pause).await {
                Either::Left((response, _)) => return response,
                Either::Right((_, unfinished)) => call = unfinished,
            }
            self.extend_lease().await;
        }
    }

    /// Whether the access token belongs to the user of this connection.
    pub(super) async fn belongs_to_user(&self, token: &AccessToken) -> Result<bool, Error> {
        let user = self.integration.user(token).await?;
        Ok(ConnectionId::from(&user.key) == self.connection)
    }

    pub(super) fn outcome_without_refresh(&self, record: &Record, rejected: Option<&AccessToken>) -> Option<Outcome> {
        self.inner.outcome_without_refresh(&self.integration, record, rejected)
    }

    pub(super) async fn load(&self) -> Result<Option<Record>, KeeperError> {
        self.inner.load(&self.connection, &self.integration).await
    }

    pub(super) async fn replace(&self, old: &Record, new: &Record) -> Result<WriteResult, KeeperError> {
        self.inner.write(&self.connection, &self.integration, Some(old.revision), new).await
    }

    /// If this fails, the lease may end early. Another node may then start a refresh too, and compare-and-swap decides
    /// which result is stored.
    pub(super) async fn extend_lease(&self) {
        let _ = with_timeout(self.inner.store.lease(&self.connection, &self.owner, self.inner.lease)).await;
    }
}

/// The outcome if the tokens come from another node or a new login.
pub(super) fn from_elsewhere(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::StillValid(token) => Outcome::RenewedElsewhere(token),
        outcome => outcome,
    }
}
