use std::sync::Arc;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::inner::{FIRST_RETRY_DELAY, Inner, MAX_RETRY_DELAY, with_timeout};
use super::record::Record;
use crate::integration::Integration;
use crate::values::token::TokenSet;

impl Inner {
    /// Stores the tokens of a login.
    pub(super) async fn import(
        &self,
        connection: &ConnectionId,
        integration: Arc<Integration>,
        tokens: TokenSet,
    ) -> Result<(), KeeperError> {
        let record = Record::of_login(tokens, integration.scopes())?;
        let sealed = record.seal(&self.ring, connection, integration.client().client_id())?;
        let mut stored_before = None;
        // The login that was stored before the first attempt whose result is not known.
        let mut login_before = None;
        let mut delay = FIRST_RETRY_DELAY;
        let mut attempts_left = MAX_ATTEMPTS;
        loop {
            let attempt = async {
                let stored = with_timeout(self.store.load(connection)).await?;
                let expected = stored.as_ref().map(|stored| stored.revision);
                // A record that cannot be opened is replaced: its key may be lost, or the base URL has changed.
                let found = stored.and_then(|stored| self.open(&stored, connection, &integration).ok());
                let login = found.as_ref().and_then(|found| found.login);
                if login == record.login {
                    return Ok(Import::Done);
                }
                stored_before = found;
                if login_before.is_some_and(|before| login.is_some() && login != before) {
                    return Ok(Import::Replaced);
                }
                match with_timeout(self.store.compare_and_swap(connection, expected, &sealed)).await {
                    Ok(true) => Ok(Import::Done),
                    Ok(false) => Ok(Import::Conflict),
                    Err(error) => {
                        login_before.get_or_insert(login);
                        Err(error)
                    }
                }
            };
            let result = attempt.await;
            self.token_cache.remove(connection);
            match result {
                // Another login was imported in the meantime. If this one had been stored, the other has replaced and
                // revoked it, so it must not be stored again. If it had not, the result is the same.
                Ok(Import::Replaced) => {
                    if stored_before.is_some_and(|newer| record.shares_no_token_with(&newer)) {
                        tokio::spawn(async move { integration.revoke_pair(&record.tokens).await });
                    }
                    return Ok(());
                }
                Ok(Import::Done) => {
                    self.refreshes.resume(connection);
                    if let Some(older) = stored_before.filter(|older| older.shares_no_token_with(&record)) {
                        // In the background: the import does not depend on the response.
                        tokio::spawn(async move { integration.revoke_pair(&older.tokens).await });
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
