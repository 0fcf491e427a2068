//! The form of an integration.

use axum::response::Response;

use super::fault::Fault;
use super::visit::Request;

pub(super) async fn new(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn create(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn edit(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn save(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}
