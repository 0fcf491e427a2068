//! How stored integrations are changed.

use std::fmt;

use super::draft::Draft;
use super::error::IntegrationsError;
use super::field::{Field, FieldError, FieldErrors};
use super::integration_settings::{IntegrationSettings, Labels};
use super::integrations::Integrations;
use super::move_kind::MoveKind;
use super::secrets::IntegrationSecrets;
use super::store::{IntegrationWrite, Proposal, Stamp, StoredIntegration, UnreadableIntegration, WriteHook, Written};
use crate::integration::Integration;
use crate::provider::setup::parse_name;
use crate::values::integration_id::IntegrationId;

/// Changes integrations in the name of an administrator: see [`Integrations::by`].
///
/// A method that changes a stored integration takes what was read before, and returns what is stored afterwards.
///
/// ```
/// # use codehost_oauth::seal::KeyRing;
/// # use codehost_oauth::settings::{AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations};
/// # use codehost_oauth::transport::{HttpClient, Network};
/// # use codehost_oauth::{Access, IntegrationId};
/// # async fn example() -> Result<(), codehost_oauth::error::AppError> {
/// # let http = HttpClient::builder(Network::public_only()).build()?;
/// # let app = AppConfig::new("https://packages.example.com".parse()?, http);
/// # let keys = KeyRing::new([(1, [7; 32].as_slice())])?;
/// # let integrations = Integrations::new(MemoryIntegrations::default(), app, keys);
/// # let settings =
/// #     IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn).named("GitLab").with_client_id("app-id");
/// let by_jane = integrations.by("jane");
/// let stored = by_jane.create(&IntegrationId::random()?, None, settings, &IntegrationSecrets::new("s3cr3t")).await?;
/// let renamed = by_jane.rename(&stored, "GitLab of Acme").await?;
/// let disabled = by_jane.disable(&renamed).await?;
/// assert_eq!((disabled.version, disabled.changed.by.as_str()), (3, "jane"));
/// by_jane.delete(&disabled).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct IntegrationEditor<'a> {
    integrations: &'a Integrations,
    by: &'a str,
    is_operator: bool,
    hook: &'a dyn WriteHook,
}

impl<'a> IntegrationEditor<'a> {
    /// The same with a hook in the transaction of each write.
    pub fn with_hook(self, hook: &'a dyn WriteHook) -> Self {
        Self { hook, ..self }
    }

    /// The same for somebody who runs the app. It is stored beside what they [propose](Self::propose), as
    /// [`Proposal::is_by_operator`].
    pub fn operator(self) -> Self {
        Self { is_operator: true, ..self }
    }

