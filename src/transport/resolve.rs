//! How names become addresses, and how many may be looked up at once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
#[derive(Clone)]
pub(super) struct Lookups {
    resolver: Arc<dyn Resolve>,
    all: Arc<Semaphore>,
    /// Places by site; those that nobody uses any more are forgotten.
    sites: Arc<Mutex<HashMap<Box<str>, Weak<Semaphore>>>>,
}

impl Lookups {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, all: Arc::new(Semaphore::new(MAX_LOOKUPS)), sites: Arc::default() }
    }

    pub(super) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, TransportError> {
        let bounded = async {
            let places = self.places(name).await?;
            let (resolver, name) = (Arc::clone(&self.resolver), name.to_owned());
            let lookup = tokio::spawn(async move {
                let found = resolver.lookup(&name).await;
                drop(places);
                found
            });
            // A resolver that panics has found nothing.
            lookup.await.ok()?.ok()
        };
        match tokio::time::timeout(LOOKUP_TIMEOUT, bounded).await {
            Ok(Some(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(TransportError::NameNotFound),
            Err(_) => Err(TransportError::TimedOut),
        }
    }

    /// One place of the site, then one of all: who waits for the first keeps none of the second.
    async fn places(&self, name: &str) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_site = self.places_of(site(name)).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([of_site, of_all])
    }

    fn places_of(&self, site: &str) -> Arc<Semaphore> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = sites.get(site).and_then(Weak::upgrade) {
            return places;
        }
        if sites.len() >= MAX_IDLE_SITES {
            sites.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(MAX_LOOKUPS_OF_SITE));
        sites.insert(site.into(), Arc::downgrade(&places));
        places
    }
}

/// What most likely has one owner: the last two labels of a name, or three behind a suffix like `co.uk`. The name
/// servers of those below are the owner's choice, so they share their places.
fn site(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else { return name };
    let short = last.saturating_sub(second) <= MAX_SUFFIX_LABEL;
    let at = if short { dots.next() } else { Some(second) };
    at.and_then(|at| name.get(at.saturating_add(1)..)).unwrap_or(name)
}

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_LOOKUPS: usize = 64;
const MAX_LOOKUPS_OF_SITE: usize = 4;
const MAX_IDLE_SITES: usize = 256;
/// Of a dot and a label of three letters, as in `.com.au`.
const MAX_SUFFIX_LABEL: usize = 4;

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
            ("a.b.ibm.com", "b.ibm.com"),
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
        assert!(lookups.sites.lock().unwrap().len() <= MAX_IDLE_SITES);
        assert!(lookups.sites.lock().unwrap().get("held.example").is_some_and(|places| places.strong_count() > 0));
        drop(held);

        // Many at once are kept, and forgotten when they are over.
        let held: Vec<_> = (0..1000).map(|count| lookups.places_of(&format!("example{count}.test"))).collect();
        assert!(lookups.sites.lock().unwrap().len() >= held.len());
        assert!(Arc::ptr_eq(&held[7], &lookups.places_of("example7.test")));
        drop(held);
        lookups.places_of("example.test");
        assert_eq!(lookups.sites.lock().unwrap().len(), 1);
    }
}
