//! The scopes of an OAuth client, and which of them include others.

/// The boxes of the form, in its order.
pub(super) const BOXES: &[&str] = &[
    "email",
    "account",
    "account:write",
    "team",
    "team:write",
    "project",
    "project:admin",
    "repository",
    "repository:write",
    "repository:admin",
    "repository:delete",
    "pullrequest",
    "pullrequest:write",
    "snippet",
    "snippet:write",
    "webhook",
    "pipeline",
    "pipeline:write",
    "pipeline:variable",
    "runner",
    "runner:write",
];

/// Whether one of the granted scopes is or includes the needed one.
pub(super) fn covers<'a>(mut granted: impl Iterator<Item = &'a str>, needed: &str) -> bool {
    granted.any(|scope| scope == needed || included(scope).contains(&needed))
}

/// What a ticked box ticks as well. An `:admin` or `:delete` scope includes nothing.
///
/// Source: <https://developer.atlassian.com/cloud/bitbucket/bitbucket-cloud-rest-api-scopes/>.
fn included(scope: &str) -> &'static [&'static str] {
    match scope {
        "account" => &["email"],
        "account:write" => &["account", "email"],
        "team:write" => &["team"],
        "project" | "repository:write" | "pullrequest" => &["repository"],
        "pullrequest:write" => &["pullrequest", "repository:write", "repository"],
        "snippet:write" => &["snippet"],
        _ => &[],
    }
}
