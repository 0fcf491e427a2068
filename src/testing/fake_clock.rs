use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::keeper::Clock;

/// A clock that a test can set forward or back, so that tokens expire without waiting. It begins with the system's
/// time. Clones share the setting: give one to [`TokenKeeperBuilder::clock`](crate::keeper::TokenKeeperBuilder::clock)
/// and keep the other.
///
/// Pauses between attempts are measured by tokio's clock: to end one, use `tokio::time::advance` or a new keeper. The
/// fakes have their own clocks: see [`FakeGitLab::advance`](super::FakeGitLab::advance).
///
/// A token expires, the code host refuses the refresh, and the user must log in again:
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use codehost_oauth::keeper::{ConnectionId, MemoryTokens, TokenKeeper};
/// use codehost_oauth::seal::KeyRing;
/// use codehost_oauth::testing::{FakeApplication, FakeClock, FakeGitLab};
/// use codehost_oauth::transport::{HttpClient, Network};
/// use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, PendingLogins, Platform};
///
/// let callback_url = "https://app.example.com/oauth/callback/gitlab/demo";
/// let application = FakeApplication::new("id", "secret", callback_url, "read_user");
/// let gitlab = FakeGitLab::builder().application(application).start().await?;
/// let network = Network::public_only().allow_loopback_http();
/// let base_url = BaseUrl::parse(gitlab.base_url(), &network)?;
/// let config = IntegrationConfig {
///     id: "demo".parse()?,
///     name: "GitLab".to_owned(),
///     public_url: "https://app.example.com".parse()?,
///     client_id: "id".to_owned(),
///     client_secret: "secret".to_owned(),
///     access: Access::SignIn,
/// };
/// let http = HttpClient::builder(network).build()?;
/// let provider = Platform::find("gitlab")?.provider(base_url)?;
/// let integration = Integration::builder(provider, http, config).build()?;
///
/// let start = integration.begin_login(None)?;
/// let mut session = PendingLogins::default();
/// session.insert(start.pending);
/// let callback = Callback::from_uri(&gitlab.authorize(start.redirect_to.as_str(), "alice")?.parse()?)?;
/// let login = integration.finish_login(session.take(&callback)?, callback).await?;
/// let connection = ConnectionId::from(&login.user.key);
///
/// let clock = FakeClock::default();
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, integration).clock(clock.clone()).build();
/// keeper.import(&connection, login.tokens).await?;
/// assert!(keeper.access_token(&connection).await.is_ok());
///
/// clock.advance(Duration::from_secs(2 * 60 * 60));
/// gitlab.revoke_all();
/// let error = keeper.access_token(&connection).await.unwrap_err();
/// assert!(error.advice().needs_login);
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeClock {
    /// Its difference to the system's clock.
    ahead_millis: Arc<AtomicI64>,
}

impl FakeClock {
    /// Sets the clock forward, to the millisecond.
    pub fn advance(&self, by: Duration) {
        self.ahead_millis.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Sets the clock back, to the millisecond, as an operator or a time server does.
    pub fn set_back(&self, by: Duration) {
        self.ahead_millis.fetch_sub(millis(by), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        let ahead = self.ahead_millis.load(Ordering::SeqCst);
        let by = Duration::from_millis(ahead.unsigned_abs());
        let now = SystemTime::now();
        // If the time is out of range, this is the system's time.
        if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) }.unwrap_or(now)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
