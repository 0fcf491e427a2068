//! The token keeper and its stores.

mod api_calls;
mod changed_base_url;
mod edge_cases;
mod example;
pub(crate) mod fail_over;
mod fake_code_host;
mod faults;
mod imports;
mod in_process;
mod lock_out;
mod many_connections;
mod moved_integrations;
mod pauses;
mod processes;
mod remembered;
mod scenario;
pub(crate) mod servers;
mod stores;
mod unverified;
mod upgrades;
