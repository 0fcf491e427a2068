//! What a refresh ends with when others, the store or the code host do what is rarely done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::error::KeeperError;
use codehost_oauth::keeper::{CallError, Clock as _, LeaseOwner, LoginReason, MemoryStore, Outcome, TokenStore as _};
use codehost_oauth::testing::{Fault, FaultyStore};
use tokio::time::Instant;

use super::scenario::Result;
use super::wire::{Host, delete};
use crate::watch::Watched as _;

const BRIEFLY: Duration = Duration::from_millis(20);

fn assert_needs_login(outcome: &Outcome, reason: LoginReason) {
    assert!(matches!(outcome, Outcome::NeedsLogin(found) if *found == reason), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_a_connection_lives_as_long_as_its_access_token() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.builder(MemoryStore::default()).build();
    let mut tokens = host.tokens(1, host.clock.now());
    tokens.refresh_token = None;
    keeper.import(&host.connection(1), tokens).await?;
    for second in [0, 7150] {
        tokio::time::advance(Duration::from_secs(second)).await;
        let outcome = keeper.ask(&host.connection(1)).await.watched()?;
        assert!(matches!(outcome, Outcome::StillValid(_)), "{outcome:?}");
    }
    let call = async |_| Err::<(), CallError<()>>(CallError::Unauthorized);
    let refused = keeper.with_token(&host.connection(1), call).await.unwrap_err();
    let CallError::Keeper(KeeperError::NeedsLogin(reason)) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, LoginReason::NoRefreshToken);
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_needs_login(&keeper.ask(&host.connection(1)).await.watched()?, LoginReason::NoRefreshToken);
    assert_eq!(host.wire.spent(), [""; 0]);
    Ok(())
}

/// A code host with several nodes may not know its new token everywhere yet.
#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_refused_is_tried_again_and_not_renewed() -> Result {
    for (refusals, expected, calls_made, seconds) in
        [(0, true, 1, 0), (1, true, 2, 1), (2, true, 3, 3), (3, false, 3, 3)]
    {
        let host = Host::new("demo", BRIEFLY)?;
        let keeper = host.builder(MemoryStore::default()).build();
        keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
        let (calls, begun) = (AtomicUsize::new(0), Instant::now());
        let call = async |_| {
            let before = calls.fetch_add(1, Ordering::SeqCst);
            if before < refusals { Err(CallError::<()>::Unauthorized) } else { Ok(()) }
        };
        let called = keeper.with_token(&host.connection(1), call).await;
        assert_eq!(called.is_ok(), expected, "{refusals}: {called:?}");
        assert_eq!((calls.load(Ordering::SeqCst), begun.elapsed().as_secs()), (calls_made, seconds), "{refusals}");
        assert_eq!(host.wire.spent(), [""; 0]);
    }
    Ok(())
}

