use crate::error::StoreError;

/// The tables of one kind of store.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// The table that says the version, in its only row.
    pub(crate) version_table: &'static str,
    /// The SQL that leads from each version to the next one: the first creates the tables. Append to it, and change nothing that
    /// was released.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    /// The statements that lead from the version that was found to the latest one; `found` is `None` if there are no tables.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] for a version that is not known.
    pub(super) fn pending(&self, found: Option<i64>) -> Result<&'static [&'static str], StoreError> {
        let found = found.unwrap_or(0);
        let done = usize::try_from(found).map_err(|_| StoreError::Schema { found })?;
        self.migrations.get(done..).ok_or(StoreError::Schema { found })
    }

    /// Reads the version.
    pub(super) fn select_version(&self) -> String {
        format!("SELECT version FROM {} WHERE id = 1", self.version_table)
    }

    /// Writes the latest version.
    pub(super) fn set_version(&self) -> String {
        let Self { version_table, migrations } = self;
        format!(
            "INSERT INTO {version_table} (id, version) VALUES (1, {version}) \
             ON CONFLICT (id) DO UPDATE SET version = {version}",
            version = migrations.len()
        )
    }
}

/// For tests: the second version has another column, the third one a table for it, and the step to the fourth one fails.
#[cfg(test)]
pub(super) const SCHEMAS: [Schema; 4] = [
    Schema { version_table: "app_schema", migrations: &[V1] },
    Schema { version_table: "app_schema", migrations: &[V1, V2] },
    Schema { version_table: "app_schema", migrations: &[V1, V2, V3] },
    Schema { version_table: "app_schema", migrations: &[V1, V2, V3, "DELETE FROM app_names; DELETE FROM nowhere"] },
];
#[cfg(test)]
const V1: &str = "CREATE TABLE app_rows (id INTEGER PRIMARY KEY)";
#[cfg(test)]
const V2: &str = "ALTER TABLE app_rows ADD COLUMN name TEXT NOT NULL DEFAULT 'none'";
#[cfg(test)]
const V3: &str = "CREATE TABLE app_names (name TEXT); INSERT INTO app_names SELECT name FROM app_rows";
