//! The database: one SQLite file, with the tables of the crate beside those of the app. Every change is one transaction, so a
//! crash leaves either the old state or the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::error::AppError;
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::StoredIntegration;
use codehost_oauth::{IntegrationId, Login, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, Transaction, query};

pub(crate) type Result<T> = std::result::Result<T, AppError>;

/// The slug of the first organization, whose administrators run the app.
pub(crate) const FIRST: &str = "main";

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) keys: Arc<KeyRing>,
}

pub(crate) struct Organization {
    pub(crate) slug: String,
    pub(crate) name: String,
    /// Whether everybody with an account at one of its code hosts may log in; otherwise only who was invited.
    pub(crate) is_open: bool,
}

/// A user of one organization. One without an account does not exist.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) is_admin: bool,
}

/// An account at a code host, with which a user logs in.
pub(crate) struct Account {
    pub(crate) key: String,
    pub(crate) integration: String,
    pub(crate) profile: Profile,
}

/// What the code host reported at the last login.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) username: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) emails: Vec<String>,
}

impl Profile {
    pub(crate) fn of(user: &User) -> Self {
        let mut emails: Vec<_> = user.emails.iter().map(|email| email.address().to_owned()).collect();
        emails.sort();
        Self { username: user.username.clone(), display_name: user.display_name.clone(), emails }
    }

    pub(crate) fn name(&self) -> &str {
        self.display_name.as_deref().or(self.username.as_deref()).unwrap_or("Unnamed user")
    }

    /// Whether it is still the same person: the display name may change.
    pub(crate) fn is_same_person(&self, other: &Self) -> bool {
        self.username.is_some() && self.username == other.username && self.emails == other.emails
    }
}

/// The result of a login or a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoggedIn {
    Done,
    /// This login has made the browser that set up the app the first administrator.
    IsFounder,
    NotInvited,
    OtherUser,
    /// The integration was changed in the meantime.
    Changed,
}

