//! Checks what a provider makes of the platform's own responses: the scenarios of its author, and rules for every user.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future;
use serde_json::Value;
use tokio::sync::oneshot;

use super::scenario::{Call, Expected, Scenario};
use super::{
    Conformance, Flow, NEW_ACCESS, NEW_REFRESH, OLD_ACCESS, OLD_REFRESH, Outcome, SECRET, ensure, requests, text_of,
};
use crate::error::{ConfigError, Error, TransportError};
use crate::provider::check::{CheckReport, CheckRequest, Level, Verdict};
use crate::provider::membership::Membership;
use crate::provider::revocation::Revocation;
use crate::testing::{ScriptedTransport, SentRequest};
use crate::transport::Transport;
use crate::values::access::Access;
use crate::values::email::{EmailAuthority, EmailEvidence};
use crate::values::token::TokenSet;
use crate::values::user::User;

/// Runs the scenarios, and names those that are missing.
pub(super) async fn scenarios(suite: &Conformance<'_>) -> Outcome {
    for scenario in &suite.scenarios {
        run(suite, scenario).await.map_err(|what| format!("{}: {what}", scenario.name))?;
    }
    let has = |is_wanted: &dyn Fn(&Scenario) -> bool, what: &str| {
        ensure(suite.scenarios.iter().any(is_wanted), || format!("there is no scenario for {what}: add one"))
    };
    let fails = |call: Call, code: &'static str| {
        move |scenario: &Scenario| scenario.call == call && scenario.expected == Expected::Fails(code)
    };
    let expects = |expected: Expected| move |scenario: &Scenario| scenario.expected == expected;
    has(
        &fails(Call::Exchange, "client_rejected"),
        "a wrong client secret at the exchange of a code (client_rejected)",
    )?;
    has(&fails(Call::Exchange, "code_rejected"), "a used code (code_rejected)")?;
    has(&fails(Call::Refresh, "refresh_rejected"), "a used refresh token (refresh_rejected)")?;
    has(&expects(Expected::SameUser), "the same user with another name (same_user)")?;
    has(&expects(Expected::OtherUser), "another user (other_user)")?;
    has(&expects(Expected::Refused), "a user who may not log in (refused)")?;
    let user = look_up(suite).await?;
    if user.emails.iter().any(|email| email.evidence == EmailEvidence::Confirmed) {
        has(&expects(Expected::UnconfirmedEmail), "a user whose address is not confirmed (unconfirmed_email)")?;
    }
    if suite.scenarios.iter().any(|scenario| matches!(scenario.call, Call::Membership(_))) {
        has(&expects(Expected::Member), "a member of a group (member)")?;
        has(&expects(Expected::NotMember), "a user who is not a member (not_member)")?;
    }
    if !matches!(revoke(suite, &ScriptedTransport::new()).await, Ok(Revocation::NotSupported { .. })) {
        has(&expects(Expected::Revoked), "a revocation (revoked)")?;
        let is_refused =
            |scenario: &Scenario| scenario.call == Call::Revoke && matches!(scenario.expected, Expected::Fails(_));
        has(&is_refused, "a revocation that the platform refuses (fails)")?;
    }
    if !check(suite, &ScriptedTransport::new()).await?.findings().is_empty() {
        has(&expects(Expected::AllRight), "a check that finds nothing (all_right)")?;
        has(&expects(Expected::Finds("client_rejected")), "a check with a wrong client secret (finds)")?;
    }
    Ok(())
}

