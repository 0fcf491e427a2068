//! Checks what every store of integrations must do.

mod contents;
mod health;
mod hooks;
mod lists;
mod unreadable;
mod writes;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::store_conformance::{Nonconformity, ensure};
use crate::settings::{
    IntegrationSettings, IntegrationStore, IntegrationWrite, Stamp, StoredIntegration, WriteError, WriteHook, Written,
};
use crate::values::access::Access;
use crate::values::integration_id::IntegrationId;

/// Tests a store of integrations through two handles on the same data, for example two pools; pass the same handle twice if
/// there can be only one. It uses integrations with random ids, and deletes them at the end, so it can run on a store with
/// other integrations. The ids of deleted integrations stay behind.
///
/// # Errors
///
/// The first [`Nonconformity`].
///
/// ```
/// use std::sync::Arc;
/// use codehost_oauth::{settings::MemoryIntegrations, testing::integration_store_conformance};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryIntegrations::default());
/// integration_store_conformance(store.clone(), store).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub async fn integration_store_conformance(
    here: Arc<dyn IntegrationStore>,
    there: Arc<dyn IntegrationStore>,
) -> Result<(), Nonconformity> {
    let suite = Suite { here, there };
    suite.writes().await?;
    suite.deletes().await?;
    suite.hooks().await?;
    suite.hooks_that_refuse().await?;
    suite.contents().await?;
    suite.lists().await?;
    suite.owners().await?;
    suite.unreadable().await?;
    suite.notes().await?;
    suite.health_of_many().await?;
    suite.concurrent_creates().await?;
    suite.count_of_owner().await?;
    suite.concurrent_edits().await
}

struct Suite {
    here: Arc<dyn IntegrationStore>,
    there: Arc<dyn IntegrationStore>,
}

impl Suite {
    /// Stores a new integration.
    async fn create(&self, new: &StoredIntegration) -> Result<(), Nonconformity> {
        let written = self.here.write(&create(new), &()).await?;
        ensure(written == Written::Done, "`Create` must store an integration whose ID was never used")
    }

    /// Replaces the stored integration, and gives what is stored now.
    async fn replace(
        &self,
        old: &StoredIntegration,
        change: impl FnOnce(&mut StoredIntegration),
    ) -> Result<StoredIntegration, Nonconformity> {
        let new = next(old, change);
        let written = self.here.write(&replace(&new), &()).await?;
        ensure(written == Written::Done, "`Replace` must store the version after the stored one")?;
        Ok(new)
    }

    async fn delete(&self, old: &StoredIntegration) -> Result<(), Nonconformity> {
        let written = self.here.write(&delete(old), &()).await?;
        ensure(written == Written::Done, "`Delete` must delete the stored version")
    }

    /// Whether both handles load this.
    async fn both_load(
        &self,
        id: &IntegrationId,
        expected: Option<&StoredIntegration>,
        requirement: &'static str,
    ) -> Result<(), Nonconformity> {
        for store in [&self.here, &self.there] {
            ensure(store.load(id).await?.as_ref() == expected, requirement)?;
            let version = expected.map(|stored| stored.version);
            ensure(store.version(id).await? == version, "`version` must be that of `load`, and `None` if `load` is")?;
        }
        Ok(())
    }

    /// One write after the other, through this and through the other handle.
    async fn write(
        &self,
        number: usize,
        write: &IntegrationWrite,
        hook: &dyn WriteHook,
    ) -> Result<Written, WriteError> {
        let store = if number % 2 == 0 { &self.here } else { &self.there };
        store.write(write, hook).await
    }
}

fn create(new: &StoredIntegration) -> IntegrationWrite {
    IntegrationWrite::Create(Box::new(new.clone()))
}

fn replace(new: &StoredIntegration) -> IntegrationWrite {
    IntegrationWrite::Replace(Box::new(new.clone()))
}

fn delete(old: &StoredIntegration) -> IntegrationWrite {
    IntegrationWrite::Delete { id: old.id.clone(), version: old.version }
}

/// An integration with a random id.
fn integration(owner: Option<&str>, name: &str) -> Result<StoredIntegration, Nonconformity> {
    let settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn)
        .named(name)
        .with_client_id("app-id");
    Ok(StoredIntegration::new(random_id()?, owner, settings, b"sealed".to_vec(), Stamp::new("jane", at(1_000))))
}

/// The next version.
fn next(old: &StoredIntegration, change: impl FnOnce(&mut StoredIntegration)) -> StoredIntegration {
    let mut new = StoredIntegration { version: old.version.saturating_add(1), ..old.clone() };
    change(&mut new);
    new
}

fn random_id() -> Result<IntegrationId, Nonconformity> {
    IntegrationId::random().map_err(|_| Nonconformity::Broken("the operating system must provide random bytes"))
}

/// Seconds since 1970.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl From<WriteError> for Nonconformity {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => Self::Failed(error),
            WriteError::Refused(_) => Self::Broken("`write` must return `Refused` only if the hook returns an error"),
        }
    }
}
