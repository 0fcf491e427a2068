//! Who may see and do what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::response::{Html, IntoResponse as _, Response};
use codehost_oauth::admin::{
    AdminAccess, AdminChange, AdminPage, AdminPages, AdminRoutes, Administrator, Caller, ChangeKind, MAX_INTEGRATIONS,
    Refusal,
};
use codehost_oauth::error::{AppError, Audience, StoreError};
use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
use codehost_oauth::settings::{
    Health, HealthNote, IntegrationStore, IntegrationWrite, MemoryIntegrations, MoveKind, StoreTransaction,
    StoredIntegration, UnreadableIntegration, WriteError, WriteHook, Written,
};
use codehost_oauth::{Access, Integration, IntegrationId, Login};
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::admin::app::{ACME, ANNA, App, GUS, MIA, PUBLIC_URL};
use crate::admin::list::create;

/// Counts what is asked of the store.
#[derive(Clone, Debug, Default)]
struct Counting(MemoryIntegrations, Arc<AtomicUsize>);

impl Counting {
    fn count(&self) -> &MemoryIntegrations {
        self.1.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

#[async_trait]
impl IntegrationStore for Counting {
    async fn load(&self, id: &IntegrationId) -> Result<Option<StoredIntegration>, StoreError> {
        self.count().load(id).await
    }

    async fn version(&self, id: &IntegrationId) -> Result<Option<i64>, StoreError> {
        self.count().version(id).await
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        self.count().list(owner).await
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> Result<Written, WriteError> {
        self.count().write(write, hook).await
    }

    async fn health(&self, ids: &[IntegrationId]) -> Result<Vec<Health>, StoreError> {
        self.count().health(ids).await
    }

    async fn note(&self, notes: &[HealthNote]) -> Result<(), StoreError> {
        self.count().note(notes).await
    }
}

/// All pages about an integration, as they are read.
fn pages(id: &str) -> Vec<String> {
    let parts = [
        "",
        "/new",
        "/ID",
        "/ID/edit",
        "/ID/delete",
        "/ID/secret",
        "/ID/test",
        "/api/v1",
        "/api/v1/integrations",
        "/api/v1/integrations/ID",
        "/api/v1/integrations/ID/health",
        "/api/v1/integrations/ID/test",
    ];
    parts.map(|part| format!("{ACME}{}", part.replace("ID", id))).to_vec()
}

#[tokio::test]
async fn strangers_cost_nothing_and_learn_nothing() {
    let store = Counting::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let stored = create(&app.integrations, "https://git.example.com", "Secret name").await;
    let mut logged_out = app.browser(MIA).await;
    logged_out.cookies.clear();
    let mut mia = app.browser(MIA).await;
    let asked = store.1.load(Ordering::Relaxed);
    for path in &pages(stored.id.as_str()) {
        let shown = logged_out.get(path).await;
        assert_eq!(shown.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(shown.headers.get("set-cookie").is_none(), "{path}: a stranger's GET makes no session");
        assert!(shown.body.contains("You are not logged in.") && shown.body.contains("/log-in"), "{}", shown.body);
        let unknown = logged_out.get(&path.replace(stored.id.as_str(), "nobody")).await;
        assert_eq!((shown.status, &shown.body), (unknown.status, &unknown.body), "{path}");

        let shown = mia.get(path).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN, "{path}");
        for word in ["Secret name", "git.example.com", stored.id.as_str()] {
            assert!(!shown.body.contains(word), "{path} tells {word}");
        }
    }
    for path in ["disable", "enable", "rename", "delete", "secret", "test"] {
        let path = format!("{ACME}/{}/{path}", stored.id);
        assert_eq!(logged_out.post(&path, &[]).await.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(mia.post(&path, &[]).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(store.1.load(Ordering::Relaxed), asked, "the store is not asked for strangers");
}

#[tokio::test]
async fn another_organizations_integration_is_not_found() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Of Acme").await;
    let mut gus = app.browser(GUS).await;
    let own = "/org/globex/integrations";
    for path in pages(stored.id.as_str()).iter().filter(|path| path.contains(stored.id.as_str())) {
        let path = path.replace(ACME, own);
        let (shown, unknown) = (gus.get(&path).await, gus.get(&path.replace(stored.id.as_str(), "unknown")).await);
        assert_eq!((shown.status, &shown.body), (StatusCode::NOT_FOUND, &unknown.body), "{path}");
        assert!(!shown.body.contains("Of Acme"));
    }
    let token = token_of(&gus.get(&format!("{own}/api/v1")).await.body);
    for path in ["disable", "rename", "delete", "secret", "test"] {
        let fields =
            [("csrf_token", token.as_str()), ("version", "1"), ("name", "Mine"), ("client_secret", "canary-x")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let shown = gus.post(&format!("{own}/{}/{path}", stored.id), &fields).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(app.of_acme().await, [stored]);
}

fn token_of(json: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    json["csrf_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_right_that_ends_before_the_write_ends_it() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(&format!("{ACME}/{}", stored.id)).await;
    let deletion = browser.open(&format!("{ACME}/{}/delete", stored.id)).await;
    app.world.facts().dismissed.push(ANNA.to_owned());
    for (screen, button) in [(&screen, "Disable"), (&screen, "Save name"), (&deletion, "Delete integration")] {
        let shown = browser.press(screen, button).await.screen();
        assert_eq!(shown.status, StatusCode::CONFLICT, "{button}");
        shown.assert_shows("You may not manage these integrations any more. Nothing was saved.");
    }
    assert_eq!(app.of_acme().await, [stored]);
    assert!(app.world.facts().told.is_empty(), "the app is not asked to forget anything");
}

/// An app that implements what is required, and nothing else.
struct Plain;

#[async_trait]
impl AdminAccess for Plain {
    async fn who(&self, _: &mut RequestHead, _: Option<&str>) -> Result<Caller, AppError> {
        Ok(Caller::Other)
    }
}

#[tokio::test]
async fn an_app_that_decides_nothing_refuses_what_would_do_harm() {
    let (anna, id) = (Administrator::new(ANNA, "Anna Admin"), IntegrationId::random().unwrap());
    let decide = async |kind| {
        let change = AdminChange::new(&anna, Some("acme"), &id, kind);
        let decided = Plain.before_change(&change, &mut StoreTransaction::None).await;
        decided.map_err(|error| error.downcast::<Refusal>().unwrap().message)
    };
    let full = "There can be at most 100 integrations.";
    assert_eq!(decide(ChangeKind::Created { others: MAX_INTEGRATIONS }).await.unwrap_err(), full);
    let moved = decide(ChangeKind::Moved(MoveKind::NewServer)).await.unwrap_err();
    assert_eq!(moved, "This app cannot forget the accounts of the old server.");
    for kind in [
        ChangeKind::Created { others: MAX_INTEGRATIONS - 1 },
        ChangeKind::Edited,
        ChangeKind::Moved(MoveKind::NewApplication),
        ChangeKind::Moved(MoveKind::SameServer),
        ChangeKind::Disabled,
        ChangeKind::Enabled,
        ChangeKind::Deleted,
    ] {
        assert_eq!(decide(kind).await, Ok(()), "{kind:?}");
    }
}

#[tokio::test]
async fn forms_need_the_token_of_the_browser() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com", "Our GitLab").await;
    let screen = app.browser(ANNA).await.open(&format!("{ACME}/{}", stored.id)).await;
    // The form of another browser of the same user.
    let mut other = app.browser(ANNA).await;
    for button in ["Disable", "Save name", "Test login"] {
        let shown = other.press(&screen, button).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN, "{button}");
    }
    assert_eq!(app.of_acme().await, [stored]);
}

/// A test login comes back to one callback, where only one of them can say who may.
#[tokio::test]
async fn a_second_page_for_the_same_logins_is_an_error() {
    let app = App::start();
    let logins = || LoginRoutes::in_session(app.integrations.clone(), Nobody, &PUBLIC_URL.parse().unwrap());
    let (one, other) = (logins(), logins());
    let admin = AdminRoutes::new(&one, &app.integrations, app.world.clone()).unwrap();
    let error = AdminRoutes::new(&one.clone(), &app.integrations, Plain).unwrap_err();
    assert_eq!((error.code(), error.advice().audience), ("second_admin_routes", Audience::Operator));
    assert!(AdminRoutes::new(&other, &app.integrations, Plain).is_ok());
    let _: Router = Router::new().nest("/a", admin.router()).nest("/b", admin.router());
}

/// A layout that shows who is logged in.
struct Layout;

#[async_trait]
impl AdminPages for Layout {
    async fn layout(&self, request: &mut RequestHead, page: AdminPage) -> Response {
        let session = request.extensions.get::<tower_sessions::Session>().unwrap();
        let user: Option<String> = session.get("user").await.unwrap();
        Html(format!("<nav>{}</nav>{}", user.unwrap_or_default(), page.body)).into_response()
    }
}

struct Nobody;

#[async_trait]
impl LoginHandler for Nobody {
    async fn logged_in(&self, _: &mut RequestHead, _: &Integration, _: Login) -> Response {
        StatusCode::IM_A_TEAPOT.into_response()
    }
}

#[tokio::test]
async fn refusals_are_in_the_apps_layout_with_the_user() {
    let app = App::start();
    let logins = LoginRoutes::in_session(app.integrations.clone(), Nobody, &PUBLIC_URL.parse().unwrap());
    let admin = AdminRoutes::new(&logins, &app.integrations, app.world.clone()).unwrap().pages(Layout);
    let router: Router = Router::new()
        .nest("/org/{owner}/integrations", admin.router())
        .route("/as/{user}", axum::routing::get(crate::admin::app::log_in))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    let response = router.clone().oneshot(Request::get("/as/mia").body(String::new()).unwrap()).await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (path, status) in [("", StatusCode::FORBIDDEN), ("/unknown/page", StatusCode::NOT_FOUND)] {
        let request = Request::get(format!("{ACME}{path}")).header("cookie", &cookie).body(String::new()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(body.starts_with(b"<nav>mia</nav><div class=\"ch-admin\"><h1>"), "{body:?}");
    }
}
