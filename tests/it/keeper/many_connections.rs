//! Thousands of connections that expire at the same time, on a paused clock.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{Clock as _, MemoryTokens, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};
use tokio::time::Instant;

use super::fake_code_host::{FakeCodeHost, VirtualClock};
use super::scenario::{Result, ring};
use crate::secrets::leak_check::LeakChecked as _;

const MANY: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_connections_are_renewed_four_at_a_time() -> Result {
    let (large, small) = (
        FakeCodeHost::new("large", Duration::from_millis(20))?,
        FakeCodeHost::new("small", Duration::from_millis(20))?,
    );
    let integrations =
        [&large, &small].map(|code_host| (code_host.integration.id().clone(), code_host.integration.clone()));
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryTokens::default(), ring(), HashMap::from(integrations));
    let keeper = keeper.clock(clock.clone()).build();
    for n in 0..MANY {
        keeper.import(&large.connection(n), large.tokens(n, clock.now())).await.leak_checked()?;
    }
    keeper.import(&small.connection(0), small.tokens(0, clock.now())).await.leak_checked()?;
    tokio::time::advance(Duration::from_secs(7200)).await;

    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let (keeper, connection) = (keeper.clone(), large.connection(n));
        tasks.spawn(async move {
            loop {
                match keeper.ask(&connection).await.leak_checked().unwrap() {
                    Outcome::Retry { after, .. } => tokio::time::sleep(after * 4).await,
                    outcome => return assert!(outcome.into_token().is_ok()),
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun_small = Instant::now();
    keeper.access_token(&small.connection(0)).await.leak_checked()?;
    assert!(
        begun_small.elapsed() < Duration::from_millis(200),
        "another integration had to wait: {:?}",
        begun_small.elapsed()
    );

    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    assert_eq!(large.http.requests.load(Ordering::SeqCst), MANY);
    assert_eq!(large.http.most.load(Ordering::SeqCst), 4);
    assert!(begun.elapsed() >= Duration::from_secs(30), "{:?}", begun.elapsed());
    println!("{MANY} connections in {:?}, at most 4 at a time", begun.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn valid_connections_do_not_wait_in_the_queue() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_secs(5))?;
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryTokens::default(), ring(), code_host.integration.clone());
    let keeper = keeper.clock(clock.clone()).build();
    for n in 0..100 {
        keeper.import(&code_host.connection(n), code_host.tokens(n, clock.now())).await.leak_checked()?;
    }
    tokio::time::advance(Duration::from_secs(7200 - 50)).await;
    let connections: Vec<_> = (0..100).map(|n| code_host.connection(n)).collect();
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
async fn pauses_after_failures_grow_to_fifteen_minutes() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_millis(20))?;
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryTokens::default(), ring(), code_host.integration.clone());
    let keeper = keeper.clock(clock.clone()).build();
    keeper.import(&code_host.connection(0), code_host.tokens(0, clock.now())).await.leak_checked()?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    code_host.http.down.store(true, Ordering::SeqCst);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let error = keeper.access_token(&code_host.connection(0)).await.leak_checked().unwrap_err();
        let KeeperError::Retry { after, .. } = error else { panic!("{error:?}") };
        pauses.push(after.as_secs());
        // No request is sent within the pause.
        tokio::time::advance(after / 2).await;
        let before = code_host.http.requests.load(Ordering::SeqCst);
        assert!(keeper.access_token(&code_host.connection(0)).await.leak_checked().is_err());
        assert_eq!(code_host.http.requests.load(Ordering::SeqCst), before);
        tokio::time::advance(after / 2 + Duration::from_millis(1)).await;
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
    code_host.http.down.store(false, Ordering::SeqCst);
    assert!(keeper.access_token(&code_host.connection(0)).await.leak_checked().is_ok());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_be_stored_are_an_error() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_millis(20))?;
    let clock = VirtualClock::start();
    let store = FaultyStore::new(MemoryTokens::default());
    let keeper = TokenKeeper::builder(store.clone(), ring(), code_host.integration.clone());
    let keeper = keeper.clock(clock.clone()).patience(Duration::from_secs(3600)).build();
    keeper.import(&code_host.connection(0), code_host.tokens(0, clock.now())).await.leak_checked()?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    let write = store.calls() + 4;
    (write..write + 1000).for_each(|call| store.fail(call, Fault::Error));
    let begun = Instant::now();
    let error = keeper.access_token(&code_host.connection(0)).await.leak_checked().unwrap_err();
    assert!(matches!(error, KeeperError::Unsaved { .. }), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_secs(600));
    assert!(!format!("{error:?} {error}").contains("access-"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_user_are_refused() -> Result {
    for (subject, scopes, reason) in
        [("1", "read_user", None), ("7", "read_user", Some("refresh_subject_changed")), ("1", "read_user api", None)]
    {
        let code_host = FakeCodeHost::new("large", Duration::from_millis(20))?;
        let clock = VirtualClock::start();
        let keeper = TokenKeeper::builder(MemoryTokens::default(), ring(), code_host.integration.clone());
        let keeper = keeper.clock(clock.clone()).verify_identity(true).build();
        keeper.import(&code_host.connection(1), code_host.tokens(1, clock.now())).await.leak_checked()?;
        tokio::time::advance(Duration::from_secs(7200)).await;
        code_host.http.respond("user", 200, &format!(r#"{{"id":{subject},"username":"x","state":"active"}}"#));
        code_host.http.respond(
            "token",
            200,
            &format!(r#"{{"access_token":"canary-access-new","token_type":"Bearer","scope":"{scopes}"}}"#),
        );
        let code = keeper.access_token(&code_host.connection(1)).await.leak_checked().err().map(|error| error.code());
        assert_eq!(code, reason);
    }
    Ok(())
}
