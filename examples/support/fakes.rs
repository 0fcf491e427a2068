//! A fake of any platform.

#![allow(dead_code, reason = "not every example needs all of it")]

use std::any::Any;
use std::io;
use std::net::SocketAddr;

use codehost_oauth::Platform;
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};

/// A fake code host that runs until this value is dropped. It forgets everything then.
pub(crate) struct Fake {
    pub(crate) platform: Platform,
    pub(crate) base_url: String,
    /// Some of its users, for people to log in as.
    pub(crate) users: &'static str,
    _server: Box<dyn Any + Send>,
}

macro_rules! start {
    ($builder:expr, $platform:expr, $listen:expr, $application:expr, $users:expr) => {{
        let fake = $builder.listen($listen).start().await?;
        if let Some(application) = $application {
            fake.add_application(application);
        }
        let base_url = fake.base_url().to_owned();
        Ok(Fake { platform: $platform, base_url, users: $users, _server: Box::new(fake) })
    }};
}

impl Fake {
    /// Starts one. More OAuth applications can be created on the page to which a setup link leads.
    pub(crate) async fn start(
        platform: Platform,
        listen: SocketAddr,
        application: Option<FakeApplication>,
    ) -> io::Result<Self> {
        let github = || FakeGitHub::builder().kind(ServerKind::EnterpriseServer).version("3.23.0");
        match platform.id() {
            "bitbucket-cloud" => {
                let users = "jane, una (address not confirmed), nomail";
                start!(FakeBitbucket::builder(), platform, listen, application, users)
            }
            "bitbucket-data-center" => {
                start!(FakeBitbucketDataCenter::builder(), platform, listen, application, "jdoe")
            }
            "forgejo" => start!(FakeForgejo::builder(), platform, listen, application, "jane"),
            "github" => start!(github(), platform, listen, application, "janedoe, sue (suspended)"),
            _ => {
                let users = "alice, bob (address not confirmed), carol (blocked)";
                start!(FakeGitLab::builder(), platform, listen, application, users)
            }
        }
    }

    /// Starts one of each platform, on the ports after an app's own; on any port if one of these is taken.
    pub(crate) async fn start_all(app: SocketAddr) -> io::Result<Vec<Self>> {
        let (mut fakes, mut listen) = (Vec::new(), app);
        for platform in Platform::all() {
            listen.set_port(listen.port().saturating_add(1));
            fakes.push(match Self::start(*platform, listen, None).await {
                Ok(fake) => fake,
                Err(_) => Self::start(*platform, SocketAddr::new(app.ip(), 0), None).await?,
            });
        }
        Ok(fakes)
    }
}
