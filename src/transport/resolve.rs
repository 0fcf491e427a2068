//! How names become addresses, and how many may be looked up at once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::error::TransportError;

/// Looks up the addresses of a name, for an app that has its own resolver and for tests.
///
/// [`HttpClient`](super::HttpClient) uses the operating system's unless
/// [`HttpClientBuilder::resolver`](super::HttpClientBuilder::resolver) is called. With every resolver, each address is
/// checked against the network policy, only the checked addresses are connected to, and the time and the number of look-ups
/// are limited. The name of a [`Proxy`](super::Proxy) is looked up too; its addresses are not checked, since the operator chose
/// it. An address in a URL is not looked up.
///
/// ```
/// use codehost_oauth::transport::{HttpClient, Network, Resolve};
/// use std::{io, net::IpAddr};
///
/// #[derive(Debug)]
/// struct Fixed;
///
/// #[async_trait::async_trait]
/// impl Resolve for Fixed {
///     async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
///         match name {
///             "git.example.com" => Ok(vec![IpAddr::from([203, 0, 113, 7])]),
///             _ => Err(io::ErrorKind::NotFound.into()),
///         }
///     }
/// }
///
/// let http = HttpClient::builder(Network::public_only()).resolver(Fixed).build()?;
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `name`, which has no trailing dot. An empty list or an error means "not found".
    ///
    /// It may take any time: the request fails after five seconds, and the look-up counts against the limit of look-ups
    /// until it ends.
    ///
    /// Signature: `async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>`
    ///
    /// # Errors
    ///
    /// Any I/O error. All of them are treated in the same way.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug)]
pub(super) struct System;

#[async_trait]
impl Resolve for System {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Limits the number of look-ups at the same time, over all names and for each domain.
///
/// The system's resolver blocks a thread for each look-up and cannot be cancelled, so a look-up keeps its permits until it
/// really ends, even if no request waits for it any more. Otherwise a tenant whose name server never responds could use up
/// all threads.
///
/// Requests that need the same name at the same time share one look-up. Nothing is cached: a later request starts a new one.
#[derive(Clone)]
pub(super) struct Lookups {
    resolver: Arc<dyn Resolve>,
    all: Arc<Semaphore>,
    domains: WeakMap<Semaphore>,
    names: WeakMap<OnceCell<Option<Vec<IpAddr>>>>,
}

impl Lookups {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        let all = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { resolver, all, domains: WeakMap::default(), names: WeakMap::default() }
    }

    pub(super) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, TransportError> {
        let shared = self.names.get(name, OnceCell::new);
        // If the request that started the look-up ends, the next one starts it again.
        match tokio::time::timeout(LOOKUP_TIMEOUT, shared.get_or_init(|| self.resolve(name))).await {
            Ok(Some(addresses)) if !addresses.is_empty() => Ok(addresses.clone()),
            Ok(_) => Err(TransportError::NameNotFound),
            Err(_) => Err(TransportError::NameLookupTimedOut),
        }
    }

    async fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let permits = self.permits(name).await?;
        let (resolver, name) = (Arc::clone(&self.resolver), name.to_owned());
        let lookup = tokio::spawn(async move {
            let found = resolver.lookup(&name).await;
            drop(permits);
            found
        });
        // If the resolver panics, the name counts as not found.
        lookup.await.ok()?.ok()
    }

    /// One permit of the domain, then one of all. In this order, a look-up that waits for its domain holds no permit of all.
    async fn permits(&self, name: &str) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_domain =
            self.domains.get(domain(name), || Semaphore::new(MAX_LOOKUPS_OF_DOMAIN)).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([of_domain, of_all])
    }
}

/// Values by name. A value is dropped when its last user drops it.
struct WeakMap<T>(Arc<Mutex<HashMap<Box<str>, Weak<T>>>>);

