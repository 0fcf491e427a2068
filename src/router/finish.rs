//! From the callback to the app.

use std::sync::Arc;

use axum::response::Response;
use http::Uri;

use super::flights::{Flight, Landing, REPEATED, StateId, Takeoff};
use super::head::{has_cookie, is_same_site};
use super::keep::{Done, Found, app_session, is_there};
use super::routes::see_other;
use super::{Failure, FailureCause, Logins, RequestHead};
use crate::error::{Error, VerifyError};
use crate::integration::Integration;
use crate::login::{Callback, Login, PendingLogin, Purpose, ReturnTo};
use crate::observe;
use crate::secret::Secret;

impl Logins {
    pub(super) async fn finish(&self, id: &str, request: &mut RequestHead, uri: &Uri) -> Response {
        // Whoever repeats a callback repeats all of it.
        let whole = format!("{}?{}", uri.path(), uri.query().unwrap_or_default());
        let (state, flight) = match self.join(id, request, uri, &whole).await {
            Ok(Joined::Flight(flight)) => (flight.state, flight),
            Ok(Joined::Finished { return_to }) => {
                let path = return_to.as_ref().map_or(self.0.public_url.path(), ReturnTo::as_str);
                return see_other(path);
            }
            Err(failure) => return self.failed(request, failure, Some(id), None).await,
        };
        let done = Done { state, return_to: flight.return_to.as_ref(), is_login: flight.user_id.is_none() };
        match self.arrive(id, request, &flight, &done).await {
            Ok(mut response) => {
                self.0.keep.set_cookies(request, state, Some(&done), &mut response);
                response
            }
            Err(failure) => {
                let mut response = self.failed(request, failure, Some(id), flight.return_to.clone()).await;
                self.0.keep.set_cookies(request, state, None, &mut response);
                response
            }
        }
    }

    /// The flight that a callback begins, or that it has begun already.
    async fn join(&self, id: &str, request: &mut RequestHead, uri: &Uri, whole: &str) -> Result<Joined, Failure> {
        let callback = Callback::from_uri(uri).map_err(Error::from)?;
        let state = callback.state().map(StateId::of).ok_or_else(|| Error::from(VerifyError::StateMissing))?;
        let session = app_session(request).and_then(|session| session.id()).map(|id| id.to_string());
        let holds = |binding: &str| session.as_deref() == Some(binding) || has_cookie(request, binding);
        if let Some(flight) = self.0.flights.again(state, whole, holds) {
            return Ok(Joined::Flight(flight));
        }
        match self.0.keep.find(request, &callback).await? {
            Found::Pending { login, binding } => {
                let flight = self.take_off(id, request, callback, *login, binding, whole).await;
                Ok(Joined::Flight(flight.ok_or_else(|| Error::from(VerifyError::StateUnknown))?))
            }
            Found::Finished { return_to } => {
                self.0.flights.confirm(state);
                Ok(Joined::Finished { return_to })
            }
            Found::Nothing => {
                let lost = session.is_none() && self.0.keep.needs_session() && !is_same_site(request);
                if lost && self.0.flights.has_begun(state) {
                    self.tell_of_lost_session();
                }
                Err(Error::from(VerifyError::StateUnknown).into())
            }
        }
    }

