use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
#[cfg(feature = "admin")]
use base64::Engine as _;
#[cfg(feature = "admin")]
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use super::app_config::AppConfig;
use super::error::IntegrationsError;
use super::field::FieldErrors;
use super::health::Health;
use super::integration_settings::IntegrationSettings;
use super::notes::Notes;
use super::secrets::IntegrationSecrets;
use super::store::{IntegrationStore, StoredIntegration, UnreadableIntegration};
use crate::error::{AppError, SealError};
use crate::integration::{FindIntegration, Integration, LoginEnd};
use crate::seal::KeyRing;
#[cfg(feature = "admin")]
use crate::seal::{Plaintext, SealContext};
use crate::values::integration_id::IntegrationId;

/// The integrations of an app: stored, changed and built in one place, which router, keeper and admin pages share. Cheap to
/// clone.
///
/// A built integration is kept and used for up to a second without asking the store. A login asks again just before it finishes.
/// If the store cannot be read then, that is an error: an integration that may have changed is not used.
///
/// ```
/// use codehost_oauth::seal::KeyRing;
/// use codehost_oauth::settings::{AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations};
/// use codehost_oauth::transport::{HttpClient, Network};
/// use codehost_oauth::{Access, FindIntegration, IntegrationId};
///
/// # async fn example() -> Result<(), codehost_oauth::error::AppError> {
/// let http = HttpClient::builder(Network::public_only()).build()?;
/// let app = AppConfig::new("https://packages.example.com".parse()?, http);
/// let keys = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let integrations = Integrations::new(MemoryIntegrations::default(), app, keys);
///
/// let id = IntegrationId::random()?;
/// let settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn).named("Our GitLab").with_client_id("app-id");
/// let stored = integrations.by("jane").create(&id, None, settings, &IntegrationSecrets::new("s3cr3t")).await?;
/// assert_eq!(stored.version, 1);
/// assert_eq!(integrations.find(&id).await?.map(|one| one.name().to_owned()).as_deref(), Some("Our GitLab"));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct Integrations(Arc<Inner>);

struct Inner {
    store: Arc<dyn IntegrationStore>,
    config: AppConfig,
    keys: Arc<KeyRing>,
    built: Mutex<AllBuilt>,
    notes: Notes,
}

#[derive(Default)]
struct AllBuilt {
    by_id: HashMap<IntegrationId, Built>,
    /// When those that nobody asks for were last removed.
    cleaned_at: Option<Instant>,
}

/// What was built from one version.
#[derive(Clone)]
struct Built {
    version: i64,
    /// `None` if it is disabled.
    integration: Option<Arc<Integration>>,
    /// When the store was last asked for the version.
    asked_at: Instant,
}

impl Integrations {
    /// The integrations in this store, whose secrets are sealed with these keys.
    pub fn new(store: impl IntegrationStore, config: AppConfig, keys: impl Into<Arc<KeyRing>>) -> Self {
        let store: Arc<dyn IntegrationStore> = Arc::new(store);
        let notes = Notes::new(Arc::clone(&store));
        Self(Arc::new(Inner { store, config, keys: keys.into(), built: Mutex::default(), notes }))
    }

    /// What all of them have in common.
    pub fn config(&self) -> &AppConfig {
        &self.0.config
    }

    /// The stored integration; `None` if there is none, or if it was deleted.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Store`], with [`StoreError::Malformed`](crate::error::StoreError::Malformed) if it cannot be read.
    pub async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, IntegrationsError> {
        Ok(self.0.store.load(id).await?)
    }

