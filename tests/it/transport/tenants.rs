//! Many tenants, honest and hostile code hosts, and callbacks in any order, in any browser and at any path: rows F2–F6, F8, F9, I1, I3,
//! I8 and T7 of the threat model.
//!
//! The code hosts are modelled in memory, so that the test sees everything that each of them receives. A hostile one makes the
//! cross-tenant attacks of RFC 9700's update: it redirects browsers to an honest code host with the honest client id, any
//! callback URL and a state of its own choice (COAT), or sends its own code and state to an honest callback URL (CORF). It
//! responds to every request with all that it has learnt.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::secrets::leak_check::{self, LeakChecked as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{Access, BaseUrl, Callback, EmailTrust, Integration, IntegrationConfig, PendingLogins, Platform};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::parse as parse_form;

const PUBLIC_URL: &str = "https://packages.example.com";
const BROWSERS: usize = 3;
/// The id of every user at every instance, so that ids collide as often as possible.
const USER_ID: u64 = 42;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A GitLab of its own, with PKCE and exact redirect URIs.
    GitLab,
    /// Another integration at the first GitLab, with an application of its own.
    Guest,
    /// Bitbucket Cloud: no PKCE, redirect URIs compared by their beginning.
    Bitbucket,
    /// A GitLab whose administrator is the attacker.
    Hostile,
    /// A GitHub Enterprise Server.
    GitHub,
    Forgejo,
    BitbucketDataCenter,
}

impl Kind {
    fn platform(self) -> &'static str {
        match self {
            Self::GitLab | Self::Guest | Self::Hostile => "gitlab",
            Self::Bitbucket => "bitbucket-cloud",
            Self::GitHub => "github",
            Self::Forgejo => "forgejo",
            Self::BitbucketDataCenter => "bitbucket-data-center",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A user begins a login in a browser; a hostile code host makes the `attack`.
    Begin { browser: usize, tenant: usize, attack: Attack },
    /// An earlier callback arrives in some browser, unchanged or at another integration's callback URL.
    Deliver { callback: usize, browser: usize, at: Option<usize> },
    /// Two callbacks swap their codes.
    Swap { one: usize, other: usize },
    /// All pending logins of a browser become sixty-one minutes old.
    Expire { browser: usize },
}

/// What a hostile code host does with a browser at its authorization page.
#[derive(Clone, Copy, Debug)]
struct Attack {
    /// The tenant whose code host it redirects the browser to; `None`: it acts as an honest one.
    victim: Option<usize>,
    redirect_uri: RedirectUri,
    challenge: Challenge,
    /// Whether it adds an `iss`, its own or the victim's.
    issuer: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum RedirectUri {
    Victims,
    Own,
    VictimsWithTail,
}

#[derive(Clone, Copy, Debug)]
enum Challenge {
    OfTheFlow,
    OwnChoice,
    None,
}

/// The verifier of a hostile code host that chooses it itself.
const HOSTILE_VERIFIER: &str = "evil-verifier-evil-verifier-evil-verifier-evil";

struct Code {
    tenant: usize,
    redirect_uri: String,
    challenge: Option<String>,
    browser: usize,
    used: bool,
}

/// The state of all code hosts, and the violations.
#[derive(Default)]
struct Ledger {
    kinds: Vec<Kind>,
    codes: HashMap<String, Code>,
    /// Tokens of honest code hosts, with the base URL that they belong to.
    tokens: HashMap<String, String>,
    /// All requests to hostile code hosts.
    learnt: Vec<String>,
    verifiers: HashSet<String>,
    expired: HashSet<String>,
    browser_of_last_exchange: Option<usize>,
    requests: usize,
    violations: Vec<String>,
    counter: usize,
}

#[derive(Clone, Default)]
struct ModelHttp(Arc<Mutex<Ledger>>);

impl fmt::Debug for ModelHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelHttp")
    }
}

fn base_url(kinds: &[Kind], tenant: usize) -> String {
    match kinds[tenant] {
        Kind::Guest => base_url(kinds, kinds.iter().position(|kind| *kind == Kind::GitLab).unwrap()),
        Kind::Bitbucket => "https://bitbucket.org".to_owned(),
        Kind::GitLab | Kind::GitHub | Kind::Forgejo | Kind::BitbucketDataCenter => {
            format!("https://git{tenant}.example.com")
        }
        Kind::Hostile => format!("https://evil{tenant}.test"),
    }
}

fn client_id(tenant: usize) -> String {
    format!("client-{tenant}")
}

