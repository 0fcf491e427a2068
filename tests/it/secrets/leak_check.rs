//! The secret-leak check, row T1 of the threat model. It runs during all tests: in none of them may a secret get into a log record,
//! a panic, a URL, a header other than `Authorization`, or the `Debug` and `Display` of errors and values.
//!
//! Secrets that tests choose begin with [`MARKER`]. Random secrets are learnt from the requests and responses of the fakes and the
//! scripted transports. A leak ends the whole run, since a task could swallow a panic.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};

use base64::Engine as _;
use codehost_oauth::error::Error;
use codehost_oauth::testing::{RecordedRequest, Traffic, on_traffic};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, LOCATION, SET_COOKIE, USER_AGENT};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use url::form_urlencoded::parse as parse_form;

use crate::secrets::search::{HEAD, SecretSet, head, normalized};

/// The first characters of every secret that a test has chosen.
pub(crate) const MARKER: &str = "canary-";

/// What Forgejo shows in place of a secret. The setup guide warns of it, and a test sends it as if it were one.
const FORGEJO_PLACEHOLDER: &str = "averysecuresecret";

/// Starts the check for all tests of the process. The test helpers call it.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        lock().secrets.add("test's own secret", MARKER);
        on_traffic(|traffic| match traffic {
            Traffic::Request(request) => recorded(request),
            Traffic::Response(response) => learn_from_response(response),
            Traffic::Callback(url) => callback(url),
            _ => {}
        });
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .with_ansi(false)
            .without_time()
            .with_writer(|| Records);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        log::set_logger(&Records).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            default_hook(info);
            panicked(info.location().map_or("", |location| location.file()), &info.to_string());
        }));
    });
}

/// Ends the run if the text holds a secret, also if the secret is learnt later.
pub(crate) fn text(place: &str, text: &str) {
    start();
    lock().read(place, text);
}

/// Adds a secret to look for, in all texts before and after this call.
pub(crate) fn learn(what: &'static str, secret: &str) {
    start();
    lock().learn(what, secret);
}

/// Checks the `Debug` of a value.
pub(crate) fn debug(place: &str, value: &impl Debug) {
    text(place, &format!("{value:?} {value:#?}"));
}

/// Checks a request that a transport of a test received.
pub(crate) fn request(request: &http::Request<Vec<u8>>) {
    let uri = request.uri();
    start();
    check_request(
        request.method().as_str(),
        &uri.to_string(),
        request.headers(),
        &String::from_utf8_lossy(request.body()),
    );
}

/// Checks the result of a call of the crate, and returns it.
pub(crate) trait LeakChecked {
    #[must_use]
    fn leak_checked(self) -> Self;
}

impl<T: Debug, E: StdError + 'static> LeakChecked for Result<T, E> {
    fn leak_checked(self) -> Self {
        match &self {
            Ok(value) => debug("a value", value),
            Err(failed) => error(failed),
        }
        self
    }
}

/// Checks an error with its sources, its hint and its public message.
pub(crate) fn error<E: StdError + 'static>(error: &E) {
    debug("an error", error);
    text("an error's text", &format!("{error} {error:#}"));
    if let Some(error) = (error as &dyn Any).downcast_ref::<Error>() {
        text("an error's advice", &format!("{} {}", error.advice().hint, error.advice().public_message));
        debug("a response summary", &error.summary());
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text("a source", &format!("{cause} {cause:?} {cause:#?}"));
        source = cause.source();
    }
}

/// Checks the `Display` of a value.
pub(crate) fn display(place: &str, value: &impl Display) {
    text(place, &value.to_string());
}

/// Checks a page and its headers, except the redirect to a code host, which holds the state, and cookies, which are sealed or random.
pub(crate) fn response(place: &str, headers: &HeaderMap, body: &str) {
    page(place, body);
    for (name, value) in headers.iter().filter(|(name, _)| **name != SET_COOKIE) {
        let value = value.to_str().unwrap();
        if *name != LOCATION || value.starts_with('/') {
            page(place, &format!("{name}: {value}"));
        }
    }
}

/// Checks output of a program that has its fakes in another process. Their tokens are not known here and are found by their form: 64
/// hexadecimal digits at GitLab's fake, a JWT at Bitbucket's.
pub(crate) fn page(place: &str, page: &str) {
    text(place, page);
    let hexadecimal = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let jwt = |word: &str| word.len() >= 40 && word.starts_with("eyJ");
    let mut words = page.split(|c: char| !c.is_ascii_alphanumeric());
    if words.any(|word| hexadecimal(word) || jwt(word)) {
        end("token of a fake", place, page);
    }
}

fn recorded(request: &RecordedRequest) {
    check_request(request.method.as_str(), &request.path, &request.headers, &request.body);
}

