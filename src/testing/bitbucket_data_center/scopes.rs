//! The permissions of an incoming link, by their names in a request.

use super::state::Options;
use crate::testing::application::FakeApplication;

/// What every link and every token has.
const LEAST: &str = "PUBLIC_REPOS";
const KNOWN: [&str; 8] =
    [LEAST, "ACCOUNT_WRITE", "REPO_READ", "REPO_WRITE", "REPO_ADMIN", "PROJECT_ADMIN", "ADMIN_WRITE", "SYSTEM_ADMIN"];

/// Whether one of the granted scopes is or implies the needed one.
pub(super) fn covers(granted: &str, needed: &str, options: &Options) -> bool {
    needed == LEAST || list(granted).any(|scope| scope == needed || implied(scope, options).contains(&needed))
}

/// The scopes of a token for this request. The error is the description of `invalid_scope`.
pub(super) fn grantable(
    link: &FakeApplication,
    asked: Option<&str>,
    options: &Options,
) -> Result<String, &'static str> {
    let ceiling = link.scopes.join(" ");
    let asked = match asked {
        Some(asked) => asked,
        None if options.missing_scope_takes_all && !ceiling.is_empty() => &ceiling,
        None => LEAST,
    };
    let mut granted: Vec<&str> = Vec::new();
    for scope in list(asked) {
        if !KNOWN.contains(&scope) {
            return Err("The requested scope is unknown.");
        }
        if covers(&ceiling, scope, options) {
            granted.push(scope);
        } else if options.narrow_scopes {
            granted.extend(implied(scope, options).iter().find(|lower| covers(&ceiling, lower, options)));
        } else {
            return Err("The requested scope exceeds the permissions of the application link.");
        }
    }
    let mut unique: Vec<&str> = Vec::new();
    for scope in granted {
        if !unique.contains(&scope) {
            unique.push(scope);
        }
    }
    Ok(if unique.is_empty() { LEAST.to_owned() } else { unique.join(" ") })
}

/// The scopes as a token response lists them.
pub(super) fn listed(granted: &str, options: &Options) -> String {
    if !options.list_implied_scopes {
        return granted.to_owned();
    }
    let all: Vec<&str> = KNOWN.into_iter().filter(|scope| covers(granted, scope, options)).collect();
    all.join(" ")
}

/// Highest first.
fn implied(scope: &str, options: &Options) -> &'static [&'static str] {
    match scope {
        LEAST => &[],
        "REPO_WRITE" => &["REPO_READ", LEAST],
        "REPO_ADMIN" => &["REPO_WRITE", "REPO_READ", LEAST],
        "PROJECT_ADMIN" if options.wide_scopes => &["REPO_ADMIN", "REPO_WRITE", "REPO_READ", LEAST],
        "SYSTEM_ADMIN" if options.wide_scopes => &["ADMIN_WRITE", LEAST],
        _ => &[LEAST],
    }
}

fn list(scopes: &str) -> impl Iterator<Item = &str> {
    scopes.split(' ').filter(|scope| !scope.is_empty())
}
