//! Row T1 of the threat model, over the whole run: no test, whatever it is about, may bring a secret into a log record, a
//! panic, a URL, a header but `Authorization`, or what errors and values show of themselves.
//!
//! Secrets that tests choose begin with [`MARKER`]. Those that are made at random are learnt where they pass: in what the fakes
//! and the scripted transports receive and answer. Who leaks one ends the whole run: a panic could be swallowed by a task.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};

use base64::Engine as _;
use codehost_oauth::error::Error;
use codehost_oauth::testing::{RecordedRequest, Seen, witness};
use http::header::{AUTHORIZATION, HOST, HeaderMap, LOCATION, SET_COOKIE, USER_AGENT};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use url::form_urlencoded::parse as parse_form;

use crate::needles::{HEAD, Needles, head, plain};

/// What every secret begins with that a test has chosen.
pub(crate) const MARKER: &str = "canary-";

/// Watches from now on, for all tests of the process. Whatever tests are made of calls it.
pub(crate) fn on() {
    static ON: Once = Once::new();
    ON.call_once(|| {
        lock().needles.add("test's own secret", MARKER);
        witness(|seen| match seen {
            Seen::Request(request) => travels(request),
            Seen::Answer(answer) => answered(answer),
            Seen::Callback(url) => came_back(url),
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
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            panicked(info.location().map_or("", |location| location.file()), &info.to_string());
        }));
    });
}

/// Ends the run if the text holds a secret, be it known now or learnt later.
pub(crate) fn text(place: &str, text: &str) {
    on();
    lock().read(place, text);
}

/// A secret to look for, in all that was written and will be.
pub(crate) fn learn(what: &'static str, secret: &str) {
    on();
    lock().learn(what, secret);
}

/// All that a value shows of itself.
pub(crate) fn shown(place: &str, value: &impl Debug) {
    text(place, &format!("{value:?} {value:#?}"));
}

/// What passed through a transport of the test's own.
pub(crate) fn sent(request: &http::Request<Vec<u8>>) {
    let uri = request.uri();
    on();
    passes(request.method().as_str(), &uri.to_string(), request.headers(), &String::from_utf8_lossy(request.body()));
}

/// The result of a call of the crate, on its way to the test.
pub(crate) trait Watched {
    #[must_use]
    fn watched(self) -> Self;
}

impl<T: Debug, E: StdError + 'static> Watched for Result<T, E> {
    fn watched(self) -> Self {
        match &self {
            Ok(value) => shown("a value", value),
            Err(error) => told(error),
        }
        self
    }
}

/// An error, with its sources and what it says to people.
pub(crate) fn told<E: StdError + 'static>(error: &E) {
    shown("an error", error);
    text("an error's text", &format!("{error} {error:#}"));
    if let Some(error) = (error as &dyn Any).downcast_ref::<Error>() {
        text("an error's advice", &format!("{} {}", error.hint(), error.public_message()));
        shown("an answer", &error.answer());
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text("a source", &format!("{cause} {cause:?} {cause:#?}"));
        source = cause.source();
    }
}

/// The text of a report or a page.
pub(crate) fn said(place: &str, value: &impl Display) {
    text(place, &value.to_string());
}

/// A page with its headers, but the redirect to a code host, which holds the state, and cookies, which are sealed or random.
pub(crate) fn answer(place: &str, headers: &HeaderMap, body: &str) {
    page(place, body);
    for (name, value) in headers.iter().filter(|(name, _)| **name != SET_COOKIE) {
        let value = value.to_str().unwrap();
        if *name != LOCATION || value.starts_with('/') {
            page(place, &format!("{name}: {value}"));
        }
    }
}

/// A page or a line of a program whose fakes are in another process: their tokens are not known here, but what they look
/// like. GitLab's fake has 64 digits, Bitbucket's a JWT.
pub(crate) fn page(place: &str, page: &str) {
    text(place, page);
    let hexadecimal = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let jwt = |word: &str| word.len() >= 40 && word.starts_with("eyJ");
    let mut words = page.split(|c: char| !c.is_ascii_alphanumeric());
    if words.any(|word| hexadecimal(word) || jwt(word)) {
        end("token of a fake", place, page);
    }
}

fn travels(request: &RecordedRequest) {
    passes(request.method.as_str(), &request.path, &request.headers, &request.body);
}

