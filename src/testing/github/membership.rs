use super::organization::FakeOrganization;
use super::user::FakeUser;

/// The membership of a [`FakeUser`] in a [`FakeOrganization`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeMembership {
    /// The login of the organization.
    pub organization: String,
    /// `admin` for an owner, `member` or `billing_manager`.
    pub role: String,
    /// Whether the user has not accepted the invitation.
    pub pending: bool,
    /// Whether everybody sees the membership.
    pub public: bool,
    /// `false`: through a team of the enterprise.
    pub direct: bool,
}

impl FakeMembership {
    /// An active private membership.
    pub fn new(organization: &str, role: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            role: role.to_owned(),
            pending: false,
            public: false,
            direct: true,
        }
    }

    /// An invitation.
    pub fn pending(organization: &str, role: &str) -> Self {
        Self { pending: true, ..Self::new(organization, role) }
    }
}

/// The membership of a [`FakeUser`] in a [`FakeTeam`](super::FakeTeam).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeTeamMembership {
    /// The login of the organization.
    pub organization: String,
    /// The slug of the team.
    pub team: String,
    /// `maintainer` or `member`.
    pub role: String,
    /// Whether the user has not accepted the invitation.
    pub pending: bool,
}

impl FakeTeamMembership {
    /// An active membership.
    pub fn new(organization: &str, team: &str, role: &str) -> Self {
        Self { organization: organization.to_owned(), team: team.to_owned(), role: role.to_owned(), pending: false }
    }

    /// An invitation.
    pub fn pending(organization: &str, team: &str, role: &str) -> Self {
        Self { pending: true, ..Self::new(organization, team, role) }
    }
}

impl FakeUser {
    pub(super) fn membership(&self, organization: &FakeOrganization) -> Option<&FakeMembership> {
        let is_it = |known: &&FakeMembership| known.organization.eq_ignore_ascii_case(&organization.login);
        self.memberships.iter().find(is_it)
    }

    pub(super) fn active_membership(&self, organization: &FakeOrganization) -> Option<&FakeMembership> {
        self.membership(organization).filter(|membership| !membership.pending)
    }
}
