//! One process: single flight, dropped callers, outages, clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::error::Error;
use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{CallError, LoginReason, MemoryTokens, TokenStore};
use codehost_oauth::testing::{FakeClock, Outcome};
use codehost_oauth::{AccessToken, RefreshToken, Revocation, TokenBinding, TokenSet};

use super::scenario::{Result, Results, Scenario, integration};
use crate::secrets::leak_check::LeakChecked as _;

#[tokio::test]
async fn a_hundred_tasks_make_one_refresh() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    assert!(matches!(keeper.ask(&scenario.connection).await.leak_checked()?, Outcome::StillValid(_)));

    for round in 1..=3 {
        scenario.expire();
        scenario.gitlab.set_latency(Duration::from_millis(50));
        let collected = Results::default();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (keeper, connection, collected) = (keeper.clone(), scenario.connection.clone(), collected.clone());
            let base = scenario.integration.provider().base_url().clone();
            tasks.spawn(async move {
                let token = keeper.access_token(&connection).await.leak_checked().unwrap();
                collected.push(token.expose_for(&base).unwrap().to_owned());
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        collected.assert_all_equal(100);
        scenario.assert_refreshes(round);
    }
    Ok(())
}

#[tokio::test]
async fn several_nodes_make_one_refresh() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let keepers: Vec<_> = (0..8).map(|_| scenario.keeper(Arc::clone(&store))).collect();
    keepers[0].import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    scenario.gitlab.set_latency(Duration::from_millis(300));
    let outcomes = futures_util::future::join_all(keepers.iter().map(|keeper| keeper.ask(&scenario.connection))).await;
    let mut renewed = 0;
    let mut texts = Vec::new();
    for outcome in outcomes {
        match outcome? {
            Outcome::Renewed(token) => {
                renewed += 1;
                texts.push(scenario.text(&token));
            }
            Outcome::RenewedElsewhere(token) => texts.push(scenario.text(&token)),
            other => panic!("{other:?}"),
        }
    }
    texts.dedup();
    assert_eq!((renewed, texts.len()), (1, 1));
    scenario.assert_refreshes(1);
    Ok(())
}

#[tokio::test]
async fn a_dropped_caller_loses_no_tokens() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.gitlab.set_latency(Duration::from_millis(40));
    for cut in 0..16 {
        scenario.expire();
        let _ = tokio::time::timeout(Duration::from_millis(cut * 5), keeper.access_token(&scenario.connection)).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        // After every cut, the stored pair is valid.
        let token = keeper.access_token(&scenario.connection).await.leak_checked()?;
        assert!(scenario.integration.user(&token).await.leak_checked().is_ok(), "cut at {cut}");
    }
    let refreshes = scenario.refresh_tokens_sent().len();
    assert!(refreshes <= 16);
    scenario.assert_refreshes(refreshes);
    Ok(())
}

#[tokio::test]
async fn an_outage_does_not_require_a_login() -> Result {
    let json = [("Content-Type", "application/json")];
    let html = [("Content-Type", "text/html")];
    for (status, headers, body) in [
        (500, &html, "<html>"),
        (502, &html, "<html>bad gateway"),
        (503, &json, "{}"),
        (429, &json, "{\"message\":\"slow down\"}"),
        (200, &html, "<html>maintenance"),
        (200, &json, "{}"),
        (200, &json, "{\"access_token\":7}"),
        (301, &html, ""),
        (403, &html, "<html>captcha"),
        (404, &html, "<html>"),
        (500, &json, "{\"error\":\"invalid_grant\"}"),
        (400, &json, "{\"error\":\"invalid_request\"}"),
        (401, &json, "{\"error\":\"invalid_client\"}"),
    ] {
        let mut scenario = Scenario::start().await?;
        let tokens = scenario.log_in().await?;
        let store = Arc::new(MemoryTokens::default());
        let keeper = scenario.keeper(Arc::clone(&store));
        keeper.import(&scenario.connection, tokens).await.leak_checked()?;

        // Due, and still valid: the caller does not notice the outage.
        scenario.clock.advance(Duration::from_secs(7200 - 30));
        scenario.gitlab.respond_next("/oauth/token", status, headers, body);
        let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::StillValid(_)), "{status} {body}: {outcome:?}");
        // No request is sent within the pause.
        assert!(matches!(keeper.ask(&scenario.connection).await.leak_checked()?, Outcome::StillValid(_)));
        assert_eq!(scenario.refresh_tokens_sent().len(), 1);

        // Expired: another node, which has no pause, gets the same failure.
        let node = scenario.keeper(Arc::clone(&store));
        scenario.expire();
        scenario.gitlab.respond_next("/oauth/token", status, headers, body);
        let error = node.access_token(&scenario.connection).await.leak_checked().unwrap_err();
        assert!(!error.advice().needs_login, "{status} {body}: {error:?}");

        // The outage is over.
        let token = scenario.keeper(store).access_token(&scenario.connection).await.leak_checked()?;
        assert!(scenario.integration.user(&token).await.leak_checked().is_ok());
    }
    Ok(())
}

