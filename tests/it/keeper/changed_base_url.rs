//! An integration gets another base URL during a refresh at the old one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::AppError;
use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{Clock as _, MemoryTokens, TokenKeeper, TokenStore as _};
use codehost_oauth::testing::{Fault, FaultyStore, Outcome};
use codehost_oauth::{AccessToken, FindIntegration, Integration, IntegrationId, RefreshToken, TokenSet};
use tokio::time::Instant;

use super::fake_code_host::{FakeCodeHost, FakeHttp};
use super::scenario::{Result, integration_over, ring};
use crate::secrets::leak_check::LeakChecked as _;

struct SavedIntegration(Arc<Mutex<Integration>>);

#[async_trait::async_trait]
impl FindIntegration for SavedIntegration {
    async fn find(&self, _: &IntegrationId) -> std::result::Result<Option<Integration>, AppError> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }
}

fn tokens(of: &Integration, name: &str, code_host: &FakeCodeHost) -> TokenSet {
    let binding = of.binding().clone();
    let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{name}"), &binding).unwrap());
    tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{name}"), &binding);
    tokens.expires_in = Some(Duration::from_secs(7200));
    tokens.received_at = code_host.clock.now();
    tokens
}

/// The old code host is slow, and then responds with tokens, a refusal or a failure. The user logs in at the new one.
#[tokio::test(start_paused = true)]
async fn a_slow_old_code_host_does_not_block_the_new_one() -> Result {
    for (status, body) in [
        (
            200,
            r#"{"access_token":"canary-access-late","token_type":"Bearer","refresh_token":"canary-refresh-late","expires_in":7200}"#,
        ),
        (400, r#"{"error":"invalid_grant"}"#),
        (503, "{}"),
    ] {
        let old = FakeCodeHost::new("demo", Duration::from_secs(12))?;
        old.http.respond("token", status, body);
        let new_wire = Arc::new(FakeHttp::default());
        new_wire.respond(
            "token",
            200,
            r#"{"access_token":"canary-access-next","token_type":"Bearer","refresh_token":"canary-refresh-next","expires_in":7200}"#,
        );
        let moved = integration_over(Arc::clone(&new_wire), "https://new.example.com", "demo")?;
        let saved = Arc::new(Mutex::new(old.integration.clone()));
        let store = Arc::new(MemoryTokens::default());
        let keeper = TokenKeeper::builder(Arc::clone(&store), ring(), SavedIntegration(Arc::clone(&saved)));
        let keeper = keeper.clock(old.clock.clone()).build();
        let connection = old.connection(1);
        keeper.import(&connection, old.tokens(1, old.clock.now())).await?;
        tokio::time::advance(Duration::from_secs(7200)).await;

        let (old_keeper, id) = (keeper.clone(), connection.clone());
        let old_call = tokio::spawn(async move { old_keeper.ask(&id).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        *saved.lock().unwrap() = moved.clone();
        keeper.import(&connection, tokens(&moved, "new", &old)).await?;
        let begun = Instant::now();
        let token = keeper.access_token(&connection).await.leak_checked()?;
        assert_eq!(token.expose_for(moved.provider().base_url())?, "canary-access-new");
        // The API refuses the token, so it must be renewed during the other refresh.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let call = async |token: AccessToken| match token.expose_for(moved.provider().base_url()).unwrap() {
            "canary-access-new" => Err(codehost_oauth::keeper::CallError::<()>::Unauthorized),
            text => Ok(text.to_owned()),
        };
        assert_eq!(keeper.with_token(&connection, call).await.unwrap(), "canary-access-next", "{status}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}: {:?}", begun.elapsed());

        // The caller at the old code host gets none of the new tokens, and does not wait long.
        let outcome = old_call.await?;
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}: {:?}", begun.elapsed());
        match &outcome {
            Err(error) => assert_eq!(error.code(), "other_binding", "{status}"),
            Ok(outcome) => assert!(matches!(outcome, Outcome::Retry { .. }) && status == 503, "{status}: {outcome:?}"),
        }
        let late: &[&str] = if status == 200 { &["canary-refresh-late"] } else { &[] };
        assert_eq!(old.http.revoked(), late, "the unused pair is revoked");
        assert_eq!(new_wire.refresh_tokens_sent(), ["canary-refresh-new"]);
        keeper.finish().await;
        let token = keeper.access_token(&connection).await.leak_checked()?;
        assert_eq!(token.expose_for(moved.provider().base_url())?, "canary-access-next", "{status}");
    }
    Ok(())
}

/// A row that cannot be opened is not a failing store: the error is returned at once, and not after ten minutes of tries.
#[tokio::test(start_paused = true)]
async fn an_unreadable_row_is_not_retried() -> Result {
    let memory = Arc::new(MemoryTokens::default());
    let store = FaultyStore::new(Arc::clone(&memory));
    let code_host = FakeCodeHost::new("demo", Duration::from_millis(20))?;
    let keeper = code_host.due(code_host.builder(store.clone()).patience(Duration::from_secs(3600))).await?;
    // Read, leased, read, marked; then another row is stored in its place.
    let (there, connection) = (Arc::clone(&memory), code_host.connection(1));
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
    let error = keeper.ask(&code_host.connection(1)).await.leak_checked().unwrap_err();
    assert!(matches!(error, KeeperError::Seal(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(code_host.http.revoked().len(), 1);
    Ok(())
}