fn secret(tenant: usize) -> String {
    format!("canary-secret-of-{tenant}-only")
}

impl Ledger {
    fn fresh(&mut self, what: &str) -> String {
        self.counter += 1;
        format!("canary-{what}-{:06}", self.counter)
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// A user authorizes at an honest code host. Returns the callback URL, if it gives a code.
    fn authorize(&mut self, url: &Url, registered: &str, tenant: usize, browser: usize) -> Option<String> {
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let redirect_uri = query.get("redirect_uri")?.clone();
        let permitted = match self.kinds[tenant] {
            Kind::Bitbucket => redirect_uri.starts_with(registered),
            _ => redirect_uri == registered,
        };
        if !permitted || query.get("client_id") != Some(&client_id(tenant)) {
            return None;
        }
        let code = self.fresh("code");
        let challenge = query.get("code_challenge").filter(|_| self.kinds[tenant] != Kind::Bitbucket).cloned();
        let issued = Code { tenant, redirect_uri: redirect_uri.clone(), challenge, browser, used: false };
        self.codes.insert(code.clone(), issued);
        let mut callback = Url::parse(&redirect_uri).unwrap();
        callback.query_pairs_mut().append_pair("code", &code).append_pair("state", query.get("state")?);
        Some(callback.into())
    }

    fn respond(&mut self, request: &http::Request<Vec<u8>>) -> (u16, Value) {
        self.requests += 1;
        let uri = request.uri().to_string();
        let authority = uri.split('/').nth(2).unwrap().to_owned();
        let base = if authority == "api.bitbucket.org" {
            "https://bitbucket.org".to_owned()
        } else {
            format!("https://{authority}")
        };
        let form: HashMap<String, String> = parse_form(request.body()).into_owned().collect();
        let header = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let everything = format!("{uri} {:?} {}", header, String::from_utf8_lossy(request.body()));

        // Each secret in a request must belong to the receiver.
        for tenant in 0..self.kinds.len() {
            if everything.contains(&secret(tenant)) && base_url(&self.kinds, tenant) != base {
                self.violation(format!("the secret of {tenant} went to {base}"));
            }
        }
        let foreign: Vec<String> = self
            .tokens
            .iter()
            .filter(|(token, owner)| everything.contains(*token) && **owner != base)
            .map(|(token, owner)| format!("{token} of {owner} went to {base}"))
            .collect();
        self.violations.extend(foreign);
        let foreign: Vec<String> = self
            .codes
            .iter()
            .filter(|(code, issued)| everything.contains(*code) && base_url(&self.kinds, issued.tenant) != base)
            .map(|(code, issued)| format!("{code} of {} went to {base}", issued.tenant))
            .collect();
        self.violations.extend(foreign);

        if let Some(verifier) = form.get("code_verifier") {
            if !self.verifiers.insert(verifier.clone()) {
                self.violation("a pending login was used twice".to_owned());
            }
            if self.expired.contains(verifier) {
                self.violation("an expired pending login was used".to_owned());
            }
        }
        if authority.starts_with("evil") {
            return self.hostile_response(&uri, everything);
        }
        if uri.contains("token") { self.exchange(&base, &form, header) } else { self.user(&uri, header) }
    }

    fn exchange(&mut self, base: &str, form: &HashMap<String, String>, header: Option<String>) -> (u16, Value) {
        let refused = (400, json!({"error": "invalid_grant"}));
        let client = match header {
            Some(basic) => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(&basic["Basic ".len()..]).unwrap();
                String::from_utf8(decoded).unwrap()
            }
            None => format!("{}:{}", form["client_id"], form["client_secret"]),
        };
        let Some(code) = self.codes.get_mut(&form["code"]) else { return refused };
        let challenge = form.get("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        let pkce = self.kinds[code.tenant] == Kind::Bitbucket || code.challenge == challenge;
        let own = client == format!("{}:{}", client_id(code.tenant), secret(code.tenant));
        if code.used || !own || !pkce || code.redirect_uri != form["redirect_uri"] {
            return refused;
        }
        code.used = true;
        self.browser_of_last_exchange = Some(code.browser);
        let (access, refresh) = (self.fresh("access"), self.fresh("refresh"));
        for token in [&access, &refresh] {
            self.tokens.insert(token.clone(), base.to_owned());
        }
        let response = json!({"access_token": access, "token_type": "Bearer", "expires_in": 7200, "refresh_token": refresh,
            "scope": "read_user account email"});
        (200, response)
    }

    fn user(&mut self, uri: &str, header: Option<String>) -> (u16, Value) {
        let known = header.is_some_and(|header| self.tokens.contains_key(&header["Bearer ".len()..]));
        if !known {
            return (401, json!({"message": "401 Unauthorized"}));
        }
        let response = match uri {
            _ if uri.contains("/api/v3/user/emails") || uri.contains("/api/v1/user/emails") => {
                json!([{"email": "jane@example.com", "primary": true, "verified": true}])
            }
            _ if uri.contains("/api/v3/user") || uri.contains("/api/v1/user") => {
                json!({"id": USER_ID, "login": "jane", "type": "User", "active": true})
            }
            _ if uri.contains("/rest/api/") => {
                let jane = json!({"id": USER_ID, "name": "jane", "active": true, "type": "NORMAL",
                    "emailAddress": "jane@example.com"});
                json!({"values": [jane], "isLastPage": true})
            }
            _ if uri.contains("emails") => {
                json!({"values": [{"email": "jane@example.com", "is_primary": true, "is_confirmed": true}]})
            }
            _ if uri.contains("/2.0/user") => json!({"uuid": "{00000000-0000-0000-0000-000000000042}", "type": "user"}),
            _ => json!({"id": USER_ID, "username": "jane", "state": "active", "email": "jane@example.com",
                "confirmed_at": "2020-01-01T00:00:00Z"}),
        };
        (200, response)
    }

    /// A hostile code host gives tokens for every request, stolen ones if it has any, and every user is Jane.
    fn hostile_response(&mut self, uri: &str, everything: String) -> (u16, Value) {
        self.learnt.push(everything);
        if uri.contains("token") {
            let mut words = self.learnt.iter().flat_map(|text| text.split(['=', '&', ' ', '"']));
            let stolen = words.rfind(|word| word.starts_with("canary-code-") || word.starts_with("canary-access-"));
            let token = stolen.map_or_else(|| "evil-token".to_owned(), str::to_owned);
            return (200, json!({"access_token": token, "token_type": "Bearer", "refresh_token": "evil-refresh"}));
        }
        let response = json!({"id": USER_ID, "username": "jane", "state": "active", "email": "jane@example.com",
            "confirmed_at": "2020-01-01T00:00:00Z", "uuid": "{00000000-0000-0000-0000-000000000042}"});
        (200, response)
    }
}

#[async_trait::async_trait]
impl Transport for ModelHttp {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Result<http::Response<Vec<u8>>, TransportError> {
        leak_check::request(&request);
        let (status, body) = self.0.lock().unwrap().respond(&request);
        let response = http::Response::builder().status(status).header("content-type", "application/json");
        // A Bitbucket Data Center names the user in each response to a valid token.
        let response = if status == 200 { response.header("x-auserid", USER_ID) } else { response };
        Ok(response.body(body.to_string().into_bytes()).unwrap())
    }
}

struct Model {
    model_http: ModelHttp,
    integrations: Vec<Integration>,
    browsers: Vec<PendingLogins>,
    /// Callback URLs with their queries.
    callbacks: Vec<String>,
    /// Which browser began the login with this state, and its verifier.
    begun: HashMap<String, (usize, String)>,
    keys: HashMap<String, (usize, String)>,
    logins: usize,
}

impl Model {
    fn new(kinds: &[Kind]) -> Self {
        let model_http = ModelHttp::default();
        model_http.0.lock().unwrap().kinds = kinds.to_vec();
        let integration = |tenant: usize| {
            let base_url = BaseUrl::parse(&base_url(kinds, tenant), &Network::public_only()).unwrap();
            let platform = kinds[tenant].platform();
            Integration::builder(
                Platform::find(platform).unwrap().provider(base_url).unwrap(),
                model_http.clone(),
                IntegrationConfig {
                    id: format!("tenant{tenant}").parse().unwrap(),
                    name: "Tenant".to_owned(),
                    public_url: PUBLIC_URL.parse().unwrap(),
                    client_id: client_id(tenant),
                    client_secret: secret(tenant),
                    access: Access::SignIn,
                },
            )
            .build()
            .unwrap()
        };
        Self {
            integrations: (0..kinds.len()).map(integration).collect(),
            browsers: (0..BROWSERS).map(|_| PendingLogins::default()).collect(),
            callbacks: Vec::new(),
            begun: HashMap::new(),
            keys: HashMap::new(),
            logins: 0,
            model_http,
        }
    }

