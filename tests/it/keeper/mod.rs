//! Tokens that stay alive.

mod ends;
mod example;
mod fail_over;
mod faults;
mod imports;
mod in_process;
mod lock_out;
mod moved;
mod pauses;
mod processes;
mod remembered;
mod scenario;
mod servers;
mod stores;
mod storm;
mod unverified;
mod upgrades;
mod wire;
