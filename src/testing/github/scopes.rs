//! The scopes of OAuth Apps. A wider one contains narrower ones, which GitHub leaves out of what it grants.

/// Sorted, without duplicates and without what another one contains.
pub(super) fn normalized<'a>(scopes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scopes: Vec<&str> = scopes.filter(|scope| *scope != OFFLINE_ACCESS).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let is_contained = |scope: &str| scopes.iter().any(|wider| contained(wider).contains(&scope));
    scopes.iter().filter(|scope| !is_contained(scope)).map(|scope| (*scope).to_owned()).collect()
}

/// The first scope that GitHub does not know.
pub(super) fn unknown(scopes: &str) -> Option<&str> {
    let is_known = |scope: &str| SCOPES.iter().any(|(name, inside)| *name == scope || inside.contains(&scope));
    scopes.split(' ').find(|scope| !scope.is_empty() && !is_known(scope))
}

/// Whether the granted scopes contain one of these.
pub(super) fn covers(granted: &[String], sufficient: &[&str]) -> bool {
    let has = |scope: &&str| granted.iter().any(|own| own == scope || contained(own).contains(scope));
    sufficient.iter().any(has)
}

/// Asks for an expiring token. It is not tracked as a scope.
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

fn contained(scope: &str) -> &'static [&'static str] {
    SCOPES.iter().find(|(name, _)| *name == scope).map_or(&[], |(_, inside)| *inside)
}

const SCOPES: &[(&str, &[&str])] = &[
    ("repo", &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"]),
    ("admin:repo_hook", &["write:repo_hook", "read:repo_hook"]),
    ("write:repo_hook", &["read:repo_hook"]),
    ("admin:org", &["write:org", "read:org"]),
    ("write:org", &["read:org"]),
    ("admin:org_hook", &[]),
    ("user", &["read:user", "user:email", "user:follow"]),
    ("admin:public_key", &["write:public_key", "read:public_key"]),
    ("write:public_key", &["read:public_key"]),
    ("admin:gpg_key", &["write:gpg_key", "read:gpg_key"]),
    ("write:gpg_key", &["read:gpg_key"]),
    ("project", &["read:project"]),
    ("write:packages", &["read:packages"]),
    ("delete:packages", &[]),
    ("delete_repo", &[]),
    ("gist", &[]),
    ("notifications", &[]),
    ("workflow", &[]),
    ("codespace", &[]),
    (OFFLINE_ACCESS, &[]),
];
