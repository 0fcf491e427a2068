use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::call_error::CallError;
use super::connection::ConnectionId;
use super::disconnect::Disconnected;
use super::error::KeeperError;
use super::inner::Inner;
use super::login_reason::LoginReason;
use super::outcome::{Outcome, busy, retry_later};
use super::pauses::Waiting;
use super::record::Record;
use super::running_refreshes::Admission;
use crate::error::ConfigError;
use crate::integration::Integration;
use crate::observe;
use crate::values::token::{AccessToken, NEW_TOKEN_PAUSES, TokenSet};

/// Gives valid access tokens, and renews them before they expire. Make one for the whole process: clones share
/// everything.
///
/// Refreshes run in tasks of the tokio runtime. Before the runtime shuts down, wait for [`finish`](Self::finish), so
/// that the last responses are stored.
///
/// ```
/// use codehost_oauth::keeper::{ConnectionId, MemoryTokens, TokenKeeper};
/// use codehost_oauth::seal::KeyRing;
/// use codehost_oauth::{AccessToken, TokenSet};
/// # use codehost_oauth::{transport::{HttpClient, Network}, Access, BaseUrl, Integration, IntegrationConfig, Platform};
/// # fn integration() -> Result<Integration, Box<dyn std::error::Error>> {
/// #     let network = Network::public_only();
/// #     let provider = Platform::find("gitlab")?.provider(BaseUrl::parse("https://git.example.com", &network)?)?;
/// #     Ok(Integration::builder(provider, HttpClient::builder(network).build()?, IntegrationConfig {
/// #     id: "demo".parse()?,
/// #     name: "Git".to_owned(),
/// #     public_url: "https://app.example.com".parse()?,
/// #     client_id: "id".to_owned(),
/// #     client_secret: "secret".to_owned(),
/// #     access: Access::SignIn,
/// # }).build()?)
/// # }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let integration = integration()?;
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, integration.clone()).build();
///
/// // After a login; the id is `ConnectionId::from(&login.user.key)`.
/// let connection: ConnectionId = "gitlab:demo:42".parse()?;
/// let binding = integration.binding().clone();
/// let tokens = TokenSet::new(AccessToken::new("s3cr3t".to_owned(), &binding).ok_or("no token")?);
/// keeper.import(&connection, tokens).await?;
///
/// // Before each call of the API.
/// let token = keeper.access_token(&connection).await?;
/// assert_eq!(token.expose_for(binding.base_url())?, "s3cr3t");
///
/// // When the user disconnects the account.
/// assert!(keeper.disconnect(&connection).await?.deleted);
/// assert!(keeper.access_token(&connection).await.unwrap_err().advice().needs_login);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct TokenKeeper {
    pub(super) inner: Arc<Inner>,
}

impl TokenKeeper {
    /// A valid access token: one read of the store, and a refresh if the token is about to expire. Within
    /// [`fresh_for`](super::TokenKeeperBuilder::fresh_for), if that is set, the store is not read again.
    ///
    /// The future may be dropped at any point, for example by a time-out: a refresh that has started continues.
    ///
    /// # Errors
    ///
    /// [`KeeperError::NeedsLogin`] if only a new login helps; [`KeeperError::Retry`] while the code host is down or
    /// asks to wait, or another node refreshes; [`KeeperError::Refused`] if the code host does not accept the
    /// integration's client ID and secret. The other errors have a cause in the app itself. The stored tokens are kept,
    /// but with [`KeeperError::Unsaved`] the new ones are lost, and the stored refresh token may be used up.
    pub async fn access_token(&self, connection: &ConnectionId) -> Result<AccessToken, KeeperError> {
        self.outcome(connection).await?.into_token()
    }

    /// The same, but also says where the token comes from. [`Outcome::NeedsLogin`] and [`Outcome::Retry`] are not
    /// errors here.
    pub(crate) async fn outcome(&self, connection: &ConnectionId) -> Result<Outcome, KeeperError> {
        self.find_token(connection, None).await.inspect_err(|error| log(connection, error))
    }

