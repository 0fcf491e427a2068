//! The list of integrations.

use axum::response::Response;

use super::fault::Fault;
use super::visit::Request;

pub(super) async fn show(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}
