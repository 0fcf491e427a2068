//! One process: single flight, dropped callers, outages, clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehost_oauth::error::{Error, KeeperError};
use codehost_oauth::keeper::{CallError, LoginReason, MemoryStore, Outcome, TokenStore};
use codehost_oauth::{AccessToken, Origin, RefreshToken, Revocation, TokenSet};

use super::scenario::{Collected, Result, Scenario, integration};
use crate::watch::Watched as _;

#[tokio::test]
async fn a_hundred_tasks_refresh_once() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryStore::default());
    keeper.import(&scenario.connection, tokens).await.watched()?;
    assert!(matches!(keeper.ask(&scenario.connection).await.watched()?, Outcome::StillValid(_)));

    for round in 1..=3 {
        scenario.expire();
        scenario.gitlab.set_latency(Duration::from_millis(50));
        let collected = Collected::default();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (keeper, connection, collected) = (keeper.clone(), scenario.connection.clone(), collected.clone());
            let base = scenario.integration.provider().base_url().clone();
            tasks.spawn(async move {
                let token = keeper.access_token(&connection).await.watched().unwrap();
                collected.push(token.expose_for(&base).unwrap().to_owned());
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        collected.unanimous(100);
        scenario.assert_refreshes(round);
    }
    Ok(())
}

#[tokio::test]
async fn several_nodes_refresh_once() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryStore::default());
    let keepers: Vec<_> = (0..8).map(|_| scenario.keeper(Arc::clone(&store))).collect();
    keepers[0].import(&scenario.connection, tokens).await.watched()?;
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
async fn a_dropped_caller_loses_nothing() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryStore::default());
    keeper.import(&scenario.connection, tokens).await.watched()?;
    scenario.gitlab.set_latency(Duration::from_millis(40));
    for cut in 0..16 {
        scenario.expire();
        let _ = tokio::time::timeout(Duration::from_millis(cut * 5), keeper.access_token(&scenario.connection)).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        // Whatever was cut off, the stored pair is alive.
        let token = keeper.access_token(&scenario.connection).await.watched()?;
        assert!(scenario.integration.user(&token).await.watched().is_ok(), "cut at {cut}");
    }
    let refreshes = scenario.spent().len();
    assert!(refreshes <= 16);
    scenario.assert_refreshes(refreshes);
    Ok(())
}

#[tokio::test]
async fn an_outage_is_no_log_out() -> Result {
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
        let store = Arc::new(MemoryStore::default());
        let keeper = scenario.keeper(Arc::clone(&store));
        keeper.import(&scenario.connection, tokens).await.watched()?;

        // Due, and still good: the outage goes unnoticed.
        scenario.clock.advance(7200 - 30);
        scenario.gitlab.respond_next("/oauth/token", status, headers, body);
        let outcome = keeper.ask(&scenario.connection).await.watched()?;
        assert!(matches!(outcome, Outcome::StillValid(_)), "{status} {body}: {outcome:?}");
        // Nobody asks again within the pause.
        assert!(matches!(keeper.ask(&scenario.connection).await.watched()?, Outcome::StillValid(_)));
        assert_eq!(scenario.spent().len(), 1);

        // Expired: another node, which has no pause, hears the same.
        let node = scenario.keeper(Arc::clone(&store));
        scenario.expire();
        scenario.gitlab.respond_next("/oauth/token", status, headers, body);
        let error = node.access_token(&scenario.connection).await.watched().unwrap_err();
        assert!(!error.needs_login(), "{status} {body}: {error:?}");

        // It is over.
        let token = scenario.keeper(store).access_token(&scenario.connection).await.watched()?;
        assert!(scenario.integration.user(&token).await.watched().is_ok());
    }
    Ok(())
}

#[tokio::test]
async fn only_the_platforms_word_is_a_log_out() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryStore::default());
    let keeper = scenario.keeper(Arc::clone(&store));
    keeper.import(&scenario.connection, tokens).await.watched()?;
    scenario.expire();
    scenario.gitlab.revoke_all();
    assert!(matches!(keeper.ask(&scenario.connection).await.watched()?, Outcome::NeedsLogin(LoginReason::Refused)));
    // It is remembered, on every node, and asked once.
    let node = scenario.keeper(store);
    assert!(matches!(node.ask(&scenario.connection).await.watched()?, Outcome::NeedsLogin(LoginReason::Refused)));
    assert_eq!(scenario.spent().len(), 1);
    // A new login is the way back.
    let tokens = scenario.log_in().await?;
    node.import(&scenario.connection, tokens).await.watched()?;
    let token = keeper.access_token(&scenario.connection).await.watched()?;
    assert!(scenario.integration.user(&token).await.watched().is_ok());
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_is_told_apart() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryStore::default());
    let keeper = scenario.keeper(Arc::clone(&store));
    keeper.import(&scenario.connection, tokens).await.watched()?;
    scenario.expire();
    scenario.gitlab.lose_next_answer("/oauth/token");
    assert!(keeper.access_token(&scenario.connection).await.watched().unwrap_err().is_transient());
    let node = scenario.keeper(store);
    assert!(matches!(node.ask(&scenario.connection).await.watched()?, Outcome::NeedsLogin(LoginReason::AnswerLost)));
    Ok(())
}

