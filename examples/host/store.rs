//! The database: one SQLite file. Client secrets and sessions are sealed. Every change is one transaction, so a crash
//! leaves either the old state or the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codehost_oauth::error::AppError;
use codehost_oauth::seal::{KeyRing, SealContext};
use codehost_oauth::{BaseUrl, IntegrationId, Login, User};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, query};

use crate::support::Failure;

pub(crate) type Result<T> = std::result::Result<T, AppError>;

/// The slug of the first organization, which the first start creates.
pub(crate) const FIRST: &str = "main";

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) keys: Arc<KeyRing>,
}

#[derive(Clone)]
pub(crate) struct Organization {
    pub(crate) slug: String,
    pub(crate) name: String,
}

/// An integration as it is stored, with its secret still sealed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IntegrationRow {
    pub(crate) id: IntegrationId,
    pub(crate) organization: String,
    pub(crate) platform: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) access: String,
    pub(crate) ca_pem: Option<String>,
    /// In seconds; `None` is the default.
    pub(crate) timeout: Option<i64>,
    pub(crate) trust_emails: bool,
    pub(crate) client_id: String,
    pub(crate) secret: Vec<u8>,
}

/// A user, in one organization.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) admin: bool,
}

/// An account at a code host, with which a user logs in.
pub(crate) struct Account {
    pub(crate) key: String,
    pub(crate) integration: String,
    pub(crate) profile: Profile,
}

/// What the code host reported at the last login.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) username: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) profile_url: Option<String>,
    pub(crate) emails: Vec<EmailNote>,
    pub(crate) trusted_email: Option<String>,
    pub(crate) two_factor: Option<bool>,
    pub(crate) granted: Option<Vec<String>>,
    pub(crate) missing: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EmailNote {
    pub(crate) address: String,
    pub(crate) evidence: String,
    pub(crate) authority: String,
    pub(crate) primary: bool,
}

impl Profile {
    pub(crate) fn of(login: &Login) -> Self {
        let User { username, display_name, profile_url, emails, two_factor, .. } = &login.user;
        let word = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let note = |email: &codehost_oauth::Email| EmailNote {
            address: email.address().to_owned(),
            evidence: word(serde_json::to_value(email.evidence)),
            authority: word(serde_json::to_value(email.authority)),
            primary: email.primary,
        };
        Self {
            username: username.clone(),
            display_name: display_name.clone(),
            profile_url: profile_url.as_ref().map(ToString::to_string),
            emails: emails.iter().map(note).collect(),
            trusted_email: login.trusted_email().map(str::to_owned),
            two_factor: *two_factor,
            granted: login.tokens.scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect()),
            missing: login.missing_scopes.iter().map(|scope| scope.label.to_string()).collect(),
        }
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &str {
        self.display_name.as_deref().or(self.username.as_deref()).unwrap_or("Unnamed user")
    }
}

/// The result of a login.
pub(crate) struct LoggedIn {
    pub(crate) person: Person,
    pub(crate) is_new: bool,
    /// Whether this login has made them the administrator.
    pub(crate) promoted: bool,
}

/// The result of connecting an account.
pub(crate) enum Connected {
    Done,
    OtherUser,
}

impl Store {
    /// Opens the database. The first start creates it.
    pub(crate) async fn open(path: Option<&Path>, keys: Arc<KeyRing>) -> std::result::Result<Self, Failure> {
        let failed = |error: sqlx::Error| Failure {
            code: "database".to_owned(),
            message: format!("the database cannot be opened: {error}"),
            hint: "Use --database to choose a file in a directory that this program can write to.".to_owned(),
        };
        let options = match path {
            Some(path) => SqliteConnectOptions::new().filename(path).create_if_missing(true),
            None => SqliteConnectOptions::new().in_memory(true),
        };
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        // SQLite has one writer at a time, and a database in memory belongs to its connection.
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await.map_err(failed)?;
        query("INSERT OR IGNORE INTO organizations (slug, name) VALUES (?, 'Main')")
            .bind(FIRST)
            .execute(&pool)
            .await
            .map_err(failed)?;
        Ok(Self { pool, keys })
    }

