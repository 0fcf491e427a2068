//! Integrations in a store, for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::Access;
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, IntegrationStore, Integrations, PostgresIntegrations,
    SqliteIntegrations, Stamp, StoredIntegration,
};
use codehost_oauth::transport::{HttpClient, Network};

use crate::keeper::scenario::ring;

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

/// A node of an app.
pub(super) fn node(store: impl IntegrationStore) -> Result<Integrations> {
    let http = HttpClient::builder(Network::public_only()).build()?;
    Ok(Integrations::new(store, AppConfig::new("https://packages.example.com".parse()?, http), ring()))
}

pub(super) fn settings(name: &str) -> IntegrationSettings {
    IntegrationSettings::new("gitlab", "https://git.example.com", name, "app-id", Access::SignIn)
}

pub(super) fn secrets() -> IntegrationSecrets {
    IntegrationSecrets::new("canary-integration-secret")
}

/// An integration as a store gets it.
pub(super) fn stored(id: &str, owner: Option<&str>) -> StoredIntegration {
    StoredIntegration::new(id.parse().unwrap(), owner, settings("One"), vec![7], Stamp::now("jane"))
}
