//! `with_token` around the app's own calls of the API.

use std::time::Duration;

use codehost_oauth::AccessToken;
use codehost_oauth::error::Error;
use codehost_oauth::keeper::{CallError, MemoryTokens};
use codehost_oauth::provider::ApiResponse;

use super::scenario::{Result, Scenario};
use crate::secrets::leak_check::LeakChecked as _;

/// The token has ended at the code host, and looks valid to the keeper.
#[tokio::test]
async fn a_refused_token_is_renewed_and_the_call_repeated() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.gitlab.expire_all_tokens();
    scenario.clock.advance(Duration::from_secs(60));

    let integration = &scenario.integration;
    let user = async |token: AccessToken| Ok(integration.api_get(&["api", "v4", "user"]).send(&token).await?);
    let response: Called = keeper.with_token(&scenario.connection, user).await.leak_checked();
    assert!(response?.text().contains(r#""username":"alice""#));
    scenario.assert_refreshes(1);
    Ok(())
}

#[tokio::test]
async fn other_refusals_renew_nothing() -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let keeper = scenario.keeper(MemoryTokens::default());
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    let integration = &scenario.integration;
    let nothing = async |token: AccessToken| Ok(integration.api_get(&["api", "v4", "nothing"]).send(&token).await?);
    // As in a handler of a web framework, the future can move between threads.
    let call = require_send(keeper.with_token(&scenario.connection, nothing));
    let result: Called = call.await.leak_checked();
    let Err(CallError::Failed(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.code(), "resource_not_found");
    scenario.assert_refreshes(0);
    Ok(())
}

type Called = std::result::Result<ApiResponse, CallError<Error>>;

fn require_send<T: Send>(value: T) -> T {
    value
}
