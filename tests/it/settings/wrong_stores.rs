//! The conformance suite finds stores that are wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use codehost_oauth::IntegrationId;
use codehost_oauth::error::StoreError;
use codehost_oauth::settings::{
    Health, HealthNote, IntegrationSettings, IntegrationStore, IntegrationWrite, StoreTransaction, StoredBefore,
    StoredIntegration, UnreadableIntegration, WriteError, WriteHook, Written,
};
use codehost_oauth::testing::{Nonconformity, integration_store_conformance};

use super::support::Result;

/// Each mistake, and what the suite says about it.
const MISTAKES: [(&str, &str); 52] = [
    ("creates nothing", "what `Create` has stored"),
    ("other handle reads old data", "through both handles"),
    ("create overwrites", "`IdTaken` if an integration with the ID is stored"),
    ("replace creates", "never stored must be `Stale(None)`"),
    ("replace ignores the version", "must be `Stale` with what is stored"),
    ("replace accepts any lower version", "must be `Stale` with what is stored"),
    ("delete ignores the version", "must be `Stale` with what is stored"),
    ("stale without what is stored", "must be `Stale` with what is stored"),
    ("stale writes anyway", "must be `Stale` with what is stored"),
    ("version counts reads", "`version` must be that of `load`"),
    ("version of deleted", "`version` must be that of `load`"),
    ("delete does nothing", "`None` for a deleted integration"),
    ("delete deletes all", "must not change another integration"),
    ("id used again", "IDs are never used again"),
    ("replace revives deleted", "deleted integration must be `Stale(None)`"),
    ("no hook", "`before` once"),
    ("before is called twice", "`before` once"),
    ("before without old", "`before` once with what is written and stored"),
    ("counts all owners", "the number of the owner's integrations"),
    ("counts nothing", "the number of the owner's integrations"),
    ("after before the write of before", "and then `after` once"),
    ("hook is called when stale", "must not call the hook"),
    ("error of before is ignored", "return `Refused` with that error"),
    ("error of after is ignored", "return `Refused` with that error"),
    ("error of after undoes nothing", "nothing must be written"),
    ("error of before undoes nothing", "nothing must be written"),
    ("error of after burns the id", "must store an integration whose ID was never used"),
    ("text is trimmed", "text must be stored as it is"),
    ("text is cut", "text must be stored as it is"),
    ("text without marks", "text must be stored as it is"),
    ("bytes are text", "sealed secrets must be stored as they are"),
    ("ids are cut", "by its whole ID"),
    ("former base URLs are sorted", "every field must be stored"),
    ("no proposals", "every field must be stored"),
    ("times are in 32 bits", "every field must be stored"),
    ("created by the last writer", "`Replace` must store every field"),
    ("order of ids", "in the order of the names' bytes"),
    ("order without case", "in the order of the names' bytes"),
    ("disabled are not listed", "disabled integrations"),
    ("no owner is the empty owner", "exactly this owner"),
    ("owners without case", "exactly this owner"),
    ("unreadable are used", "`load` must be `Malformed`"),
    ("unreadable have no version", "`version` must not depend"),
    ("unreadable hide the others", "`list` must contain an integration that cannot be read"),
    ("unreadable are not listed", "`list` must contain an integration that cannot be read"),
    ("unreadable are replaced", "a write must be `Malformed`"),
    ("unreadable cannot be deleted", "must be deleted"),
    ("notes change the version", "`note` must change neither the version"),
    ("older notes win", "older than the stored one"),
    ("replace clears the health", "`Replace` must keep the health"),
    ("health of deleted", "of a deleted integration must be the default"),
    ("health of known ones only", "one entry for each ID"),
];

#[tokio::test]
async fn the_store_of_these_tests_conforms_without_a_mistake() -> Result {
    let store = WrongStore::with("");
    integration_store_conformance(Arc::new(store.clone()), Arc::new(store)).await?;
    Ok(())
}

#[tokio::test]
async fn each_mistake_is_found() {
    assert_found(&MISTAKES).await;
}

/// They can be found only by writes at the same time.
#[tokio::test]
async fn mistakes_between_two_steps_are_found() {
    assert_found(&[
        ("compares and then creates", "of several `Create` with the same ID, exactly one must be done"),
        ("compares and then replaces", "no edit must be lost"),
        ("counts and then creates", "no other `Create` of this owner may be done"),
    ])
    .await;
}

