use super::ApiCall;
use crate::provider::membership::Group;

/// Responses of the platform, in its own words, to one call of the provider, and what they must mean.
///
/// A platform's wrong secret or blocked user is not in any standard, so the suite takes them from you. [`Conformance`] says which
/// scenarios are missing.
///
/// ```
/// use codehost_oauth::testing::conformance::Scenario;
///
/// let wrong_secret = Scenario::exchange("a wrong secret")
///     .respond("/oauth/token", 401, r#"{"error":"invalid_client"}"#)
///     .fails("client_rejected");
/// let renamed = Scenario::user("the same user with another name")
///     .respond("/api/v4/user", 200, r#"{"id":42,"username":"zoe"}"#)
///     .same_user();
/// assert!(format!("{wrong_secret:?} {renamed:?}").contains("a wrong secret"));
/// ```
///
/// [`Conformance`]: super::Conformance
#[derive(Clone, Debug)]
#[must_use]
pub struct Scenario {
    pub(super) name: &'static str,
    pub(super) call: Call,
    pub(super) responses: Vec<(u16, ApiCall)>,
    pub(super) expected: Expected,
}

/// The method of the provider that is called.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Exchange,
    Refresh,
    User,
    Membership(Group),
    Revoke,
    Check,
}

/// What the result must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    /// Nothing was said.
    Unknown,
    Fails(&'static str),
    SameUser,
    OtherUser,
    Refused,
    UnconfirmedEmail,
    Member,
    NotMember,
    Revoked,
    Finds(&'static str),
    AllRight,
}

impl Scenario {
    /// The exchange of a code.
    pub fn exchange(name: &'static str) -> Self {
        Self::new(name, Call::Exchange)
    }

    /// A refresh.
    pub fn refresh(name: &'static str) -> Self {
        Self::new(name, Call::Refresh)
    }

    /// The look-up of a user.
    pub fn user(name: &'static str) -> Self {
        Self::new(name, Call::User)
    }

    /// The look-up of a membership. If it needs the user, that is the one of [`Conformance::api`](super::Conformance::api).
    pub fn membership(name: &'static str, group: Group) -> Self {
        Self::new(name, Call::Membership(group))
    }

    /// The revocation of tokens.
    pub fn revoke(name: &'static str) -> Self {
        Self::new(name, Call::Revoke)
    }

    /// The check of an integration before it is saved.
    pub fn check(name: &'static str) -> Self {
        Self::new(name, Call::Check)
    }

    fn new(name: &'static str, call: Call) -> Self {
        Self { name, call, responses: Vec::new(), expected: Expected::Unknown }
    }

    /// Adds the platform's response to a request for this path: JSON. The path includes the base URL's sub-path. Each response
    /// is given once.
    pub fn respond(self, path: &str, status: u16, body: &str) -> Self {
        self.respond_with_headers(path, status, &[], body)
    }

    /// The same with headers.
    pub fn respond_with_headers(mut self, path: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.responses.push((status, ApiCall { path: path.to_owned(), response: body.to_owned(), headers }));
        self
    }

    /// The call must fail with an error that has this [`code`](crate::error::Error::code).
    pub fn fails(self, code: &'static str) -> Self {
        Self { expected: Expected::Fails(code), ..self }
    }

    /// The user must have the key of the user of [`Conformance::api`](super::Conformance::api).
    pub fn same_user(self) -> Self {
        Self { expected: Expected::SameUser, ..self }
    }

    /// The user must have another key.
    pub fn other_user(self) -> Self {
        Self { expected: Expected::OtherUser, ..self }
    }

    /// The user may not log in: the call must fail with an [`AccountError`](crate::error::AccountError), or the user's state
    /// must not be active.
    pub fn refused(self) -> Self {
        Self { expected: Expected::Refused, ..self }
    }

    /// The user is found, and has no e-mail address that counts as confirmed.
    pub fn unconfirmed_email(self) -> Self {
        Self { expected: Expected::UnconfirmedEmail, ..self }
    }

    /// The user must be a member.
    pub fn member(self) -> Self {
        Self { expected: Expected::Member, ..self }
    }

    /// The user must not be a member.
    pub fn not_member(self) -> Self {
        Self { expected: Expected::NotMember, ..self }
    }

    /// The tokens must be revoked, by a request that has one of them.
    pub fn revoked(self) -> Self {
        Self { expected: Expected::Revoked, ..self }
    }

    /// The report must have a problem with this code.
    pub fn finds(self, code: &'static str) -> Self {
        Self { expected: Expected::Finds(code), ..self }
    }

    /// The report must say that everything is correct.
    pub fn all_right(self) -> Self {
        Self { expected: Expected::AllRight, ..self }
    }
}
