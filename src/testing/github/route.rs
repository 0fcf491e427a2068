//! Which socket serves what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use http::header::{HeaderName, USER_AGENT};

use super::state::State;
use super::wire::{HTML, no_user_agent, nothing_here, request_id};
use super::{api, authorize, token};
use crate::testing::new_application::NewApplicationPage;
use crate::testing::server::Handler;
use crate::testing::wire::{FakeRequest, FakeResponse, add_header, respond};

/// The site, and below `/api/v3` the API of an Enterprise Server.
pub(super) fn site(state: &Arc<Mutex<State>>) -> Arc<Handler> {
    handler(state, |state, request, path| match path.strip_prefix("/api/v3") {
        Some(call) if state.options.is_server() => api_call(state, request, call),
        _ => site_call(state, request, path),
    })
}

/// The host of the API.
pub(super) fn api(state: &Arc<Mutex<State>>) -> Arc<Handler> {
    handler(state, api_call)
}

fn handler(
    state: &Arc<Mutex<State>>,
    respond_to: impl Fn(&mut State, &FakeRequest, &str) -> FakeResponse + Send + Sync + 'static,
) -> Arc<Handler> {
    let state = Arc::clone(state);
    Arc::new(move |request| {
        let mut state = lock(&state);
        let mut response = respond_to(&mut state, request, request.uri().path());
        add_header(&mut response, "X-GitHub-Request-Id", &request_id());
        if state.options.strip_headers {
            let names: Vec<HeaderName> = response.headers().keys().cloned().collect();
            for name in names.into_iter().filter(|name| name.as_str().starts_with("x-github-")) {
                response.headers_mut().remove(name);
            }
        }
        response
    })
}

fn api_call(state: &mut State, request: &FakeRequest, path: &str) -> FakeResponse {
    if request.headers().contains_key(USER_AGENT) { api::call(state, request, path) } else { no_user_agent() }
}

fn site_call(state: &mut State, request: &FakeRequest, path: &str) -> FakeResponse {
    if state.maintenance {
        return respond(503, &[HTML], "<!DOCTYPE html>\n<title>GitHub is down for maintenance</title>\n");
    }
    match (request.method(), path) {
        (&Method::GET, "/login/oauth/authorize") => authorize::page(state, request),
        (&Method::POST, "/login/oauth/authorize") => authorize::pressed(state, request),
        (&Method::POST, "/login/oauth/access_token") if !request.headers().contains_key(USER_AGENT) => no_user_agent(),
        (&Method::POST, "/login/oauth/access_token") => token::token(state, request),
        _ => {
            let page = NEW_APPLICATION.response(request, path, |new| state.add_application(new, false));
            page.unwrap_or_else(nothing_here)
        }
    }
}

const NEW_APPLICATION: NewApplicationPage = NewApplicationPage {
    platform: "GitHub",
    paths: &["/settings/applications/new"],
    scopes: &[],
    labels: ["Client ID", "Client secret"],
};

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