async fn run(suite: &Conformance<'_>, scenario: &Scenario) -> Outcome {
    let (provider, http) = (suite.provider, ScriptedTransport::new());
    for (status, call) in &scenario.responses {
        let own = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = [("content-type", "application/json")].into_iter().chain(own).collect();
        http.respond(&call.path, *status, &headers, call.response.as_str());
    }
    let flow = Flow::new(provider)?;
    let token = flow.access_token()?;
    match &scenario.call {
        Call::Exchange => {
            let (grant, client) = flow.grant(provider)?;
            of_error(scenario.expected, provider.exchange_code(&http, &client, grant).await)
        }
        Call::Refresh => {
            let token = flow.refresh_token()?;
            of_error(scenario.expected, provider.refresh(&http, &flow.client, &token, &flow.callback_url).await)
        }
        Call::User => of_user(suite, scenario.expected, provider.user(&http, &token).await).await,
        Call::Membership(group) => {
            let scopes = provider.required_scopes(&Access::Write);
            provider
                .ensure_group(group, &scopes)
                .map_err(|error| format!("ensure_group refuses the group: {error}"))?;
            let user = match provider.needs_user_for_membership(group) {
                true => Some(look_up(suite).await?),
                false => None,
            };
            match (scenario.expected, provider.membership(&http, &token, group, user.as_ref()).await) {
                (Expected::Member, Ok(Membership::Member { .. }))
                | (Expected::NotMember, Ok(Membership::NotMember)) => Ok(()),
                (expected, outcome) => of_error(expected, outcome),
            }
        }
        Call::Revoke => match (scenario.expected, revoke(suite, &http).await) {
            (Expected::Revoked, Ok(Revocation::Revoked)) => sends_a_token(suite, &http.requests()),
            (expected, outcome) => of_error(expected, outcome),
        },
        Call::Check => of_report(scenario.expected, &check(suite, &http).await?),
    }
}

fn of_error<T: std::fmt::Debug>(expected: Expected, outcome: Result<T, Error>) -> Outcome {
    let found = outcome.as_ref().err().map(Error::code);
    match expected {
        Expected::Fails(code) => ensure(found == Some(code), || {
            format!("the call must fail with {code}, found {}", found.unwrap_or("a success"))
        }),
        Expected::Unknown => Err("the scenario does not say what is expected: add fails(…) or another one".to_owned()),
        expected => {
            Err(format!("expected {expected:?}, found {}", found.map_or_else(|| format!("{outcome:?}"), str::to_owned)))
        }
    }
}

async fn of_user(suite: &Conformance<'_>, expected: Expected, outcome: Result<User, Error>) -> Outcome {
    match (expected, outcome) {
        (Expected::SameUser, Ok(user)) => {
            let first = look_up(suite).await?;
            ensure(user.key == first.key, || {
                format!(
                    "a user with another name must keep the key {}, found {}: use the permanent id",
                    first.key, user.key
                )
            })
        }
        (Expected::OtherUser, Ok(user)) => {
            let first = look_up(suite).await?;
            ensure(user.key != first.key, || {
                format!("two users have the key {}: use the user's permanent id", user.key)
            })
        }
        (Expected::Refused, outcome) => {
            let is_refused = match &outcome {
                Ok(user) => user.ensure_active_person().is_err(),
                Err(error) => matches!(error, Error::Account { .. }),
            };
            ensure(is_refused, || {
                let found = outcome.map_or_else(|error| error.code(), |_| "an active user");
                format!("the user must be refused with an AccountError or a UserState, found {found}")
            })
        }
        (Expected::UnconfirmedEmail, Ok(user)) => {
            let confirmed = user.emails.iter().any(|email| email.evidence == EmailEvidence::Confirmed);
            ensure(!confirmed, || "no address may be EmailEvidence::Confirmed: the platform does not say so".to_owned())
        }
        (expected, outcome) => of_error(expected, outcome),
    }
}

fn of_report(expected: Expected, report: &CheckReport) -> Outcome {
    match expected {
        Expected::AllRight => {
            ensure(report.verdict() == Verdict::AllRight, || format!("the check must find nothing, found:\n{report}"))
        }
        Expected::Finds(code) => {
            let found = report.findings().iter().find(|finding| finding.code == code);
            ensure(found.is_some_and(|finding| finding.level == Level::Problem), || {
                format!("the check must find the problem {code}, found:\n{report}")
            })
        }
        expected => Err(format!("{expected:?} cannot be expected of a check: use finds(…) or all_right()")),
    }
}

