//! Refusals that can be about the client or about the token: nobody is logged out before it is known which.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::{Audience, KeeperError, TransportError};
use codehost_oauth::keeper::{
    Clock as _, ConnectionId, Integrations, KeeperEvent, LoginReason, MemoryStore, Outcome, TokenKeeper,
};
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{Access, AccessToken, BaseUrl, Integration, IntegrationId, Platform, RefreshToken, TokenSet};

use super::scenario::{Result, ring};
use super::wire::{Host, VirtualClock};
use crate::watch::{self, Watched as _};

const LOCKED: &str = r#"{"error_description":"Invalid OAuth client credentials","error":"unauthorized_client"}"#;
const NO_CODE: &str = r#"{"error_description":"The specified code is not valid.","error":"invalid_grant"}"#;
const SECRET: &str = "canary-lock-out-secret";

/// A token endpoint that answers a dead refresh token, a wrong secret and a client that is locked out in the same words.
#[derive(Debug, Default)]
struct Bitbucket(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    locked: bool,
    /// After so many requests it is no longer locked, or is.
    turns_after: Option<usize>,
    dead: HashSet<String>,
    /// What a made-up code is answered instead: status and body, or nothing at all.
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

    fn answer(&self, request: &http::Request<Vec<u8>>) -> std::result::Result<(u16, String), TransportError> {
        use base64::Engine as _;
        let mut state = self.0.lock().unwrap();
        let form: HashMap<_, _> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let refresh = form.get("refresh_token").cloned();
        state.sent.push(refresh.clone().unwrap_or_else(|| "code".to_owned()));
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("key:{SECRET}"));
        let known = request.headers().get("authorization").is_some_and(|sent| sent == &format!("Basic {basic}"));
        let locked = state.locked;
        if let Some(left) = state.turns_after {
            state.turns_after = left.checked_sub(1);
            if left == 1 {
                state.locked = !locked;
            }
        }
        if locked || !known {
            return match (refresh, state.lost) {
                (None, true) => Err(TransportError::TimedOut),
                _ => Ok((400, LOCKED.to_owned())),
            };
        }
        match refresh {
            None if state.lost => Err(TransportError::TimedOut),
            None => Ok(state.probe.map_or((400, NO_CODE.to_owned()), |(status, body)| (status, body.to_owned()))),
            Some(token) if state.dead.contains(&token) => Ok((400, LOCKED.to_owned())),
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
        watch::sent(&request);
        let answer = self.answer(&request);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (status, body) = answer?;
        let response = http::Response::builder().status(status).header("content-type", "application/json");
        Ok(response.body(body.into_bytes()).unwrap())
    }
}

/// The integration as it is saved at the moment.
#[derive(Clone)]
struct Saved(Arc<Mutex<Arc<Integration>>>);

#[async_trait::async_trait]
impl Integrations for Saved {
    async fn find(&self, _: &IntegrationId) -> std::result::Result<Option<Arc<Integration>>, KeeperError> {
        Ok(Some(Arc::clone(&self.0.lock().unwrap())))
    }
}

struct Scene {
    bitbucket: Arc<Bitbucket>,
    saved: Saved,
    store: Arc<MemoryStore>,
    clock: VirtualClock,
    keeper: TokenKeeper,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    /// So many connections, all of which are due.
    async fn due(count: usize) -> Result<Self> {
        let bitbucket = Arc::new(Bitbucket::default());
        let saved = Saved(Arc::new(Mutex::new(Arc::new(integration(&bitbucket, SECRET)?))));
        let (store, clock) = (Arc::new(MemoryStore::default()), VirtualClock::start());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&heard);
        let keeper = TokenKeeper::builder(Arc::clone(&store), ring(), saved.clone()).clock(clock.clone());
        let keeper = keeper.on_event(move |event: &KeeperEvent| list.lock().unwrap().push(event.code().to_owned()));
        let scene = Self { keeper: keeper.build(), bitbucket, saved, store, clock, heard };
        for n in 0..count {
            scene.keeper.import(&connection(n), scene.tokens(n)).await.watched()?;
        }
        tokio::time::advance(Duration::from_secs(7200)).await;
        Ok(scene)
    }

    fn tokens(&self, n: usize) -> TokenSet {
        let integration = self.saved.0.lock().unwrap().clone();
        let origin = integration.expected().origin.clone();
        let mut tokens = TokenSet::new(AccessToken::new(format!("canary-access-{n}"), &origin).unwrap());
        tokens.refresh_token = RefreshToken::new(format!("canary-refresh-{n}"), &origin);
        tokens.scopes = Some("account".parse().unwrap());
        tokens.expires_in = Some(Duration::from_secs(7200));
        tokens.received_at = self.clock.now();
        tokens
    }

    async fn ask(&self, n: usize) -> std::result::Result<Outcome, KeeperError> {
        self.keeper.ask(&connection(n)).await.watched()
    }

    /// Another node, which knows nothing but what is stored.
    async fn ask_elsewhere(&self, n: usize) -> std::result::Result<Outcome, KeeperError> {
        let node = TokenKeeper::builder(Arc::clone(&self.store), ring(), self.saved.clone());
        node.clock(self.clock.clone()).build().ask(&connection(n)).await.watched()
    }
}

