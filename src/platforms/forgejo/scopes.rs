use crate::error::ConfigError;
use crate::values::access::Access;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The scopes of an access level. Comments on pull requests need the category `issue`, webhooks the category `repository`.
pub(super) fn required(access: &Access) -> Scopes {
    let names: &[&'static str] = match access {
        Access::SignIn => &[READ_USER],
        Access::Read => &["read:issue", "read:organization", "read:repository", READ_USER],
        Access::Write => &["read:organization", READ_USER, "write:issue", "write:repository"],
        Access::Custom(scopes) => return scopes.clone(),
    };
    names.iter().copied().map(Scope::known).collect()
}

/// Both servers give a token all rights of its user if a scope is unknown to them, or if there are only scopes of OpenID Connect. A
/// login looks up the user.
pub(super) fn ensure(scopes: &Scopes) -> Result<(), ConfigError> {
    let unknown = scopes.iter().find(|scope| !is_known(scope.as_str()));
    if let Some(scope) = unknown {
        return Err(ConfigError::UnknownScope { scope: scope.as_str().to_owned() });
    }
    let limits = |scope: &Scope| scope.as_str() == ALL || category(scope.as_str()).is_some();
    let reads_user = |scope: &Scope| matches!(scope.as_str(), READ_USER | WRITE_USER | ALL);
    let needed = READ_USER.to_owned();
    if !scopes.iter().any(limits) {
        return Err(ConfigError::UnlimitedScopes { needed });
    }
    if scopes.iter().any(reads_user) { Ok(()) } else { Err(ConfigError::UserScope { needed }) }
}

/// What a scope is for. No form has boxes for scopes: the user sees them when the server asks to authorize.
///
/// Source: forgejo.org, "Access token scope", and docs.gitea.com, "OAuth2 Provider".
pub(super) fn describe(scope: &Scope) -> ScopeDescription {
    let reason = match scope.as_str() {
        READ_USER => "Reads who logs in, their e-mail addresses and teams.",
        WRITE_USER => "Reads and writes the profile and the settings.",
        "read:organization" => "Reads organizations and teams.",
        "read:repository" => "Reads repositories and their webhooks.",
        "write:repository" => "Reads and writes repositories and their webhooks.",
        "read:issue" => "Reads issues, pull requests and comments.",
        "write:issue" => "Reads and writes issues, pull requests and comments.",
        ALL => "Everything that the user may do.",
        "public-only" => "Limits the other scopes to what is public.",
        _ => "Requested by this app.",
    };
    let mut description = ScopeDescription::new(scope.clone(), scope.as_str().to_owned(), reason);
    description.implies = covered(scope);
    // A token response has no scopes at all.
    description.never_listed = true;
    description
}

/// `write:` contains `read:` of its category, and `all` contains everything.
pub(super) fn covered(scope: &Scope) -> Scopes {
    let read = |category: &str| format!("read:{category}").parse::<Scope>().ok();
    match scope.as_str() {
        ALL => CATEGORIES
            .iter()
            .flat_map(|category| ["read:", "write:"].map(|level| format!("{level}{category}").parse::<Scope>().ok()))
            .flatten()
            .collect(),
        name => name.strip_prefix("write:").and_then(read).into_iter().collect(),
    }
}

/// The scope names in a text of a server that this crate knows.
pub(super) fn known_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ":-".contains(c)));
    words.filter(|word| is_known(word) && !OIDC.contains(word)).map(str::to_owned).collect()
}

pub(super) const READ_USER: &str = "read:user";
const WRITE_USER: &str = "write:user";
const ALL: &str = "all";

fn is_known(scope: &str) -> bool {
    matches!(scope, ALL | "public-only") || OIDC.contains(&scope) || category(scope).is_some()
}

fn category(scope: &str) -> Option<&str> {
    let category = scope.strip_prefix("read:").or_else(|| scope.strip_prefix("write:"))?;
    CATEGORIES.contains(&category).then_some(category)
}

const OIDC: [&str; 4] = ["openid", "profile", "email", "groups"];
const CATEGORIES: [&str; 9] =
    ["activitypub", "admin", "issue", "misc", "notification", "organization", "package", "repository", "user"];