/// As in the guide, "Test your app".
#[tokio::test]
async fn a_refused_refresh_requires_a_login() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let clock = FakeClock::default();
    let keeper = scenario.builder(MemoryTokens::default()).clock(clock.clone()).build();
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    assert!(keeper.access_token(&scenario.connection).await.leak_checked().is_ok());

    clock.advance(Duration::from_secs(7200));
    let refused = r#"{"error":"invalid_grant"}"#;
    scenario.gitlab.respond_next("/oauth/token", 400, &[("Content-Type", "application/json")], refused);
    let error = keeper.access_token(&scenario.connection).await.leak_checked().unwrap_err();
    assert!(error.advice().needs_login, "{error:?}");
    scenario.assert_refreshes(1);
    Ok(())
}

#[tokio::test]
async fn only_a_refusal_of_the_platform_requires_a_login() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let keeper = scenario.keeper(Arc::clone(&store));
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    scenario.gitlab.revoke_all();
    assert!(matches!(
        keeper.ask(&scenario.connection).await.leak_checked()?,
        Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)
    ));
    // The refusal is stored: other nodes know it without a request.
    let node = scenario.keeper(store);
    assert!(matches!(
        node.ask(&scenario.connection).await.leak_checked()?,
        Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)
    ));
    assert_eq!(scenario.refresh_tokens_sent().len(), 1);
    // After a new login the connection works again.
    let tokens = scenario.log_in().await?;
    node.import(&scenario.connection, tokens).await.leak_checked()?;
    let token = keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert!(scenario.integration.user(&token).await.leak_checked().is_ok());
    Ok(())
}

#[tokio::test]
async fn a_lost_refresh_response_has_its_own_reason() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let keeper = scenario.keeper(Arc::clone(&store));
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    scenario.gitlab.lose_next_response("/oauth/token");
    assert!(keeper.access_token(&scenario.connection).await.leak_checked().unwrap_err().advice().is_transient);
    let node = scenario.keeper(store);
    assert!(matches!(
        node.ask(&scenario.connection).await.leak_checked()?,
        Outcome::NeedsLogin(LoginReason::ResponseLost)
    ));
    Ok(())
}

#[tokio::test]
async fn a_401_leads_to_one_refresh_and_a_repeated_call() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let (keeper, node) = (scenario.keeper(Arc::clone(&store)), scenario.keeper(store));
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.clock.advance(Duration::from_secs(60));
    let calls = AtomicUsize::new(0);

    // Another node renews the tokens between our read and our call.
    let user = keeper
        .with_token(&scenario.connection, async |token: AccessToken| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                scenario.expire();
                node.access_token(&scenario.connection).await.leak_checked().map_err(CallError::Keeper)?;
            }
            scenario.integration.user(&token).await.leak_checked().map_err(CallError::<Error>::from)
        })
        .await?;
    assert_eq!((user.key.to_string(), calls.load(Ordering::SeqCst)), (scenario.connection.to_string(), 2));
    scenario.assert_refreshes(1);

    // The access token expired early: one refresh, one more call.
    scenario.clock.advance(Duration::from_secs(60));
    scenario.gitlab.expire_all_tokens();
    let call = async |token: AccessToken| {
        scenario.integration.user(&token).await.leak_checked().map_err(CallError::<Error>::from)
    };
    keeper.with_token(&scenario.connection, call).await?;
    scenario.assert_refreshes(2);

    // An API that always responds with 401 leads to two more calls and to no refresh, because the tokens are new.
    let calls = AtomicUsize::new(0);
    let refused = keeper.with_token(&scenario.connection, async |_| {
        calls.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>(CallError::<Error>::Unauthorized)
    });
    assert!(matches!(refused.await, Err(CallError::Unauthorized)));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    scenario.assert_refreshes(2);
    Ok(())
}

