//! TLS with the library that the Cargo features select, as a layer over an open connection. If both are enabled, it is the
//! operating system's: rustls is the default, so the other one was enabled on purpose.

#[cfg(any(feature = "rustls-no-provider", feature = "native-tls"))]
mod certificate;
mod client_certificate;
#[cfg(feature = "native-tls")]
#[path = "native.rs"]
mod library;
#[cfg(all(feature = "rustls-no-provider", not(feature = "native-tls")))]
#[path = "rustls.rs"]
mod library;
#[cfg(not(any(feature = "rustls-no-provider", feature = "native-tls")))]
#[path = "none.rs"]
mod library;

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Uri;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use self::client_certificate::ClientCertificate;
use self::library::{Authorities, Config};
use super::report::CertificateSummary;
use super::socket::{Opened, Socket};
use crate::error::{ConfigError, TransportError};

/// Whether this build supports `https`.
pub(super) const HAS_TLS: bool = cfg!(any(feature = "rustls-no-provider", feature = "native-tls"));

/// Starts TLS on connections.
///
/// An authority that is added to the system or removed from it counts within a minute, without a restart of the app.
pub(super) struct Layer(Arc<Shared>);

struct Shared {
    settings: Settings,
    reloads: Reloads,
    /// Locked while the authorities are read, so that other connections wait for them.
    current: Mutex<Current>,
}

/// Whom the app trusts, and how it identifies itself.
#[derive(Clone)]
struct Settings {
    /// Trusted in addition to the system's authorities.
    added: Authorities,
    client: Option<ClientCertificate>,
}

struct Current {
    /// `None` if no authority is trusted at all.
    config: Option<Config>,
    read_at: Instant,
    /// [`Reloads::count`] before it was read.
    reloads: u64,
}

/// How often the app has asked to read the system's authorities again.
#[derive(Clone, Debug, Default)]
pub(super) struct Reloads(Arc<AtomicU64>);

impl Layer {
    /// `certificates` are PEM texts that are trusted in addition to the system's authorities. `client` is what the app shows
    /// to a server that asks for a certificate.
    pub(super) fn new(
        certificates: &[Vec<u8>],
        client: Option<&ClientCertificate>,
        reloads: &Reloads,
    ) -> Result<Self, ConfigError> {
        let settings = Settings { added: library::authorities(certificates)?, client: client.cloned() };
        let current = Current { reloads: reloads.count(), config: settings.read()?, read_at: Instant::now() };
        Ok(Self(Arc::new(Shared { settings, reloads: reloads.clone(), current: Mutex::new(current) })))
    }

    /// Starts TLS, if the scheme of `uri` is `https`.
    pub(super) async fn connect(&self, socket: Socket, uri: Uri) -> Result<Socket, TransportError> {
        if uri.scheme_str() != Some("https") {
            return Ok(socket);
        }
        let config = self.config().await.ok_or(TransportError::NoAuthorities)?;
        config.connect(Opened::new(socket), uri).await.map_err(cause)
    }

    /// The certificate of the server.
    pub(super) async fn inspect(&self, socket: Socket, uri: Uri) -> Option<CertificateSummary> {
        self.config().await?.inspect(Opened::new(socket), uri).await
    }

    /// The configuration, with the system's authorities as they are now or were a minute ago.
    async fn config(&self) -> Option<Config> {
        {
            let current = self.0.current.lock().await;
            if !current.is_old(&self.0.reloads) {
                return current.config.clone();
            }
        }
        // In a task of its own, which stores the result even if this caller does not wait for it.
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.read_again().await }).await.ok().flatten()
    }
}

impl Shared {
    /// Reads the system's authorities, unless another connection has done so meanwhile.
    async fn read_again(&self) -> Option<Config> {
        let mut current = self.current.lock().await;
        if current.is_old(&self.reloads) {
            let (settings, reloads) = (self.settings.clone(), self.reloads.count());
            // It reads many files, which would block other tasks.
            if let Ok(Ok(config)) = tokio::task::spawn_blocking(move || settings.read()).await {
                *current = Current { config, read_at: Instant::now(), reloads };
            }
        }
        current.config.clone()
    }
}

impl Current {
    fn is_old(&self, reloads: &Reloads) -> bool {
        // The files may be missing for a moment, while the system replaces them.
        let max_age = if self.config.is_some() { MAX_AGE } else { MAX_AGE_OF_NONE };
        self.read_at.elapsed() >= max_age || self.reloads != reloads.count()
    }
}

impl Settings {
    fn read(&self) -> Result<Option<Config>, ConfigError> {
        Config::new(&self.added, self.client.as_ref().map(ClientCertificate::identity))
    }
}

impl Reloads {
    /// Lets each layer read the authorities again before its next connection.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The meaning of an error of TLS, whether it comes from the handshake or, later, from a read. `None` if it is not one.
pub(super) fn find_cause(error: &(dyn StdError + 'static)) -> Option<TransportError> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(known) = library::classify(current) {
            return Some(known);
        }
        cause = match current.downcast_ref::<io::Error>() {
            // `source` would skip the inner error, which is often an I/O error again.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => current.source(),
        };
    }
    None
}

/// Why TLS did not start. The error's text is not used: it may contain a URL.
fn cause(error: Box<dyn StdError + Send + Sync>) -> TransportError {
    // Without a cause, the server does not use TLS, or it ended the handshake.
    find_cause(&*error).unwrap_or(TransportError::Tls)
}

/// How long the system's authorities are used before they are read again.
const MAX_AGE: Duration = Duration::from_secs(60);
/// The same if the system has none.
const MAX_AGE_OF_NONE: Duration = Duration::from_secs(1);
