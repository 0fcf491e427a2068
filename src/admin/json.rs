//! The same as JSON.

use axum::Router;

use super::AdminRoutes;

pub(super) fn router() -> Router<AdminRoutes> {
    Router::new()
}
