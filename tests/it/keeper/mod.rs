//! Tokens that stay alive.

mod ends;
mod example;
mod faults;
mod imports;
mod in_process;
mod processes;
mod remembered;
mod scenario;
mod servers;
mod stores;
mod storm;
mod unverified;
mod wire;