    fn callback_url(&self, tenant: usize) -> String {
        self.integrations[tenant].callback_url().as_str().to_owned()
    }

    fn begin(&mut self, browser: usize, tenant: usize, attack: Attack) {
        let start = self.integrations[tenant].begin_login(None).leak_checked().unwrap();
        let stored = serde_json::to_value(&start.pending).unwrap();
        let member = |name: &str| stored[name].as_str().unwrap().to_owned();
        self.begun.insert(member("state"), (browser, member("verifier")));
        self.browsers[browser].insert(start.pending);
        let kind = self.model_http.0.lock().unwrap().kinds[tenant];
        let url = Url::parse(start.redirect_to.as_str()).unwrap();
        let callback = if kind == Kind::Hostile {
            self.hostile_page(&url, browser, tenant, attack)
        } else {
            let registered = self.callback_url(tenant);
            self.model_http.0.lock().unwrap().authorize(&url, &registered, tenant, browser)
        };
        self.callbacks.extend(callback);
    }

    /// The authorization page of a hostile code host. Returns the callback URL to which the browser is redirected in the end.
    fn hostile_page(&self, url: &Url, browser: usize, tenant: usize, attack: Attack) -> Option<String> {
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let own = self.callback_url(tenant);
        let state = query["state"].as_str();
        let kinds = self.model_http.0.lock().unwrap().kinds.clone();
        let victim = attack.victim.map(|victim| victim % self.integrations.len());
        let victim = victim.filter(|victim| kinds[*victim] != Kind::Hostile);
        let mut callback = match victim {
            None => format!("{own}?code=evil-code&state={state}"),
            Some(victim) => {
                let registered = self.callback_url(victim);
                let redirect_uri = match attack.redirect_uri {
                    RedirectUri::Victims => registered.clone(),
                    RedirectUri::Own => own,
                    RedirectUri::VictimsWithTail => format!("{registered}/../tenant{tenant}"),
                };
                let mut page = Url::parse("https://honest.example/authorize").unwrap();
                page.query_pairs_mut()
                    .append_pair("client_id", &client_id(victim))
                    .append_pair("redirect_uri", &redirect_uri)
                    .append_pair("state", state);
                let challenge = match attack.challenge {
                    Challenge::OfTheFlow => Some(query["code_challenge"].clone()),
                    Challenge::OwnChoice => Some(URL_SAFE_NO_PAD.encode(Sha256::digest(HOSTILE_VERIFIER))),
                    Challenge::None => None,
                };
                if let Some(challenge) = challenge {
                    page.query_pairs_mut().append_pair("code_challenge", &challenge);
                }
                self.model_http.0.lock().unwrap().authorize(&page, &registered, victim, browser)?
            }
        };
        if let Some(own) = attack.issuer {
            let issuer = base_url(&kinds, if own { tenant } else { victim.unwrap_or(tenant) });
            callback.push_str(&format!("&iss={issuer}"));
        }
        Some(callback)
    }

