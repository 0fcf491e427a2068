//! Rare events during a refresh: other nodes, failures of the store, unusual responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{CallError, Clock as _, LeaseOwner, LoginReason, MemoryStore, TokenStore as _};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};
use tokio::time::Instant;

use super::fake_code_host::{FakeCodeHost, delete};
use super::scenario::Result;
use crate::secrets::leak_check::LeakChecked as _;

const LATENCY: Duration = Duration::from_millis(20);

fn assert_needs_login(outcome: &Outcome, reason: LoginReason) {
    assert!(matches!(outcome, Outcome::NeedsLogin(found) if *found == reason), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_a_connection_ends_with_its_access_token() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(MemoryStore::default()).build();
    let mut tokens = code_host.tokens(1, code_host.clock.now());
    tokens.refresh_token = None;
    keeper.import(&code_host.connection(1), tokens).await?;
    for second in [0, 7150] {
        tokio::time::advance(Duration::from_secs(second)).await;
        let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::StillValid(_)), "{outcome:?}");
    }
    let call = async |_| Err::<(), CallError<()>>(CallError::Unauthorized);
    let refused = keeper.with_token(&code_host.connection(1), call).await.unwrap_err();
    let CallError::Keeper(KeeperError::NeedsLogin(reason)) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, LoginReason::NoRefreshToken);
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_needs_login(&keeper.ask(&code_host.connection(1)).await.leak_checked()?, LoginReason::NoRefreshToken);
    assert_eq!(code_host.http.refresh_tokens_sent(), [""; 0]);
    Ok(())
}

/// Some nodes of a code host may not know a new token yet.
#[tokio::test(start_paused = true)]
async fn a_refused_new_token_is_retried_and_not_renewed() -> Result {
    for (refusals, expected, calls_made, seconds) in
        [(0, true, 1, 0), (1, true, 2, 1), (2, true, 3, 3), (3, false, 3, 3)]
    {
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let keeper = code_host.builder(MemoryStore::default()).build();
        keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
        let (calls, begun) = (AtomicUsize::new(0), Instant::now());
        let call = async |_| {
            let before = calls.fetch_add(1, Ordering::SeqCst);
            if before < refusals { Err(CallError::<()>::Unauthorized) } else { Ok(()) }
        };
        let called = keeper.with_token(&code_host.connection(1), call).await;
        assert_eq!(called.is_ok(), expected, "{refusals}: {called:?}");
        assert_eq!((calls.load(Ordering::SeqCst), begun.elapsed().as_secs()), (calls_made, seconds), "{refusals}");
        assert_eq!(code_host.http.refresh_tokens_sent(), [""; 0]);
    }
    Ok(())
}

