//! Stored integrations are moved, disabled and deleted while a keeper has tokens of them. Two nodes share all stores.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{ConnectionId, KeeperError, MemoryTokens, TokenKeeper, TokenStore as _};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations, StoredIntegration,
};
use codehost_oauth::testing::{FakeApplication, FakeClock, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, AccessToken, Callback, FindIntegration as _, Integration, IntegrationId, PendingLogins};

use super::scenario::{Result, ring};
use crate::secrets::leak_check::LeakChecked as _;

/// An app with two nodes, and a code host at which alice has logged in.
struct Scene {
    gitlab: FakeGitLab,
    clock: FakeClock,
    integrations: [Integrations; 2],
    keepers: [TokenKeeper; 2],
    tokens: Arc<MemoryTokens>,
    connection: ConnectionId,
}

impl Scene {
    async fn start() -> Result<Self> {
        Self::start_with(Duration::ZERO).await
    }

    /// `fresh_for`: how long a keeper uses a token without reading the store.
    async fn start_with(fresh_for: Duration) -> Result<Self> {
        let (gitlab, clock, tokens) = (code_host().await?, FakeClock::default(), Arc::new(MemoryTokens::default()));
        let store = Arc::new(MemoryIntegrations::default());
        let integrations = [node(&store)?, node(&store)?];
        let keepers = integrations.each_ref().map(|integrations| {
            let builder = TokenKeeper::builder(Arc::clone(&tokens), ring(), integrations.clone());
            builder.clock(clock.clone()).fresh_for(fresh_for).build()
        });
        let settings =
            IntegrationSettings::new("gitlab", gitlab.base_url(), Access::SignIn).named("GitLab").with_client_id("id");
        integrations[0].by("jane").create(&id(), None, settings, &secrets()).await?;
        let integration = integrations[0].find(&id()).await?.unwrap();
        let connection = "gitlab:demo:2".parse()?;
        let scene = Self { gitlab, clock, integrations, keepers, tokens, connection };
        scene.log_in(&integration).await?;
        for (keeper, integrations) in scene.keepers.iter().zip(&scene.integrations) {
            let token = keeper.access_token(&scene.connection).await.leak_checked()?;
            integrations.find(&id()).await?.unwrap().user(&token).await.leak_checked()?;
        }
        Ok(scene)
    }

    /// Stores the tokens of alice.
    async fn log_in(&self, integration: &Integration) -> Result {
        let start = integration.begin_login(None).leak_checked()?;
        let mut session = PendingLogins::default();
        session.insert(start.pending);
        let uri = self.gitlab.authorize(start.redirect_to.as_str(), "alice")?;
        let callback = Callback::parse(&uri).leak_checked()?;
        let login = integration.finish_login(session.take(&callback)?, callback).await.leak_checked()?;
        Ok(self.keepers[0].import(&self.connection, login.tokens).await.leak_checked()?)
    }

    async fn stored(&self) -> Result<StoredIntegration> {
        Ok(self.integrations[0].load(&id()).await?.ok_or("it was deleted")?)
    }

    /// The same server has another name now: proposes it, proves it by a test login, and accepts it.
    async fn rename_server(&self, base_url: &str) -> Result {
        let integrations = &self.integrations[0];
        let mut settings = self.stored().await?.settings;
        base_url.clone_into(&mut settings.base_url);
        let proposed = integrations.by("jane").propose(&self.stored().await?, settings, &secrets()).await?;
        let tested = integrations.build_proposed(&proposed)?;
        let start = tested.begin_test("admin-1", None).leak_checked()?;
        let mut session = PendingLogins::default();
        session.insert(start.pending);
        let page = start.redirect_to.as_str().replace("localhost", "127.0.0.1");
        let callback = Callback::parse(&self.gitlab.authorize(&page, "alice")?)?;
        let test = tested.finish_test("admin-1", session.take(&callback)?, callback).await.leak_checked()?;
        assert_eq!(test.user.unwrap().key.to_string(), self.connection.as_str());
        integrations.by("jane").accept_proposal(&proposed, true).await?;
        self.see_changes().await
    }

