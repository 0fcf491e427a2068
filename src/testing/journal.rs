//! The requests that came over the sockets, and the responses that a test defines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method};

use super::traffic::{Traffic, show};
use super::wire::{FakeRequest, FakeResponse, Params};

/// A request that a fake received over its socket.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// Its method.
    pub method: Method,
    /// Its target: the path, and the query if there is one.
    pub path: String,
    /// Its headers. `Host` shows which of two listeners it came to.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl RecordedRequest {
    /// A header's value, if it is there once and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        value.to_str().ok()
    }

    /// A parameter of the body, if that is a form.
    pub fn form(&self, name: &str) -> Option<String> {
        Params::parse(self.body.as_bytes()).get(name).map(str::to_owned)
    }

    /// The path without the query.
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

/// Method and path only: the rest contains secrets.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordedRequest({} {})", self.method, self.path_only())
    }
}

#[derive(Default)]
pub(super) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    requests: Vec<RecordedRequest>,
    connections: usize,
    latency: Duration,
    script: VecDeque<(String, Scripted)>,
}

/// What a test wants instead of the usual response.
pub(super) enum Scripted {
    /// This response. The request changes nothing.
    Response(FakeResponse),
    /// No response: the request is carried out, and the connection closed.
    Lost,
}

impl Journal {
    pub(super) fn connected(&self) {
        let mut entries = self.lock();
        entries.connections = entries.connections.saturating_add(1);
    }

    pub(super) fn record(&self, request: &FakeRequest) {
        let entry = RecordedRequest {
            method: request.method().clone(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: request.headers().clone(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
        };
        show(Traffic::Request(&entry));
        self.lock().requests.push(entry);
    }

    pub(super) fn script(&self, path_suffix: &str, what: Scripted) {
        self.lock().script.push_back((path_suffix.to_owned(), what));
    }

    /// The first scripted response for the path.
    pub(super) fn scripted(&self, path: &str) -> Option<Scripted> {
        let mut entries = self.lock();
        let index = entries.script.iter().position(|(suffix, _)| path.ends_with(suffix))?;
        entries.script.remove(index).map(|(_, what)| what)
    }

    pub(super) fn latency(&self) -> Duration {
        self.lock().latency
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.clone()
    }

    pub(super) fn count(&self, path_suffix: &str) -> usize {
        self.lock().requests.iter().filter(|request| request.path_only().ends_with(path_suffix)).count()
    }

    pub(super) fn clear(&self) {
        self.lock().requests.clear();
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The methods that every fake has; its field `journal` is an `Arc<Journal>`.
macro_rules! journal_methods {
    () => {
        /// The requests that came over the socket, in their order.
        pub fn requests(&self) -> Vec<crate::testing::RecordedRequest> {
            self.journal.requests()
        }

        /// How many requests came for a path with this end. Queries do not count.
        pub fn count(&self, path_suffix: &str) -> usize {
            self.journal.count(path_suffix)
        }

        /// Forgets the requests so far.
        pub fn clear_requests(&self) {
            self.journal.clear();
        }

        /// How many connections were opened.
        pub fn connections(&self) -> usize {
            self.journal.connections()
        }

        /// Delays every response.
        pub fn set_latency(&self, latency: std::time::Duration) {
            self.journal.set_latency(latency);
        }

        /// Responds to the next request for a path with this end like this, and does nothing else with it. May be called
        /// several times: the responses are given in this order.
        pub fn respond_next(&self, path_suffix: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) {
            let response = crate::testing::wire::respond(status, headers, body);
            self.journal.script(path_suffix, crate::testing::journal::Scripted::Response(response));
        }

        /// Carries out the next request for a path with this end, then closes the connection without a response.
        pub fn lose_next_response(&self, path_suffix: &str) {
            self.journal.script(path_suffix, crate::testing::journal::Scripted::Lost);
        }
    };
}

pub(super) use journal_methods;
