use crate::keeper::{ConnectionId, KeeperError, TokenKeeper};

pub use crate::keeper::outcome::Outcome;

impl TokenKeeper {
    /// Like [`access_token`](Self::access_token), but also says where the token comes from.
    ///
    /// # Errors
    ///
    /// Those of [`access_token`](Self::access_token). [`Outcome::NeedsLogin`] and [`Outcome::Retry`] are not errors
    /// here.
    pub async fn ask(&self, connection: &ConnectionId) -> Result<Outcome, KeeperError> {
        self.outcome(connection).await
    }
}