async fn assert_found(mistakes: &[(&'static str, &str)]) {
    let mut other = Vec::new();
    for (mistake, expected) in mistakes {
        let (here, mut there) = (WrongStore::with(mistake), WrongStore::with(mistake));
        there.rows = Arc::clone(&here.rows);
        there.is_other_handle = true;
        let found = integration_store_conformance(Arc::new(here), Arc::new(there)).await;
        match found {
            Err(Nonconformity::Broken(requirement)) if requirement.contains(expected) => {}
            found => other.push(format!("{mistake}: {found:?}")),
        }
    }
    assert!(other.is_empty(), "{}", other.join("\n"));
}

#[derive(Clone, Debug)]
struct WrongStore {
    mistake: &'static str,
    is_other_handle: bool,
    rows: Arc<Mutex<HashMap<String, Row>>>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    stored: Option<StoredIntegration>,
    before: Option<StoredIntegration>,
    health: Health,
    /// The last version before it was deleted.
    deleted: i64,
}

impl WrongStore {
    fn with(mistake: &'static str) -> Self {
        Self { mistake, is_other_handle: false, rows: Arc::default() }
    }

    fn has(&self, mistake: &str) -> bool {
        self.mistake == mistake
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap()
    }

    fn key(&self, id: &IntegrationId) -> String {
        let length = if self.has("ids are cut") { 32 } else { 63 };
        id.as_str().chars().take(length).collect()
    }

    fn row(&self, id: &IntegrationId) -> Option<Row> {
        let mut row = self.rows().get(&self.key(id)).cloned()?;
        if self.has("other handle reads old data") && self.is_other_handle {
            row.stored = row.before.take();
        }
        Some(row)
    }

    /// As it is read again.
    fn spoil(&self, mut new: StoredIntegration, old: Option<&StoredIntegration>) -> StoredIntegration {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        match self.mistake {
            "text is trimmed" => new.settings.name = new.settings.name.trim().to_owned(),
            "text is cut" => new.settings.name = new.settings.name.chars().take(255).collect(),
            "text without marks" => new.settings.name.retain(|c| c != '\u{202e}'),
            "bytes are text" => new.sealed_secrets = String::from_utf8_lossy(&new.sealed_secrets).into_owned().into(),
            "former base URLs are sorted" => new.settings.former_base_urls.sort_unstable(),
            "no proposals" => new.proposed = None,
            "times are in 32 bits" => {
                let at = Duration::from_secs(seconds(new.changed.at) & 0xffff_ffff);
                new.changed.at = SystemTime::UNIX_EPOCH + at;
            }
            "created by the last writer" if old.is_some() => new.created = new.changed.clone(),
            _ => {}
        }
        new
    }

    fn store(&self, write: &IntegrationWrite, old: Option<&StoredIntegration>) {
        let mut rows = self.rows();
        match write {
            IntegrationWrite::Create(_) if self.has("creates nothing") => {}
            IntegrationWrite::Create(new) | IntegrationWrite::Replace(new) => {
                let row = rows.entry(self.key(&new.id)).or_default();
                row.before = row.stored.take();
                row.stored = Some(self.spoil((**new).clone(), old));
                if self.has("replace clears the health") {
                    row.health = Health::default();
                }
            }
            IntegrationWrite::Delete { .. } if self.has("delete does nothing") => {}
            IntegrationWrite::Delete { id, version } => {
                if self.has("delete deletes all") {
                    rows.values_mut().for_each(|row| row.stored = None);
                }
                let row = rows.entry(self.key(id)).or_default();
                let health = if self.has("health of deleted") { row.health.clone() } else { Health::default() };
                *row = Row { deleted: *version, health, ..Row::default() };
                if self.has("id used again") {
                    rows.remove(&self.key(id));
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// From JSON.
    fn read(&self, stored: StoredIntegration) -> std::result::Result<StoredIntegration, UnreadableIntegration> {
        let read = |settings| IntegrationSettings::from_json(&serde_json::to_string(settings).unwrap()).map(drop);
        let proposed = stored.proposed.as_ref().map_or(Ok(()), |proposal| read(&proposal.settings));
        match read(&stored.settings).and(proposed) {
            Err(why) if !self.has("unreadable are used") => {
                let StoredIntegration { id, owner, version, changed, .. } = stored;
                Err(UnreadableIntegration::new(id, owner.as_deref(), version, why, changed))
            }
            _ => Ok(stored),
        }
    }

    /// What the hook is told.
    fn before(&self, write: &IntegrationWrite, old: Option<&StoredIntegration>) -> StoredBefore {
        let count = |owner: &Option<String>| {
            let rows = self.rows();
            let of_owner = rows.values().filter_map(|row| row.stored.as_ref());
            of_owner.filter(|stored| stored.owner == *owner || self.has("counts all owners")).count()
        };
        match old.filter(|_| !self.has("before without old")) {
            Some(old) => match self.read(old.clone()) {
                Ok(old) => StoredBefore::Integration(Box::new(old)),
                Err(unreadable) => StoredBefore::Unreadable(Box::new(unreadable)),
            },
            None => {
                let of_owner = write.integration().filter(|_| !self.has("counts nothing")).map(|new| count(&new.owner));
                StoredBefore::Nothing { of_owner: of_owner.unwrap_or(0).try_into().unwrap() }
            }
        }
    }

    /// Whether the version is the expected one.
    fn is_current(&self, write: &IntegrationWrite, row: Option<&Row>) -> bool {
        let stored = row.and_then(|row| row.stored.as_ref()).map(|stored| stored.version);
        match write {
            IntegrationWrite::Create(_) => row.is_none() || (self.has("create overwrites") && stored.is_some()),
            IntegrationWrite::Replace(new) => {
                let is_deleted = row.is_some() && stored.is_none();
                stored == Some(new.version - 1)
                    || (self.has("replace creates") && row.is_none())
                    || (self.has("replace revives deleted") && is_deleted)
                    || (self.has("replace ignores the version") && stored.is_some())
                    || (self.has("replace accepts any lower version") && stored.is_some_and(|old| old < new.version))
            }
            IntegrationWrite::Delete { version, .. } => {
                stored == Some(*version) || (self.has("delete ignores the version") && stored.is_some())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[async_trait]
impl IntegrationStore for WrongStore {
    async fn load(&self, id: &IntegrationId) -> std::result::Result<Option<StoredIntegration>, StoreError> {
        Ok(self.row(id).and_then(|row| row.stored).map(|stored| self.read(stored)).transpose()?)
    }

    async fn version(&self, id: &IntegrationId) -> std::result::Result<Option<i64>, StoreError> {
        let row = self.row(id);
        let version = row.as_ref().and_then(|row| Some(row.stored.as_ref()?.version));
        Ok(match row {
            Some(row) if self.has("version of deleted") && row.deleted > 0 => Some(row.deleted),
            Some(Row { stored: Some(stored), .. }) if self.has("unreadable have no version") => {
                self.read(stored).ok().map(|stored| stored.version)
            }
            _ if self.has("version counts reads") => version.map(|version| version + 1),
            _ => version,
        })
    }

    async fn list(
        &self,
        owner: Option<&str>,
    ) -> std::result::Result<Vec<std::result::Result<StoredIntegration, UnreadableIntegration>>, StoreError> {
        let name = |stored: &StoredIntegration| match self.mistake {
            "order of ids" => String::new(),
            "order without case" => stored.settings.name.to_lowercase(),
            _ => stored.settings.name.clone(),
        };
        let owner_of = |owner: Option<&str>| match self.mistake {
            "no owner is the empty owner" => Some(owner.unwrap_or_default().to_owned()),
            "owners without case" => owner.map(str::to_lowercase),
            _ => owner.map(str::to_owned),
        };
        let mut found: Vec<_> = self.rows().values().filter_map(|row| row.stored.clone()).collect();
        found.retain(|stored| owner_of(stored.owner.as_deref()) == owner_of(owner));
        found.retain(|stored| !(self.has("disabled are not listed") && stored.is_disabled));
        found.sort_by(|a, b| (name(a), &a.id).cmp(&(name(b), &b.id)));
        let found = found.into_iter().map(|stored| self.read(stored));
        Ok(match self.mistake {
            "unreadable hide the others" => {
                found.collect::<std::result::Result<Vec<_>, _>>()?.into_iter().map(Ok).collect()
            }
            "unreadable are not listed" => found.filter(std::result::Result::is_ok).collect(),
            _ => found.collect(),
        })
    }

    async fn write(&self, write: &IntegrationWrite, hook: &dyn WriteHook) -> std::result::Result<Written, WriteError> {
        let id = write.id();
        let mut transaction = StoreTransaction::None;
        let row = self.rows().get(&self.key(id)).cloned();
        let old = row.as_ref().and_then(|row| row.stored.clone());
        if let Some(Err(unreadable)) = old.clone().map(|old| self.read(old)) {
            let may_write = match write {
                IntegrationWrite::Create(_) => true,
                IntegrationWrite::Delete { version, .. } => {
                    *version == unreadable.version && !self.has("unreadable cannot be deleted")
                }
                _ => self.has("unreadable are replaced"),
            };
            if !may_write {
                return Err(StoreError::from(unreadable).into());
            }
        }
        if !self.is_current(write, row.as_ref()) {
            if self.has("hook is called when stale") {
                let _ = hook.before(write, &self.before(write, old.as_ref()), &mut transaction).await;
            }
            if matches!(write, IntegrationWrite::Create(_)) {
                return Ok(Written::IdTaken);
            }
            if self.has("stale writes anyway") && old.is_some() {
                self.store(write, old.as_ref());
            }
            let is_silent = self.has("stale without what is stored");
            return Ok(Written::Stale(old.filter(|_| !is_silent).map(Box::new)));
        }
        let races = match write {
            IntegrationWrite::Create(_) => self.has("compares and then creates"),
            _ => self.has("compares and then replaces"),
        };
        if races {
            tokio::task::yield_now().await;
        }
        if self.has("no hook") {
            self.store(write, old.as_ref());
            return Ok(Written::Done);
        }
        let stored = self.before(write, old.as_ref());
        if self.has("after before the write of before") {
            hook.after(write, &stored, &mut transaction).await.map_err(WriteError::Refused)?;
        }
        let before = hook.before(write, &stored, &mut transaction).await;
        if self.has("before is called twice") {
            let _ = hook.before(write, &stored, &mut transaction).await;
        }
        if self.has("counts and then creates") && matches!(write, IntegrationWrite::Create(_)) {
            tokio::task::yield_now().await;
            if self.rows().contains_key(&self.key(id)) {
                return Ok(Written::IdTaken);
            }
        }
        if before.is_err() && self.has("error of before undoes nothing") {
            self.store(write, old.as_ref());
        }
        if !self.has("error of before is ignored") {
            before.map_err(WriteError::Refused)?;
        }
        if !self.has("after before the write of before") {
            let after = hook.after(write, &stored, &mut transaction).await;
            if after.is_err() && self.has("error of after undoes nothing") {
                self.store(write, old.as_ref());
            }
            if after.is_err() && self.has("error of after burns the id") {
                self.rows().entry(self.key(id)).or_default();
            }
            if !self.has("error of after is ignored") {
                after.map_err(WriteError::Refused)?;
            }
        }
        self.store(write, old.as_ref());
        Ok(Written::Done)
    }

    async fn health(&self, ids: &[IntegrationId]) -> std::result::Result<Vec<Health>, StoreError> {
        let rows = self.rows();
        let known = ids.iter().map(|id| rows.get(&self.key(id)).map(|row| row.health.clone()));
        Ok(match self.has("health of known ones only") {
            true => known.flatten().collect(),
            false => known.map(Option::unwrap_or_default).collect(),
        })
    }

    async fn note(&self, notes: &[HealthNote]) -> std::result::Result<(), StoreError> {
        let mut rows = self.rows();
        for note in notes {
            let Some(row) = rows.get_mut(&self.key(&note.id)) else { continue };
            let Some(stored) = &mut row.stored else { continue };
            if self.has("notes change the version") {
                stored.version += 1;
            }
            if self.has("older notes win") {
                row.health = Health::default();
            }
            row.health.add(note);
        }
        Ok(())
    }
}
