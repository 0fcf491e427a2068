//! The steps of a login, each compared with the same step of the `oauth2` crate if it has one; and the allocations of whole
//! logins. See docs/performance.md.
//!
//!     cargo bench -p codehost-oauth-benches --bench micro                nanoseconds, instructions where valgrind is installed, allocations
//!     cargo bench -p codehost-oauth-benches --bench micro -- --quick     a smoke test

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench stops at what it did not expect"
)]

mod support;

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use codehost_oauth::error::TransportError;
use codehost_oauth::keeper::MemoryTokens;
use codehost_oauth::seal::SealContext;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::verify;
use codehost_oauth::transport::Transport;
use codehost_oauth::{Access, AccessToken, Callback, Integration, IntegrationConfig, PendingLogins, TokenBinding};
use oauth2::basic::BasicTokenResponse;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::connections::{Connections, ring};
use support::floor::Floor;
use support::logins::{
    CALLBACK, CLIENT_ID, CLIENT_SECRET, KINDS, Kind, Login, Ours, WAYS, Way, browser, network, provider,
};
use support::measure::{Core, has_valgrind, instructions, median};
use support::plain_oauth2::PlainOauth2;
use support::responses::{BITBUCKET_TOKEN, BITBUCKET_USER, GITLAB_TOKEN, GITLAB_USER};
use support::server::{Endpoints, Server, serve};
use support::table::{Table, grouped};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    match args.next().as_deref() {
        Some("serve") => serve(args),
        Some("step") => {
            let (name, times) = (args.next().unwrap(), args.next().unwrap().parse().unwrap());
            let (_, mut step) = steps().into_iter().find(|(known, _)| *known == name).unwrap();
            (0..times).for_each(|_| step());
        }
        quick => {
            Core::First.pin();
            all_steps(quick == Some("--quick"));
            allocations();
        }
    }
}

