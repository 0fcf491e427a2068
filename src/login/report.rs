use std::fmt;

use serde::{Deserialize, Serialize};

use super::ReturnTo;
use crate::error::{Audience, Error};
use crate::provider::membership::Group;
use crate::values::email::{Email, EmailAuthority, EmailEvidence, EmailTrust};
use crate::values::scope::{ScopeDescription, Scopes};
use crate::values::token::TokenSet;
use crate::values::user::{EmailList, User, UserState};

/// The end of a test login: what a login of this user would have given. It has no tokens: they are revoked, if the code host can
/// do that, and dropped.
///
/// It is no login: log nobody in because of it. `Debug` shows nothing that the code host or the browser wrote.
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct TestLogin {
    /// The user, if the code host said who it is, also if they may not log in.
    pub user: Option<User>,
    /// What was found out, for the administrator.
    pub report: LoginReport,
    /// Where the administrator wanted to go.
    pub return_to: Option<ReturnTo>,
}

/// What a test login has found out, as data for a page or as JSON. It contains no secret, but the user's name and e-mail addresses:
/// show it only to the administrator who logged in. `Debug` does not show them.
///
/// ```
/// use codehost_oauth::test_login::LoginReport;
///
/// let report: LoginReport = serde_json::from_str(r#"{"requested_scopes": ["read_user"], "has_refresh_token": true}"#)?;
/// assert!(report.may_log_in() && report.user.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoginReport {
    /// Why the user may not log in: the error that a login would end with. `None` if they may.
    pub refusal: Option<ReportedError>,
    /// Who it is; `None` if the code host did not say.
    pub user: Option<ReportedUser>,
    /// The groups of the policy, one of which the user must be a member of, in its order.
    pub groups: Vec<ReportedGroup>,
    /// The scopes that were asked for.
    pub requested_scopes: Vec<String>,
    /// The scopes that were granted; `None` if the platform does not say.
    pub granted_scopes: Option<Vec<String>>,
    /// The required scopes that were not granted.
    pub missing_scopes: Vec<ReportedScope>,
    /// The lifetime of the access token in seconds; `None` if the platform does not say.
    pub access_token_seconds: Option<u64>,
    /// Whether the app got a refresh token. Without one, a user must log in again when the access token expires.
    pub has_refresh_token: bool,
    /// The lifetime of the refresh token in seconds; `None` if the platform does not say.
    pub refresh_token_seconds: Option<u64>,
    /// The codes of what was odd in the code host's response: see [`TokenNote`](crate::TokenNote).
    pub notes: Vec<String>,
    /// Whether the code host has revoked the tokens of the test. If not, they are valid until they expire, and nobody has them.
    pub are_tokens_revoked: bool,
}

/// The user of a [`LoginReport`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportedUser {
    /// The account key, as text.
    pub key: String,
    /// The user name.
    pub username: Option<String>,
    /// The name that they chose to show.
    pub display_name: Option<String>,
    /// Whether the account may be used.
    pub state: UserState,
    /// Whether it is a bot, a service account or an app.
    pub is_bot: bool,
    /// Whether they use two-factor authentication; `None` if the platform does not say.
    pub two_factor: Option<bool>,
    /// Whether the account is marked as one of another organization; `None` if the platform does not say.
    pub is_external: Option<bool>,
    /// The addresses.
    pub emails: Vec<ReportedEmail>,
    /// Whether these are all of their addresses.
    pub email_list: EmailList,
    /// Which addresses the integration trusts.
    pub email_trust: EmailTrust,
    /// The address that the app would use.
    pub trusted_email: Option<String>,
    /// Why there is none.
    pub no_trusted_email: Option<ReportedError>,
}

/// An e-mail address of a [`ReportedUser`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportedEmail {
    /// The address.
    pub address: String,
    /// Whether it is the account's main address.
    pub primary: bool,
    /// What is known about its ownership.
    pub evidence: EmailEvidence,
    /// Who vouches for it.
    pub authority: EmailAuthority,
}

/// A group of the policy in a [`LoginReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportedGroup {
    /// The group.
    pub group: Group,
    /// Whether the user is a member with the required role; `None` if that could not be found out.
    pub is_member: Option<bool>,
    /// The lowest role that a member is known to have.
    pub role: Option<String>,
    /// Why it could not be found out, if there was an error.
    pub error: Option<ReportedError>,
}

/// A scope that was not granted, in a [`LoginReport`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportedScope {
    /// The scope.
    pub scope: String,
    /// The label of its check box at the code host.
    pub label: String,
}