    pub(crate) async fn organization(&self, slug: &str) -> Result<Option<Organization>> {
        let row = query("SELECT slug, name FROM organizations WHERE slug = ?").bind(slug).fetch_optional(&self.pool);
        Ok(row.await?.map(|row| Organization { slug: row.get(0), name: row.get(1) }))
    }

    pub(crate) async fn organizations(&self) -> Result<Vec<Organization>> {
        let rows = query("SELECT slug, name FROM organizations ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|row| Organization { slug: row.get(0), name: row.get(1) }).collect())
    }

    /// Returns `false` if the slug is taken.
    pub(crate) async fn add_organization(&self, slug: &str, name: &str) -> Result<bool> {
        let added = query("INSERT OR IGNORE INTO organizations (slug, name) VALUES (?, ?)").bind(slug).bind(name);
        Ok(added.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Whether there is an administrator who can log in.
    pub(crate) async fn has_administrator(&self, organization: &str) -> Result<bool> {
        let row = query(
            "SELECT EXISTS (SELECT 1 FROM people JOIN accounts ON accounts.person = people.id
                            WHERE people.organization = ? AND people.admin)",
        );
        Ok(row.bind(organization).fetch_one(&self.pool).await?.get(0))
    }

    pub(crate) async fn people(&self, organization: &str) -> Result<Vec<Person>> {
        let rows = query("SELECT * FROM people WHERE organization = ? ORDER BY name, id").bind(organization);
        Ok(rows.fetch_all(&self.pool).await?.iter().map(person).collect())
    }

    /// Returns `false` if the organization has no such user.
    pub(crate) async fn make_administrator(&self, organization: &str, person: &str) -> Result<bool> {
        let made =
            query("UPDATE people SET admin = 1 WHERE id = ? AND organization = ?").bind(person).bind(organization);
        Ok(made.execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn integrations(&self, organization: &str) -> Result<Vec<IntegrationRow>> {
        let rows = query("SELECT * FROM integrations WHERE organization = ? AND deleted = 0 ORDER BY name")
            .bind(organization)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(integration).collect()
    }

    pub(crate) async fn all_integrations(&self) -> Result<Vec<IntegrationRow>> {
        let rows = query("SELECT * FROM integrations WHERE deleted = 0").fetch_all(&self.pool).await?;
        rows.iter().map(integration).collect()
    }

    pub(crate) async fn integration(&self, id: &IntegrationId) -> Result<Option<IntegrationRow>> {
        let row = query("SELECT * FROM integrations WHERE id = ? AND deleted = 0").bind(id.as_str());
        row.fetch_optional(&self.pool).await?.as_ref().map(integration).transpose()
    }

    /// Every id that an organization has ever used. The id of a deleted integration must not be used again.
    pub(crate) async fn used_ids(&self, organization: &str) -> Result<Vec<IntegrationId>> {
        let rows = query("SELECT id FROM integrations WHERE organization = ?").bind(organization);
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(row.get::<&str, _>(0).parse()?)).collect()
    }

    /// Stores a new integration, or a changed one. `old`: the row when the change began; returns `false` if it has changed
    /// since. `forget_accounts`: the integration is at another server now, where the same user ids are other people.
    pub(crate) async fn save(
        &self,
        row: &IntegrationRow,
        old: Option<&IntegrationRow>,
        forget_accounts: bool,
    ) -> Result<bool> {
        let mut change = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(old) = old {
            let now = query("SELECT * FROM integrations WHERE id = ? AND deleted = 0").bind(row.id.as_str());
            let now = now.fetch_optional(&mut *change).await?.as_ref().map(integration).transpose()?;
            if now.as_ref() != Some(old) {
                return Ok(false);
            }
        }
        let statement = if old.is_none() {
            "INSERT INTO integrations
                 (organization, platform, name, base_url, access, ca_pem, timeout, trust_emails, client_id, secret, id)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        } else {
            "UPDATE integrations SET organization = ?, platform = ?, name = ?, base_url = ?, access = ?, ca_pem = ?,
                 timeout = ?, trust_emails = ?, client_id = ?, secret = ?
             WHERE id = ? AND deleted = 0"
        };
        query(statement)
            .bind(&row.organization)
            .bind(&row.platform)
            .bind(&row.name)
            .bind(&row.base_url)
            .bind(&row.access)
            .bind(&row.ca_pem)
            .bind(row.timeout)
            .bind(row.trust_emails)
            .bind(&row.client_id)
            .bind(&row.secret)
            .bind(row.id.as_str())
            .execute(&mut *change)
            .await?;
        if forget_accounts {
            query("DELETE FROM accounts WHERE integration = ?").bind(row.id.as_str()).execute(&mut *change).await?;
        }
        change.commit().await?;
        Ok(true)
    }

    /// Deletes everything but the id.
    pub(crate) async fn delete(&self, id: &IntegrationId) -> Result<()> {
        let mut change = self.pool.begin().await?;
        query("UPDATE integrations SET deleted = 1, secret = x'', client_id = '', ca_pem = NULL WHERE id = ?")
            .bind(id.as_str())
            .execute(&mut *change)
            .await?;
        query("DELETE FROM accounts WHERE integration = ?").bind(id.as_str()).execute(&mut *change).await?;
        Ok(change.commit().await?)
    }

    /// How many accounts use an integration.
    pub(crate) async fn count_accounts(&self, id: &IntegrationId) -> Result<i64> {
        let row = query("SELECT count(*) FROM accounts WHERE integration = ?").bind(id.as_str());
        Ok(row.fetch_one(&self.pool).await?.get(0))
    }

    /// Finds the user by the account key, or creates one. With the one-time token, the user becomes the administrator if the
    /// organization has none who can log in.
    pub(crate) async fn log_in(&self, organization: &str, login: &Login, has_token: bool) -> Result<LoggedIn> {
        let (key, profile) = (login.user.key.to_string(), Profile::of(login));
        let data = serde_json::to_string(&profile)?;
        let mut change = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = query("UPDATE accounts SET profile = ? WHERE key = ? RETURNING person")
            .bind(&data)
            .bind(&key)
            .fetch_optional(&mut *change)
            .await?;
        let is_new = known.is_none();
        let person_id = match known {
            Some(row) => row.get::<String, _>(0),
            None => {
                let id = IntegrationId::random()?.to_string();
                query("INSERT INTO people (id, organization, name, admin) VALUES (?, ?, ?, 0)")
                    .bind(&id)
                    .bind(organization)
                    .bind(profile.name())
                    .execute(&mut *change)
                    .await?;
                query("INSERT INTO accounts (key, integration, person, profile) VALUES (?, ?, ?, ?)")
                    .bind(&key)
                    .bind(login.user.key.integration().as_str())
                    .bind(&id)
                    .bind(&data)
                    .execute(&mut *change)
                    .await?;
                id
            }
        };
        let mut promoted = false;
        if has_token {
            let made = query(
                "UPDATE people SET admin = 1 WHERE id = ?1 AND organization = ?2 AND NOT EXISTS (
                     SELECT 1 FROM people JOIN accounts ON accounts.person = people.id
                     WHERE people.organization = ?2 AND people.admin)",
            );
            let made = made.bind(&person_id).bind(organization).execute(&mut *change).await?;
            promoted = made.rows_affected() == 1;
        }
        let row = query("SELECT * FROM people WHERE id = ?").bind(&person_id).fetch_one(&mut *change).await?;
        change.commit().await?;
        Ok(LoggedIn { person: person(&row), is_new, promoted })
    }

    /// Connects an account to a user, unless it is connected to another user.
    pub(crate) async fn connect(&self, person: &str, login: &Login) -> Result<Connected> {
        let data = serde_json::to_string(&Profile::of(login))?;
        let row = query(
            "INSERT INTO accounts (key, integration, person, profile) VALUES (?, ?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET profile = excluded.profile WHERE person = excluded.person",
        );
        let row = row.bind(login.user.key.to_string()).bind(login.user.key.integration().as_str());
        let changed = row.bind(person).bind(data).execute(&self.pool).await?.rows_affected();
        Ok(if changed == 1 { Connected::Done } else { Connected::OtherUser })
    }

    /// Disconnects an account from a user. The last one stays, because the user could not log in without it.
    pub(crate) async fn disconnect(&self, person: &str, key: &str) -> Result<bool> {
        let gone = query(
            "DELETE FROM accounts WHERE key = ?1 AND person = ?2
             AND (SELECT count(*) FROM accounts WHERE person = ?2) > 1",
        );
        Ok(gone.bind(key).bind(person).execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn person(&self, id: &str) -> Result<Option<Person>> {
        let row = query("SELECT * FROM people WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(person))
    }

    pub(crate) async fn accounts(&self, person: &str) -> Result<Vec<Account>> {
        let rows = query("SELECT * FROM accounts WHERE person = ? ORDER BY key").bind(person).fetch_all(&self.pool);
        let account = |row: SqliteRow| Account {
            key: row.get("key"),
            integration: row.get("integration"),
            profile: serde_json::from_str(row.get("profile")).unwrap_or_default(),
        };
        Ok(rows.await?.into_iter().map(account).collect())
    }

    /// Seals a client secret for its integration and base URL. In another row, it cannot be opened.
    pub(crate) fn seal_secret(&self, id: &IntegrationId, base_url: &BaseUrl, secret: &str) -> Result<Vec<u8>> {
        Ok(self.keys.seal(&secret_place(id, base_url.as_str()), secret.as_bytes())?)
    }

    pub(crate) fn open_secret(&self, row: &IntegrationRow) -> Result<String> {
        let opened = self.keys.open(&secret_place(&row.id, &row.base_url), &row.secret)?;
        Ok(String::from_utf8(opened.to_vec())?)
    }
}

pub(crate) fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn secret_place<'a>(id: &'a IntegrationId, base_url: &'a str) -> SealContext<'a> {
    SealContext { purpose: "client-secret", integration: id.as_str(), connection: base_url }
}

fn integration(row: &SqliteRow) -> Result<IntegrationRow> {
    Ok(IntegrationRow {
        id: row.get::<&str, _>("id").parse()?,
        organization: row.get("organization"),
        platform: row.get("platform"),
        name: row.get("name"),
        base_url: row.get("base_url"),
        access: row.get("access"),
        ca_pem: row.get("ca_pem"),
        timeout: row.get("timeout"),
        trust_emails: row.get("trust_emails"),
        client_id: row.get("client_id"),
        secret: row.get("secret"),
    })
}

fn person(row: &SqliteRow) -> Person {
    Person { id: row.get("id"), organization: row.get("organization"), name: row.get("name"), admin: row.get("admin") }
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS organizations (
    slug TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS integrations (
    id TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (slug),
    platform TEXT NOT NULL,
    name TEXT NOT NULL,
    base_url TEXT NOT NULL,
    access TEXT NOT NULL,
    ca_pem TEXT,
    timeout INTEGER,
    trust_emails INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    secret BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS people (
    id TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (slug),
    name TEXT NOT NULL,
    admin INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
    key TEXT PRIMARY KEY,
    integration TEXT NOT NULL REFERENCES integrations (id),
    person TEXT NOT NULL REFERENCES people (id),
    profile TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS accounts_of_person ON accounts (person);
CREATE INDEX IF NOT EXISTS accounts_of_integration ON accounts (integration);
CREATE TABLE IF NOT EXISTS sessions (
    id BLOB PRIMARY KEY,
    data BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
";