    /// Stores a new integration.
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
    ) -> Result<StoredIntegration, IntegrationsError> {
        self.integrations.build(id, &settings, secrets)?;
        let sealed = self.integrations.seal(id, &settings.base_url, secrets)?;
        let new = StoredIntegration::new(id.clone(), owner, settings, sealed, Stamp::now(self.by));
        self.write(IntegrationWrite::Create(Box::new(new.clone()))).await?;
        Ok(new)
    }

    /// Stores changed settings. `old` is what was read before. `secrets`: new ones, or `None` to keep the stored ones. Settings that
    /// were [proposed](Self::propose) are dropped: they are a copy of the old ones.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::IsMove`] if it is one, [`IntegrationsError::Stale`], [`IntegrationsError::Deleted`], and as
    /// [`create`](Self::create).
    pub async fn save(
        &self,
        old: &StoredIntegration,
        settings: IntegrationSettings,
        secrets: Option<&IntegrationSecrets>,
    ) -> Result<StoredIntegration, IntegrationsError> {
        match MoveKind::of(&old.settings, &settings) {
            None => self.replace(old, settings, secrets).await,
            Some(kind) => Err(IntegrationsError::IsMove(kind)),
        }
    }

    /// Stores settings that lead to another server or OAuth application. Logins, refreshes and connections that are under way
    /// fail. In the [hook](Self::with_hook), the app forgets what [`MoveKind`] says for this kind.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn move_to(
        &self,
        old: &StoredIntegration,
        mut settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
    ) -> Result<StoredIntegration, IntegrationsError> {
        if MoveKind::of(&old.settings, &settings) == Some(MoveKind::NewServer) {
            settings.former_base_urls.clear();
        }
        self.replace(old, settings, Some(secrets)).await
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
        mut settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
    ) -> Result<StoredIntegration, IntegrationsError> {
        settings.is_proposed_by_operator = self.is_operator;
        ensure_same_platform(old, &settings)?;
        let guide = Draft::of(&settings).read(self.integrations.config(), Some(&old.id)).guide;
        let labels = guide.as_ref().map(Labels::new).unwrap_or_default();
        ensure_only_base_url(&old.settings, &settings, labels.of(Field::ClientId))?;
        self.integrations.build(&old.id, &settings, secrets)?;
        let sealed = self.integrations.seal(&old.id, &settings.base_url, secrets)?;
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            proposed: Some(Proposal::new(settings, sealed, Stamp::now(self.by))),
            changed: Stamp::now(self.by),
            ..old.clone()
        };
        self.write(IntegrationWrite::Replace(Box::new(new.clone()))).await?;
        Ok(new)
    }

    /// Replaces the settings by the proposed ones. Call it only after a test login at
    /// [`build_proposed`](Integrations::build_proposed) with an account that the app knew before: with the same account key and of the
    /// same user.
    ///
    /// `keeps_connections`: whether tokens that were stored for the old base URL are sent to the new one from then on. Only the new
    /// server confirms that it is the same. So allow this only to administrators who may see the tokens of all users: the one who
    /// proposes ([`Proposal::is_by_operator`]) and the one who confirms.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::NoProposal`], [`IntegrationsError::ProposalExpired`], and as [`save`](Self::save).
    pub async fn accept_proposal(
        &self,
        old: &StoredIntegration,
        keeps_connections: bool,
    ) -> Result<StoredIntegration, IntegrationsError> {
        let mut new = accepted(old, keeps_connections)?;
        new.version = old.version.saturating_add(1);
        new.changed = Stamp::now(self.by);
        self.integrations.build_stored(&new)?;
        self.write(IntegrationWrite::Replace(Box::new(new.clone()))).await?;
        Ok(new)
    }

    /// Gives an integration another name. Unlike [`save`](Self::save), it keeps what is [proposed](Self::propose), under the new name
    /// too, and needs no secret.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Fields`] if it is not a name, [`IntegrationsError::Stale`], [`IntegrationsError::Refused`],
    /// [`IntegrationsError::Store`].
    pub async fn rename(&self, old: &StoredIntegration, name: &str) -> Result<StoredIntegration, IntegrationsError> {
        let name = parse_name(name).map_err(|error| {
            let mut errors = FieldErrors::default();
            errors.push(FieldError::new(Field::Name, None, &error.into()));
            errors
        })?;
        let mut new =
            StoredIntegration { version: old.version.saturating_add(1), changed: Stamp::now(self.by), ..old.clone() };
        for settings in new.proposed.iter_mut().map(|proposal| &mut proposal.settings).chain([&mut new.settings]) {
            name.clone_into(&mut settings.name);
        }
        self.write(IntegrationWrite::Replace(Box::new(new.clone()))).await?;
        Ok(new)
    }

    /// Disables an integration: nobody can log in, and tokens are not renewed.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn disable(&self, old: &StoredIntegration) -> Result<StoredIntegration, IntegrationsError> {
        self.set_disabled(old, true).await
    }

    /// Enables a disabled integration again.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn enable(&self, old: &StoredIntegration) -> Result<StoredIntegration, IntegrationsError> {
        self.set_disabled(old, false).await
    }

    /// Deletes an integration. Its id is never used again. In the [hook](Self::with_hook), the app forgets the accounts and
    /// connections.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Stale`], [`IntegrationsError::Deleted`], [`IntegrationsError::Refused`],
    /// [`IntegrationsError::Store`].
    pub async fn delete(&self, old: &StoredIntegration) -> Result<(), IntegrationsError> {
        self.write(IntegrationWrite::Delete { id: old.id.clone(), version: old.version }).await
    }

    /// Deletes an integration that cannot be read.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    pub async fn delete_unreadable(&self, old: &UnreadableIntegration) -> Result<(), IntegrationsError> {
        self.write(IntegrationWrite::Delete { id: old.id.clone(), version: old.version }).await
    }

    async fn set_disabled(
        &self,
        old: &StoredIntegration,
        is_disabled: bool,
    ) -> Result<StoredIntegration, IntegrationsError> {
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            is_disabled,
            changed: Stamp::now(self.by),
            ..old.clone()
        };
        self.write(IntegrationWrite::Replace(Box::new(new.clone()))).await?;
        Ok(new)
    }

    async fn replace(
        &self,
        old: &StoredIntegration,
        settings: IntegrationSettings,
        secrets: Option<&IntegrationSecrets>,
    ) -> Result<StoredIntegration, IntegrationsError> {
        ensure_same_platform(old, &settings)?;
        let sealed_secrets = match secrets {
            Some(secrets) => {
                self.integrations.build(&old.id, &settings, secrets)?;
                self.integrations.seal(&old.id, &settings.base_url, secrets)?
            }
            None => {
                self.integrations.build(&old.id, &settings, &self.integrations.secrets(old)?)?;
                old.sealed_secrets.clone()
            }
        };
        let new = StoredIntegration {
            version: old.version.saturating_add(1),
            settings,
            sealed_secrets,
            proposed: None,
            changed: Stamp::now(self.by),
            ..old.clone()
        };
        self.write(IntegrationWrite::Replace(Box::new(new.clone()))).await?;
        Ok(new)
    }

    async fn write(&self, write: IntegrationWrite) -> Result<(), IntegrationsError> {
        let written = self.integrations.store().write(&write, self.hook).await;
        // Also after an error: it may have been written.
        self.integrations.forget(write.id());
        match written? {
            Written::Done => Ok(()),
            Written::Stale(Some(stored)) => Err(IntegrationsError::Stale { stored }),
            Written::Stale(None) => Err(IntegrationsError::Deleted),
            Written::IdTaken => Err(IntegrationsError::IdTaken),
        }
    }
}

