//! New tokens that could not be verified when they came: they are stored, and nobody gets them before it is known whose
//! they are.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{LoginReason, MemoryStore, Outcome, TokenKeeper, TokenStore};
use codehost_oauth::testing::{Fault, FaultyStore};

use super::scenario::Result;
use super::wire::{Host, delete};
use crate::watch::Watched as _;

const HER: &str = r#"{"id":1,"username":"x","state":"active"}"#;
const SOMEBODY_ELSE: &str = r#"{"id":7,"username":"y","state":"active"}"#;

/// After a refresh whose tokens could not be verified, since the API was down.
async fn unverified(store: impl TokenStore + 'static) -> Result<(Host, TokenKeeper)> {
    let host = Host::new("demo", Duration::from_millis(20))?;
    let keeper = host.due(host.builder(store).verify_identity(true)).await?;
    host.wire.answers("user", 503, "{}");
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::Retry { cause: None, .. }), "{outcome:?}");
    assert_eq!(host.wire.spent(), ["canary-refresh-1"]);
    Ok((host, keeper))
}

#[tokio::test(start_paused = true)]
async fn they_are_handed_out_once_they_are_known_to_be_hers() -> Result {
    let store = Arc::new(MemoryStore::default());
    let (host, keeper) = unverified(Arc::clone(&store)).await?;
    host.wire.answers("user", 200, HER);
    // Another node reads what the first has stored.
    let other = host.builder(store).verify_identity(true).build();
    for keeper in [&other, &keeper] {
        let token = keeper.access_token(&host.connection(1)).await.watched()?;
        assert_eq!(host.text(&token), "canary-access-new-0");
    }
    assert_eq!(host.wire.spent().len(), 1, "there was nothing to renew");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn those_of_somebody_else_are_never_handed_out() -> Result {
    let (host, keeper) = unverified(MemoryStore::default()).await?;
    host.wire.answers("user", 200, SOMEBODY_ELSE);
    for _ in 0..2 {
        let outcome = keeper.ask(&host.connection(1)).await.watched()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::SubjectChanged)), "{outcome:?}");
    }
    assert_eq!(host.wire.spent().len(), 1, "a dead connection is not renewed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn as_long_as_nobody_knows_nobody_gets_them() -> Result {
    let (host, keeper) = unverified(MemoryStore::default()).await?;
    for _ in 0..3 {
        let outcome = keeper.ask(&host.connection(1)).await.watched()?;
        let Outcome::Retry { after, cause: Some(_) } = outcome else { panic!("{outcome:?}") };
        tokio::time::advance(after).await;
    }
    assert_eq!(host.wire.spent().len(), 1, "they are new, so nothing is renewed");
    Ok(())
}

/// Too old to be asked about: they are renewed, and what comes then is verified in its turn.
#[tokio::test(start_paused = true)]
async fn expired_ones_are_renewed_and_verified_again() -> Result {
    let (host, keeper) = unverified(MemoryStore::default()).await?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    host.wire.answers("user", 401, r#"{"message":"401 Unauthorized"}"#);
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(host.wire.spent(), ["canary-refresh-1", "canary-refresh-new-0"]);
    host.wire.answers("user", 200, SOMEBODY_ELSE);
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::SubjectChanged)), "{outcome:?}");
    Ok(())
}

/// Nobody can be asked with what the code host does not accept, however new it is, so nobody gets it either.
#[tokio::test(start_paused = true)]
async fn refused_ones_are_renewed_and_not_handed_out() -> Result {
    let (host, keeper) = unverified(MemoryStore::default()).await?;
    host.wire.answers("user", 401, r#"{"message":"401 Unauthorized"}"#);
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(host.wire.spent(), ["canary-refresh-1", "canary-refresh-new-0"]);
    host.wire.answers("user", 200, HER);
    let token = keeper.access_token(&host.connection(1)).await.watched()?;
    assert_eq!(host.wire.spent().len(), 2);
    assert_ne!(host.text(&token), "canary-access-new-0");
    Ok(())
}

/// Whatever another node does in the meantime counts.
#[tokio::test(start_paused = true)]
async fn a_connection_that_goes_away_meanwhile_stays_away() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let (host, keeper) = unverified(store.clone()).await?;
    host.wire.answers("user", 200, HER);
    // It is read, leased, read again, and written.
    let (there, connection) = (Arc::clone(&memory), host.connection(1));
    store.fail(store.calls() + 3, Fault::Before(Arc::new(move || delete(&there, &connection))));
    let outcome = keeper.ask(&host.connection(1)).await.watched()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)), "{outcome:?}");
    assert!(memory.load(&host.connection(1)).await?.is_none());
    Ok(())
}