/// An error in a [`LoginReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportedError {
    /// Its stable name.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Who must act.
    pub audience: Audience,
    /// What they must do.
    pub hint: String,
    /// A sentence that anybody may read.
    pub public_message: String,
    /// Whether it tells about the app's network, so that only the operator of the app may read it.
    pub is_about_network: bool,
}

impl LoginReport {
    /// Whether the user may log in.
    pub fn may_log_in(&self) -> bool {
        self.refusal.is_none()
    }

    /// The same for administrators who do not run the app: without the causes that tell about its network.
    ///
    /// ```
    /// use codehost_oauth::test_login::LoginReport;
    ///
    /// let report: LoginReport = serde_json::from_str(
    ///     r#"{"refusal": {"code": "name_not_found", "message": "git.internal: no such name", "audience": "code_host",
    ///         "hint": "Check the DNS.", "public_message": "Please try again later.", "is_about_network": true}}"#,
    /// )?;
    /// let refusal = report.public().refusal.unwrap();
    /// assert_eq!((&*refusal.code, &*refusal.message), ("instance_unreachable", "Please try again later."));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn public(mut self) -> Self {
        let of_groups = self.groups.iter_mut().filter_map(|group| group.error.as_mut());
        let errors = self.refusal.iter_mut().chain(of_groups);
        for error in errors.filter(|error| error.is_about_network) {
            "instance_unreachable".clone_into(&mut error.code);
            error.message.clone_from(&error.public_message);
            error.hint.clone_from(&error.public_message);
        }
        self
    }

    /// What the tokens alone tell.
    pub(crate) fn of_tokens(tokens: &TokenSet, requested: &Scopes, missing: Vec<ScopeDescription>) -> Self {
        let names = |scopes: &Scopes| scopes.iter().map(ToString::to_string).collect();
        let missing = missing.into_iter();
        Self {
            requested_scopes: names(requested),
            granted_scopes: tokens.scopes.as_ref().map(names),
            missing_scopes: missing
                .map(|one| ReportedScope { scope: one.scope.to_string(), label: one.label.into_owned() })
                .collect(),
            access_token_seconds: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            has_refresh_token: tokens.refresh_token.is_some(),
            refresh_token_seconds: tokens.refresh_expires_in.map(|lifetime| lifetime.as_secs()),
            notes: tokens.notes.iter().map(|note| note.code().to_owned()).collect(),
            ..Self::default()
        }
    }
}

impl ReportedUser {
    pub(crate) fn new(user: &User, trust: EmailTrust) -> Self {
        let trusted = user.require_trusted_email(trust);
        let email = |email: &Email| ReportedEmail {
            address: email.address().to_owned(),
            primary: email.primary,
            evidence: email.evidence,
            authority: email.authority,
        };
        Self {
            key: user.key.to_string(),
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            state: user.state,
            is_bot: user.is_bot,
            two_factor: user.two_factor,
            is_external: user.is_external,
            emails: user.emails.iter().map(email).collect(),
            email_list: user.email_list,
            email_trust: trust,
            trusted_email: trusted.as_ref().ok().map(|&address| address.to_owned()),
            no_trusted_email: trusted.err().map(|error| ReportedError::new(&error.into())),
        }
    }
}

impl ReportedError {
    pub(crate) fn new(error: &Error) -> Self {
        let advice = error.advice();
        Self {
            code: advice.code.to_owned(),
            message: error.to_string(),
            audience: advice.audience,
            hint: advice.hint.into_owned(),
            public_message: advice.public_message.into_owned(),
            is_about_network: error.is_about_network(),
        }
    }
}

impl fmt::Debug for LoginReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginReport")
            .field("refusal", &self.refusal)
            .field("user", &self.user)
            .field("groups", &self.groups.len())
            .field("missing_scopes", &self.missing_scopes.len())
            .field("are_tokens_revoked", &self.are_tokens_revoked)
            .finish_non_exhaustive()
    }
}

/// The account key and what this crate found out: no names and no addresses.
impl fmt::Debug for ReportedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportedUser")
            .field("key", &self.key)
            .field("emails", &self.emails.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Without the address.
impl fmt::Debug for ReportedEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportedEmail")
            .field("evidence", &self.evidence)
            .field("authority", &self.authority)
            .field("primary", &self.primary)
            .finish_non_exhaustive()
    }
}

/// No names: a code host may have written them.
impl fmt::Debug for ReportedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportedScope").finish_non_exhaustive()
    }
}
