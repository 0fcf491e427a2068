//! Refusals that can be about the client or about the token: no connection is marked dead before the keeper knows which.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::AppError;
use codehost_oauth::error::{Audience, TransportError};
use codehost_oauth::keeper::KeeperError;
use codehost_oauth::keeper::{Clock as _, ConnectionId, KeeperEvent, LoginReason, MemoryTokens, TokenKeeper};
use codehost_oauth::testing::Outcome;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, FindIntegration, Integration, IntegrationConfig, IntegrationId, Platform,
    RefreshToken, TokenSet,
};

use super::fake_code_host::{FakeCodeHost, VirtualClock};
use super::scenario::{Result, ring};
use crate::secrets::leak_check::{self, LeakChecked as _};

const CLIENT_REFUSED: &str =
    r#"{"error_description":"Invalid OAuth client credentials","error":"unauthorized_client"}"#;
const NO_CODE: &str = r#"{"error_description":"The specified code is not valid.","error":"invalid_grant"}"#;
const SECRET: &str = "canary-lock-out-secret";

/// A token endpoint with the same response for a dead refresh token, a wrong secret and a locked-out client.
#[derive(Debug, Default)]
struct Bitbucket(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    locked: bool,
    /// The response to a refresh while the client is locked out, instead of the default.
    refusal: Option<String>,
    /// The number of requests after which `locked` changes.
    changes_after: Option<usize>,
    dead: HashSet<String>,
    /// The response to a made-up code, instead of the default: status and body.
    probe: Option<(u16, &'static str)>,
    lost: bool,
    /// The refresh tokens that were sent, and `code` for each code.
    sent: Vec<String>,
    renewed: usize,
}

impl Bitbucket {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().sent.clone()
    }

    fn probes(&self) -> usize {
        self.sent().iter().filter(|sent| *sent == "code").count()
    }

    fn response(&self, request: &http::Request<Vec<u8>>) -> std::result::Result<(u16, String), TransportError> {
        use base64::Engine as _;
        let mut state = self.0.lock().unwrap();
        let form: HashMap<_, _> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let refresh = form.get("refresh_token").cloned();
        state.sent.push(refresh.clone().unwrap_or_else(|| "code".to_owned()));
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("key:{SECRET}"));
        let accepted = request.headers().get("authorization").is_some_and(|sent| sent == &format!("Basic {basic}"));
        let locked = state.locked;
        if let Some(left) = state.changes_after {
            state.changes_after = left.checked_sub(1);
            if left == 1 {
                state.locked = !locked;
            }
        }
        if locked || !accepted {
            return match (refresh, state.lost) {
                (None, true) => Err(TransportError::TimedOut),
                (Some(_), _) if state.refusal.is_some() => Ok((400, state.refusal.clone().unwrap_or_default())),
                _ => Ok((400, CLIENT_REFUSED.to_owned())),
            };
        }
        match refresh {
            None if state.lost => Err(TransportError::TimedOut),
            None => Ok(state.probe.map_or((400, NO_CODE.to_owned()), |(status, body)| (status, body.to_owned()))),
            Some(token) if state.dead.contains(&token) => Ok((400, CLIENT_REFUSED.to_owned())),
            Some(_) => {
                state.renewed += 1;
                let n = state.renewed;
                Ok((
                    200,
                    format!(
                        r#"{{"access_token":"canary-renewed-{n}","token_type":"bearer","scope":"account","expires_in":7200,"refresh_token":"canary-next-{n}"}}"#
                    ),
                ))
            }
        }
    }
}

#[async_trait::async_trait]
impl Transport for Bitbucket {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: usize,
    ) -> std::result::Result<http::Response<Vec<u8>>, TransportError> {
        leak_check::request(&request);
        let response = self.response(&request);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (status, body) = response?;
        let response = http::Response::builder().status(status).header("content-type", "application/json");
        Ok(response.body(body.into_bytes()).unwrap())
    }
}

/// The currently saved integration.
#[derive(Clone)]
struct SavedIntegration(Arc<Mutex<Integration>>);

