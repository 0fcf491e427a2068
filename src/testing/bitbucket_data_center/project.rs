use super::user::FakeUser;
use crate::testing::wire::json_string;

/// A project of a fake Bitbucket Data Center.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeProject {
    /// The id, which never changes.
    pub id: u64,
    /// The key, in upper case. That of a personal project begins with `~`.
    pub key: String,
    /// The name.
    pub name: String,
    /// Whether everybody may read it, anonymous visitors too.
    pub public: bool,
    /// The ids of users and what they may do in every repository.
    pub members: Vec<(u64, Level)>,
    /// The repositories. A project may have none.
    pub repositories: Vec<FakeRepository>,
}

/// A repository of a [`FakeProject`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeRepository {
    /// The id, which never changes.
    pub id: u64,
    /// The name in URLs.
    pub slug: String,
    /// Whether everybody may read it, anonymous visitors too.
    pub public: bool,
    /// The ids of users and what they may do in this repository.
    pub members: Vec<(u64, Level)>,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// `REPO_READ`, or `PROJECT_READ`.
    Read,
    /// `REPO_WRITE`, or `PROJECT_WRITE`.
    Write,
    /// `REPO_ADMIN`, or `PROJECT_ADMIN`.
    Admin,
}

impl FakeProject {
    /// A private project without members and repositories.
    pub fn new(id: u64, key: &str, name: &str) -> Self {
        Self {
            id,
            key: key.to_uppercase(),
            name: name.to_owned(),
            public: false,
            members: Vec::new(),
            repositories: Vec::new(),
        }
    }

    /// Adds a member by the user's id.
    #[must_use]
    pub fn member(mut self, user_id: u64, level: Level) -> Self {
        self.members.push((user_id, level));
        self
    }

    /// Adds a repository.
    #[must_use]
    pub fn repository(mut self, repository: FakeRepository) -> Self {
        self.repositories.push(repository);
        self
    }

    /// `PROJ`: private, with the repositories `api` and `web`, and members of each level.
    pub fn private() -> Self {
        Self::new(1, "PROJ", "Project")
            .member(FakeUser::jdoe().id, Level::Write)
            .member(FakeUser::at_sign().id, Level::Admin)
            .member(FakeUser::blank().id, Level::Read)
            .repository(FakeRepository::new(11, "api"))
            .repository(FakeRepository::new(12, "web").member(FakeUser::backslash().id, Level::Write))
    }

    /// `OPEN`: public, with the repository `site`, and no members.
    pub fn public() -> Self {
        Self { public: true, ..Self::new(2, "OPEN", "Open Source") }.repository(FakeRepository::new(21, "site"))
    }

    /// `EMPTY`: private, without repositories. `jdoe` is an administrator.
    pub fn empty() -> Self {
        Self::new(3, "EMPTY", "Without repositories").member(FakeUser::jdoe().id, Level::Admin)
    }

    /// `~JDOE`: the personal project of `jdoe`, with the repository `notes`.
    pub fn personal() -> Self {
        Self::new(4, "~jdoe", "Jane Doe")
            .member(FakeUser::jdoe().id, Level::Admin)
            .repository(FakeRepository::new(41, "notes"))
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![Self::private(), Self::public(), Self::empty(), Self::personal()]
    }

    /// The user's level in all repositories.
    pub(super) fn level(&self, user: Option<&FakeUser>) -> Option<Level> {
        let everybody = self.public.then_some(Level::Read);
        everybody.max(level_of(&self.members, user))
    }

    /// The user's level in one of the repositories.
    pub(super) fn level_in(&self, repository: &FakeRepository, user: Option<&FakeUser>) -> Option<Level> {
        let everybody = repository.public.then_some(Level::Read);
        everybody.max(level_of(&repository.members, user)).max(self.level(user))
    }

    /// A project is visible to those who may read one of its repositories, too.
    pub(super) fn is_visible_to(&self, user: Option<&FakeUser>) -> bool {
        self.level(user).is_some()
            || self.repositories.iter().any(|repository| self.level_in(repository, user).is_some())
    }

    pub(super) fn json(&self, base_url: &str) -> String {
        let personal = self.key.starts_with('~');
        let path = match personal {
            true => format!("users/{}", self.key.trim_start_matches('~').to_lowercase()),
            false => format!("projects/{}", self.key),
        };
        format!(
            "{{\"key\":{},\"id\":{},\"name\":{},\"public\":{},\"type\":\"{}\",\"links\":{{\"self\":[{{\"href\":{}}}]}}}}",
            json_string(&self.key),
            self.id,
            json_string(&self.name),
            self.public,
            if personal { "PERSONAL" } else { "NORMAL" },
            json_string(&format!("{base_url}/{path}")),
        )
    }

    pub(super) fn repository_json(&self, repository: &FakeRepository, base_url: &str) -> String {
        let slug = &repository.slug;
        let browse = format!("{base_url}/projects/{}/repos/{slug}/browse", self.key);
        let clone = format!("{base_url}/scm/{}/{slug}.git", self.key.to_lowercase());
        format!(
            "{{\"slug\":{name},\"id\":{},\"name\":{name},\"scmId\":\"git\",\"state\":\"AVAILABLE\",\
             \"statusMessage\":\"Available\",\"forkable\":true,\"project\":{},\"public\":{},\"archived\":false,\
             \"links\":{{\"clone\":[{{\"href\":{},\"name\":\"http\"}}],\"self\":[{{\"href\":{}}}]}}}}",
            repository.id,
            self.json(base_url),
            repository.public,
            json_string(&clone),
            json_string(&browse),
            name = json_string(slug),
        )
    }
}

impl FakeRepository {
    /// A repository to which the members of its project have access.
    pub fn new(id: u64, slug: &str) -> Self {
        Self { id, slug: slug.to_owned(), public: false, members: Vec::new() }
    }

    /// Adds a member by the user's id.
    #[must_use]
    pub fn member(mut self, user_id: u64, level: Level) -> Self {
        self.members.push((user_id, level));
        self
    }
}

impl Level {
    pub(super) fn parse(permission: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|level| level.scope() == permission)
    }

    /// The permission for repositories, which has the name of the scope that it needs.
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Read => "REPO_READ",
            Self::Write => "REPO_WRITE",
            Self::Admin => "REPO_ADMIN",
        }
    }
}

fn level_of(members: &[(u64, Level)], user: Option<&FakeUser>) -> Option<Level> {
    let user = user?;
    let own = members.iter().filter(|(id, _)| *id == user.id).map(|(_, level)| *level);
    own.chain(user.admin.then_some(Level::Admin)).max()
}
