use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An organization. Its members are in [`FakeUser::memberships`](super::FakeUser::memberships).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeOrganization {
    /// The id, which never changes.
    pub id: u64,
    /// The login, which can be renamed.
    pub login: String,
    /// The teams.
    pub teams: Vec<FakeTeam>,
    /// Whether it has SAML single sign-on: only tokens that were made in a SAML session may read it.
    pub saml: bool,
    /// Whether OAuth Apps need the approval of an owner. No effect at an Enterprise Server.
    pub restricts_apps: bool,
    /// The client ids of approved OAuth Apps and of installed GitHub Apps.
    pub apps: Vec<String>,
}

/// A team of a [`FakeOrganization`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeTeam {
    /// The id, which never changes.
    pub id: u64,
    /// The slug, which is part of URLs.
    pub slug: String,
    /// The slug of the parent team.
    pub parent: Option<String>,
}

impl FakeTeam {
    /// A team, and its parent's slug.
    pub fn new(id: u64, slug: &str, parent: Option<&str>) -> Self {
        Self { id, slug: slug.to_owned(), parent: parent.map(str::to_owned) }
    }
}

impl FakeOrganization {
    /// An organization without teams, SAML and restrictions.
    pub fn new(id: u64, login: &str) -> Self {
        Self { id, login: login.to_owned(), teams: Vec::new(), saml: false, restricts_apps: false, apps: Vec::new() }
    }

    /// `acme`, id 87654321: its teams are `tools`, `compilers` below it, and `sales`.
    pub fn acme() -> Self {
        let teams = vec![
            FakeTeam::new(71, "tools", None),
            FakeTeam::new(72, "compilers", Some("tools")),
            FakeTeam::new(73, "sales", None),
        ];
        Self { teams, ..Self::new(87_654_321, "acme") }
    }

    /// `signed`, id 201: has SAML single sign-on, and the team `core`.
    pub fn with_saml() -> Self {
        Self { saml: true, teams: vec![FakeTeam::new(74, "core", None)], ..Self::new(201, "signed") }
    }

    /// `closed`, id 202: has OAuth App access restrictions, has approved no app, and has the team `inner`.
    pub fn restricted() -> Self {
        Self { restricts_apps: true, teams: vec![FakeTeam::new(75, "inner", None)], ..Self::new(202, "closed") }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![Self::acme(), Self::with_saml(), Self::restricted()]
    }

    pub(super) fn team(&self, slug: &str) -> Option<&FakeTeam> {
        self.teams.iter().find(|team| team.slug.eq_ignore_ascii_case(slug))
    }

    /// Whether `slug` is the team, or below it.
    pub(super) fn is_within(&self, slug: &str, team: &FakeTeam) -> bool {
        let mut next = self.team(slug);
        // No chain is longer than the number of teams.
        for _ in &self.teams {
            match next {
                Some(known) if known.id == team.id => return true,
                Some(known) => next = known.parent.as_deref().and_then(|parent| self.team(parent)),
                None => return false,
            }
        }
        false
    }
}

/// The newer form of a global node id: a prefix, and `[0, id]` in MessagePack.
pub(super) fn node_id(prefix: &str, id: u64) -> String {
    let mut bytes = vec![0x92, 0x00];
    match u32::try_from(id) {
        Ok(id) => {
            bytes.push(0xce);
            bytes.extend(id.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0xcf);
            bytes.extend(id.to_be_bytes());
        }
    }
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(bytes))
}
