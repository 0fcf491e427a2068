//! The routes for axum.

mod changes;
mod cookies;
mod ends;
mod logs;
mod mounting;
mod moves;
mod pages;
mod repeats;
mod routes;
mod sqlite_sessions;
