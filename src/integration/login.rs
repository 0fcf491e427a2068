//! The steps of a login, the same for every platform.

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use futures_util::future;
use tokio::time::Instant;

use super::{Integration, LoginOptions, LoginStart};
use crate::error::{AccountError, ConfigError, Error, TransportError};
use crate::login::{Callback, Expected, Login, PendingLogin, Purpose};
use crate::provider::grant::AuthorizationRequest;
use crate::provider::membership::{Group, Membership};
use crate::provider::missing_scopes;
use crate::provider::token_endpoint;
use crate::values::scope::ScopeDescription;
use crate::values::token::{AccessToken, NEW_TOKEN_PAUSES, TokenSet};
use crate::values::user::User;

impl Integration {
    pub(super) fn begin(&self, purpose: Purpose, options: LoginOptions) -> Result<LoginStart, ConfigError> {
        let LoginOptions { return_to, login_hint, select_account } = options;
        let pending = PendingLogin::begin(&self.expected(purpose), return_to, SystemTime::now())?;
        let request = AuthorizationRequest {
            client_id: self.0.client.client_id(),
            callback_url: &self.0.callback_url,
            scopes: &self.0.scopes,
            login_hint: login_hint.as_deref(),
            select_account,
        };
        let url = self.0.provider.authorization_url(&request);
        let redirect_to =
            token_endpoint::authorization_url(url, pending.state(), pending.verifier(), self.0.provider.needs_nonce());
        Ok(LoginStart { redirect_to, pending })
    }

    /// What a callback must match.
    pub(crate) fn expected(&self, purpose: Purpose) -> Expected<'_> {
        Expected {
            binding: &self.0.binding,
            callback_url: &self.0.callback_url,
            provider: self.direct_provider(),
            purpose,
        }
    }

    pub(super) async fn finish(
        &self,
        purpose: Purpose,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<Login, Error> {
        // `finish_by` gets the deadline too: it returns the 401 instead of waiting for a retry that cannot start in time.
        let work = self.finish_by(Instant::now().checked_add(self.0.login_deadline), purpose, pending, callback);
        tokio::time::timeout(self.0.login_deadline, work).await.unwrap_or(Err(TransportError::TimedOut.into()))
    }

    async fn finish_by(
        &self,
        deadline: Option<Instant>,
        purpose: Purpose,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<Login, Error> {
        let return_to = pending.return_to().cloned();
        let (provider, http) = (self.direct_provider(), &self.0.http);
        let grant = pending.verify(callback, &self.expected(purpose), SystemTime::now())?;
        let mut tokens = provider.exchange_code(http, &self.0.client, grant).await?;
        let known = tokens.user.take();
        let user = self.admit(&tokens.access_token, known, deadline).await?;
        tokens.account = Some(user.key.clone());
        let missing_scopes = self.missing_scopes_of(&tokens);
        Ok(Login { user, tokens, missing_scopes, return_to, email_trust: self.0.email_trust })
    }

    /// Looks up the user of the token, if they are not known already, and the memberships, and checks the policy. A 401 is retried
    /// after one and after two seconds, unless that is after the deadline.
    pub(super) async fn admit(
        &self,
        token: &AccessToken,
        known: Option<Box<User>>,
        deadline: Option<Instant>,
    ) -> Result<User, Error> {
        let groups = self.0.policy.groups();
        // An error about the account comes before one about the group.
        let admitted_user = async {
            let user = self.user_of(token, known, deadline).await?;
            self.0.policy.ensure_user(&user, self.0.email_trust)?;
            Ok::<_, Error>(user)
        };
        if groups.is_empty() {
            return admitted_user.await;
        }
        let (user, memberships) = if self.needs_user_first(groups) {
            let user = admitted_user.await?;
            let memberships = self.memberships(token, deadline, Some(&user), groups).await;
            (user, memberships)
        } else {
            let (user, memberships) =
                future::join(admitted_user, self.memberships(token, deadline, None, groups)).await;
            (user?, memberships)
        };
        any_member(memberships)?;
        Ok(user)
    }

    /// Looks up the memberships in these groups at once, and returns them in their order. The futures are joined in pairs,
    /// since `join_all` would need more of futures-util than this crate takes.
    pub(super) fn memberships<'a>(
        &'a self,
        token: &'a AccessToken,
        deadline: Option<Instant>,
        user: Option<&'a User>,
        groups: &'a [Group],
    ) -> BoxFuture<'a, Vec<Result<Membership, Error>>> {
        Box::pin(async move {
            let Some((group, others)) = groups.split_first() else { return Vec::new() };
            let user_of_group = user.filter(|_| self.0.provider.needs_user_for_membership(group));
            let look_up = || self.direct_provider().membership(&self.0.http, token, group, user_of_group);
            let others = self.memberships(token, deadline, user, others);
            let (membership, mut memberships) = future::join(retry_unauthorized(deadline, look_up), others).await;
            memberships.insert(0, membership);
            memberships
        })
    }

    /// The user of the token, `known` or looked up.
    pub(super) async fn user_of(
        &self,
        token: &AccessToken,
        known: Option<Box<User>>,
        deadline: Option<Instant>,
    ) -> Result<User, Error> {
        match known {
            Some(user) => self.checked(*user),
            None => retry_unauthorized(deadline, || self.look_up(token)).await,
        }
    }

    /// Whether the user must be known before the memberships can be looked up.
    pub(super) fn needs_user_first(&self, groups: &[Group]) -> bool {
        groups.iter().any(|group| self.0.provider.needs_user_for_membership(group))
    }

    /// The scopes that logins ask for and these tokens do not have.
    pub(super) fn missing_scopes_of(&self, tokens: &TokenSet) -> Vec<ScopeDescription> {
        let granted = tokens.scopes.as_ref();
        granted.map(|granted| missing_scopes(&self.0.provider, &self.0.scopes, granted)).unwrap_or_default()
    }

    /// Looks up the user of the token, and checks the result.
    pub(super) async fn look_up(&self, token: &AccessToken) -> Result<User, Error> {
        self.checked(self.direct_provider().user(&self.0.http, token).await?)
    }

    /// Checks what a provider says about a user: one of another crate can make mistakes.
    pub(super) fn checked(&self, user: User) -> Result<User, Error> {
        if !user.key.belongs_to(self.id(), self.0.provider.platform().id()) {
            return Err(ConfigError::AccountKey.into());
        }
        Ok(user.checked())
    }
}

/// One membership is enough. If there is none, but a look-up failed, returns that error: the user may be a member of that group.
pub(super) fn any_member(memberships: Vec<Result<Membership, Error>>) -> Result<(), Error> {
    let mut refusal = Error::from(AccountError::NotAMember);
    for membership in memberships {
        match membership {
            Ok(Membership::Member { .. }) => return Ok(()),
            Ok(Membership::NotMember) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Sends a request with a token that was issued just now. After a 401 it is sent again, as long as there is time: replicas of
/// the code host may not know the token yet.
pub(super) async fn retry_unauthorized<T, A>(deadline: Option<Instant>, ask: impl Fn() -> A) -> Result<T, Error>
where
    A: Future<Output = Result<T, Error>>,
{
    for pause in NEW_TOKEN_PAUSES {
        match ask().await {
            Err(error) if error.is_unauthorized() => {
                let next = Instant::now().checked_add(pause);
                if deadline.is_some_and(|deadline| next.is_none_or(|next| next >= deadline)) {
                    return Err(error);
                }
            }
            result => return result,
        }
        tokio::time::sleep(pause).await;
    }
    ask().await
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
