//! Integrations as data, and their stores.

mod app_tables;
mod changes;
mod crash;
mod data;
mod drafts;
mod nodes;
mod stores;
mod support;
mod wrong_stores;

use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, IntegrationStore, Integrations, StoredIntegration,
};
use codehost_oauth::{Access, IntegrationId};

use crate::support::{PUBLIC_URL, http};

pub(crate) fn app() -> AppConfig {
    AppConfig::new(PUBLIC_URL.parse().unwrap(), http())
}

pub(crate) fn keys() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

/// The integrations in a store, as a node of the app has them.
pub(crate) fn node(store: impl IntegrationStore) -> Integrations {
    Integrations::new(store, app(), keys())
}

pub(crate) fn settings() -> IntegrationSettings {
    IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn)
        .named("Our GitLab")
        .with_client_id("app-id")
}

pub(crate) fn secrets() -> IntegrationSecrets {
    IntegrationSecrets::new("canary-settings-client-secret")
}

pub(crate) async fn create(integrations: &Integrations) -> StoredIntegration {
    let id = IntegrationId::random().unwrap();
    integrations.by("jane").create(&id, None, settings(), &secrets()).await.unwrap()
}
