//! Where a browser's pending logins and its CSRF token are kept: in the app's session or in cookies. The rest of the router
//! does not know which.

mod in_cookie;
mod in_session;
#[cfg(feature = "admin")]
mod kept_cookies;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;

use self::in_cookie::InCookie;
use self::in_session::{InSession, is_stored};
use super::callback_runs::{CallbackRuns, RunLogin, StateId};
use super::session::{AppSession, Sessions};
use super::{Failure, FailureCause, RequestHead, TowerSessions};
use crate::login::{Callback, PendingLogin, ReturnTo};
use crate::seal::KeyRing;
use crate::values::public_url::PublicUrl;
use crate::values::secret::Secret;

pub(super) struct Backend {
    sessions: Box<dyn Sessions>,
    storage: Storage,
}

enum Storage {
    Session(InSession),
    Cookie(InCookie),
}

/// The stored login that a callback belongs to.
pub(super) enum StoredLogin {
    /// It waits for this callback. `binding` is what binds it to this browser.
    Pending {
        login: Box<PendingLogin>,
        binding: Secret,
    },
    /// This browser has finished it before.
    Finished {
        return_to: Option<ReturnTo>,
    },
    Nothing,
}

impl Backend {
    pub(super) fn in_session(sessions: impl Sessions) -> Self {
        Self { sessions: Box::new(sessions), storage: Storage::Session(InSession::default()) }
    }

    pub(super) fn in_cookie(public_url: &PublicUrl, keys: KeyRing) -> Self {
        Self { sessions: Box::new(TowerSessions), storage: Storage::Cookie(InCookie::new(public_url, keys)) }
    }

    /// The app's own session, if there is one in the request.
    pub(super) fn session(&self, request: &RequestHead) -> Option<Arc<dyn AppSession>> {
        self.sessions.session(request)
    }

    fn needed_session(&self, request: &RequestHead) -> Result<Arc<dyn AppSession>, Failure> {
        self.session(request).ok_or_else(|| FailureCause::NoSessionLayer { layer: self.sessions.layer() }.into())
    }

    /// The id of the session that the browser has sent, if it is still in the store.
    pub(super) async fn stored_session(&self, request: &RequestHead) -> Result<Option<String>, Failure> {
        match self.session(request) {
            Some(session) if is_stored(&*session).await? => Ok(session.id()),
            _ => Ok(None),
        }
    }

    /// Confirms the finished logins that came with the request, so that their callbacks cannot be repeated: a browser that sends
    /// one has received the response.
    pub(super) async fn confirm_finished_logins(
        &self,
        request: &RequestHead,
        callback_runs: &CallbackRuns,
    ) -> Result<(), Failure> {
        let states = match &self.storage {
            Storage::Session(in_session) => in_session.finished_logins(&*self.needed_session(request)?).await?,
            Storage::Cookie(in_cookie) => in_cookie.finished_logins(request),
        };
        states.into_iter().for_each(|state| callback_runs.response_received(state));
        Ok(())
    }

    /// This browser's CSRF token, if it has one.
    pub(super) async fn csrf(&self, request: &RequestHead) -> Result<Option<Secret>, Failure> {
        match &self.storage {
            Storage::Session(in_session) => in_session.csrf(&*self.needed_session(request)?).await,
            Storage::Cookie(in_cookie) => Ok(in_cookie.csrf(request)),
        }
    }

    /// Gives this browser a CSRF token, unless it has got one meanwhile.
    pub(super) async fn new_csrf(&self, request: &RequestHead) -> Result<(Secret, Option<HeaderValue>), Failure> {
        match &self.storage {
            Storage::Session(in_session) => Ok((in_session.new_csrf(&*self.needed_session(request)?).await?, None)),
            Storage::Cookie(in_cookie) => in_cookie.new_csrf().map(|(token, cookie)| (token, Some(cookie))),
        }
    }

    /// Adds a pending login, whose redirect URL is `location` bytes long. A session is stored when this returns, a cookie when
    /// the browser has the response.
    pub(super) async fn insert(
        &self,
        request: &RequestHead,
        pending: PendingLogin,
        location: usize,
    ) -> Result<Vec<HeaderValue>, Failure> {
        match &self.storage {
            Storage::Session(in_session) => {
                in_session.insert(&*self.needed_session(request)?, pending).await.map(|()| Vec::new())
            }
            Storage::Cookie(in_cookie) => in_cookie.insert(request, pending, location),
        }
    }

