//! Thousands of connections that end in one moment, on a clock that runs by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codehost_oauth::error::KeeperError;
use codehost_oauth::keeper::{Clock as _, MemoryStore, Outcome, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore};
use tokio::time::Instant;

use super::scenario::{Result, ring};
use super::wire::{Host, VirtualClock};
use crate::watch::Watched as _;

const MANY: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_connections_are_renewed_in_good_order() -> Result {
    let (large, small) =
        (Host::new("large", Duration::from_millis(20))?, Host::new("small", Duration::from_millis(20))?);
    let integrations = [&large, &small].map(|host| (host.integration.id().clone(), Arc::clone(&host.integration)));
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryStore::default(), ring(), HashMap::from(integrations));
    let keeper = keeper.clock(clock.clone()).build();
    for n in 0..MANY {
        keeper.import(&large.connection(n), large.tokens(n, clock.now())).await.watched()?;
    }
    keeper.import(&small.connection(0), small.tokens(0, clock.now())).await.watched()?;
    tokio::time::advance(Duration::from_secs(7200)).await;

    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let (keeper, connection) = (keeper.clone(), large.connection(n));
        tasks.spawn(async move {
            loop {
                match keeper.ask(&connection).await.watched().unwrap() {
                    Outcome::Retry { after, .. } => tokio::time::sleep(after * 4).await,
                    outcome => return assert!(outcome.into_token().is_ok()),
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    keeper.access_token(&small.connection(0)).await.watched()?;
    assert!(asked.elapsed() < Duration::from_millis(200), "another integration starved: {:?}", asked.elapsed());

    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    assert_eq!(large.wire.requests.load(Ordering::SeqCst), MANY);
    assert_eq!(large.wire.most.load(Ordering::SeqCst), 4);
    assert!(begun.elapsed() >= Duration::from_secs(30), "{:?}", begun.elapsed());
    println!("{MANY} connections in {:?}, at most 4 at a time", begun.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn due_connections_that_are_valid_do_not_queue() -> Result {
    let host = Host::new("large", Duration::from_secs(5))?;
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryStore::default(), ring(), Arc::clone(&host.integration));
    let keeper = keeper.clock(clock.clone()).build();
    for n in 0..100 {
        keeper.import(&host.connection(n), host.tokens(n, clock.now())).await.watched()?;
    }
    tokio::time::advance(Duration::from_secs(7200 - 50)).await;
    let connections: Vec<_> = (0..100).map(|n| host.connection(n)).collect();
    let outcomes = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    let mut renewed = 0;
    for outcome in outcomes {
        match outcome? {
            Outcome::Renewed(_) => renewed += 1,
            Outcome::StillValid(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(renewed, 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn failures_are_asked_about_less_and_less() -> Result {
    let host = Host::new("large", Duration::from_millis(20))?;
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryStore::default(), ring(), Arc::clone(&host.integration));
    let keeper = keeper.clock(clock.clone()).build();
    keeper.import(&host.connection(0), host.tokens(0, clock.now())).await.watched()?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    host.wire.down.store(true, Ordering::SeqCst);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let error = keeper.access_token(&host.connection(0)).await.watched().unwrap_err();
        let KeeperError::Retry { after, .. } = error else { panic!("{error:?}") };
        pauses.push(after.as_secs());
        // Within it nobody asks.
        tokio::time::advance(after / 2).await;
        let before = host.wire.requests.load(Ordering::SeqCst);
        assert!(keeper.access_token(&host.connection(0)).await.watched().is_err());
        assert_eq!(host.wire.requests.load(Ordering::SeqCst), before);
        tokio::time::advance(after / 2 + Duration::from_millis(1)).await;
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
    host.wire.down.store(false, Ordering::SeqCst);
    assert!(keeper.access_token(&host.connection(0)).await.watched().is_ok());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_comes_back_is_told_of() -> Result {
    let host = Host::new("large", Duration::from_millis(20))?;
    let clock = VirtualClock::start();
    let store = FaultyStore::new(MemoryStore::default());
    let keeper = TokenKeeper::builder(store.clone(), ring(), Arc::clone(&host.integration));
    let keeper = keeper.clock(clock.clone()).patience(Duration::from_secs(3600)).build();
    keeper.import(&host.connection(0), host.tokens(0, clock.now())).await.watched()?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    let write = store.calls() + 4;
    (write..write + 1000).for_each(|call| store.fail(call, Fault::Error));
    let begun = Instant::now();
    let error = keeper.access_token(&host.connection(0)).await.watched().unwrap_err();
    assert!(matches!(error, KeeperError::Unsaved { .. }), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_secs(600));
    assert!(!format!("{error:?} {error}").contains("access-"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_person_are_refused() -> Result {
    for (subject, scopes, reason) in
        [("1", "read_user", None), ("7", "read_user", Some("refresh_subject_changed")), ("1", "read_user api", None)]
    {
        let host = Host::new("large", Duration::from_millis(20))?;
        let clock = VirtualClock::start();
        let keeper = TokenKeeper::builder(MemoryStore::default(), ring(), Arc::clone(&host.integration));
        let keeper = keeper.clock(clock.clone()).verify_identity(true).build();
        keeper.import(&host.connection(1), host.tokens(1, clock.now())).await.watched()?;
        tokio::time::advance(Duration::from_secs(7200)).await;
        host.wire.answers("user", 200, &format!(r#"{{"id":{subject},"username":"x","state":"active"}}"#));
        host.wire.answers(
            "token",
            200,
            &format!(r#"{{"access_token":"canary-access-new","token_type":"Bearer","scope":"{scopes}"}}"#),
        );
        let code = keeper.access_token(&host.connection(1)).await.watched().err().map(|error| error.code());
        assert_eq!(code, reason);
    }
    Ok(())
}