    /// Calls the API with a valid access token. If the API responds with 401, for example because another node has just
    /// renewed the tokens, reads the store again, renews the tokens if no other node has, and calls once more. Tokens
    /// that are only a few seconds old are not renewed after a 401.
    ///
    /// Not every node of the code host may know a new token yet. So a new token that is rejected, or one that nothing can
    /// renew, is tried again after one second, and then after two seconds. In total, there are at most four calls.
    ///
    /// # Errors
    ///
    /// The error of the call; [`CallError::Unauthorized`] if the new token is not accepted either;
    /// [`CallError::Keeper`] for the errors of [`access_token`](Self::access_token).
    ///
    /// ```
    /// # use codehost_oauth::{keeper::{CallError, ConnectionId, TokenKeeper}, AccessToken};
    /// # async fn get_projects(_: &AccessToken) -> Result<(u16, String), std::io::Error> { Ok((200, String::new())) }
    /// async fn projects(keeper: &TokenKeeper, of: &ConnectionId) -> Result<String, CallError<std::io::Error>> {
    ///     let call = async |token: AccessToken| match get_projects(&token).await {
    ///         Ok((401, _)) => Err(CallError::Unauthorized),
    ///         Ok((_, body)) => Ok(body),
    ///         Err(error) => Err(CallError::Failed(error)),
    ///     };
    ///     keeper.with_token(of, call).await
    /// }
    /// ```
    pub async fn with_token<T, E, F, C>(&self, connection: &ConnectionId, mut call: F) -> Result<T, CallError<E>>
    where
        F: FnMut(AccessToken) -> C,
        C: Future<Output = Result<T, CallError<E>>>,
    {
        let token = self.access_token(connection).await.map_err(CallError::Keeper)?;
        match call(token.duplicate()).await {
            Err(CallError::Unauthorized) => {}
            result => return result,
        }
        let outcome = self.find_token(connection, Some(&token)).await.inspect_err(|error| log(connection, error));
        let (current, refusal) = match outcome.and_then(Outcome::into_token) {
            Ok(current) => (current, CallError::Unauthorized),
            // One 401 can be a mistake of one node, and nothing can renew this token.
            Err(error @ KeeperError::NeedsLogin(LoginReason::NoRefreshToken)) => {
                (token.duplicate(), CallError::Keeper(error))
            }
            Err(error) => return Err(CallError::Keeper(error)),
        };
        // Either another token, or the same one if it is too new to be renewed, or cannot be.
        if !current.matches(&token) {
            match call(current.duplicate()).await {
                Err(CallError::Unauthorized) => {}
                result => return result,
            }
        }
        for pause in NEW_TOKEN_PAUSES {
            tokio::time::sleep(pause).await;
            match call(current.duplicate()).await {
                Err(CallError::Unauthorized) => {}
                result => return result,
            }
        }
        Err(refusal)
    }

    /// Stores the tokens of a login and replaces older ones. Continues if the future is dropped. Older tokens of the
    /// same integration are revoked in the background, if the platform can revoke one pair of tokens and keep the
    /// others.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Config`] for tokens of another integration than the connection's, or from the login of another user;
    /// [`KeeperError::Store`] if the store still fails after several attempts; [`KeeperError::UnknownIntegration`].
    pub async fn import(&self, connection: &ConnectionId, tokens: TokenSet) -> Result<(), KeeperError> {
        let integration = self.inner.integration(connection).await?;
        let binding = integration.binding().clone();
        let same_binding = tokens.refresh_token.as_ref().is_none_or(|token| *token.binding() == binding);
        let is_another_user = tokens.account.as_ref().is_some_and(|key| ConnectionId::from(key) != *connection);
        if *tokens.access_token.binding() != binding || !same_binding || is_another_user {
            return Err(ConfigError::OtherBinding { what: "tokens" }.into());
        }
        let (inner, connection) = (Arc::clone(&self.inner), connection.clone());
        let task = tokio::spawn(async move { inner.import(&connection, integration, tokens).await });
        task.await.map_err(|_| KeeperError::Interrupted)?
    }

    /// Revokes the connection's tokens at the code host if possible, then deletes them here in any case. Waits a few
    /// seconds for a running refresh on any node. Continues if the future is dropped.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Store`] if the store fails: try again. A failed revocation is not an error: see
    /// [`Disconnected::revocation`].
    pub async fn disconnect(&self, connection: &ConnectionId) -> Result<Disconnected, KeeperError> {
        let (inner, connection) = (Arc::clone(&self.inner), connection.clone());
        let task = tokio::spawn(async move { inner.disconnect(&connection).await });
        task.await.map_err(|_| KeeperError::Interrupted)?
    }