    /// The login that a callback belongs to.
    pub(super) async fn find(&self, request: &RequestHead, callback: &Callback) -> Result<StoredLogin, Failure> {
        match &self.storage {
            Storage::Session(in_session) => in_session.find(&*self.needed_session(request)?, callback).await,
            Storage::Cookie(in_cookie) => Ok(in_cookie.find(request, callback)),
        }
    }

    /// Removes a pending login before its code is sent. It needs no request, which may have been dropped. A cookie is removed
    /// with the response; until then [`CallbackRuns`] remembers that the login is used.
    pub(super) async fn mark_used(&self, session: Option<Arc<dyn AppSession>>, state: StateId) -> Result<(), Failure> {
        match (&self.storage, session) {
            (Storage::Session(in_session), Some(session)) => in_session.mark_used(&*session, state).await,
            (Storage::Session(_), None) => Err(FailureCause::NoSessionLayer { layer: self.sessions.layer() }.into()),
            (Storage::Cookie(_), _) => Ok(()),
        }
    }

    /// Remembers a finished login, before the app is called. After a login, the browser's other pending logins are removed,
    /// and a session gets another id and CSRF token, because somebody else may know the old ones.
    pub(super) async fn finish(
        &self,
        request: &RequestHead,
        login: &RunLogin,
        callback_runs: &CallbackRuns,
    ) -> Result<(), Failure> {
        match &self.storage {
            Storage::Session(in_session) => {
                in_session.finish(&*self.needed_session(request)?, login, callback_runs).await
            }
            Storage::Cookie(_) => Ok(()),
        }
    }

    /// Sets the cookies of a response to a callback. `login` is to be remembered; `None` if it has failed.
    pub(super) fn set_cookies(
        &self,
        request: &RequestHead,
        state: StateId,
        login: Option<&RunLogin>,
        response: &mut Response,
    ) {
        if let Storage::Cookie(in_cookie) = &self.storage {
            in_cookie.set_cookies(request, state, login, response);
        }
    }

    /// Ends the app's own session, and removes everything that is stored for this browser.
    pub(super) async fn end(
        &self,
        request: &RequestHead,
        callback_runs: &CallbackRuns,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let cookies = match &self.storage {
            Storage::Session(in_session) => {
                in_session.forget_runs(&*self.needed_session(request)?, callback_runs).await.map(|()| Vec::new())?
            }
            Storage::Cookie(in_cookie) => in_cookie.end(request, callback_runs),
        };
        if let Some(session) = self.session(request) {
            session.end().await.map_err(FailureCause::Session)?;
        }
        Ok(cookies)
    }

    /// Keeps a sealed text, as base64url, for this browser.
    #[cfg(feature = "admin")]
    pub(super) async fn keep(
        &self,
        request: &RequestHead,
        name: &str,
        text: &str,
    ) -> Result<Vec<HeaderValue>, Failure> {
        match &self.storage {
            Storage::Session(in_session) => {
                in_session.keep(&*self.needed_session(request)?, name, text).await.map(|()| Vec::new())
            }
            Storage::Cookie(in_cookie) => in_cookie.keep(request, name, text),
        }
    }

    /// The text that is kept under this name.
    #[cfg(feature = "admin")]
    pub(super) async fn kept(&self, request: &RequestHead, name: &str) -> Result<Option<String>, Failure> {
        match &self.storage {
            Storage::Session(in_session) => in_session.kept(&*self.needed_session(request)?, name).await,
            Storage::Cookie(in_cookie) => Ok(in_cookie.kept(request, name)),
        }
    }

    /// Removes the text that is kept under this name.
    #[cfg(feature = "admin")]
    pub(super) async fn forget_kept(&self, request: &RequestHead, name: &str) -> Result<Vec<HeaderValue>, Failure> {
        match &self.storage {
            Storage::Session(in_session) => {
                in_session.forget_kept(&*self.needed_session(request)?, name).await.map(|()| Vec::new())
            }
            Storage::Cookie(in_cookie) => Ok(in_cookie.forget_kept(request, name)),
        }
    }

    /// Whether pending logins are in a session. A browser may come back without it.
    pub(super) fn needs_session(&self) -> bool {
        matches!(self.storage, Storage::Session(_))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.needs_session() { "in_session" } else { "in_cookie" })
    }
}

/// For how long the text of a form is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How many, for each browser.
#[cfg(feature = "admin")]
const MAX_KEPT: usize = 4;
/// Bytes of all of them in a session.
#[cfg(feature = "admin")]
const MAX_KEPT_LENGTH: usize = 12 * 1024;

fn not_a_header(error: http::header::InvalidHeaderValue) -> Failure {
    FailureCause::Session(error.into()).into()
}
