//! What 100,000 integrations hold: row O2 of the threat model. Bytes are counted, so nothing here depends on the machine.

use std::alloc::System;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Host, Integration, IntegrationId, Platform};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::stub;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MANY: usize = 100_000;
/// All that an integration holds before its first login, with its place in the host's map: among it an id of 64 digits
/// and a secret of 70 characters.
const BEFORE: usize = 1024;
/// What its first login adds for good: the authorization URL without what is new for each login.
const FIRST_LOGIN: usize = 384;

/// In a process of its own, since all tests of one share the allocator.
#[test]
fn a_hundred_thousand_integrations_are_small_and_do_not_grow() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "memory::what_integrations_hold", "--nocapture"]).env("CHILD_COUNTS", "1");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("bytes each") && said.contains("10,000 more requests"), "{said}");
}

/// The test above runs it once more, as a process that does nothing else; as one of many it cannot count.
#[test]
fn what_integrations_hold() {
    if std::env::var("CHILD_COUNTS").is_err() {
        return;
    }
    let network = Network::public_only();
    let http = HttpClient::builder(network.clone()).build().unwrap();
    let host: Host = "https://packages.example.com".parse().unwrap();
    let before = live();
    let mut all: HashMap<IntegrationId, Arc<Integration>> = HashMap::with_capacity(MANY);
    for n in 0..MANY {
        let base_url = BaseUrl::parse(&format!("https://gitlab.tenant-{n}.example.com"), &network).unwrap();
        let integration = Integration::builder(Platform::find("gitlab").unwrap().at(base_url).unwrap())
            .id(format!("tenant-{n}").parse().unwrap())
            .name(&format!("GitLab of tenant {n}"))
            .host(host.clone())
            .client(&format!("{n:064x}"), &format!("gloas-{n:064x}"))
            .access(Access::Read)
            .transport(http.clone())
            .build()
            .unwrap();
        all.insert(integration.id().clone(), Arc::new(integration));
    }
    let idle = (live() - before) / MANY;

    let log_in_everywhere = || {
        for integration in all.values() {
            drop(integration.begin_login(None).unwrap());
        }
        (live() - before) / MANY
    };
    let begun = log_in_everywhere();
    let again = log_in_everywhere();
    println!("{idle} bytes each, {begun} after a login was begun at each, {again} after a second one");
    assert!(idle <= BEFORE, "{idle} bytes each");
    assert!(begun <= idle + FIRST_LOGIN, "{idle} bytes each became {begun}");
    assert_eq!(again, begun, "a login that nobody finished leaves something behind");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let integration = stub::builder("gitlab", "https://git.example.com", "canary-secret").transport(Moody::default());
    let integration = integration.build().unwrap();
    let token = stub::tokens(&integration, false).access_token;
    let ask_a_lot = |_| {
        for _ in 0..10_000 {
            let _ = runtime.block_on(integration.user(&token));
        }
        live()
    };
    // What grows with requests grows in every round; the test harness's own thread allocates in one at most.
    let rounds = [0; 5].map(ask_a_lot);
    let grown = rounds.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap();
    println!("{grown} bytes of 10,000 more requests");
    assert!(grown <= 1024, "10,000 requests leave {grown} bytes behind: {rounds:?}");
}

/// Answers, or fails in one of some ways, by turns: what a breaker, a bound or a pool could remember.
#[derive(Debug, Default)]
struct Moody(AtomicUsize);

#[async_trait::async_trait]
impl Transport for Moody {
    async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> stub::Answer {
        match self.0.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => stub::json(200, r#"{"id":42,"username":"jane","state":"active"}"#),
            1 => Err(TransportError::TimedOut),
            2 => stub::json(429, "{}"),
            _ => stub::html(200),
        }
    }
}

/// The bytes that are allocated and not freed.
fn live() -> usize {
    let all = ALLOCATOR.stats();
    all.bytes_allocated - all.bytes_deallocated
}
