use std::sync::Arc;

use super::connection::ConnectionId;
use super::error::KeeperError;
use super::inner::{FIRST_PAUSE, Inner, MAX_PAUSE, in_time};
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
        let mut older = None;
        // The login that was stored at the first try of which nobody knows whether it was done.
        let mut tried_over = None;
        let mut pause = FIRST_PAUSE;
        let mut tries = IMPORT_TRIES;
        loop {
            let written = async {
                let stored = in_time(self.store.load(connection)).await?;
                let expected = stored.as_ref().map(|stored| stored.revision);
                // What does not open is written over anyway: its key may be lost, or its base URL changed.
                let found = stored.and_then(|stored| self.open(&stored, connection, &integration).ok());
                let login = found.as_ref().and_then(|found| found.login);
                if login == record.login {
                    return Ok(Import::Done);
                }
                older = found;
                if tried_over.is_some_and(|tried_over| login.is_some() && login != tried_over) {
                    return Ok(Import::Replaced);
                }
                match in_time(self.store.compare_and_swap(connection, expected, &sealed)).await {
                    Ok(true) => Ok(Import::Done),
                    Ok(false) => Ok(Import::Again),
                    Err(error) => {
                        tried_over.get_or_insert(login);
                        Err(error)
                    }
                }
            };
            let written = written.await;
            self.remembered.forget(connection);
            match written {
                // Another login came meanwhile. If ours was stored, theirs has replaced and revoked it, so it must not come
                // back; if it was not, it is as if it had been.
                Ok(Import::Replaced) => {
                    if older.is_some_and(|newer| record.is_replaced_by(&newer)) {
                        tokio::spawn(async move { integration.revoke_pair(&record.tokens).await });
                    }
                    return Ok(());
                }
                Ok(Import::Done) => {
                    self.flights.resume(connection);
                    if let Some(older) = older.filter(|older| older.is_replaced_by(&record)) {
                        // Nobody waits for it, and nobody needs its response.
                        tokio::spawn(async move { integration.revoke_pair(&older.tokens).await });
                    }
                    return Ok(());
                }
                Ok(Import::Again) => {}
                Err(error) if tries <= 1 => return Err(KeeperError::Store(error)),
                Err(_) => {}
            }
            tries = tries.saturating_sub(1);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }
}

/// What became of one try of an import.
enum Import {
    /// It is stored, or was and somebody has gone on from there.
    Done,
    /// Another login is stored, which came after a try that may have been done.
    Replaced,
    /// Somebody else has written meanwhile.
    Again,
}

const IMPORT_TRIES: u32 = 6;
