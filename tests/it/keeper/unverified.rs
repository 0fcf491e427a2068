//! New tokens that could not be verified after the refresh: they are stored, and not returned before their user is verified.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{LoginReason, MemoryTokens, TokenKeeper, TokenStore};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};

use super::fake_code_host::{FakeCodeHost, delete};
use super::scenario::Result;
use crate::secrets::leak_check::LeakChecked as _;

const SAME_USER: &str = r#"{"id":1,"username":"x","state":"active"}"#;
const ANOTHER_USER: &str = r#"{"id":7,"username":"y","state":"active"}"#;

/// After a refresh whose tokens could not be verified, because the API was down.
async fn unverified(store: impl TokenStore + 'static) -> Result<(FakeCodeHost, TokenKeeper)> {
    let code_host = FakeCodeHost::new("demo", Duration::from_millis(20))?;
    let keeper = code_host.due(code_host.builder(store).verify_identity(true)).await?;
    code_host.http.respond("user", 503, "{}");
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::Retry { cause: Some(_), .. }), "{outcome:?}");
    assert_eq!(code_host.http.refresh_tokens_sent(), ["canary-refresh-1"]);
    Ok((code_host, keeper))
}

#[tokio::test(start_paused = true)]
async fn unverified_tokens_are_returned_after_the_user_is_verified() -> Result {
    let store = Arc::new(MemoryTokens::default());
    let (code_host, keeper) = unverified(Arc::clone(&store)).await?;
    code_host.http.respond("user", 200, SAME_USER);
    // Another node reads the tokens that the first has stored.
    let other = code_host.builder(store).verify_identity(true).build();
    for keeper in [&other, &keeper] {
        let token = keeper.access_token(&code_host.connection(1)).await.leak_checked()?;
        assert_eq!(code_host.text(&token), "canary-access-new-0");
    }
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 1, "the tokens are not renewed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unverified_tokens_of_another_user_are_never_returned() -> Result {
    let (code_host, keeper) = unverified(MemoryTokens::default()).await?;
    code_host.http.respond("user", 200, ANOTHER_USER);
    for _ in 0..2 {
        let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::SubjectChanged)), "{outcome:?}");
    }
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 1, "a dead connection is not renewed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unverified_tokens_are_not_returned_while_the_api_is_down() -> Result {
    let (code_host, keeper) = unverified(MemoryTokens::default()).await?;
    for _ in 0..3 {
        let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
        let Outcome::Retry { after, cause: Some(_) } = outcome else { panic!("{outcome:?}") };
        tokio::time::advance(after).await;
    }
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 1, "the tokens are new, so they are not renewed");
    Ok(())
}

/// Expired tokens cannot be verified: they are renewed, and the new ones are verified.
#[tokio::test(start_paused = true)]
async fn expired_tokens_are_renewed_and_verified_again() -> Result {
    let (code_host, keeper) = unverified(MemoryTokens::default()).await?;
    tokio::time::advance(Duration::from_secs(7200)).await;
    code_host.http.respond("user", 401, r#"{"message":"401 Unauthorized"}"#);
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(code_host.http.refresh_tokens_sent(), ["canary-refresh-1", "canary-refresh-new-0"]);
    code_host.http.respond("user", 200, ANOTHER_USER);
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::SubjectChanged)), "{outcome:?}");
    Ok(())
}

/// Tokens that the code host refuses cannot be verified, so they are not returned.
#[tokio::test(start_paused = true)]
async fn refused_tokens_are_renewed_and_not_returned() -> Result {
    let (code_host, keeper) = unverified(MemoryTokens::default()).await?;
    code_host.http.respond("user", 401, r#"{"message":"401 Unauthorized"}"#);
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(code_host.http.refresh_tokens_sent(), ["canary-refresh-1", "canary-refresh-new-0"]);
    code_host.http.respond("user", 200, SAME_USER);
    let token = keeper.access_token(&code_host.connection(1)).await.leak_checked()?;
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 2);
    assert_ne!(code_host.text(&token), "canary-access-new-0");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_connection_deleted_during_the_verification_stays_deleted() -> Result {
    let memory = Arc::new(MemoryTokens::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let (code_host, keeper) = unverified(store.clone()).await?;
    code_host.http.respond("user", 200, SAME_USER);
    // It is read, leased, read again, and written.
    let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
    store.fail(store.calls() + 3, Fault::Before(Arc::new(move || delete(&there, &connection))));
    let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
    assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::NotConnected)), "{outcome:?}");
    assert!(memory.load(&code_host.connection(1)).await?.is_none());
    Ok(())
}
