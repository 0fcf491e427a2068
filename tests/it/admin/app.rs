//! A small app with the integrations page: organizations, their administrators, and browsers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use codehost_oauth::admin::{
    AdminAccess, AdminChange, AdminRoutes, Administrator, Caller, ChangeKind, MAX_INTEGRATIONS, Refusal,
};
use codehost_oauth::error::AppError;
use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    AppConfig, IntegrationStore, Integrations, MemoryIntegrations, OperatorSettings, StoreTransaction,
    StoredIntegration,
};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Integration, IntegrationId, Login, User};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::admin::screen::Screen;

pub(crate) const PUBLIC_URL: &str = "https://packages.example.com";

/// Where the page of the organization "acme" is. That of "globex" is beside it, and `/integrations` has those without an owner.
pub(crate) const ACME: &str = "/org/acme/integrations";

/// An administrator of "acme".
pub(crate) const ANNA: &str = "anna";
/// An administrator of "globex".
pub(crate) const GUS: &str = "gus";
/// The operator, who manages the integrations of all and those without an owner.
pub(crate) const OLGA: &str = "olga";
/// A user who manages nothing.
pub(crate) const MIA: &str = "mia";

pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) integrations: Integrations,
    pub(crate) world: World,
}

/// What only the app knows, for tests to set and to look at.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Facts>>);

#[derive(Default)]
pub(crate) struct Facts {
    /// How many accounts use an integration.
    pub(crate) accounts: HashMap<IntegrationId, u64>,
    /// The user names by account key, as they were when the account was connected.
    pub(crate) known: HashMap<String, String>,
    /// Why no integration may be moved or deleted.
    pub(crate) refusal: Option<Refusal>,
    /// Whose right has ended: they are asked again in the transaction.
    pub(crate) dismissed: Vec<String>,
    /// What the app was told before and after changes, in order.
    pub(crate) told: Vec<String>,
    /// How many integrations an owner may have.
    pub(crate) limit: Option<u64>,
    /// Where the API of a code host is, by its base URL.
    pub(crate) api_urls: HashMap<String, String>,
}

impl World {
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }
}

impl App {
    /// An app whose logins and forms are in its session.
    pub(crate) fn start() -> Self {
        Self::with_store(MemoryIntegrations::default(), Access::Read, true)
    }

    /// The same with sealed cookies.
    pub(crate) fn in_cookie() -> Self {
        Self::with_store(MemoryIntegrations::default(), Access::Read, false)
    }

    pub(crate) fn with_store(store: impl IntegrationStore, preset_access: Access, in_session: bool) -> Self {
        crate::secrets::leak_check::start();
        let world = World::default();
        let network = Network::public_only().allow_loopback_http();
        let http = HttpClient::builder(network.clone()).build().unwrap();
        let config = AppConfig::new(PUBLIC_URL.parse().unwrap(), http);
        let config = config.operator_settings(Operator(world.clone(), network));
        let integrations = Integrations::new(store, config, keys());
        let public_url = PUBLIC_URL.parse().unwrap();
        let logins = match in_session {
            true => LoginRoutes::in_session(integrations.clone(), Handler, &public_url),
            false => LoginRoutes::in_cookie(integrations.clone(), Handler, &public_url, keys()),
        };
        let admin = AdminRoutes::new(&logins, &integrations, world.clone()).unwrap().preset_access(preset_access);
        let router = Router::new()
            .merge(logins.router())
            .nest("/org/{owner}/integrations", admin.router())
            .nest("/integrations", admin.router())
            .route("/as/{user}", get(log_in))
            .route("/log-out", get(log_out))
            .layer(
                SessionManagerLayer::new(MemoryStore::default()).with_same_site(tower_sessions::cookie::SameSite::Lax),
            );
        Self { router, integrations, world }
    }

    /// A browser in which this user is logged in.
    pub(crate) async fn browser(&self, user: &str) -> Browser {
        let mut browser = Browser { router: self.router.clone(), cookies: Vec::new() };
        browser.log_in(user).await;
        browser
    }

    /// The integrations of "acme".
    pub(crate) async fn of_acme(&self) -> Vec<StoredIntegration> {
        self.integrations.list(Some("acme")).await.unwrap().into_iter().map(Result::unwrap).collect()
    }
}

fn keys() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

pub(crate) async fn log_in(Path(user): Path<String>, session: Session) {
    session.insert("user", user).await.unwrap();
}

async fn log_out(session: Session) {
    session.remove::<String>("user").await.unwrap();
}

async fn user(request: &RequestHead) -> Result<Option<String>, AppError> {
    let Some(session) = request.extensions.get::<Session>() else { return Ok(None) };
    Ok(session.get("user").await?)
}

#[async_trait]
impl AdminAccess for World {
    async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller, AppError> {
        let Some(user) = user(request).await? else { return Ok(Caller::LoggedOut) };
        Ok(match (user.as_str(), owner) {
            (OLGA, _) => Caller::Administrator(Administrator::new(OLGA, "Olga Operator").operator()),
            // Her colleagues.
            (user, Some("acme")) if user.starts_with("anna-") => {
                Caller::Administrator(Administrator::new(user, "A Colleague"))
            }
            (ANNA, Some("acme")) => Caller::Administrator(Administrator::new(ANNA, "Anna Admin")),
            (GUS, Some("globex")) => Caller::Administrator(Administrator::new(GUS, "Gus Globex")),
            _ => Caller::Other,
        })
    }

