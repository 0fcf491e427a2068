//! The database: one SQLite file, with the tables of the crate beside those of the app. Every change is one transaction, so a
//! crash leaves either the old state or the new one.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::error::AppError;
use codehost_oauth::router::FailureCause;
use codehost_oauth::settings::StoredIntegration;
use codehost_oauth::{IntegrationId, User};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteExecutor, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{FromRow, query, query_as};

pub(crate) type Result<T, E = AppError> = std::result::Result<T, E>;

/// The slug of the first organization, whose administrators run the app.
pub(crate) const FIRST: &str = "main";

#[derive(Clone, Debug)]
pub(crate) struct Store(pub(crate) SqlitePool);

/// A user of one organization. One without an account does not exist.
#[derive(FromRow)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) is_admin: bool,
}

/// An invitation that can still be used.
#[derive(FromRow)]
pub(crate) struct Invitation {
    pub(crate) digest: String,
    pub(crate) organization: String,
    pub(crate) is_admin: bool,
    /// The name of the administrator who made it, and with whom it ends.
    pub(crate) maker: String,
    pub(crate) expires: String,
}

impl Store {
    /// Opens the database. The first start creates it.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self(pool))
    }

    /// Begins setup mode, if no administrator can log in: returns the one-time token of its link. An earlier setup ends.
    /// `resets`: the organization whose administrators become members.
    pub(crate) async fn begin_setup(&self, resets: Option<&str>) -> Result<Option<String>> {
        let token = token()?;
        run(&self.0, "DELETE FROM founders", &[]).await?;
        if let Some(slug) = resets {
            run(&self.0, "UPDATE people SET is_admin = 0 WHERE organization = ?", &[slug]).await?;
        }
        let sql = "INSERT INTO founders
             SELECT ?, NULL WHERE NOT EXISTS (SELECT 1 FROM administrators WHERE organization = 'main')";
        Ok(run(&self.0, sql, &[&digest(&token)]).await?.then_some(token))
    }

    /// Uses up the one-time token. Returns the mark of the browser that sets up the app.
    pub(crate) async fn use_setup_token(&self, given: &str) -> Result<Option<String>> {
        let mark = token()?;
        let sql = "UPDATE founders SET mark = ? WHERE token = ? AND mark IS NULL";
        Ok(run(&self.0, sql, &[&mark, &digest(given)]).await?.then_some(mark))
    }

    pub(crate) async fn organization(&self, slug: &str) -> Result<Option<String>> {
        Ok(rows(&self.0, "SELECT name FROM organizations WHERE slug = ?", &[slug]).await?.pop().map(|(name,)| name))
    }

    /// Changes an organization, if `by` may, and if an administrator can still log in afterwards. `id`: a user, an
    /// invitation, or a new organization, which has a name. Returns what to tell.
    pub(crate) async fn change(&self, by: &str, slug: &str, kind: &str, [id, name]: [&str; 2]) -> Result<&'static str> {
        let (sql, done) = match kind {
            "promote" => ("UPDATE people SET is_admin = 1 WHERE organization = ?2 AND id = ?3", "The change is saved."),
            "demote" => ("UPDATE people SET is_admin = 0 WHERE organization = ?2 AND id = ?3", "The change is saved."),
            "remove" => ("DELETE FROM people WHERE organization = ?2 AND id = ?3", REMOVED),
            "invite" => (INVITE, INVITED),
            "withdraw" => (WITHDRAW, "The invitation is withdrawn."),
            "add" if slug == FIRST => (ADD, "The organization is added."),
            _ => return Ok(UNCHANGED),
        };
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        let had_administrator = exists(&mut *transaction, HAS_ADMINISTRATOR, &[slug, ""]).await?;
        let may_manage = exists(&mut *transaction, MAY_MANAGE, &[by, slug]).await?;
        if !may_manage || !run(&mut *transaction, sql, &[by, slug, id, name]).await? {
            return Ok(if kind == "add" { SAME_SLUG } else { UNCHANGED });
        }
        if had_administrator && !exists(&mut *transaction, HAS_ADMINISTRATOR, &[slug, ""]).await? {
            return Ok("Nothing was changed: no administrator of this organization could log in any more.");
        }
        run(&mut *transaction, END_SETUP, &[]).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Logs in whoever has the account, or connects it to the user with the id `to`. A new user must have an invitation. The
    /// browser with the mark of a founder becomes the first administrator. Returns the user's id and whether this has happened;
    /// `None` if the user was not invited, or the account is another user's, or belongs to another organization.
    pub(crate) async fn log_in(
        &self,
        at: &StoredIntegration,
        user: &User,
        to: Option<&str>,
        invitation: &str,
        founder: &str,
    ) -> Result<Option<(String, bool)>> {
        let (key, organization) = (user.key.to_string(), at.owner.as_deref().unwrap_or_default());
        let mut change = self.0.begin_with("BEGIN IMMEDIATE").await?;
        // A code host from which the integration was moved must not vouch for anybody.
        let is_current = "SELECT 1 FROM codehost_oauth_integrations
             WHERE id = ? AND version = ? AND NOT is_disabled AND NOT is_deleted";
        if !exists(&mut *change, is_current, &[at.id.as_str(), &at.version.to_string()]).await? {
            return Err(FailureCause::IntegrationChanged.into());
        }
        let is_founder = to.is_none() && exists(&mut *change, MAY_MANAGE, &[founder, organization]).await?;
        let used = "DELETE FROM invitations WHERE digest = ? AND organization = ? AND expires > unixepoch() AND EXISTS
             (SELECT 1 FROM rights WHERE who = maker AND rights.organization = invitations.organization) RETURNING is_admin";
        let invited: Option<(bool,)> = rows(&mut *change, used, &[&digest(invitation), organization]).await?.pop();
        let known = rows(&mut *change, "SELECT person FROM accounts WHERE key = ?", &[&key]).await?.pop();
        let is_member = "SELECT 1 FROM people WHERE id = ? AND organization = ?";
        let person = match (known, to) {
            (Some((person,)), to) if to.is_none_or(|to| person == to) => person,
            (None, Some(to)) if exists(&mut *change, is_member, &[to, organization]).await? => to.to_owned(),
            (Some(_), _) | (_, Some(_)) => return Ok(None),
            (None, None) if !is_founder && invited.is_none() => return Ok(None),
            (None, None) => {
                let id = token()?;
                let name = user.display_name.as_deref().or(user.username.as_deref()).unwrap_or("Unnamed user");
                run(&mut *change, "INSERT INTO people VALUES (?, ?, ?, 0)", &[&id, organization, name]).await?;
                id
            }
        };
        let add = "INSERT INTO accounts VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET profile = excluded.profile";
        run(&mut *change, add, &[&key, at.id.as_str(), &profile(user), &person]).await?;
        if is_founder || invited == Some((true,)) {
            run(&mut *change, "UPDATE people SET is_admin = 1 WHERE id = ?", &[&person]).await?;
        }
        run(&mut *change, END_SETUP, &[]).await?;
        change.commit().await?;
        Ok(Some((person, is_founder)))
    }
}

