//! A code host without sockets, and a clock that follows tokio's clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::{
    Clock, ConnectionId, KeeperEvent, MemoryTokens, TokenKeeper, TokenKeeperBuilder, TokenStore,
};
use codehost_oauth::transport::Transport;
use codehost_oauth::{AccessToken, Integration, RefreshToken, TokenSet};
use tokio::time::Instant;

use super::scenario::{Result, integration_over, ring};
use crate::secrets::leak_check;

pub(crate) struct FakeCodeHost {
    pub(crate) integration: Integration,
    pub(crate) http: Arc<FakeHttp>,
    pub(crate) clock: VirtualClock,
}

impl FakeCodeHost {
    pub(crate) fn new(id: &str, latency: Duration) -> Result<Self> {
        let http = Arc::new(FakeHttp { latency, ..FakeHttp::default() });
        http.respond("revoke", 200, "{}");
        http.respond("user", 200, r#"{"id":1,"username":"x","state":"active"}"#);
        http.respond(
            "token",
            200,
            r#"{"access_token":"canary-access-new-{n}","token_type":"Bearer","refresh_token":"canary-refresh-new-{n}",
                "expires_in":7200,"scope":"read_user"}"#,
        );
        let integration = integration_over(Arc::clone(&http), "https://git.example.com", id)?;
        Ok(Self { integration, http, clock: VirtualClock::start() })
    }

    pub(crate) fn connection(&self, n: usize) -> ConnectionId {
        format!("gitlab:{}:{n}", self.integration.id()).parse().unwrap()
    }

    pub(crate) fn tokens(&self, n: usize, now: SystemTime) -> TokenSet {
        let binding = self.integration.binding();
        let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{n}"), binding).unwrap());
        tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{n}"), binding);
        tokens.expires_in = Some(Duration::from_secs(7200));
        tokens.scopes = Some("read_user".parse().unwrap());
        tokens.received_at = now;
        tokens
    }

    pub(crate) fn builder(&self, store: impl TokenStore + 'static) -> TokenKeeperBuilder {
        TokenKeeper::builder(store, ring(), self.integration.clone()).clock(self.clock.clone())
    }

    /// A keeper with connection 1, whose access token has just expired.
    pub(crate) async fn due(&self, builder: TokenKeeperBuilder) -> Result<TokenKeeper> {
        let keeper = builder.build();
        keeper.import(&self.connection(1), self.tokens(1, self.clock.now())).await?;
        tokio::time::advance(Duration::from_secs(7200)).await;
        Ok(keeper)
    }

    /// The builder, with a list of its events, for example `CONNECTION: SCOPES`.
    pub(crate) fn with_events(&self, builder: TokenKeeperBuilder) -> (TokenKeeperBuilder, Arc<Mutex<Vec<String>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&events);
        let builder = builder.on_event(move |event| {
            list.lock().unwrap().push(match event {
                KeeperEvent::ScopesGrew { connection, scopes, .. } => format!("{connection}: {scopes}"),
                KeeperEvent::ClientRejected { integration, cause, .. } => format!("{integration}: {}", cause.code()),
                other => format!("{other:?}"),
            });
        });
        (builder, events)
    }

    pub(crate) fn text(&self, token: &AccessToken) -> String {
        token.expose_for(self.integration.provider().base_url()).unwrap().to_owned()
    }
}

/// Deletes a connection as another node would.
pub(crate) fn delete(store: &MemoryTokens, connection: &ConnectionId) {
    use futures_util::FutureExt as _;
    store.delete(connection).now_or_never().unwrap().unwrap();
}

#[derive(Debug, Default)]
pub(crate) struct FakeHttp {
    /// The latency of all requests except revocations.
    latency: Duration,
    pub(crate) requests: AtomicUsize,
    now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) down: AtomicBool,
    /// The `Retry-After` of each response.
    pub(crate) retry_after: Mutex<Option<String>>,
    responses: Mutex<HashMap<String, (u16, String)>>,
    /// The posted forms, each with the last part of its path.
    forms: Mutex<Vec<(String, String)>>,
}

impl FakeHttp {
    /// Sets the response of the endpoint whose path ends with `path`; `{n}` is another number in each response.
    pub(crate) fn respond(&self, path: &str, status: u16, body: &str) {
        self.responses.lock().unwrap().insert(path.to_owned(), (status, body.to_owned()));
    }

    /// The refresh tokens that were sent, in their order.
    pub(crate) fn refresh_tokens_sent(&self) -> Vec<String> {
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
impl Transport for FakeHttp {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: usize,
    ) -> std::result::Result<http::Response<Vec<u8>>, TransportError> {
        leak_check::request(&request);
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if !request.uri().path().ends_with("/revoke") {
            tokio::time::sleep(self.latency).await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(TransportError::Unreachable);
        }
        let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let (status, body) = self.responses.lock().unwrap()[&path].clone();
        if request.method() == http::Method::POST {
            self.forms.lock().unwrap().push((path, String::from_utf8(request.into_body()).unwrap()));
        }
        let mut response = http::Response::builder().status(status).header("content-type", "application/json");
        if let Some(seconds) = &*self.retry_after.lock().unwrap() {
            response = response.header("retry-after", seconds);
        }
        Ok(response.body(body.replace("{n}", &n.to_string()).into_bytes()).unwrap())
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
