//! How stored integrations are changed, and what other nodes see.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use codehost_oauth::error::AppError;
use codehost_oauth::error::StoreError;
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    Field, Health, HealthNote, IntegrationStore, IntegrationWrite, Integrations, IntegrationsError, MemoryIntegrations,
    MoveKind, Proposal, Stamp, StoreTransaction, StoredBefore, StoredIntegration, UnreadableIntegration, WriteError,
    WriteHook, Written,
};
use codehost_oauth::{FindIntegration as _, IntegrationId, LoginEnd};

use super::{app, create, node, secrets, settings};

#[tokio::test]
async fn a_move_is_not_saved_by_the_way() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let mut moved = settings();
    moved.base_url = "https://other.example.com".to_owned();
    let refused = integrations.by("jane").save(&stored, moved.clone(), Some(&secrets())).await.unwrap_err();
    assert!(matches!(refused, IntegrationsError::IsMove(MoveKind::NewServer)), "{refused}");
    assert_eq!(integrations.load(&stored.id).await.unwrap().unwrap(), stored);

    let now = integrations.by("joe").move_to(&stored, moved, &secrets()).await.unwrap();
    assert_eq!((now.version, now.changed.by.as_str(), now.created.by.as_str()), (2, "joe", "jane"));
    let found = integrations.find(&stored.id).await.unwrap().unwrap();
    assert_eq!(found.provider().base_url().as_str(), "https://other.example.com");
}

/// Secrets are sealed for the old base URL, so nothing could be sent to the new one by mistake.
#[tokio::test]
async fn stored_secrets_do_not_go_to_another_base_url() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let mut forged = stored.clone();
    forged.settings.base_url = "https://evil.example.com".to_owned();
    let refused = integrations.build_stored(&forged).unwrap_err();
    assert!(matches!(refused, IntegrationsError::Seal(_)), "{refused}");
}

#[tokio::test]
async fn the_platform_stays() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let mut other = settings();
    other.platform = "forgejo".to_owned();
    let refused = integrations.by("jane").save(&stored, other, None).await.unwrap_err();
    let IntegrationsError::Fields(errors) = refused else { panic!("{refused}") };
    assert_eq!(errors.of(Field::Platform).unwrap().code, "platform_fixed");
}

#[tokio::test]
async fn a_stale_change_is_refused_with_what_is_stored() {
    let integrations = node(MemoryIntegrations::default());
    let old = create(&integrations).await;
    let mut renamed = settings();
    renamed.name = "Renamed".to_owned();
    let now = integrations.by("joe").save(&old, renamed, None).await.unwrap();
    let changes = [
        integrations.by("jane").save(&old, settings(), None).await.map(drop),
        integrations.by("jane").disable(&old).await.map(drop),
        integrations.by("jane").delete(&old).await,
    ];
    for change in changes {
        match change.unwrap_err() {
            IntegrationsError::Stale { stored } => assert_eq!(*stored, now),
            error => panic!("{error}"),
        }
    }
    integrations.by("jane").delete(&now).await.unwrap();
    let gone = integrations.by("jane").save(&now, settings(), None).await.unwrap_err();
    assert!(matches!(gone, IntegrationsError::Deleted), "{gone}");
    let again = integrations.by("jane").create(&now.id, None, settings(), &secrets()).await.unwrap_err();
    assert!(matches!(again, IntegrationsError::IdTaken), "{again}");
}

