//! Requests on real sockets: policy, limits, pools, and misbehaving code hosts.

mod dns;
mod hostile;
mod isolation;
mod kept_connections;
mod memory;
mod preconnect;
pub(crate) mod requests;
mod saturation;
mod tenants;
