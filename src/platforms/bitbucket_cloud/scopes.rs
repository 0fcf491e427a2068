use crate::values::access::Access;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The scopes of an access level.
pub(crate) fn required(access: &Access) -> Scopes {
    let names: &[&'static str] = match access {
        Access::SignIn => &["account", "email"],
        Access::Read => &["account", "email", "team", "repository", "pullrequest"],
        Access::Write => &["account", "email", "team", "repository", "webhook", "pullrequest:write"],
        Access::Custom(scopes) => return scopes.clone(),
    };
    known(names)
}

/// The check box of a scope, with all scopes that it includes, directly or indirectly.
///
/// An `:admin` or `:delete` scope includes nothing: it grants neither reading nor writing.
///
/// Source: <https://developer.atlassian.com/cloud/bitbucket/bitbucket-cloud-rest-api-scopes/>.
pub(crate) fn describe(scope: &Scope) -> ScopeDescription {
    let (label, reason, implies): (_, _, &[&'static str]) = match scope.as_str() {
        "email" => ("Account: Email", "Reads the e-mail addresses of the user who logs in.", &[]),
        "account" => ("Account: Read", "Reads who logs in: ID, names, workspaces.", &["email"]),
        "account:write" => ("Account: Write", "Changes the account.", &["account", "email"]),
        "team" => ("Workspace membership: Read", "Reads who is a member of a workspace.", &[]),
        "team:write" => ("Workspace membership: Write", "Changes who is a member of a workspace.", &["team"]),
        "project" => ("Projects: Read", "Reads projects and their repositories.", &["repository"]),
        "project:write" => ("Projects: Write", "Changes projects.", &["project", "repository"]),
        "project:admin" => ("Projects: Admin", "Administers projects.", &[]),
        "repository" => ("Repositories: Read", "Reads repositories.", &[]),
        "repository:write" => ("Repositories: Write", "Pushes to repositories.", &["repository"]),
        "repository:admin" => ("Repositories: Admin", "Administers repositories.", &[]),
        "repository:delete" => ("Repositories: Delete", "Deletes repositories.", &[]),
        "pullrequest" => ("Pull requests: Read", "Reads pull requests and their comments.", &["repository"]),
        "pullrequest:write" => (
            "Pull requests: Write",
            "Creates, approves, merges and comments on pull requests.",
            &["pullrequest", "repository:write", "repository"],
        ),
        "webhook" => ("Webhooks: Read and write", "Creates webhooks, so that this app learns of changes at once.", &[]),
        "snippet" => ("Snippets: Read", "Reads snippets.", &[]),
        "snippet:write" => ("Snippets: Write", "Changes snippets.", &["snippet"]),
        "issue" => ("Issues: Read", "Reads issues.", &[]),
        "issue:write" => ("Issues: Write", "Changes issues.", &["issue"]),
        "wiki" => ("Wikis: Read and write", "Reads and changes wikis.", &[]),
        "pipeline" => ("Pipelines: Read", "Reads pipelines.", &[]),
        "pipeline:write" => ("Pipelines: Write", "Runs pipelines.", &[]),
        "pipeline:variable" => ("Pipelines: Edit variables", "Changes the variables of pipelines.", &[]),
        "runner" => ("Runners: Read", "Reads runners.", &[]),
        "runner:write" => ("Runners: Write", "Changes runners.", &[]),
        other => return ScopeDescription::new(scope.clone(), other.to_owned(), "Requested by this app."),
    };
    let mut description = ScopeDescription::new(scope.clone(), label, reason);
    description.implies = known(implies);
    description
}

fn known(names: &[&'static str]) -> Scopes {
    names.iter().copied().map(Scope::known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::setup::SetupScope;

    fn boxes(access: &Access) -> Vec<String> {
        let row = |scope: SetupScope| {
            let by = scope.implied_by.map(|by| format!(" by {by}")).unwrap_or_default();
            let extra = if scope.requested { "" } else { " (extra)" };
            format!("{}{by}{extra}", scope.description.label)
        };
        SetupScope::list(&required(access), describe).into_iter().map(row).collect()
    }

    #[test]
    fn every_level_has_its_check_boxes() {
        assert_eq!(boxes(&Access::SignIn), ["Account: Read", "Account: Email by account"]);
        assert_eq!(
            boxes(&Access::Read),
            [
                "Account: Read",
                "Account: Email by account",
                "Workspace membership: Read",
                "Repositories: Read by pullrequest",
                "Pull requests: Read",
            ]
        );
        assert_eq!(
            boxes(&Access::Write),
            [
                "Account: Read",
                "Account: Email by account",
                "Workspace membership: Read",
                "Repositories: Read by pullrequest:write",
                "Webhooks: Read and write",
                "Pull requests: Write",
                "Pull requests: Read by pullrequest:write (extra)",
                "Repositories: Write by pullrequest:write (extra)",
            ]
        );
    }

    #[test]
    fn what_is_implied_is_complete() {
        for name in ["account:write", "project:write", "pullrequest", "pullrequest:write", "repository:write"] {
            let implies = describe(&Scope::known(name)).implies;
            for scope in &implies {
                let further = describe(scope).implies;
                assert!(further.iter().all(|further| implies.contains(further)), "{name} implies {scope}");
            }
        }
    }

    #[test]
    fn an_admin_scope_and_an_unknown_one_imply_nothing() {
        for name in ["repository:admin", "project:admin", "repository:delete", "something:new"] {
            assert!(describe(&Scope::known(name)).implies.is_empty());
        }
        assert_eq!(describe(&Scope::known("something:new")).label, "something:new");
    }
}