#[tokio::test]
async fn a_disabled_integration_is_not_found_and_comes_back() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let disabled = integrations.by("jane").disable(&stored).await.unwrap();
    assert!(integrations.find(&stored.id).await.unwrap().is_none());
    assert!(integrations.build_stored(&disabled).is_ok());
    integrations.by("jane").enable(&disabled).await.unwrap();
    assert!(integrations.find(&stored.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_proposal_waits_until_it_is_accepted() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let mut renamed_server = settings();
    renamed_server.base_url = "https://code.example.com".to_owned();
    let proposed = integrations.by("jane").propose(&stored, renamed_server, &secrets()).await.unwrap();
    let base_url = |integration: &codehost_oauth::Integration| integration.provider().base_url().as_str().to_owned();
    assert_eq!(base_url(&integrations.find(&stored.id).await.unwrap().unwrap()), "https://git.example.com");
    assert_eq!(base_url(&integrations.build_proposed(&proposed).unwrap()), "https://code.example.com");

    let accepted = integrations.by("jane").accept_proposal(&proposed, true).await.unwrap();
    assert_eq!(accepted.settings.former_base_urls, ["https://git.example.com"]);
    assert_eq!(base_url(&integrations.find(&stored.id).await.unwrap().unwrap()), "https://code.example.com");
    // A real move forgets where the server was.
    let mut elsewhere = accepted.settings.clone();
    elsewhere.base_url = "https://elsewhere.example.com".to_owned();
    let moved = integrations.by("jane").move_to(&accepted, elsewhere, &secrets()).await.unwrap();
    assert!(moved.settings.former_base_urls.is_empty() && moved.proposed.is_none());
}

#[tokio::test]
async fn an_old_proposal_is_not_accepted() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let none = integrations.by("jane").accept_proposal(&stored, true).await.unwrap_err();
    assert!(matches!(none, IntegrationsError::NoProposal), "{none}");
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    let mut old = stored.clone();
    old.proposed = Some(Proposal::new(settings(), stored.sealed_secrets.clone(), Stamp::new("jane", long_ago)));
    let refused = integrations.by("jane").accept_proposal(&old, true).await.unwrap_err();
    assert!(matches!(refused, IntegrationsError::ProposalExpired), "{refused}");
}

/// Nothing of what another administrator has changed meanwhile is undone by a proposal from before.
#[tokio::test]
async fn a_change_ends_a_proposal() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let mut renamed_server = settings();
    renamed_server.base_url = "https://code.example.com".to_owned();
    let proposed = integrations.by("jane").propose(&stored, renamed_server, &secrets()).await.unwrap();
    let saved = integrations.by("joe").save(&proposed, settings(), None).await.unwrap();
    assert_eq!(saved.proposed, None);
}

struct Refuses;

#[async_trait]
impl WriteHook for Refuses {
    async fn before(
        &self,
        _: &IntegrationWrite,
        _: &StoredBefore,
        _: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        Err("not any more".into())
    }
}

#[tokio::test]
async fn the_app_can_refuse_each_write() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let id = IntegrationId::random().unwrap();
    let mut renamed_server = settings();
    renamed_server.base_url = "https://code.example.com".to_owned();
    let refusals = [
        integrations.by("jane").with_hook(&Refuses).create(&id, None, settings(), &secrets()).await.map(drop),
        integrations.by("jane").with_hook(&Refuses).save(&stored, settings(), None).await.map(drop),
        integrations.by("jane").with_hook(&Refuses).propose(&stored, renamed_server, &secrets()).await.map(drop),
        integrations.by("jane").with_hook(&Refuses).disable(&stored).await.map(drop),
        integrations.by("jane").with_hook(&Refuses).delete(&stored).await,
    ];
    for refusal in refusals {
        assert!(
            matches!(refusal.unwrap_err(), IntegrationsError::Refused(error) if error.to_string() == "not any more")
        );
    }
    assert_eq!(integrations.list(None).await.unwrap(), [Ok(stored)]);
}

/// The list still shows it, and the administrator enters the secret again.
#[tokio::test]
async fn a_lost_key_is_an_error_about_the_key() {
    let store = Arc::new(MemoryIntegrations::default());
    let stored = create(&node(Arc::clone(&store))).await;
    let other = Integrations::new(store, app(), KeyRing::new([(2, [8; 32].as_slice())]).unwrap());
    assert_eq!(other.list(None).await.unwrap().len(), 1);
    assert!(matches!(other.build_stored(&stored).unwrap_err(), IntegrationsError::Seal(_)));
    assert!(other.find(&stored.id).await.is_err());
    let saved = other.by("jane").save(&stored, settings(), Some(&secrets())).await.unwrap();
    assert!(other.build_stored(&saved).is_ok());
}

