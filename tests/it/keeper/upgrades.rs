//! Additional scopes in a refresh, new required scopes of an integration, and logins that replace older ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::keeper::{
    CallError, Clock as _, KeeperEvent, LoginReason, MemoryTokens, TokenKeeper, TokenKeeperBuilder,
};
use codehost_oauth::testing::Outcome;
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationConfig, Platform, Scopes, TokenSet};

use super::fake_code_host::FakeCodeHost;
use super::scenario::{Result, ring};
use crate::secrets::leak_check::LeakChecked as _;

const LATENCY: Duration = Duration::from_millis(20);

fn access(scopes: &str) -> Access {
    Access::Custom(scopes.parse::<Scopes>().unwrap())
}

/// The integration with these required scopes.
fn integration_with(code_host: &FakeCodeHost, platform: &str, base_url: &str, scopes: &str) -> Result<Integration> {
    let base_url = BaseUrl::parse(base_url, &Network::public_only())?;
    let integration = Integration::builder(
        Platform::find(platform)?.provider(base_url)?,
        Arc::clone(&code_host.http),
        IntegrationConfig {
            id: "demo".parse()?,
            name: "Git".to_owned(),
            public_url: "https://app.example.com".parse()?,
            client_id: "id".to_owned(),
            client_secret: "canary-keeper-secret".to_owned(),
            access: access(scopes),
        },
    )
    .build()?;
    Ok(integration)
}

fn gitlab(code_host: &FakeCodeHost, scopes: &str) -> Result<Integration> {
    integration_with(code_host, "gitlab", "https://git.example.com", scopes)
}

fn builder(code_host: &FakeCodeHost, store: &Arc<MemoryTokens>, integration: Integration) -> TokenKeeperBuilder {
    TokenKeeper::builder(Arc::clone(store), ring(), integration).clock(code_host.clock.clone())
}

fn granted(code_host: &FakeCodeHost, scopes: Option<&str>) -> TokenSet {
    let mut tokens = code_host.tokens(1, code_host.clock.now());
    tokens.scopes = scopes.map(|scopes| scopes.parse().unwrap());
    tokens
}

#[tokio::test(start_paused = true)]
async fn additional_scopes_are_an_event_and_the_pair_is_kept() -> Result {
    // Requested at the login and now; granted at the login; granted by the refresh; the scopes of the event.
    for (requested, before, after, expected_event) in [
        ("read_user", "read_user", "read_user", None),
        ("read_user", "read_user", "", None),
        ("read_user", "read_user", "api read_user", Some("api")),
        ("api read_user", "read_user", "read_user api", None),
        ("api", "api", "api read_api read_user", None),
        ("read_user", "api", "read_api", None),
        ("read_user", "read_user", "read_user sudo admin_mode", Some("sudo admin_mode")),
    ] {
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let (store, events) = (Arc::new(MemoryTokens::default()), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&events);
        let keeper = builder(&code_host, &store, gitlab(&code_host, requested)?)
            .on_event(move |event| list.lock().unwrap().push(format!("{event:?}")))
            .build();
        keeper.import(&code_host.connection(1), granted(&code_host, Some(before))).await?;
        let response = format!(
            r#"{{"access_token":"canary-access-{{n}}","token_type":"Bearer","refresh_token":"canary-refresh-{{n}}",
                "expires_in":7200,"scope":"{after}"}}"#
        );
        code_host.http.respond("token", 200, &response);
        for renewal in 1..=2 {
            tokio::time::advance(Duration::from_secs(7200)).await;
            let outcome = keeper.ask(&code_host.connection(1)).await.leak_checked()?;
            assert!(matches!(outcome, Outcome::Renewed(_)), "{requested}: {before} to {after}: {outcome:?}");
            assert_eq!(code_host.http.refresh_tokens_sent().len(), renewal);
        }
        let events = events.lock().unwrap();
        let expected = expected_event.map(|scopes| scopes.parse::<Scopes>().unwrap());
        assert_eq!(
            events.len(),
            usize::from(expected_event.is_some()),
            "{requested}: {before} to {after}: the event comes once: {events:?}"
        );
        for event in &*events {
            assert!(event.contains(&format!("{:?}", expected.clone().unwrap())), "{event}");
        }
    }
    Ok(())
}

