//! The two SQL stores, for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::settings::{
    IntegrationSettings, IntegrationStore, PostgresIntegrations, SqliteIntegrations, Stamp, StoredIntegration,
};

pub(super) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Opens the store at a URL.
pub(super) async fn open(url: &str) -> Result<Arc<dyn IntegrationStore>> {
    Ok(match url.strip_prefix("sqlite:") {
        Some(path) => Arc::new(SqliteIntegrations::open(path).await?),
        None => Arc::new(PostgresIntegrations::connect(url).await?),
    })
}

/// The same in an app's own pool.
pub(super) async fn open_in_pool(url: &str) -> Result<Arc<dyn IntegrationStore>> {
    Ok(match url.starts_with("sqlite:") {
        true => Arc::new(SqliteIntegrations::with_pool(sqlx::SqlitePool::connect(url).await?).await?),
        false => {
            let pool = sqlx::postgres::PgPoolOptions::new().acquire_timeout(Duration::from_secs(4));
            Arc::new(PostgresIntegrations::with_pool(pool.connect(url).await?).await?)
        }
    })
}

/// Settings with this name.
pub(super) fn named(name: &str) -> IntegrationSettings {
    let mut settings = super::settings();
    settings.name = name.to_owned();
    settings
}

/// An integration as a store gets it.
pub(super) fn stored(id: &str, owner: Option<&str>) -> StoredIntegration {
    StoredIntegration::new(id.parse().unwrap(), owner, named("One"), vec![7], Stamp::now("jane"))
}
