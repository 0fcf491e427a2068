//! The code hosts, as strict as the real ones and as unreliable as possible, behind a transport for each node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use codehost_oauth::error::TransportError;
use codehost_oauth::transport::Transport;
use http::{Method, Request, Response};

use crate::invariants::{self, Delivery, PairId, PairState};
use crate::settings::{Settings, Weakness};
use crate::world::{NodeId, State, World, pause};

pub(crate) struct CodeHosts {
    pub(crate) hosts: Vec<CodeHost>,
}

/// One application at one base URL.
#[derive(Debug)]
pub(crate) struct CodeHost {
    pub(crate) tenant: usize,
    pub(crate) base_url: &'static str,
    is_gitlab: bool,
    rotates: bool,
    /// The version of the client's secret.
    pub(crate) secret: u32,
    /// It refuses its client until then, whatever the secret.
    pub(crate) locked_until: Duration,
    pub(crate) down_until: Duration,
    pub(crate) limited_until: Duration,
}

impl CodeHosts {
    pub(crate) fn new(settings: &Settings) -> Self {
        let tenants = settings.tenants.iter().enumerate();
        let hosts = tenants.flat_map(|(number, tenant)| {
            tenant.base_urls.iter().map(move |base_url| CodeHost {
                tenant: number,
                base_url,
                is_gitlab: tenant.is_gitlab,
                rotates: tenant.rotates,
                secret: 0,
                locked_until: Duration::ZERO,
                down_until: Duration::ZERO,
                limited_until: Duration::ZERO,
            })
        });
        Self { hosts: hosts.collect() }
    }

    pub(crate) fn find(&self, tenant: usize, base_url: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.tenant == tenant && host.base_url == base_url)
    }
}

pub(crate) fn client_id(tenant: usize) -> String {
    format!("client-{tenant}")
}

pub(crate) fn secret(host: usize, version: u32) -> String {
    format!("secret-{host}-{version}")
}

pub(crate) fn access_token(pair: PairId, serial: u32) -> String {
    format!("access-{pair}-{serial}")
}

pub(crate) fn refresh_token(pair: PairId) -> String {
    format!("refresh-{pair}")
}

/// The pair and the serial number of an access token.
pub(crate) fn access_numbers(text: &str) -> Option<(PairId, u32)> {
    let (pair, serial) = text.strip_prefix("access-")?.split_once('-')?;
    Some((pair.parse().ok()?, serial.parse().ok()?))
}

/// Whether the API accepts this access token now.
pub(crate) fn accepts(state: &mut State, text: &str, replica: u64) -> bool {
    let now = state.now();
    let Some((id, serial)) = access_numbers(text) else { return false };
    let pair = &state.ledger.pairs[id];
    let new = now - pair.issued_at < Duration::from_secs(3);
    let unknown = new && !state.ledger.faults_ended && state.rng.per_mille(replica);
    pair.state == PairState::Live && pair.serial == serial && now < pair.access_until && !unknown
}

/// The network between one node and the code hosts.
pub(crate) struct Network {
    pub(crate) world: Arc<World>,
    pub(crate) node: NodeId,
}

/// The kind of a request.
enum RequestKind {
    Refresh { host: usize, pair: PairId, secret: String },
    Probe { host: usize, secret: String },
    Revoke { pair: PairId },
    User { token: String },
    Emails,
    Other,
}

struct CallPlan {
    before: Duration,
    after: Duration,
    unreachable: bool,
    lost: bool,
    status: Option<u16>,
    malformed: bool,
    odd: Option<usize>,
}

/// A response of the code host: status, media type, body, and the pair in it.
struct FakeResponse {
    status: u16,
    kind: &'static str,
    body: String,
    issues_pair: Option<PairId>,
    retry_after: Option<u64>,
}

