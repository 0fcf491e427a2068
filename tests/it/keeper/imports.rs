//! Logins that are imported at the same time, while the store loses a response.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{Clock as _, MemoryTokens, TokenKeeper};
use codehost_oauth::testing::{Fault, FaultyStore};

use super::fake_code_host::FakeCodeHost;
use super::scenario::Result;
use crate::secrets::leak_check::LeakChecked as _;

/// The first try of the first import is stored and its response is lost. A second login is imported before the second try.
#[tokio::test(start_paused = true)]
async fn a_repeated_import_does_not_overwrite_a_newer_login() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_millis(20))?;
    let store = Arc::new(MemoryTokens::default());
    let faulty = FaultyStore::new(Arc::clone(&store));
    faulty.fail(1, Fault::LostResponse);
    let slow = code_host.builder(faulty).build();
    let (connection, tokens) = (code_host.connection(1), code_host.tokens(1, code_host.clock.now()));
    let first = tokio::spawn(async move { slow.import(&connection, tokens).await.leak_checked() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = code_host.builder(Arc::clone(&store)).build();
    other.import(&code_host.connection(1), code_host.tokens(2, code_host.clock.now())).await.leak_checked()?;
    first.await??;

    assert_stored(&code_host, &other, "canary-access-2").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let revoked = code_host.http.revoked();
    assert!(!revoked.is_empty() && revoked.iter().all(|token| token == "canary-refresh-1"), "{} tokens", revoked.len());
    Ok(())
}

/// The first try is not stored. Meanwhile the older pair is renewed; that is not a newer login, so it is replaced.
#[tokio::test(start_paused = true)]
async fn a_repeated_import_replaces_a_renewal_of_an_older_login() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_millis(20))?;
    let store = Arc::new(MemoryTokens::default());
    let other = code_host.due(code_host.builder(Arc::clone(&store))).await?;
    let faulty = FaultyStore::new(Arc::clone(&store));
    faulty.fail(1, Fault::Error);
    let slow = code_host.builder(faulty).build();
    let (connection, tokens) = (code_host.connection(1), code_host.tokens(2, code_host.clock.now()));
    let import = tokio::spawn(async move { slow.import(&connection, tokens).await.leak_checked() });
    tokio::task::yield_now().await;
    let renewed = other.access_token(&code_host.connection(1)).await.leak_checked()?;
    assert!(code_host.text(&renewed).starts_with("canary-access-new-"));
    import.await??;
    assert_stored(&code_host, &other, "canary-access-2").await
}

/// A login replaces a pair that is being renewed. The pair of the refresh is not used any more and must be revoked.
#[tokio::test(start_paused = true)]
async fn a_login_during_a_refresh_revokes_the_refreshed_pair() -> Result {
    let code_host = FakeCodeHost::new("large", Duration::from_millis(200))?;
    let store = Arc::new(MemoryTokens::default());
    let keeper = code_host.due(code_host.builder(Arc::clone(&store))).await?;
    let refreshing = tokio::spawn({
        let (keeper, connection) = (keeper.clone(), code_host.connection(1));
        async move { keeper.access_token(&connection).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    code_host
        .builder(Arc::clone(&store))
        .build()
        .import(&code_host.connection(1), code_host.tokens(2, code_host.clock.now()))
        .await?;
    assert_eq!(code_host.text(&refreshing.await?.leak_checked()?), "canary-access-2");
    assert_eq!(code_host.http.refresh_tokens_sent(), ["canary-refresh-1"]);
    assert_stored(&code_host, &keeper, "canary-access-2").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let revoked = code_host.http.revoked();
    assert!(revoked.iter().any(|token| token.starts_with("canary-refresh-new-")), "{} tokens", revoked.len());
    assert!(!revoked.iter().any(|token| token == "canary-refresh-2"));
    Ok(())
}

async fn assert_stored(code_host: &FakeCodeHost, keeper: &TokenKeeper, expected: &str) -> Result {
    let token = keeper.access_token(&code_host.connection(1)).await.leak_checked()?;
    assert!(code_host.text(&token) == expected, "the stored pair is of another login");
    Ok(())
}