type Step = (&'static str, Box<dyn FnMut()>);

fn steps() -> Vec<Step> {
    let ours = fixed(Kind::GitLab, GITLAB_TOKEN);
    let verified = fixed(Kind::GitLab, GITLAB_TOKEN);
    let plain = PlainOauth2::new(Kind::GitLab, &no_server());
    let plain_verified = PlainOauth2::new(Kind::GitLab, &no_server());
    let (exchange_gitlab, exchange_bitbucket) = (exchange(Kind::GitLab), exchange(Kind::Bitbucket));
    let guide = provider(Kind::GitLab, &no_server());
    let public_url = "https://packages.example.com".parse().unwrap();
    let request = SetupRequest::new(public_url, "demo".parse().unwrap(), "Demo", Access::Read).unwrap();
    let policy = network();
    let address = "93.184.216.34".parse().unwrap();
    vec![
        ("begin_login", Box::new(move || drop(black_box(ours.begin_login(None).unwrap())))),
        ("begin_login, oauth2 crate", Box::new(move || drop(black_box(plain.begin())))),
        (
            "begin_login, callback and verify",
            Box::new(move || {
                let start = verified.begin_login(None).unwrap();
                let uri = browser(start.redirect_to.as_str(), CALLBACK);
                let callback = Callback::from_uri(&uri).unwrap();
                let grant = verify(&verified, start.pending, callback, SystemTime::now());
                drop(black_box(grant.unwrap()));
            }),
        ),
        (
            "begin_login, callback and verify, oauth2 crate",
            Box::new(move || {
                let (url, state, _verifier) = plain_verified.begin();
                let uri = browser(url.as_str(), CALLBACK);
                drop(black_box(plain_verified.verify(&state, &uri)));
            }),
        ),
        ("the simulated browser of both", Box::new(|| drop(black_box(browser(BROWSED, CALLBACK))))),
        ("all that and the exchange without a network, GitLab", exchange_gitlab),
        ("all that and the exchange without a network, Bitbucket", exchange_bitbucket),
        (
            "token response of GitLab, oauth2 crate",
            Box::new(|| drop(black_box(serde_json::from_str::<BasicTokenResponse>(GITLAB_TOKEN).unwrap()))),
        ),
        ("user without a network, GitLab", user(Kind::GitLab, GITLAB_USER)),
        ("user without a network, Bitbucket (and no addresses)", user(Kind::Bitbucket, BITBUCKET_USER)),
        ("pending logins, sealed for a cookie", seal_pending()),
        ("the cookie, opened", open_pending()),
        ("a token record of 400 bytes, `KeyRing::seal`", seal_record()),
        ("the same, `KeyRing::open`", open_record()),
        ("fresh token, read from a MemoryTokens", fresh_token(Duration::ZERO)),
        ("fresh token, remembered", fresh_token(Duration::from_secs(60))),
        ("setup guide", Box::new(move || drop(black_box(guide.setup_guide(&request))))),
        ("network policy, one address", Box::new(move || assert!(black_box(policy.permits(black_box(address)))))),
    ]
}

const BROWSED: &str = "https://x.example/?a=b&state=0123456789012345678901234567890123456789012&code_challenge=x";

fn all_steps(quick: bool) {
    let table = Table::new("Steps", &["step", "ns", "instructions", "allocations"]);
    let valgrind = has_valgrind() && !quick;
    let program = std::env::current_exe().unwrap();
    for (name, mut step) in steps() {
        step();
        let before = ALLOCATOR.stats();
        step();
        let used = ALLOCATOR.stats() - before;
        let allocations = used.allocations + used.reallocations;
        let batches = if quick { 1 } else { 9 };
        let nanos = median((0..batches).map(|_| nanoseconds(&mut step)).collect());
        let counted = if valgrind {
            let count = |times: &str| instructions(&program, &["step".to_owned(), name.to_owned(), times.to_owned()]);
            grouped((count("1100") - count("100")) / 1000.0)
        } else {
            "-".to_owned()
        };
        table.row(&[name.to_owned(), grouped(nanos), counted, allocations.to_string()]);
    }
}

fn nanoseconds(step: &mut dyn FnMut()) -> f64 {
    let (started, mut times) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_millis(20) {
        (0..50).for_each(|_| step());
        times += 50;
    }
    started.elapsed().as_nanos() as f64 / f64::from(times)
}

/// The allocations of a login in this process, with open connections.
fn allocations() {
    let table = Table::new("Allocations per login", &["", "allocations", "KiB"]);
    let server = Server::start(false, Duration::ZERO, Core::First);
    let endpoints = Endpoints { api: server.endpoints.site.clone(), ..server.endpoints.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for kind in KINDS {
        for way in WAYS {
            let (count, bytes) = runtime.block_on(async {
                match way {
                    Way::Floor => allocated(Floor::new(kind, &endpoints)).await,
                    Way::Ours => allocated(Ours::new(kind, &endpoints)).await,
                    Way::Oauth2 => allocated(PlainOauth2::new(kind, &endpoints)).await,
                }
            });
            let name = format!("{} {}", kind.name(), way.name());
            table.row(&[name, format!("{:.1}", count as f64 / 100.0), format!("{:.1}", bytes as f64 / 102_400.0)]);
        }
    }
}

/// The number of allocations and of bytes in a hundred logins.
async fn allocated(client: impl Login) -> (usize, usize) {
    for _ in 0..10 {
        client.login().await;
    }
    let before = ALLOCATOR.stats();
    for _ in 0..100 {
        client.login().await;
    }
    let used = ALLOCATOR.stats() - before;
    (used.allocations + used.reallocations, used.bytes_allocated)
}

fn exchange(kind: Kind) -> Box<dyn FnMut()> {
    let integration = fixed(kind, if kind == Kind::GitLab { GITLAB_TOKEN } else { BITBUCKET_TOKEN });
    let provider = provider(kind, &no_server());
    let client = codehost_oauth::ClientCredentials::new(provider.base_url(), CLIENT_ID, CLIENT_SECRET).unwrap();
    let response = FixedResponse(if kind == Kind::GitLab { GITLAB_TOKEN } else { BITBUCKET_TOKEN });
    Box::new(move || {
        let start = integration.begin_login(None).unwrap();
        let uri = browser(start.redirect_to.as_str(), integration.callback_url().as_str());
        let callback = Callback::from_uri(&uri).unwrap();
        let grant = verify(&integration, start.pending, callback, SystemTime::now()).unwrap();
        drop(black_box(result_of(provider.exchange_code(&response, &client, grant)).unwrap()));
    })
}

fn user(kind: Kind, response: &'static str) -> Box<dyn FnMut()> {
    let provider = provider(kind, &no_server());
    let binding = TokenBinding::new("demo".parse().unwrap(), provider.base_url().clone());
    let token = AccessToken::new("0123456789abcdef".repeat(4), &binding).unwrap();
    let response = FixedResponse(response);
    // Deadlines need Tokio's timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    Box::new(move || {
        let _entered = runtime.enter();
        drop(black_box(result_of(provider.user(&response, &token)).unwrap()));
    })
}

