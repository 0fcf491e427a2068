use crate::values::access::Access;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The scopes of an access level.
pub(crate) fn required(access: &Access) -> Scopes {
    let names: &[&'static str] = match access {
        Access::SignIn => &["read_user"],
        Access::Read => &["read_api", "read_user"],
        Access::Write => &["api", "read_user"],
        Access::Custom(scopes) => return scopes.clone(),
    };
    names.iter().copied().map(Scope::known).collect()
}

/// The check box of a scope. GitLab labels it with the scope's own name.
///
/// No scope implies another: `api` allows what `read_user` allows, but does not tick its check box, and GitLab refuses a
/// login that asks for a scope without a tick.
///
/// Source: <https://docs.gitlab.com/integration/oauth_provider/>.
pub(crate) fn describe(scope: &Scope) -> ScopeDescription {
    let reason = match scope.as_str() {
        "read_user" => "Reads who logs in: ID, user name, name, e-mail address.",
        "read_api" => "Reads groups, projects, repositories and merge requests.",
        "api" => "Reads and writes groups, projects and merge requests, and creates webhooks.",
        "openid" => "Logs in with OpenID Connect.",
        "profile" => "Adds the profile to the data of OpenID Connect.",
        "email" => "Adds the primary e-mail address to the data of OpenID Connect.",
        "read_repository" => "Fetches repositories over Git.",
        "write_repository" => "Fetches and pushes repositories over Git.",
        "read_registry" => "Pulls container images.",
        "write_registry" => "Pushes container images.",
        _ => "Requested by this app.",
    };
    ScopeDescription::new(scope.clone(), scope.as_str().to_owned(), reason)
}

/// The narrower scopes that a scope includes. Each still has its own check box, which must be ticked if a login asks for the
/// scope, so [`describe`] does not list them.
pub(super) fn covered(scope: &Scope) -> Scopes {
    let narrower: &[&'static str] = match scope.as_str() {
        "api" => &["read_api", "read_user"],
        "read_api" => &["read_user"],
        _ => &[],
    };
    narrower.iter().copied().map(Scope::known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_scope_covers_narrower_ones() {
        for (scope, narrower) in
            [("api", "read_api read_user"), ("read_api", "read_user"), ("read_user", ""), ("sudo", "")]
        {
            assert_eq!(covered(&scope.parse().unwrap()).to_string(), narrower);
        }
    }

    #[test]
    fn every_level_has_its_scopes() {
        assert_eq!(required(&Access::SignIn).to_string(), "read_user");
        assert_eq!(required(&Access::Read).to_string(), "read_api read_user");
        assert_eq!(required(&Access::Write).to_string(), "api read_user");
        let custom = Scopes::from_iter([Scope::known("openid")]);
        assert_eq!(required(&Access::Custom(custom)).to_string(), "openid");
    }

    #[test]
    fn the_label_is_the_scope_and_nothing_is_implied() {
        for name in ["api", "read_api", "read_user", "something_new"] {
            let description = describe(&Scope::known(name));
            assert_eq!(description.label, name);
            assert!(description.implies.is_empty());
        }
    }
}