    /// Handles a callback as an app does: the path gives the integration, the session the pending login.
    async fn deliver(&mut self, callback: usize, browser: usize, at: Option<usize>) {
        let Some(url) = self.callbacks.get(callback % self.callbacks.len().max(1)) else { return };
        let (path, query) = url.split_once('?').unwrap();
        let path = match at.map(|tenant| tenant % self.integrations.len()) {
            // An honest code host does not send a code to the path of another: it compares the redirect URI with the
            // registered one.
            Some(tenant) if !self.is_theft(query, tenant) => self.callback_url(tenant),
            _ => path.to_owned(),
        };
        let uri: http::Uri = format!("{}?{query}", &path[PUBLIC_URL.len()..]).parse().unwrap();
        let Some(tenant) = self.integrations.iter().position(|known| known.callback_url().is_at(uri.path())) else {
            return;
        };
        let (Ok(parsed), state) = (Callback::from_uri(&uri).leak_checked(), query_state(query)) else { return };
        let Ok(pending) = self.browsers[browser].take(&parsed) else { return };
        let requests = self.model_http.0.lock().unwrap().requests;
        let result = self.integrations[tenant].finish_login(pending, parsed).await.leak_checked();
        let mut ledger = self.model_http.0.lock().unwrap();
        if self.begun[&state].0 != browser {
            ledger.violation(format!("browser {browser} finished a login of {}", self.begun[&state].0));
        }
        let Ok(login) = result else { return };
        self.logins += 1;
        assert!(ledger.requests > requests, "a login without a request");
        let kind = ledger.kinds[tenant];
        if !matches!(kind, Kind::Bitbucket | Kind::Hostile) && ledger.browser_of_last_exchange != Some(browser) {
            ledger.violation("a code of another browser gave a login".to_owned());
        }
        if login.user.key.integration() != self.integrations[tenant].id() {
            ledger.violation("a login gave an account of another integration".to_owned());
        }
        let whose = (tenant, login.user.key.subject().to_owned());
        if *self.keys.entry(login.user.key.to_string()).or_insert_with(|| whose.clone()) != whose {
            ledger.violation("two accounts have one key".to_owned());
        }
        if kind != Kind::Bitbucket && login.user.trusted_email(EmailTrust::Platform).is_some() {
            ledger.violation("an address of a self-managed instance was trusted".to_owned());
        }
    }

