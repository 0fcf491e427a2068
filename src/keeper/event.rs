use std::sync::Arc;

use super::connection::ConnectionId;
use crate::error::Error;
use crate::values::integration_id::IntegrationId;
use crate::values::scope::Scopes;
use crate::values::token::TokenNote;

/// What an administrator should hear of, although no caller is kept waiting by it; see
/// [`TokenKeeperBuilder::on_event`](super::TokenKeeperBuilder::on_event).
///
/// ```
/// use std::collections::HashMap;
/// use codehost_oauth::{keeper::{KeeperEvent, MemoryStore, TokenKeeper}, seal::KeyRing};
///
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryStore::default(), ring, HashMap::new())
///     .on_event(|event| match event {
///         KeeperEvent::ScopesGrew { connection, scopes } => println!("{connection} may also do {scopes}"),
///         event => println!("{}", event.code()),
///     })
///     .build();
/// # assert!(format!("{keeper:?}").contains("TokenKeeper"));
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeeperEvent {
    /// A refresh gave scopes that were neither granted before, nor implied by those, nor asked for. The tokens are kept.
    ScopesGrew {
        /// Whose tokens.
        connection: ConnectionId,
        /// What is new, as the code host names it.
        scopes: Scopes,
    },
    /// A refresh gave usable tokens in a response that has odd members. The tokens are kept.
    OddResponse {
        /// Whose tokens.
        connection: ConnectionId,
        /// What was odd.
        notes: Vec<TokenNote>,
    },
    /// The code host does not accept the integration's client id and secret. Nothing is asked for a minute, and all tokens
    /// are kept.
    ClientRejected {
        /// Which integration.
        integration: IntegrationId,
        /// What the code host said, with the advice.
        cause: Arc<Error>,
    },
}

impl KeeperEvent {
    /// A stable name, `snake_case`: for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ScopesGrew { .. } => "refresh_scopes_grew",
            Self::OddResponse { .. } => "refresh_odd_response",
            Self::ClientRejected { cause, .. } => cause.code(),
        }
    }

    /// Into the log, without any text of a code host.
    #[cfg(feature = "tracing")]
    pub(super) fn log(&self) {
        let code = self.code();
        match self {
            Self::ScopesGrew { connection, scopes } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %connection,
                new_scopes = scopes.len(),
                "a refresh gave scopes that nobody asked for; the tokens are kept"
            ),
            Self::OddResponse { connection, notes } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %connection,
                ?notes,
                "a refresh gave usable tokens in an odd response; the tokens are kept"
            ),
            Self::ClientRejected { integration, cause } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %integration,
                hint = %cause.advice().hint,
                "the code host does not accept the client id and secret; the tokens are kept"
            ),
        }
    }

    #[cfg(not(feature = "tracing"))]
    pub(super) fn log(&self) {}
}

pub(super) type OnEvent = dyn Fn(&KeeperEvent) + Send + Sync;
