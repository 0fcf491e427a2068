use crate::scope::{Access, Scope, ScopeDescription, Scopes};

/// The scopes of an access level.
pub(crate) fn required(access: &Access) -> Scopes {
    let names: &[&'static str] = match access {
        Access::SignIn => &["read_user"],
        Access::Read => &["read_api", "read_user"],
        Access::Integration => &["api", "read_user"],
        Access::Custom(scopes) => return scopes.clone(),
    };
    names.iter().copied().map(Scope::known).collect()
}

/// The check box of a scope. GitLab labels it with the scope's own name.
///
/// Nothing is implied: `api` may call what `read_user` may, but it ticks no other box, and an application without
/// the box refuses a login that asks for the scope.
///
/// Source: <https://docs.gitlab.com/integration/oauth_provider/>.
pub(crate) fn describe(scope: &Scope) -> ScopeDescription {
    let reason = match scope.as_str() {
        "read_user" => "Tells who logs in: id, user name, name, e-mail address.",
        "read_api" => "Reads groups, projects, repositories and merge requests.",
        "api" => "Reads and writes groups, projects and merge requests, and creates webhooks.",
        "openid" => "Logs in with OpenID Connect.",
        "profile" => "Adds the profile to what OpenID Connect tells.",
        "email" => "Adds the main e-mail address to what OpenID Connect tells.",
        "read_repository" => "Fetches repositories over Git.",
        "write_repository" => "Fetches and pushes repositories over Git.",
        "read_registry" => "Pulls container images.",
        "write_registry" => "Pushes container images.",
        _ => "Asked for by this host.",
    };
    ScopeDescription::new(scope.clone(), scope.as_str().to_owned(), reason)
}

/// What a token may do by a wider scope. The form still has a check box for each, and an authorization that asks for one
/// needs it ticked, so this is no implication of the form.
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
        assert_eq!(required(&Access::Integration).to_string(), "api read_user");
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
