use crate::keeper::{ConnectionId, KeeperError, TokenKeeper};

pub use crate::keeper::outcome::Outcome;

impl TokenKeeper {
    /// [`access_token`](Self::access_token), which also tells a test how the token came about.
    ///
    /// # Errors
    ///
    /// As there, but [`Outcome::NeedsLogin`] and [`Outcome::Retry`] are no errors here.
    pub async fn ask(&self, connection: &ConnectionId) -> Result<Outcome, KeeperError> {
        self.outcome(connection).await
    }
}
