//! From the redirect to the callback: what the host keeps, what comes back, and whether the two belong together.

mod callback;
mod pending;
mod purpose;
mod return_to;
#[cfg(feature = "seal")]
mod sealed;

pub use self::callback::Callback;
pub use self::pending::{Expected, PendingLogin, PendingLogins};
pub use self::purpose::Purpose;
pub use self::return_to::ReturnTo;

use crate::error::Error;
use crate::scope::ScopeDescription;
use crate::token::TokenSet;
use crate::user::{EmailTrust, User};

/// A finished login: who the person is, and the tokens to act for them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Login {
    /// Who logged in.
    pub user: User,
    /// Their tokens. Keep them sealed, or drop them if only the identity matters.
    pub tokens: TokenSet,
    /// The required scopes that were not granted, in the words of their check boxes. Empty if all were, or if the
    /// platform did not say.
    pub missing_scopes: Vec<ScopeDescription>,
    /// Where the person wanted to go.
    pub return_to: Option<ReturnTo>,
    pub(crate) email_trust: EmailTrust,
}

impl Login {
    /// The one address that this integration's policy trusts; see [`User::trusted_email`].
    pub fn trusted_email(&self) -> Option<&str> {
        self.user.trusted_email(self.email_trust)
    }

    /// The same, for hosts that need an address; see [`User::require_trusted_email`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn require_trusted_email(&self) -> Result<&str, Error> {
        self.user.require_trusted_email(self.email_trust).map_err(Error::from)
    }
}