/// Whether an administrator of an organization can log in, without the integration that has the second value as id.
pub(crate) const HAS_ADMINISTRATOR: &str =
    "SELECT 1 FROM administrators WHERE organization = ? AND integration <> ? LIMIT 1";
/// Whether a user, or a browser that sets up the app, may manage an organization.
pub(crate) const MAY_MANAGE: &str = "SELECT 1 FROM rights WHERE who = ? AND organization = ?";
pub(crate) const FORGET_TOKENS: &str =
    "DELETE FROM codehost_oauth_tokens WHERE connection IN (SELECT key FROM accounts WHERE integration = ?)";
/// Those of accounts that are gone, to be revoked: of a removed user, or if the program was killed meanwhile.
pub(crate) const LEFT_TOKENS: &str =
    "SELECT connection FROM codehost_oauth_tokens WHERE connection NOT IN (SELECT key FROM accounts)";
/// Forgets its accounts, and the users who have no other account.
pub(crate) const FORGET_ACCOUNTS: &str = "DELETE FROM accounts WHERE integration = ?";
/// Disconnects an account from its user, who can still log in with another one. Its tokens stay, to be revoked.
pub(crate) const DISCONNECT: &str = "DELETE FROM accounts WHERE person = ?1 AND key = ?2
    AND EXISTS (SELECT 1 FROM usable WHERE usable.person = ?1 AND usable.key <> ?2)";
/// Ends setup mode for good, also if all administrators are gone later.
pub(crate) const END_SETUP: &str =
    "DELETE FROM founders WHERE EXISTS (SELECT 1 FROM administrators WHERE organization = 'main')";

/// Runs a statement. SQLite turns the texts into numbers where a column holds numbers. Returns whether a row was changed.
pub(crate) async fn run<'e>(database: impl SqliteExecutor<'e>, sql: &'e str, values: &[&'e str]) -> Result<bool> {
    let statement = values.iter().fold(query(sql), |statement, value| statement.bind(*value));
    Ok(statement.execute(database).await?.rows_affected() > 0)
}

