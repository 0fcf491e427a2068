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

/// Looks up the addresses of a name, for a host that has a resolver of its own and for tests.
///
/// [`HttpClient`](super::HttpClient) uses the operating system's unless
/// [`HttpClientBuilder::resolver`](super::HttpClientBuilder::resolver) is called. Whatever answers, every address is checked
/// against the network policy, the checked addresses are the ones that are dialled, and time and number of look-ups are
/// bounded. Literal addresses never get here.
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
    /// The addresses of `name`, which has no dot at its end. None, or an error, is "not found".
    ///
    /// It may take as long as it likes: the request gives up after five seconds, and the look-up keeps its place among
    /// the bounded number of them until it ends.
    ///
    /// Signature: `async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>`
    ///
    /// # Errors
    ///
    /// Any I/O error; which one makes no difference.
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

/// A resolver with a bounded number of look-ups, of which one site can have a few only.
///
/// The system's resolver blocks a thread for each look-up and cannot be cancelled, so a look-up keeps its place until it
/// really ends, even if nobody waits for it any more. Otherwise a tenant whose name server never answers would take the
/// threads of all others.
///
/// Those who ask for one name while it is looked up get the same response. Nothing is kept beyond that: whoever asks later
/// asks anew.
#[derive(Clone)]
pub(super) struct Lookups {
    resolver: Arc<dyn Resolve>,
    all: Arc<Semaphore>,
    sites: WeakMap<Semaphore>,
    names: WeakMap<OnceCell<Option<Vec<IpAddr>>>>,
}

impl Lookups {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        let all = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { resolver, all, sites: WeakMap::default(), names: WeakMap::default() }
    }

    pub(super) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, TransportError> {
        let response = self.names.get(name, OnceCell::new);
        // If who began gives up, the next one begins.
        match tokio::time::timeout(LOOKUP_TIMEOUT, response.get_or_init(|| self.ask(name))).await {
            Ok(Some(addresses)) if !addresses.is_empty() => Ok(addresses.clone()),
            Ok(_) => Err(TransportError::NameNotFound),
            Err(_) => Err(TransportError::NameLookupTimedOut),
        }
    }

    async fn ask(&self, name: &str) -> Option<Vec<IpAddr>> {
        let places = self.places(name).await?;
        let (resolver, name) = (Arc::clone(&self.resolver), name.to_owned());
        let lookup = tokio::spawn(async move {
            let found = resolver.lookup(&name).await;
            drop(places);
            found
        });
        // A resolver that panics has found nothing.
        lookup.await.ok()?.ok()
    }

    /// One place of the site, then one of all: who waits for the first keeps none of the second.
    async fn places(&self, name: &str) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_site = self.sites.get(site(name), || Semaphore::new(MAX_LOOKUPS_OF_SITE)).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([of_site, of_all])
    }
}

/// Values by name, each for as long as somebody has it.
struct WeakMap<T>(Arc<Mutex<HashMap<Box<str>, Weak<T>>>>);

impl<T> WeakMap<T> {
    fn get(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(name).and_then(Weak::upgrade) {
            return value;
        }
        if held.len() >= MAX_FORGOTTEN {
            held.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(make());
        held.insert(name.into(), Arc::downgrade(&value));
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

/// What most likely has one owner: the last two labels of a name, or three behind a suffix like `co.uk`. The name
/// servers of those below are the owner's choice, so they share their places. Where this takes the names of many owners
/// for one owner's they share places needlessly, which is the safe side.
fn site(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let mut labels = name.rsplit('.');
    let (country, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    let shared = country.len() == 2 && SECOND_LEVEL.iter().any(|label| label.eq_ignore_ascii_case(second));
    let dots = if shared { 2 } else { 1 };
    name.rmatch_indices('.').nth(dots).and_then(|(at, _)| name.get(at.saturating_add(1)..)).unwrap_or(name)
}

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_LOOKUPS: usize = 64;
const MAX_LOOKUPS_OF_SITE: usize = 4;
const MAX_FORGOTTEN: usize = 256;
/// Labels below which registries of countries sell names, as in `.com.au`.
const SECOND_LEVEL: [&str; 14] =
    ["ac", "co", "com", "edu", "go", "gob", "gov", "ltd", "mil", "ne", "net", "or", "org", "plc"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_what_one_owner_has() {
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
            assert_eq!(site(name), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = System.lookup("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[tokio::test]
    async fn sites_that_nobody_asks_about_are_forgotten() {
        let lookups = Lookups::new(Arc::new(System));
        let held = lookups.places("held.example").await.unwrap();
        for count in 0..10_000 {
            drop(lookups.places(&format!("git.example{count}.test")).await.unwrap());
        }
        let sites = &lookups.sites.0;
        assert!(sites.lock().unwrap().len() <= MAX_FORGOTTEN);
        assert!(sites.lock().unwrap().get("held.example").is_some_and(|places| places.strong_count() > 0));
        drop(held);

        // Many at once are kept, and forgotten when they are over.
        let places_of = |site: &str| lookups.sites.get(site, || Semaphore::new(MAX_LOOKUPS_OF_SITE));
        let held: Vec<_> = (0..1000).map(|count| places_of(&format!("example{count}.test"))).collect();
        assert!(sites.lock().unwrap().len() >= held.len());
        assert!(Arc::ptr_eq(&held[7], &places_of("example7.test")));
        drop(held);
        places_of("example.test");
        assert_eq!(sites.lock().unwrap().len(), 1);
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
    async fn those_who_ask_at_once_share_an_answer_and_nobody_later_does() {
        let lookups = Lookups::new(Arc::new(Counting::default()));
        for round in 0..3 {
            let asked = (0..100).map(|_| lookups.lookup("git.example.com"));
            let responses = futures_util::future::join_all(asked).await;
            assert!(
                responses.iter().all(|response| response == &Ok(vec![IpAddr::from([10, 0, 0, round])])),
                "{responses:?}"
            );
        }
        assert_ne!(lookups.lookup("a.example.com").await, lookups.lookup("b.example.com").await);
    }

    /// Whoever waits behind a look-up that never ends waits no longer than five seconds, and the next one asks anew.
    #[tokio::test(start_paused = true)]
    async fn a_stuck_lookup_keeps_nobody_for_longer() {
        let lookups = Lookups::new(Arc::new(Counting::default()));
        for _ in 0..3 {
            let begun = tokio::time::Instant::now();
            let asked = (0..10).map(|_| lookups.lookup("stuck"));
            let responses = futures_util::future::join_all(asked).await;
            assert!(
                responses.iter().all(|response| response == &Err(TransportError::NameLookupTimedOut)),
                "{responses:?}"
            );
            assert_eq!(begun.elapsed(), LOOKUP_TIMEOUT);
        }
    }
}