#[async_trait::async_trait]
impl FindIntegration for SavedIntegration {
    async fn find(&self, _: &IntegrationId) -> std::result::Result<Option<Integration>, AppError> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }
}

struct LockOutScenario {
    bitbucket: Arc<Bitbucket>,
    saved: SavedIntegration,
    store: Arc<MemoryTokens>,
    clock: VirtualClock,
    keeper: TokenKeeper,
    events: Arc<Mutex<Vec<String>>>,
}

impl LockOutScenario {
    /// With this many connections, all of which are due.
    async fn due(count: usize) -> Result<Self> {
        let bitbucket = Arc::new(Bitbucket::default());
        let saved = SavedIntegration(Arc::new(Mutex::new(integration(&bitbucket, SECRET)?)));
        let (store, clock) = (Arc::new(MemoryTokens::default()), VirtualClock::start());
        let events = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&events);
        let keeper = TokenKeeper::builder(Arc::clone(&store), ring(), saved.clone()).clock(clock.clone());
        let keeper = keeper.on_event(move |event: &KeeperEvent| list.lock().unwrap().push(event.code().to_owned()));
        let scenario = Self { keeper: keeper.build(), bitbucket, saved, store, clock, events };
        for n in 0..count {
            scenario.keeper.import(&connection(n), scenario.tokens(n)).await.leak_checked()?;
        }
        tokio::time::advance(Duration::from_secs(7200)).await;
        Ok(scenario)
    }

    fn tokens(&self, n: usize) -> TokenSet {
        let integration = self.saved.0.lock().unwrap().clone();
        let binding = integration.binding().clone();
        let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{n}"), &binding).unwrap());
        tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{n}"), &binding);
        tokens.scopes = Some("account".parse().unwrap());
        tokens.expires_in = Some(Duration::from_secs(7200));
        tokens.received_at = self.clock.now();
        tokens
    }

    async fn ask(&self, n: usize) -> std::result::Result<Outcome, KeeperError> {
        self.keeper.ask(&connection(n)).await.leak_checked()
    }

    /// Asks another node, which knows only the stored tokens.
    async fn ask_another_node(&self, n: usize) -> std::result::Result<Outcome, KeeperError> {
        let node = TokenKeeper::builder(Arc::clone(&self.store), ring(), self.saved.clone());
        node.clock(self.clock.clone()).build().ask(&connection(n)).await.leak_checked()
    }
}

fn connection(n: usize) -> ConnectionId {
    format!("bitbucket-cloud:demo:{n}").parse().unwrap()
}

fn integration(bitbucket: &Arc<Bitbucket>, secret: &str) -> Result<Integration> {
    let base_url = BaseUrl::parse("https://bitbucket.org", &Network::public_only())?;
    Ok(Integration::builder(
        Platform::find("bitbucket-cloud")?.provider(base_url)?,
        Arc::clone(bitbucket),
        IntegrationConfig {
            id: "demo".parse()?,
            name: "Bitbucket".to_owned(),
            public_url: "https://app.example.com".parse()?,
            client_id: "key".to_owned(),
            client_secret: secret.to_owned(),
            access: Access::SignIn,
        },
    )
    .build()?)
}

fn assert_administrator(outcome: std::result::Result<Outcome, KeeperError>) {
    let error = outcome.unwrap_err();
    let KeeperError::Refused { after, .. } = &error else { panic!("{error:?}") };
    assert!(*after <= Duration::from_secs(60), "{after:?}");
    assert_eq!((error.code(), error.advice().audience), ("client_rejected", Audience::Administrator));
    assert!(
        !error.advice().needs_login && error.advice().hint.contains("wait some minutes"),
        "{}",
        error.advice().hint
    );
}