#[async_trait::async_trait]
impl Transport for Network {
    async fn send(&self, request: Request<Vec<u8>>, _: usize) -> Result<Response<Vec<u8>>, TransportError> {
        let (world, node) = (&self.world, self.node);
        world.step(node);
        let (asked, plan) = {
            let mut state = world.lock();
            let asked = read(&mut state, &request);
            let plan = self.plan(&mut state);
            if let RequestKind::Refresh { pair, .. } = asked {
                state.log(|| format!("node {node}: sends refresh token {pair}"));
                invariants::refresh_sent(&mut state, node, pair);
            }
            (asked, plan)
        };
        let _use = InUse {
            network: self,
            pair: if let RequestKind::Refresh { pair, .. } = asked { Some(pair) } else { None },
        };
        pause(plan.before).await;
        if plan.unreachable {
            world.step(node);
            return Err(TransportError::Unreachable);
        }
        // If the node has crashed meanwhile, the sent request may or may not arrive.
        if !world.is_alive(node) && world.lock().rng.per_mille(500) {
            world.step(node);
        }
        let fake = self.act(&asked, &plan);
        world.step(node);
        pause(plan.after).await;
        world.step(node);
        if plan.lost {
            self.set_delivery(fake.issues_pair, Delivery::Lost);
            return Err(if plan.after > Duration::from_secs(1) {
                TransportError::TimedOut
            } else {
                TransportError::Interrupted
            });
        }
        self.set_delivery(fake.issues_pair, if plan.malformed { Delivery::Lost } else { Delivery::Delivered(node) });
        let mut response = Response::builder().status(fake.status).header("content-type", fake.kind);
        if let Some(seconds) = fake.retry_after {
            response = response.header("retry-after", seconds);
        }
        Ok(response.body(fake.body.into_bytes()).unwrap())
    }
}

/// Notes the end of a use of a refresh token, also if the request is given up.
struct InUse<'a> {
    network: &'a Network,
    pair: Option<PairId>,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let Some(pair) = self.pair {
            self.network.world.lock().ledger.refresh_ended(pair, self.network.node);
        }
    }
}

impl Network {
    fn plan(&self, state: &mut State) -> CallPlan {
        let faults = &self.world.settings.host;
        let faults_ended = state.ledger.faults_ended;
        let rng = &mut state.rng;
        let mut chance = |per_mille| !faults_ended && rng.per_mille(per_mille);
        let (slow, unreachable, lost) = (chance(faults.slow), chance(faults.unreachable), chance(faults.lost_response));
        let (status, malformed, odd) = (chance(faults.status), chance(faults.malformed), chance(faults.odd));
        let most = if slow { 4900 } else { 50 };
        CallPlan {
            before: rng.millis(1..=most),
            after: rng.millis(1..=most),
            unreachable,
            lost,
            status: status.then(|| *rng.pick(&[500, 502, 503, 429, 403, 404])),
            malformed,
            odd: odd.then(|| rng.below(ODD.len())),
        }
    }

    fn set_delivery(&self, pair: Option<PairId>, delivery: Delivery) {
        if let Some(pair) = pair {
            let mut state = self.world.lock();
            state.ledger.pairs[pair].delivery = delivery;
            state.log(|| match delivery {
                Delivery::Delivered(node) => format!("node {node}: gets pair {pair}"),
                Delivery::InTransit | Delivery::Lost => format!("the response with pair {pair} is lost"),
            });
        }
    }

