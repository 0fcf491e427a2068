//! Shared by the SQL stores.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use sqlx::query::Query;
use sqlx::{Database, Encode, Row as _, Type};

use super::{Found, IntegrationWrite, Proposal, Stamp, StoredIntegration, UnreadableIntegration};
use crate::error::StoreError;
use crate::observe;
use crate::settings::health::{Health, HealthNote, LoginFailure};
use crate::settings::integration_settings::{IntegrationSettings, UnreadableSettings};
use crate::sql::failed;
use crate::util::time::unix_seconds;
use crate::values::integration_id::IntegrationId;

/// The columns that [`stored`] reads.
pub(super) const COLUMNS: &str = "id, owner, version, name, is_disabled, settings, sealed_secrets, proposed_settings, \
                                  proposed_secrets, proposed_by, proposed_at, created_by, created_at, changed_by, changed_at";

/// The columns that [`health`] reads.
pub(super) const HEALTH: &str = "id, last_login_at, last_failure_code, last_failure_at";

/// Reads what is stored for an id from a row with [`COLUMNS`] and `is_deleted`.
pub(super) fn found(row: Option<&impl Cells>) -> Result<Found, StoreError> {
    let Some(row) = row else { return Ok(Found::Nothing) };
    // Another type counts as false, as in the conditions of the queries.
    match row.flag("is_deleted").unwrap_or(false) {
        true => Ok(Found::Deleted),
        false => Ok(stored(row)?.into()),
    }
}

/// Reads rows with [`COLUMNS`]. One whose id, owner or version is wrong can be neither shown nor deleted: it is in the log, and
/// does not hide the others.
pub(super) fn list(rows: &[impl Cells]) -> Vec<Result<StoredIntegration, UnreadableIntegration>> {
    let read = |row| {
        let logged = |error| observe::error(&format!("an integration is not in the list: {error}"));
        stored(row).map_err(logged).ok()
    };
    rows.iter().filter_map(read).collect()
}

/// Reads a row with [`COLUMNS`]. Its settings may be those of a newer version, and somebody else may have written something of
/// another type.
pub(super) fn stored(row: &impl Cells) -> Result<Result<StoredIntegration, UnreadableIntegration>, StoreError> {
    let id = row.text("id").map_err(failed)?;
    let id: IntegrationId = id.parse().map_err(|_| StoreError::Malformed { id })?;
    let owner = row.optional_text("owner").map_err(failed)?;
    let version = row.number("version").map_err(failed)?;
    Ok(contents(row, &id, &owner, version).map_err(|why| {
        let by = row.text("changed_by").unwrap_or_default();
        let changed = Stamp::new(&by, time(row.number("changed_at").unwrap_or(0)));
        let name = row.text("name").unwrap_or_default();
        UnreadableIntegration { id, owner, version, name, why, changed }
    }))
}

fn contents(
    row: &impl Cells,
    id: &IntegrationId,
    owner: &Option<String>,
    version: i64,
) -> Result<StoredIntegration, UnreadableSettings> {
    let malformed = |_| UnreadableSettings::Malformed;
    let stamp = |by: &'static str, at: &'static str| {
        let by = row.text(by).map_err(malformed)?;
        Ok(Stamp::new(&by, time(row.number(at).map_err(malformed)?)))
    };
    let stored = StoredIntegration {
        settings: settings(row)?,
        proposed: proposal(row)?,
        id: id.clone(),
        owner: owner.clone(),
        version,
        is_disabled: row.flag("is_disabled").map_err(malformed)?,
        sealed_secrets: row.bytes("sealed_secrets").map_err(malformed)?,
        created: stamp("created_by", "created_at")?,
        changed: stamp("changed_by", "changed_at")?,
    };
    // It is also in the settings.
    row.text("name").map_err(malformed)?;
    Ok(stored)
}

fn settings(row: &impl Cells) -> Result<IntegrationSettings, UnreadableSettings> {
    let json = row.text("settings").map_err(|_| UnreadableSettings::Malformed)?;
    IntegrationSettings::from_json(&json)
}

fn proposal(row: &impl Cells) -> Result<Option<Proposal>, UnreadableSettings> {
    let malformed = |_| UnreadableSettings::Malformed;
    let Some(json) = row.optional_text("proposed_settings").map_err(malformed)? else {
        return Ok(None);
    };
    let sealed = row.optional_bytes("proposed_secrets").map_err(malformed)?;
    let by = row.optional_text("proposed_by").map_err(malformed)?;
    let at = row.optional_number("proposed_at").map_err(malformed)?;
    let (Some(sealed), Some(by), Some(at)) = (sealed, by, at) else { return Err(UnreadableSettings::Malformed) };
    Ok(Some(Proposal::new(IntegrationSettings::from_json(&json)?, sealed, Stamp::new(&by, time(at)))))
}

/// The health of these integrations from rows with [`HEALTH`]. What cannot be read is left out.
pub(super) fn health(ids: &[IntegrationId], rows: &[impl Cells]) -> Result<Vec<Health>, StoreError> {
    let mut known = HashMap::new();
    for row in rows {
        let at = |column: &'static str| row.optional_number(column).unwrap_or_default().map(time);
        let code = row.optional_text("last_failure_code").unwrap_or_default();
        let last_failure = code.zip(at("last_failure_at")).map(|(code, at)| LoginFailure { code, at });
        let health = Health { last_login: at("last_login_at"), last_failure };
        known.insert(row.text("id").map_err(failed)?, health);
    }
    Ok(ids.iter().map(|id| known.get(id.as_str()).cloned().unwrap_or_default()).collect())
}

