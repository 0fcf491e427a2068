//! The database: one SQLite file, with the tables of the crate beside those of the app. Every change is one transaction, so a
//! crash leaves either the old state or the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codehost_oauth::error::AppError;
use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::StoredIntegration;
use codehost_oauth::{IntegrationId, Login, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction, query, query_as, query_scalar};

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
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        let first = query("INSERT OR IGNORE INTO organizations VALUES (?, 'Main', FALSE)").bind(FIRST);
        first.execute(&pool).await?;
        Ok(Self { pool, keys })
    }

    pub(crate) async fn organizations(&self) -> Result<Vec<Organization>> {
        let rows = query_as::<_, (String, String, bool)>("SELECT slug, name, is_open FROM organizations ORDER BY name");
        let rows = rows.fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(slug, name, is_open)| Organization { slug, name, is_open }).collect())
    }

    pub(crate) async fn organization(&self, slug: &str) -> Result<Option<Organization>> {
        Ok(self.organizations().await?.into_iter().find(|one| one.slug == slug))
    }

    /// Returns `false` if the slug is taken.
    pub(crate) async fn add_organization(&self, slug: &str, name: &str) -> Result<bool> {
        let added = query("INSERT OR IGNORE INTO organizations VALUES (?, ?, FALSE)").bind(slug).bind(name);
        Ok(added.execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn set_open(&self, slug: &str, is_open: bool) -> Result<()> {
        let set = query("UPDATE organizations SET is_open = ? WHERE slug = ?").bind(is_open).bind(slug);
        set.execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn has_administrator(&self, organization: &str) -> Result<bool> {
        has_administrator(&mut *self.pool.acquire().await?, organization).await
    }

    pub(crate) async fn may_manage(&self, user_id: &str, organization: &str) -> Result<bool> {
        may_manage(&mut *self.pool.acquire().await?, user_id, organization).await
    }

    pub(crate) async fn people(&self, organization: &str) -> Result<Vec<Person>> {
        let rows =
            query_as("SELECT id, organization, name, is_admin FROM people WHERE organization = ? ORDER BY name, id");
        Ok(rows.bind(organization).fetch_all(&self.pool).await?.into_iter().map(person).collect())
    }

    /// The user who logged in with this account, if it is still theirs.
    pub(crate) async fn person(&self, key: &str) -> Result<Option<Person>> {
        let row = query_as(
            "SELECT people.id, organization, name, is_admin FROM accounts JOIN people ON people.id = person WHERE key = ?",
        );
        Ok(row.bind(key).fetch_optional(&self.pool).await?.map(person))
    }

    /// Changes a user's role or removes them. Returns `false` if there is no such user, or if no administrator could log in
    /// afterwards.
    pub(crate) async fn change_person(&self, organization: &str, id: &str, change: &str) -> Result<bool> {
        let statement = match change {
            "promote" => "UPDATE people SET is_admin = TRUE WHERE id = ? AND organization = ?",
            "demote" => "UPDATE people SET is_admin = FALSE WHERE id = ? AND organization = ?",
            "remove" => "DELETE FROM people WHERE id = ? AND organization = ?",
            _ => return Ok(false),
        };
        let mut change = self.begin().await?;
        let had = has_administrator(&mut change, organization).await?;
        let done = query(statement).bind(id).bind(organization).execute(&mut *change).await?.rows_affected() == 1;
        let orphaned = "DELETE FROM codehost_oauth_tokens WHERE connection NOT IN (SELECT key FROM accounts)";
        query(orphaned).execute(&mut *change).await?;
        if !done || (had && !has_administrator(&mut change, organization).await?) {
            return Ok(false);
        }
        change.commit().await?;
        Ok(true)
    }

    /// For the operator, if no administrator can log in any more.
    pub(crate) async fn reset_administrators(&self) -> Result<()> {
        query("UPDATE people SET is_admin = FALSE WHERE organization = ?").bind(FIRST).execute(&self.pool).await?;
        Ok(())
    }

    /// Makes an invitation: returns the token of its link, which works once and for a week.
    pub(crate) async fn invite(&self, organization: &str, is_admin: bool) -> Result<String> {
        let token = token()?;
        query("DELETE FROM invitations WHERE expires <= ?").bind(now()).execute(&self.pool).await?;
        let add = query("INSERT INTO invitations VALUES (?, ?, ?, ?)").bind(digest(&token)).bind(organization);
        add.bind(is_admin).bind(now().saturating_add(WEEK)).execute(&self.pool).await?;
        Ok(token)
    }

    /// The organization of an invitation, and whether it is for an administrator.
    pub(crate) async fn invitation(&self, token: &str) -> Result<Option<(String, bool)>> {
        let found = query_as("SELECT organization, is_admin FROM invitations WHERE digest = ? AND expires > ?");
        Ok(found.bind(digest(token)).bind(now()).fetch_optional(&self.pool).await?)
    }

    /// The mark of the browser that sets up the app; `None` if there is an administrator.
    pub(crate) async fn begin_setup(&self) -> Result<Option<String>> {
        let mark = token()?;
        let mut change = self.begin().await?;
        if has_administrator(&mut change, FIRST).await? {
            return Ok(None);
        }
        query("INSERT INTO founders VALUES (?)").bind(&mark).execute(&mut *change).await?;
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
        let used = "DELETE FROM invitations WHERE digest = ? AND organization = ? AND expires > ? RETURNING is_admin";
        let used = query_scalar(used).bind(digest(invitation.unwrap_or_default())).bind(organization).bind(now());
        let invited: Option<bool> = used.fetch_optional(&mut *change).await?;
        let known = query_scalar("UPDATE accounts SET profile = ? WHERE key = ? RETURNING person");
        let known = known.bind(serde_json::to_string(&profile)?).bind(&key).fetch_optional(&mut *change).await?;
        let person: String = match known {
            Some(person) => person,
            None => {
                let is_open = query_scalar("SELECT is_open FROM organizations WHERE slug = ?").bind(organization);
                let is_open: bool = is_open.fetch_one(&mut *change).await?;
                if !is_founder && !is_open && invited.is_none() {
                    return Ok(LoggedIn::NotInvited);
                }
                let id = token()?;
                let add = query("INSERT INTO people VALUES (?, ?, ?, FALSE)").bind(&id).bind(organization);
                add.bind(profile.name()).execute(&mut *change).await?;
                add_account(&mut change, login, &id, &profile).await?;
                id
            }
        };
        if is_founder || invited == Some(true) {
            query("UPDATE people SET is_admin = TRUE WHERE id = ?").bind(&person).execute(&mut *change).await?;
        }
        // No other browser may set up the app any more, also if all administrators are gone later.
        if has_administrator(&mut change, FIRST).await? {
            query("DELETE FROM founders").execute(&mut *change).await?;
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
        let of_organization = query_scalar("SELECT 1 FROM people WHERE id = ? AND organization = ?").bind(person);
        let is_member: Option<i64> = of_organization.bind(&at.owner).fetch_optional(&mut *change).await?;
        if is_member.is_none() || !add_account(&mut change, login, person, &Profile::of(&login.user)).await? {
            return Ok(LoggedIn::OtherUser);
        }
        change.commit().await?;
        Ok(LoggedIn::Done)
    }

    /// Disconnects an account from a user. The last one stays, because the user could not log in without it.
    pub(crate) async fn disconnect(&self, person: &str, key: &str) -> Result<bool> {
        let gone = query(
            "DELETE FROM accounts WHERE key = ?1 AND person = ?2 AND (SELECT count(*) FROM accounts WHERE person = ?2) > 1",
        );
        Ok(gone.bind(key).bind(person).execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn accounts(&self, person: &str) -> Result<Vec<Account>> {
        let rows =
            query_as("SELECT key, integration, profile FROM accounts WHERE person = ? ORDER BY key").bind(person);
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(account).collect())
    }

    pub(crate) async fn account(&self, key: &str) -> Result<Option<Account>> {
        let row = query_as("SELECT key, integration, profile FROM accounts WHERE key = ?").bind(key);
        Ok(row.fetch_optional(&self.pool).await?.map(account))
    }

    pub(crate) async fn count_accounts(&self, id: &IntegrationId) -> Result<i64> {
        let count = query_scalar("SELECT count(*) FROM accounts WHERE integration = ?").bind(id.as_str());
        Ok(count.fetch_one(&self.pool).await?)
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Whether an administrator can log in: with an account at an integration that is not disabled.
pub(crate) async fn has_administrator(database: &mut SqliteConnection, organization: &str) -> Result<bool> {
    let row = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM people JOIN accounts ON person = people.id
             JOIN codehost_oauth_integrations AS used ON used.id = integration AND NOT is_disabled AND NOT is_deleted
             WHERE organization = ? AND is_admin)",
    );
    Ok(row.bind(organization).fetch_one(database).await?)
}

/// Whether a user, or a browser that sets up the app, may manage an organization. The administrators of the first one manage
/// those whose own administrators cannot log in.
pub(crate) async fn may_manage(database: &mut SqliteConnection, user_id: &str, organization: &str) -> Result<bool> {
    let is_orphaned = !has_administrator(database, organization).await?;
    let row = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM people WHERE id = ?1 AND is_admin AND (organization = ?2 OR (?3 AND organization = ?4)))
             OR (?3 AND ?2 = ?4 AND EXISTS (SELECT 1 FROM founders WHERE mark = ?1))",
    );
    Ok(row.bind(user_id).bind(organization).bind(is_orphaned).bind(FIRST).fetch_one(database).await?)
}

/// Forgets the connections of an integration, and with `accounts` also the accounts and the users who have no other.
pub(crate) async fn forget(database: &mut SqliteConnection, id: &IntegrationId, accounts: bool) -> Result<()> {
    let tokens =
        "DELETE FROM codehost_oauth_tokens WHERE connection IN (SELECT key FROM accounts WHERE integration = ?)";
    query(tokens).bind(id.as_str()).execute(&mut *database).await?;
    if accounts {
        query("DELETE FROM accounts WHERE integration = ?").bind(id.as_str()).execute(&mut *database).await?;
        query("DELETE FROM people WHERE id NOT IN (SELECT person FROM accounts)").execute(database).await?;
    }
    Ok(())
}

/// Whether the integration is still as it was read: a code host from which it was moved must not vouch for anybody.
async fn is_current(database: &mut SqliteConnection, at: &StoredIntegration) -> Result<bool> {
    let row = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM codehost_oauth_integrations WHERE id = ? AND version = ? AND NOT is_disabled AND NOT is_deleted)",
    );
    Ok(row.bind(at.id.as_str()).bind(at.version).fetch_one(database).await?)
}

/// Returns `false` if the account is another user's.
async fn add_account(database: &mut SqliteConnection, login: &Login, person: &str, profile: &Profile) -> Result<bool> {
    let row = query(
        "INSERT INTO accounts (key, integration, person, profile) VALUES (?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET profile = excluded.profile WHERE person = excluded.person",
    );
    let row = row.bind(login.user.key.to_string()).bind(login.user.key.integration().as_str()).bind(person);
    Ok(row.bind(serde_json::to_string(profile)?).execute(database).await?.rows_affected() == 1)
}

pub(crate) fn now() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A random text that nobody can guess.
pub(crate) fn token() -> Result<String> {
    Ok(IntegrationId::random()?.to_string())
}

fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

fn person((id, organization, name, is_admin): (String, String, String, bool)) -> Person {
    Person { id, organization, name, is_admin }
}

fn account((key, integration, profile): (String, String, String)) -> Account {
    Account { key, integration, profile: serde_json::from_str(&profile).unwrap_or_default() }
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
    digest BLOB PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (slug),
    is_admin INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS founders (mark TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS sessions (id BLOB PRIMARY KEY, data BLOB NOT NULL, expires INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires);
";