    /// What a node has built is used for a second at most.
    async fn see_changes(&self) -> Result {
        for integrations in &self.integrations {
            integrations.find_latest(&id()).await?;
        }
        Ok(())
    }

    /// The address of the same server under another name.
    fn other_name(&self) -> String {
        self.gitlab.base_url().replace("127.0.0.1", "localhost")
    }

    fn expire(&self) {
        self.clock.advance(Duration::from_secs(7200));
        self.gitlab.advance(Duration::from_secs(7200));
    }

    /// The names under which the server was asked for new tokens.
    fn refreshes(&self) -> Vec<String> {
        let requests = self.gitlab.requests().into_iter();
        let refreshes = requests.filter(|request| request.form("grant_type").as_deref() == Some("refresh_token"));
        let host = |value: &str| value.split(':').next().unwrap_or_default().to_owned();
        refreshes.map(|request| host(request.header("host").unwrap_or_default())).collect()
    }

    /// Makes `change` while the second node renews the tokens. Returns what that node's caller gets.
    async fn change_during_refresh(
        &self,
        change: impl AsyncFnOnce() -> Result,
    ) -> Result<std::result::Result<AccessToken, KeeperError>> {
        self.expire();
        self.gitlab.set_latency(Duration::from_millis(300));
        let refresh = self.keepers[1].access_token(&self.connection);
        let changed = async {
            while self.refreshes().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            change().await
        };
        let (token, changed) = futures_util::future::join(refresh, changed).await;
        changed?;
        self.gitlab.set_latency(Duration::ZERO);
        Ok(token.leak_checked())
    }
}

fn id() -> IntegrationId {
    "demo".parse().unwrap()
}

fn secrets() -> IntegrationSecrets {
    IntegrationSecrets::new("canary-keeper-secret")
}

fn node(store: &Arc<MemoryIntegrations>) -> Result<Integrations> {
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let app = AppConfig::new("https://app.example.com".parse()?, http);
    Ok(Integrations::new(Arc::clone(store), app, KeyRing::new([(1, [7; 32].as_slice())])?))
}

async fn code_host() -> Result<FakeGitLab> {
    let callback = "https://app.example.com/oauth/callback/gitlab/demo";
    let application = |id| FakeApplication::new(id, "canary-keeper-secret", callback, "read_user");
    let builder = FakeGitLab::builder().application(application("id")).application(application("other-id"));
    Ok(builder.start().await?)
}

fn is_for(token: &AccessToken, base_url: &str) -> bool {
    token.binding().base_url().as_str() == base_url
}

#[tokio::test]
async fn tokens_of_the_same_server_are_used_and_renewed_under_its_new_name() -> Result {
    for fresh_for in [Duration::ZERO, Duration::from_secs(60)] {
        let scene = Scene::start_with(fresh_for).await?;
        let [old_name, new_name] = [scene.gitlab.base_url().to_owned(), scene.other_name()];
        scene.rename_server(&new_name).await?;
        assert_eq!(scene.stored().await?.settings.former_base_urls, std::slice::from_ref(&old_name));
        for (keeper, integrations) in scene.keepers.iter().zip(&scene.integrations) {
            // Not the one in the keeper's memory, which is for the old name.
            let token = keeper.access_token(&scene.connection).await.leak_checked()?;
            assert!(is_for(&token, &new_name), "{token:?}");
            let integration = integrations.find(&id()).await?.unwrap();
            assert_eq!(integration.user(&token).await.leak_checked()?.username.as_deref(), Some("alice"));
        }
        assert!(scene.refreshes().is_empty());

        scene.expire();
        let token = scene.keepers[1].access_token(&scene.connection).await.leak_checked()?;
        assert!(is_for(&token, &new_name));
        assert_eq!(scene.refreshes(), ["localhost"]);

        // Renewed, they belong to the new name alone.
        let stored = scene.stored().await?;
        let mut settings = stored.settings.clone();
        settings.former_base_urls.clear();
        scene.integrations[0].by("jane").save(&stored, settings, None).await?;
        scene.see_changes().await?;
        assert!(is_for(&scene.keepers[0].access_token(&scene.connection).await.leak_checked()?, &new_name));
    }
    Ok(())
}