    /// Begins the flight, on a task of its own: the code works once, so a request that is dropped must not end it.
    async fn take_off(
        &self,
        id: &str,
        request: &mut RequestHead,
        callback: Callback,
        pending: PendingLogin,
        binding: Secret,
        whole: &str,
    ) -> Option<Arc<Flight>> {
        let state = StateId::of(pending.state());
        let session = match is_there(request).await {
            Ok(true) => app_session(request).and_then(|session| session.id()).map(|id| id.to_string()),
            _ => None,
        };
        // A login that fails here is spent all the same.
        let prepared = self.prepare(id, request, pending.purpose()).await;
        let (integration, user_id) = match &prepared {
            Ok((integration, user_id)) => (Some(Arc::clone(integration)), user_id.clone()),
            Err(_) => (None, pending.purpose().user_id().map(str::to_owned)),
        };
        let return_to = pending.return_to().cloned();
        let takeoff = Takeoff { state, integration, user_id, return_to, session, binding };
        // Nothing is awaited from here to the task: a flight that has begun lands.
        let flight = match self.0.flights.take_off(takeoff, whole) {
            Some(flight) => flight,
            None => {
                let session = app_session(request).and_then(|session| session.id()).map(|id| id.to_string());
                let holds = |binding: &str| session.as_deref() == Some(binding) || has_cookie(request, binding);
                return self.0.flights.again(state, whole, holds);
            }
        };
        let (logins, session) = (self.clone(), app_session(request).cloned());
        let landing = Landing(Arc::clone(&flight));
        observe::spawn(async move {
            let work = async {
                logins.0.keep.spend(session.as_ref(), state).await?;
                let (integration, user_id) = prepared?;
                let login = match user_id {
                    None => integration.finish_login(pending, callback).await,
                    Some(user_id) => integration.finish_connect(&user_id, pending, callback).await,
                };
                // What failed in there has been logged there.
                login.map_err(Failure::logged)
            };
            let landed = work.await;
            landing.0.land(landed);
            let flight = Arc::clone(&landing.0);
            drop(landing);
            tokio::time::sleep(REPEATED).await;
            flight.forget();
        });
        Some(flight)
    }

    async fn prepare(
        &self,
        id: &str,
        request: &mut RequestHead,
        purpose: &Purpose,
    ) -> Result<(Arc<Integration>, Option<String>), Failure> {
        let integration = self.integration(id).await?;
        let user_id = match purpose {
            Purpose::LogIn => None,
            Purpose::Connect { .. } => Some(self.user_id(request).await?),
        };
        Ok((integration, user_id))
    }

    /// Waits for the flight, and looks again at all that may have changed meanwhile.
    async fn arrive(
        &self,
        id: &str,
        request: &mut RequestHead,
        flight: &Flight,
        done: &Done<'_>,
    ) -> Result<Response, Failure> {
        let outcome = flight.outcome().await;
        let login: Login = outcome.unwrap_or_else(|| Err(Error::from(VerifyError::StateUnknown).into()))?;
        if flight.is_cancelled() || self.has_logged_out(request, flight).await? {
            return Err(FailureCause::LoggedOut.into());
        }
        let integration = match self.integration(id).await {
            Err(Failure { cause: FailureCause::UnknownIntegration, .. }) => None,
            found => Some(found?),
        };
        let same = |now: &Arc<Integration>| flight.integration.as_ref().is_some_and(|then| now.is_bound_like(then));
        let integration = integration.filter(same).ok_or(FailureCause::IntegrationChanged)?;
        if let Some(user_id) = &flight.user_id {
            if self.user_id(request).await? != *user_id {
                return Err(Error::from(VerifyError::OtherUser).into());
            }
        }
        if let (true, Some(session)) = (done.is_login, &flight.session) {
            // Another login of this browser that is under way has not been logged out, and the app may renew the id.
            self.0.flights.renewed(session);
        }
        self.0.keep.finish(request, done, &self.0.flights).await?;
        Ok(match &flight.user_id {
            None => self.0.host.logged_in(request, &integration, login).await,
            Some(user_id) => self.0.host.connected(request, &integration, user_id, login).await,
        })
    }

    /// Whether the session that the browser had is gone, and not since a login has renewed it.
    async fn has_logged_out(&self, request: &RequestHead, flight: &Flight) -> Result<bool, Failure> {
        match &flight.session {
            Some(session) if !self.0.flights.is_renewed(session) => Ok(!is_there(request).await?),
            _ => Ok(false),
        }
    }
}

enum Joined {
    Flight(Arc<Flight>),
    Finished { return_to: Option<ReturnTo> },
}
