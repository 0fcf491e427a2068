//! An integration gets another base URL while a refresh at the old one is under way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::KeeperError;
use codehost_oauth::keeper::{Clock as _, Integrations, MemoryStore, Outcome, TokenKeeper, TokenStore as _};
use codehost_oauth::testing::{Fault, FaultyStore};
use codehost_oauth::{AccessToken, Integration, IntegrationId, RefreshToken, TokenSet};
use tokio::time::Instant;

use super::scenario::{Result, integration_over, ring};
use super::wire::{Host, Wire};
use crate::watch::Watched as _;

struct Saved(Arc<Mutex<Arc<Integration>>>);

#[async_trait::async_trait]
impl Integrations for Saved {
    async fn find(&self, _: &IntegrationId) -> std::result::Result<Option<Arc<Integration>>, KeeperError> {
        Ok(Some(Arc::clone(&self.0.lock().unwrap())))
    }
}

fn tokens(of: &Integration, name: &str, host: &Host) -> TokenSet {
    let origin = of.expected().origin.clone();
    let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{name}"), &origin).unwrap());
    tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{name}"), &origin);
    tokens.expires_in = Some(Duration::from_secs(7200));
    tokens.received_at = host.clock.now();
    tokens
}

/// The old code host takes its time, and answers well, with a refusal, or not at all. The user logs in at the new one.
#[tokio::test(start_paused = true)]
async fn the_old_code_host_keeps_nobody_waiting() -> Result {
    for (status, body) in [
        (
            200,
            r#"{"access_token":"canary-access-late","token_type":"Bearer","refresh_token":"canary-refresh-late","expires_in":7200}"#,
        ),
        (400, r#"{"error":"invalid_grant"}"#),
        (503, "{}"),
    ] {
        let old = Host::new("demo", Duration::from_secs(12))?;
        old.wire.answers("token", status, body);
        let new_wire = Arc::new(Wire::default());
        new_wire.answers(
            "token",
            200,
            r#"{"access_token":"canary-access-next","token_type":"Bearer","refresh_token":"canary-refresh-next","expires_in":7200}"#,
        );
        let moved = Arc::new(integration_over(Arc::clone(&new_wire), "https://new.example.com", "demo")?);
        let saved = Arc::new(Mutex::new(Arc::clone(&old.integration)));
        let store = Arc::new(MemoryStore::default());
        let keeper = TokenKeeper::builder(Arc::clone(&store), ring(), Saved(Arc::clone(&saved)));
        let keeper = keeper.clock(old.clock.clone()).build();
        let connection = old.connection(1);
        keeper.import(&connection, old.tokens(1, old.clock.now())).await?;
        tokio::time::advance(Duration::from_secs(7200)).await;

        let (asked, id) = (keeper.clone(), connection.clone());
        let asking = tokio::spawn(async move { asked.ask(&id).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        *saved.lock().unwrap() = Arc::clone(&moved);
        keeper.import(&connection, tokens(&moved, "new", &old)).await?;
        let begun = Instant::now();
        let token = keeper.access_token(&connection).await.watched()?;
        assert_eq!(token.expose_for(moved.provider().base_url())?, "canary-access-new");
        // The API does not accept it any more, so that it must be renewed while the other refresh is still under way.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let call = async |token: AccessToken| match token.expose_for(moved.provider().base_url()).unwrap() {
            "canary-access-new" => Err(codehost_oauth::keeper::CallError::<()>::Unauthorized),
            text => Ok(text.to_owned()),
        };
        assert_eq!(keeper.with_token(&connection, call).await.unwrap(), "canary-access-next", "{status}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}: {:?}", begun.elapsed());

        // Whoever asked for the old one gets none of the new tokens, and soon.
        let outcome = asking.await?;
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}: {:?}", begun.elapsed());
        match &outcome {
            Err(error) => assert_eq!(error.code(), "other_instance", "{status}"),
            Ok(outcome) => assert!(matches!(outcome, Outcome::Retry { .. }) && status == 503, "{status}: {outcome:?}"),
        }
        let late: &[&str] = if status == 200 { &["canary-refresh-late"] } else { &[] };
        assert_eq!(old.wire.revoked(), late, "what nobody will ask for is ended");
        assert_eq!(new_wire.spent(), ["canary-refresh-new"]);
        keeper.finish().await;
        let token = keeper.access_token(&connection).await.watched()?;
        assert_eq!(token.expose_for(moved.provider().base_url())?, "canary-access-next", "{status}");
    }
    Ok(())
}

/// What does not open is not a store that fails: it is told at once, and not tried for ten minutes.
#[tokio::test(start_paused = true)]
async fn only_failures_of_the_store_are_outlasted() -> Result {
    let memory = Arc::new(MemoryStore::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let host = Host::new("demo", Duration::from_millis(20))?;
    let keeper = host.due(host.builder(store.clone()).patience(Duration::from_secs(3600))).await?;
    // Read, leased, read, marked; then somebody else's row is in its place.
    let (there, connection) = (Arc::clone(&memory), host.connection(1));
    store.fail(
        store.calls() + 4,
        Fault::Before(Arc::new(move || {
            use futures_util::FutureExt as _;
            let found = there.load(&connection).now_or_never().unwrap().unwrap().unwrap();
            let mut other = found.clone();
            other.revision = codehost_oauth::keeper::Revision::from_i64(7);
            other.sealed.reverse();
            there.compare_and_swap(&connection, Some(found.revision), &other).now_or_never().unwrap().unwrap();
        })),
    );
    let begun = Instant::now();
    let error = keeper.ask(&host.connection(1)).await.watched().unwrap_err();
    assert!(matches!(error, KeeperError::Seal(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(host.wire.revoked().len(), 1);
    Ok(())
}
