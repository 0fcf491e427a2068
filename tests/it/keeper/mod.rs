//! Tokens that stay alive.

mod in_process;
mod scenario;
