//! What is done with tokens that are stored.

use tokio::time::Instant;

use super::Integration;
use crate::error::{AccountError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::provider::revocation::Revocation;
use crate::values::account_key::AccountKey;
use crate::values::token::{AccessToken, RefreshToken, TokenSet};
use crate::values::user::User;

impl Integration {
    /// Renews tokens; see [`OAuthProvider::refresh`](crate::OAuthProvider::refresh).
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::refresh`](crate::OAuthProvider::refresh), and [`ConfigError::OtherBinding`] for a token of another
    /// integration, before anything is sent.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        self.ensure_own(token.binding(), "refresh token")?;
        self.observe(
            "refresh",
            self.direct_provider().refresh(&self.0.http, &self.0.client, token, &self.0.callback_url),
        )
        .await
    }

    /// Looks up whose token this is; see [`OAuthProvider::user`](crate::OAuthProvider::user). Unlike a login it does not refuse
    /// blocked accounts and bots that the platform itself lets through.
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::user`](crate::OAuthProvider::user), and [`ConfigError::OtherBinding`] for a token of another
    /// integration, before anything is sent.
    pub async fn user(&self, token: &AccessToken) -> Result<User, Error> {
        self.ensure_own(token.binding(), "access token")?;
        self.observe("user", self.look_up(token)).await
    }

    /// Whether the user is in a group; see [`OAuthProvider::membership`](crate::OAuthProvider::membership). Memberships end: ask
    /// again from time to time.
    ///
    /// ```
    /// # async fn example(integration: codehost_oauth::Integration, token: codehost_oauth::AccessToken)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use codehost_oauth::{Group, Membership};
    ///
    /// match integration.membership(&token, &Group::path("acme/tools")?.at_least("maintainer")).await? {
    ///     Membership::Member { role } => println!("at least {role}"),
    ///     _ => println!("not a member"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::membership`](crate::OAuthProvider::membership), and [`ConfigError::OtherBinding`] for a token of
    /// another integration, before anything is sent.
    pub async fn membership(&self, token: &AccessToken, group: &Group) -> Result<Membership, Error> {
        self.ensure_own(token.binding(), "access token")?;
        let provider = self.direct_provider();
        match provider.ensure_group(group, &self.0.scopes) {
            // The token may have more scopes than this integration asks for.
            Ok(()) | Err(ConfigError::GroupScope { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let ask = async {
            let user = match provider.needs_user_for_membership(group) {
                true => Some(self.look_up(token).await?),
                false => None,
            };
            provider.membership(&self.0.http, token, group, user.as_ref()).await
        };
        self.observe("membership", ask).await
    }

    /// Checks whether the user of a stored connection may still log in: whether the account is active, and meets the
    /// [policy](crate::integration::IntegrationBuilder::policy). As many round trips as a login has after the exchange of the code.
    ///
    /// Accounts are blocked and memberships end, and no code host tells this app. So ask again from time to time: when a session
    /// is renewed, before an important action, or once a day for each connection. `key` is the stored one: tokens of another
    /// account are refused.
    ///
    /// ```
    /// # #[cfg(feature = "seal")]
    /// # async fn example(
    /// #     integration: codehost_oauth::Integration,
    /// #     keeper: codehost_oauth::keeper::TokenKeeper,
    /// #     stored: String,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use codehost_oauth::{AccountKey, error::Error};
    ///
    /// let key: AccountKey = stored.parse()?; // what `login.user.key.to_string()` was at the login
    /// let token = keeper.access_token(&(&key).into()).await?;
    /// match integration.recheck(&token, &key).await {
    ///     Ok(user) => println!("{} may stay", user.key),
    ///     Err(error) if error.advice().is_transient => println!("try again later: {error}"),
    ///     Err(Error::Account { cause, .. }) => println!("end the session: {cause}"),
    ///     Err(error) => println!("try again later: {error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Account`] if the user may not log in any more, except
    /// [`AccountError::EmailsIncomplete`](crate::error::AccountError::EmailsIncomplete), which is transient; otherwise as
    /// [`user`](Self::user) and [`membership`](Self::membership): then it is not known.
    pub async fn recheck(&self, token: &AccessToken, key: &AccountKey) -> Result<User, Error> {
        self.ensure_own(token.binding(), "access token")?;
        let work = async {
            // A stored token is not new, so no 401 is retried.
            let retry_until = Some(Instant::now());
            let user = self.admit(token, None, retry_until).await?;
            if user.key == *key { Ok(user) } else { Err(AccountError::OtherAccount.into()) }
        };
        self.observe("recheck", work).await
    }

    /// Revokes these tokens, and the user's whole grant if the platform can revoke only that; see
    /// [`OAuthProvider::revoke`](crate::OAuthProvider::revoke). Delete the tokens afterwards, also after an error.
    ///
    /// # Errors
    ///
    /// As [`OAuthProvider::revoke`](crate::OAuthProvider::revoke), and [`ConfigError::OtherBinding`] for tokens of another
    /// integration, before anything is sent.
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<Revocation, Error> {
        self.ensure_own(tokens.access_token.binding(), "access token")?;
        if let Some(token) = &tokens.refresh_token {
            self.ensure_own(token.binding(), "refresh token")?;
        }
        self.observe("revoke", self.direct_provider().revoke(&self.0.http, &self.0.client, tokens)).await
    }

    /// Ends these tokens and no others; see [`OAuthProvider::revoke_pair`](crate::OAuthProvider::revoke_pair).
    pub(crate) async fn revoke_pair(&self, tokens: &TokenSet) -> Result<Revocation, Error> {
        self.observe("revoke_pair", self.direct_provider().revoke_pair(&self.0.http, &self.0.client, tokens)).await
    }
}
