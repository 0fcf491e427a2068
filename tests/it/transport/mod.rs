//! Requests on real sockets: policy, limits, pools, and misbehaving code hosts.

mod authorities;
mod dns;
mod gateways;
mod hostile;
mod isolation;
mod kept_connections;
mod memory;
mod preconnect;
mod proxies;
pub(crate) mod requests;
mod saturation;
mod tenants;