    /// Waits until no refresh runs in this process. Call it before the runtime shuts down, when there are no more calls
    /// of the keeper: new tokens are lost if a refresh is aborted after the code host has issued them.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use codehost_oauth::{keeper::{MemoryTokens, TokenKeeper}, seal::KeyRing};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
    /// let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, HashMap::new()).build();
    /// tokio::time::timeout(std::time::Duration::from_secs(20), keeper.finish()).await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn finish(&self) {
        self.inner.refreshes.finish().await;
    }

    /// `rejected` is a token that the API has rejected with a 401.
    async fn find_token(
        &self,
        connection: &ConnectionId,
        rejected: Option<&AccessToken>,
    ) -> Result<Outcome, KeeperError> {
        let integration = self.inner.integration(connection).await?;
        let binding = integration.binding();
        match rejected {
            None => {
                if let Some(token) = self.inner.token_cache.get(connection, binding, &*self.inner.clock) {
                    return Ok(Outcome::StillValid(token));
                }
            }
            Some(_) => self.inner.token_cache.remove(connection),
        }
        let record = match self.find_stored(connection, &integration, rejected).await? {
            Stored::Final(outcome) => return Ok(outcome),
            Stored::MustRefresh(record) => record,
        };
        self.refresh(connection, integration, &record, rejected).await
    }

    /// Looks for the token in the store.
    async fn find_stored(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
        rejected: Option<&AccessToken>,
    ) -> Result<Stored, KeeperError> {
        let read = self.inner.token_cache.begin_read();
        let Some(record) = self.inner.load(connection, integration).await? else {
            self.inner.token_cache.remove(connection);
            return Ok(Stored::Final(Outcome::NeedsLogin(LoginReason::NotConnected)));
        };
        let Some(outcome) = self.inner.outcome_without_refresh(integration, &record, rejected) else {
            return Ok(Stored::MustRefresh(Box::new(record)));
        };
        if let (Some(read), None, Outcome::StillValid(_)) = (read, rejected, &outcome) {
            self.inner.token_cache.insert(connection, &read, record);
        }
        Ok(Stored::Final(match outcome {
            Outcome::StillValid(token) if rejected.is_some_and(|rejected| !rejected.matches(&token)) => {
                Outcome::RenewedElsewhere(token)
            }
            outcome => outcome,
        }))
    }

    /// Starts a refresh or joins the one that runs, and waits for its result.
    async fn refresh(
        &self,
        connection: &ConnectionId,
        integration: Integration,
        record: &Record,
        rejected: Option<&AccessToken>,
    ) -> Result<Outcome, KeeperError> {
        let has_valid_token = rejected.is_none() && record.is_valid(self.inner.clock.now());
        let valid_token_or = |otherwise: Result<Outcome, KeeperError>| {
            if has_valid_token { Ok(Outcome::StillValid(record.tokens.access_token.duplicate())) } else { otherwise }
        };
        match Inner::join_or_start_refresh(&self.inner, connection, integration, rejected, has_valid_token)? {
            Admission::Paused(Waiting { after, cause }) => valid_token_or(retry_later(after, cause)),
            Admission::Full => valid_token_or(Ok(busy())),
            Admission::Running(result) => {
                let deadline = Instant::now().checked_add(self.inner.patience).unwrap_or_else(Instant::now);
                match tokio::time::timeout_at(deadline, result.wait()).await {
                    Err(_) => valid_token_or(Ok(busy())),
                    Ok(Ok(outcome)) => Ok(outcome.duplicate()),
                    Ok(Err(error)) => Err(error.clone()),
                }
            }
        }
    }
}

/// What the store has for a call.
enum Stored {
    /// The outcome is known without a refresh.
    Final(Outcome),
    MustRefresh(Box<Record>),
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeeper").field("store", &self.inner.store).field("ring", &self.inner.ring).finish()
    }
}

/// Logs the error, unless it comes from the code host: that is logged when the refresh fails, once for all callers.
fn log(connection: &ConnectionId, error: &KeeperError) {
    if !matches!(error, KeeperError::Refused { .. } | KeeperError::Retry { .. }) {
        observe::failed("refresh", Some(connection.integration().as_str()), error, &error.advice(), None);
    }
}
