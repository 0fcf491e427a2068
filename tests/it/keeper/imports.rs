//! Logins that are imported at the same time, while the store loses a response.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{Clock as _, MemoryStore, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore};

use super::scenario::Result;
use super::wire::Host;
use crate::watch::Watched as _;

/// The first try of the first login is stored, and its response is lost. Before it is tried again, a second login comes.
#[tokio::test(start_paused = true)]
async fn a_repeated_import_brings_no_revoked_pair_back() -> Result {
    let host = Host::new("large", Duration::from_millis(20))?;
    let store = Arc::new(MemoryStore::default());
    let faulty = FaultyStore::new(Arc::clone(&store));
    faulty.fail(1, Fault::LostAnswer);
    let slow = host.builder(faulty).build();
    let (connection, tokens) = (host.connection(1), host.tokens(1, host.clock.now()));
    let first = tokio::spawn(async move { slow.import(&connection, tokens).await.watched() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = host.builder(Arc::clone(&store)).build();
    other.import(&host.connection(1), host.tokens(2, host.clock.now())).await.watched()?;
    first.await??;

    assert_stored(&host, &other, "canary-access-2").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let revoked = host.wire.revoked();
    assert!(!revoked.is_empty() && revoked.iter().all(|token| token == "canary-refresh-1"), "{} tokens", revoked.len());
    Ok(())
}

/// The same where the first try was not stored: a renewal of what was there before is no other login, and is replaced.
#[tokio::test(start_paused = true)]
async fn a_repeated_import_replaces_a_renewal_of_an_older_login() -> Result {
    let host = Host::new("large", Duration::from_millis(20))?;
    let store = Arc::new(MemoryStore::default());
    let other = host.due(host.builder(Arc::clone(&store))).await?;
    let faulty = FaultyStore::new(Arc::clone(&store));
    faulty.fail(1, Fault::Error);
    let slow = host.builder(faulty).build();
    let (connection, tokens) = (host.connection(1), host.tokens(2, host.clock.now()));
    let import = tokio::spawn(async move { slow.import(&connection, tokens).await.watched() });
    tokio::task::yield_now().await;
    let renewed = other.access_token(&host.connection(1)).await.watched()?;
    assert!(host.text(&renewed).starts_with("canary-access-new-"));
    import.await??;
    assert_stored(&host, &other, "canary-access-2").await
}

async fn assert_stored(host: &Host, keeper: &TokenKeeper, expected: &str) -> Result {
    let token = keeper.access_token(&host.connection(1)).await.watched()?;
    assert!(host.text(&token) == expected, "another login is stored");
    Ok(())
}