#[tokio::test]
async fn tokens_of_another_integration_or_user_are_refused() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    let other = integration(scenario.gitlab.base_url(), "other")?;
    let connections = scenario.gitlab.connections();
    for binding in [
        other.binding().clone(),
        TokenBinding::new(
            "demo".parse()?,
            codehost_oauth::BaseUrl::parse(
                "https://evil.example.com",
                &codehost_oauth::transport::Network::public_only(),
            )?,
        ),
    ] {
        let foreign = AccessToken::new("a".to_owned(), &binding).unwrap();
        let refused = keeper.import(&scenario.connection, TokenSet::new(foreign)).await.leak_checked().unwrap_err();
        assert!(matches!(refused, KeeperError::Config(_)));
        let token = AccessToken::new("a".to_owned(), scenario.integration.binding()).unwrap();
        let mut mixed = TokenSet::new(token);
        mixed.refresh_token = RefreshToken::new("r".to_owned(), &binding);
        assert!(matches!(keeper.import(&scenario.connection, mixed).await.leak_checked(), Err(KeeperError::Config(_))));
    }
    // Another user's connection, by mistake.
    let refused = keeper.import(&"gitlab:demo:999".parse()?, tokens).await.leak_checked().unwrap_err();
    assert!(matches!(refused, KeeperError::Config(_)));
    let unknown = keeper.access_token(&"gitlab:gone:1".parse()?).await.leak_checked().unwrap_err();
    assert!(matches!(unknown, KeeperError::UnknownIntegration));
    assert_eq!(scenario.gitlab.connections(), connections);
    Ok(())
}

#[tokio::test]
async fn tokens_of_a_changed_base_url_are_not_used() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    scenario.keeper(Arc::clone(&store)).import(&scenario.connection, tokens).await.leak_checked()?;
    let other = Scenario::start().await?;
    scenario.expire();
    let moved = other.keeper(store);
    assert!(matches!(moved.access_token(&scenario.connection).await.leak_checked(), Err(KeeperError::Config(_))));
    assert_eq!(other.gitlab.connections(), 0);
    Ok(())
}

#[tokio::test]
async fn a_jumping_clock_causes_at_most_one_refresh() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    for (jump, refreshes) in [(-3600, 0), (3600, 0), (86400, 1), (-86400, 1), (0_i64, 1)] {
        let by = Duration::from_secs(jump.unsigned_abs());
        if jump < 0 {
            scenario.clock.set_back(by)
        } else {
            scenario.clock.advance(by)
        }
        for _ in 0..20 {
            keeper.access_token(&scenario.connection).await.leak_checked()?;
        }
        scenario.assert_refreshes(refreshes);
    }
    Ok(())
}

#[tokio::test]
async fn a_disconnect_revokes_and_deletes() -> Result {
    for down in [false, true] {
        let mut scenario = Scenario::start().await?;
        let tokens = scenario.log_in().await?;
        let access = tokens.access_token.duplicate();
        let store = Arc::new(MemoryTokens::default());
        let keeper = scenario.keeper(Arc::clone(&store));
        keeper.import(&scenario.connection, tokens).await.leak_checked()?;
        if down {
            scenario.gitlab.respond_next("/oauth/revoke", 503, &[("Content-Type", "text/html")], "<html>");
        }
        let disconnected = keeper.disconnect(&scenario.connection).await.leak_checked()?;
        let revoked = matches!(disconnected.revocation, Some(Ok(Revocation::Revoked)));
        assert!(disconnected.deleted && revoked != down, "{disconnected:?}");
        assert_eq!(scenario.integration.user(&access).await.leak_checked().is_err(), !down);
        assert!(store.load(&scenario.connection).await?.is_none());
        assert!(!keeper.disconnect(&scenario.connection).await.leak_checked()?.deleted);
        let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)));
    }
    Ok(())
}