fn connection(n: usize) -> ConnectionId {
    format!("bitbucket-cloud:demo:{n}").parse().unwrap()
}

fn integration(bitbucket: &Arc<Bitbucket>, secret: &str) -> Result<Integration> {
    let base_url = BaseUrl::parse("https://bitbucket.org", &Network::public_only())?;
    Ok(Integration::builder(Platform::find("bitbucket-cloud")?.at(base_url)?)
        .id("demo".parse()?)
        .name("Bitbucket")
        .host("https://app.example.com".parse()?)
        .client("key", secret)
        .access(Access::SignIn)
        .transport(Arc::clone(bitbucket))
        .build()?)
}

fn assert_administrator(outcome: std::result::Result<Outcome, KeeperError>) {
    let error = outcome.unwrap_err();
    let KeeperError::Refused { after, .. } = &error else { panic!("{error:?}") };
    assert!(*after <= Duration::from_secs(60), "{after:?}");
    assert_eq!((error.code(), error.audience()), ("client_rejected", Audience::Administrator));
    assert!(!error.needs_login() && error.hint().contains("wait some minutes"), "{}", error.hint());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_locked_out_logs_nobody_out() -> Result {
    const MANY: usize = 50;
    let scene = Scene::due(MANY).await?;
    scene.bitbucket.set(|state| state.locked = true);
    let asked = futures_util::future::join_all((0..MANY).map(|n| scene.ask(n))).await;
    asked.into_iter().for_each(assert_administrator);
    let sent = scene.bitbucket.sent();
    assert_eq!(scene.bitbucket.probes(), 1, "{sent:?}");
    assert!(sent.len() <= 5, "those that were under way, and the probe: {sent:?}");
    // For a minute nobody asks.
    tokio::time::advance(Duration::from_secs(50)).await;
    for n in 0..MANY {
        assert_administrator(scene.ask(n).await);
    }
    assert_eq!(scene.bitbucket.sent().len(), sent.len());
    assert_eq!(*scene.heard.lock().unwrap(), ["client_rejected"]);
    // Then it is tried again, as long as it takes.
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_administrator(scene.ask(0).await);
    }
    assert_eq!(scene.bitbucket.probes(), 6);
    // And when it is over everybody has what they had.
    scene.bitbucket.set(|state| state.locked = false);
    tokio::time::advance(Duration::from_secs(61)).await;
    for n in 0..MANY {
        assert!(matches!(scene.ask(n).await?, Outcome::Renewed(_)), "{n}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_given_while_the_client_is_locked_out() -> Result {
    let scene = Scene::due(2).await?;
    for n in 0..2 {
        scene.keeper.import(&connection(n), scene.tokens(n)).await.watched()?;
    }
    // Due, and good for some seconds yet.
    tokio::time::advance(Duration::from_secs(7200 - 50)).await;
    scene.bitbucket.set(|state| state.locked = true);
    for n in [0, 1, 0, 1] {
        assert!(matches!(scene.ask(n).await?, Outcome::StillValid(_)), "{n}");
    }
    assert_eq!(scene.bitbucket.sent(), ["canary-refresh-0", "code"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_put_right_and_everybody_goes_on() -> Result {
    let scene = Scene::due(3).await?;
    *scene.saved.0.lock().unwrap() = Arc::new(integration(&scene.bitbucket, "canary-not-the-secret")?);
    for n in 0..3 {
        assert_administrator(scene.ask(n).await);
    }
    assert_eq!(scene.bitbucket.sent(), ["canary-refresh-0", "code"]);
    // What was found out about the wrong secret does not count for the right one.
    *scene.saved.0.lock().unwrap() = Arc::new(integration(&scene.bitbucket, SECRET)?);
    for n in 0..3 {
        assert!(matches!(scene.ask(n).await?, Outcome::Renewed(_)), "{n}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_told_apart() -> Result {
    for words in [
        (400, NO_CODE),
        (400, r#"{"error":"invalid_request","error_description":"No callback uri defined for the OAuth client."}"#),
        (401, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"invalid_request","error_description":"words that nobody knows"}"#),
    ] {
        let scene = Scene::due(2).await?;
        scene.bitbucket.set(|state| {
            state.dead.insert("canary-refresh-0".to_owned());
            state.probe = Some(words);
        });
        for _ in 0..2 {
            assert!(matches!(scene.ask(0).await?, Outcome::NeedsLogin(LoginReason::Refused)), "{words:?}");
            assert!(matches!(scene.ask_elsewhere(0).await?, Outcome::NeedsLogin(LoginReason::Refused)), "{words:?}");
        }
        assert_eq!(scene.bitbucket.sent(), ["canary-refresh-0", "code", "canary-refresh-0"], "{words:?}");
        assert!(matches!(scene.ask(1).await?, Outcome::Renewed(_)), "the other one is not dead");
        assert!(scene.heard.lock().unwrap().is_empty());
    }
    Ok(())
}

/// The refusal is of the lock-out, and by the time of the probe it has ended; or the other way round.
#[tokio::test(start_paused = true)]
async fn a_lock_out_that_ends_or_begins_in_between_logs_nobody_out() -> Result {
    let scene = Scene::due(1).await?;
    scene.bitbucket.set(|state| (state.locked, state.turns_after) = (true, Some(1)));
    assert!(matches!(scene.ask(0).await?, Outcome::Renewed(_)));
    assert_eq!(scene.bitbucket.sent(), ["canary-refresh-0", "code", "canary-refresh-0"]);

    let scene = Scene::due(1).await?;
    scene.bitbucket.set(|state| {
        state.dead.insert("canary-refresh-0".to_owned());
        state.turns_after = Some(1);
    });
    assert_administrator(scene.ask(0).await);
    scene.bitbucket.set(|state| state.locked = false);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(matches!(scene.ask(0).await?, Outcome::NeedsLogin(LoginReason::Refused)), "now it is the token");
    Ok(())
}

/// What is no word about the client leaves the question open.
#[tokio::test(start_paused = true)]
async fn a_probe_without_a_clear_response_marks_nothing() -> Result {
    for words in [
        None,
        Some((500, "{}")),
        Some((503, NO_CODE)),
        Some((429, "{}")),
        Some((403, NO_CODE)),
        Some((404, "{}")),
        Some((400, r#"{"error":"server_error"}"#)),
        Some((400, r#"{"error":"temporarily_unavailable"}"#)),
        Some((400, r#"{"type":"error","error":{"message":"no"}}"#)),
        Some((200, "[]")),
    ] {
        for dead in [false, true] {
            let scene = Scene::due(1).await?;
            scene.bitbucket.set(|state| {
                // Refused for whichever reason, as nobody can tell.
                state.dead.insert("canary-refresh-0".to_owned());
                (state.probe, state.lost) = (words, words.is_none());
            });
            let error = scene.keeper.access_token(&connection(0)).await.watched().unwrap_err();
            assert!(!error.needs_login(), "{words:?}: {error:?}");
            assert_eq!(scene.bitbucket.sent(), ["canary-refresh-0", "code"], "{words:?}");
            scene.bitbucket.set(|state| {
                (state.probe, state.lost) = (None, false);
                if !dead {
                    state.dead.clear();
                }
            });
            let outcome = scene.ask_elsewhere(0).await?;
            match dead {
                true => assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::Refused)), "{words:?}: {outcome:?}"),
                false => assert!(matches!(outcome, Outcome::Renewed(_)), "{words:?}: {outcome:?}"),
            }
        }
    }
    Ok(())
}

/// Many users have revoked the app at once. They are told, each by a word about their own token.
#[tokio::test(start_paused = true)]
async fn many_dead_tokens_are_all_told() -> Result {
    let scene = Scene::due(20).await?;
    scene.bitbucket.set(|state| state.dead.extend((0..19).map(|n| format!("canary-refresh-{n}"))));
    let asked = futures_util::future::join_all((0..20).map(|n| scene.ask(n))).await;
    for (n, outcome) in asked.into_iter().enumerate() {
        match outcome? {
            Outcome::NeedsLogin(LoginReason::Refused) => assert!(n < 19),
            Outcome::Renewed(_) => assert_eq!(n, 19),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert!(scene.bitbucket.probes() <= 19);
    Ok(())
}

/// A refusal that is about the client in any case needs no probe, and it too serves all for a minute.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_client_serves_the_whole_integration() -> Result {
    let host = Host::new("demo", Duration::from_millis(20))?;
    let keeper = host.builder(MemoryStore::default()).build();
    for n in 0..50 {
        keeper.import(&host.connection(n), host.tokens(n, host.clock.now())).await?;
    }
    tokio::time::advance(Duration::from_secs(7200)).await;
    host.wire.answers("token", 401, r#"{"error":"invalid_client"}"#);
    let connections: Vec<_> = (0..50).map(|n| host.connection(n)).collect();
    let asked = futures_util::future::join_all(connections.iter().map(|connection| keeper.ask(connection))).await;
    asked.into_iter().for_each(assert_administrator);
    assert!(host.wire.spent().len() <= 4, "{:?}", host.wire.spent());
    Ok(())
}

/// GitLab says of a token that was issued to another client what it says of a dead one: `invalid_grant`.
#[tokio::test(start_paused = true)]
async fn a_client_id_that_is_put_right_brings_its_tokens_back() -> Result {
    let host = Host::new("demo", Duration::from_millis(20))?;
    let store = Arc::new(MemoryStore::default());
    let keeper = host.due(host.builder(Arc::clone(&store))).await?;
    let other = |client_id: &str| -> Result<TokenKeeper> {
        let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
        let integration = Integration::builder(Platform::find("gitlab")?.at(base_url)?)
            .id("demo".parse()?)
            .name("GitLab")
            .host("https://app.example.com".parse()?)
            .client(client_id, "canary-keeper-secret")
            .access(Access::SignIn)
            .transport(Arc::clone(&host.wire))
            .build()?;
        let builder = TokenKeeper::builder(Arc::clone(&store), ring(), Arc::new(integration));
        Ok(builder.clock(host.clock.clone()).build())
    };
    host.wire.answers("token", 400, r#"{"error":"invalid_grant"}"#);
    let mistaken = other("of-another-application")?;
    for _ in 0..2 {
        let outcome = mistaken.ask(&host.connection(1)).await.watched()?;
        assert!(matches!(outcome, Outcome::NeedsLogin(LoginReason::Refused)), "{outcome:?}");
    }
    assert_eq!(host.wire.spent().len(), 1, "it is remembered");
    host.wire.answers(
        "token",
        200,
        r#"{"access_token":"canary-access-back","token_type":"Bearer","refresh_token":"canary-refresh-back","expires_in":7200}"#,
    );
    assert!(matches!(keeper.ask(&host.connection(1)).await.watched()?, Outcome::Renewed(_)));
    assert_eq!(host.wire.spent(), ["canary-refresh-1", "canary-refresh-1"]);
    Ok(())
}

#[tokio::test]
async fn a_check_says_what_the_refusal_can_mean() -> Result {
    let bitbucket = Arc::new(Bitbucket::default());
    bitbucket.set(|state| state.locked = true);
    let report = integration(&bitbucket, SECRET)?.check().await;
    let finding = report.finding("client_rejected").unwrap();
    assert!(finding.message.contains("for some minutes") && !finding.message.contains("is wrong;"), "{finding:?}");
    assert!(finding.fix.as_ref().unwrap().contains("wait some minutes"), "{finding:?}");
    assert_eq!(finding.audience, Some(Audience::Administrator));
    Ok(())
}

/// For whoever keeps the tokens without a keeper.
#[tokio::test]
async fn a_provider_tells_which_refusals_are_unclear() -> Result {
    let bitbucket = Arc::new(Bitbucket::default());
    bitbucket.set(|state| state.locked = true);
    let integration = integration(&bitbucket, SECRET)?;
    let token = RefreshToken::new("canary-refresh-1".to_owned(), integration.expected().origin).unwrap();
    let refusal = integration.refresh(&token).await.watched().unwrap_err();
    assert!(integration.provider().can_mean_client(&refusal));
    assert_eq!(refusal.code(), "refresh_rejected");
    assert!(!integration.provider().can_mean_client(&TransportError::TimedOut.into()));
    Ok(())
}
