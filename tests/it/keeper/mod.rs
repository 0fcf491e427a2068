//! Tokens that stay alive.

mod faults;
mod in_process;
mod processes;
mod scenario;
mod servers;
mod stores;
mod storm;
