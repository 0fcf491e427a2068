use async_trait::async_trait;

use super::change::{AdminChange, ChangeKind, MAX_INTEGRATIONS};
use crate::error::AppError;
use crate::router::RequestHead;
use crate::settings::{MoveKind, StoreTransaction};
use crate::values::integration_id::IntegrationId;
use crate::values::user::User;

/// Who may manage integrations, and what else only the app knows. One method is required.
///
/// The routes never make anybody an administrator, and never ask a request's headers who it is from.
#[async_trait]
pub trait AdminAccess: Send + Sync + 'static {
    /// Who is asking, and whether they may manage the integrations of `owner` (those without an owner if it is `None`). It is asked
    /// for each request, and again before each write.
    ///
    /// Signature: `async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller, AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure, if it could not look it up.
    async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller, AppError>;

    /// Whether the administrator still may, asked in the transaction of each write: an app with its tables in the same database
    /// reads its own rows there. On PostgreSQL it locks them (`SELECT … FOR SHARE`), so that a right that ends at the same moment
    /// counts. Unless implemented, the answer of [`who`](Self::who) counts.
    ///
    /// Signature: `async fn may_still_manage(&self, administrator: &Administrator, owner: Option<&str>,
    /// transaction: &mut StoreTransaction<'_>) -> Result<bool, AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure: nothing is written.
    async fn may_still_manage(
        &self,
        administrator: &Administrator,
        owner: Option<&str>,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<bool, AppError> {
        let _ = (administrator, owner, transaction);
        Ok(true)
    }

    /// How many accounts use this integration; `None`, as unless implemented, if the app does not know.
    ///
    /// Signature: `async fn accounts(&self, id: &IntegrationId) -> Result<Option<u64>, AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure.
    async fn accounts(&self, id: &IntegrationId) -> Result<Option<u64>, AppError> {
        let _ = id;
        Ok(None)
    }

    /// Whether this app has connected this account before, and its user is still the same person: asked after a test login at
    /// the proposed base URL of the same server. Compare with what is stored under `user.key`: user name and e-mail addresses.
    /// Unless implemented, no account is known, and a move to the same server under a new name is not possible.
    ///
    /// Signature: `async fn is_known(&self, user: &User) -> Result<bool, AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure.
    async fn is_known(&self, user: &User) -> Result<bool, AppError> {
        let _ = user;
        Ok(false)
    }

    /// Called in the transaction of each write, before it. What the app must forget depends on the [kind](AdminChange::kind):
    ///
    /// - [`Deleted`](ChangeKind::Deleted) and [`Moved`](ChangeKind::Moved) to a [`NewServer`](MoveKind::NewServer): the accounts, their
    ///   sessions and their tokens, because the same user ids belong to other users there.
    /// - `Moved` to a [`NewApplication`](MoveKind::NewApplication): the tokens only.
    /// - All others, also `Moved` to the [`SameServer`](MoveKind::SameServer): nothing.
    ///
    /// Return a [`Refusal`] to forbid the change, for example if no administrator could log in afterwards. Writes of one owner's
    /// integrations wait for each other, also on PostgreSQL. The app's own changes do not: if it demotes or removes users elsewhere, it
    /// takes there a lock of its own, which this method takes too (`pg_advisory_xact_lock` or `SELECT … FOR UPDATE` of the
    /// organization's row).
    ///
    /// Unless implemented, a move to a new server is refused, and a new integration if its owner has [`MAX_INTEGRATIONS`]. An
    /// implementation calls [`AdminChange::ensure_at_most`] itself, with this number or another one.
    ///
    /// Signature: `async fn before_change(&self, change: &AdminChange<'_>, transaction: &mut StoreTransaction<'_>)
    /// -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure, or a [`Refusal`]: nothing is written.
    async fn before_change(
        &self,
        change: &AdminChange<'_>,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        let _ = transaction;
        change.ensure_at_most(MAX_INTEGRATIONS)?;
        match change.kind {
            ChangeKind::Moved(MoveKind::NewServer) => Err(Refusal::new(CANNOT_FORGET, ADD_ANOTHER).into()),
            _ => Ok(()),
        }
    }

    /// Called in the same transaction, after the write.
    ///
    /// Signature: `async fn changed(&self, change: &AdminChange<'_>, transaction: &mut StoreTransaction<'_>)
    /// -> Result<(), AppError>`
    ///
    /// # Errors
    ///
    /// The app's failure, or a [`Refusal`]: nothing is written.
    async fn changed(&self, change: &AdminChange<'_>, transaction: &mut StoreTransaction<'_>) -> Result<(), AppError> {
        let _ = (change, transaction);
        Ok(())
    }

    /// Where somebody who is not logged in can log in: a path of the app.
    fn login_path(&self) -> &str {
        "/"
    }
}

/// The answer of [`AdminAccess::who`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// An administrator, who may manage these integrations.
    Administrator(Administrator),
    /// Nobody is logged in.
    LoggedOut,
    /// Somebody else.
    Other,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Administrator {
    /// The app's own id of the user: 1 to 255 bytes. A test login belongs to it.
    pub user_id: String,
    /// The name to show beside what they have created and changed.
    pub name: String,
    /// Whether they run the app. Only operators see what tells about the app's network, and only they may set an API URL or which
    /// e-mail addresses are trusted.
    pub is_operator: bool,
}

impl Administrator {
    /// An administrator of an organization, who does not run the app.
    pub fn new(user_id: &str, name: &str) -> Self {
        Self { user_id: user_id.to_owned(), name: name.to_owned(), is_operator: false }
    }

    /// The same, who also runs the app.
    #[must_use]
    pub fn operator(self) -> Self {
        Self { is_operator: true, ..self }
    }
}

/// The app's reason not to make a change, for the administrator to read.
///
/// ```
/// use codehost_oauth::admin::Refusal;
///
/// let refusal = Refusal::new("Nobody could manage this organization any more.", "Make another user administrator first.");
/// assert_eq!(refusal.to_string(), "Nobody could manage this organization any more.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Refusal {
    /// Why, as a sentence.
    pub message: String,
    /// What the administrator must do.
    pub hint: String,
}

impl Refusal {
    /// A reason and what to do.
    pub fn new(message: &str, hint: &str) -> Self {
        Self { message: message.to_owned(), hint: hint.to_owned() }
    }
}

const CANNOT_FORGET: &str = "This app cannot forget the accounts of the old server.";
const ADD_ANOTHER: &str =
    "Add another integration for the new server, and delete this one when nobody uses it any more.";