/// Counts what is read.
#[derive(Debug, Default)]
struct Counted {
    store: MemoryIntegrations,
    loads: AtomicUsize,
    versions: AtomicUsize,
}

#[async_trait]
impl IntegrationStore for Counted {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.store.load(id).await
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        self.versions.fetch_add(1, Ordering::Relaxed);
        self.store.version(id).await
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        self.store.list(owner).await
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        self.store.write(write, hook).await
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        self.store.health(ids).await
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        self.store.note(notes).await
    }
}

#[tokio::test(start_paused = true)]
async fn another_node_sees_a_change_within_a_second() {
    let store = Arc::new(Counted::default());
    let [here, there] = [node(Arc::clone(&store)), node(Arc::clone(&store))];
    let stored = create(&here).await;
    let name = async || there.find(&stored.id).await.unwrap().unwrap().name().to_owned();
    assert_eq!(name().await, "Our GitLab");
    let mut renamed = settings();
    renamed.name = "Renamed".to_owned();
    here.by("jane").save(&stored, renamed, None).await.unwrap();
    assert_eq!(here.find(&stored.id).await.unwrap().unwrap().name(), "Renamed");

    tokio::time::advance(Duration::from_millis(999)).await;
    assert_eq!(name().await, "Our GitLab");
    assert_eq!(there.find_latest(&stored.id).await.unwrap().unwrap().name(), "Renamed");
    assert_eq!(name().await, "Renamed");
}

#[tokio::test(start_paused = true)]
async fn what_is_built_is_built_once() {
    let store = Arc::new(Counted::default());
    let stored = create(&node(Arc::clone(&store))).await;
    let node = node(Arc::clone(&store));
    let first = node.find(&stored.id).await.unwrap().unwrap();
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&first, &node.find(&stored.id).await.unwrap().unwrap()));
    }
    assert_eq!((store.loads.load(Ordering::Relaxed), store.versions.load(Ordering::Relaxed)), (1, 0));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(Arc::ptr_eq(&first, &node.find(&stored.id).await.unwrap().unwrap()));
    assert_eq!((store.loads.load(Ordering::Relaxed), store.versions.load(Ordering::Relaxed)), (1, 1));
    // Of integrations that are not there, nothing is kept.
    assert!(node.find(&IntegrationId::random().unwrap()).await.unwrap().is_none());
    assert_eq!(store.loads.load(Ordering::Relaxed), 2);
}

/// Another node may have deleted it, and then nobody asks for it here.
#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_not_kept() {
    let store = Arc::new(Counted::default());
    let node = node(Arc::clone(&store));
    let [one, other, third] = [create(&node).await, create(&node).await, create(&node).await];
    let built = async |stored: &StoredIntegration| node.find(&stored.id).await.unwrap().unwrap();
    let first = Arc::downgrade(&built(&one).await);
    let kept = built(&other).await;
    for _ in 0..40 {
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(Arc::ptr_eq(&kept, &built(&other).await));
    }
    assert!(first.upgrade().is_some());
    built(&third).await;
    assert!(first.upgrade().is_none());
    assert!(Arc::ptr_eq(&kept, &built(&other).await));
    assert_eq!(built(&one).await.name(), "Our GitLab");
}

#[tokio::test(start_paused = true)]
async fn notes_are_written_within_a_second_and_never_change_the_version() {
    let integrations = node(MemoryIntegrations::default());
    let stored = create(&integrations).await;
    let ids = [stored.id.clone(), IntegrationId::random().unwrap()];
    for end in [LoginEnd::success, |id| LoginEnd::failure(id, "client_rejected"), LoginEnd::success] {
        integrations.login_ended(&end(&ids[0]));
        integrations.login_ended(&end(&ids[1]));
    }
    assert_eq!(integrations.health(&ids).await.unwrap(), [Health::default(), Health::default()]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let health = integrations.health(&ids).await.unwrap();
    assert!(health[0].last_login.is_some());
    assert_eq!(health[0].last_failure.as_ref().unwrap().code, "client_rejected");
    assert_eq!(health[1], Health::default());
    assert_eq!(integrations.load(&ids[0]).await.unwrap().unwrap(), stored);
}
