use super::wire::go_json;

/// An organization. It exists as long as a user is in one of its teams; nobody can log in as one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeOrganization {
    /// The id, which never changes. Users and organizations share one sequence of ids.
    pub id: u64,
    /// The name, which is compared without regard to case.
    pub name: String,
    /// `public`, `limited` (for signed-in users) or `private` (for members).
    pub visibility: String,
}

/// A team of a [`FakeUser`](super::FakeUser), who is one of its members.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeTeam {
    /// The id, which never changes.
    pub id: u64,
    /// The name. The team that owns an organization is called `Owners`.
    pub name: String,
    /// The organization that the team belongs to.
    pub organization: FakeOrganization,
    /// What the team may do with its repositories.
    pub permission: TeamPermission,
    /// Whether its members may create repositories of the organization.
    pub can_create_repositories: bool,
    /// Whether the user shows the membership of the organization to everybody.
    pub public: bool,
}

/// What a team may do, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TeamPermission {
    /// Only what its `units_map` gives.
    None,
    /// `read`.
    Read,
    /// `write`.
    Write,
    /// `admin`.
    Admin,
    /// `owner`: only the team `Owners` has it.
    Owner,
}

impl FakeOrganization {
    /// A public organization.
    pub fn new(id: u64, name: &str) -> Self {
        Self { id, name: name.to_owned(), visibility: "public".to_owned() }
    }

    pub(super) fn json(&self, root_url: &str) -> String {
        format!(
            "{{\"id\":{},\"name\":{name},\"full_name\":\"\",\"email\":\"\",\"avatar_url\":{},\"description\":\"\",\
             \"website\":\"\",\"location\":\"\",\"visibility\":{},\"repo_admin_change_team_access\":true,\
             \"username\":{name}}}",
            self.id,
            go_json(&format!("{root_url}/avatars/{}", self.id)),
            go_json(&self.visibility),
            name = go_json(&self.name),
        )
    }
}

impl FakeTeam {
    /// A team and the organization that it belongs to.
    pub fn new(id: u64, organization: FakeOrganization, name: &str, permission: TeamPermission) -> Self {
        let can_create_repositories = permission == TeamPermission::Owner;
        Self { id, name: name.to_owned(), organization, permission, can_create_repositories, public: false }
    }

    pub(super) fn json(&self, root_url: &str) -> String {
        // A team of units may have a level in one unit and none in another.
        let levels: Vec<(&str, &str)> = match self.permission {
            TeamPermission::None => vec![("repo.code", "read"), ("repo.issues", "write")],
            permission => UNITS.iter().map(|unit| (*unit, permission.name())).collect(),
        };
        let units: Vec<String> = levels.iter().map(|(unit, _)| go_json(unit)).collect();
        let units_map: Vec<String> = levels.iter().map(|(unit, level)| format!("\"{unit}\":\"{level}\"")).collect();
        format!(
            "{{\"id\":{},\"name\":{},\"description\":\"\",\"organization\":{},\"includes_all_repositories\":{},\
             \"permission\":\"{}\",\"units\":[{}],\"units_map\":{{{}}},\"can_create_org_repo\":{}}}",
            self.id,
            go_json(&self.name),
            self.organization.json(root_url),
            self.permission == TeamPermission::Owner,
            self.permission.name(),
            units.join(","),
            units_map.join(","),
            self.can_create_repositories,
        )
    }
}

impl TeamPermission {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

const UNITS: [&str; 8] = [
    "repo.actions",
    "repo.code",
    "repo.issues",
    "repo.packages",
    "repo.projects",
    "repo.pulls",
    "repo.releases",
    "repo.wiki",
];
