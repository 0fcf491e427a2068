use super::oauth_provider::OAuthProvider;
use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// The required scopes that were neither granted nor covered by a granted scope. Those that the platform never lists may have been
/// granted anyway.
pub(crate) fn missing_scopes(
    provider: &dyn OAuthProvider,
    required: &Scopes,
    granted: &Scopes,
) -> Vec<ScopeDescription> {
    let mut missing = scopes_not_covered(provider, required, granted);
    missing.retain(|description| !description.never_listed);
    missing
}

/// The required scopes that are neither in `given` nor covered by one of those.
pub(crate) fn scopes_not_covered(
    provider: &dyn OAuthProvider,
    required: &Scopes,
    given: &Scopes,
) -> Vec<ScopeDescription> {
    if required.iter().all(|scope| given.contains(scope)) {
        return Vec::new();
    }
    let mut covered: Vec<Scope> = given.iter().cloned().collect();
    let mut next = 0;
    while let Some(scope) = covered.get(next) {
        let more = provider.covered_scopes(scope);
        let new: Vec<Scope> = more.iter().filter(|scope| !covered.contains(scope)).cloned().collect();
        covered.extend(new);
        next = next.saturating_add(1);
    }
    let missing = required.iter().filter(|scope| !covered.contains(scope));
    missing.map(|scope| provider.describe_scope(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platforms::bitbucket_cloud::BitbucketCloud;

    #[test]
    fn what_any_granted_scope_implies_is_not_missing() {
        for (required, granted, missing) in [
            ("account email", "account", ""),
            ("account email", "webhook account", ""),
            ("pullrequest repository email", "webhook pullrequest:write account", ""),
            ("account email team", "email", "account team"),
            ("repository:write", "repository pullrequest", "repository:write"),
            ("account", "", "account"),
        ] {
            let [required, granted] = [required, granted].map(|text| text.parse::<Scopes>().unwrap());
            let found = missing_scopes(&BitbucketCloud::new(), &required, &granted);
            let found: Scopes = found.into_iter().map(|description| description.scope).collect();
            assert_eq!(found.to_string(), missing, "{required} / {granted}");
        }
    }
}
