use crate::values::access::Access;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The scopes of an access level. An OAuth App has no scope that only reads private code, so `Read` asks for `repo` too.
pub(super) fn required(access: &Access) -> Scopes {
    let names: &[&'static str] = match access {
        Access::SignIn => &["user:email"],
        Access::Read | Access::Write => &["repo", "read:org", "user:email"],
        Access::Custom(scopes) => return scopes.clone(),
    };
    names.iter().copied().map(Scope::known).collect()
}

/// What a scope is for. GitHub shows it on the page on which the user authorizes the app; no form has a box for it.
///
/// Source: docs.github.com, "Scopes for OAuth apps".
pub(super) fn describe(scope: &Scope) -> ScopeDescription {
    let reason = match scope.as_str() {
        "user:email" => "Reads who logs in, and their e-mail addresses.",
        "read:user" => "Reads the private profile.",
        "user" => "Reads and writes the profile.",
        "read:org" => "Reads memberships in organizations and teams.",
        "repo" => "Reads and writes all repositories of the user, private ones too, and their webhooks.",
        "public_repo" => "Reads and writes public repositories.",
        "admin:repo_hook" => "Reads and writes webhooks of repositories.",
        OFFLINE_ACCESS => "Gives tokens that expire and can be refreshed.",
        _ => "Requested by this app.",
    };
    let mut description = ScopeDescription::new(scope.clone(), scope.as_str().to_owned(), reason);
    description.never_listed = scope.as_str() == OFFLINE_ACCESS;
    description
}

/// The narrower scopes that a scope includes. GitHub removes these from what it grants, so that a token has only the wider one.
pub(super) fn covered(scope: &Scope) -> Scopes {
    let narrower: &[&'static str] = match scope.as_str() {
        "user" => &["read:user", "user:email", "user:follow"],
        "repo" => &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"],
        "admin:org" => &["write:org", "read:org"],
        "write:org" => &["read:org"],
        "admin:repo_hook" => &["write:repo_hook", "read:repo_hook"],
        "write:repo_hook" => &["read:repo_hook"],
        _ => &[],
    };
    narrower.iter().copied().map(Scope::known).collect()
}

/// Whether a token with these scopes may read memberships.
pub(super) fn reads_memberships<'a>(mut scopes: impl Iterator<Item = &'a str>) -> bool {
    scopes.any(|scope| MEMBERSHIP.contains(&scope))
}

pub(super) const READ_ORG: &str = "read:org";
const MEMBERSHIP: [&str; 3] = [READ_ORG, "write:org", "admin:org"];
const OFFLINE_ACCESS: &str = "offline_access";