fn pending() -> PendingLogins {
    let mut pending = PendingLogins::default();
    pending.insert(fixed(Kind::GitLab, GITLAB_TOKEN).begin_login(None).unwrap().pending);
    pending
}

fn seal_pending() -> Box<dyn FnMut()> {
    let (pending, ring) = (pending(), ring());
    Box::new(move || drop(black_box(pending.seal(&ring, SystemTime::now()).unwrap())))
}

fn open_pending() -> Box<dyn FnMut()> {
    let ring = ring();
    let begun = SystemTime::now();
    let cookie = pending().seal(&ring, begun).unwrap();
    Box::new(move || drop(black_box(PendingLogins::open(&cookie, &ring, begun).unwrap())))
}

const RECORD: SealContext<'_> = SealContext { purpose: "tokens", integration: "demo", connection: "gitlab:demo:42" };

fn seal_record() -> Box<dyn FnMut()> {
    let ring = ring();
    Box::new(move || drop(black_box(ring.seal(&RECORD, black_box(&[b'x'; 400])).unwrap())))
}

fn open_record() -> Box<dyn FnMut()> {
    let ring = ring();
    let sealed = ring.seal(&RECORD, &[b'x'; 400]).unwrap();
    Box::new(move || drop(black_box(ring.open(&RECORD, black_box(&sealed)).unwrap())))
}

fn fresh_token(fresh_for: Duration) -> Box<dyn FnMut()> {
    let connections = Connections::new();
    let keeper = connections.keeper(MemoryTokens::default()).fresh_for(fresh_for).build();
    let id = Connections::id(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(keeper.import(&id, connections.tokens(0))).unwrap();
    Box::new(move || {
        // The store's time-out needs a runtime, which must not be measured.
        let _guard = runtime.enter();
        drop(black_box(result_of(keeper.access_token(&id)).unwrap()));
    })
}

fn fixed(kind: Kind, response: &'static str) -> Integration {
    Integration::builder(
        provider(kind, &no_server()),
        FixedResponse(response),
        IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            access: Access::SignIn,
        },
    )
    .build()
    .unwrap()
}

fn no_server() -> Endpoints {
    let site = "http://localhost:1234".to_owned();
    Endpoints { api: site.clone(), site, control: 0, ca: None }
}

/// The same response to every request, at once; no addresses.
#[derive(Debug)]
struct FixedResponse(&'static str);

#[async_trait]
impl Transport for FixedResponse {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        let emails = request.uri().path().ends_with("/emails");
        let body = if emails { r#"{"values":[]}"# } else { self.0 };
        let mut response = http::Response::new(body.as_bytes().to_vec());
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

/// The result of a future that is ready at once.
fn result_of<T>(work: impl Future<Output = T>) -> T {
    use futures_util::FutureExt as _;
    work.now_or_never().unwrap_or_else(|| panic!("the future is not ready at once"))
}
