//! An integration is moved on one node of the app, while a login or a connection is under way on another: what the old code host
//! says too late counts for nothing. Both nodes have the stored integrations and the sessions in common.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations, StoredIntegration,
};
use codehost_oauth::testing::{FakeApplication, FakeGitLab, gitlab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, FindIntegration as _, Group, IntegrationId, LoginPolicy};
use tower_sessions::MemoryStore;

use crate::router::changes::app_of;
use crate::router::routes::{Browser, ResponseSummary, TestApp, TestHandler, test_app_at};

const PUBLIC: &str = "https://packages.example.com";

/// Two nodes of an app, its old code host, and the one to which its integration is moved.
struct TwoNodes {
    /// With the old code host as `gitlab`.
    nodes: [TestApp; 2],
    integrations: [Integrations; 2],
    new: FakeGitLab,
}

impl TwoNodes {
    async fn start(in_session: bool) -> Self {
        let (store, sessions) = (Arc::new(MemoryIntegrations::default()), MemoryStore::default());
        let nodes = [test_app(in_session).await, test_app(in_session).await];
        let mut two = Self { integrations: [node(&store), node(&store)], new: code_host().await, nodes };
        two.nodes[0].gitlab = code_host().await;
        two.nodes[1].gitlab = code_host().await;
        for (node, integrations) in two.nodes.iter_mut().zip(&two.integrations) {
            let handler = TestHandler::of(&Arc::default());
            node.app = app_of(integrations.clone(), handler, in_session, sessions.clone());
        }
        let settings = settings(two.old());
        let id = id();
        two.integrations[0].by("jane").create(&id, None, settings, &secrets()).await.unwrap();
        // The second node has built it, and uses it for a second without asking the store.
        assert!(two.integrations[1].find(&id).await.unwrap().is_some());
        two
    }

    fn old(&self) -> &FakeGitLab {
        &self.nodes[0].gitlab
    }

    async fn stored(&self) -> StoredIntegration {
        self.integrations[0].load(&id()).await.unwrap().unwrap()
    }

    /// The administrator changes the integration at the first node.
    async fn change(&self, change: Change) {
        let stored = self.stored().await;
        let mut settings = stored.settings.clone();
        match change {
            Change::BaseUrl => self.new.base_url().clone_into(&mut settings.base_url),
            Change::ClientId => "other-id".clone_into(&mut settings.client_id),
            Change::Name => "Renamed".clone_into(&mut settings.name),
            Change::Group => settings.policy = LoginPolicy::members_of([Group::path("ops").unwrap()]),
            Change::Disabled => {
                self.integrations[0].by("jane").disable(&stored).await.unwrap();
                return;
            }
            Change::Deleted => {
                self.integrations[0].by("jane").delete(&stored).await.unwrap();
                return;
            }
        }
        if matches!(change, Change::BaseUrl | Change::ClientId) {
            self.integrations[0].by("jane").move_to(&stored, settings, &secrets()).await.unwrap();
        } else {
            self.integrations[0].by("jane").save(&stored, settings, None).await.unwrap();
        }
    }

    /// Begins at the second node, and makes the change before the callback arrives at node `at`, or during the exchange there.
    async fn log_in(
        &self,
        browser: &mut Browser,
        kind: &str,
        at: usize,
        change: Change,
        timing: Timing,
    ) -> ResponseSummary {
        let begun = browser.begin(&self.nodes[1], &format!("/{kind}/demo"), "/projects").await;
        let callback = self.old().authorize(&begun, "jane").unwrap();
        let path = self.nodes[0].path(&callback);
        if timing == Timing::Before {
            self.change(change).await;
            return browser.get(&self.nodes[at], path).await;
        }
        self.old().set_latency(Duration::from_millis(150));
        let changes = async {
            while self.exchanges() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.change(change).await;
        };
        futures_util::future::join(browser.get(&self.nodes[at], path), changes).await.0
    }

