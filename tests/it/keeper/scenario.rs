//! A person who has logged in at a fake GitLab, and keepers of their tokens.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::watch::{self, Watched as _};
use codehost_oauth::keeper::{Clock, ConnectionId, TokenKeeper, TokenKeeperBuilder, TokenStore};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, AccessToken, BaseUrl, Callback, Integration, PendingLogins, Platform, TokenSet};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) struct Scenario {
    pub(crate) gitlab: FakeGitLab,
    pub(crate) integration: Arc<Integration>,
    pub(crate) connection: ConnectionId,
    pub(crate) clock: TestClock,
}

impl Scenario {
    pub(crate) async fn start() -> Result<Self> {
        watch::on();
        let callback = "https://app.example.com/oauth/callback/gitlab/demo";
        let app = FakeApplication::new("id", "canary-keeper-secret", callback, "read_user api");
        let gitlab = FakeGitLab::builder().application(app).start().await?;
        let integration = Arc::new(integration(gitlab.base_url(), "demo")?);
        let connection = "gitlab:demo:1".parse()?;
        Ok(Self { gitlab, integration, connection, clock: TestClock::default() })
    }

    /// Logs alice in.
    pub(crate) async fn log_in(&mut self) -> Result<TokenSet> {
        let start = self.integration.begin_login(None).watched()?;
        let mut session = PendingLogins::default();
        session.insert(start.pending);
        let uri = self.gitlab.authorize(start.redirect_to.as_str(), "alice")?;
        let callback = Callback::from_uri(&uri.parse()?).watched()?;
        let login = self.integration.finish_login(session.take(&callback)?, callback).await.watched()?;
        self.connection = ConnectionId::from(&login.user.key);
        Ok(login.tokens)
    }

    /// A node: its keeper shares nothing with another but the store and the clock.
    pub(crate) fn keeper(&self, store: impl TokenStore + 'static) -> TokenKeeper {
        self.builder(store).build()
    }

    pub(crate) fn builder(&self, store: impl TokenStore + 'static) -> TokenKeeperBuilder {
        TokenKeeper::builder(store, ring(), Arc::clone(&self.integration)).clock(self.clock.clone())
    }

    /// Lets the access token end, for the keeper and for the fake.
    pub(crate) fn expire(&self) {
        self.clock.advance(7200);
        self.gitlab.advance(Duration::from_secs(7200));
    }

    pub(crate) fn text(&self, token: &AccessToken) -> String {
        token.expose_for(self.integration.provider().base_url()).unwrap().to_owned()
    }

    /// The refresh tokens that were sent, in their order.
    pub(crate) fn spent(&self) -> Vec<String> {
        let requests = self.gitlab.requests();
        let refreshes = requests.iter().filter(|r| r.form("grant_type").as_deref() == Some("refresh_token"));
        refreshes.filter_map(|request| request.form("refresh_token")).collect()
    }

    /// Asserts that GitLab saw so many refreshes, each with another token.
    pub(crate) fn assert_refreshes(&self, count: usize) {
        let mut spent = self.spent();
        assert_eq!(spent.len(), count, "refreshes");
        spent.sort();
        spent.dedup();
        assert_eq!(spent.len(), count, "a refresh token was used twice");
    }
}

pub(crate) fn ring() -> KeyRing {
    watch::on();
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

pub(crate) fn integration(base_url: &str, id: &str) -> Result<Integration> {
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    integration_over(http, base_url, id)
}

pub(crate) fn integration_over(http: impl Transport + 'static, base_url: &str, id: &str) -> Result<Integration> {
    let network = Network::public_only().allow_loopback_http();
    let provider = Platform::find("gitlab")?.at(BaseUrl::parse(base_url, &network)?)?;
    Ok(Integration::builder(provider)
        .id(id.parse()?)
        .name("GitLab")
        .host("https://app.example.com".parse()?)
        .client("id", "canary-keeper-secret")
        .access(Access::SignIn)
        .transport(http)
        .build()?)
}

/// The system's clock, set forward or back.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        let ahead = self.0.load(Ordering::SeqCst);
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }
}

/// What was collected from many tasks.
#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<String>>>);

impl Collected {
    pub(crate) fn push(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    /// The one value that all of `count` agree on.
    pub(crate) fn unanimous(&self, count: usize) -> String {
        let mut all = self.0.lock().unwrap().clone();
        assert_eq!(all.len(), count);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1, "not everybody got the same: {all:?}");
        all.remove(0)
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collected({})", self.0.lock().unwrap().len())
    }
}