    /// Whether a callback has a code of another code host: who writes such a callback has stolen the code already.
    fn is_theft(&self, query: &str, tenant: usize) -> bool {
        let ledger = self.model_http.0.lock().unwrap();
        let base = |tenant| base_url(&ledger.kinds, tenant);
        let issuer = |code: &str| ledger.codes.get(code).map(|issued| base(issued.tenant));
        let mut pairs = parse_form(query.as_bytes());
        pairs.any(|(name, code)| name == "code" && issuer(&code).is_some_and(|issuer| issuer != base(tenant)))
    }

    fn swap(&mut self, one: usize, other: usize) {
        let count = self.callbacks.len();
        if count == 0 {
            return;
        }
        let [one, other] = [one % count, other % count];
        let code = |url: &str| query_pairs(url).get("code").cloned();
        let (Some(a), Some(b)) = (code(&self.callbacks[one]), code(&self.callbacks[other])) else { return };
        // As additional callbacks, so that the honest ones still arrive.
        let swapped = [self.callbacks[one].replace(&a, &b), self.callbacks[other].replace(&b, &a)];
        for url in swapped {
            let (path, query) = url.split_once('?').unwrap();
            let tenant = (0..self.integrations.len()).find(|tenant| self.callback_url(*tenant) == path);
            if !tenant.is_some_and(|tenant| self.is_theft(query, tenant)) {
                self.callbacks.push(url);
            }
        }
    }

    fn expire(&mut self, browser: usize) {
        let mut stored = serde_json::to_value(&self.browsers[browser]).unwrap();
        for pending in stored.as_array_mut().unwrap() {
            let begun = pending["begun_at"].as_u64().unwrap();
            pending["begun_at"] = (begun - 61 * 60).into();
            let verifier = pending["verifier"].as_str().unwrap().to_owned();
            self.model_http.0.lock().unwrap().expired.insert(verifier);
        }
        self.browsers[browser] = serde_json::from_value(stored).unwrap();
    }

