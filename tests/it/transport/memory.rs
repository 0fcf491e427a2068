//! The memory of 100,000 integrations: row O2 of the threat model. Allocated bytes are counted, so the machine does not matter.

use std::alloc::System;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, IntegrationId, Platform, PublicUrl};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::support::canned_http;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MANY: usize = 100_000;
/// The most bytes of an integration before its first login, with its entry in the app's map, a client id of 64 digits and a
/// secret of 70 characters. 16 of them are for the former base URLs, which few have.
const BEFORE: usize = 1040;
const REQUESTS: usize = 10_000;
/// The most bytes that the first login adds: the constant part of the authorization URL.
const FIRST_LOGIN: usize = 384;

/// In a child process, because all tests of a process share the allocator.
#[test]
fn a_hundred_thousand_integrations_are_small_and_do_not_grow() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "transport::memory::memory_of_integrations_in_a_child_process", "--nocapture"])
        .env("CHILD_COUNTS", "1");
    let output = child.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("bytes each") && stdout.contains("10,000 more requests"), "{stdout}");
}

/// The test above runs this one in a child process. Without the variable it does nothing, because other tests allocate too.
#[test]
fn memory_of_integrations_in_a_child_process() {
    if std::env::var("CHILD_COUNTS").is_err() {
        return;
    }
    let network = Network::public_only();
    let http = HttpClient::builder(network.clone()).build().unwrap();
    let public_url: PublicUrl = "https://packages.example.com".parse().unwrap();
    let before = allocated_bytes();
    let mut all: HashMap<IntegrationId, Integration> = HashMap::with_capacity(MANY);
    for n in 0..MANY {
        let base_url = BaseUrl::parse(&format!("https://gitlab.tenant-{n}.example.com"), &network).unwrap();
        let integration = Integration::builder(
            Platform::find("gitlab").unwrap().provider(base_url).unwrap(),
            http.clone(),
            IntegrationConfig {
                id: format!("tenant-{n}").parse().unwrap(),
                name: format!("GitLab of tenant {n}"),
                public_url: public_url.clone(),
                client_id: format!("{n:064x}"),
                client_secret: format!("gloas-{n:064x}"),
                access: Access::Read,
            },
        )
        .build()
        .unwrap();
        all.insert(integration.id().clone(), integration);
    }
    let idle = (allocated_bytes() - before) / MANY;

    let begin_logins = || {
        for integration in all.values() {
            drop(integration.begin_login(None).unwrap());
        }
        (allocated_bytes() - before) / MANY
    };
    let begun = begin_logins();
    let again = begin_logins();
    println!("{idle} bytes each, {begun} after a login was begun at each, {again} after a second one");
    assert!(idle <= BEFORE, "{idle} bytes each");
    assert!(begun <= idle + FIRST_LOGIN, "{idle} bytes each became {begun}");
    assert_eq!(again, begun, "an unfinished login leaks memory");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let integration = canned_http::builder("gitlab", "https://git.example.com", "canary-secret")
        .transport(AlternatingHttp::default());
    let integration = integration.build().unwrap();
    let token = canned_http::tokens(&integration, false).access_token;
    let send_many_requests = |_| {
        for _ in 0..REQUESTS {
            let _ = runtime.block_on(integration.user(&token));
        }
        allocated_bytes()
    };
    // A leak would grow in every round by more than a byte for each request. Other allocations of this process are a few
    // hundred bytes.
    let rounds = [0; 5].map(send_many_requests);
    let grown = rounds.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min().unwrap();
    println!("{grown} bytes of 10,000 more requests");
    assert!(grown < REQUESTS, "10,000 requests leak {grown} bytes: {rounds:?}");
}

/// Responds, or fails in one of three ways, alternately: a breaker, a limit or a pool could keep state for each.
#[derive(Debug, Default)]
struct AlternatingHttp(AtomicUsize);

#[async_trait::async_trait]
impl Transport for AlternatingHttp {
    async fn send(&self, _: http::Request<Vec<u8>>, _: usize) -> canned_http::Outcome {
        match self.0.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => canned_http::json(200, r#"{"id":42,"username":"jane","state":"active"}"#),
            1 => Err(TransportError::TimedOut),
            2 => canned_http::json(429, "{}"),
            _ => canned_http::html(200),
        }
    }
}

/// The allocated bytes.
fn allocated_bytes() -> usize {
    let all = ALLOCATOR.stats();
    all.bytes_allocated - all.bytes_deallocated
}
