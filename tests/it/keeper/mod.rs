//! Tokens that stay alive.

mod example;
mod faults;
mod in_process;
mod processes;
mod remembered;
mod scenario;
mod servers;
mod stores;
mod storm;