impl fmt::Debug for IntegrationEditor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrationEditor").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Integrations {
    /// To change integrations in the name of this administrator, which is stored beside them.
    pub fn by<'a>(&'a self, name: &'a str) -> IntegrationEditor<'a> {
        IntegrationEditor { integrations: self, by: name, is_operator: false, hook: &() }
    }

    /// Builds the proposed integration, for a test login.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::NoProposal`] if there is none, [`IntegrationsError::ProposalExpired`] if it is older than an hour; and
    /// as [`build_stored`](Self::build_stored).
    pub fn build_proposed(&self, stored: &StoredIntegration) -> Result<Integration, IntegrationsError> {
        self.build_stored(&accepted(stored, false)?)
    }
}

/// The stored integration with the proposed settings.
fn accepted(stored: &StoredIntegration, keeps_connections: bool) -> Result<StoredIntegration, IntegrationsError> {
    let proposal = stored.proposed.clone().ok_or(IntegrationsError::NoProposal)?;
    if !proposal.is_valid() {
        return Err(IntegrationsError::ProposalExpired);
    }
    let mut settings = proposal.settings;
    let old = &stored.settings;
    settings.is_proposed_by_operator = false;
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
    if old.settings.platform == new.platform {
        return Ok(());
    }
    let message = "The platform cannot be changed: it is part of the callback URL.";
    let hint = "Create another integration for the other platform.";
    Err(FieldErrors::one(FieldError::say(Field::Platform, None, "platform_fixed", message, hint)))
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