    /// How often a code was sent to the old code host.
    fn exchanges(&self) -> usize {
        self.old().requests().iter().filter(|request| request.form("code").is_some()).count()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    BaseUrl,
    ClientId,
    Name,
    Group,
    Disabled,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    Before,
    During,
}

fn id() -> IntegrationId {
    "demo".parse().unwrap()
}

fn secrets() -> IntegrationSecrets {
    IntegrationSecrets::new("canary-router-secret")
}

fn settings(at: &FakeGitLab) -> IntegrationSettings {
    let mut settings =
        IntegrationSettings::new("gitlab", at.base_url(), Access::Read).named("Our GitLab").with_client_id("id");
    settings.policy = LoginPolicy::members_of([Group::path("acme").unwrap()]);
    settings
}

fn node(store: &Arc<MemoryIntegrations>) -> Integrations {
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build().unwrap();
    let keys = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    Integrations::new(Arc::clone(store), AppConfig::new(PUBLIC.parse().unwrap(), http), keys)
}

/// A GitLab with jane, and with both OAuth applications of the app.
async fn code_host() -> FakeGitLab {
    let callback = format!("{PUBLIC}/oauth/callback/gitlab/demo");
    let mut jane = gitlab::FakeUser::new(77, "jane", "Jane", "jane@acme.example");
    jane.groups = vec![gitlab::FakeGroup::new(11, "acme", 30), gitlab::FakeGroup::new(12, "ops", 20)];
    let application = |id| FakeApplication::new(id, "canary-router-secret", &callback, "read_api read_user");
    let builder = FakeGitLab::builder().application(application("id")).application(application("other-id"));
    builder.user(jane).start().await.unwrap()
}

async fn test_app(in_session: bool) -> TestApp {
    test_app_at(PUBLIC, in_session, MemoryStore::default()).await
}

fn is_in(response: &ResponseSummary) -> bool {
    response.header("x-logged-in").is_some() || response.header("x-connected").is_some()
}

#[tokio::test]
async fn a_login_that_began_before_a_move_never_finishes() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for change in [Change::BaseUrl, Change::ClientId, Change::Disabled, Change::Deleted] {
                for (at, timing) in [(0, Timing::Before), (1, Timing::Before), (0, Timing::During), (1, Timing::During)]
                {
                    let two = TwoNodes::start(in_session).await;
                    let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                    let response = two.log_in(&mut browser, kind, at, change, timing).await;
                    let case = format!("{kind} {change:?} at {at}, {timing:?}: {}", response.body);
                    assert!(response.head.status.is_client_error() || response.head.status.is_server_error(), "{case}");
                    assert!(!is_in(&response), "{case}");
                    // Nor later, when the second node asks the store again.
                    for (node, test_app) in two.nodes.iter().enumerate() {
                        assert_eq!(browser.get(test_app, "/user").await.body, "", "{node}: {case}");
                    }
                    assert!(two.new.requests().is_empty(), "{case}");
                    assert!(two.exchanges() <= 1, "{case}");
                    if timing == Timing::During {
                        assert_eq!(two.exchanges(), 1, "the change came before the exchange: {case}");
                        let is_gone = matches!(change, Change::Disabled | Change::Deleted);
                        response.assert_failed(400, if is_gone { "integration_gone" } else { "integration_changed" });
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_rename_or_another_group_does_not_hurt_a_login() {
    for in_session in [true, false] {
        for kind in ["login", "connect"] {
            for change in [Change::Name, Change::Group] {
                for (at, timing) in [(0, Timing::Before), (1, Timing::Before), (0, Timing::During), (1, Timing::During)]
                {
                    let two = TwoNodes::start(in_session).await;
                    let mut browser = Browser { user: Some("user-7"), ..Browser::default() };
                    let response = two.log_in(&mut browser, kind, at, change, timing).await;
                    assert!(is_in(&response), "{kind} {change:?} at {at}, {timing:?}: {}", response.body);
                    assert_eq!(two.exchanges(), 1);
                }
            }
        }
    }
}

/// After the move, users log in at the new code host, on both nodes.
#[tokio::test]
async fn a_login_that_begins_after_a_move_is_at_the_new_code_host() {
    for in_session in [true, false] {
        for at in [0, 1] {
            let two = TwoNodes::start(in_session).await;
            two.change(Change::BaseUrl).await;
            // What the second node has built is used for a second at most.
            two.integrations[1].find_latest(&id()).await.unwrap();
            let mut browser = Browser::default();
            let begun = browser.begin(&two.nodes[at], "/login/demo", "/projects").await;
            let callback = two.new.authorize(&begun, "jane").unwrap();
            let done = browser.get(&two.nodes[at], two.nodes[at].path(&callback)).await;
            assert_eq!(done.header("x-logged-in"), Some("gitlab:demo:77"), "{}", done.body);
            assert_eq!(two.exchanges(), 0);
        }
    }
}
