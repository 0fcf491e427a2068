//! Integrations as data, and their stores.

mod app_tables;
mod crash;
mod nodes;
mod stores;
mod support;
mod wrong_stores;
