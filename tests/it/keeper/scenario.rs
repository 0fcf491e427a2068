//! A user who logs in at a fake GitLab, and keepers for their tokens.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::secrets::leak_check::{self, LeakChecked as _};
use codehost_oauth::keeper::{ConnectionId, TokenKeeper, TokenKeeperBuilder, TokenStore};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::{FakeApplication, FakeClock, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, Integration, IntegrationConfig, PendingLogins, Platform, TokenSet,
};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) struct Scenario {
    pub(crate) gitlab: FakeGitLab,
    pub(crate) integration: Integration,
    pub(crate) connection: ConnectionId,
    pub(crate) clock: FakeClock,
}

impl Scenario {
    pub(crate) async fn start() -> Result<Self> {
        leak_check::start();
        let callback = "https://app.example.com/oauth/callback/gitlab/demo";
        let app = FakeApplication::new("id", "canary-keeper-secret", callback, "read_user api");
        let gitlab = FakeGitLab::builder().application(app).start().await?;
        let integration = integration(gitlab.base_url(), "demo")?;
        let connection = "gitlab:demo:1".parse()?;
        Ok(Self { gitlab, integration, connection, clock: FakeClock::default() })
    }

    /// Logs alice in.
    pub(crate) async fn log_in(&mut self) -> Result<TokenSet> {
        let start = self.integration.begin_login(None).leak_checked()?;
        let mut session = PendingLogins::default();
        session.insert(start.pending);
        let uri = self.gitlab.authorize(start.redirect_to.as_str(), "alice")?;
        let callback = Callback::from_uri(&uri.parse()?).leak_checked()?;
        let login = self.integration.finish_login(session.take(&callback)?, callback).await.leak_checked()?;
        self.connection = ConnectionId::from(&login.user.key);
        Ok(login.tokens)
    }

    /// The keeper of one node. Keepers share only the store and the clock.
    pub(crate) fn keeper(&self, store: impl TokenStore + 'static) -> TokenKeeper {
        self.builder(store).build()
    }

    pub(crate) fn builder(&self, store: impl TokenStore + 'static) -> TokenKeeperBuilder {
        TokenKeeper::builder(store, ring(), self.integration.clone()).clock(self.clock.clone())
    }

    /// Lets the access token expire, for the keeper and for the fake.
    pub(crate) fn expire(&self) {
        self.clock.advance(Duration::from_secs(7200));
        self.gitlab.advance(Duration::from_secs(7200));
    }

    pub(crate) fn text(&self, token: &AccessToken) -> String {
        token.expose_for(self.integration.provider().base_url()).unwrap().to_owned()
    }

    /// The refresh tokens that were sent, in their order.
    pub(crate) fn refresh_tokens_sent(&self) -> Vec<String> {
        let requests = self.gitlab.requests();
        let refreshes = requests.iter().filter(|r| r.form("grant_type").as_deref() == Some("refresh_token"));
        refreshes.filter_map(|request| request.form("refresh_token")).collect()
    }

    /// Asserts that GitLab received this many refreshes, each with another token.
    pub(crate) fn assert_refreshes(&self, count: usize) {
        let mut sent = self.refresh_tokens_sent();
        assert_eq!(sent.len(), count, "refreshes");
        sent.sort();
        sent.dedup();
        assert_eq!(sent.len(), count, "a refresh token was used twice");
    }
}

pub(crate) fn ring() -> KeyRing {
    leak_check::start();
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

pub(crate) fn integration(base_url: &str, id: &str) -> Result<Integration> {
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    integration_over(http, base_url, id)
}

pub(crate) fn integration_over(http: impl Transport + 'static, base_url: &str, id: &str) -> Result<Integration> {
    let network = Network::public_only().allow_loopback_http();
    let provider = Platform::find("gitlab")?.provider(BaseUrl::parse(base_url, &network)?)?;
    Ok(Integration::builder(
        provider,
        http,
        IntegrationConfig {
            id: id.parse()?,
            name: "GitLab".to_owned(),
            public_url: "https://app.example.com".parse()?,
            client_id: "id".to_owned(),
            client_secret: "canary-keeper-secret".to_owned(),
            access: Access::SignIn,
        },
    )
    .build()?)
}

/// The results of many tasks.
#[derive(Clone, Default)]
pub(crate) struct Results(Arc<Mutex<Vec<String>>>);

impl Results {
    pub(crate) fn push(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    /// Asserts that there are `count` results and all are equal. Returns the value.
    pub(crate) fn assert_all_equal(&self, count: usize) -> String {
        let mut all = self.0.lock().unwrap().clone();
        assert_eq!(all.len(), count);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1, "the results differ: {all:?}");
        all.remove(0)
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Results({})", self.0.lock().unwrap().len())
    }
}
