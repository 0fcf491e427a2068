//! Fakes of both platforms, at which an administrator can create an OAuth application for an integration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab};
use codehost_oauth::{CallbackUrl, IntegrationId, PublicUrl};

use crate::store::Store;
use crate::support::Failure;

pub(crate) struct Demo {
    pub(crate) bitbucket: FakeBitbucket,
    pub(crate) gitlab: FakeGitLab,
    applications: Mutex<HashMap<(String, IntegrationId), Credentials>>,
}

#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Demo {
    /// Starts both on the two ports after the app's own, so that stored integrations find them after a restart, or on
    /// other ports if these are taken.
    pub(crate) async fn start(app: SocketAddr, public_url: &PublicUrl, store: &Store) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| crate::failure("listen", &error);
        let any = SocketAddr::new(app.ip(), 0);
        let gitlab = match FakeGitLab::builder().listen(after(app, 1)).start().await {
            Ok(gitlab) => gitlab,
            Err(_) => FakeGitLab::builder().listen(any).start().await.map_err(failed)?,
        };
        let bitbucket = match FakeBitbucket::builder().listen(after(app, 2)).start().await {
            Ok(bitbucket) => bitbucket,
            Err(_) => FakeBitbucket::builder().listen(any).start().await.map_err(failed)?,
        };
        let demo = Self { bitbucket, gitlab, applications: Mutex::default() };
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
        format!("fake GitLab: {}\nfake Bitbucket: {}\n", self.gitlab.base_url(), self.bitbucket.base_url())
    }

    /// The base URL to enter for a platform.
    pub(crate) fn base_url(&self, platform: &str) -> &str {
        if platform == "gitlab" { self.gitlab.base_url() } else { self.bitbucket.base_url() }
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
        if platform == "gitlab" {
            self.gitlab.add_application(application("read_user read_api api"));
        } else {
            self.bitbucket
                .add_application(application("account email team repository webhook pullrequest pullrequest:write"));
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
