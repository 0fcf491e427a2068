use super::access::{Administrator, Refusal};
use crate::settings::{IntegrationWrite, MoveKind, StoredBefore, StoredIntegration};
use crate::values::integration_id::IntegrationId;

/// What an administrator changes, for [`AdminAccess::before_change`](super::AdminAccess::before_change).
///
/// ```
/// use codehost_oauth::admin::{AdminChange, Administrator, ChangeKind};
///
/// let (jane, id) = (Administrator::new("jane", "Jane Doe"), "demo".parse()?);
/// let change = AdminChange::new(&jane, Some("acme"), &id, ChangeKind::Created { others: 5 });
/// assert!(change.ensure_at_most(6).is_ok());
/// let refusal = change.ensure_at_most(5).unwrap_err();
/// assert_eq!(refusal.message, "There can be at most 5 integrations.");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AdminChange<'a> {
    /// Who changes it.
    pub administrator: &'a Administrator,
    /// The organization that it belongs to, if the app has several.
    pub owner: Option<&'a str>,
    /// The id of the integration.
    pub id: &'a IntegrationId,
    /// What happens to it.
    pub kind: ChangeKind,
    /// What is stored before; `None` if it is new, or if it is deleted and could not be read.
    pub old: Option<&'a StoredIntegration>,
    /// What is stored afterwards; `None` if it is deleted.
    pub new: Option<&'a StoredIntegration>,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Created {
        /// How many integrations the owner has already.
        others: u64,
    },
    /// Other settings, another name or another secret. Accounts and connections stay. Also: another base URL of the same server is
    /// proposed, and not used yet.
    Edited,
    /// It leads to another server or OAuth application.
    Moved(MoveKind),
    /// Nobody can log in any more.
    Disabled,
    /// Users can log in again.
    Enabled,
    /// It is deleted. Its id is never used again.
    Deleted,
}

impl<'a> AdminChange<'a> {
    /// A change without the settings before and afterwards, for tests of an app.
    pub fn new(
        administrator: &'a Administrator,
        owner: Option<&'a str>,
        id: &'a IntegrationId,
        kind: ChangeKind,
    ) -> Self {
        Self { administrator, owner, id, kind, old: None, new: None }
    }

    /// The change that a write makes.
    pub(super) fn of(
        administrator: &'a Administrator,
        owner: Option<&'a str>,
        kind: ChangeKind,
        write: &'a IntegrationWrite,
        stored: &'a StoredBefore,
    ) -> Self {
        let kind = match stored {
            StoredBefore::Nothing { of_owner } => ChangeKind::Created { others: *of_owner },
            _ => kind,
        };
        Self {
            old: stored.integration(),
            new: write.integration(),
            ..Self::new(administrator, owner, write.id(), kind)
        }
    }

    /// Refuses a new integration if its owner has `limit` of them already.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] for the administrator to read.
    pub fn ensure_at_most(&self, limit: u64) -> Result<(), Refusal> {
        match self.kind {
            ChangeKind::Created { others } if others >= limit => Err(Refusal::new(
                &format!("There can be at most {limit} integrations."),
                "Delete an integration that nobody uses any more.",
            )),
            _ => Ok(()),
        }
    }
}

/// How many integrations one owner can have, unless the app decides otherwise in
/// [`AdminAccess::before_change`](super::AdminAccess::before_change).
pub const MAX_INTEGRATIONS: u64 = 100;