    fn act(&self, asked: &RequestKind, plan: &CallPlan) -> FakeResponse {
        let mut state = self.world.lock();
        let state = &mut *state;
        if let Some(status) = plan.status {
            return FakeResponse {
                status,
                kind: "text/html",
                body: "<html>".to_owned(),
                issues_pair: None,
                retry_after: None,
            };
        }
        match asked {
            RequestKind::Refresh { host, pair, secret } => {
                self.client_refused(state, *host, secret).unwrap_or_else(|| self.refresh(state, *host, *pair, plan))
            }
            RequestKind::Probe { host, secret } => {
                let response = self.client_refused(state, *host, secret);
                let response = response.filter(|_| self.world.settings.weakness != Some(Weakness::Probe));
                let accepted = response.is_none();
                state.log(|| format!("node {}: probes whether the client is accepted: {accepted}", self.node));
                response.unwrap_or_else(|| FakeResponse::json(400, r#"{"error":"invalid_grant"}"#))
            }
            RequestKind::Revoke { pair: id } => {
                let connection = state.ledger.pairs[*id].connection;
                let being_disconnected =
                    state.ledger.is_being_disconnected(connection) || state.ledger.is_disconnecting(connection);
                let pair = &mut state.ledger.pairs[*id];
                if pair.state == PairState::Live {
                    pair.state = if being_disconnected { PairState::RevokedByUser } else { PairState::RevokedByApp };
                }
                state.log(|| format!("node {} revokes pair {id}, disconnecting: {being_disconnected}", self.node));
                FakeResponse::json(200, "{}")
            }
            RequestKind::User { token } => self.user(state, token),
            RequestKind::Emails => FakeResponse::json(200, r#"{"values":[]}"#),
            RequestKind::Other => FakeResponse::json(404, "{}"),
        }
    }

    /// The response if the code host refuses the client, for any request.
    fn client_refused(&self, state: &mut State, host: usize, given: &str) -> Option<FakeResponse> {
        let now = state.now();
        let code_host = &state.hosts.hosts[host];
        if now < code_host.down_until {
            let body = "<html>maintenance".to_owned();
            return Some(FakeResponse { status: 503, kind: "text/html", body, issues_pair: None, retry_after: None });
        }
        if now < code_host.limited_until {
            return Some(FakeResponse {
                retry_after: Some(60),
                ..FakeResponse::json(429, r#"{"message":"slow down"}"#)
            });
        }
        if now >= code_host.locked_until && given == secret(host, code_host.secret) {
            return None;
        }
        Some(if code_host.is_gitlab {
            FakeResponse::json(401, r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#)
        } else {
            FakeResponse::json(400, CLIENT_OR_TOKEN)
        })
    }

    fn refresh(&self, state: &mut State, host: usize, id: PairId, plan: &CallPlan) -> FakeResponse {
        let (now, lifetime) = (state.now(), self.world.settings.lifetime);
        let code_host = &state.hosts.hosts[host];
        let (is_gitlab, rotates) = (code_host.is_gitlab, code_host.rotates);
        if state.ledger.pairs[id].state != PairState::Live {
            state.ledger.refused(id, self.node, now);
            state.log(|| format!("the code host refuses refresh token {id}"));
            return FakeResponse::json(400, if is_gitlab { r#"{"error":"invalid_grant"}"# } else { CLIENT_OR_TOKEN });
        }
        let odd = plan.odd.map(|number| &ODD[number]);
        if !rotates || odd.is_some_and(|odd| !odd.rotates()) {
            let pair = &mut state.ledger.pairs[id];
            pair.serial += 1;
            (pair.issued_at, pair.access_until) = (now, now + lifetime);
            let serial = pair.serial;
            state.log(|| format!("the code host gives access token {id}-{serial} and no other refresh token"));
            let refresh = if rotates { None } else { Some(refresh_token(id)) };
            return response(access_token(id, serial), refresh, lifetime, odd, plan.malformed, None);
        }
        let next = state.ledger.rotate(id, now, lifetime);
        state.log(|| format!("the code host gives pair {next} for {id}, {odd:?}"));
        response(access_token(next, 0), Some(refresh_token(next)), lifetime, odd, plan.malformed, Some(next))
    }

    fn user(&self, state: &mut State, token: &str) -> FakeResponse {
        if !accepts(state, token, self.world.settings.host.replica) {
            return FakeResponse::json(401, r#"{"error":"invalid_token","error_description":"Token was revoked"}"#);
        }
        let number = access_numbers(token).map(|(pair, _)| state.ledger.pairs[pair].connection + 1).unwrap();
        let uuid = format!("{{00000000-0000-0000-0000-{number:012}}}");
        FakeResponse::json(
            200,
            &format!(r#"{{"id":{number},"username":"u","state":"active","uuid":"{uuid}","type":"user"}}"#),
        )
    }
}

impl FakeResponse {
    fn json(status: u16, body: &str) -> Self {
        Self { status, kind: "application/json", body: body.to_owned(), issues_pair: None, retry_after: None }
    }
}

/// How a good response can be odd: the member and its other text; without a text it is missing.
#[derive(Debug)]
pub(crate) struct Odd(&'static str, Option<&'static str>);

impl Odd {
    fn rotates(&self) -> bool {
        self.0 != "refresh_token"
    }
}

const ODD: [Odd; 18] = [
    Odd("expires_in", None),
    Odd("expires_in", Some(r#""7200""#)),
    Odd("expires_in", Some(r#""""#)),
    Odd("expires_in", Some("0")),
    Odd("expires_in", Some("-1")),
    Odd("expires_in", Some("null")),
    Odd("scope", None),
    Odd("scope", Some(r#"["read_user"]"#)),
    Odd("scope", Some(r#""read_user caf\u00e9""#)),
    Odd("scope", Some(r#""read_user api""#)),
    Odd("scope", Some(r#""""#)),
    Odd("token_type", None),
    Odd("token_type", Some(r#""mac""#)),
    Odd("refresh_token", None),
    Odd("refresh_token", Some(r#""""#)),
    Odd("created_at", Some(r#"{"odd":[1,2]}"#)),
    Odd("status", None),
    Odd("media type", None),
];

fn response(
    access: String,
    refresh: Option<String>,
    lifetime: Duration,
    odd: Option<&Odd>,
    malformed: bool,
    issues_pair: Option<PairId>,
) -> FakeResponse {
    if malformed {
        return FakeResponse { issues_pair, ..FakeResponse::json(200, r#"{"access_token":"#) };
    }
    let mut members = [
        ("access_token", Some(format!("\"{access}\""))),
        ("token_type", Some(r#""Bearer""#.to_owned())),
        ("expires_in", Some(lifetime.as_secs().to_string())),
        ("refresh_token", refresh.map(|refresh| format!("\"{refresh}\""))),
        ("scope", Some(r#""read_user""#.to_owned())),
        ("created_at", None),
    ];
    if let Some(Odd(member, text)) = odd {
        if let Some((_, value)) = members.iter_mut().find(|(name, _)| name == member) {
            *value = text.map(str::to_owned);
        }
    }
    let members = members.iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value.as_ref()?)));
    let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let mut response = FakeResponse { issues_pair, ..FakeResponse::json(200, &body) };
    match odd {
        Some(Odd("status", _)) => response.status = 201,
        Some(Odd("media type", _)) => response.kind = "text/plain",
        _ => {}
    }
    response
}

/// Reads a request. Its token and secret must belong to the receiver.
fn read(state: &mut State, request: &Request<Vec<u8>>) -> RequestKind {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let header = request.headers().get("authorization").and_then(|header| header.to_str().ok()).unwrap_or_default();
    // The probe of a breaker. It holds no token or secret.
    if request.method() == Method::HEAD && request.headers().is_empty() && request.body().is_empty() {
        return RequestKind::Other;
    }
    if request.method() == Method::GET {
        let Some(token) = header.strip_prefix("Bearer ") else { return RequestKind::Other };
        if let Some((pair, _)) = access_numbers(token) {
            belongs(state, pair, None, &authority);
        }
        return match request.uri().path() {
            "/api/v4/user" | "/2.0/user" => RequestKind::User { token: token.to_owned() },
            "/2.0/user/emails" => RequestKind::Emails,
            _ => RequestKind::Other,
        };
    }
    let form: Vec<_> = url::form_urlencoded::parse(request.body()).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let basic = header.strip_prefix("Basic ").map(|text| base64::prelude::BASE64_STANDARD.decode(text).unwrap());
    let basic = basic.map(|text| String::from_utf8(text).unwrap());
    let (id, secret) = match basic.as_deref().and_then(|text| text.split_once(':')) {
        Some((id, secret)) => (id.to_owned(), secret.to_owned()),
        None => (field("client_id").unwrap_or_default(), field("client_secret").unwrap_or_default()),
    };
    let tenant = id.strip_prefix("client-").and_then(|tenant| tenant.parse::<usize>().ok());
    let base_url = format!("https://{authority}");
    let Some(host) = tenant.and_then(|tenant| state.hosts.find(tenant, &base_url)) else {
        state.violate(format!("the secret of {id} is sent to {authority}"));
        return RequestKind::Other;
    };
    if !secret.starts_with(&format!("secret-{host}-")) {
        state.violate(format!("a secret of another base URL is sent to {authority}"));
    }
    let pair = |name: &str| field(name).and_then(|token| token.strip_prefix("refresh-")?.parse::<PairId>().ok());
    match (field("grant_type").as_deref(), pair("refresh_token"), pair("token")) {
        (Some("refresh_token"), Some(pair), _) => {
            belongs(state, pair, Some(host), &authority);
            RequestKind::Refresh { host, pair, secret }
        }
        (Some("authorization_code"), ..) => RequestKind::Probe { host, secret },
        (None, _, Some(pair)) => {
            belongs(state, pair, Some(host), &authority);
            RequestKind::Revoke { pair }
        }
        _ => RequestKind::Other,
    }
}

fn belongs(state: &mut State, pair: PairId, host: Option<usize>, authority: &str) {
    let issuer = state.ledger.pairs[pair].host;
    let home = state.hosts.hosts[issuer].base_url.trim_start_matches("https://");
    if authority.trim_start_matches("api.") != home || host.is_some_and(|host| host != issuer) {
        state.violate(format!("a token of pair {pair}, which is of {home}, is sent to {authority} by another binding"));
    }
}

/// Bitbucket has the same response for a wrong client and a rejected refresh token.
const CLIENT_OR_TOKEN: &str =
    r#"{"error_description": "Invalid OAuth client credentials", "error": "unauthorized_client"}"#;

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.node)
    }
}
