//! A store that fails at each call in turn.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{MemoryTokens, TokenStore};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};
use tokio::sync::mpsc;

use super::scenario::{Result, Scenario};
use crate::secrets::leak_check::LeakChecked as _;

#[tokio::test]
async fn no_fault_of_the_store_loses_tokens() -> Result {
    for fault in [Fault::Error, Fault::LostResponse, Fault::Delay(Duration::from_millis(30))] {
        for call in 0..8 {
            let mut scenario = Scenario::start().await?;
            let tokens = scenario.log_in().await?;
            let store = Arc::new(MemoryTokens::default());
            scenario.keeper(Arc::clone(&store)).import(&scenario.connection, tokens).await.leak_checked()?;
            scenario.expire();

            let faulty = FaultyStore::new(Arc::clone(&store));
            faulty.fail(call, fault.clone());
            let first = scenario.keeper(faulty).access_token(&scenario.connection).await.leak_checked();
            assert!(!first.as_ref().is_err_and(|error| error.advice().needs_login), "{fault:?} {call}: {first:?}");

            // The second node has valid tokens, and no refresh token was used twice.
            let token = scenario.keeper(store).access_token(&scenario.connection).await.leak_checked()?;
            assert!(scenario.integration.user(&token).await.leak_checked().is_ok(), "{fault:?} {call}");
            scenario.assert_refreshes(1);
            if let Ok(first) = first {
                assert_eq!(scenario.text(&first), scenario.text(&token));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn several_failing_writes_are_retried() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let faulty = FaultyStore::new(Arc::clone(&store));
    let keeper = scenario.keeper(faulty.clone());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    // Load, lease, load, mark; then the writes of the new tokens, each followed by the lease's extension.
    let write = faulty.calls() + 4;
    for n in 0..3 {
        faulty.fail(write + n * 2, if n == 1 { Fault::LostResponse } else { Fault::Error });
        faulty.fail(write + n * 2 + 1, Fault::Error);
    }
    assert!(matches!(keeper.ask(&scenario.connection).await.leak_checked()?, Outcome::Renewed(_)));
    scenario.assert_refreshes(1);
    Ok(())
}

#[tokio::test]
async fn a_failing_import_is_retried() -> Result {
    for fault in [Fault::Error, Fault::LostResponse] {
        for call in 0..2 {
            let mut scenario = Scenario::start().await?;
            let tokens = scenario.log_in().await?;
            let store = Arc::new(MemoryTokens::default());
            let faulty = FaultyStore::new(Arc::clone(&store));
            faulty.fail(call, fault.clone());
            scenario.keeper(faulty).import(&scenario.connection, tokens).await.leak_checked()?;
            assert!(scenario.keeper(store).access_token(&scenario.connection).await.leak_checked().is_ok());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_pair_is_never_written_over_a_newer_one() -> Result {
    // While the first node waits to store its pair, the user logs in again, or disconnects.
    for disconnect in [false, true] {
        let mut scenario = Scenario::start().await?;
        let tokens = scenario.log_in().await?;
        let store = Arc::new(MemoryTokens::default());
        let faulty = FaultyStore::new(Arc::clone(&store));
        let slow = scenario.keeper(faulty.clone());
        slow.import(&scenario.connection, tokens).await.leak_checked()?;
        scenario.expire();
        // The write is held until the following steps are done.
        let ((reached, mut at_the_store), (go_on, held)) =
            (mpsc::unbounded_channel(), std::sync::mpsc::channel::<()>());
        let held = std::sync::Mutex::new(held);
        let hold = move || {
            reached.send(()).unwrap();
            // Fails when the sender is dropped.
            let _ = tokio::task::block_in_place(|| held.lock().unwrap().recv());
        };
        faulty.fail(faulty.calls() + 4, Fault::Before(Arc::new(hold)));
        let (waiting, connection) = (slow.clone(), scenario.connection.clone());
        let refresh = tokio::spawn(async move { waiting.ask(&connection).await.leak_checked() });
        at_the_store.recv().await.unwrap();

        scenario.clock.set_back(Duration::from_secs(7200));
        let newer = scenario.log_in().await?;
        let expected = scenario.text(&newer.access_token);
        if disconnect {
            store.delete(&scenario.connection).await?;
            drop(go_on);
            assert!(matches!(refresh.await??, Outcome::NeedsLogin(_)));
            assert!(store.load(&scenario.connection).await?.is_none());
        } else {
            scenario.keeper(Arc::clone(&store)).import(&scenario.connection, newer).await.leak_checked()?;
            drop(go_on);
            let adopted = refresh.await??.into_token()?;
            assert_eq!(scenario.text(&adopted), expected);
            let stored = scenario.keeper(store).access_token(&scenario.connection).await.leak_checked()?;
            assert_eq!(scenario.text(&stored), expected);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_loses_its_lease_still_stores_its_pair() -> Result {
    // The lease ends while the first node waits to store its pair. The code host refuses the old token for the second node, and
    // the pair that the first node then stores is the valid one.
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = Arc::new(MemoryTokens::default());
    let faulty = FaultyStore::new(Arc::clone(&store));
    let stuck = scenario.builder(faulty.clone()).lease(Duration::from_secs(1)).build();
    stuck.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    faulty.fail(faulty.calls() + 4, Fault::Delay(Duration::from_secs(4)));
    let (waiting, connection) = (stuck.clone(), scenario.connection.clone());
    let refresh = tokio::spawn(async move { waiting.access_token(&connection).await.leak_checked() });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let second = scenario.keeper(Arc::clone(&store)).access_token(&scenario.connection).await.leak_checked()?;
    let first = refresh.await??;
    assert_eq!(scenario.text(&first), scenario.text(&second));
    assert!(scenario.integration.user(&second).await.leak_checked().is_ok());
    Ok(())
}