/// The user of the responses that the suite was given.
async fn look_up(suite: &Conformance<'_>) -> Result<User, String> {
    let token = Flow::new(suite.provider)?.access_token()?;
    suite
        .provider
        .user(&suite.with_user(), &token)
        .await
        .map_err(|error| format!("user must succeed, found {}", error.code()))
}

async fn revoke(suite: &Conformance<'_>, http: &ScriptedTransport) -> Result<Revocation, Error> {
    let refused = |_| Error::from(ConfigError::AccountKey);
    let flow = Flow::new(suite.provider).map_err(refused)?;
    let mut tokens = TokenSet::new(flow.access_token().map_err(refused)?);
    tokens.refresh_token = Some(flow.refresh_token().map_err(refused)?);
    suite.provider.revoke(http, &flow.client, &tokens).await
}

fn sends_a_token(suite: &Conformance<'_>, requests: &[SentRequest]) -> Outcome {
    for request in requests {
        requests::allowed_origin(suite, request)?;
        requests::not_in_url(request, &[OLD_ACCESS, OLD_REFRESH, SECRET])?;
    }
    let has_token = |request: &SentRequest| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let header = request.header("authorization").unwrap_or_default();
        [OLD_ACCESS, OLD_REFRESH].iter().any(|token| body.contains(token) || header.contains(token))
    };
    ensure(requests.iter().any(has_token), || "no request had one of the tokens, so nothing was revoked".to_owned())
}

async fn check(suite: &Conformance<'_>, http: &ScriptedTransport) -> Result<CheckReport, String> {
    let flow = Flow::new(suite.provider)?;
    let scopes = suite.provider.required_scopes(&Access::SignIn);
    let request = CheckRequest::new(flow.callback_url.clone(), scopes);
    Ok(suite.provider.check(http, &flow.client, &request).await)
}