    /// The integrations of one owner, or those without an owner, by name. One that cannot be read is among them: it can be
    /// [deleted](super::IntegrationEditor::delete_unreadable).
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Store`].
    pub async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, IntegrationsError> {
        Ok(self.0.store.list(owner).await?)
    }

    /// How the logins of these integrations go, in their order.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Store`].
    pub async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, IntegrationsError> {
        Ok(self.0.store.health(ids).await?)
    }

    /// The secrets of a stored integration.
    ///
    /// # Errors
    ///
    /// [`IntegrationsError::Seal`] if the app no longer has the key: the administrator must enter them again.
    pub fn secrets(&self, stored: &StoredIntegration) -> Result<IntegrationSecrets, IntegrationsError> {
        let StoredIntegration { id, settings, sealed_secrets, .. } = stored;
        Ok(IntegrationSecrets::open(&self.0.keys, id, &settings.base_url, sealed_secrets)?)
    }

    /// Builds the integration of a stored one, also a disabled one, for a check or a test login.
    ///
    /// # Errors
    ///
    /// As [`secrets`](Self::secrets) and [`IntegrationSettings::build`].
    pub fn build_stored(&self, stored: &StoredIntegration) -> Result<Integration, IntegrationsError> {
        Ok(self.build(&stored.id, &stored.settings, &self.secrets(stored)?)?)
    }

    /// Builds an integration that is not stored, for a check.
    ///
    /// # Errors
    ///
    /// As [`IntegrationSettings::build`].
    pub fn build(
        &self,
        id: &IntegrationId,
        settings: &IntegrationSettings,
        secrets: &IntegrationSecrets,
    ) -> Result<Integration, FieldErrors> {
        settings.build(id, secrets, &self.0.config)
    }

    /// Writes what is known about logins into the store now. Otherwise it is written within a second.
    pub async fn write_notes(&self) {
        self.0.notes.write().await;
    }

    pub(super) fn store(&self) -> &dyn IntegrationStore {
        &*self.0.store
    }

    /// Seals secrets with the app's keys.
    pub(crate) fn seal(
        &self,
        id: &IntegrationId,
        base_url: &str,
        secrets: &IntegrationSecrets,
    ) -> Result<Vec<u8>, SealError> {
        secrets.seal(&self.0.keys, id, base_url)
    }

    /// Seals secrets that are not stored yet, for the user who has typed them.
    #[cfg(feature = "admin")]
    pub(crate) fn seal_typed(
        &self,
        user_id: &str,
        id: &IntegrationId,
        base_url: &str,
        secrets: &IntegrationSecrets,
    ) -> Result<Vec<u8>, SealError> {
        secrets.seal_in(&self.0.keys, &typed(id, &by_user(base_url, user_id)))
    }

    /// Opens them for this user.
    #[cfg(feature = "admin")]
    pub(crate) fn open_typed(
        &self,
        user_id: &str,
        id: &IntegrationId,
        base_url: &str,
        sealed: &[u8],
    ) -> Result<IntegrationSecrets, SealError> {
        IntegrationSecrets::open_in(&self.0.keys, &typed(id, &by_user(base_url, user_id)), sealed)
    }

    /// Seals a text about an integration, for one purpose.
    #[cfg(feature = "admin")]
    pub(crate) fn seal_text(&self, purpose: &str, id: &IntegrationId, text: &[u8]) -> Result<String, SealError> {
        let context = SealContext { purpose, integration: id.as_str(), connection: "" };
        Ok(URL_SAFE_NO_PAD.encode(self.0.keys.seal(&context, text)?))
    }

    /// Opens a text that [`seal_text`](Self::seal_text) has sealed.
    #[cfg(feature = "admin")]
    pub(crate) fn open_text(&self, purpose: &str, id: &IntegrationId, sealed: &str) -> Result<Plaintext, SealError> {
        let context = SealContext { purpose, integration: id.as_str(), connection: "" };
        self.0.keys.open(&context, &URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Malformed)?)
    }

    /// A text that shows that this app gave out `id` for a new integration of `owner`: nobody else can choose an id.
    #[cfg(feature = "admin")]
    pub(crate) fn sign_new_id(&self, owner: Option<&str>, id: &IntegrationId) -> Result<String, SealError> {
        Ok(URL_SAFE_NO_PAD.encode(self.0.keys.seal(&new_id(owner, id), b"")?))
    }

    /// Whether [`sign_new_id`](Self::sign_new_id) made it.
    #[cfg(feature = "admin")]
    pub(crate) fn is_new_id(&self, owner: Option<&str>, id: &IntegrationId, signature: &str) -> bool {
        let sealed = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        self.0.keys.open(&new_id(owner, id), &sealed).is_ok()
    }

    /// After a write by this node, which need not wait a second to see it.
    pub(super) fn forget(&self, id: &IntegrationId) {
        self.built().by_id.remove(id);
    }

    /// `is_fresh`: whether what is kept may be used without asking the store.
    async fn find_if(
        &self,
        id: &IntegrationId,
        is_fresh: impl Fn(&Built) -> bool + Send,
    ) -> Result<Option<Arc<Integration>>, IntegrationsError> {
        let known = self.built().by_id.get(id).cloned();
        if let Some(known) = known.as_ref().filter(|known| is_fresh(known)) {
            return Ok(known.integration.clone());
        }
        // Before the store is asked: the response may be as old as this moment.
        let asked_at = Instant::now();
        if let Some(known) = known {
            if self.0.store.version(id).await? == Some(known.version) {
                let found = known.integration.clone();
                self.remember(id, Built { asked_at, ..known });
                return Ok(found);
            }
        }
        let Some(stored) = self.0.store.load(id).await? else {
            self.forget(id);
            return Ok(None);
        };
        let integration = match stored.is_disabled {
            true => None,
            false => Some(Arc::new(self.build_stored(&stored)?)),
        };
        self.remember(id, Built { version: stored.version, integration: integration.clone(), asked_at });
        Ok(integration)
    }

    /// Stores what was built, unless another request has read a later version meanwhile.
    fn remember(&self, id: &IntegrationId, new: Built) {
        let mut built = self.built();
        match built.by_id.get(id) {
            Some(known) if (known.version, known.asked_at) > (new.version, new.asked_at) => return,
            Some(_) => {}
            None => built.clean_up(),
        }
        built.by_id.insert(id.clone(), new);
    }

    fn built(&self) -> MutexGuard<'_, AllBuilt> {
        self.0.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AllBuilt {
    /// Removes those that nobody asks for any more, for example because another node has deleted them. This looks at all of them,
    /// so it is not done for each new one.
    fn clean_up(&mut self) {
        if self.cleaned_at.is_none_or(|at| at.elapsed() >= CLEAN_UP_INTERVAL) {
            self.by_id.retain(|_, one| one.asked_at.elapsed() < KEPT_FOR);
            self.cleaned_at = Some(Instant::now());
        }
    }
}