/// RFC 6749 sections 5.1 and 6: a missing member keeps its value.
#[tokio::test(start_paused = true)]
async fn members_missing_in_a_refresh_response_keep_their_values() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let (builder, events) = code_host.with_events(code_host.builder(MemoryStore::default()).verify_identity(true));
    let keeper = code_host.due(builder).await?;
    code_host.http.respond(
        "token",
        200,
        r#"{"access_token":"canary-access-{n}","token_type":"Bearer","expires_in":7200}"#,
    );
    for renewal in 1..=3 {
        let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::Renewed(_)), "{outcome:?}");
        assert_eq!(code_host.http.refresh_tokens_sent(), vec!["canary-refresh-1"; renewal]);
        tokio::time::advance(Duration::from_secs(7200)).await;
    }
    // The granted scopes are kept too: a new one is an event, and the pair is kept.
    let wider = r#"{"access_token":"canary-access-{n}","token_type":"Bearer","scope":"read_user api"}"#;
    code_host.http.respond("token", 200, wider);
    assert!(matches!(keeper.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
    assert_eq!(*events.lock().unwrap(), ["gitlab:demo:1: api"]);
    Ok(())
}

/// At each call of the store in turn: the caller gets the token or the error, and the connection stays deleted.
#[tokio::test(start_paused = true)]
async fn a_connection_deleted_during_its_refresh_does_not_come_back() -> Result {
    let mut not_connected_count = 0;
    for call in 0..12 {
        let memory = Arc::new(MemoryStore::default());
        let store = FaultyStore::new(Arc::clone(&memory));
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let keeper = code_host.due(code_host.builder(store.clone())).await?;
        let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
        let first = store.calls();
        store.fail(first + call, Fault::Before(Arc::new(move || delete(&there, &connection))));
        let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
        if store.calls() <= first + call {
            assert!(matches!(outcome, Outcome::Renewed(_)), "call {call} never came: {outcome:?}");
            continue;
        }
        match outcome {
            Outcome::Renewed(_) => assert!(call >= 5, "the tokens were stored in call {call}"),
            outcome => {
                assert_needs_login(&outcome, LoginReason::NotConnected);
                not_connected_count += 1;
            }
        }
        assert!(memory.load(&code_host.connection(1)).await?.is_none(), "after call {call} it is stored again");
    }
    assert_eq!(not_connected_count, 5, "read, leased, read again, marked, stored");
    Ok(())
}

/// The token is dead, and the connection is deleted before it is marked as dead.
#[tokio::test(start_paused = true)]
async fn a_dead_connection_deleted_meanwhile_is_not_connected() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.due(code_host.builder(store.clone())).await?;
    code_host.http.respond("token", 400, r#"{"error":"invalid_grant"}"#);
    // Read, leased, read, marked; then it is read again.
    let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
    store.fail(store.calls() + 4, Fault::Before(Arc::new(move || delete(&there, &connection))));
    assert_needs_login(&keeper.ask(&code_host.connection(1)).await.leak_checked()?, LoginReason::NotConnected);
    // Deleted immediately before it is marked as dead.
    let keeper = code_host.due(code_host.builder(store.clone())).await?;
    let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
    store.fail(store.calls() + 5, Fault::Before(Arc::new(move || delete(&there, &connection))));
    assert_needs_login(&keeper.ask(&code_host.connection(1)).await.leak_checked()?, LoginReason::NotConnected);
    assert!(memory.load(&code_host.connection(1)).await?.is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_another_node_returns_when_patience_ends() -> Result {
    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.due(code_host.builder(Arc::clone(&store)).patience(Duration::from_secs(3))).await?;
    assert!(store.lease(&code_host.connection(1), &LeaseOwner::random()?, Duration::from_secs(45)).await?);
    let begun = Instant::now();
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::Retry { cause: None, .. }), "{outcome:?}");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(4), "{waited:?}");
    keeper.finish().await;
    assert_eq!(code_host.http.refresh_tokens_sent(), [""; 0], "no refresh without the lease");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_the_queue_returns_when_patience_ends() -> Result {
    let code_host = FakeCodeHost::new("demo", Duration::from_secs(30))?;
    let builder =
        code_host.builder(MemoryStore::default()).in_flight_per_integration(1).patience(Duration::from_secs(3));
    let keeper = builder.build();
    for n in 1..=3 {
        keeper.import(&code_host.connection(n), code_host.tokens(n, code_host.clock.now())).await?;
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    let connections = [1, 2, 3].map(|n| code_host.connection(n));
    let outcomes = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    for outcome in outcomes {
        assert!(matches!(outcome?, Outcome::Retry { cause: None, .. }));
    }
    keeper.finish().await;
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 1, "one refresh at a time; the others timed out");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_long_refresh_keeps_its_lease() -> Result {
    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", Duration::from_secs(600))?;
    let builder = code_host.builder(Arc::clone(&store)).patience(Duration::from_secs(3600));
    let keeper = code_host.due(builder).await?;
    let connection = code_host.connection(1);
    let asking = tokio::spawn(async move { keeper.ask(&connection).await });
    for _ in 0..11 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        let other = LeaseOwner::random()?;
        assert!(!store.lease(&code_host.connection(1), &other, Duration::from_secs(1)).await?, "its lease ended");
    }
    assert!(matches!(asking.await??, Outcome::Renewed(_)));
    assert!(store.lease(&code_host.connection(1), &LeaseOwner::random()?, Duration::from_secs(1)).await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panicking_store_interrupts_one_refresh_only() -> Result {
    let store = FaultyStore::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.due(code_host.builder(store.clone())).await?;
    store.fail(store.calls() + 1, Fault::Before(Arc::new(|| panic!("a bug in a store"))));
    let error = keeper.ask(&code_host.connection(1)).await.leak_checked().unwrap_err();
    assert!(matches!(error, KeeperError::Interrupted), "{error:?}");
    assert!(matches!(keeper.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
    Ok(())
}

/// A refresh on another node may store tokens after the disconnect.
#[tokio::test(start_paused = true)]
async fn a_disconnect_waits_at_most_five_seconds_for_a_refresh() -> Result {
    for holds_for in [2, 45] {
        let store = Arc::new(MemoryStore::default());
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let keeper = code_host.due(code_host.builder(Arc::clone(&store))).await?;
        assert!(store.lease(&code_host.connection(1), &LeaseOwner::random()?, Duration::from_secs(holds_for)).await?);
        let begun = Instant::now();
        assert!(keeper.disconnect(&code_host.connection(1)).await.leak_checked()?.deleted);
        let waited = begun.elapsed().as_secs();
        assert_eq!(waited, holds_for.min(5), "with a lease of {holds_for} s");
        assert!(store.load(&code_host.connection(1)).await?.is_none());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_401_is_made_once() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(MemoryStore::default()).build();
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    let found =
        keeper.with_token(&code_host.connection(1), async |token| Ok::<_, CallError<()>>(code_host.text(&token))).await;
    assert_eq!(found.unwrap(), "canary-access-1");
    let failed = keeper.with_token(&code_host.connection(1), async |_| Err::<(), _>(CallError::Failed("no"))).await;
    assert!(matches!(failed, Err(CallError::Failed("no"))), "{failed:?}");
    // A call of the integration itself: other errors than 401 are passed on.
    let timed_out = codehost_oauth::error::Error::from(codehost_oauth::error::TransportError::TimedOut);
    assert!(matches!(CallError::from(timed_out), CallError::Failed(_)));
    assert_eq!(code_host.http.refresh_tokens_sent(), [""; 0]);
    Ok(())
}

/// Two nodes import a new login at once: one overwrites the other, and neither fails.
#[tokio::test(start_paused = true)]
async fn two_logins_at_once_are_both_imported() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(store.clone()).build();
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    // The other import happens between the read and the write of this one.
    let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
    store.fail(store.calls() + 1, Fault::Before(Arc::new(move || delete(&there, &connection))));
    keeper.import(&code_host.connection(1), code_host.tokens(2, code_host.clock.now())).await?;
    let token = keeper.access_token(&code_host.connection(1)).await.leak_checked()?;
    assert_eq!(code_host.text(&token), "canary-access-2");
    Ok(())
}

/// Without its integration, nothing can be revoked; the tokens are deleted nevertheless.
#[tokio::test(start_paused = true)]
async fn a_disconnect_works_without_an_integration() -> Result {
    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(Arc::clone(&store)).build();
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    let none = std::collections::HashMap::new();
    let keeper =
        codehost_oauth::keeper::TokenKeeper::builder(Arc::clone(&store), super::scenario::ring(), none).build();
    let disconnected = keeper.disconnect(&code_host.connection(1)).await.leak_checked()?;
    assert!(disconnected.deleted && disconnected.revocation.is_none(), "{disconnected:?}");
    assert!(store.load(&code_host.connection(1)).await?.is_none());
    Ok(())
}

/// While it is not known whether there is an integration, nothing is deleted: the tokens would stay valid.
#[tokio::test(start_paused = true)]
async fn a_disconnect_that_cannot_look_up_the_integration_deletes_nothing() -> Result {
    struct Down;

    #[async_trait::async_trait]
    impl codehost_oauth::FindIntegration for Down {
        async fn find(
            &self,
            _: &codehost_oauth::IntegrationId,
        ) -> std::result::Result<Option<Arc<codehost_oauth::Integration>>, codehost_oauth::error::AppError> {
            Err("the table cannot be read".into())
        }
    }

    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(Arc::clone(&store)).build();
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    let down = codehost_oauth::keeper::TokenKeeper::builder(Arc::clone(&store), super::scenario::ring(), Down).build();
    let error = down.disconnect(&code_host.connection(1)).await.leak_checked().unwrap_err();
    assert_eq!((error.code(), error.advice().is_transient), ("find_integration_failed", true));
    assert!(store.load(&code_host.connection(1)).await?.is_some());
    let begun = Instant::now();
    assert!(keeper.disconnect(&code_host.connection(1)).await.leak_checked()?.deleted);
    assert_eq!(begun.elapsed(), Duration::ZERO, "the first attempt has given its lease back");
    Ok(())
}

/// Otherwise each refresh would be told to wait until the lease ends.
#[tokio::test(start_paused = true)]
async fn a_disconnect_that_the_store_ends_gives_its_lease_back() -> Result {
    // The calls of a disconnect: lease, load, delete.
    for (failing, fault) in [(0, Fault::LostResponse), (1, Fault::Error), (2, Fault::Error)] {
        let store = FaultyStore::new(MemoryStore::default());
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let keeper = code_host.due(code_host.builder(store.clone())).await?;
        store.fail(store.calls() + failing, fault);
        let error = keeper.disconnect(&code_host.connection(1)).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "store_unreachable");
        assert!(store.load(&code_host.connection(1)).await?.is_some());
        let another = LeaseOwner::random()?;
        assert!(store.lease(&code_host.connection(1), &another, Duration::from_secs(1)).await?, "call {failing}");
    }
    Ok(())
}

#[test]
fn malformed_connection_ids_are_refused() {
    for text in
        ["", "gitlab", "gitlab:demo", "gitlab:demo:1:2", ":demo:1", "gitlab:demo:", "GitLab:demo:1", "gitlab:demo:a b"]
    {
        let error = text.parse::<codehost_oauth::keeper::ConnectionId>().unwrap_err();
        assert_eq!(error.code(), "account_key_text", "{text:?}");
    }
}

/// The disconnect stops waiting and revokes the stored pair. The pair of the later refresh must be revoked too.
#[tokio::test(start_paused = true)]
async fn tokens_of_a_refresh_after_a_disconnect_are_revoked() -> Result {
    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", Duration::from_secs(12))?;
    let keeper = code_host.due(code_host.builder(Arc::clone(&store))).await?;
    let (keeper_of_call, connection) = (keeper.clone(), code_host.connection(1));
    let asking = tokio::spawn(async move { keeper_of_call.ask(&connection).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(keeper.disconnect(&code_host.connection(1)).await.leak_checked()?.deleted);
    assert_needs_login(&asking.await?.leak_checked()?, LoginReason::NotConnected);
    let mut revoked = code_host.http.revoked();
    revoked.sort();
    assert_eq!(revoked, ["canary-refresh-1", "canary-refresh-new-0"]);
    assert!(store.load(&code_host.connection(1)).await?.is_none());
    Ok(())
}

/// As many scopes as fit into a response, in another order: comparing each with each would take minutes, and all would not fit
/// into a store. Scopes that are not kept give no event.
#[tokio::test(start_paused = true)]
async fn too_many_scopes_are_cut() -> Result {
    let store = Arc::new(MemoryStore::default());
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let (builder, events) = code_host.with_events(code_host.builder(Arc::clone(&store)));
    let keeper = code_host.due(builder).await?;
    let names: Vec<_> = (0..40_000).map(|n| format!("{n:x}")).collect();
    let mut tokens = code_host.tokens(1, code_host.clock.now());
    tokens.scopes = Some(names.join(" ").parse()?);
    keeper.import(&code_host.connection(1), tokens).await?;
    for extra in ["", " one-more"] {
        tokio::time::advance(Duration::from_secs(7200)).await;
        let scopes = names.iter().rev().cloned().collect::<Vec<_>>().join(" ") + extra;
        let response = format!(
            r#"{{"access_token":"canary-access-new","token_type":"Bearer","refresh_token":"canary-refresh-new","expires_in":7200,"scope":"{scopes}"}}"#
        );
        code_host.http.respond("token", 200, &response);
        assert!(matches!(keeper.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
        let stored = store.load(&code_host.connection(1)).await?.unwrap();
        assert!(stored.sealed.len() < 8 * 1024, "{}", stored.sealed.len());
    }
    assert!(events.lock().unwrap().is_empty());
    Ok(())
}
