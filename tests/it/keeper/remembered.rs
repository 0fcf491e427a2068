//! Tokens that are returned without a read of the store, and when they must not be.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use codehost_oauth::error::Error;
use codehost_oauth::keeper::{CallError, LoginReason, MemoryTokens, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};

use super::scenario::{Result, Scenario};
use crate::secrets::leak_check::LeakChecked as _;

async fn start(fresh_for: Duration) -> Result<(Scenario, FaultyStore, TokenKeeper)> {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = FaultyStore::new(MemoryTokens::default());
    let keeper = scenario.builder(store.clone()).fresh_for(fresh_for).build();
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    Ok((scenario, store, keeper))
}

#[tokio::test]
async fn the_store_is_read_every_time_by_default() -> Result {
    for (fresh_for, reads) in [(Duration::ZERO, 10), (Duration::from_secs(60), 1)] {
        let (scenario, store, keeper) = start(fresh_for).await?;
        let before = store.calls();
        for _ in 0..10 {
            assert!(matches!(keeper.ask(&scenario.connection).await.leak_checked()?, Outcome::StillValid(_)));
        }
        assert_eq!(store.calls() - before, reads);
    }
    Ok(())
}

#[tokio::test]
async fn a_remembered_token_is_read_again_after_fresh_for() -> Result {
    let (scenario, store, keeper) = start(Duration::from_millis(20)).await?;
    keeper.access_token(&scenario.connection).await.leak_checked()?;
    tokio::time::sleep(Duration::from_millis(40)).await;
    let before = store.calls();
    keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert_eq!(store.calls() - before, 1);
    Ok(())
}

#[tokio::test]
async fn changes_by_this_process_are_seen_at_once() -> Result {
    let (mut scenario, _store, keeper) = start(Duration::from_secs(60)).await?;
    let first = keeper.access_token(&scenario.connection).await.leak_checked()?;

    // A new login, a renewal, and a disconnect.
    let tokens = scenario.log_in().await?;
    let expected = scenario.text(&tokens.access_token);
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    let second = keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert_eq!(scenario.text(&second), expected);
    assert_ne!(scenario.text(&first), expected);

    scenario.expire();
    let renewed = keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert_ne!(scenario.text(&renewed), expected);
    let again = keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert_eq!(scenario.text(&again), scenario.text(&renewed));
    scenario.assert_refreshes(1);

    assert!(keeper.disconnect(&scenario.connection).await.leak_checked()?.deleted);
    let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_began_before_a_disconnect_is_not_remembered() -> Result {
    let (scenario, store, keeper) = start(Duration::from_secs(60)).await?;
    // The store has read the tokens, but the keeper gets them only after the disconnect.
    let (read, was_read) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel::<()>();
    let is_gone = Mutex::new(is_gone);
    let hold = move || {
        read.send(()).unwrap();
        is_gone.lock().unwrap().recv().unwrap();
    };
    store.fail(store.calls(), Fault::After(Arc::new(hold)));
    let (slow, connection) = (keeper.clone(), scenario.connection.clone());
    let reading = tokio::spawn(async move { slow.ask(&connection).await.leak_checked() });
    tokio::task::spawn_blocking(move || was_read.recv()).await??;
    keeper.disconnect(&scenario.connection).await.leak_checked()?;
    gone.send(())?;
    assert!(matches!(reading.await??, Outcome::StillValid(_)));
    let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)));
    Ok(())
}

#[tokio::test]
async fn a_401_reads_the_store_again() -> Result {
    let (scenario, store, keeper) = start(Duration::from_secs(60)).await?;
    let old = keeper.access_token(&scenario.connection).await.leak_checked()?;
    // Another node renews.
    scenario.clock.advance(Duration::from_secs(7200));
    let elsewhere = scenario.keeper(store).access_token(&scenario.connection).await.leak_checked()?;
    scenario.clock.set_back(Duration::from_secs(7200));
    let integration = &scenario.integration;
    let call = async |token| match integration.user(&token).await.leak_checked() {
        Ok(_) => Ok(token),
        Err(error) => Err(CallError::<Error>::from(error)),
    };
    let used = keeper.with_token(&scenario.connection, call).await.leak_checked();
    let used = used.map_err(|error| error.to_string())?;
    assert_ne!(scenario.text(&used), scenario.text(&old));
    assert_eq!(scenario.text(&used), scenario.text(&elsewhere));
    scenario.assert_refreshes(1);
    let next = keeper.access_token(&scenario.connection).await.leak_checked()?;
    assert_eq!(scenario.text(&next), scenario.text(&elsewhere));
    Ok(())
}

#[tokio::test]
async fn a_due_token_is_never_remembered() -> Result {
    let (scenario, store, keeper) = start(Duration::from_secs(60)).await?;
    keeper.access_token(&scenario.connection).await.leak_checked()?;
    scenario.gitlab.respond_next("/oauth/token", 503, &[("Content-Type", "text/html")], "<html>");
    // Due, and still valid: the old token is returned, but the store is read each time.
    scenario.clock.advance(Duration::from_secs(7200 - 30));
    for _ in 0..3 {
        let before = store.calls();
        assert!(matches!(keeper.ask(&scenario.connection).await.leak_checked()?, Outcome::StillValid(_)));
        assert!(store.calls() > before);
    }
    Ok(())
}