/// Learns the secrets of a request from the places where they may be, and looks for them in all others.
fn check_request(method: &str, target: &str, headers: &HeaderMap, body: &str) {
    let value = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let mut check = lock();
    if let Some((scheme, text)) = value(AUTHORIZATION).split_once(' ') {
        check.learn("authorization", text);
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok());
        if let Some((_, secret)) =
            decoded.as_deref().filter(|_| scheme == "Basic").and_then(|text| text.split_once(':'))
        {
            let secret = parse_form(format!("s={secret}").as_bytes()).next().unwrap().1.into_owned();
            check.learn("client secret", &secret);
        }
    }
    // GitHub takes the token that is to be revoked as JSON.
    let is_json = value(CONTENT_TYPE) == "application/json";
    let form: Vec<(Cow<'_, str>, Cow<'_, str>)> = match serde_json::from_str(body) {
        _ if method == "GET" => Vec::new(),
        Ok(Value::Object(members)) if is_json => members
            .into_iter()
            .map(|(name, value)| (name.into(), value.as_str().unwrap_or_default().to_owned().into()))
            .collect(),
        _ => parse_form(body.as_bytes()).collect(),
    };
    for (name, value) in &form {
        match &**name {
            "code" => check.learn("code", value),
            "code_verifier" => check.learn("verifier", value),
            "client_secret" => check.learn("client secret", value),
            "refresh_token" | "token" => check.learn("token", value),
            _ => {}
        }
    }
    let query = target.split_once('?').map_or("", |(_, query)| query);
    if target.contains("/authorize?") {
        check.learn_from_query(query);
    }
    // Requests of a test or a browser are not the crate's.
    let own = value(USER_AGENT).starts_with("codehost-oauth/") || headers.get(HOST).is_none();
    if own {
        check.read("a request line", &format!("{method} {target}"));
        for (name, value) in headers.iter().filter(|(name, _)| **name != AUTHORIZATION) {
            check.read("a header", &format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        let secret = ["code", "code_verifier", "client_secret", "refresh_token", "token"];
        let may_hold = |name: &str| secret.contains(&name) || is_json && name == "access_token";
        for (name, value) in form.iter().filter(|(name, _)| !may_hold(name)) {
            check.read("a form", &format!("{name}={value}"));
        }
        if method == "GET" {
            check.read("a body", body);
        }
    }
}

/// Learns the tokens of a response, or the code of its redirect to the app.
fn learn_from_response(response: &http::Response<Vec<u8>>) {
    if let Some(url) = response.headers().get(LOCATION).and_then(|url| url.to_str().ok()) {
        callback(url);
    }
    if let Ok(Value::Object(body)) = serde_json::from_slice(response.body()) {
        for name in ["access_token", "refresh_token"] {
            if let Some(token) = body.get(name).and_then(Value::as_str) {
                lock().learn("token", token);
            }
        }
    }
}

/// Learns code and state of a callback.
pub(crate) fn callback(url: &str) {
    start();
    if let Some((_, query)) = url.split_once('?') {
        lock().learn_from_query(query);
    }
}

/// Checks a panic of the crate or its dependencies. A failed assertion of a test may print what it compared.
pub(crate) fn panicked(file: &str, text: &str) {
    if !file.contains("tests/it") {
        lock().read("a panic", text);
    }
}

/// The secrets, and all texts so far, since a secret may be learnt after it was written somewhere.
#[derive(Default)]
struct LeakCheck {
    secrets: SecretSet,
    learnt: HashSet<String>,
    /// Each with the place where it was seen first.
    texts: HashMap<Vec<u8>, String>,
    heads: HashSet<[u8; HEAD]>,
}

impl LeakCheck {
    fn learn(&mut self, what: &'static str, secret: &str) {
        // `MARKER` finds marked secrets. Short ones, and `aaaa…`, are test data that is in other texts by chance.
        let looks_random = secret.len() >= 16 && secret.bytes().collect::<HashSet<_>>().len() >= 8;
        if secret == FORGEJO_PLACEHOLDER
            || secret.starts_with(MARKER)
            || !looks_random
            || !self.learnt.insert(secret.to_owned())
        {
            return;
        }
        for form in self.secrets.add(what, secret) {
            if self.heads.contains(&head(&form)) {
                let found = |text: &[u8]| text.windows(form.len()).any(|window| window == form);
                if let Some((text, place)) = self.texts.iter().find(|(text, _)| found(text)) {
                    end(what, place, &String::from_utf8_lossy(text));
                }
            }
        }
    }

    fn learn_from_query(&mut self, query: &str) {
        for (name, value) in parse_form(query.as_bytes()) {
            match &*name {
                "code" => self.learn("code", &value),
                "state" => self.learn("state", &value),
                _ => {}
            }
        }
    }

    fn read(&mut self, place: &str, text: &str) {
        let normalized = normalized(text);
        if self.texts.contains_key(&normalized) {
            return;
        }
        if let Some(what) = self.secrets.find(&normalized) {
            end(what, place, text);
        }
        self.heads.extend(normalized.windows(HEAD).map(head));
        self.texts.insert(normalized, place.to_owned());
    }
}

/// Ends the run. Writes to stderr directly, since the captured output of the test would be lost.
fn end(what: &str, place: &str, text: &str) -> ! {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unknown");
    let _ =
        writeln!(std::io::stderr(), "\nA SECRET LEAKS\n  {what} in {place}, at the latest in the test {test}:\n{text}");
    std::process::exit(101)
}

fn lock() -> MutexGuard<'static, LeakCheck> {
    static CHECK: LazyLock<Mutex<LeakCheck>> = LazyLock::new(Mutex::default);
    CHECK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the records of `tracing` and of `log`.
struct Records;

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock().read("a log record", &String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        lock().read("a log record", &format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}
