use super::connection::ConnectionId;
use super::error::KeeperError;
use super::inner::{FIRST_RETRY_DELAY, Inner, MAX_RETRY_DELAY, with_timeout};
use super::record::Record;
use super::store::{Revision, StoredTokens};
use crate::error::StoreError;
use crate::integration::Integration;
use crate::values::token::TokenSet;

impl Inner {
    /// Stores the tokens of a login.
    pub(super) async fn import(
        &self,
        connection: &ConnectionId,
        integration: Integration,
        tokens: TokenSet,
    ) -> Result<(), KeeperError> {
        let record = Record::of_login(tokens, integration.scopes())?;
        let sealed = record.seal(&self.ring, connection, integration.client().client_id())?;
        let mut progress = Progress::default();
        let mut delay = FIRST_RETRY_DELAY;
        let mut attempts_left = MAX_ATTEMPTS;
        loop {
            let result = self.try_import(connection, &integration, &record, &sealed, &mut progress).await;
            self.token_cache.remove(connection);
            match result {
                // Another login was imported in the meantime. It may have replaced and revoked this one, or this one was never stored.
                // In both cases, this one must not be stored now.
                Ok(Import::Replaced) => {
                    if progress.other_record.is_some_and(|newer| record.shares_no_token_with(&newer)) {
                        revoke_in_background(integration, record);
                    }
                    return Ok(());
                }
                Ok(Import::Done) => {
                    self.refreshes.resume(connection);
                    if let Some(older) = progress.other_record.filter(|older| older.shares_no_token_with(&record)) {
                        revoke_in_background(integration, older);
                    }
                    return Ok(());
                }
                Ok(Import::Conflict) => {}
                Err(error) if attempts_left <= 1 => return Err(KeeperError::Store(error)),
                Err(_) => {}
            }
            attempts_left = attempts_left.saturating_sub(1);
            tokio::time::sleep(delay).await;
            delay = delay.saturating_mul(2).min(MAX_RETRY_DELAY);
        }
    }

    async fn try_import(
        &self,
        connection: &ConnectionId,
        integration: &Integration,
        record: &Record,
        sealed: &StoredTokens,
        progress: &mut Progress,
    ) -> Result<Import, StoreError> {
        let stored = with_timeout(self.store.load(connection)).await?;
        let expected = stored.as_ref().map(|stored| stored.revision);
        // A record that cannot be opened is replaced: its key may be lost, or the base URL has changed.
        let found = stored.and_then(|stored| self.open(&stored, connection, integration).ok());
        let login = found.as_ref().and_then(|found| found.login);
        if login == record.login {
            return Ok(Import::Done);
        }
        progress.other_record = found;
        match progress.write {
            WriteState::MayBeWritten { login_before } if login.is_some() && login != login_before => {
                return Ok(Import::Replaced);
            }
            _ => {}
        }
        match with_timeout(self.store.compare_and_swap(connection, expected, sealed)).await {
            Ok(true) => Ok(Import::Done),
            Ok(false) => Ok(Import::Conflict),
            Err(error) => {
                if progress.write == WriteState::NothingWritten {
                    progress.write = WriteState::MayBeWritten { login_before: login };
                }
                Err(error)
            }
        }
    }
}

/// Revokes the tokens that the import makes useless. The import does not depend on the response.
fn revoke_in_background(integration: Integration, record: Record) {
    tokio::spawn(async move { integration.revoke_pair(&record.tokens).await });
}

/// What the attempts so far have found and done.
#[derive(Default)]
struct Progress {
    /// The record of another login that the last attempt found; `None` if there was none, or it could not be opened.
    other_record: Option<Record>,
    write: WriteState,
}

#[derive(Default, PartialEq, Eq)]
enum WriteState {
    #[default]
    NothingWritten,
    /// An attempt may have written the record, although it failed. `login_before` was stored before the first such attempt.
    MayBeWritten { login_before: Option<Revision> },
}

/// The result of one attempt to import.
enum Import {
    /// The login is stored, or was stored and the record was written again since.
    Done,
    /// Another login is stored, which came after an attempt that may have succeeded.
    Replaced,
    /// Another write came first.
    Conflict,
}

const MAX_ATTEMPTS: u32 = 6;
