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

    /// The routes call this once for each login and connection that has finished at the code host, whatever the app's handler does with
    /// it, and, with the error's code, for each that has
    /// failed or could not begin for a reason that is not the user's. It must return at once. Unless implemented, it does nothing.
    fn login_ended(&self, id: &IntegrationId, failure: Option<&str>) {
        let (_, _) = (id, failure);
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
impl<T: FindIntegration> FindIntegration for Arc<T> {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        (**self).find(id).await
    }

    async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        (**self).find_latest(id).await
    }

    fn login_ended(&self, id: &IntegrationId, failure: Option<&str>) {
        (**self).login_ended(id, failure);
    }
}
