use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::call_error::CallError;
use super::connection::ConnectionId;
use super::disconnect::Disconnected;
use super::error::KeeperError;
use super::flights::Admission;
use super::inner::Inner;
use super::login_reason::LoginReason;
use super::outcome::{Outcome, busy, not_now};
use super::pauses::Waiting;
use crate::error::ConfigError;
use crate::observe::{self, Report};
use crate::values::token::{AccessToken, NEW_TOKEN_PAUSES, TokenSet};

/// Gives valid access tokens, and renews them in time. One for a whole process: clones share everything.
///
/// Refreshes run in tasks of the tokio runtime. Before it ends, wait for [`finish`](Self::finish), so that the last responses
/// are stored.
///
/// ```
/// use codehost_oauth::keeper::{ConnectionId, MemoryStore, TokenKeeper};
/// use codehost_oauth::seal::KeyRing;
/// use codehost_oauth::{AccessToken, TokenSet};
/// # use std::sync::Arc;
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
/// let integration = Arc::new(integration()?);
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryStore::default(), ring, Arc::clone(&integration)).build();
///
/// // After a login; the id is `ConnectionId::from(&login.user.key)`.
/// let connection: ConnectionId = "gitlab:demo:42".parse()?;
/// let origin = integration.binding().clone();
/// let tokens = TokenSet::new(AccessToken::new("s3cr3t".to_owned(), &origin).ok_or("no token")?);
/// keeper.import(&connection, tokens).await?;
///
/// // Before each call of the API.
/// let token = keeper.access_token(&connection).await?;
/// assert_eq!(token.expose_for(origin.base_url())?, "s3cr3t");
///
/// // When the user leaves.
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
    /// A valid access token: one read of the store, and a refresh if the token is about to end. Within
    /// [`fresh_for`](super::TokenKeeperBuilder::fresh_for), if that is set, not even the read.
    ///
    /// It may be dropped at any point, for example by a time-out: a refresh that has begun goes on.
    ///
    /// # Errors
    ///
    /// [`KeeperError::NeedsLogin`] if only a new login helps; [`KeeperError::Retry`] while the code host is down, asks to
    /// wait, or another node is at work; [`KeeperError::Refused`] if it does not accept the app's own credentials; and
    /// the others for what is wrong with the app itself. None of them deletes anything.
    pub async fn access_token(&self, connection: &ConnectionId) -> Result<AccessToken, KeeperError> {
        self.outcome(connection).await?.into_token()
    }

    /// The same, and how the token came about; [`Outcome::NeedsLogin`] and [`Outcome::Retry`] are no errors here.
    pub(crate) async fn outcome(&self, connection: &ConnectionId) -> Result<Outcome, KeeperError> {
        self.ask_for(connection, None).await.inspect_err(|error| tell(connection, error))
    }

    /// Calls the API with a valid access token. If it answers 401, for example since another node has renewed the tokens
    /// in this very moment, reads the store again, renews the tokens unless somebody has, and calls once more. Tokens that
    /// are a few seconds old are not renewed for a 401.
    ///
    /// A new token may not be known to every node of the code host yet, so one that is refused is tried again after one
    /// and after two seconds. That makes four calls at most.
    ///
    /// # Errors
    ///
    /// What the call ends with; [`CallError::Unauthorized`] if the new token is not accepted either; and
    /// [`CallError::Keeper`] as [`access_token`](Self::access_token).
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
            ended => return ended,
        }
        let other = self.ask_for(connection, Some(&token)).await.inspect_err(|error| tell(connection, error));
        let other = other.and_then(Outcome::into_token);
        let other = other.map_err(CallError::Keeper)?;
        // Either another token, or the same one, which is too new to be renewed.
        if !other.matches(&token) {
            match call(other.duplicate()).await {
                Err(CallError::Unauthorized) => {}
                ended => return ended,
            }
        }
        for pause in NEW_TOKEN_PAUSES {
            tokio::time::sleep(pause).await;
            match call(other.duplicate()).await {
                Err(CallError::Unauthorized) => {}
                ended => return ended,
            }
        }
        Err(CallError::Unauthorized)
    }

    /// Stores the tokens of a login, over whatever was there. Like a refresh it goes on if it is dropped. An older pair of
    /// the same integration is revoked in the background, where the platform can end one pair and leave the others.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Config`] for tokens of another integration than the connection's; [`KeeperError::Store`] if the
    /// store still fails after several tries; [`KeeperError::UnknownIntegration`].
    pub async fn import(&self, connection: &ConnectionId, tokens: TokenSet) -> Result<(), KeeperError> {
        let integration = self.inner.integration(connection).await?;
        let origin = integration.binding().clone();
        let refresh = tokens.refresh_token.as_ref().is_none_or(|token| *token.binding() == origin);
        if *tokens.access_token.binding() != origin || !refresh {
            return Err(ConfigError::OtherInstance { what: "tokens" }.into());
        }
        let (inner, connection) = (Arc::clone(&self.inner), connection.clone());
        let task = tokio::spawn(async move { inner.import(&connection, integration, tokens).await });
        task.await.map_err(|_| KeeperError::Interrupted)?
    }

    /// Revokes the connection's tokens at the code host as well as that can be done, then deletes them here, whatever came
    /// of it. Waits a few seconds for a refresh that is under way, on whichever node. Goes on if it is dropped.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Store`] if the store fails: try again. That the code host is down is no error.
    pub async fn disconnect(&self, connection: &ConnectionId) -> Result<Disconnected, KeeperError> {
        let (inner, connection) = (Arc::clone(&self.inner), connection.clone());
        let task = tokio::spawn(async move { inner.disconnect(&connection).await });
        task.await.map_err(|_| KeeperError::Interrupted)?
    }

    /// Waits until no refresh is under way in this process. Call it before the runtime ends, when nobody asks any more:
    /// what is cut off after the code host has acted is lost.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use codehost_oauth::{keeper::{MemoryStore, TokenKeeper}, seal::KeyRing};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
    /// let keeper = TokenKeeper::builder(MemoryStore::default(), ring, HashMap::new()).build();
    /// tokio::time::timeout(std::time::Duration::from_secs(20), keeper.finish()).await?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
    /// ```
    pub async fn finish(&self) {
        self.inner.flights.finish().await;
    }

    /// `unwanted` is a token that the API has refused.
    async fn ask_for(&self, connection: &ConnectionId, unwanted: Option<&AccessToken>) -> Result<Outcome, KeeperError> {
        let integration = self.inner.integration(connection).await?;
        let origin = integration.binding();
        match unwanted {
            None => {
                if let Some(token) = self.inner.remembered.token(connection, origin, &*self.inner.clock) {
                    return Ok(Outcome::StillValid(token));
                }
            }
            Some(_) => self.inner.remembered.forget(connection),
        }
        let reading = self.inner.remembered.begin();
        let Some(record) = self.inner.load(connection, &integration).await? else {
            self.inner.remembered.forget(connection);
            return Ok(Outcome::NeedsLogin(LoginReason::NotConnected));
        };
        if let Some(outcome) = self.inner.settle(&integration, &record, unwanted) {
            if let (Some(reading), None, Outcome::StillValid(_)) = (reading, unwanted, &outcome) {
                self.inner.remembered.keep(connection, &reading, record);
            }
            return Ok(match outcome {
                Outcome::StillValid(token) if unwanted.is_some_and(|unwanted| !unwanted.matches(&token)) => {
                    Outcome::RenewedElsewhere(token)
                }
                outcome => outcome,
            });
        }
        let valid = unwanted.is_none() && record.is_valid(self.inner.clock.now());
        let or_valid = |otherwise: Result<Outcome, KeeperError>| {
            if valid { Ok(Outcome::StillValid(record.tokens.access_token.duplicate())) } else { otherwise }
        };
        match Inner::enter(&self.inner, connection, integration, unwanted, valid)? {
            Admission::Paused(Waiting { after, cause }) => or_valid(not_now(after, cause)),
            Admission::Full => or_valid(Ok(busy())),
            Admission::Flight(shared) => {
                let wait = Instant::now().checked_add(self.inner.patience).unwrap_or_else(Instant::now);
                match tokio::time::timeout_at(wait, shared.wait()).await {
                    Err(_) => or_valid(Ok(busy())),
                    Ok(Ok(outcome)) => Ok(outcome.duplicate()),
                    Ok(Err(error)) => Err(error.clone()),
                }
            }
        }
    }
}

impl fmt::Debug for TokenKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeeper").field("store", &self.inner.store).field("ring", &self.inner.ring).finish()
    }
}

/// Logs what has failed here. What the code host has refused was logged when it did, once for all who waited.
fn tell(connection: &ConnectionId, error: &KeeperError) {
    if !matches!(error, KeeperError::Refused { .. } | KeeperError::Retry { .. }) {
        let report =
            Report { code: error.code(), audience: error.advice().audience, hint: &error.advice().hint, note: None };
        observe::failed("refresh", Some(connection.integration().as_str()), error, &report);
    }
}
