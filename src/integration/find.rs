use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::Integration;
use crate::error::AppError;
use crate::values::integration_id::IntegrationId;

/// Where the app keeps its integrations. The routes of `router` and the token keeper call it for each request.
///
/// There are implementations for one integration, for a map of them, and for an [`Arc`] of another one.
///
/// ```
/// use std::sync::{Arc, RwLock};
/// use codehost_oauth::{error::AppError, FindIntegration, Integration, IntegrationId};
///
/// struct Table(RwLock<Vec<Arc<Integration>>>);
///
/// #[async_trait::async_trait]
/// impl FindIntegration for Table {
///     async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
///         let rows = self.0.read().map_err(|_| "the table is poisoned")?;
///         Ok(rows.iter().find(|row| row.id() == id).cloned())
///     }
/// }
/// # async fn example() -> Result<(), AppError> {
/// assert!(Table(RwLock::default()).find(&"demo".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[async_trait]
pub trait FindIntegration: Send + Sync + 'static {
    /// The integration, or `None` if there is none with that id. The id can come from a URL that anyone wrote.
    ///
    /// Signature: `async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError>`
    ///
    /// # Errors
    ///
    /// An error of the app, such as one of its database.
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError>;

    /// The same, as it is stored now. The routes call it once for each login, before they log the user in. Override it if
    /// [`find`](Self::find) may return an integration that another node has changed meanwhile.
    ///
    /// Signature: `async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError>`
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        self.find(id).await
    }

    /// The routes call this once for each login and connection that has finished at the code host, whatever the app's handler does
    /// with it, and for each that has failed or could not begin for a reason that is not the user's. It must return at once. Unless
    /// implemented, it does nothing.
    fn login_ended(&self, end: &LoginEnd<'_>) {
        let _ = end;
    }
}

/// How a login or a connection ended.
///
/// ```
/// use codehost_oauth::LoginEnd;
///
/// let id = "demo".parse()?;
/// assert_eq!(LoginEnd::success(&id).failure, None);
/// assert_eq!(LoginEnd::failure(&id, "client_rejected").failure, Some("client_rejected"));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginEnd<'a> {
    /// The integration.
    pub integration: &'a IntegrationId,
    /// The code of the error. `None`: the user has logged in at the code host.
    pub failure: Option<&'a str>,
}

impl<'a> LoginEnd<'a> {
    /// The user has logged in.
    pub fn success(integration: &'a IntegrationId) -> Self {
        Self { integration, failure: None }
    }

    /// The error with this [`code`](crate::error::Error::code) ended it.
    pub fn failure(integration: &'a IntegrationId, code: &'a str) -> Self {
        Self { integration, failure: Some(code) }
    }
}

#[async_trait]
impl FindIntegration for Arc<Integration> {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Self>, AppError> {
        Ok((self.id() == id).then(|| Self::clone(self)))
    }
}

#[async_trait]
impl FindIntegration for HashMap<IntegrationId, Arc<Integration>> {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        Ok(self.get(id).cloned())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: FindIntegration + ?Sized> FindIntegration for Arc<T> {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        (**self).find(id).await
    }

    async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        (**self).find_latest(id).await
    }

    fn login_ended(&self, end: &LoginEnd<'_>) {
        (**self).login_ended(end);
    }
}
