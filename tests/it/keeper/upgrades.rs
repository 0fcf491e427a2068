//! Scopes that grow, scopes that the integration asks for anew, and logins that replace older ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::keeper::{
    CallError, Clock as _, KeeperEvent, LoginReason, MemoryStore, Outcome, TokenKeeper, TokenKeeperBuilder,
};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Integration, Platform, Scopes, TokenSet};

use super::scenario::{Result, ring};
use super::wire::Host;
use crate::watch::Watched as _;

const BRIEFLY: Duration = Duration::from_millis(20);

fn access(scopes: &str) -> Access {
    Access::Custom(scopes.parse::<Scopes>().unwrap())
}

/// The host's integration, as it is when it asks for these scopes.
fn asking(host: &Host, platform: &str, base_url: &str, scopes: &str) -> Result<Arc<Integration>> {
    let base_url = BaseUrl::parse(base_url, &Network::public_only())?;
    let integration = Integration::builder(Platform::find(platform)?.at(base_url)?)
        .id("demo".parse()?)
        .name("Git")
        .host("https://app.example.com".parse()?)
        .client("id", "canary-keeper-secret")
        .access(access(scopes))
        .transport(Arc::clone(&host.wire))
        .build()?;
    Ok(Arc::new(integration))
}

fn gitlab(host: &Host, scopes: &str) -> Result<Arc<Integration>> {
    asking(host, "gitlab", "https://git.example.com", scopes)
}

fn builder(host: &Host, store: &Arc<MemoryStore>, integration: Arc<Integration>) -> TokenKeeperBuilder {
    TokenKeeper::builder(Arc::clone(store), ring(), integration).clock(host.clock.clone())
}

fn granted(host: &Host, scopes: Option<&str>) -> TokenSet {
    let mut tokens = host.tokens(1, host.clock.now());
    tokens.scopes = scopes.map(|scopes| scopes.parse().unwrap());
    tokens
}

#[tokio::test(start_paused = true)]
async fn scopes_that_grow_are_told_and_the_pair_is_kept() -> Result {
    // Asked for at the login and now; granted at the login; granted by the refresh; what is told.
    for (asked, before, after, told) in [
        ("read_user", "read_user", "read_user", None),
        ("read_user", "read_user", "", None),
        ("read_user", "read_user", "api read_user", Some("api")),
        ("api read_user", "read_user", "read_user api", None),
        ("api", "api", "api read_api read_user", None),
        ("read_user", "api", "read_api", None),
        ("read_user", "read_user", "read_user sudo admin_mode", Some("sudo admin_mode")),
    ] {
        let host = Host::new("demo", BRIEFLY)?;
        let (store, heard) = (Arc::new(MemoryStore::default()), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&heard);
        let keeper = builder(&host, &store, gitlab(&host, asked)?)
            .on_event(move |event| list.lock().unwrap().push(format!("{event:?}")))
            .build();
        keeper.import(&host.connection(1), granted(&host, Some(before))).await?;
        let answer = format!(
            r#"{{"access_token":"canary-access-{{n}}","token_type":"Bearer","refresh_token":"canary-refresh-{{n}}",
                "expires_in":7200,"scope":"{after}"}}"#
        );
        host.wire.answers("token", 200, &answer);
        for renewal in 1..=2 {
            tokio::time::advance(Duration::from_secs(7200)).await;
            let outcome = keeper.ask(&host.connection(1)).await.watched()?;
            assert!(matches!(outcome, Outcome::Renewed(_)), "{asked}: {before} to {after}: {outcome:?}");
            assert_eq!(host.wire.spent().len(), renewal);
        }
        let heard = heard.lock().unwrap();
        let expected = told.map(|scopes| scopes.parse::<Scopes>().unwrap());
        assert_eq!(heard.len(), usize::from(told.is_some()), "{asked}: {before} to {after}: once is enough: {heard:?}");
        for event in &*heard {
            assert!(event.contains(&format!("{:?}", expected.clone().unwrap())), "{event}");
        }
    }
    Ok(())
}

