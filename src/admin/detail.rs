//! One integration.

use axum::response::Response;

use super::fault::Fault;
use super::visit::Request;

pub(super) async fn show(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn disable(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn enable(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn confirm_delete(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn delete(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn begin_test(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}

pub(super) async fn test_report(request: Request) -> Response {
    request.fault(Fault::NotFound).await
}
