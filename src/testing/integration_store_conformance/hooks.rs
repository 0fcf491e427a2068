use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Nonconformity, Suite, create, delete, ensure, integration, next, replace};
use crate::error::AppError;
use crate::settings::{IntegrationWrite, StoreTransaction, StoredIntegration, WriteError, WriteHook, Written};

impl Suite {
    pub(super) async fn hooks(&self) -> Result<(), Nonconformity> {
        let one = integration(Some("owner"), "One")?;
        let two = next(&one, |new| new.settings.name = "Two".to_owned());
        for (write, old) in [(create(&one), None), (replace(&two), Some(&one)), (delete(&two), Some(&two))] {
            let hook = Hook::default();
            ensure(
                self.here.write(&write, &hook).await? == Written::Done,
                "a hook without an error must change nothing",
            )?;
            ensure(
                hook.calls() == [Call::Before(old.cloned().map(Box::new)), Call::After],
                "a write must call `before` once with what is stored, and then `after` once",
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
            ensure(listed.contains(&one), "if the hook returns an error, the write must be undone in `list` too")?;
        }
        self.delete(&one).await
    }

    /// `stored` is what must be stored after it.
    async fn ensure_refused(
        &self,
        write: &IntegrationWrite,
        integration: &StoredIntegration,
        stored: Option<&StoredIntegration>,
    ) -> Result<(), Nonconformity> {
        for refuses in [Refuses::Before, Refuses::After] {
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
            let reached_end = hook.calls().contains(&Call::After);
            ensure(
                reached_end == (refuses == Refuses::After),
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
    refuses: Option<Refuses>,
    calls: Mutex<Vec<Call>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Refuses {
    Before,
    After,
}

#[derive(Clone, PartialEq)]
enum Call {
    Before(Option<Box<StoredIntegration>>),
    After,
}

impl Hook {
    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, call: Call, moment: Refuses) -> Result<(), AppError> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        if self.refuses == Some(moment) { Err(REASON.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl WriteHook for Hook {
    async fn before(&self, old: Option<&StoredIntegration>, _: &mut StoreTransaction<'_>) -> Result<(), AppError> {
        self.add(Call::Before(old.cloned().map(Box::new)), Refuses::Before)
    }

    async fn after(&self, _: &mut StoreTransaction<'_>) -> Result<(), AppError> {
        self.add(Call::After, Refuses::After)
    }
}

const REASON: &str = "the hook of the conformance suite refuses the write";
