use async_trait::async_trait;

use super::{Nonconformity, Suite, create, delete, ensure, integration, next, random_id, replace};
use crate::error::{AppError, StoreError};
use crate::settings::{
    IntegrationWrite, Proposal, StoreTransaction, StoredBefore, StoredIntegration, UnreadableIntegration,
    UnreadableSettings, WriteError, WriteHook, Written,
};

impl Suite {
    /// A later version of this crate has written the settings, or proposed some.
    pub(super) async fn unreadable(&self) -> Result<(), Nonconformity> {
        let owner = random_id()?.to_string();
        let good = integration(Some(&owner), "Good")?;
        self.create(&good).await?;
        let mut bad = integration(Some(&owner), "Bad")?;
        bad.settings = bad.settings.of_later_version();
        self.ensure_unreadable(&good, &bad).await?;
        let mut bad = integration(Some(&owner), "Bad")?;
        let proposed = bad.settings.clone().of_later_version();
        bad.proposed = Some(Proposal::new(proposed, b"sealed".to_vec(), bad.created.clone()));
        self.ensure_unreadable(&good, &bad).await?;
        self.delete(&good).await
    }

    async fn ensure_unreadable(&self, good: &StoredIntegration, bad: &StoredIntegration) -> Result<(), Nonconformity> {
        self.create(bad).await?;
        for store in [&self.here, &self.there] {
            ensure(
                store.load(&bad.id).await == Err(malformed(bad)),
                "`load` must be `Malformed` if the settings cannot be read from their JSON",
            )?;
            ensure(
                store.version(&bad.id).await? == Some(bad.version),
                "`version` must not depend on whether the settings can be read",
            )?;
            let listed = store.list(bad.owner.as_deref()).await.map_err(|_| Nonconformity::Broken(LISTED))?;
            let (readable, unreadable): (Vec<_>, Vec<_>) = listed.into_iter().partition(Result::is_ok);
            ensure(readable == [Ok(good.clone())], LISTED)?;
            let unreadable: Vec<_> = unreadable.into_iter().filter_map(Result::err).collect();
            ensure(unreadable.len() == 1 && unreadable.iter().all(|one| is_about(one, bad)), LISTED)?;
        }
        let stale = StoredIntegration { version: 9, ..bad.clone() };
        for write in [replace(&next(bad, |_| {})), replace(bad), delete(&stale)] {
            ensure(
                matches!(self.here.write(&write, &()).await, Err(WriteError::Store(error)) if error == malformed(bad)),
                "a write must be `Malformed` if what is stored cannot be read, unless it deletes the stored version",
            )?;
        }
        ensure(
            self.here.write(&create(bad), &()).await? == Written::IdTaken,
            "`Create` must be `IdTaken` also if what is stored cannot be read",
        )?;
        let deleted = self.there.write(&delete(bad), &About(bad.clone())).await;
        ensure(
            matches!(deleted, Ok(Written::Done)),
            "an integration that cannot be read must be deleted, and the hook must get `Unreadable`",
        )?;
        self.both_load(&bad.id, None, "`load` must return `None` for a deleted integration").await
    }
}

const LISTED: &str = "`list` must contain an integration that cannot be read as `Err`, and the others beside it";

fn malformed(bad: &StoredIntegration) -> StoreError {
    StoreError::Malformed { id: bad.id.as_str().to_owned() }
}

/// Not every store has the name beside the settings.
fn is_about(unreadable: &UnreadableIntegration, bad: &StoredIntegration) -> bool {
    let why = UnreadableSettings::Version { found: u8::MAX.into() };
    let mut expected =
        UnreadableIntegration::new(bad.id.clone(), bad.owner.as_deref(), bad.version, why, bad.changed.clone());
    let is_without_name = *unreadable == expected;
    expected.name.clone_from(&bad.settings.name);
    is_without_name || *unreadable == expected
}

/// Refuses, unless it is told about this integration.
struct About(StoredIntegration);

#[async_trait]
impl WriteHook for About {
    async fn before(
        &self,
        _: &IntegrationWrite,
        stored: &StoredBefore,
        _: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        match stored {
            StoredBefore::Unreadable(unreadable) if is_about(unreadable, &self.0) => Ok(()),
            _ => Err("the hook was not told what cannot be read".into()),
        }
    }
}
