use serde::Deserialize;

use super::refusal;
use crate::base_url::BaseUrl;
use crate::error::{ApiError, ConfigError, Error};
use crate::membership::{Group, Membership};
use crate::scope::{Scope, Scopes};
use crate::token::AccessToken;
use crate::transport::{Reply, Transport};

/// Looks for the group among the person's own, page by page.
///
/// With `min_access_level`, the list holds the groups that the person is in with at least that role, directly or by a
/// group above, and nothing that is merely visible to them, not even for administrators. It leaves out groups that they
/// are in only since another group was invited. `GET /groups/:path/members/all/:user_id` would be a single request, but
/// it needs the person's id, and so a leg of its own after the user look-up, and it says "no" also to a member who may
/// not see the group's members.
pub(super) async fn membership(
    http: &dyn Transport,
    base_url: &BaseUrl,
    api_url: &BaseUrl,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let (role, level) = least(group)?;
    let wanted = Wanted::of(group)?;
    for page in 1..=MAX_PAGES {
        let mut url = api_url.endpoint(&["api", "v4", "groups"]);
        // Pages are counted here: a `Link` is a URL that a peer wrote, and the token would go there.
        url.query_pairs_mut()
            .append_pair("min_access_level", level)
            .append_pair("per_page", "100")
            .append_pair("page", &page.to_string());
        let reply = match Reply::get(http, &url, token, base_url).await {
            Ok(reply) => reply,
            Err(error) => return Membership::from_failure(error),
        };
        if reply.status() != http::StatusCode::OK {
            return match refusal::api(base_url, &reply) {
                Error::Api { cause: ApiError::ScopeMissing { .. }, .. } => {
                    Ok(Membership::ScopeMissing { scope: Scope::known(READ_API) })
                }
                error => Membership::from_failure(error),
            };
        }
        let groups: Vec<GroupAnswer> = match reply.json() {
            Ok(groups) => groups,
            Err(error) => return Membership::from_failure(error),
        };
        if groups.iter().any(|group| wanted.is(group)) {
            return Ok(Membership::Member { role: role.to_owned() });
        }
        // Without the header, which a proxy may have cut, only a page with room on it is surely the last.
        let more = reply.header("x-next-page").map_or(groups.len() >= PER_PAGE, |next| !next.trim().is_empty());
        if !more {
            return Ok(Membership::NotMember);
        }
    }
    Ok(Membership::Unavailable { cause: None })
}

/// Whether there can be such a group and role, and whether tokens with these scopes may list the person's groups.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    least(group)?;
    Wanted::of(group)?;
    let enough = ["api", READ_API].into_iter().any(|name| scopes.contains(&Scope::known(name)));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: READ_API.to_owned() }) }
}

const READ_API: &str = "read_api";
const PER_PAGE: usize = 100;
const MAX_PAGES: u8 = 10;

/// Roles and their access levels, as GitLab's documentation of members has them.
const ROLES: [(&str, &str); 6] = [
    ("guest", "10"),
    ("planner", "15"),
    ("reporter", "20"),
    ("developer", "30"),
    ("maintainer", "40"),
    ("owner", "50"),
];

/// The least role that counts, and its number.
fn least(group: &Group) -> Result<(&'static str, &'static str), ConfigError> {
    let least = group.least_role().unwrap_or("guest");
    ROLES.into_iter().find(|(role, level)| least.eq_ignore_ascii_case(role) || least == *level).ok_or(ConfigError::Role)
}

/// What to look for: never a part of a path, and never a name.
enum Wanted<'a> {
    FullPath(&'a str),
    Id(u64),
}

impl<'a> Wanted<'a> {
    fn of(group: &'a Group) -> Result<Self, ConfigError> {
        if group.is_id() {
            return group.as_str().parse().map(Self::Id).map_err(|_| ConfigError::Group);
        }
        Ok(Self::FullPath(group.as_str()))
    }

    fn is(&self, group: &GroupAnswer) -> bool {
        match self {
            Self::FullPath(path) => group.full_path.as_deref() == Some(*path),
            Self::Id(id) => group.id == Some(*id),
        }
    }
}

#[derive(Deserialize)]
struct GroupAnswer {
    id: Option<u64>,
    full_path: Option<String>,
}