impl Store {
    /// Opens the database. The first start creates it.
    pub(crate) async fn open(path: &Path, keys: Arc<KeyRing>) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let options = options.busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        let store = Self { pool, keys };
        store.add_organization(FIRST, "Main").await?;
        Ok(store)
    }

    pub(crate) async fn organizations(&self) -> Result<Vec<Organization>> {
        let rows = self.rows("SELECT slug, name, is_open FROM organizations ORDER BY name", &[]).await?;
        let organization = |row: SqliteRow| Organization { slug: row.get(0), name: row.get(1), is_open: row.get(2) };
        Ok(rows.into_iter().map(organization).collect())
    }

    pub(crate) async fn organization(&self, slug: &str) -> Result<Option<Organization>> {
        Ok(self.organizations().await?.into_iter().find(|one| one.slug == slug))
    }

    /// Returns `false` if the slug is taken.
    pub(crate) async fn add_organization(&self, slug: &str, name: &str) -> Result<bool> {
        self.run("INSERT OR IGNORE INTO organizations VALUES (?, ?, 0)", &[slug, name]).await
    }

    pub(crate) async fn set_open(&self, slug: &str, is_open: bool) -> Result<bool> {
        self.run("UPDATE organizations SET is_open = ? WHERE slug = ?", &[number(is_open), slug]).await
    }

    pub(crate) async fn has_administrator(&self, organization: &str) -> Result<bool> {
        has_administrator(&mut *self.pool.acquire().await?, organization).await
    }

    pub(crate) async fn may_manage(&self, user_id: &str, organization: &str) -> Result<bool> {
        may_manage(&mut *self.pool.acquire().await?, user_id, organization).await
    }

    pub(crate) async fn people(&self, organization: &str) -> Result<Vec<Person>> {
        let rows = self.rows("SELECT * FROM people WHERE organization = ? ORDER BY name, id", &[organization]).await?;
        Ok(rows.iter().map(person).collect())
    }

    /// The user who logged in with this account, if it is still theirs.
    pub(crate) async fn person(&self, key: &str) -> Result<Option<Person>> {
        let sql = "SELECT people.* FROM accounts JOIN people ON people.id = person WHERE key = ?";
        Ok(self.rows(sql, &[key]).await?.first().map(person))
    }

    /// Changes a user's role or removes them. Returns `false` if there is no such user, or if no administrator could log in
    /// afterwards.
    pub(crate) async fn change_person(&self, organization: &str, id: &str, change: &str) -> Result<bool> {
        let statement = match change {
            "promote" => "UPDATE people SET is_admin = 1 WHERE id = ? AND organization = ?",
            "demote" => "UPDATE people SET is_admin = 0 WHERE id = ? AND organization = ?",
            "remove" => "DELETE FROM people WHERE id = ? AND organization = ?",
            _ => return Ok(false),
        };
        let mut change = self.begin().await?;
        let had = has_administrator(&mut change, organization).await?;
        let is_done = run(&mut change, statement, &[id, organization]).await?;
        let unused = "DELETE FROM codehost_oauth_tokens WHERE connection NOT IN (SELECT key FROM accounts)";
        run(&mut change, unused, &[]).await?;
        if !is_done || (had && !has_administrator(&mut change, organization).await?) {
            return Ok(false);
        }
        change.commit().await?;
        Ok(true)
    }

    /// For the operator, if no administrator can log in any more.
    pub(crate) async fn reset_administrators(&self) -> Result<bool> {
        self.run("UPDATE people SET is_admin = 0 WHERE organization = ?", &[FIRST]).await
    }

    /// Makes an invitation: returns the token of its link, which works once and for a week.
    pub(crate) async fn invite(&self, organization: &str, is_admin: bool) -> Result<String> {
        let (token, now) = (token()?, now());
        self.run("DELETE FROM invitations WHERE expires <= ?", &[&now.to_string()]).await?;
        let values = [&*digest(&token), organization, number(is_admin), &now.saturating_add(WEEK).to_string()];
        self.run("INSERT INTO invitations VALUES (?, ?, ?, ?)", &values).await?;
        Ok(token)
    }

    /// The organization of an invitation, and whether it is for an administrator.
    pub(crate) async fn invitation(&self, token: &str) -> Result<Option<(String, bool)>> {
        let sql = "SELECT organization, is_admin FROM invitations WHERE digest = ? AND expires > ?";
        let rows = self.rows(sql, &[&digest(token), &now().to_string()]).await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    }

    /// The mark of the browser that sets up the app; `None` if there is an administrator.
    pub(crate) async fn begin_setup(&self) -> Result<Option<String>> {
        let mut change = self.begin().await?;
        if has_administrator(&mut change, FIRST).await? {
            return Ok(None);
        }
        let mark = token()?;
        run(&mut change, "INSERT INTO founders VALUES (?)", &[&mark]).await?;
        change.commit().await?;
        Ok(Some(mark))
    }

    /// Finds the user by the account key, or creates one, who must have an invitation unless the organization is open. The browser
    /// with a `founder` mark becomes the first administrator.
    pub(crate) async fn log_in(
        &self,
        at: &StoredIntegration,
        login: &Login,
        invitation: Option<&str>,
        founder: Option<&str>,
    ) -> Result<LoggedIn> {
        let organization = at.owner.as_deref().unwrap_or_default();
        let (key, profile) = (login.user.key.to_string(), Profile::of(&login.user));
        let mut change = self.begin().await?;
        if !is_current(&mut change, at).await? {
            return Ok(LoggedIn::Changed);
        }
        let is_founder = match founder {
            Some(mark) => may_manage(&mut change, mark, organization).await?,
            None => false,
        };
        let digest = digest(invitation.unwrap_or_default());
        let used = "DELETE FROM invitations WHERE digest = ? AND organization = ? AND expires > ? RETURNING is_admin";
        let used = rows(&mut change, used, &[&digest, organization, &now().to_string()]).await?;
        let invited: Option<bool> = used.first().map(|row| row.get(0));
        let known = "UPDATE accounts SET profile = ? WHERE key = ? RETURNING person";
        let known = rows(&mut change, known, &[&serde_json::to_string(&profile)?, &key]).await?;
        let person: String = match known.first() {
            Some(row) => row.get(0),
            None => {
                let is_open = "SELECT 1 FROM organizations WHERE slug = ? AND is_open";
                if !is_founder && invited.is_none() && rows(&mut change, is_open, &[organization]).await?.is_empty() {
                    return Ok(LoggedIn::NotInvited);
                }
                let id = token()?;
                let add = "INSERT INTO people VALUES (?, ?, ?, 0)";
                run(&mut change, add, &[&id, organization, profile.name()]).await?;
                add_account(&mut change, login, &id).await?;
                id
            }
        };
        if is_founder || invited == Some(true) {
            run(&mut change, "UPDATE people SET is_admin = 1 WHERE id = ?", &[&person]).await?;
        }
        // No other browser may set up the app any more, also if all administrators are gone later.
        if has_administrator(&mut change, FIRST).await? {
            run(&mut change, "DELETE FROM founders", &[]).await?;
        }
        change.commit().await?;
        Ok(if is_founder { LoggedIn::IsFounder } else { LoggedIn::Done })
    }

    /// Connects an account to a user, unless it is connected to another one.
    pub(crate) async fn connect(&self, at: &StoredIntegration, login: &Login, person: &str) -> Result<LoggedIn> {
        let mut change = self.begin().await?;
        if !is_current(&mut change, at).await? {
            return Ok(LoggedIn::Changed);
        }
        let is_member = "SELECT 1 FROM people WHERE id = ? AND organization = ?";
        let member = rows(&mut change, is_member, &[person, at.owner.as_deref().unwrap_or_default()]).await?;
        if member.is_empty() || !add_account(&mut change, login, person).await? {
            return Ok(LoggedIn::OtherUser);
        }
        change.commit().await?;
        Ok(LoggedIn::Done)
    }

    /// Disconnects an account from a user. The last one stays, because the user could not log in without it.
    pub(crate) async fn disconnect(&self, person: &str, key: &str) -> Result<bool> {
        let others = "EXISTS (SELECT 1 FROM accounts AS other WHERE other.person = ?2 AND other.key <> ?1)";
        self.run(&format!("DELETE FROM accounts WHERE key = ?1 AND person = ?2 AND {others}"), &[key, person]).await
    }

    pub(crate) async fn accounts(&self, person: &str) -> Result<Vec<Account>> {
        let rows = self.rows("SELECT * FROM accounts WHERE person = ? ORDER BY key", &[person]).await?;
        Ok(rows.iter().map(account).collect())
    }

    pub(crate) async fn account(&self, key: &str) -> Result<Option<Account>> {
        Ok(self.rows("SELECT * FROM accounts WHERE key = ?", &[key]).await?.first().map(account))
    }

    pub(crate) async fn count_accounts(&self, id: &IntegrationId) -> Result<Option<i64>> {
        let rows = self.rows("SELECT count(*) FROM accounts WHERE integration = ?", &[id.as_str()]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn run(&self, sql: &str, values: &[&str]) -> Result<bool> {
        run(&mut *self.pool.acquire().await?, sql, values).await
    }

    async fn rows(&self, sql: &str, values: &[&str]) -> Result<Vec<SqliteRow>> {
        rows(&mut *self.pool.acquire().await?, sql, values).await
    }
}

/// Whether an administrator can log in: with an account at an integration that is not disabled.
pub(crate) async fn has_administrator(database: &mut SqliteConnection, organization: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM people JOIN accounts ON person = people.id
         JOIN codehost_oauth_integrations AS used ON used.id = integration AND NOT is_disabled AND NOT is_deleted
         WHERE organization = ? AND is_admin LIMIT 1";
    Ok(!rows(database, sql, &[organization]).await?.is_empty())
}

/// Whether a user, or a browser that sets up the app, may manage an organization. The administrators of the first one manage
/// those whose own administrators cannot log in.
pub(crate) async fn may_manage(database: &mut SqliteConnection, user_id: &str, organization: &str) -> Result<bool> {
    let sql = match has_administrator(database, organization).await? {
        true => "SELECT 1 FROM people WHERE id = ?1 AND is_admin AND organization = ?2",
        false => {
            "SELECT 1 FROM people, organizations WHERE slug = ?2 AND id = ?1 AND is_admin AND organization IN (?2, ?3)
             UNION SELECT 1 FROM founders WHERE mark = ?1 AND ?2 = ?3"
        }
    };
    Ok(!rows(database, sql, &[user_id, organization, FIRST]).await?.is_empty())
}

/// Forgets the connections of an integration, and with `accounts` also the accounts and the users who have no other.
pub(crate) async fn forget(database: &mut SqliteConnection, id: &IntegrationId, accounts: bool) -> Result<()> {
    let tokens =
        "DELETE FROM codehost_oauth_tokens WHERE connection IN (SELECT key FROM accounts WHERE integration = ?)";
    run(database, tokens, &[id.as_str()]).await?;
    if accounts {
        run(database, "DELETE FROM accounts WHERE integration = ?", &[id.as_str()]).await?;
        run(database, "DELETE FROM people WHERE id NOT IN (SELECT person FROM accounts)", &[]).await?;
    }
    Ok(())
}

/// Whether the integration is still as it was read: a code host from which it was moved must not vouch for anybody.
async fn is_current(database: &mut SqliteConnection, at: &StoredIntegration) -> Result<bool> {
    let sql =
        "SELECT 1 FROM codehost_oauth_integrations WHERE id = ? AND version = ? AND NOT is_disabled AND NOT is_deleted";
    Ok(!rows(database, sql, &[at.id.as_str(), &at.version.to_string()]).await?.is_empty())
}

/// Returns `false` if the account is another user's.
async fn add_account(database: &mut SqliteConnection, login: &Login, person: &str) -> Result<bool> {
    let (key, profile) = (&login.user.key, serde_json::to_string(&Profile::of(&login.user))?);
    let sql = "INSERT INTO accounts (key, integration, person, profile) VALUES (?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET profile = excluded.profile WHERE person = excluded.person";
    run(database, sql, &[&key.to_string(), key.integration().as_str(), person, &profile]).await
}

/// Runs a statement. SQLite turns the texts into numbers where a column holds numbers. Returns whether a row was changed.
async fn run(database: &mut SqliteConnection, sql: &str, values: &[&str]) -> Result<bool> {
    let statement = values.iter().fold(query(sql), |statement, value| statement.bind(*value));
    Ok(statement.execute(database).await?.rows_affected() > 0)
}

async fn rows(database: &mut SqliteConnection, sql: &str, values: &[&str]) -> Result<Vec<SqliteRow>> {
    let statement = values.iter().fold(query(sql), |statement, value| statement.bind(*value));
    Ok(statement.fetch_all(database).await?)
}

pub(crate) fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A random text that nobody can guess.
pub(crate) fn token() -> Result<String> {
    Ok(IntegrationId::random()?.to_string())
}

fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn number(is_true: bool) -> &'static str {
    if is_true { "1" } else { "0" }
}

fn person(row: &SqliteRow) -> Person {
    Person {
        id: row.get("id"),
        organization: row.get("organization"),
        name: row.get("name"),
        is_admin: row.get("is_admin"),
    }
}

fn account(row: &SqliteRow) -> Account {
    let profile = serde_json::from_str(row.get("profile")).unwrap_or_default();
    Account { key: row.get("key"), integration: row.get("integration"), profile }
}

const WEEK: i64 = 7 * 24 * 60 * 60;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS organizations (slug TEXT PRIMARY KEY, name TEXT NOT NULL, is_open INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS people (
    id TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (slug),
    name TEXT NOT NULL,
    is_admin INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
    key TEXT PRIMARY KEY,
    integration TEXT NOT NULL,
    person TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    profile TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS accounts_of_person ON accounts (person);
CREATE INDEX IF NOT EXISTS accounts_of_integration ON accounts (integration);
CREATE TABLE IF NOT EXISTS invitations (
    digest TEXT PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (slug),
    is_admin INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS founders (mark TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS sessions (id BLOB PRIMARY KEY, data BLOB NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires);
";
