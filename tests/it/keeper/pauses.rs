//! Who waits after a failure: a connection, or all of its integration, and never another integration.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codehost_oauth::error::KeeperError;
use codehost_oauth::keeper::{Clock as _, MemoryStore, Outcome, TokenKeeper};

use super::scenario::{Result, ring};
use super::wire::{Host, VirtualClock};
use crate::watch::Watched as _;

const BRIEFLY: Duration = Duration::from_millis(20);

/// Two integrations at one keeper, all connections of which are due.
async fn two(many: usize) -> Result<([Host; 2], TokenKeeper)> {
    let hosts = [Host::new("large", BRIEFLY)?, Host::new("small", BRIEFLY)?];
    let integrations = hosts.each_ref().map(|host| (host.integration.id().clone(), Arc::clone(&host.integration)));
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryStore::default(), ring(), HashMap::from(integrations));
    let keeper = keeper.clock(clock.clone()).build();
    for (host, count) in hosts.iter().zip([many, 2]) {
        for n in 0..count {
            keeper.import(&host.connection(n), host.tokens(n, clock.now())).await?;
        }
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    Ok((hosts, keeper))
}

async fn retry_after(keeper: &TokenKeeper, host: &Host, n: usize) -> Duration {
    let error = keeper.access_token(&host.connection(n)).await.watched().unwrap_err();
    let KeeperError::Retry { after, .. } = error else { panic!("{error:?}") };
    after
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failing_connections_take_nothing_from_another_integration() -> Result {
    let ([large, small], keeper) = two(10_000).await?;
    // Each for a reason of its own, one after the other.
    large.wire.answers("token", 400, r#"{"error":"invalid_request"}"#);
    for n in 0..10_000 {
        assert!(keeper.access_token(&large.connection(n)).await.watched().is_err());
    }
    let asked = large.wire.requests.load(Ordering::SeqCst);
    assert!((1000..2000).contains(&asked), "where so many fail, all wait: {asked}");
    small.wire.answers("token", 503, "{}");
    for _ in 0..50 {
        assert!(retry_after(&keeper, &small, 0).await <= Duration::from_secs(30));
    }
    assert_eq!(small.wire.spent().len(), 1, "its back-off stands");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_outage_lets_the_whole_integration_wait_and_no_other() -> Result {
    for status in [429, 500, 502, 503, 504] {
        let ([large, small], keeper) = two(40).await?;
        large.wire.answers("token", status, "{}");
        assert_eq!(retry_after(&keeper, &large, 0).await, Duration::from_secs(30), "{status}");
        for n in 0..40 {
            assert!(retry_after(&keeper, &large, n).await <= Duration::from_secs(30));
        }
        assert_eq!(large.wire.spent(), ["canary-refresh-0"], "{status}");
        assert!(matches!(keeper.ask(&small.connection(1)).await.watched()?, Outcome::Renewed(_)), "{status}");
        // It is over.
        large.wire.answers("token", 200, r#"{"access_token":"canary-a-{n}","token_type":"Bearer","expires_in":7200}"#);
        tokio::time::advance(Duration::from_secs(31)).await;
        for n in 0..40 {
            assert!(matches!(keeper.ask(&large.connection(n)).await.watched()?, Outcome::Renewed(_)), "{status} {n}");
        }
    }
    Ok(())
}

/// They asked before it was known, and wait for their turn.
#[tokio::test(start_paused = true)]
async fn those_in_the_queue_hear_of_an_outage_too() -> Result {
    let ([large, _], keeper) = two(200).await?;
    large.wire.answers("token", 429, "{}");
    *large.wire.retry_after.lock().unwrap() = Some("120".to_owned());
    let connections: Vec<_> = (0..200).map(|n| large.connection(n)).collect();
    let asked = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    for outcome in asked {
        let Outcome::Retry { after, cause: Some(cause) } = outcome? else { panic!("not a retry") };
        assert_eq!((after.as_secs().max(119), cause.code()), (120, "rate_limited"));
    }
    assert!(large.wire.spent().len() <= 4, "{:?}", large.wire.spent());
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(retry_after(&keeper, &large, 7).await <= Duration::from_secs(20));
    assert!(large.wire.spent().len() <= 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_code_host_says_how_long_within_a_quarter_of_an_hour() -> Result {
    for (said, seconds) in [("5", 30), ("300", 300), ("900", 900), ("86400", 900), ("soon", 30)] {
        let ([large, _], keeper) = two(2).await?;
        large.wire.answers("token", 503, "{}");
        *large.wire.retry_after.lock().unwrap() = Some(said.to_owned());
        assert_eq!(retry_after(&keeper, &large, 0).await.as_secs(), seconds, "{said}");
        tokio::time::advance(Duration::from_secs(seconds - 1)).await;
        assert!(retry_after(&keeper, &large, 1).await <= Duration::from_secs(1), "{said}");
        assert_eq!(large.wire.spent().len(), 1, "{said}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(keeper.access_token(&large.connection(1)).await.watched().is_err());
        assert_eq!(large.wire.spent().len(), 2, "{said}");
    }
    Ok(())
}

/// One token that the code host cannot digest does not keep the others waiting for longer and longer.
#[tokio::test(start_paused = true)]
async fn one_connection_that_always_fails_holds_up_nobody_for_long() -> Result {
    let ([large, _], keeper) = two(2).await?;
    for _ in 0..6 {
        large.wire.answers("token", 500, "{}");
        assert!(keeper.access_token(&large.connection(0)).await.watched().is_err());
        tokio::time::advance(Duration::from_secs(31)).await;
        large.wire.answers("token", 200, r#"{"access_token":"canary-a-{n}","token_type":"Bearer","expires_in":10}"#);
        assert!(matches!(keeper.ask(&large.connection(1)).await.watched()?, Outcome::Renewed(_)));
        tokio::time::advance(Duration::from_secs(900)).await;
    }
    Ok(())
}