    async fn run(&mut self, steps: &[Step]) -> Vec<String> {
        for step in steps {
            match *step {
                Step::Begin { browser, tenant, attack } => {
                    self.begin(browser, tenant % self.integrations.len(), attack)
                }
                Step::Deliver { callback, browser, at } => self.deliver(callback, browser, at).await,
                Step::Swap { one, other } => self.swap(one, other),
                Step::Expire { browser } => self.expire(browser),
            }
        }
        let ledger = self.model_http.0.lock().unwrap();
        let mut violations = ledger.violations.clone();
        // No hostile code host has received a code or token of an honest one.
        for text in &ledger.learnt {
            let known = ledger.codes.keys().chain(ledger.tokens.keys()).filter(|secret| text.contains(*secret));
            violations.extend(known.map(|secret| format!("a hostile code host learnt {secret}")));
        }
        violations
    }
}

fn query_pairs(url: &str) -> HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn query_state(query: &str) -> String {
    parse_form(query.as_bytes())
        .find(|(name, _)| name == "state")
        .map(|(_, state)| state.into_owned())
        .unwrap_or_default()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

const HONEST: Attack =
    Attack { victim: None, redirect_uri: RedirectUri::Own, challenge: Challenge::OfTheFlow, issuer: None };
const KINDS: [Kind; 8] = [
    Kind::GitLab,
    Kind::Hostile,
    Kind::Bitbucket,
    Kind::Guest,
    Kind::GitLab,
    Kind::GitHub,
    Kind::Forgejo,
    Kind::BitbucketDataCenter,
];

fn attack() -> impl Strategy<Value = Attack> {
    let redirect_uri =
        prop_oneof![Just(RedirectUri::Victims), Just(RedirectUri::Own), Just(RedirectUri::VictimsWithTail)];
    let challenge = prop_oneof![Just(Challenge::OfTheFlow), Just(Challenge::OwnChoice), Just(Challenge::None)];
    (prop::option::weighted(0.8, 0_usize..8), redirect_uri, challenge, prop::option::weighted(0.2, any::<bool>()))
        .prop_map(|(victim, redirect_uri, challenge, issuer)| Attack { victim, redirect_uri, challenge, issuer })
}

fn step() -> impl Strategy<Value = Step> {
    let browser = || 0..BROWSERS;
    prop_oneof![
        4 => (browser(), 0_usize..8, attack())
            .prop_map(|(browser, tenant, attack)| Step::Begin { browser, tenant, attack }),
        6 => (0_usize..64, browser(), prop::option::weighted(0.3, 0_usize..8))
            .prop_map(|(callback, browser, at)| Step::Deliver { callback, browser, at }),
        1 => (0_usize..64, 0_usize..64).prop_map(|(one, other)| Step::Swap { one, other }),
        1 => browser().prop_map(|browser| Step::Expire { browser }),
    ]
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        Just(Kind::GitLab),
        Just(Kind::Guest),
        Just(Kind::Bitbucket),
        Just(Kind::Hostile),
        Just(Kind::GitHub),
        Just(Kind::Forgejo),
        Just(Kind::BitbucketDataCenter),
    ];
    prop::collection::vec(kind, 0..4).prop_map(|more| [&KINDS[..2], &more].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn codes_and_tokens_reach_only_their_issuer(
        kinds in kinds(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new(&kinds);
        let violations = runtime().block_on(model.run(&steps));
        prop_assert!(violations.is_empty(), "{violations:#?}");
    }
}

/// A model in which honest logins fail would prove nothing.
#[test]
fn honest_logins_in_the_model_succeed_once() {
    let mut model = Model::new(&KINDS);
    for tenant in 0..KINDS.len() {
        model.begin(tenant % BROWSERS, tenant, HONEST);
    }
    let mut steps = Vec::new();
    for _ in 0..3 {
        let deliver = |callback| Step::Deliver { callback, browser: callback % BROWSERS, at: None };
        steps.extend((0..KINDS.len()).map(deliver));
    }
    let violations = runtime().block_on(model.run(&steps));
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!((model.logins, model.keys.len()), (KINDS.len(), KINDS.len()));
}

/// Every attack against every victim, in the victim's own browser.
#[test]
fn every_cross_tenant_attack_fails() {
    let mut callbacks = 0;
    for victim in [0, 2, 3, 4] {
        for redirect_uri in [RedirectUri::Victims, RedirectUri::Own, RedirectUri::VictimsWithTail] {
            for challenge in [Challenge::OfTheFlow, Challenge::OwnChoice, Challenge::None] {
                for issuer in [None, Some(true), Some(false)] {
                    let mut model = Model::new(&KINDS);
                    let attack = Attack { victim: Some(victim), redirect_uri, challenge, issuer };
                    model.begin(0, 1, attack);
                    callbacks += model.callbacks.len();
                    // The first callback uses up a pending login, so each path has its own model.
                    for at in [None, Some(1), Some(victim)] {
                        let mut model = Model::new(&KINDS);
                        model.begin(0, 1, attack);
                        let steps = [Step::Deliver { callback: 0, browser: 0, at }; 2];
                        let violations = runtime().block_on(model.run(&steps));
                        assert!(violations.is_empty(), "{attack:?}: {violations:#?}");
                        assert_eq!(model.logins, 0, "{attack:?}");
                    }
                }
            }
        }
    }
    // The honest code hosts did issue codes, so the attacks were real.
    assert!(callbacks >= 36, "{callbacks}");
}

/// The model reports a code that an app would send to the wrong code host.
#[tokio::test]
async fn the_model_reports_a_code_at_a_hostile_code_host() {
    let mut model = Model::new(&KINDS);
    let attack = Attack { victim: Some(0), redirect_uri: RedirectUri::Victims, ..HONEST };
    model.begin(0, 1, attack);
    let code = query_pairs(&model.callbacks[0])["code"].clone();
    let request = http::Request::post("https://evil1.test/oauth/token").body(format!("code={code}").into_bytes());
    model.model_http.send(request.unwrap(), 1024).await.unwrap();
    let violations = model.run(&[]).await;
    assert!(violations.iter().any(|violation| violation.contains("learnt")), "{violations:?}");
}
