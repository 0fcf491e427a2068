//! Where a browser's pending logins and its CSRF token are kept. Both ways answer the same questions; nothing else in the
//! router knows which it is.

mod cookie;
mod session;

use std::fmt;

use axum::response::Response;
use http::HeaderValue;
use tower_sessions_core::Session;

pub(super) use self::cookie::CookieKeep;
pub(super) use self::session::{SessionKeep, app_session, is_there};
use super::flights::{Flights, StateId};
use super::{Failure, FailureCause, RequestHead};
use crate::login::{Callback, PendingLogin, ReturnTo};
use crate::secret::Secret;

pub(super) enum Keep {
    Session(SessionKeep),
    Cookie(CookieKeep),
}

/// What is kept of the login that a callback belongs to.
pub(super) enum Found {
    /// It waits for this callback. `binding` is what shows that it is this browser's.
    Pending {
        login: Box<PendingLogin>,
        binding: Secret,
    },
    /// This browser has finished it a while ago.
    Finished {
        return_to: Option<ReturnTo>,
    },
    Nothing,
}

/// A login that has finished, to be remembered.
pub(super) struct Done<'a> {
    pub(super) state: StateId,
    pub(super) return_to: Option<&'a ReturnTo>,
    /// Whether it was a login, and no connection.
    pub(super) is_login: bool,
}

impl Keep {
    /// This browser's CSRF token, if it has one.
    pub(super) async fn csrf(&self, request: &RequestHead, flights: &Flights) -> Result<Option<Secret>, Failure> {
        match self {
            Self::Session(keep) => keep.csrf(request, flights).await,
            Self::Cookie(keep) => Ok(keep.csrf(request, flights)),
        }
    }

    /// Gives this browser a CSRF token, unless it has got one meanwhile.
    pub(super) async fn new_csrf(&self, request: &RequestHead) -> Result<(Secret, Option<HeaderValue>), Failure> {
        match self {
            Self::Session(keep) => Ok((keep.new_csrf(request).await?, None)),
            Self::Cookie(keep) => keep.new_csrf().map(|(token, cookie)| (token, Some(cookie))),
        }
    }

    /// Keeps one more pending login, whose redirect is `location` bytes long: a session is stored when this returns, a
    /// cookie when the browser has the response.
    pub(super) async fn insert(
        &self,
        request: &RequestHead,
        pending: PendingLogin,
        location: usize,
    ) -> Result<Vec<HeaderValue>, Failure> {
        match self {
            Self::Session(keep) => keep.insert(request, pending).await.map(|()| Vec::new()),
            Self::Cookie(keep) => keep.insert(request, pending, location),
        }
    }

    /// The login that a callback belongs to.
    pub(super) async fn find(&self, request: &RequestHead, callback: &Callback) -> Result<Found, Failure> {
        match self {
            Self::Session(keep) => keep.find(request, callback).await,
            Self::Cookie(keep) => Ok(keep.find(request, callback)),
        }
    }

    /// Takes a login out before anything is sent. It works on after its request has been dropped. A cookie goes with the
    /// response; until then [`Flights`] remembers that the login is spent.
    pub(super) async fn spend(&self, session: Option<&Session>, state: StateId) -> Result<(), Failure> {
        match self {
            Self::Session(keep) => keep.spend(session, state).await,
            Self::Cookie(_) => Ok(()),
        }
    }

    /// Remembers a finished login, before the app hears of it. After a login, the browser's other pending logins are
    /// dropped, and a session gets another id and CSRF token: whoever knew the old ones is left behind.
    pub(super) async fn finish(
        &self,
        request: &RequestHead,
        done: &Done<'_>,
        flights: &Flights,
    ) -> Result<(), Failure> {
        match self {
            Self::Session(keep) => keep.finish(request, done, flights).await,
            Self::Cookie(_) => Ok(()),
        }
    }

    /// The cookies that go with a response to a callback. `done` is `None` if the login has failed.
    pub(super) fn set_cookies(
        &self,
        request: &RequestHead,
        state: StateId,
        done: Option<&Done<'_>>,
        response: &mut Response,
    ) {
        if let Self::Cookie(keep) = self {
            keep.set_cookies(request, state, done, response);
        }
    }

    /// Ends the app's own session, and forgets all that is kept of this browser.
    pub(super) async fn end(&self, request: &RequestHead, flights: &Flights) -> Result<Vec<HeaderValue>, Failure> {
        let cookies = match self {
            Self::Session(keep) => keep.before_end(request, flights).await.map(|()| Vec::new())?,
            Self::Cookie(keep) => keep.end(request, flights),
        };
        if let Some(session) = app_session(request) {
            session.flush().await.map_err(session::store_failed)?;
        }
        Ok(cookies)
    }

    /// What to do where a session is needed and there is none.
    pub(super) fn needs_session(&self) -> bool {
        matches!(self, Self::Session(_))
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "in_session",
            Self::Cookie(_) => "in_cookie",
        })
    }
}

/// 32 bytes in base64url.
const TOKEN_LENGTH: usize = 43;

fn token(text: String) -> Option<Secret> {
    Secret::parse(text, TOKEN_LENGTH).filter(|token| token.expose().len() == TOKEN_LENGTH)
}

fn not_a_header(error: http::header::InvalidHeaderValue) -> Failure {
    FailureCause::Session(error.into()).into()
}
