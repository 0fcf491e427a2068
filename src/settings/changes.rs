//! How stored integrations are changed.

use std::time::{Duration, SystemTime};

use super::draft::Draft;
use super::error::IntegrationsError;
use super::field::{Field, FieldError, FieldErrors};
use super::integration_settings::{IntegrationSettings, Labels};
use super::integrations::Integrations;
use super::secrets::IntegrationSecrets;
use super::store::{IntegrationWrite, Proposal, Stamp, StoredIntegration, WriteHook, Written};
use crate::integration::Integration;
use crate::values::integration_id::IntegrationId;

/// What a change means for the accounts of users and their connections.
///
/// ```
/// use codehost_oauth::settings::{IntegrationSettings, MoveKind};
/// use codehost_oauth::Access;
///
/// let old = IntegrationSettings::new("gitlab", "https://git.example.com", "GitLab", "app-id", Access::SignIn);
/// let mut new = old.clone();
/// new.name = "Our GitLab".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), None);
/// new.client_id = "other-id".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), Some(MoveKind::NewApplication));
/// new.base_url = "https://code.example.com".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), Some(MoveKind::NewServer));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveKind {
    /// To another server: the same user ids are other people there. The app must forget the accounts and connections.
    NewServer,
    /// To another OAuth application at the same server: the accounts stay, the connections end.
    NewApplication,
    /// To another name of the same server, as a test login has proved: accounts and connections stay.
    SameServer,
}

impl MoveKind {
    /// `None` if it is not a move. Never [`SameServer`](Self::SameServer), which needs a proof.
    pub fn of(old: &IntegrationSettings, new: &IntegrationSettings) -> Option<Self> {
        if old.base_url != new.base_url {
            Some(Self::NewServer)
        } else if old.client_id != new.client_id {
            Some(Self::NewApplication)
        } else {
            None
        }
    }
}

impl Integrations {
    /// Stores a new integration. `by` is the administrator's name. `hook` runs in the transaction; `&()` does nothing.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Fields`], [`IntegrationsError::IdTaken`], [`IntegrationsError::Refused`],
    /// [`IntegrationsError::Store`], [`IntegrationsError::Seal`].
    pub async fn create(
        &self,
        id: &IntegrationId,
        owner: Option<&str>,
        settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        self.build(id, &settings, secrets)?;
        let sealed = self.seal(id, &settings.base_url, secrets)?;
        let new = StoredIntegration::new(id.clone(), owner, settings, sealed, Stamp::now(by));
        self.write(id, IntegrationWrite::Create(Box::new(new.clone())), hook).await?;
        Ok(new)
    }

    /// Stores changed settings. `old` is what was read before. `secrets`: new ones, or `None` to keep the stored ones.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::IsMove`] if it is one, [`IntegrationsError::Stale`], and as [`create`](Self::create).
    pub async fn save(
        &self,
        old: &StoredIntegration,
        settings: IntegrationSettings,
        secrets: Option<&IntegrationSecrets>,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        match MoveKind::of(&old.settings, &settings) {
            None => self.replace(old, settings, secrets, by, hook).await,
            Some(kind) => Err(IntegrationsError::IsMove(kind)),
        }
    }

