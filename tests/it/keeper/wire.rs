//! A code host without sockets, and a clock that runs by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::{
    Clock, ConnectionId, KeeperEvent, MemoryStore, TokenKeeper, TokenKeeperBuilder, TokenStore,
};
use codehost_oauth::transport::Transport;
use codehost_oauth::{AccessToken, Integration, RefreshToken, TokenSet};
use tokio::time::Instant;

use super::scenario::{Result, integration_over, ring};
use crate::watch;

pub(crate) struct Host {
    pub(crate) integration: Arc<Integration>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) clock: VirtualClock,
}

impl Host {
    pub(crate) fn new(id: &str, latency: Duration) -> Result<Self> {
        let wire = Arc::new(Wire { latency, ..Wire::default() });
        wire.answers("revoke", 200, "{}");
        wire.answers("user", 200, r#"{"id":1,"username":"x","state":"active"}"#);
        wire.answers(
            "token",
            200,
            r#"{"access_token":"canary-access-new-{n}","token_type":"Bearer","refresh_token":"canary-refresh-new-{n}",
                "expires_in":7200,"scope":"read_user"}"#,
        );
        let integration = Arc::new(integration_over(Arc::clone(&wire), "https://git.example.com", id)?);
        Ok(Self { integration, wire, clock: VirtualClock::start() })
    }

    pub(crate) fn connection(&self, n: usize) -> ConnectionId {
        format!("gitlab:{}:{n}", self.integration.id()).parse().unwrap()
    }

    pub(crate) fn tokens(&self, n: usize, now: SystemTime) -> TokenSet {
        let expected = self.integration.expected();
        let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{n}"), expected.origin).unwrap());
        tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{n}"), expected.origin);
        tokens.expires_in = Some(Duration::from_secs(7200));
        tokens.scopes = Some("read_user".parse().unwrap());
        tokens.received_at = now;
        tokens
    }

    pub(crate) fn builder(&self, store: impl TokenStore + 'static) -> TokenKeeperBuilder {
        TokenKeeper::builder(store, ring(), Arc::clone(&self.integration)).clock(self.clock.clone())
    }

    /// A keeper of connection 1, whose access token has just ended.
    pub(crate) async fn due(&self, builder: TokenKeeperBuilder) -> Result<TokenKeeper> {
        let keeper = builder.build();
        keeper.import(&self.connection(1), self.tokens(1, self.clock.now())).await?;
        tokio::time::advance(Duration::from_secs(7200)).await;
        Ok(keeper)
    }

    /// The same, and what grew: `CONNECTION: SCOPES`.
    pub(crate) fn hearing(&self, builder: TokenKeeperBuilder) -> (TokenKeeperBuilder, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        let builder = builder.on_event(move |event| {
            list.lock().unwrap().push(match event {
                KeeperEvent::ScopesGrew { connection, scopes } => format!("{connection}: {scopes}"),
                KeeperEvent::ClientRejected { integration, cause } => format!("{integration}: {}", cause.code()),
                other => format!("{other:?}"),
            });
        });
        (builder, heard)
    }

    pub(crate) fn text(&self, token: &AccessToken) -> String {
        token.expose_for(self.integration.provider().base_url()).unwrap().to_owned()
    }
}

/// Deletes a connection as another node would, at any moment.
pub(crate) fn delete(store: &MemoryStore, connection: &ConnectionId) {
    use futures_util::FutureExt as _;
    store.delete(connection).now_or_never().unwrap().unwrap();
}

#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Of everything but revocations.
    latency: Duration,
    pub(crate) requests: AtomicUsize,
    now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) down: AtomicBool,
    /// What `Retry-After` says in each answer.
    pub(crate) retry_after: Mutex<Option<String>>,
    answers: Mutex<HashMap<String, (u16, String)>>,
    /// What was posted, with the last part of its path.
    forms: Mutex<Vec<(String, String)>>,
}

impl Wire {
    /// What comes from the endpoint whose path ends so; `{n}` is another number each time.
    pub(crate) fn answers(&self, path: &str, status: u16, body: &str) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body.to_owned()));
    }

    /// The refresh tokens that were sent, in their order.
    pub(crate) fn spent(&self) -> Vec<String> {
        self.posted("token", "refresh_token")
    }

    /// The tokens that were revoked.
    pub(crate) fn revoked(&self) -> Vec<String> {
        self.posted("revoke", "token")
    }

    fn posted(&self, path: &str, field: &str) -> Vec<String> {
        let forms = self.forms.lock().unwrap();
        let forms = forms.iter().filter(|(to, _)| to == path);
        let fields = forms.flat_map(|(_, form)| url::form_urlencoded::parse(form.as_bytes()));
        fields.filter(|(name, _)| name == field).map(|(_, value)| value.into_owned()).collect()
    }
}

#[async_trait::async_trait]
impl Transport for Wire {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: usize,
    ) -> std::result::Result<http::Response<Vec<u8>>, TransportError> {
        watch::sent(&request);
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if !request.uri().path().ends_with("/revoke") {
            tokio::time::sleep(self.latency).await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(TransportError::Refused);
        }
        let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let (status, body) = self.answers.lock().unwrap()[&path].clone();
        if request.method() == http::Method::POST {
            self.forms.lock().unwrap().push((path, String::from_utf8(request.into_body()).unwrap()));
        }
        let mut answer = http::Response::builder().status(status).header("content-type", "application/json");
        if let Some(seconds) = &*self.retry_after.lock().unwrap() {
            answer = answer.header("retry-after", seconds);
        }
        Ok(answer.body(body.replace("{n}", &n.to_string()).into_bytes()).unwrap())
    }
}

/// Follows tokio's clock.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock(Instant, SystemTime);

impl VirtualClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now(), SystemTime::now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        self.1 + self.0.elapsed()
    }
}