#[async_trait]
impl FindIntegration for Integrations {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        Ok(self.find_if(id, |known| known.asked_at.elapsed() < FRESH_FOR).await?)
    }

    async fn find_latest(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>, AppError> {
        Ok(self.find_if(id, |_| false).await?)
    }

    fn login_ended(&self, end: &LoginEnd<'_>) {
        self.0.notes.add(end.integration, end.failure);
    }
}

impl fmt::Debug for Integrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Integrations").field(&self.0.store).finish()
    }
}

#[cfg(feature = "admin")]
fn new_id<'a>(owner: Option<&'a str>, id: &'a IntegrationId) -> SealContext<'a> {
    let purpose = if owner.is_some() { "new-integration-of" } else { "new-integration" };
    SealContext { purpose, integration: id.as_str(), connection: owner.unwrap_or_default() }
}

#[cfg(feature = "admin")]
fn typed<'a>(id: &'a IntegrationId, by_user: &'a str) -> SealContext<'a> {
    SealContext { purpose: "typed-secrets", integration: id.as_str(), connection: by_user }
}

/// No base URL contains a space.
#[cfg(feature = "admin")]
fn by_user(base_url: &str, user_id: &str) -> String {
    format!("{base_url} {user_id}")
}

/// How long a built integration is used without asking the store for its version.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How long one is kept that nobody asks for.
const KEPT_FOR: Duration = Duration::from_secs(3600);
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MemoryIntegrations;
    use crate::transport::{HttpClient, Network};
    use crate::values::access::Access;

    /// With 10,000 integrations, a look at all of them for each new one would take a second in total.
    #[tokio::test(start_paused = true)]
    async fn those_that_nobody_asks_for_are_removed_at_most_once_a_minute() {
        let http = HttpClient::builder(Network::public_only()).build().unwrap();
        let app = AppConfig::new("https://app.example.com".parse().unwrap(), http);
        let integrations =
            Integrations::new(MemoryIntegrations::default(), app, KeyRing::new([(1, [7; 32].as_slice())]).unwrap());
        let ids = ["a", "b", "c", "d"].map(|id| id.parse::<IntegrationId>().unwrap());
        for id in &ids {
            let settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn)
                .named("GitLab")
                .with_client_id("app-id");
            integrations.by("jane").create(id, None, settings, &IntegrationSecrets::new("s3cr3t")).await.unwrap();
        }
        // "a" is too old at 3,600 s. The second look is at 3,590 s, and the next one after 3,650 s.
        for ((id, seconds), kept) in ids.iter().zip([0, 3590, 30, 40]).zip([1, 2, 3, 3]) {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert!(integrations.find(id).await.unwrap().is_some());
            assert_eq!(integrations.built().by_id.len(), kept, "{id}");
        }
        assert!(!integrations.built().by_id.contains_key(ids.first().unwrap()));
    }
}
