use super::{Nonconformity, Suite, create, delete, ensure, integration, next, replace};
use crate::settings::{StoredIntegration, Written};

impl Suite {
    pub(super) async fn writes(&self) -> Result<(), Nonconformity> {
        let (one, neighbor) = (integration(None, "One")?, integration(None, "Neighbor")?);
        let id = &one.id;
        self.both_load(id, None, "`load` must return `None` for an integration that was never stored").await?;
        let two = next(&one, |new| new.settings.name = "Two".to_owned());
        for write in [replace(&two), delete(&one)] {
            ensure(
                self.here.write(&write, &()).await? == Written::Stale(None),
                "`Replace` and `Delete` of an integration that was never stored must be `Stale(None)`",
            )?;
        }
        self.both_load(id, None, "a write that is `Stale` must store nothing").await?;

        self.create(&neighbor).await?;
        self.create(&one).await?;
        self.both_load(id, Some(&one), "`load` must return what `Create` has stored, through both handles").await?;
        let taken = StoredIntegration { owner: Some("other".to_owned()), ..one.clone() };
        ensure(
            self.there.write(&create(&taken), &()).await? == Written::IdTaken,
            "`Create` must be `IdTaken` if an integration with the ID is stored",
        )?;
        self.both_load(id, Some(&one), "a write that is `IdTaken` must change nothing").await?;

        ensure(
            self.there.write(&replace(&two), &()).await? == Written::Done,
            "`Replace` must work through both handles",
        )?;
        self.both_load(id, Some(&two), "`load` must return what `Replace` has stored, through both handles").await?;
        let older = next(&one, |new| new.settings.name = "Older".to_owned());
        let skipped = StoredIntegration { version: 4, ..older.clone() };
        for write in [replace(&older), replace(&one), replace(&skipped), delete(&one), delete(&skipped)] {
            ensure(
                self.here.write(&write, &()).await? == Written::Stale(Some(Box::new(two.clone()))),
                "a write with another version than the stored one must be `Stale` with what is stored",
            )?;
        }
        self.both_load(id, Some(&two), "a write that is `Stale` must change nothing").await?;

        let enabled = self.replace(&two, |new| new.is_disabled = true).await?;
        self.delete(&enabled).await?;
        self.both_load(&neighbor.id, Some(&neighbor), "a write must not change another integration").await?;
        self.delete(&neighbor).await
    }

    pub(super) async fn deletes(&self) -> Result<(), Nonconformity> {
        let one = integration(None, "One")?;
        self.create(&one).await?;
        self.delete(&one).await?;
        self.both_load(&one.id, None, "`load` must return `None` for a deleted integration").await?;
        for store in [&self.here, &self.there] {
            ensure(
                store.write(&create(&one), &()).await? == Written::IdTaken,
                "`Create` must be `IdTaken` if an integration with the ID was deleted: IDs are never used again",
            )?;
        }
        let (again, zero) = (next(&one, |_| {}), StoredIntegration { version: 0, ..one.clone() });
        for write in [replace(&again), replace(&one), delete(&one), delete(&zero)] {
            ensure(
                self.there.write(&write, &()).await? == Written::Stale(None),
                "`Replace` and `Delete` of a deleted integration must be `Stale(None)`",
            )?;
        }
        self.both_load(&one.id, None, "a deleted integration must stay deleted").await
    }

    /// Sixteen integrations with the same id at the same time.
    pub(super) async fn concurrent_creates(&self) -> Result<(), Nonconformity> {
        let one = integration(None, "One")?;
        let candidates: Vec<_> =
            (0..16).map(|n| StoredIntegration { owner: Some(format!("{n}")), ..one.clone() }).collect();
        let writes: Vec<_> = candidates.iter().map(create).collect();
        let calls = writes.iter().zip(0..).map(|(write, number)| self.write(number, write, &()));
        let written = futures_util::future::try_join_all(calls).await?;
        let winners: Vec<_> = candidates.iter().zip(&written).filter(|(_, one)| **one == Written::Done).collect();
        let [(winner, _)] = winners.as_slice() else {
            return Err(Nonconformity::Broken("of several `Create` with the same ID, exactly one must be done"));
        };
        let taken = written.iter().filter(|one| **one == Written::IdTaken).count();
        ensure(taken == 15, "of several `Create` with the same ID, all but one must be `IdTaken`")?;
        self.both_load(&one.id, Some(winner), "the `Create` that was done must be stored").await?;
        self.delete(winner).await
    }

    /// Sixteen editors at the same time. Each adds its own line to what is stored, and tries again when it is stale.
    pub(super) async fn concurrent_edits(&self) -> Result<(), Nonconformity> {
        let one = integration(None, "One")?;
        self.create(&one).await?;
        futures_util::future::try_join_all((0..EDITORS).map(|number| self.edit(number, &one))).await?;
        let stored = self.here.load(&one.id).await?;
        let stored = stored.ok_or(Nonconformity::Broken("a stored integration must stay stored"))?;
        let mut lines = stored.settings.former_base_urls.clone();
        lines.sort_unstable();
        let mut expected: Vec<_> = (0..EDITORS).map(line).collect();
        expected.sort_unstable();
        ensure(lines == expected, "no edit must be lost: `Replace` must compare the version and write in one step")?;
        let versions = i64::try_from(EDITORS).unwrap_or(0).saturating_add(1);
        ensure(stored.version == versions, "each edit must have the next version")?;
        self.delete(&stored).await
    }

    async fn edit(&self, number: usize, first: &StoredIntegration) -> Result<(), Nonconformity> {
        let mut old = first.clone();
        // Each time, at least one of the others has done its edit.
        for _ in 0..=EDITORS {
            let new = next(&old, |new| new.settings.former_base_urls.push(line(number)));
            match self.write(number, &replace(&new), &()).await? {
                Written::Done => return Ok(()),
                Written::Stale(Some(stored)) => old = *stored,
                _ => break,
            }
        }
        Err(Nonconformity::Broken("`Stale` must contain what is stored, so that the edit can be repeated"))
    }
}

const EDITORS: usize = 16;

fn line(number: usize) -> String {
    format!("https://{number}.example.com")
}