/// The statement that does a write.
pub(super) fn statement<DB: Database>(write: &IntegrationWrite) -> Result<Statement<DB>, StoreError>
where
    bool: Column<DB>,
    i64: Column<DB>,
    Option<i64>: Column<DB>,
    String: Column<DB>,
    Option<String>: Column<DB>,
    Vec<u8>: Column<DB>,
    Option<Vec<u8>>: Column<DB>,
{
    let (sql, new) = match write {
        IntegrationWrite::Create(new) => (INSERT, new),
        IntegrationWrite::Replace(new) => (UPDATE, new),
        IntegrationWrite::Delete { id, .. } => {
            return Ok(sqlx::query(DELETE).bind(id.as_str().to_owned()).bind(Vec::<u8>::new()));
        }
    };
    let json = |settings| {
        serde_json::to_string(settings).map_err(|_| StoreError::Malformed { id: new.id.as_str().to_owned() })
    };
    let proposed = new.proposed.as_ref();
    Ok(sqlx::query(sql)
        .bind(new.id.as_str().to_owned())
        .bind(new.owner.clone())
        .bind(new.version)
        .bind(new.settings.name.clone())
        .bind(new.is_disabled)
        .bind(json(&new.settings)?)
        .bind(new.sealed_secrets.clone())
        .bind(proposed.map(|one| json(&one.settings)).transpose()?)
        .bind(proposed.map(|one| one.sealed_secrets.clone()))
        .bind(proposed.map(|one| one.proposed.by.clone()))
        .bind(proposed.map(|one| seconds(one.proposed.at)))
        .bind(new.created.by.clone())
        .bind(seconds(new.created.at))
        .bind(new.changed.by.clone())
        .bind(seconds(new.changed.at)))
}

/// The statement that adds a note.
pub(super) fn note<DB: Database>(note: &HealthNote) -> Statement<DB>
where
    i64: Column<DB>,
    String: Column<DB>,
{
    let id = note.id.as_str().to_owned();
    match &note.failure {
        None => sqlx::query(NOTE_LOGIN).bind(id).bind(seconds(note.at)),
        Some(code) => sqlx::query(NOTE_FAILURE).bind(id).bind(seconds(note.at)).bind(code.clone()),
    }
}

pub(super) type Statement<DB> = Query<'static, DB, <DB as Database>::Arguments<'static>>;

/// A type of a column.
pub(super) trait Column<DB: Database>: Encode<'static, DB> + Type<DB> {}

impl<DB: Database, T: Encode<'static, DB> + Type<DB>> Column<DB> for T {}

/// A row of SQLite or PostgreSQL. An error if the column is missing or of another type.
pub(super) trait Cells {
    fn flag(&self, column: &str) -> sqlx::Result<bool>;
    fn number(&self, column: &str) -> sqlx::Result<i64>;
    fn optional_number(&self, column: &str) -> sqlx::Result<Option<i64>>;
    fn text(&self, column: &str) -> sqlx::Result<String>;
    fn optional_text(&self, column: &str) -> sqlx::Result<Option<String>>;
    fn bytes(&self, column: &str) -> sqlx::Result<Vec<u8>>;
    fn optional_bytes(&self, column: &str) -> sqlx::Result<Option<Vec<u8>>>;
}

macro_rules! impl_cells {
    ($row:ty: $($read:ident -> $value:ty),*) => {
        impl Cells for $row {
            $(fn $read(&self, column: &str) -> sqlx::Result<$value> {
                self.try_get(column)
            })*
        }
    };
    ($row:ty) => {
        impl_cells!($row: flag -> bool, number -> i64, optional_number -> Option<i64>, text -> String,
            optional_text -> Option<String>, bytes -> Vec<u8>, optional_bytes -> Option<Vec<u8>>);
    };
}

#[cfg(feature = "sqlite")]
impl_cells!(sqlx::sqlite::SqliteRow);
#[cfg(feature = "postgres")]
impl_cells!(sqlx::postgres::PgRow);

const INSERT: &str = "INSERT INTO codehost_oauth_integrations (id, owner, version, name, is_disabled, settings, \
                      sealed_secrets, proposed_settings, proposed_secrets, proposed_by, proposed_at, created_by, \
                      created_at, changed_by, changed_at, is_deleted) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, FALSE)";

const UPDATE: &str = "UPDATE codehost_oauth_integrations SET owner = $2, version = $3, name = $4, is_disabled = $5, \
                      settings = $6, sealed_secrets = $7, proposed_settings = $8, proposed_secrets = $9, \
                      proposed_by = $10, proposed_at = $11, created_by = $12, created_at = $13, changed_by = $14, \
                      changed_at = $15 WHERE id = $1";

/// Leaves only the id.
const DELETE: &str = "UPDATE codehost_oauth_integrations SET is_deleted = TRUE, owner = NULL, version = 0, name = '', \
                      is_disabled = FALSE, settings = '', sealed_secrets = $2, proposed_settings = NULL, \
                      proposed_secrets = NULL, proposed_by = NULL, proposed_at = NULL, created_by = '', created_at = 0, \
                      changed_by = '', changed_at = 0, last_login_at = NULL, last_failure_code = NULL, \
                      last_failure_at = NULL WHERE id = $1";

const NOTE_LOGIN: &str = "UPDATE codehost_oauth_integrations SET last_login_at = $2 \
                          WHERE id = $1 AND NOT is_deleted AND (last_login_at IS NULL OR last_login_at <= $2)";

const NOTE_FAILURE: &str = "UPDATE codehost_oauth_integrations SET last_failure_at = $2, last_failure_code = $3 \
                            WHERE id = $1 AND NOT is_deleted AND (last_failure_at IS NULL OR last_failure_at <= $2)";

fn seconds(time: SystemTime) -> i64 {
    i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}
