//! A login of an administrator that ends in a report.

use std::time::{Duration, SystemTime};

use futures_util::future;
use tokio::time::Instant;

use super::login::any_member;
use super::{Integration, LoginOptions, LoginStart};
use crate::error::{ConfigError, Error, TransportError};
use crate::login::{
    Callback, LoginReport, PendingLogin, Purpose, ReportedError, ReportedGroup, ReportedUser, ReturnTo, TestLogin,
};
use crate::provider::membership::{Group, Membership};
use crate::provider::revocation::Revocation;
use crate::values::token::{AccessToken, TokenSet};
use crate::values::user::User;

impl Integration {
    /// Begins a test login of the app's user `user_id`, who administers this integration and is logged in. As
    /// [`begin_login`](Self::begin_login), and only [`finish_test`](Self::finish_test) finishes it.
    ///
    /// ```
    /// # fn example(integration: &codehost_oauth::Integration) -> Result<(), codehost_oauth::error::ConfigError> {
    /// let start = integration.begin_test("user-7", Some("/admin".parse()?))?;
    /// assert_eq!(start.pending.purpose(), &codehost_oauth::Purpose::test("user-7")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`begin_connect`](Self::begin_connect).
    pub fn begin_test(&self, user_id: &str, return_to: Option<ReturnTo>) -> Result<LoginStart, ConfigError> {
        self.begin(Purpose::test(user_id)?, LoginOptions { return_to, ..LoginOptions::default() })
    }

    /// Finishes a test login that `user_id`, who is logged in now, must have begun. Everything that a login looks up is looked up,
    /// also if the user may not log in: that is in the [report](LoginReport). Then the tokens are revoked, if the code host can
    /// revoke them and no others, and dropped.
    ///
    /// # Errors
    ///
    /// As [`finish_connect`](Self::finish_connect), if there are no tokens: from the verification of the callback and the exchange
    /// of the code.
    pub async fn finish_test(
        &self,
        user_id: &str,
        pending: PendingLogin,
        callback: Callback,
    ) -> Result<TestLogin, Error> {
        let purpose = Purpose::test(user_id)?;
        self.observe("finish_test", self.test(purpose, pending, callback)).await
    }

    async fn test(&self, purpose: Purpose, pending: PendingLogin, callback: Callback) -> Result<TestLogin, Error> {
        let deadline = Instant::now().checked_add(self.0.login_deadline);
        let return_to = pending.return_to().cloned();
        let grant = pending.verify(callback, &self.expected(purpose), SystemTime::now())?;
        let exchange = self.direct_provider().exchange_code(&self.0.http, &self.0.client, grant);
        let exchanged = tokio::time::timeout(self.0.login_deadline, exchange).await;
        let mut tokens = exchanged.unwrap_or(Err(TransportError::TimedOut.into()))?;
        let known = tokens.user.take();
        let left =
            deadline.map_or(self.0.login_deadline, |deadline| deadline.saturating_duration_since(Instant::now()));
        let look_ups = self.look_up_all(&tokens.access_token, known, deadline);
        let looked_up = tokio::time::timeout(left, look_ups).await;
        let (user, memberships) = looked_up.unwrap_or((Err(TransportError::TimedOut.into()), Vec::new()));
        let report = self.report(&tokens, &user, memberships);
        let are_tokens_revoked = self.revoke_in_time(&tokens).await;
        Ok(TestLogin { user: user.ok(), report: LoginReport { are_tokens_revoked, ..report }, return_to })
    }

    /// Looks up the user and, at the same time if the platform can, the memberships. They are missing if they cannot be looked up
    /// without the user.
    async fn look_up_all(
        &self,
        token: &AccessToken,
        known: Option<Box<User>>,
        deadline: Option<Instant>,
    ) -> (Result<User, Error>, Vec<Result<Membership, Error>>) {
        let groups = self.0.policy.groups();
        let user = self.user_of(token, known, deadline);
        if !self.needs_user_first(groups) {
            return future::join(user, self.memberships(token, deadline, None, groups)).await;
        }
        let user = user.await;
        let memberships = match &user {
            Ok(user) => self.memberships(token, deadline, Some(user), groups).await,
            Err(_) => Vec::new(),
        };
        (user, memberships)
    }

    fn report(
        &self,
        tokens: &TokenSet,
        user: &Result<User, Error>,
        memberships: Vec<Result<Membership, Error>>,
    ) -> LoginReport {
        let groups = self.0.policy.groups();
        let found = memberships.iter().map(Some).chain(std::iter::repeat(None));
        let reported_groups = groups.iter().zip(found).map(|(group, found)| reported_group(group, found)).collect();
        let refusal = match user {
            Err(error) => Some(ReportedError::new(error)),
            Ok(user) => {
                let of_user = self.0.policy.ensure_user(user, self.0.email_trust).map_err(Error::from);
                let of_groups = if groups.is_empty() { Ok(()) } else { any_member(memberships) };
                of_user.and(of_groups).err().map(|error| ReportedError::new(&error))
            }
        };
        LoginReport {
            refusal,
            user: user.as_ref().ok().map(|user| ReportedUser::new(user, self.0.email_trust)),
            groups: reported_groups,
            ..LoginReport::of_tokens(tokens, &self.0.scopes, self.missing_scopes_of(tokens))
        }
    }

    /// Whether the code host has revoked the tokens.
    async fn revoke_in_time(&self, tokens: &TokenSet) -> bool {
        let revoked = tokio::time::timeout(REVOKE_WITHIN, self.revoke_pair(tokens)).await;
        matches!(revoked, Ok(Ok(Revocation::Revoked)))
    }
}

/// The administrator waits for it.
const REVOKE_WITHIN: Duration = Duration::from_secs(5);

fn reported_group(group: &Group, found: Option<&Result<Membership, Error>>) -> ReportedGroup {
    let (is_member, role, error) = match found {
        Some(Ok(Membership::Member { role })) => (Some(true), Some(role.clone()), None),
        Some(Ok(Membership::NotMember)) => (Some(false), None, None),
        Some(Err(error)) => (None, None, Some(ReportedError::new(error))),
        None => (None, None, None),
    };
    ReportedGroup { group: group.clone(), is_member, role, error }
}
