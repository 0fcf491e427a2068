//! Fakes of all platforms, at which an administrator can create an OAuth application for an integration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};
use codehost_oauth::{CallbackUrl, IntegrationId, PublicUrl};

use crate::store::Store;
use crate::support::Failure;

pub(crate) struct Demo {
    bitbucket_cloud: FakeBitbucket,
    bitbucket_data_center: FakeBitbucketDataCenter,
    forgejo: FakeForgejo,
    github: FakeGitHub,
    gitlab: FakeGitLab,
    applications: Mutex<HashMap<(String, IntegrationId), Credentials>>,
}

#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// Starts a fake on the port that is this far after the app's own, or on a free one if that is taken.
macro_rules! start {
    ($builder:expr, $app:expr, $count:literal) => {
        match $builder.listen(after($app, $count)).start().await {
            Ok(fake) => fake,
            Err(_) => $builder
                .listen(SocketAddr::new($app.ip(), 0))
                .start()
                .await
                .map_err(|error| crate::failure("listen", &error))?,
        }
    };
}

impl Demo {
    /// Starts all of them on the ports after the app's own, so that stored integrations find them after a restart.
    pub(crate) async fn start(app: SocketAddr, public_url: &PublicUrl, store: &Store) -> Result<Self, Failure> {
        let github = || FakeGitHub::builder().kind(ServerKind::EnterpriseServer);
        let demo = Self {
            gitlab: start!(FakeGitLab::builder(), app, 1),
            bitbucket_cloud: start!(FakeBitbucket::builder(), app, 2),
            github: start!(github(), app, 3),
            forgejo: start!(FakeForgejo::builder(), app, 4),
            bitbucket_data_center: start!(FakeBitbucketDataCenter::builder(), app, 5),
            applications: Mutex::default(),
        };
        let rows = store.all_integrations().await.map_err(|error| crate::failure("database", &*error))?;
        for row in rows {
            // Sealed with a key that the app no longer has. The list of integrations says so.
            let Ok(secret) = store.open_secret(&row) else {
                continue;
            };
            let credentials = Credentials { id: row.client_id.clone(), secret };
            demo.register(&row.platform, &row.id, &CallbackUrl::new(public_url, &row.platform, &row.id), credentials);
        }
        Ok(demo)
    }

    /// What is printed at the start.
    pub(crate) fn describe(&self) -> String {
        format!(
            "fake GitLab: {}\nfake Bitbucket: {}\nfake GitHub: {}\nfake Forgejo: {}\nfake Bitbucket Data Center: {}\n",
            self.gitlab.base_url(),
            self.bitbucket_cloud.base_url(),
            self.github.base_url(),
            self.forgejo.base_url(),
            self.bitbucket_data_center.base_url(),
        )
    }

    /// The base URL to enter for a platform.
    pub(crate) fn base_url(&self, platform: &str) -> &str {
        match platform {
            "bitbucket-cloud" => self.bitbucket_cloud.base_url(),
            "bitbucket-data-center" => self.bitbucket_data_center.base_url(),
            "forgejo" => self.forgejo.base_url(),
            "github" => self.github.base_url(),
            _ => self.gitlab.base_url(),
        }
    }

    /// The OAuth application of an integration at the fake, created if necessary.
    pub(crate) fn application(
        &self,
        platform: &str,
        callback: &CallbackUrl,
        id: &IntegrationId,
    ) -> Option<Credentials> {
        let known = self.lock().get(&(platform.to_owned(), id.clone())).cloned();
        if known.is_some() {
            return known;
        }
        let random = || IntegrationId::random().ok().map(|id| id.to_string());
        let credentials = Credentials { id: random()?, secret: format!("demo-{}", random()?) };
        self.register(platform, id, callback, credentials.clone());
        Some(credentials)
    }

    fn register(&self, platform: &str, id: &IntegrationId, callback: &CallbackUrl, credentials: Credentials) {
        let application = |scopes| {
            let mut application = FakeApplication::new(&credentials.id, &credentials.secret, callback.as_str(), scopes);
            "Depot".clone_into(&mut application.name);
            application
        };
        match platform {
            "bitbucket-cloud" => {
                let scopes = "account email team repository webhook pullrequest pullrequest:write";
                self.bitbucket_cloud.add_application(application(scopes));
            }
            "bitbucket-data-center" => self.bitbucket_data_center.add_application(application("REPO_ADMIN")),
            "forgejo" => self.forgejo.add_application(application("")),
            "github" => self.github.add_application(application("")),
            _ => self.gitlab.add_application(application("read_user read_api api")),
        }
        self.lock().insert((platform.to_owned(), id.clone()), credentials);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, IntegrationId), Credentials>> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address with a port higher by `count`, or port 0 (any free one) if there is no such port.
fn after(app: SocketAddr, count: u16) -> SocketAddr {
    SocketAddr::new(app.ip(), app.port().checked_add(count).unwrap_or(0))
}
