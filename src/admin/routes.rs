//! The paths.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::fault::Fault;
use super::visit::Request;
use super::{AdminRoutes, assets, detail, form, json, list, test_login};

impl AdminRoutes {
    /// All routes. Nest them where the page is to be: at `/admin/integrations`, or at `/org/{owner}/integrations` for an app with
    /// organizations. The parameter `owner` is then given to [`AdminAccess`](super::AdminAccess).
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/", get(list::show))
            .route("/new", get(form::new).post(form::create))
            .route("/{id}", get(detail::show))
            .route("/{id}/edit", get(form::edit).post(form::save))
            .route("/{id}/disable", post(detail::disable))
            .route("/{id}/enable", post(detail::enable))
            .route("/{id}/delete", get(detail::confirm_delete).post(detail::delete))
            .route("/{id}/rename", post(detail::rename))
            .route("/{id}/secret", get(detail::secret_form).post(detail::replace_secret))
            .route("/{id}/test", get(test_login::report).post(test_login::begin))
            .route("/assets/admin.css", get(assets::css))
            .route("/assets/admin.js", get(assets::js))
            .method_not_allowed_fallback(method_not_allowed)
            .merge(json::router())
            .fallback(not_found)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone())
    }
}

/// A form with certificates.
const MAX_BODY: usize = 256 * 1024;

async fn not_found(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

/// axum adds the header `Allow`.
async fn method_not_allowed(request: Request) -> Response {
    request.fault(Fault::Method).await
}

impl IntoResponse for Fault {
    /// Only for a request that cannot even be read; all others are shown in the app's layout.
    fn into_response(self) -> Response {
        self.status().into_response()
    }
}