pub(crate) async fn exists<'e>(database: impl SqliteExecutor<'e>, sql: &'e str, values: &[&'e str]) -> Result<bool> {
    Ok(!rows::<(i64,)>(database, sql, values).await?.is_empty())
}

pub(crate) async fn rows<'e, T>(database: impl SqliteExecutor<'e>, sql: &'e str, values: &[&'e str]) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin + 'e,
{
    let statement = values.iter().fold(query_as::<_, T>(sql), |statement, value| statement.bind(*value));
    Ok(statement.fetch_all(database).await?)
}

/// The user name and the e-mail addresses.
pub(crate) fn profile(user: &User) -> String {
    let mut emails: Vec<_> = user.emails.iter().map(|email| email.address()).collect();
    emails.sort_unstable();
    format!("{}, {}", user.username.as_deref().unwrap_or_default(), emails.join(", "))
}

pub(crate) fn token() -> Result<String> {
    Ok(IntegrationId::random()?.to_string())
}

/// What is stored of a token, so that nobody can use it who has read the database.
pub(crate) fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

const UNCHANGED: &str = "Nothing was changed: it has been changed in the meantime.";
const SAME_SLUG: &str = "Another organization has a name with the same letters and digits. Choose another name.";
pub(crate) const INVITED: &str = "The invitation is ready.";
pub(crate) const REMOVED: &str = "The user is removed.";

const INVITE: &str =
    "INSERT INTO invitations SELECT ?3, ?2, ?4, unixepoch() + 604800, id FROM people WHERE id = ?1 AND is_admin";
const ADD: &str = "INSERT OR IGNORE INTO organizations VALUES (?3, ?4)";
const WITHDRAW: &str = "DELETE FROM invitations WHERE organization = ?2 AND digest = ?3";
pub(crate) const INVITATIONS: &str =
    "SELECT digest, made.organization, made.is_admin, people.name AS maker, datetime(expires, 'unixepoch') AS expires
    FROM invitations AS made JOIN people ON people.id = maker WHERE expires > unixepoch()
    AND EXISTS (SELECT 1 FROM rights WHERE who = maker AND rights.organization = made.organization)";

/// `usable` accounts are at an integration that is not disabled, and `administrators` have one. Those of the first organization may
/// also manage one that has none.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS organizations (slug TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT OR IGNORE INTO organizations VALUES ('main', 'Main');
CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, organization TEXT NOT NULL REFERENCES organizations,
    name TEXT NOT NULL, is_admin INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS administrators_of_organization ON people (organization, is_admin);
CREATE TABLE IF NOT EXISTS accounts (key TEXT PRIMARY KEY, integration TEXT NOT NULL, profile TEXT NOT NULL,
    person TEXT NOT NULL REFERENCES people ON DELETE CASCADE) STRICT;
CREATE INDEX IF NOT EXISTS accounts_of_person ON accounts (person);
CREATE INDEX IF NOT EXISTS accounts_of_integration ON accounts (integration);
CREATE TABLE IF NOT EXISTS invitations (digest TEXT PRIMARY KEY, organization TEXT NOT NULL REFERENCES organizations,
    is_admin INTEGER NOT NULL, expires INTEGER NOT NULL, maker TEXT NOT NULL REFERENCES people ON DELETE CASCADE) STRICT;
CREATE TABLE IF NOT EXISTS founders (token TEXT PRIMARY KEY, mark TEXT UNIQUE) STRICT;
CREATE VIEW IF NOT EXISTS usable AS SELECT accounts.* FROM accounts
    JOIN codehost_oauth_integrations AS used ON used.id = integration AND NOT is_disabled AND NOT is_deleted;
CREATE VIEW IF NOT EXISTS administrators AS
    SELECT people.id, organization, integration FROM people JOIN usable ON person = people.id WHERE is_admin;
CREATE VIEW IF NOT EXISTS rights AS
    SELECT people.id AS who, slug AS organization FROM people, organizations WHERE is_admin AND (organization = slug OR
        organization = 'main' AND NOT EXISTS (SELECT 1 FROM administrators AS able WHERE able.organization = slug))
    UNION ALL
    SELECT mark, 'main' FROM founders WHERE NOT EXISTS (SELECT 1 FROM administrators WHERE organization = 'main');
CREATE TRIGGER IF NOT EXISTS account_ends AFTER DELETE ON accounts BEGIN
    DELETE FROM people WHERE id = old.person AND NOT EXISTS (SELECT 1 FROM accounts WHERE person = old.person); END;
CREATE TRIGGER IF NOT EXISTS role_ends AFTER UPDATE OF is_admin ON people WHEN NOT new.is_admin BEGIN
    DELETE FROM invitations WHERE maker = new.id; END;
";