#[tokio::test(start_paused = true)]
async fn a_locked_out_client_requires_no_login() -> Result {
    const MANY: usize = 50;
    let scenario = LockOutScenario::due(MANY).await?;
    scenario.bitbucket.set(|state| state.locked = true);
    let outcomes = futures_util::future::join_all((0..MANY).map(|n| scenario.ask(n))).await;
    outcomes.into_iter().for_each(assert_administrator);
    let sent = scenario.bitbucket.sent();
    assert_eq!(scenario.bitbucket.probes(), 1, "{sent:?}");
    assert!(sent.len() <= 5, "the refreshes in flight, and the probe: {sent:?}");
    // No request is sent for a minute.
    tokio::time::advance(Duration::from_secs(50)).await;
    for n in 0..MANY {
        assert_administrator(scenario.ask(n).await);
    }
    assert_eq!(scenario.bitbucket.sent().len(), sent.len());
    assert_eq!(*scenario.events.lock().unwrap(), ["client_rejected"]);
    // Then it is tried again, until it succeeds.
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_administrator(scenario.ask(0).await);
    }
    assert_eq!(scenario.bitbucket.probes(), 6);
    // After the lock-out all connections work again.
    scenario.bitbucket.set(|state| state.locked = false);
    tokio::time::advance(Duration::from_secs(61)).await;
    for n in 0..MANY {
        assert!(matches!(scenario.ask(n).await?, Outcome::Renewed(_)), "{n}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_returned_while_the_client_is_locked_out() -> Result {
    let scenario = LockOutScenario::due(2).await?;
    for n in 0..2 {
        scenario.keeper.import(&connection(n), scenario.tokens(n)).await.leak_checked()?;
    }
    // Due, and still valid for some seconds.
    tokio::time::advance(Duration::from_secs(7200 - 50)).await;
    scenario.bitbucket.set(|state| state.locked = true);
    for n in [0, 1, 0, 1] {
        assert!(matches!(scenario.ask(n).await?, Outcome::StillValid(_)), "{n}");
    }
    assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn after_a_wrong_secret_is_corrected_all_connections_work() -> Result {
    let scenario = LockOutScenario::due(3).await?;
    *scenario.saved.0.lock().unwrap() = integration(&scenario.bitbucket, "canary-not-the-secret")?;
    for n in 0..3 {
        assert_administrator(scenario.ask(n).await);
    }
    assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code"]);
    // The result for the wrong secret does not count for the right one.
    *scenario.saved.0.lock().unwrap() = integration(&scenario.bitbucket, SECRET)?;
    for n in 0..3 {
        assert!(matches!(scenario.ask(n).await?, Outcome::Renewed(_)), "{n}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_requires_a_login_after_the_probe() -> Result {
    for refusal in [
        (400, NO_CODE),
        (400, r#"{"error":"invalid_request","error_description":"No callback uri defined for the OAuth client."}"#),
        (401, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"invalid_request","error_description":"an unknown text"}"#),
    ] {
        let scenario = LockOutScenario::due(2).await?;
        scenario.bitbucket.set(|state| {
            state.dead.insert("canary-refresh-0".to_owned());
            state.probe = Some(refusal);
        });
        for _ in 0..2 {
            assert!(
                matches!(scenario.ask(0).await?, Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)),
                "{refusal:?}"
            );
            assert!(
                matches!(scenario.ask_another_node(0).await?, Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)),
                "{refusal:?}"
            );
        }
        assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code", "canary-refresh-0"], "{refusal:?}");
        assert!(matches!(scenario.ask(1).await?, Outcome::Renewed(_)), "the other token is valid");
        assert!(scenario.events.lock().unwrap().is_empty());
    }
    Ok(())
}

/// The lock-out ends, or begins, between the refusal and the probe.
#[tokio::test(start_paused = true)]
async fn a_lock_out_that_ends_or_begins_before_the_probe_requires_no_login() -> Result {
    let scenario = LockOutScenario::due(1).await?;
    scenario.bitbucket.set(|state| (state.locked, state.changes_after) = (true, Some(1)));
    assert!(matches!(scenario.ask(0).await?, Outcome::Renewed(_)));
    assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code", "canary-refresh-0"]);

    let scenario = LockOutScenario::due(1).await?;
    scenario.bitbucket.set(|state| {
        state.dead.insert("canary-refresh-0".to_owned());
        state.changes_after = Some(1);
    });
    assert_administrator(scenario.ask(0).await);
    scenario.bitbucket.set(|state| state.locked = false);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(
        matches!(scenario.ask(0).await?, Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)),
        "the token is dead"
    );
    Ok(())
}

/// These responses say nothing about the client.
#[tokio::test(start_paused = true)]
async fn an_unclear_probe_marks_no_connection_dead() -> Result {
    for refusal in [
        None,
        Some((500, "{}")),
        Some((503, NO_CODE)),
        Some((429, "{}")),
        Some((403, NO_CODE)),
        Some((404, "{}")),
        Some((400, r#"{"error":"server_error"}"#)),
        Some((400, r#"{"error":"temporarily_unavailable"}"#)),
        Some((400, r#"{"type":"error","error":{"message":"no"}}"#)),
        Some((400, r#"{"error":"access_denied"}"#)),
        Some((400, r#"{"error":"rate_limit_exceeded","error_description":"Too many attempts."}"#)),
        Some((401, r#"{"error":"account_locked"}"#)),
        Some((200, "[]")),
        Some((200, "{}")),
    ] {
        for dead in [false, true] {
            let scenario = LockOutScenario::due(1).await?;
            scenario.bitbucket.set(|state| {
                // Refused, and the reason is unclear.
                state.dead.insert("canary-refresh-0".to_owned());
                (state.probe, state.lost) = (refusal, refusal.is_none());
            });
            let error = scenario.keeper.access_token(&connection(0)).await.leak_checked().unwrap_err();
            assert!(!error.advice().needs_login, "{refusal:?}: {error:?}");
            assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code"], "{refusal:?}");
            scenario.bitbucket.set(|state| {
                (state.probe, state.lost) = (None, false);
                if !dead {
                    state.dead.clear();
                }
            });
            let outcome = scenario.ask_another_node(0).await?;
            match dead {
                true => {
                    assert!(
                        matches!(outcome, Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)),
                        "{refusal:?}: {outcome:?}"
                    )
                }
                false => assert!(matches!(outcome, Outcome::Renewed(_)), "{refusal:?}: {outcome:?}"),
            }
        }
    }
    Ok(())
}

/// The description of a wrong secret may come with another error code.
#[tokio::test(start_paused = true)]
async fn a_description_about_the_client_leads_to_a_probe() -> Result {
    for error in ["unauthorized_client", "invalid_grant"] {
        for description in ["Invalid OAuth client credentials", "The client is blocked."] {
            let scenario = LockOutScenario::due(1).await?;
            let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
            scenario.bitbucket.set(|state| (state.locked, state.refusal) = (true, Some(body)));
            let error = scenario.keeper.access_token(&connection(0)).await.leak_checked().unwrap_err();
            assert!(!error.advice().needs_login, "{error:?}");
            assert_eq!(scenario.bitbucket.sent(), ["canary-refresh-0", "code"]);
            scenario.bitbucket.set(|state| state.locked = false);
            assert!(matches!(scenario.ask_another_node(0).await?, Outcome::Renewed(_)));
        }
    }
    Ok(())
}

/// Many users have revoked the app at once. Each connection gets its own result.
#[tokio::test(start_paused = true)]
async fn many_dead_tokens_all_require_a_login() -> Result {
    let scenario = LockOutScenario::due(20).await?;
    scenario.bitbucket.set(|state| state.dead.extend((0..19).map(|n| format!("canary-refresh-{n}"))));
    let outcomes = futures_util::future::join_all((0..20).map(|n| scenario.ask(n))).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome? {
            Outcome::NeedsLogin(LoginReason::RefreshTokenRejected) => assert!(n < 19),
            Outcome::Renewed(_) => assert_eq!(n, 19),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert!(scenario.bitbucket.probes() <= 19);
    Ok(())
}

/// A refusal that is certainly about the client needs no probe, and counts for the whole integration for a minute.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_client_counts_for_the_whole_integration() -> Result {
    let code_host = FakeCodeHost::new("demo", Duration::from_millis(20))?;
    let keeper = code_host.builder(MemoryTokens::default()).build();
    for n in 0..50 {
        keeper.import(&code_host.connection(n), code_host.tokens(n, code_host.clock.now())).await?;
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    code_host.http.respond("token", 401, r#"{"error":"invalid_client"}"#);
    let connections: Vec<_> = (0..50).map(|n| code_host.connection(n)).collect();
    let outcomes = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    outcomes.into_iter().for_each(assert_administrator);
    assert!(code_host.http.refresh_tokens_sent().len() <= 4, "{:?}", code_host.http.refresh_tokens_sent());
    Ok(())
}

/// GitLab has the same error, `invalid_grant`, for a token of another client and for a dead one.
#[tokio::test(start_paused = true)]
async fn after_a_wrong_client_id_is_corrected_the_tokens_work() -> Result {
    let code_host = FakeCodeHost::new("demo", Duration::from_millis(20))?;
    let store = Arc::new(MemoryTokens::default());
    let keeper = code_host.due(code_host.builder(Arc::clone(&store))).await?;
    let other = |client_id: &str| -> Result<TokenKeeper> {
        let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
        let integration = Integration::builder(
            Platform::find("gitlab")?.provider(base_url)?,
            Arc::clone(&code_host.http),
            IntegrationConfig {
                id: "demo".parse()?,
                name: "GitLab".to_owned(),
                public_url: "https://app.example.com".parse()?,
                client_id: client_id.to_owned(),
                client_secret: "canary-keeper-secret".to_owned(),
                access: Access::SignIn,
            },
        )
        .build()?;
        let builder = TokenKeeper::builder(Arc::clone(&store), ring(), Arc::new(integration));
        Ok(builder.clock(code_host.clock.clone()).build())
    };
    code_host.http.respond("token", 400, r#"{"error":"invalid_grant"}"#);
    let wrong_client = other("of-another-application")?;
    for _ in 0..2 {
        let outcome = wrong_client.ask(&code_host.connection(1)).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::RefreshTokenRejected)), "{outcome:?}");
    }
    assert_eq!(code_host.http.refresh_tokens_sent().len(), 1, "the refusal is stored");
    code_host.http.respond(
        "token",
        200,
        r#"{"access_token":"canary-access-back","token_type":"Bearer","refresh_token":"canary-refresh-back","expires_in":7200}"#,
    );
    assert!(matches!(keeper.ask(&code_host.connection(1)).await.leak_checked()?, Outcome::Renewed(_)));
    assert_eq!(code_host.http.refresh_tokens_sent(), ["canary-refresh-1", "canary-refresh-1"]);
    Ok(())
}

#[tokio::test]
async fn a_check_names_both_meanings_of_the_refusal() -> Result {
    let bitbucket = Arc::new(Bitbucket::default());
    bitbucket.set(|state| state.locked = true);
    let report = integration(&bitbucket, SECRET)?.check().await;
    let finding = report.finding("client_rejected").unwrap();
    assert!(finding.message.contains("for some minutes") && !finding.message.contains("is wrong;"), "{finding:?}");
    assert!(finding.fix.as_ref().unwrap().contains("wait some minutes"), "{finding:?}");
    assert_eq!(finding.audience, Some(Audience::Administrator));
    Ok(())
}

/// For apps that store tokens without a keeper.
#[tokio::test]
async fn can_mean_client_is_true_for_unclear_refusals() -> Result {
    let bitbucket = Arc::new(Bitbucket::default());
    bitbucket.set(|state| state.locked = true);
    let integration = integration(&bitbucket, SECRET)?;
    let token = RefreshToken::new("canary-refresh-1".to_owned(), integration.binding()).unwrap();
    let refusal = integration.refresh(&token).await.leak_checked().unwrap_err();
    assert!(integration.provider().may_be_about_client(&refusal));
    assert_eq!(refusal.code(), "refresh_rejected");
    assert!(!integration.provider().may_be_about_client(&TransportError::TimedOut.into()));
    Ok(())
}