impl<T> WeakMap<T> {
    fn get(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(name).and_then(Weak::upgrade) {
            return value;
        }
        if values.len() >= CLEANUP_LENGTH {
            values.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(make());
        values.insert(name.into(), Arc::downgrade(&value));
        value
    }
}

impl<T> Clone for WeakMap<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for WeakMap<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// The domain that most likely has one owner: the last two labels of a name, or three with a suffix like `co.uk`. The owner
/// chooses the name servers of all names below it, so these names share a limit. If names of several owners are taken for
/// one domain, they share a limit without need, which is safe.
fn domain(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let mut labels = name.rsplit('.');
    let (country, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    let shared = country.len() == 2 && SECOND_LEVEL.iter().any(|label| label.eq_ignore_ascii_case(second));
    let dots = if shared { 2 } else { 1 };
    name.rmatch_indices('.').nth(dots).and_then(|(at, _)| name.get(at.saturating_add(1)..)).unwrap_or(name)
}

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How many look-ups may run at the same time.
const MAX_LOOKUPS: usize = 64;
const MAX_LOOKUPS_OF_DOMAIN: usize = 4;
/// A map with this number of entries removes those whose value was dropped.
const CLEANUP_LENGTH: usize = 256;
/// Labels under which the registries of countries register names, as in `.com.au`.
const SECOND_LEVEL: [&str; 14] =
    ["ac", "co", "com", "edu", "go", "gob", "gov", "ltd", "mil", "ne", "net", "or", "org", "plc"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_owner() {
        for (name, expected) in [
            ("localhost", "localhost"),
            ("example.com", "example.com"),
            ("git.example.com", "example.com"),
            ("a.b.c.example.com", "example.com"),
            ("git.example.com.", "example.com"),
            ("example.co.uk", "example.co.uk"),
            ("git.example.co.uk", "example.co.uk"),
            ("a.git.example.com.au", "example.com.au"),
            ("a.b.ibm.com", "ibm.com"),
            ("git1.evl.io", "evl.io"),
            ("git1.x7.test", "x7.test"),
            ("git.co.example", "co.example"),
            ("A.GIT.EXAMPLE.CO.UK", "EXAMPLE.CO.UK"),
            ("co.uk", "co.uk"),
            ("", ""),
            (".", ""),
            ("..", ""),
        ] {
            assert_eq!(domain(name), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn the_system_resolves_localhost() {
        let found = System.lookup("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[tokio::test]
    async fn unused_domains_are_removed() {
        let lookups = Lookups::new(Arc::new(System));
        let held = lookups.permits("held.example").await.unwrap();
        for count in 0..10_000 {
            drop(lookups.permits(&format!("git.example{count}.test")).await.unwrap());
        }
        let domains = &lookups.domains.0;
        assert!(domains.lock().unwrap().len() <= CLEANUP_LENGTH);
        assert!(domains.lock().unwrap().get("held.example").is_some_and(|permits| permits.strong_count() > 0));
        drop(held);

        // Domains in use are kept, also above that length, and removed later.
        let limit_of = |domain: &str| lookups.domains.get(domain, || Semaphore::new(MAX_LOOKUPS_OF_DOMAIN));
        let held: Vec<_> = (0..1000).map(|count| limit_of(&format!("example{count}.test"))).collect();
        assert!(domains.lock().unwrap().len() >= held.len());
        assert!(Arc::ptr_eq(&held[7], &limit_of("example7.test")));
        drop(held);
        limit_of("example.test");
        assert_eq!(domains.lock().unwrap().len(), 1);
    }

    #[derive(Debug, Default)]
    struct Counting(std::sync::atomic::AtomicU8);

    #[async_trait]
    impl Resolve for Counting {
        async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            let count = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(if name == "stuck" { LOOKUP_TIMEOUT.saturating_mul(4) } else { Duration::from_secs(1) })
                .await;
            Ok(vec![IpAddr::from([10, 0, 0, count])])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lookups_of_a_name_at_the_same_time_share_a_response() {
        let lookups = Lookups::new(Arc::new(Counting::default()));
        for round in 0..3 {
            let requests = (0..100).map(|_| lookups.lookup("git.example.com"));
            let responses = futures_util::future::join_all(requests).await;
            assert!(
                responses.iter().all(|response| response == &Ok(vec![IpAddr::from([10, 0, 0, round])])),
                "{responses:?}"
            );
        }
        assert_ne!(lookups.lookup("a.example.com").await, lookups.lookup("b.example.com").await);
    }

    /// A request that waits for a look-up without end fails after five seconds, and the next request starts a new look-up.
    #[tokio::test(start_paused = true)]
    async fn a_stuck_lookup_ends_after_five_seconds() {
        let lookups = Lookups::new(Arc::new(Counting::default()));
        for _ in 0..3 {
            let begun = tokio::time::Instant::now();
            let requests = (0..10).map(|_| lookups.lookup("stuck"));
            let responses = futures_util::future::join_all(requests).await;
            assert!(
                responses.iter().all(|response| response == &Err(TransportError::NameLookupTimedOut)),
                "{responses:?}"
            );
            assert_eq!(begun.elapsed(), LOOKUP_TIMEOUT);
        }
    }
}