/// Learns the secrets of a request where they may be, and looks for them where they may not.
fn passes(method: &str, target: &str, headers: &HeaderMap, body: &str) {
    let value = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let mut watch = lock();
    if let Some((scheme, text)) = value(AUTHORIZATION).split_once(' ') {
        watch.learn("authorization", text);
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok());
        if let Some((_, secret)) =
            decoded.as_deref().filter(|_| scheme == "Basic").and_then(|text| text.split_once(':'))
        {
            let secret = parse_form(format!("s={secret}").as_bytes()).next().unwrap().1.into_owned();
            watch.learn("client secret", &secret);
        }
    }
    let form = if method == "GET" { Vec::new() } else { parse_form(body.as_bytes()).collect() };
    for (name, value) in &form {
        match &**name {
            "code" => watch.learn("code", value),
            "code_verifier" => watch.learn("verifier", value),
            "client_secret" => watch.learn("client secret", value),
            "refresh_token" | "token" => watch.learn("token", value),
            _ => {}
        }
    }
    let query = target.split_once('?').map_or("", |(_, query)| query);
    if target.contains("/authorize?") {
        watch.learn_from_query(query);
    }
    // What a test sends by itself, or a browser, is not the crate's.
    let own = value(USER_AGENT).starts_with("codehost-oauth/") || headers.get(HOST).is_none();
    if own {
        watch.read("a request line", &format!("{method} {target}"));
        for (name, value) in headers.iter().filter(|(name, _)| **name != AUTHORIZATION) {
            watch.read("a header", &format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        let secret = ["code", "code_verifier", "client_secret", "refresh_token", "token"];
        for (name, value) in form.iter().filter(|(name, _)| !secret.contains(&&**name)) {
            watch.read("a form", &format!("{name}={value}"));
        }
        if method == "GET" {
            watch.read("a body", body);
        }
    }
}

/// Learns the tokens of an answer, or the code with which it sends a browser back.
fn answered(answer: &http::Response<Vec<u8>>) {
    if let Some(url) = answer.headers().get(LOCATION).and_then(|url| url.to_str().ok()) {
        came_back(url);
    }
    if let Ok(Value::Object(body)) = serde_json::from_slice(answer.body()) {
        for name in ["access_token", "refresh_token"] {
            if let Some(token) = body.get(name).and_then(Value::as_str) {
                lock().learn("token", token);
            }
        }
    }
}

/// Learns what a browser brings back to the host.
pub(crate) fn came_back(url: &str) {
    on();
    if let Some((_, query)) = url.split_once('?') {
        lock().learn_from_query(query);
    }
}

/// A panic of the crate or of what it uses. That of an assertion may say what the test compared.
pub(crate) fn panicked(file: &str, text: &str) {
    if !file.contains("tests/it") {
        lock().read("a panic", text);
    }
}

/// The secrets, and all text so far: a secret may become known after it was written somewhere.
#[derive(Default)]
struct Watch {
    needles: Needles,
    learnt: HashSet<String>,
    /// Each with the place where it stood first.
    texts: HashMap<Vec<u8>, String>,
    heads: HashSet<[u8; HEAD]>,
}

impl Watch {
    fn learn(&mut self, what: &'static str, secret: &str) {
        // What is marked is known. Shorter ones, and `aaaa…`, are cases of a table, and stand in other texts by chance.
        let looks_random = secret.len() >= 16 && secret.bytes().collect::<HashSet<_>>().len() >= 8;
        if secret.starts_with(MARKER) || !looks_random || !self.learnt.insert(secret.to_owned()) {
            return;
        }
        for dress in self.needles.add(what, secret) {
            if self.heads.contains(&head(&dress)) {
                let found = |text: &[u8]| text.windows(dress.len()).any(|window| window == dress);
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
        let plain = plain(text);
        if self.texts.contains_key(&plain) {
            return;
        }
        if let Some(what) = self.needles.find(&plain) {
            end(what, place, text);
        }
        self.heads.extend(plain.windows(HEAD).map(head));
        self.texts.insert(plain, place.to_owned());
    }
}

/// Past the capture of the test's output, which would be lost.
fn end(what: &str, place: &str, text: &str) -> ! {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unknown");
    let _ =
        writeln!(std::io::stderr(), "\nA SECRET LEAKS\n  {what} in {place}, at the latest in the test {test}:\n{text}");
    std::process::exit(101)
}

fn lock() -> MutexGuard<'static, Watch> {
    static WATCH: LazyLock<Mutex<Watch>> = LazyLock::new(Mutex::default);
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the records of `tracing` and of `log` go.
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