/// A server that is not the platform's, or cannot be reached, is never all right, and never gets the secret.
pub(super) async fn unknown_servers(suite: &Conformance<'_>) -> Outcome {
    let (unreachable, page, json) = (ScriptedTransport::new(), ScriptedTransport::new(), ScriptedTransport::new());
    page.otherwise(200, &[("content-type", "text/html")], "<html></html>");
    json.otherwise(200, &[("content-type", "application/json")], r#"{"hello":"world"}"#);
    for (what, http) in [("that cannot be reached", unreachable), ("with web pages", page), ("of another kind", json)] {
        let report = check(suite, &http).await?;
        ensure(report.verdict() != Verdict::AllRight, || format!("the check must not accept a server {what}"))?;
        let has_secret = |request: &SentRequest| {
            let text = format!("{:?} {}", request.form(), request.header("authorization").unwrap_or_default());
            text.contains(SECRET) || request.headers.contains_key("authorization")
        };
        // The address of a service is a constant.
        ensure(is_service(suite) || !http.requests().iter().any(has_secret), || {
            format!("the check sends the client secret to a server {what}: find out first that it is the platform's")
        })?;
    }
    Ok(())
}

fn is_service(suite: &Conformance<'_>) -> bool {
    let base_url = suite.provider.base_url().as_str();
    suite.provider.platform().services().iter().any(|service| service.base_url == base_url)
}

/// Rules for what a user has in every response.
pub(super) async fn user_values(suite: &Conformance<'_>) -> Outcome {
    let base_url = suite.provider.base_url();
    let user = look_up(suite).await?;
    ensure(
        is_service(suite) || user.emails.iter().all(|email| email.authority == EmailAuthority::SelfManaged),
        || format!("{base_url} is not a service of the platform, so its addresses must be EmailAuthority::SelfManaged"),
    )?;
    for (index, call) in suite.api.iter().enumerate() {
        let Ok(body) = serde_json::from_str::<Value>(&call.response) else { continue };
        for changed in with_control_character(&body) {
            let http = ScriptedTransport::new();
            for other in 0..suite.api.len() {
                suite.queue(&http, other, (other == index).then_some(changed.as_str()));
            }
            let token = Flow::new(suite.provider)?.access_token()?;
            let Ok(user) = suite.provider.user(&http, &token).await else { continue };
            let shown = [&user.username, &user.display_name, &user.created_at];
            let has_control = shown.into_iter().flatten().any(|text| text.contains(char::is_control));
            ensure(!has_control, || {
                "a name has a control character of the response: replace or remove it, it could change a log or a page"
                    .to_owned()
            })?;
        }
    }
    Ok(())
}

/// The text with a control character behind one of its strings, for each string.
fn with_control_character(body: &Value) -> Vec<String> {
    let count = strings(&mut body.clone(), &mut |_| ());
    let changed = |wanted: usize| {
        let (mut body, mut seen) = (body.clone(), 0_usize);
        strings(&mut body, &mut |text| {
            if seen == wanted {
                text.push('\u{7}');
            }
            seen = seen.saturating_add(1);
        });
        body.to_string()
    };
    (0..count).map(changed).collect()
}

/// Calls `change` for every string, and returns how many there are.
fn strings(value: &mut Value, change: &mut dyn FnMut(&mut String)) -> usize {
    match value {
        Value::String(text) => {
            change(text);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| strings(item, change)).sum(),
        Value::Object(members) => members.values_mut().map(|member| strings(member, change)).sum(),
        _ => 0,
    }
}

/// Scopes in a response are separated by spaces, or by commas on some platforms.
pub(super) async fn granted_scopes(suite: &Conformance<'_>) -> Outcome {
    let mut found = Vec::new();
    for scopes in ["alpha beta", "alpha,beta"] {
        let body = suite.tokens(NEW_ACCESS, Some(NEW_REFRESH))?;
        let Value::Object(mut response) = serde_json::from_str(&body).map_err(text_of)? else { return Ok(()) };
        response.insert("scope".to_owned(), scopes.into());
        let flow = Flow::new(suite.provider)?;
        let (http, token) = (suite.with_tokens(&Value::Object(response).to_string()), flow.refresh_token()?);
        let tokens = suite.provider.refresh(&http, &flow.client, &token, &flow.callback_url).await;
        let tokens = tokens.map_err(|error| format!("refresh must succeed, found {}", error.code()))?;
        found.push(tokens.scopes.map(|scopes| scopes.to_string()));
    }
    // A platform whose responses do not name the scopes leaves them out.
    let is_right =
        found.iter().any(|scopes| scopes.as_deref() == Some("alpha beta")) || found.iter().all(Option::is_none);
    ensure(is_right, || format!("the scopes \"alpha beta\" of a response are two, found {found:?}"))
}

/// The requests of a look-up are sent at once, unless one needs the response to another.
pub(super) async fn round_trips(suite: &Conformance<'_>) -> Outcome {
    let token = Flow::new(suite.provider)?.access_token()?;
    let http = Rounds { inner: suite.with_user(), waiting: Mutex::default() };
    let mut user = suite.provider.user(&http, &token);
    let mut rounds = 0_usize;
    while future::poll_immediate(&mut user).await.is_none() {
        let waiting = std::mem::take(&mut *http.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            tokio::task::yield_now().await;
            continue;
        }
        rounds = rounds.saturating_add(1);
        for waiter in waiting {
            let _ = waiter.send(());
        }
    }
    ensure(rounds <= suite.user_round_trips, || {
        format!(
            "the look-up of a user takes {rounds} round trips, not {}: send the requests at once, or say why with \
             Conformance::user_round_trips",
            suite.user_round_trips
        )
    })
}

/// Holds every request back until its round begins.
#[derive(Debug)]
struct Rounds {
    inner: ScriptedTransport,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

#[async_trait]
impl Transport for Rounds {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let (sender, begins) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        let _ = begins.await;
        self.inner.send(request, max_body).await
    }
}