/// Odd members lose no tokens and are reported.
#[tokio::test(start_paused = true)]
async fn odd_responses_are_an_event_and_the_pair_is_kept() -> Result {
    for (members, expected_event) in [
        (r#""token_type":"bearer","expires_in":7200"#, None),
        (r#""token_type":"mac","expires_in":7200"#, Some("[NotBearer]")),
        (r#""token_type":"bearer","expires_in":"soon","scope":7"#, Some("[Scopes, Lifetime]")),
    ] {
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        let (store, events) = (Arc::new(MemoryTokens::default()), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&events);
        let keeper = builder(&code_host, &store, gitlab(&code_host, "read_user")?)
            .on_event(move |event| {
                let KeeperEvent::OddResponse { connection, notes, .. } = event else { panic!("{event:?}") };
                list.lock().unwrap().push((connection.to_string(), format!("{notes:?}"), event.code()));
            })
            .build();
        keeper.import(&code_host.connection(1), granted(&code_host, None)).await?;
        let response =
            format!(r#"{{"access_token":"canary-access-{{n}}","refresh_token":"canary-refresh-{{n}}",{members}}}"#);
        code_host.http.respond("token", 200, &response);
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert!(matches!(keeper.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
        let expected =
            expected_event.map(|notes| (code_host.connection(1).to_string(), notes.to_owned(), "refresh_odd_response"));
        assert_eq!(*events.lock().unwrap(), Vec::from_iter(expected), "{members}");
    }
    Ok(())
}

/// Bitbucket lists implied scopes in some responses only.
#[tokio::test(start_paused = true)]
async fn implied_scopes_are_not_additional_scopes() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let store = Arc::new(MemoryTokens::default());
    let integration =
        integration_with(&code_host, "bitbucket-cloud", "https://bitbucket.org", "account pullrequest:write")?;
    let (builder, events) = code_host.with_events(builder(&code_host, &store, integration.clone()));
    let keeper = builder.build();
    let connection = "bitbucket-cloud:demo:1".parse()?;
    let binding = integration.binding().clone();
    let mut tokens = TokenSet::new(codehost_oauth::AccessToken::new("canary-access-1".to_owned(), &binding).unwrap());
    tokens.refresh_token = codehost_oauth::RefreshToken::new("canary-refresh-1".to_owned(), &binding);
    tokens.scopes = Some("account pullrequest:write".parse()?);
    tokens.expires_in = Some(Duration::from_secs(7200));
    tokens.received_at = code_host.clock.now();
    keeper.import(&connection, tokens).await?;
    code_host.http.respond(
        "access_token",
        200,
        r#"{"access_token":"canary-access-{n}","token_type":"bearer","refresh_token":"canary-refresh-{n}","expires_in":7200,
            "scope":"account email pullrequest pullrequest:write repository repository:write"}"#,
    );
    tokio::time::advance(Duration::from_secs(7200)).await;
    assert!(matches!(keeper.ask(&connection).await.leak_checked()?, Outcome::Renewed(_)));
    assert!(events.lock().unwrap().is_empty(), "{:?}", events.lock().unwrap());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_integration_with_more_scopes_names_the_missing_ones() -> Result {
    // Requested and granted at the login; requested now; the missing scopes.
    for (requested, scopes, now, missing) in [
        ("read_user", Some("read_user"), "read_user", None),
        ("read_user", Some("read_user"), "api read_user", Some("api")),
        ("read_user", None, "api read_user", Some("api")),
        ("read_user", Some("read_user"), "api read_repository read_user", Some("api read_repository")),
        ("api read_user", Some("api read_user"), "read_user", None),
        // Requested before and not granted: the OAuth application lacks it, so another login would not help.
        ("api read_user", Some("read_user"), "api read_user", None),
        // Granted without being requested.
        ("read_user", Some("api read_user"), "api read_user", None),
    ] {
        let code_host = FakeCodeHost::new("demo", LATENCY)?;
        code_host.http.respond(
            "token",
            200,
            r#"{"access_token":"canary-access-{n}","token_type":"Bearer","refresh_token":"canary-refresh-{n}","expires_in":7200}"#,
        );
        let store = Arc::new(MemoryTokens::default());
        let before = builder(&code_host, &store, gitlab(&code_host, requested)?).build();
        before.import(&code_host.connection(1), granted(&code_host, scopes)).await?;
        let upgraded = builder(&code_host, &store, gitlab(&code_host, now)?).build();
        for seconds in [0, 7200, 7200] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let outcome = upgraded.ask(&code_host.connection(1)).await.leak_checked()?;
            let found = match &outcome {
                Outcome::NeedsLogin(LoginReason::ScopesMissing { scopes }) => Some(scopes.to_string()),
                _ => None,
            };
            assert_eq!(found.as_deref(), missing, "{requested}, then {now}: {outcome:?}");
        }
        if let Some(missing) = missing {
            assert_eq!(code_host.http.refresh_tokens_sent(), [""; 0], "a connection without its scopes is not renewed");
            let call = async |_| Ok::<_, CallError<()>>(());
            let Err(CallError::Keeper(error)) = upgraded.with_token(&code_host.connection(1), call).await else {
                panic!()
            };
            assert!(
                error.advice().needs_login
                    && error.to_string().contains(missing)
                    && error.advice().hint.contains(missing)
            );
            assert_eq!(error.code(), "scopes_missing");
            // With `require_scopes(false)`, and with the old integration, the connection still works.
            let lenient = builder(&code_host, &store, gitlab(&code_host, now)?).require_scopes(false).build();
            assert!(matches!(lenient.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
            assert!(
                before.access_token(&code_host.connection(1)).await.leak_checked().is_ok(),
                "the connection is not marked"
            );
            assert!(
                upgraded.ask(&code_host.connection(1)).await.leak_checked()?.into_token().is_err(),
                "a refresh adds nothing"
            );
            // After the login.
            upgraded.import(&code_host.connection(1), granted(&code_host, Some(now))).await?;
            assert!(matches!(upgraded.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::StillValid(_)));
        }
    }
    Ok(())
}

/// Waits for the background work, on the paused clock.
async fn finish_background_work() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_login_revokes_the_replaced_pair() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let keeper = code_host.builder(MemoryTokens::default()).build();
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    finish_background_work().await;
    assert_eq!(code_host.http.revoked(), [""; 0]);
    // The same pair, or one with the same refresh token, replaces nothing.
    keeper.import(&code_host.connection(1), code_host.tokens(1, code_host.clock.now())).await?;
    let mut shared = code_host.tokens(2, code_host.clock.now());
    shared.refresh_token = code_host.tokens(1, code_host.clock.now()).refresh_token;
    keeper.import(&code_host.connection(1), shared).await?;
    finish_background_work().await;
    assert_eq!(code_host.http.revoked(), [""; 0]);
    keeper.import(&code_host.connection(1), code_host.tokens(3, code_host.clock.now())).await?;
    finish_background_work().await;
    assert_eq!(code_host.http.revoked(), ["canary-refresh-1"]);
    // A failed revocation does not fail the import.
    code_host.http.respond("revoke", 503, "{}");
    keeper.import(&code_host.connection(1), code_host.tokens(4, code_host.clock.now())).await?;
    finish_background_work().await;
    assert_eq!(code_host.http.revoked(), ["canary-refresh-1", "canary-refresh-3"]);
    assert_eq!(code_host.text(&keeper.access_token(&code_host.connection(1)).await.leak_checked()?), "canary-access-4");
    Ok(())
}

/// Bitbucket cannot revoke a single pair.
#[tokio::test(start_paused = true)]
async fn at_bitbucket_a_replaced_pair_sends_no_request() -> Result {
    let code_host = FakeCodeHost::new("demo", LATENCY)?;
    let store = Arc::new(MemoryTokens::default());
    let integration = integration_with(&code_host, "bitbucket-cloud", "https://bitbucket.org", "account")?;
    let keeper = builder(&code_host, &store, integration.clone()).build();
    for n in 1..=2 {
        let binding = integration.binding();
        let tokens = TokenSet::new(codehost_oauth::AccessToken::new(format!("canary-access-{n}"), binding).unwrap());
        keeper.import(&"bitbucket-cloud:demo:1".parse()?, tokens).await?;
    }
    finish_background_work().await;
    assert_eq!(code_host.http.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
    Ok(())
}
