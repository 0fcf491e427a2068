//! The pause after a failure: of one connection or of its whole integration, never of another integration.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{Clock as _, MemoryTokens, TokenKeeper};
use codehost_oauth::testing::Outcome;

use super::fake_code_host::{FakeCodeHost, VirtualClock};
use super::scenario::{Result, ring};
use crate::secrets::leak_check::LeakChecked as _;

const LATENCY: Duration = Duration::from_millis(20);

/// Two integrations at one keeper, all connections of which are due.
async fn two(many: usize) -> Result<([FakeCodeHost; 2], TokenKeeper)> {
    let hosts = [FakeCodeHost::new("large", LATENCY)?, FakeCodeHost::new("small", LATENCY)?];
    let integrations =
        hosts.each_ref().map(|code_host| (code_host.integration.id().clone(), code_host.integration.clone()));
    let clock = VirtualClock::start();
    let keeper = TokenKeeper::builder(MemoryTokens::default(), ring(), HashMap::from(integrations));
    let keeper = keeper.clock(clock.clone()).build();
    for (code_host, count) in hosts.iter().zip([many, 2]) {
        for n in 0..count {
            keeper.import(&code_host.connection(n), code_host.tokens(n, clock.now())).await?;
        }
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    Ok((hosts, keeper))
}

async fn retry_after(keeper: &TokenKeeper, code_host: &FakeCodeHost, n: usize) -> Duration {
    let error = keeper.access_token(&code_host.connection(n)).await.leak_checked().unwrap_err();
    let KeeperError::Retry { after, .. } = error else { panic!("{error:?}") };
    after
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failing_connections_do_not_affect_another_integration() -> Result {
    let ([large, small], keeper) = two(10_000).await?;
    // Each fails separately, one after the other.
    large.http.respond("token", 400, r#"{"error":"invalid_request"}"#);
    for n in 0..10_000 {
        assert!(keeper.access_token(&large.connection(n)).await.leak_checked().is_err());
    }
    let requests = large.http.requests.load(Ordering::SeqCst);
    assert!((1000..2000).contains(&requests), "after so many failures the integration pauses: {requests}");
    small.http.respond("token", 503, "{}");
    for _ in 0..50 {
        assert!(retry_after(&keeper, &small, 0).await <= Duration::from_secs(30));
    }
    assert_eq!(small.http.refresh_tokens_sent().len(), 1, "its pause is kept");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_the_whole_integration_and_no_other() -> Result {
    for status in [429, 500, 502, 503, 504] {
        let ([large, small], keeper) = two(40).await?;
        large.http.respond("token", status, "{}");
        assert_eq!(retry_after(&keeper, &large, 0).await, Duration::from_secs(30), "{status}");
        for n in 0..40 {
            assert!(retry_after(&keeper, &large, n).await <= Duration::from_secs(30));
        }
        // A 429 is about the client. Others may be about one user, until another one gets it too.
        let sent: &[_] = if status == 429 { &["canary-refresh-0"] } else { &["canary-refresh-0", "canary-refresh-1"] };
        assert_eq!(large.http.refresh_tokens_sent(), sent, "{status}");
        assert!(matches!(keeper.ask(&small.connection(1)).await.leak_checked()?, Outcome::Renewed(_)), "{status}");
        // The outage is over.
        large.http.respond("token", 200, r#"{"access_token":"canary-a-{n}","token_type":"Bearer","expires_in":7200}"#);
        tokio::time::advance(Duration::from_secs(31)).await;
        for n in 0..40 {
            assert!(
                matches!(keeper.ask(&large.connection(n)).await.leak_checked()?, Outcome::Renewed(_)),
                "{status} {n}"
            );
        }
    }
    Ok(())
}

/// These calls began before the outage was known, and wait in the queue.
#[tokio::test(start_paused = true)]
async fn an_outage_ends_the_waiting_in_the_queue() -> Result {
    let ([large, _], keeper) = two(200).await?;
    large.http.respond("token", 429, "{}");
    *large.http.retry_after.lock().unwrap() = Some("120".to_owned());
    let connections: Vec<_> = (0..200).map(|n| large.connection(n)).collect();
    let requests = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    for outcome in requests {
        let Outcome::Retry { after, cause: Some(cause) } = outcome? else { panic!("not a retry") };
        assert_eq!((after.as_secs().max(119), cause.code()), (120, "rate_limited"));
    }
    assert!(large.http.refresh_tokens_sent().len() <= 4, "{:?}", large.http.refresh_tokens_sent());
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(retry_after(&keeper, &large, 7).await <= Duration::from_secs(20));
    assert!(large.http.refresh_tokens_sent().len() <= 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn retry_after_sets_the_pause_up_to_fifteen_minutes() -> Result {
    for (retry_after_header, seconds) in [("5", 30), ("300", 300), ("900", 900), ("86400", 900)] {
        let ([large, _], keeper) = two(2).await?;
        large.http.respond("token", 503, "{}");
        *large.http.retry_after.lock().unwrap() = Some(retry_after_header.to_owned());
        assert_eq!(retry_after(&keeper, &large, 0).await.as_secs(), seconds, "{retry_after_header}");
        tokio::time::advance(Duration::from_secs(seconds - 1)).await;
        assert!(retry_after(&keeper, &large, 1).await <= Duration::from_secs(1), "{retry_after_header}");
        assert_eq!(large.http.refresh_tokens_sent().len(), 1, "{retry_after_header}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(keeper.access_token(&large.connection(1)).await.leak_checked().is_err());
        assert_eq!(large.http.refresh_tokens_sent().len(), 2, "{retry_after_header}");
    }
    Ok(())
}

/// GitLab answers 500 at every refresh of a blocked user's tokens with OpenID Connect.
#[tokio::test(start_paused = true)]
async fn a_user_for_whom_the_code_host_fails_pauses_nobody_else() -> Result {
    let ([large, _], keeper) = two(40).await?;
    for n in 1..40 {
        large.http.respond("token", 500, "{}");
        assert!(keeper.access_token(&large.connection(0)).await.leak_checked().is_err());
        large.http.respond("token", 200, r#"{"access_token":"canary-a-{n}","token_type":"Bearer","expires_in":7200}"#);
        assert!(matches!(keeper.ask(&large.connection(n)).await.leak_checked()?, Outcome::Renewed(_)), "{n}");
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    Ok(())
}

/// One token that always fails must not make the pause of the others longer each time.
#[tokio::test(start_paused = true)]
async fn one_failing_connection_does_not_lengthen_the_pause_of_others() -> Result {
    let ([large, _], keeper) = two(2).await?;
    for _ in 0..6 {
        large.http.respond("token", 500, "{}");
        assert!(keeper.access_token(&large.connection(0)).await.leak_checked().is_err());
        tokio::time::advance(Duration::from_secs(31)).await;
        large.http.respond("token", 200, r#"{"access_token":"canary-a-{n}","token_type":"Bearer","expires_in":10}"#);
        assert!(matches!(keeper.ask(&large.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
        tokio::time::advance(Duration::from_secs(900)).await;
    }
    Ok(())
}
