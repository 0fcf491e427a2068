//! The routes for axum.

mod changes;
mod cookies;
mod logs;
mod mounting;
mod pages;
mod repeats;
mod routes;
