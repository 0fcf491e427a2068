use super::state::State;

/// What an access token may do, which is not always what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenRights {
    /// Everything that the user may do, because the grant names no API scope, or one that the server does not know.
    Full,
    /// These API scopes.
    Scopes(Vec<String>),
}

impl TokenRights {
    /// The rights that a grant's scopes give.
    pub(super) fn of(scopes: &str, state: &State) -> Self {
        if !state.version.at_least([9, 0, 0], [1, 23, 0]) {
            return Self::Full;
        }
        if scopes.trim().is_empty() && state.empty_scope_denies {
            return Self::Scopes(Vec::new());
        }
        let mut api: Vec<&str> = scopes.split(' ').filter(|scope| !scope.is_empty() && !OIDC.contains(scope)).collect();
        if state.version.gitea {
            // A comma separates as well, and one unknown name is enough.
            api = api.into_iter().flat_map(|scope| scope.split(',')).filter(|scope| !scope.is_empty()).collect();
            if !api.iter().all(|scope| is_known(scope)) {
                return Self::Full;
            }
        } else {
            api.retain(|scope| is_known(scope));
        }
        match api.is_empty() {
            true => Self::Full,
            false => Self::Scopes(api.into_iter().map(str::to_owned).collect()),
        }
    }

    /// Whether these rights contain `read:` of all the categories.
    pub(super) fn may_read(&self, categories: &[&str]) -> bool {
        let Self::Scopes(scopes) = self else { return true };
        let has = |category: &&str| {
            let holds = |scope: &String| {
                scope == "all" || scope.strip_prefix("read:").or(scope.strip_prefix("write:")) == Some(*category)
            };
            scopes.iter().any(holds)
        };
        categories.iter().all(has)
    }

    pub(super) fn public_only(&self) -> bool {
        matches!(self, Self::Scopes(scopes) if scopes.iter().any(|scope| scope == "public-only"))
    }

    /// As an error message of Gitea shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Full => "all".to_owned(),
            Self::Scopes(scopes) => scopes.join(","),
        }
    }
}

fn is_known(scope: &str) -> bool {
    let category = scope.strip_prefix("read:").or_else(|| scope.strip_prefix("write:"));
    matches!(scope, "all" | "public-only") || category.is_some_and(|category| CATEGORIES.contains(&category))
}

const OIDC: [&str; 4] = ["openid", "profile", "email", "groups"];
const CATEGORIES: [&str; 9] =
    ["activitypub", "admin", "misc", "notification", "organization", "package", "issue", "repository", "user"];
