//! The requests that a fake has received, and the responses that a test defines.

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
    /// The method.
    pub method: Method,
    /// The path, and the query if there is one.
    pub path: String,
    /// The headers. If the fake has two listeners, `Host` names the one that received the request.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl RecordedRequest {
    /// The value of a header, if there is exactly one and it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        value.to_str().ok()
    }

    /// The value of a parameter, if the body is a form.
    pub fn form(&self, name: &str) -> Option<String> {
        Params::parse(self.body.as_bytes()).get(name).map(str::to_owned)
    }

    /// The path without the query.
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

/// Shows the method and path only: the rest contains secrets.
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

/// What happens instead of the usual response.
pub(super) enum Scripted {
    /// This response is sent. The request changes nothing.
    Response(FakeResponse),
    /// The request is carried out, and the connection is closed without a response.
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

    /// Takes the first scripted response for the path.
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

/// The methods of every fake. The fake needs a field `journal: Arc<Journal>`.
macro_rules! journal_methods {
    () => {
        /// The requests received so far, in order.
        pub fn requests(&self) -> Vec<crate::testing::RecordedRequest> {
            self.journal.requests()
        }

        /// The number of requests whose path, without the query, ends with this text.
        pub fn count(&self, path_suffix: &str) -> usize {
            self.journal.count(path_suffix)
        }

        /// Deletes the recorded requests.
        pub fn clear_requests(&self) {
            self.journal.clear();
        }

        /// The number of connections that were opened.
        pub fn connections(&self) -> usize {
            self.journal.connections()
        }

        /// Delays every response.
        pub fn set_latency(&self, latency: std::time::Duration) {
            self.journal.set_latency(latency);
        }

        /// Gives this response to the next request whose path ends with `path_suffix`, and does nothing else with it.
        /// After several calls, the responses are given in the order of the calls.
        pub fn respond_next(&self, path_suffix: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) {
            let response = crate::testing::wire::respond(status, headers, body);
            self.journal.script(path_suffix, crate::testing::journal::Scripted::Response(response));
        }

        /// Carries out the next request whose path ends with `path_suffix`, then closes the connection without a
        /// response.
        pub fn lose_next_response(&self, path_suffix: &str) {
            self.journal.script(path_suffix, crate::testing::journal::Scripted::Lost);
        }
    };
}

pub(super) use journal_methods;