/// RFC 6749 sections 5.1 and 6: what the answer does not name is as it was.
#[tokio::test(start_paused = true)]
async fn what_an_answer_leaves_out_is_as_before() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let (builder, grown) = host.hearing(host.builder(MemoryStore::default()).verify_identity(true));
    let keeper = host.due(builder).await?;
    host.wire.answers("token", 200, r#"{"access_token":"canary-access-{n}","token_type":"Bearer","expires_in":7200}"#);
    for renewal in 1..=3 {
        let outcome = keeper.ask(&host.connection(1)).await.watched()?;
        assert!(matches!(outcome, Outcome::Renewed(_)), "{outcome:?}");
        assert_eq!(host.wire.spent(), vec!["canary-refresh-1"; renewal]);
        tokio::time::advance(Duration::from_secs(7200)).await;
    }
    // Neither has it forgotten which scopes were granted: one more is told, and the pair is kept.
    let wider = r#"{"access_token":"canary-access-{n}","token_type":"Bearer","scope":"read_user api"}"#;
    host.wire.answers("token", 200, wider);
    assert!(matches!(keeper.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
    assert_eq!(*grown.lock().unwrap(), ["gitlab:demo:1: api"]);
    Ok(())
}

/// At each call of the store in turn: whoever asks learns that the connection is gone, or got in before, and it stays gone.
#[tokio::test(start_paused = true)]
async fn a_connection_deleted_during_its_refresh_does_not_come_back() -> Result {
    let mut told = 0;
    for call in 0..12 {
        let memory = Arc::new(MemoryStore::default());
        let store = FaultyStore::new(Arc::clone(&memory));
        let host = Host::new("demo", BRIEFLY)?;
        let keeper = host.due(host.builder(store.clone())).await?;
        let (there, connection) = (Arc::clone(&memory), host.connection(1));
        let first = store.calls();
        store.fail(first + call, Fault::Before(Arc::new(move || delete(&there, &connection))));
        let outcome = keeper.ask(&host.connection(1)).await.watched()?;
        if store.calls() <= first + call {
            assert!(matches!(outcome, Outcome::Renewed(_)), "call {call} never came: {outcome:?}");
            continue;
        }
        match outcome {
            Outcome::Renewed(_) => assert!(call >= 5, "the tokens were stored in call {call}"),
            outcome => {
                assert_needs_login(&outcome, LoginReason::NotConnected);
                told += 1;
            }
        }
        assert!(memory.load(&host.connection(1)).await?.is_none(), "after call {call} it is back");
    }
    assert_eq!(told, 5, "read, leased, read again, marked, stored");
    Ok(())
}

/// The code host says that the token is dead, and then there is nothing to mark as dead.
#[tokio::test(start_paused = true)]
async fn a_dead_connection_deleted_meanwhile_is_not_connected() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.due(host.builder(store.clone())).await?;
    host.wire.answers("token", 400, r#"{"error":"invalid_grant"}"#);
    // Read, leased, read, marked; then it is read again.
    let (there, connection) = (Arc::clone(&memory), host.connection(1));
    store.fail(store.calls() + 4, Fault::Before(Arc::new(move || delete(&there, &connection))));
    assert_needs_login(&keeper.ask(&host.connection(1)).await.watched()?, LoginReason::NotConnected);
    // And one that goes away just before it is marked as dead.
    let keeper = host.due(host.builder(store.clone())).await?;
    let (there, connection) = (Arc::clone(&memory), host.connection(1));
    store.fail(store.calls() + 5, Fault::Before(Arc::new(move || delete(&there, &connection))));
    assert_needs_login(&keeper.ask(&host.connection(1)).await.watched()?, LoginReason::NotConnected);
    assert!(memory.load(&host.connection(1)).await?.is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_node_goes_away_when_patience_ends() -> Result {
    let store = Arc::new(MemoryStore::default());
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.due(host.builder(Arc::clone(&store)).patience(Duration::from_secs(3))).await?;
    assert!(store.lease(&host.connection(1), &LeaseOwner::random()?, Duration::from_secs(45)).await?);
    let begun = Instant::now();
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::Retry { cause: None, .. }), "{outcome:?}");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(4), "{waited:?}");
    keeper.finish().await;
    assert_eq!(host.wire.spent(), [""; 0], "nobody goes on without the lease");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_goes_away_when_patience_ends() -> Result {
    let host = Host::new("demo", Duration::from_secs(30))?;
    let builder = host.builder(MemoryStore::default()).in_flight_per_integration(1).patience(Duration::from_secs(3));
    let keeper = builder.build();
    for n in 1..=3 {
        keeper.import(&host.connection(n), host.tokens(n, host.clock.now())).await?;
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    let connections = [1, 2, 3].map(|n| host.connection(n));
    let outcomes = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    for outcome in outcomes {
        assert!(matches!(outcome?, Outcome::Retry { cause: None, .. }));
    }
    keeper.finish().await;
    assert_eq!(host.wire.spent().len(), 1, "one at a time, and the others gave up");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_takes_long_keeps_its_lease() -> Result {
    let store = Arc::new(MemoryStore::default());
    let host = Host::new("demo", Duration::from_secs(600))?;
    let builder = host.builder(Arc::clone(&store)).patience(Duration::from_secs(3600));
    let keeper = host.due(builder).await?;
    let connection = host.connection(1);
    let asking = tokio::spawn(async move { keeper.ask(&connection).await });
    for _ in 0..11 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        let other = LeaseOwner::random()?;
        assert!(!store.lease(&host.connection(1), &other, Duration::from_secs(1)).await?, "its lease ended");
    }
    assert!(matches!(asking.await??, Outcome::Renewed(_)));
    assert!(store.lease(&host.connection(1), &LeaseOwner::random()?, Duration::from_secs(1)).await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_interrupts_one_refresh_and_no_other() -> Result {
    let store = FaultyStore::new(MemoryStore::default());
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.due(host.builder(store.clone())).await?;
    store.fail(store.calls() + 1, Fault::Before(Arc::new(|| panic!("a bug in a store"))));
    let error = keeper.ask(&host.connection(1)).await.watched().unwrap_err();
    assert!(matches!(error, KeeperError::Interrupted), "{error:?}");
    assert!(matches!(keeper.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
    Ok(())
}

/// A refresh on another node may be about to store tokens that a disconnect would then leave behind.
#[tokio::test(start_paused = true)]
async fn a_disconnect_waits_for_a_refresh_but_not_for_ever() -> Result {
    for holds_for in [2, 45] {
        let store = Arc::new(MemoryStore::default());
        let host = Host::new("demo", BRIEFLY)?;
        let keeper = host.due(host.builder(Arc::clone(&store))).await?;
        assert!(store.lease(&host.connection(1), &LeaseOwner::random()?, Duration::from_secs(holds_for)).await?);
        let begun = Instant::now();
        assert!(keeper.disconnect(&host.connection(1)).await.watched()?.deleted);
        let waited = begun.elapsed().as_secs();
        assert_eq!(waited, holds_for.min(5), "with a lease of {holds_for} s");
        assert!(store.load(&host.connection(1)).await?.is_none());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_otherwise_is_made_once() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.builder(MemoryStore::default()).build();
    keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
    let found = keeper.with_token(&host.connection(1), async |token| Ok::<_, CallError<()>>(host.text(&token))).await;
    assert_eq!(found.unwrap(), "canary-access-1");
    let failed = keeper.with_token(&host.connection(1), async |_| Err::<(), _>(CallError::Failed("no"))).await;
    assert!(matches!(failed, Err(CallError::Failed("no"))), "{failed:?}");
    // A call of the integration itself: what is no 401 stays what it is.
    let down = codehost_oauth::error::Error::from(codehost_oauth::error::TransportError::TimedOut);
    assert!(matches!(CallError::from(down), CallError::Failed(_)));
    assert_eq!(host.wire.spent(), [""; 0]);
    Ok(())
}

/// Two nodes take in a new login at once: one of them writes over the other, and neither fails.
#[tokio::test(start_paused = true)]
async fn two_logins_at_once_are_both_taken_in() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.builder(store.clone()).build();
    keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
    // Between the read and the write of one, the other is done.
    let (there, connection) = (Arc::clone(&memory), host.connection(1));
    store.fail(store.calls() + 1, Fault::Before(Arc::new(move || delete(&there, &connection))));
    keeper.import(&host.connection(1), host.tokens(2, host.clock.now())).await?;
    let token = keeper.access_token(&host.connection(1)).await.watched()?;
    assert_eq!(host.text(&token), "canary-access-2");
    Ok(())
}

/// Its integration is gone, so nobody can tell the code host; the tokens go all the same.
#[tokio::test(start_paused = true)]
async fn a_disconnect_works_without_an_integration() -> Result {
    let store = Arc::new(MemoryStore::default());
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.builder(Arc::clone(&store)).build();
    keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
    let none = std::collections::HashMap::new();
    let keeper =
        codehost_oauth::keeper::TokenKeeper::builder(Arc::clone(&store), super::scenario::ring(), none).build();
    let gone = keeper.disconnect(&host.connection(1)).await.watched()?;
    assert!(gone.deleted && gone.revocation.is_none(), "{gone:?}");
    assert!(store.load(&host.connection(1)).await?.is_none());
    Ok(())
}

#[test]
fn what_is_no_account_key_is_no_connection() {
    for text in
        ["", "gitlab", "gitlab:demo", "gitlab:demo:1:2", ":demo:1", "gitlab:demo:", "GitLab:demo:1", "gitlab:demo:a b"]
    {
        let error = text.parse::<codehost_oauth::keeper::ConnectionId>().unwrap_err();
        assert_eq!(error.code(), "connection_id", "{text:?}");
    }
    let longest = format!("gitlab:demo:{}", "1".repeat(1012));
    assert!(longest.parse::<codehost_oauth::keeper::ConnectionId>().is_ok());
    assert!(format!("{longest}1").parse::<codehost_oauth::keeper::ConnectionId>().is_err());
}

/// The disconnect gives up waiting and revokes what it knows. What the refresh then brings must not live on unknown.
#[tokio::test(start_paused = true)]
async fn what_a_refresh_brings_after_a_disconnect_is_revoked() -> Result {
    let store = Arc::new(MemoryStore::default());
    let host = Host::new("demo", Duration::from_secs(12))?;
    let keeper = host.due(host.builder(Arc::clone(&store))).await?;
    let (asked, connection) = (keeper.clone(), host.connection(1));
    let asking = tokio::spawn(async move { asked.ask(&connection).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(keeper.disconnect(&host.connection(1)).await.watched()?.deleted);
    assert_needs_login(&asking.await?.watched()?, LoginReason::NotConnected);
    let mut revoked = host.wire.revoked();
    revoked.sort();
    assert_eq!(revoked, ["canary-refresh-1", "canary-refresh-new-0"]);
    assert!(store.load(&host.connection(1)).await?.is_none());
    Ok(())
}

/// As many scopes as a response has room for, in another order: comparing each with each would take minutes, and keeping
/// them all would not fit into a store. What is not kept cannot have grown.
#[tokio::test(start_paused = true)]
async fn a_flood_of_scopes_is_cut() -> Result {
    let store = Arc::new(MemoryStore::default());
    let host = Host::new("demo", BRIEFLY)?;
    let (builder, grown) = host.hearing(host.builder(Arc::clone(&store)));
    let keeper = host.due(builder).await?;
    let names: Vec<_> = (0..40_000).map(|n| format!("{n:x}")).collect();
    let mut tokens = host.tokens(1, host.clock.now());
    tokens.scopes = Some(names.join(" ").parse()?);
    keeper.import(&host.connection(1), tokens).await?;
    for extra in ["", " one-more"] {
        tokio::time::advance(Duration::from_secs(7200)).await;
        let scopes = names.iter().rev().cloned().collect::<Vec<_>>().join(" ") + extra;
        let answer = format!(
            r#"{{"access_token":"canary-access-new","token_type":"Bearer","refresh_token":"canary-refresh-new","expires_in":7200,"scope":"{scopes}"}}"#
        );
        host.wire.answers("token", 200, &answer);
        assert!(matches!(keeper.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
        let stored = store.load(&host.connection(1)).await?.unwrap();
        assert!(stored.sealed.len() < 8 * 1024, "{}", stored.sealed.len());
    }
    assert!(grown.lock().unwrap().is_empty());
    Ok(())
}
