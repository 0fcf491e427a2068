use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Nonconformity, Suite, create, delete, ensure, integration, next, random_id, replace};
use crate::error::AppError;
use crate::settings::{
    IntegrationWrite, StoreTransaction, StoredBefore, StoredIntegration, WriteError, WriteHook, Written,
};
use crate::values::integration_id::IntegrationId;

impl Suite {
    pub(super) async fn hooks(&self) -> Result<(), Nonconformity> {
        let owner = random_id()?.to_string();
        let one = integration(Some(&owner), "One")?;
        let two = next(&one, |new| new.settings.name = "Two".to_owned());
        for (write, old) in [(create(&one), None), (replace(&two), Some(&one)), (delete(&two), Some(&two))] {
            let hook = Hook::default();
            ensure(
                self.here.write(&write, &hook).await? == Written::Done,
                "a hook without an error must change nothing",
            )?;
            ensure(
                hook.calls() == [(Moment::Before, call(&write, old)), (Moment::After, call(&write, old))],
                "a write must call `before` once with what is written and stored, and then `after` once with the same",
            )?;
        }

        let one = integration(Some("owner"), "One")?;
        let hook = Hook::default();
        ensure(self.here.write(&replace(&one), &hook).await? == Written::Stale(None), "`Replace` must create nothing")?;
        self.create(&one).await?;
        for write in [create(&one), replace(&one), delete(&next(&one, |_| {}))] {
            ensure(
                self.there.write(&write, &hook).await? != Written::Done,
                "a write with a wrong version must not be done",
            )?;
        }
        self.delete(&one).await?;
        self.there.write(&create(&one), &hook).await?;
        ensure(hook.calls().is_empty(), "a write that is not done must not call the hook")
    }

    pub(super) async fn hooks_that_refuse(&self) -> Result<(), Nonconformity> {
        let one = integration(Some("owner"), "One")?;
        self.ensure_refused(&create(&one), &one, None).await?;
        self.create(&one).await?;
        let two = next(&one, |new| new.settings.name = "Two".to_owned());
        for write in [replace(&two), delete(&one)] {
            self.ensure_refused(&write, &one, Some(&one)).await?;
            let listed = self.there.list(Some("owner")).await?;
            ensure(
                listed.contains(&Ok(one.clone())),
                "if the hook returns an error, the write must be undone in `list` too",
            )?;
        }
        self.delete(&one).await
    }

    /// Sixteen new integrations of one owner at the same time, of whom four are allowed.
    pub(super) async fn count_of_owner(&self) -> Result<(), Nonconformity> {
        const REQUIREMENT: &str = "a hook must get the number of the owner's integrations that are not deleted, and no other \
                                   `Create` of this owner may be done until the transaction ends";
        let owner = random_id()?.to_string();
        let deleted = integration(Some(&owner), "Deleted")?;
        self.create(&deleted).await?;
        self.delete(&deleted).await?;
        let without_owner = integration(None, "Without owner")?;
        self.create(&without_owner).await?;
        let new: Vec<_> = (0..16).map(|_| integration(Some(&owner), "One")).collect::<Result<_, _>>()?;
        let writes: Vec<_> = new.iter().map(create).collect();
        let calls = writes.iter().zip(0..).map(|(write, number)| self.write(number, write, &AtMost(4)));
        for outcome in futures_util::future::join_all(calls).await {
            match outcome {
                Ok(Written::Done) | Err(WriteError::Refused(_)) => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
                Ok(_) => return Err(Nonconformity::Broken(REQUIREMENT)),
            }
        }
        let stored = self.there.list(Some(&owner)).await?;
        ensure(stored.len() == 4, REQUIREMENT)?;
        for one in stored.iter().flatten().chain([&without_owner]) {
            self.delete(one).await?;
        }
        Ok(())
    }

    /// `stored` is what must be stored after it.
    async fn ensure_refused(
        &self,
        write: &IntegrationWrite,
        integration: &StoredIntegration,
        stored: Option<&StoredIntegration>,
    ) -> Result<(), Nonconformity> {
        for refuses in [Moment::Before, Moment::After] {
            let hook = Hook { refuses: Some(refuses), ..Hook::default() };
            match self.here.write(write, &hook).await {
                Err(WriteError::Refused(error)) if error.to_string() == REASON => {}
                Err(WriteError::Store(error)) => return Err(error.into()),
                _ => {
                    return Err(Nonconformity::Broken(
                        "if the hook returns an error, `write` must return `Refused` with that error",
                    ));
                }
            }
            let reached_end = hook.calls().iter().any(|(moment, _)| *moment == Moment::After);
            ensure(
                reached_end == (refuses == Moment::After),
                "if `before` returns an error, `after` must not be called",
            )?;
            self.both_load(&integration.id, stored, "if the hook returns an error, nothing must be written").await?;
        }
        Ok(())
    }
}

/// Records its calls.
#[derive(Default)]
struct Hook {
    refuses: Option<Moment>,
    calls: Mutex<Vec<(Moment, Call)>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Before,
    After,
}

/// The id, what is stored before, and what is stored afterwards.
type Call = (IntegrationId, StoredBefore, Option<StoredIntegration>);

/// The call for a write whose owner has nothing else.
fn call(write: &IntegrationWrite, old: Option<&StoredIntegration>) -> Call {
    let nothing = StoredBefore::Nothing { of_owner: 0 };
    let before = old.map_or(nothing, |old| StoredBefore::Integration(Box::new(old.clone())));
    (write.id().clone(), before, write.new().cloned())
}

impl Hook {
    fn calls(&self) -> Vec<(Moment, Call)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, moment: Moment, write: &IntegrationWrite, stored: &StoredBefore) -> Result<(), AppError> {
        let call = (write.id().clone(), stored.clone(), write.new().cloned());
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((moment, call));
        if self.refuses == Some(moment) { Err(REASON.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl WriteHook for Hook {
    async fn before(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        _: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        self.add(Moment::Before, write, stored)
    }

    async fn after(
        &self,
        write: &IntegrationWrite,
        stored: &StoredBefore,
        _: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        self.add(Moment::After, write, stored)
    }
}

/// Refuses a new integration if its owner has a certain number.
struct AtMost(u64);

#[async_trait]
impl WriteHook for AtMost {
    async fn before(
        &self,
        _: &IntegrationWrite,
        stored: &StoredBefore,
        _: &mut StoreTransaction<'_>,
    ) -> Result<(), AppError> {
        match stored {
            StoredBefore::Nothing { of_owner } if *of_owner >= self.0 => Err(REASON.into()),
            _ => Ok(()),
        }
    }
}

const REASON: &str = "the hook of the conformance suite refuses the write";
