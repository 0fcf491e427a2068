//! From the redirect to the callback: what the app keeps, what comes back, and whether the two belong together.

mod callback;
mod pending;
mod purpose;
mod report;
mod return_to;
#[cfg(feature = "seal")]
mod sealed;
pub mod web;

pub use self::callback::Callback;
pub(crate) use self::pending::Expected;
#[cfg(feature = "axum")]
pub(crate) use self::pending::MAX_LOGIN_AGE;
pub use self::pending::{PendingLogin, PendingLogins};
pub use self::purpose::Purpose;
pub use self::report::{
    LoginReport, ReportedEmail, ReportedError, ReportedGroup, ReportedScope, ReportedUser, TestLogin,
};
pub use self::return_to::ReturnTo;
#[cfg(feature = "axum")]
pub(crate) use self::sealed::MAX_SEALED;

use std::fmt;

use crate::error::Error;
use crate::values::email::EmailTrust;
use crate::values::scope::ScopeDescription;
use crate::values::token::TokenSet;
use crate::values::user::User;

/// A finished login: who the user is, and the tokens to act for them.
///
/// `Debug` shows the account key and what this crate found out, and nothing that the code host or the browser wrote: neither
/// names, addresses and scopes nor `return_to`. Only [`Integration::finish_login`](crate::Integration::finish_login) makes one:
///
/// ```compile_fail,E0639
/// # use codehost_oauth::{Login, TokenSet, User};
/// fn pretend(user: User, tokens: TokenSet) -> Login {
///     Login { user, tokens, missing_scopes: Vec::new(), return_to: None }
/// }
/// ```
#[non_exhaustive]
pub struct Login {
    /// Who logged in.
    pub user: User,
    /// Their tokens. Keep them sealed, or drop them if only the identity matters.
    pub tokens: TokenSet,
    /// The required scopes that were not granted, in the words of their check boxes. Empty if all were, or if the
    /// platform did not say.
    pub missing_scopes: Vec<ScopeDescription>,
    /// Where the user wanted to go.
    pub return_to: Option<ReturnTo>,
    pub(crate) email_trust: EmailTrust,
}

impl Login {
    /// The one address that this integration's policy trusts; see [`User::trusted_email`].
    pub fn trusted_email(&self) -> Option<&str> {
        self.user.trusted_email(self.email_trust)
    }

    /// A second copy, for a browser that repeats a callback whose response it has not seen.
    #[cfg(feature = "axum")]
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            user: self.user.clone(),
            tokens: self.tokens.duplicate(),
            missing_scopes: self.missing_scopes.clone(),
            return_to: self.return_to.clone(),
            email_trust: self.email_trust,
        }
    }

    /// [`trusted_email`](Self::trusted_email), or an error that says why there is none.
    ///
    /// # Errors
    ///
    /// As [`User::require_trusted_email`].
    pub fn require_trusted_email(&self) -> Result<&str, Error> {
        self.user.require_trusted_email(self.email_trust).map_err(Error::from)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .field("tokens", &self.tokens)
            .field("missing_scopes", &self.missing_scopes.len())
            .finish_non_exhaustive()
    }
}