    async fn may_still_manage(
        &self,
        administrator: &Administrator,
        _: Option<&str>,
        _: &mut StoreTransaction<'_>,
    ) -> Result<bool, AppError> {
        Ok(!self.facts().dismissed.contains(&administrator.user_id))
    }

    async fn accounts(&self, id: &IntegrationId) -> Result<Option<u64>, AppError> {
        Ok(self.facts().accounts.get(id).copied())
    }

    async fn is_known(&self, user: &User) -> Result<bool, AppError> {
        let known = self.facts().known.get(&user.key.to_string()).cloned();
        Ok(known.is_some() && known == user.username)
    }

    async fn before_change(&self, change: &AdminChange<'_>, _: &mut StoreTransaction<'_>) -> Result<(), AppError> {
        let mut facts = self.facts();
        facts.told.push(format!("before {}", told(change)));
        change.ensure_at_most(facts.limit.unwrap_or(MAX_INTEGRATIONS))?;
        match &facts.refusal {
            Some(refusal) if matches!(change.kind, ChangeKind::Moved(_) | ChangeKind::Deleted) => {
                Err(refusal.clone().into())
            }
            _ => Ok(()),
        }
    }

    async fn changed(&self, change: &AdminChange<'_>, _: &mut StoreTransaction<'_>) -> Result<(), AppError> {
        self.facts().told.push(format!("after {}", told(change)));
        Ok(())
    }

    fn login_path(&self) -> &str {
        "/log-in"
    }
}

/// What happens, to which versions and by whom.
fn told(change: &AdminChange<'_>) -> String {
    let AdminChange { administrator, owner, id, kind, old, new, .. } = change;
    for stored in [old, new].into_iter().flatten() {
        assert_eq!((&stored.id, stored.owner.as_deref()), (*id, *owner));
    }
    let [old, new] = [old, new].map(|stored| stored.map_or("-", |stored| stored.settings.name.as_str()));
    format!("{kind:?} {old} → {new} by {}", administrator.user_id)
}

/// Bitbucket Cloud and GitHub.com are at one URL only, and their fakes are somewhere else.
struct Operator(World, Network);

impl OperatorSettings for Operator {
    fn api_url(&self, base_url: &BaseUrl) -> Option<BaseUrl> {
        let facts = self.0.facts();
        let url = facts.api_urls.get(base_url.as_str())?;
        Some(BaseUrl::parse(url, &self.1).unwrap())
    }
}

struct Handler;

#[async_trait]
impl LoginHandler for Handler {
    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, AppError> {
        user(request).await
    }

    async fn logged_in(&self, request: &mut RequestHead, integration: &Integration, login: Login) -> Response {
        if let Some(session) = request.extensions.get::<Session>() {
            session.insert("user", login.user.key.to_string()).await.unwrap();
        }
        let path = login.return_to.map_or(integration.app_path().to_owned(), |path| path.to_string());
        ([("x-logged-in", login.user.key.to_string())], Redirect::to(&path)).into_response()
    }
}

/// A browser without JavaScript, with its cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    pub(crate) async fn log_in(&mut self, user: &str) {
        assert_eq!(self.get(&format!("/as/{user}")).await.status, StatusCode::OK);
    }

    /// Opens a page, and follows redirects within the app.
    pub(crate) async fn open(&mut self, uri: &str) -> Screen {
        let mut response = self.get(uri).await;
        for _ in 0..3 {
            match response.location() {
                Some(location) if location.starts_with('/') => response = self.get(location).await,
                _ => break,
            }
        }
        Screen::new(response.status, &response.body)
    }

    /// Presses a button of the form that is on the screen.
    pub(crate) async fn press(&mut self, screen: &Screen, button: &str) -> Shown {
        let (action, fields) = screen.submission(button);
        self.post(&action, &fields).await
    }

    pub(crate) async fn get(&mut self, uri: &str) -> Shown {
        self.send(Request::get(uri), String::new()).await
    }

    pub(crate) async fn post(&mut self, uri: &str, fields: &[(String, String)]) -> Shown {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(uri).header("sec-fetch-site", "same-origin");
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), body).await
    }

    pub(crate) async fn send(&mut self, request: http::request::Builder, body: String) -> Shown {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(COOKIE, cookies.join("; ")).body(Body::from(body)).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        crate::secrets::leak_check::response("an integrations page", &head.headers, &body);
        Shown { status: head.status, headers: head.headers, body }
    }
}

/// A response.
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Shown {
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION).map(|location| location.to_str().unwrap())
    }

    /// The page, which must not be a redirect.
    pub(crate) fn screen(&self) -> Screen {
        assert_eq!(self.location(), None, "redirected");
        Screen::new(self.status, &self.body)
    }
}