#[tokio::test]
async fn a_401_is_answered_once() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryStore::default());
    let (keeper, node) = (scenario.keeper(Arc::clone(&store)), scenario.keeper(store));
    keeper.import(&scenario.connection, tokens).await.watched()?;
    scenario.clock.advance(60);
    let calls = AtomicUsize::new(0);

    // Another node renews the tokens between our read and our call.
    let who = keeper
        .with_token(&scenario.connection, async |token: AccessToken| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                scenario.expire();
                node.access_token(&scenario.connection).await.watched().map_err(CallError::Keeper)?;
            }
            scenario.integration.user(&token).await.watched().map_err(CallError::<Error>::from)
        })
        .await?;
    assert_eq!((who.key.to_string(), calls.load(Ordering::SeqCst)), (scenario.connection.to_string(), 2));
    scenario.assert_refreshes(1);

    // The access token died early: one refresh, one more call.
    scenario.clock.advance(60);
    scenario.gitlab.expire_all_tokens();
    let call =
        async |token: AccessToken| scenario.integration.user(&token).await.watched().map_err(CallError::<Error>::from);
    keeper.with_token(&scenario.connection, call).await?;
    scenario.assert_refreshes(2);

    // An API that always says 401 costs no more than that and two more tries, and new tokens are not renewed for it.
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
async fn tokens_of_another_integration_go_nowhere() -> Result {
    let scenario = Scenario::start().await?;
    let keeper = scenario.keeper(MemoryStore::default());
    let other = integration(scenario.gitlab.base_url(), "other")?;
    let connections = scenario.gitlab.connections();
    for origin in [
        other.expected().origin.clone(),
        Origin::new(
            "demo".parse()?,
            codehost_oauth::BaseUrl::parse(
                "https://evil.example.com",
                &codehost_oauth::transport::Network::public_only(),
            )?,
        ),
    ] {
        let foreign = AccessToken::new("a".to_owned(), &origin).unwrap();
        let refused = keeper.import(&scenario.connection, TokenSet::new(foreign)).await.watched().unwrap_err();
        assert!(matches!(refused, KeeperError::Config(_)));
        let own = AccessToken::new("a".to_owned(), scenario.integration.expected().origin).unwrap();
        let mut mixed = TokenSet::new(own);
        mixed.refresh_token = RefreshToken::new("r".to_owned(), &origin);
        assert!(matches!(keeper.import(&scenario.connection, mixed).await.watched(), Err(KeeperError::Config(_))));
    }
    let unknown = keeper.access_token(&"gitlab:gone:1".parse()?).await.watched().unwrap_err();
    assert!(matches!(unknown, KeeperError::UnknownIntegration));
    assert_eq!(scenario.gitlab.connections(), connections);
    Ok(())
}

#[tokio::test]
async fn a_changed_base_url_opens_nothing() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryStore::default());
    scenario.keeper(Arc::clone(&store)).import(&scenario.connection, tokens).await.watched()?;
    let elsewhere = Scenario::start().await?;
    scenario.expire();
    let moved = elsewhere.keeper(store);
    assert!(matches!(moved.access_token(&scenario.connection).await.watched(), Err(KeeperError::Config(_))));
    assert_eq!(elsewhere.gitlab.connections(), 0);
    Ok(())
}

#[tokio::test]
async fn jumping_clocks_cause_no_storm() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryStore::default());
    keeper.import(&scenario.connection, tokens).await.watched()?;
    for (jump, refreshes) in [(-3600, 0), (3600, 0), (86400, 1), (-86400, 1), (0, 1)] {
        scenario.clock.advance(jump);
        for _ in 0..20 {
            keeper.access_token(&scenario.connection).await.watched()?;
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
        let store = Arc::new(MemoryStore::default());
        let keeper = scenario.keeper(Arc::clone(&store));
        keeper.import(&scenario.connection, tokens).await.watched()?;
        if down {
            scenario.gitlab.respond_next("/oauth/revoke", 503, &[("Content-Type", "text/html")], "<html>");
        }
        let gone = keeper.disconnect(&scenario.connection).await.watched()?;
        let revoked = matches!(gone.revocation, Some(Ok(Revocation::Revoked)));
        assert!(gone.deleted && revoked != down, "{gone:?}");
        assert_eq!(scenario.integration.user(&access).await.watched().is_err(), !down);
        assert!(store.load(&scenario.connection).await?.is_none());
        assert!(!keeper.disconnect(&scenario.connection).await.watched()?.deleted);
        let outcome = keeper.ask(&scenario.connection).await.watched()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)));
    }
    Ok(())
}
