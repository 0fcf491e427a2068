//! Sessions in SQLite: stored under a digest of their id and sealed, so that nobody can log in with the file alone.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::seal::SealContext;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, query};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::store::{Store, now};

#[derive(Clone)]
pub(crate) struct Sessions(pub(crate) Store);

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // Delete expired sessions.
        query("DELETE FROM sessions WHERE expires <= ?").bind(now()).execute(&self.0.pool).await.map_err(failed)?;
        while !self.write("INSERT OR IGNORE INTO sessions (data, expires, id) VALUES (?, ?, ?)", record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        // A session that a log-out has deleted in the meantime stays deleted.
        self.write("UPDATE sessions SET data = ?, expires = ? WHERE id = ?", record).await.map(drop)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let digest = digest(id);
        let row = query("SELECT data FROM sessions WHERE id = ? AND expires > ?").bind(digest.as_slice()).bind(now());
        let Some(row) = row.fetch_optional(&self.0.pool).await.map_err(failed)? else {
            return Ok(None);
        };
        let place = URL_SAFE_NO_PAD.encode(&digest);
        // Sealed with a key that the app no longer has: treat it as logged out.
        let Ok(data) = self.0.keys.open(&context(&place), row.get(0)) else {
            return Ok(None);
        };
        serde_json::from_slice(&data).map(Some).map_err(|_| Error::Decode("not a session of this version".to_owned()))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let gone = query("DELETE FROM sessions WHERE id = ?").bind(digest(id));
        gone.execute(&self.0.pool).await.map_err(failed).map(drop)
    }
}

impl Sessions {
    /// Whether a row was written.
    async fn write(&self, statement: &'static str, record: &Record) -> Result<bool> {
        let digest = digest(&record.id);
        let json = serde_json::to_vec(record).map_err(|_| Error::Encode("not JSON".to_owned()))?;
        let place = URL_SAFE_NO_PAD.encode(&digest);
        let data = self.0.keys.seal(&context(&place), &json).map_err(|error| Error::Encode(error.to_string()))?;
        let written = query(statement).bind(data).bind(record.expiry_date.unix_timestamp()).bind(digest);
        Ok(written.execute(&self.0.pool).await.map_err(failed)?.rows_affected() == 1)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

fn digest(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn context(place: &str) -> SealContext<'_> {
    SealContext { purpose: "session", integration: "", connection: place }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}
