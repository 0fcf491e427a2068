//! Connections at a code host that responds at once and without sockets, to measure only keeper and store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::{Clock as _, ConnectionId, TokenKeeper, TokenKeeperBuilder, TokenStore};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::FakeClock;
use codehost_oauth::transport::Transport;
use codehost_oauth::{Access, AccessToken, Integration, IntegrationConfig, RefreshToken, TokenSet};

use super::logins::{CLIENT_ID, CLIENT_SECRET, Kind, provider};
use super::server::Endpoints;

pub struct Connections {
    pub integration: Arc<Integration>,
    pub clock: FakeClock,
}

impl Connections {
    pub fn new() -> Self {
        Self::with_delay(Duration::ZERO)
    }

    /// The code host takes this long for each response.
    pub fn with_delay(delay: Duration) -> Self {
        let site = "http://localhost:1234".to_owned();
        let endpoints = Endpoints { api: site.clone(), site, control: 0, ca: None };
        let integration = Integration::builder(
            provider(Kind::GitLab, &endpoints),
            InProcessHttp { count: AtomicU64::new(0), delay },
            IntegrationConfig {
                id: "demo".parse().unwrap(),
                name: "Demo".to_owned(),
                public_url: "https://packages.example.com".parse().unwrap(),
                client_id: CLIENT_ID.to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
                access: Access::SignIn,
            },
        )
        .max_in_flight(256)
        .build()
        .unwrap();
        Self { integration: Arc::new(integration), clock: FakeClock::default() }
    }

    pub fn keeper(&self, store: impl TokenStore + 'static) -> TokenKeeperBuilder {
        TokenKeeper::builder(store, ring(), Arc::clone(&self.integration)).clock(self.clock.clone())
    }

    pub fn id(n: usize) -> ConnectionId {
        format!("gitlab:demo:{n}").parse().unwrap()
    }

    /// Tokens of GitLab's length, received now.
    pub fn tokens(&self, n: usize) -> TokenSet {
        let binding = self.integration.binding();
        let mut tokens = TokenSet::new(AccessToken::new(format!("{n:064x}"), binding).unwrap());
        tokens.refresh_token = RefreshToken::new(format!("{:064x}", usize::MAX - n), binding);
        tokens.expires_in = Some(LIFETIME);
        tokens.scopes = Some("read_user".parse().unwrap());
        tokens.received_at = self.clock.now();
        tokens
    }
}

pub fn ring() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

pub const LIFETIME: Duration = Duration::from_secs(7200);

/// Responds to every refresh with a new pair.
#[derive(Debug)]
struct InProcessHttp {
    count: AtomicU64,
    delay: Duration,
}

#[async_trait]
impl Transport for InProcessHttp {
    async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        let n = self.count.fetch_add(1, Relaxed);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let body = format!(
            r#"{{"access_token":"a{n:063x}","token_type":"Bearer","expires_in":7200,"refresh_token":"b{n:063x}","scope":"read_user","created_at":1795303695}}"#
        );
        let mut response = http::Response::new(body.into_bytes());
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
