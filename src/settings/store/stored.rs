use std::time::{Duration, SystemTime};

use crate::error::StoreError;
use crate::settings::integration_settings::{IntegrationSettings, UnreadableSettings};
use crate::values::integration_id::IntegrationId;

/// An integration as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredIntegration {
    /// The id.
    pub id: IntegrationId,
    /// The organization that it belongs to, if the app has several.
    pub owner: Option<String>,
    /// The number of this write, from 1 on. Each write has the next one.
    pub version: i64,
    /// Whether it was disabled: it is kept, but nobody can log in.
    pub is_disabled: bool,
    /// The settings.
    pub settings: IntegrationSettings,
    /// The [sealed](crate::settings::IntegrationSecrets::seal) secrets.
    pub sealed_secrets: Vec<u8>,
    /// Another base URL for the same server, until a test login has proved it.
    pub proposed: Option<Proposal>,
    /// Who created it, and when.
    pub created: Stamp,
    /// Who wrote it last, and when.
    pub changed: Stamp,
}

impl StoredIntegration {
    /// A new one with version 1, enabled.
    pub fn new(
        id: IntegrationId,
        owner: Option<&str>,
        settings: IntegrationSettings,
        sealed_secrets: Vec<u8>,
        created: Stamp,
    ) -> Self {
        Self {
            id,
            owner: owner.map(str::to_owned),
            version: 1,
            is_disabled: false,
            settings,
            sealed_secrets,
            proposed: None,
            changed: created.clone(),
            created,
        }
    }
}

/// A stored integration whose settings cannot be read: a newer version of this crate has written them, or another program. Nobody
/// can log in with it, and it can be deleted.
///
/// ```
/// use codehost_oauth::error::StoreError;
/// use codehost_oauth::settings::{IntegrationSettings, Stamp, UnreadableIntegration};
///
/// let why = IntegrationSettings::from_json(r#"{"version":7}"#).unwrap_err();
/// let unreadable = UnreadableIntegration::new("demo".parse()?, None, 3, why, Stamp::now("jane"));
/// assert_eq!(unreadable.why.to_string(), "the settings have version 7, which this version of codehost-oauth does not know");
/// assert_eq!(StoreError::from(unreadable).to_string(), "what is stored for demo cannot be read");
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableIntegration {
    /// The id.
    pub id: IntegrationId,
    /// The organization that it belongs to, if the app has several.
    pub owner: Option<String>,
    /// The number of the last write.
    pub version: i64,
    /// The name, if the store has it beside the settings; otherwise empty.
    pub name: String,
    /// Why its settings cannot be read.
    pub why: UnreadableSettings,
    /// Who wrote it last, and when.
    pub changed: Stamp,
}

impl UnreadableIntegration {
    /// One without a name.
    pub fn new(id: IntegrationId, owner: Option<&str>, version: i64, why: UnreadableSettings, changed: Stamp) -> Self {
        Self { id, owner: owner.map(str::to_owned), version, name: String::new(), why, changed }
    }
}

impl From<UnreadableIntegration> for StoreError {
    fn from(unreadable: UnreadableIntegration) -> Self {
        Self::Malformed { id: unreadable.id.as_str().to_owned() }
    }
}

/// Settings that replace the stored ones if a test login succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proposal {
    /// The settings.
    pub settings: IntegrationSettings,
    /// Their sealed secrets.
    pub sealed_secrets: Vec<u8>,
    /// Who proposed it, and when.
    pub proposed: Stamp,
}

impl Proposal {
    /// Settings, their sealed secrets, and who proposed them.
    pub fn new(settings: IntegrationSettings, sealed_secrets: Vec<u8>, proposed: Stamp) -> Self {
        Self { settings, sealed_secrets, proposed }
    }

    /// Whether an [operator](crate::settings::IntegrationEditor::operator) has proposed it. It is in the JSON of the settings.
    ///
    /// ```
    /// use codehost_oauth::Access;
    /// use codehost_oauth::settings::{IntegrationSettings, Proposal, Stamp};
    ///
    /// let settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn).named("GitLab").with_client_id("app-id");
    /// let proposal = Proposal::new(settings, b"sealed".to_vec(), Stamp::now("jane"));
    /// assert!(!proposal.is_by_operator());
    /// ```
    pub fn is_by_operator(&self) -> bool {
        self.settings.is_proposed_by_operator
    }

    /// Until when a test login can confirm it.
    pub(crate) fn valid_until(&self) -> Option<SystemTime> {
        self.proposed.at.checked_add(VALID_FOR)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.valid_until().is_some_and(|until| SystemTime::now() <= until)
    }
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp {
    /// The name of the administrator, as the app says it.
    pub by: String,
    /// When, to the second.
    pub at: SystemTime,
}

impl Stamp {
    /// Somebody at some time.
    pub fn new(by: &str, at: SystemTime) -> Self {
        let seconds = crate::util::time::unix_seconds(at);
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(at);
        Self { by: by.to_owned(), at }
    }

    /// Somebody, now.
    pub fn now(by: &str) -> Self {
        Self::new(by, SystemTime::now())
    }
}

/// A test login takes minutes.
const VALID_FOR: Duration = Duration::from_secs(3600);
