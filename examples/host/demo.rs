//! Fakes of all platforms. They forget everything when the program ends.

use std::net::SocketAddr;

use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};

use crate::store::{Result, token};

pub(crate) struct Demo {
    bitbucket_cloud: FakeBitbucket,
    bitbucket_data_center: FakeBitbucketDataCenter,
    forgejo: FakeForgejo,
    github: FakeGitHub,
    gitlab: FakeGitLab,
}

/// Starts a fake on the port that is this far after the app's own, or on a free one if that is taken.
macro_rules! start {
    ($builder:expr, $app:expr, $count:literal) => {
        match $builder.listen(SocketAddr::new($app.ip(), $app.port().saturating_add($count))).start().await {
            Ok(fake) => fake,
            Err(_) => $builder.listen(SocketAddr::new($app.ip(), 0)).start().await?,
        }
    };
}

impl Demo {
    /// Starts all of them on the ports after the app's own.
    pub(crate) async fn start(app: SocketAddr) -> Result<Self> {
        let github = || FakeGitHub::builder().kind(ServerKind::EnterpriseServer);
        Ok(Self {
            gitlab: start!(FakeGitLab::builder(), app, 1),
            bitbucket_cloud: start!(FakeBitbucket::builder(), app, 2),
            github: start!(github(), app, 3),
            forgejo: start!(FakeForgejo::builder(), app, 4),
            bitbucket_data_center: start!(FakeBitbucketDataCenter::builder(), app, 5),
        })
    }

    /// The name and the base URL of each fake, and the id of its platform.
    pub(crate) fn fakes(&self) -> [(&'static str, &str, &'static str); 5] {
        [
            ("GitLab", self.gitlab.base_url(), "gitlab"),
            ("Bitbucket", self.bitbucket_cloud.base_url(), "bitbucket-cloud"),
            ("GitHub", self.github.base_url(), "github"),
            ("Forgejo", self.forgejo.base_url(), "forgejo"),
            ("Bitbucket Data Center", self.bitbucket_data_center.base_url(), "bitbucket-data-center"),
        ]
    }

    /// Creates an OAuth application with every scope at a fake. Returns its id and secret.
    pub(crate) fn create(&self, platform: &str, callback: &str) -> Result<(String, String)> {
        let (id, secret) = (token()?, format!("demo-{}", token()?));
        let application = |scopes| {
            let mut made = FakeApplication::new(&id, &secret, callback.trim(), scopes);
            "Depot".clone_into(&mut made.name);
            made
        };
        match platform {
            "bitbucket-cloud" => self
                .bitbucket_cloud
                .add_application(application("account email team repository webhook pullrequest pullrequest:write")),
            "bitbucket-data-center" => self.bitbucket_data_center.add_application(application("REPO_ADMIN")),
            "forgejo" => self.forgejo.add_application(application("")),
            "github" => self.github.add_application(application("")),
            _ => self.gitlab.add_application(application("read_user read_api api")),
        }
        Ok((id, secret))
    }
}