#[tokio::test]
async fn tokens_of_a_server_with_a_new_name_that_nobody_has_proved_are_not_sent() -> Result {
    for fresh_for in [Duration::ZERO, Duration::from_secs(60)] {
        let scene = Scene::start_with(fresh_for).await?;
        let stored = scene.stored().await?;
        let mut settings = stored.settings.clone();
        settings.base_url = scene.other_name();
        // What the form says about former URLs does not count.
        settings.former_base_urls = vec![stored.settings.base_url.clone()];
        scene.integrations[0].by("jane").move_to(&stored, settings, &secrets()).await?;
        scene.see_changes().await?;
        let requests = scene.gitlab.requests().len();
        for is_expired in [false, true] {
            if is_expired {
                scene.expire();
            }
            for keeper in &scene.keepers {
                let error = keeper.access_token(&scene.connection).await.leak_checked().unwrap_err();
                assert_eq!(error.code(), "other_binding");
            }
        }
        assert_eq!(scene.gitlab.requests().len(), requests);
    }
    Ok(())
}

/// After a move to another server, no former name counts any more.
#[tokio::test]
async fn a_move_to_another_server_forgets_the_former_names() -> Result {
    let scene = Scene::start().await?;
    scene.rename_server(&scene.other_name()).await?;
    let stored = scene.stored().await?;
    let (mut settings, other) = (stored.settings.clone(), code_host().await?);
    other.base_url().clone_into(&mut settings.base_url);
    scene.integrations[0].by("jane").move_to(&stored, settings, &secrets()).await?;
    scene.see_changes().await?;
    assert!(scene.stored().await?.settings.former_base_urls.is_empty());
    scene.expire();
    for keeper in &scene.keepers {
        let error = keeper.access_token(&scene.connection).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "other_binding");
    }
    assert!(other.requests().is_empty() && scene.refreshes().is_empty());
    Ok(())
}

/// Back and forth: each name is the former one of the other.
#[tokio::test]
async fn a_server_can_get_its_old_name_back() -> Result {
    let scene = Scene::start().await?;
    let [old_name, new_name] = [scene.gitlab.base_url().to_owned(), scene.other_name()];
    for (name, host) in [(&new_name, "localhost"), (&old_name, "127.0.0.1"), (&new_name, "localhost")] {
        scene.rename_server(name).await?;
        scene.expire();
        let token = scene.keepers[0].access_token(&scene.connection).await.leak_checked()?;
        assert!(is_for(&token, name));
        assert_eq!(scene.refreshes().last().map(String::as_str), Some(host));
    }
    assert_eq!(scene.refreshes().len(), 3);
    Ok(())
}

/// The second node renews under the old name, while the first one already uses the new one.
#[tokio::test]
async fn a_refresh_under_the_old_name_is_not_repeated_under_the_new_one() -> Result {
    let scene = Scene::start().await?;
    let [old_name, new_name] = [scene.gitlab.base_url().to_owned(), scene.other_name()];
    let late = scene
        .change_during_refresh(async || {
            // Without the test login, which would wait for the slow server.
            let stored = scene.stored().await?;
            let mut settings = stored.settings.clone();
            settings.base_url.clone_from(&new_name);
            let proposed = scene.integrations[0].by("jane").propose(&stored, settings, &secrets()).await?;
            scene.integrations[0].by("jane").accept_proposal(&proposed, true).await?;
            scene.see_changes().await?;
            let token = scene.keepers[0].access_token(&scene.connection).await.leak_checked()?;
            assert!(is_for(&token, &new_name));
            let integration = scene.integrations[0].find(&id()).await?.unwrap();
            integration.user(&token).await.leak_checked()?;
            Ok(())
        })
        .await?;
    // It was asked for under the old name, and must not be sent to another one.
    assert!(is_for(&late?, &old_name));
    assert_eq!(scene.refreshes(), ["127.0.0.1"], "the refresh token was used once");
    let token = scene.keepers[1].access_token(&scene.connection).await.leak_checked()?;
    assert!(is_for(&token, &new_name));
    Ok(())
}