    /// Stores settings that lead to another server or OAuth application. Logins, refreshes and connections that are under way
    /// fail. In `hook`, the app forgets what [`MoveKind`] says for this kind.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn move_to(
        &self,
        old: &StoredIntegration,
        mut settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        if MoveKind::of(&old.settings, &settings) == Some(MoveKind::NewServer) {
            settings.former_base_urls.clear();
        }
        self.replace(old, settings, Some(secrets), by, hook).await
    }

    /// Stores settings beside the current ones, to be tried by a test login: another base URL of the same server. Logins go on as
    /// before. The client id must stay, because the tokens belong to its OAuth application.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Fields`] also if the base URL has not changed, or the client id has; otherwise as [`save`](Self::save).
    pub async fn propose(
        &self,
        old: &StoredIntegration,
        settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        ensure_same_platform(old, &settings)?;
        let guide = Draft::of(&settings).read(self.app(), Some(&old.id)).guide;
        let labels = guide.as_ref().map(Labels::new).unwrap_or_default();
        ensure_only_base_url(&old.settings, &settings, labels.of(Field::ClientId))?;
        self.build(&old.id, &settings, secrets)?;
        let sealed = self.seal(&old.id, &settings.base_url, secrets)?;
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            proposed: Some(Proposal::new(settings, sealed, Stamp::now(by))),
            changed: Stamp::now(by),
            ..old.clone()
        };
        self.write(&old.id, IntegrationWrite::Replace(Box::new(new.clone())), hook).await?;
        Ok(new)
    }

    /// Builds the proposed integration, for a test login.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::NoProposal`] if there is none, or if it is older than an hour; and as
    /// [`build_stored`](Self::build_stored).
    pub fn build_proposed(&self, stored: &StoredIntegration) -> Result<Integration, IntegrationsError> {
        self.build_stored(&accepted(stored, false)?)
    }

    /// Replaces the settings by the proposed ones. Call it only after a test login at
    /// [`build_proposed`](Self::build_proposed) with an account that the app knew before: with the same account key and for the
    /// same person.
    ///
    /// `keeps_connections`: whether tokens that were stored for the old base URL are sent to the new one from then on. That the server
    /// is the same is the new server's own word, so let only those decide it who may hand out the tokens of all users.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::NoProposal`] and as [`save`](Self::save).
    pub async fn accept_proposal(
        &self,
        old: &StoredIntegration,
        keeps_connections: bool,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        let mut new = accepted(old, keeps_connections)?;
        new.version = old.version.saturating_add(1);
        new.changed = Stamp::now(by);
        self.build_stored(&new)?;
        self.write(&old.id, IntegrationWrite::Replace(Box::new(new.clone())), hook).await?;
        Ok(new)
    }

    /// Disables or enables an integration. While it is disabled, nobody can log in, and tokens are not renewed.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn set_disabled(
        &self,
        old: &StoredIntegration,
        is_disabled: bool,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            is_disabled,
            changed: Stamp::now(by),
            ..old.clone()
        };
        self.write(&old.id, IntegrationWrite::Replace(Box::new(new.clone())), hook).await?;
        Ok(new)
    }

    /// Deletes an integration. Its id is never used again. In `hook`, the app forgets the accounts and connections.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Stale`], [`IntegrationsError::Refused`], [`IntegrationsError::Store`].
    pub async fn delete(&self, old: &StoredIntegration, hook: &dyn WriteHook) -> Result<(), IntegrationsError> {
        let write = IntegrationWrite::Delete { id: old.id.clone(), version: old.version };
        self.write(&old.id, write, hook).await
    }

    async fn replace(
        &self,
        old: &StoredIntegration,
        settings: IntegrationSettings,
        secrets: Option<&IntegrationSecrets>,
        by: &str,
        hook: &dyn WriteHook,
    ) -> Result<StoredIntegration, IntegrationsError> {
        ensure_same_platform(old, &settings)?;
        let sealed_secrets = match secrets {
            Some(secrets) => {
                self.build(&old.id, &settings, secrets)?;
                self.seal(&old.id, &settings.base_url, secrets)?
            }
            None => {
                self.build(&old.id, &settings, &self.secrets(old)?)?;
                old.sealed_secrets.clone()
            }
        };
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            settings,
            sealed_secrets,
            proposed: None,
            changed: Stamp::now(by),
            ..old.clone()
        };
        self.write(&old.id, IntegrationWrite::Replace(Box::new(new.clone())), hook).await?;
        Ok(new)
    }

    async fn write(
        &self,
        id: &IntegrationId,
        write: IntegrationWrite,
        hook: &dyn WriteHook,
    ) -> Result<(), IntegrationsError> {
        let written = self.store().write(&write, hook).await;
        // Also after an error: it may have been written.
        self.forget(id);
        match written? {
            Written::Done => Ok(()),
            Written::Stale(stored) => Err(IntegrationsError::Stale { stored }),
            Written::IdTaken => Err(IntegrationsError::IdTaken),
        }
    }
}

/// The stored integration with the proposed settings.
fn accepted(stored: &StoredIntegration, keeps_connections: bool) -> Result<StoredIntegration, IntegrationsError> {
    let proposal = stored.proposed.clone().ok_or(IntegrationsError::NoProposal)?;
    let age = SystemTime::now().duration_since(proposal.proposed.at).unwrap_or_default();
    if age > PROPOSAL_VALID_FOR {
        return Err(IntegrationsError::NoProposal);
    }
    let mut settings = proposal.settings;
    let old = &stored.settings;
    settings.former_base_urls.clear();
    if keeps_connections {
        settings.former_base_urls.clone_from(&old.former_base_urls);
        if !settings.former_base_urls.contains(&old.base_url) {
            settings.former_base_urls.push(old.base_url.clone());
        }
    }
    settings.former_base_urls.retain(|url| *url != settings.base_url);
    Ok(StoredIntegration { settings, sealed_secrets: proposal.sealed_secrets, proposed: None, ..stored.clone() })
}

fn ensure_same_platform(old: &StoredIntegration, new: &IntegrationSettings) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if old.settings.platform != new.platform {
        let message = "The platform cannot be changed: it is part of the callback URL.";
        let hint = "Create another integration for the other platform.";
        errors.push(FieldError::say(Field::Platform, None, "platform_fixed", message, hint));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Whether only the name of the server can have changed. `id_label`: the platform's own label of the client id.
fn ensure_only_base_url(
    old: &IntegrationSettings,
    new: &IntegrationSettings,
    id_label: Option<&str>,
) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if old.base_url == new.base_url {
        let hint = "Enter the URL at which the server is now.";
        errors.push(FieldError::say(Field::BaseUrl, None, "base_url_same", "The base URL has not changed.", hint));
    }
    if old.client_id != new.client_id {
        let label = id_label.unwrap_or(Field::ClientId.label());
        let message = format!("The {label} has changed too.");
        let hint = format!("Change the base URL first. When it is in use, change the {label}.");
        errors.push(FieldError::say(Field::ClientId, id_label, "client_id_changed", &message, &hint));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A test login takes minutes.
pub(crate) const PROPOSAL_VALID_FOR: Duration = Duration::from_secs(3600);
