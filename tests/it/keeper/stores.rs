//! The conformance suite on all four stores, and what is true of their tables.

use std::sync::Arc;

use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::{MemoryStore, PostgresStore, RedisStore, SqliteStore};
use codehost_oauth::testing::{FaultyStore, store_conformance};

use super::scenario::Result;
use super::servers::{Server, open};

#[tokio::test]
async fn memory_conforms() -> Result {
    let store = Arc::new(MemoryStore::default());
    store_conformance(store.clone(), store.clone()).await?;
    store_conformance(Arc::new(FaultyStore::new(Arc::clone(&store))), store).await?;
    Ok(())
}

#[tokio::test]
async fn sqlite_conforms() -> Result {
    conforms(&Server::sqlite()?).await
}

#[tokio::test]
async fn postgres_conforms() -> Result {
    conforms(&Server::postgres().await?).await
}

#[tokio::test]
async fn redis_conforms() -> Result {
    conforms(&Server::redis().await?).await
}

async fn conforms(server: &Server) -> Result {
    let (here, there) = tokio::try_join!(open(&server.url), open(&server.url))?;
    store_conformance(here, there).await?;
    Ok(())
}

#[tokio::test]
async fn addresses_that_cannot_be_used_say_nothing_of_a_password() {
    for url in ["postgres://app:s3cr3t@127.0.0.1:99999/x", "redis://app:s3cr3t@127.0.0.1:99999", "s3cr3t"] {
        let errors = [PostgresStore::connect(url).await.err(), RedisStore::connect(url).await.err()];
        for error in errors {
            let text = match &error {
                Some(StoreError::Address { detail } | StoreError::Unreachable { detail }) => {
                    detail.sanitized().to_owned()
                }
                other => format!("{other:?}"),
            };
            assert!(!format!("{error:?} {text}").contains("s3cr3t"), "{text}");
            assert!(error.is_some(), "{url}");
        }
    }
    assert!(SqliteStore::open("/nowhere/at/all.db").await.is_err());
}