/// What was odd costs nobody their tokens, and does not get lost.
#[tokio::test(start_paused = true)]
async fn odd_responses_are_told_and_the_pair_is_kept() -> Result {
    for (members, told) in [
        (r#""token_type":"bearer","expires_in":7200"#, None),
        (r#""token_type":"mac","expires_in":7200"#, Some("[NotBearer]")),
        (r#""token_type":"bearer","expires_in":"soon","scope":7"#, Some("[Scopes, Lifetime]")),
    ] {
        let host = Host::new("demo", BRIEFLY)?;
        let (store, heard) = (Arc::new(MemoryStore::default()), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&heard);
        let keeper = builder(&host, &store, gitlab(&host, "read_user")?)
            .on_event(move |event| {
                let KeeperEvent::OddResponse { connection, notes } = event else { panic!("{event:?}") };
                list.lock().unwrap().push((connection.to_string(), format!("{notes:?}"), event.code()));
            })
            .build();
        keeper.import(&host.connection(1), granted(&host, None)).await?;
        let response =
            format!(r#"{{"access_token":"canary-access-{{n}}","refresh_token":"canary-refresh-{{n}}",{members}}}"#);
        host.wire.answers("token", 200, &response);
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert!(matches!(keeper.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
        let expected = told.map(|notes| (host.connection(1).to_string(), notes.to_owned(), "refresh_odd_response"));
        assert_eq!(*heard.lock().unwrap(), Vec::from_iter(expected), "{members}");
    }
    Ok(())
}

/// Bitbucket names what it implies in one response and not in another.
#[tokio::test(start_paused = true)]
async fn implied_scopes_are_no_growth() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let store = Arc::new(MemoryStore::default());
    let integration = asking(&host, "bitbucket-cloud", "https://bitbucket.org", "account pullrequest:write")?;
    let (builder, heard) = host.hearing(builder(&host, &store, Arc::clone(&integration)));
    let keeper = builder.build();
    let connection = "bitbucket-cloud:demo:1".parse()?;
    let origin = integration.expected().origin.clone();
    let mut tokens = TokenSet::new(codehost_oauth::AccessToken::new("canary-access-1".to_owned(), &origin).unwrap());
    tokens.refresh_token = codehost_oauth::RefreshToken::new("canary-refresh-1".to_owned(), &origin);
    tokens.scopes = Some("account pullrequest:write".parse()?);
    tokens.expires_in = Some(Duration::from_secs(7200));
    tokens.received_at = host.clock.now();
    keeper.import(&connection, tokens).await?;
    host.wire.answers(
        "access_token",
        200,
        r#"{"access_token":"canary-access-{n}","token_type":"bearer","refresh_token":"canary-refresh-{n}","expires_in":7200,
            "scope":"account email pullrequest pullrequest:write repository repository:write"}"#,
    );
    tokio::time::advance(Duration::from_secs(7200)).await;
    assert!(matches!(keeper.ask(&connection).await.watched()?, Outcome::Renewed(_)));
    assert!(heard.lock().unwrap().is_empty(), "{:?}", heard.lock().unwrap());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_integration_that_asks_for_more_names_what_is_missing() -> Result {
    // Asked for and granted at the login; asked for now; what is named.
    for (asked, scopes, now, missing) in [
        ("read_user", Some("read_user"), "read_user", None),
        ("read_user", Some("read_user"), "api read_user", Some("api")),
        ("read_user", None, "api read_user", Some("api")),
        ("read_user", Some("read_user"), "api read_repository read_user", Some("api read_repository")),
        ("api read_user", Some("api read_user"), "read_user", None),
        // It was asked for, and the OAuth application does not have it: another login would end the same.
        ("api read_user", Some("read_user"), "api read_user", None),
        // Granted without being asked for.
        ("read_user", Some("api read_user"), "api read_user", None),
    ] {
        let host = Host::new("demo", BRIEFLY)?;
        host.wire.answers(
            "token",
            200,
            r#"{"access_token":"canary-access-{n}","token_type":"Bearer","refresh_token":"canary-refresh-{n}","expires_in":7200}"#,
        );
        let store = Arc::new(MemoryStore::default());
        let before = builder(&host, &store, gitlab(&host, asked)?).build();
        before.import(&host.connection(1), granted(&host, scopes)).await?;
        let upgraded = builder(&host, &store, gitlab(&host, now)?).build();
        for seconds in [0, 7200, 7200] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let outcome = upgraded.ask(&host.connection(1)).await.watched()?;
            let named = match &outcome {
                Outcome::NeedsLogin(LoginReason::ScopesMissing { scopes }) => Some(scopes.to_string()),
                _ => None,
            };
            assert_eq!(named.as_deref(), missing, "{asked}, then {now}: {outcome:?}");
        }
        if let Some(missing) = missing {
            assert_eq!(host.wire.spent(), [""; 0], "it is not renewed for ever");
            let call = async |_| Ok::<_, CallError<()>>(());
            let Err(CallError::Keeper(error)) = upgraded.with_token(&host.connection(1), call).await else { panic!() };
            assert!(error.needs_login() && error.to_string().contains(missing) && error.hint().contains(missing));
            assert_eq!(error.code(), "scopes_missing");
            // Whoever wants to go on with what there is does so; and so does everybody if it is asked for no more.
            let lenient = builder(&host, &store, gitlab(&host, now)?).require_scopes(false).build();
            assert!(matches!(lenient.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
            assert!(before.access_token(&host.connection(1)).await.watched().is_ok(), "nothing was marked");
            assert!(upgraded.ask(&host.connection(1)).await.watched()?.into_token().is_err(), "a refresh adds nothing");
            // After the login.
            upgraded.import(&host.connection(1), granted(&host, Some(now))).await?;
            assert!(matches!(upgraded.ask(&host.connection(1)).await.watched()?, Outcome::StillValid(_)));
        }
    }
    Ok(())
}

/// Ends the background work of this test, which runs on a clock of its own.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_login_ends_the_pair_that_it_replaces() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let keeper = host.builder(MemoryStore::default()).build();
    keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
    settle().await;
    assert_eq!(host.wire.revoked(), [""; 0]);
    // The same pair again replaces nothing, nor does one with the same refresh token.
    keeper.import(&host.connection(1), host.tokens(1, host.clock.now())).await?;
    let mut shared = host.tokens(2, host.clock.now());
    shared.refresh_token = host.tokens(1, host.clock.now()).refresh_token;
    keeper.import(&host.connection(1), shared).await?;
    settle().await;
    assert_eq!(host.wire.revoked(), [""; 0]);
    keeper.import(&host.connection(1), host.tokens(3, host.clock.now())).await?;
    settle().await;
    assert_eq!(host.wire.revoked(), ["canary-refresh-1"]);
    // A code host that does not answer, or refuses, keeps nobody from logging in.
    host.wire.answers("revoke", 503, "{}");
    keeper.import(&host.connection(1), host.tokens(4, host.clock.now())).await?;
    settle().await;
    assert_eq!(host.wire.revoked(), ["canary-refresh-1", "canary-refresh-3"]);
    assert_eq!(host.text(&keeper.access_token(&host.connection(1)).await.watched()?), "canary-access-4");
    Ok(())
}

/// It cannot end one pair alone, and says so without sending anything.
#[tokio::test(start_paused = true)]
async fn where_one_pair_cannot_be_ended_nothing_is_sent() -> Result {
    let host = Host::new("demo", BRIEFLY)?;
    let store = Arc::new(MemoryStore::default());
    let integration = asking(&host, "bitbucket-cloud", "https://bitbucket.org", "account")?;
    let keeper = builder(&host, &store, Arc::clone(&integration)).build();
    for n in 1..=2 {
        let origin = integration.expected().origin;
        let tokens = TokenSet::new(codehost_oauth::AccessToken::new(format!("canary-access-{n}"), origin).unwrap());
        keeper.import(&"bitbucket-cloud:demo:1".parse()?, tokens).await?;
    }
    settle().await;
    assert_eq!(host.wire.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
    Ok(())
}
