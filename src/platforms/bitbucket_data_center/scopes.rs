use crate::error::ConfigError;
use crate::values::access::Access;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The scopes of an access level. `REPO_ADMIN` is needed for webhooks.
pub(super) fn required(access: &Access) -> Scopes {
    let name = match access {
        Access::SignIn => PUBLIC_REPOS,
        Access::Read => REPO_READ,
        Access::Write => REPO_ADMIN,
        Access::Custom(scopes) => return scopes.clone(),
    };
    [Scope::known(name)].into_iter().collect()
}

/// Bitbucket shows an error page for a scope that it does not know, such as one of Bitbucket Cloud.
pub(super) fn ensure(scopes: &Scopes) -> Result<(), ConfigError> {
    match scopes.iter().find(|scope| !SCOPES.iter().any(|(name, ..)| *name == scope.as_str())) {
        Some(scope) => Err(ConfigError::UnknownScope { scope: scope.as_str().to_owned() }),
        None => Ok(()),
    }
}

/// What a scope is for, with the label of its box in the form of an application link.
///
/// Source: confluence.atlassian.com, "Bitbucket OAuth 2.0 provider API", section "Scopes".
pub(super) fn describe(scope: &Scope) -> ScopeDescription {
    let known = SCOPES.iter().find(|(name, ..)| *name == scope.as_str());
    let (label, reason) = known.map_or((scope.as_str().to_owned(), "Requested by this app."), |(_, label, reason)| {
        ((*label).to_owned(), reason)
    });
    let mut description = ScopeDescription::new(scope.clone(), label, reason);
    // Every link has it, so that it is never missing.
    description.never_listed = scope.as_str() == PUBLIC_REPOS;
    description.implies = implied(scope.as_str()).iter().copied().map(Scope::known).collect();
    description
}

/// Whether tokens with these scopes may use this permission for repositories.
pub(super) fn allow(scopes: &Scopes, permission: &str) -> bool {
    scopes.iter().any(|scope| scope.as_str() == permission || implied(scope.as_str()).contains(&permission))
}

pub(super) const PUBLIC_REPOS: &str = "PUBLIC_REPOS";
const REPO_READ: &str = "REPO_READ";
const REPO_WRITE: &str = "REPO_WRITE";
pub(super) const REPO_ADMIN: &str = "REPO_ADMIN";

/// Each with its label and what it is for. The first one has no box: every link has it.
const SCOPES: [(&str, &str, &str); 8] = [
    (PUBLIC_REPOS, PUBLIC_REPOS, "Reads who logs in, and what is public."),
    ("ACCOUNT_WRITE", "Account: Write", "Reads and writes the profile."),
    (REPO_READ, "Repositories: Read", "Reads projects, repositories and pull requests."),
    (REPO_WRITE, "Repositories: Write", "Reads and writes repositories and pull requests."),
    (REPO_ADMIN, "Repositories: Admin", "Also reads and writes webhooks and settings of repositories."),
    ("PROJECT_ADMIN", "Projects: Admin", "Reads and writes settings of projects."),
    ("ADMIN_WRITE", "Admin: Write", "Administers Bitbucket."),
    ("SYSTEM_ADMIN", "System admin: Write", "Administers Bitbucket and its system."),
];

/// The scopes below one. What `PROJECT_ADMIN` and `SYSTEM_ADMIN` include is not documented.
fn implied(scope: &str) -> &'static [&'static str] {
    match scope {
        PUBLIC_REPOS => &[],
        REPO_WRITE => &[REPO_READ, PUBLIC_REPOS],
        REPO_ADMIN => &[REPO_WRITE, REPO_READ, PUBLIC_REPOS],
        _ => &[PUBLIC_REPOS],
    }
}