/// The old code host answers a refresh after the integration was moved to another one.
#[tokio::test]
async fn a_refresh_that_began_before_a_move_gives_the_new_server_nothing() -> Result {
    let (scene, new) = (Scene::start().await?, code_host().await?);
    let late = scene
        .change_during_refresh(async || {
            let stored = scene.stored().await?;
            let mut settings = stored.settings.clone();
            new.base_url().clone_into(&mut settings.base_url);
            scene.integrations[0].by("jane").move_to(&stored, settings, &secrets()).await?;
            scene.see_changes().await
        })
        .await?;
    // The caller may have it, but can send it to the old server only.
    assert!(late.is_ok_and(|token| is_for(&token, scene.gitlab.base_url())));
    for keeper in &scene.keepers {
        let error = keeper.access_token(&scene.connection).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "other_binding");
    }
    assert_eq!(scene.refreshes().len(), 1);
    assert!(new.requests().is_empty());
    Ok(())
}

/// At a move to another application, the app deletes the connections. A refresh that is under way does not bring one back.
#[tokio::test]
async fn a_refresh_that_began_before_another_application_does_not_restore_the_connection() -> Result {
    let scene = Scene::start().await?;
    let late = scene
        .change_during_refresh(async || {
            let stored = scene.stored().await?;
            let mut settings = stored.settings.clone();
            "other-id".clone_into(&mut settings.client_id);
            scene.integrations[0].by("jane").move_to(&stored, settings, &secrets()).await?;
            scene.tokens.delete(&scene.connection).await?;
            scene.see_changes().await
        })
        .await?;
    assert_eq!(late.unwrap_err().code(), "not_connected");
    for keeper in &scene.keepers {
        keeper.finish().await;
        assert_eq!(keeper.access_token(&scene.connection).await.leak_checked().unwrap_err().code(), "not_connected");
    }
    assert!(scene.tokens.load(&scene.connection).await?.is_none());
    assert_eq!(scene.refreshes().len(), 1);
    let revocations = scene.gitlab.requests().into_iter().filter(|request| request.path.ends_with("/oauth/revoke"));
    assert_eq!(revocations.count(), 1, "the late pair is revoked");
    Ok(())
}

#[tokio::test]
async fn the_tokens_of_a_disabled_integration_are_kept_and_not_used() -> Result {
    let scene = Scene::start_with(Duration::from_secs(60)).await?;
    scene.integrations[0].by("jane").disable(&scene.stored().await?).await?;
    scene.see_changes().await?;
    let requests = scene.gitlab.requests().len();
    for is_expired in [false, true] {
        if is_expired {
            scene.expire();
        }
        for keeper in &scene.keepers {
            let error = keeper.access_token(&scene.connection).await.leak_checked().unwrap_err();
            assert!(matches!(error, KeeperError::UnknownIntegration), "{error:?}");
            assert_eq!(error.to_string(), "the app has no integration with this ID, or it is disabled");
            assert!(error.advice().hint.starts_with("Enable the integration"), "{}", error.advice().hint);
        }
    }
    assert_eq!(scene.gitlab.requests().len(), requests);

    scene.integrations[0].by("jane").enable(&scene.stored().await?).await?;
    scene.see_changes().await?;
    for keeper in &scene.keepers {
        keeper.access_token(&scene.connection).await.leak_checked()?;
    }
    assert_eq!(scene.refreshes().len(), 1);
    Ok(())
}
