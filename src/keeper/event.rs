use std::sync::Arc;

use super::connection::ConnectionId;
use crate::error::Error;
use crate::values::integration_id::IntegrationId;
use crate::values::scope::Scopes;
use crate::values::token::TokenNote;

/// An event that an administrator should know of; see
/// [`TokenKeeperBuilder::on_event`](super::TokenKeeperBuilder::on_event).
///
/// ```
/// use std::collections::HashMap;
/// use codehost_oauth::{keeper::{KeeperEvent, MemoryTokens, TokenKeeper}, seal::KeyRing};
///
/// let ring = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, HashMap::new())
///     .on_event(|event| match event {
///         KeeperEvent::ScopesGrew { connection, scopes, .. } => println!("new scopes of {connection}: {scopes}"),
///         event => println!("{}", event.code()),
///     })
///     .build();
/// # assert!(format!("{keeper:?}").contains("TokenKeeper"));
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeeperEvent {
    /// A refresh granted scopes that were neither granted before, nor implied by those, nor requested. The tokens are
    /// kept.
    #[non_exhaustive]
    ScopesGrew {
        /// The connection of the tokens.
        connection: ConnectionId,
        /// The new scopes, as the code host names them.
        scopes: Scopes,
    },
    /// A refresh gave valid tokens in a response with unexpected members. The tokens are kept.
    #[non_exhaustive]
    OddResponse {
        /// The connection of the tokens.
        connection: ConnectionId,
        /// What was unexpected.
        notes: Vec<TokenNote>,
    },
    /// The code host does not accept the integration's client ID and secret. No refresh is sent for a minute. All
    /// tokens are kept.
    #[non_exhaustive]
    ClientRejected {
        /// The integration.
        integration: IntegrationId,
        /// The error, with its advice.
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

    /// Logs the event, without any text of a code host.
    #[cfg(feature = "tracing")]
    pub(super) fn log(&self) {
        let code = self.code();
        match self {
            Self::ScopesGrew { connection, scopes } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %connection,
                new_scopes = scopes.len(),
                "a refresh granted scopes that were not requested; the tokens are kept"
            ),
            Self::OddResponse { connection, notes } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %connection,
                ?notes,
                "a refresh gave valid tokens in a response with unexpected members; the tokens are kept"
            ),
            Self::ClientRejected { integration, cause } => tracing::warn!(
                target: "codehost_oauth",
                code,
                %integration,
                hint = %cause.advice().hint,
                "the code host does not accept the client ID and secret; the tokens are kept"
            ),
        }
    }

    #[cfg(not(feature = "tracing"))]
    pub(super) fn log(&self) {}
}

pub(super) type OnEvent = dyn Fn(&KeeperEvent) + Send + Sync;
