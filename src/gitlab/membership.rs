use super::{refusal, user};
use crate::base_url::BaseUrl;
use crate::error::{ApiError, ConfigError, Error};
use crate::membership::{Group, Membership};
use crate::scope::{Scope, Scopes};
use crate::token::AccessToken;
use crate::transport::{Reply, Transport};
use crate::wire::Members;

/// Asks for the user's own membership in the one group, inherited ones and those of invited groups included. It is asked
/// for by the user's id, which the token tells. A group that is merely visible to the user, or to an administrator, is no
/// membership.
///
/// Source: docs.gitlab.com, "Group and project members API".
pub(super) async fn membership(
    http: &dyn Transport,
    base_url: &BaseUrl,
    api_url: &BaseUrl,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let (_, least) = least(group)?;
    let wanted = wanted(group)?;
    match ask(http, base_url, api_url, token, wanted, least).await {
        Ok(membership) => Ok(membership),
        Err(Error::Api { cause: ApiError::ScopeMissing { .. }, .. }) => {
            Ok(Membership::ScopeMissing { scope: Scope::known(READ_API) })
        }
        Err(error) => Membership::from_failure(error),
    }
}

async fn ask(
    http: &dyn Transport,
    base_url: &BaseUrl,
    api_url: &BaseUrl,
    token: &AccessToken,
    group: &str,
    least: u64,
) -> Result<Membership, Error> {
    let reply = Reply::get(http, &api_url.endpoint(&["api", "v4", "user"]), token, base_url).await?;
    if !reply.status().is_success() {
        return Err(refusal::api(base_url, &reply));
    }
    let id = user::parse_id(&reply)?;
    let url = api_url.endpoint(&["api", "v4", "groups", group, "members", "all", &id.to_string()]);
    let reply = Reply::get(http, &url, token, base_url).await?;
    if !reply.status().is_success() {
        // GitLab says so of a group that the user cannot see and of one that they are not in; of an unknown path it says
        // `error`.
        let no_such_member = reply.status() == http::StatusCode::NOT_FOUND
            && Members::parse(reply.text()).is_some_and(|members| members.says("message"));
        return if no_such_member { Ok(Membership::NotMember) } else { Err(refusal::api(base_url, &reply)) };
    }
    let malformed = |member| reply.malformed(member);
    let members = Members::parse(reply.text()).ok_or_else(|| malformed("body"))?;
    // It must be about this user.
    if user::id(&members, "id").map_err(malformed)? != id {
        return Err(malformed("id"));
    }
    let level: u64 = members.strict("access_level").map_err(malformed)?.ok_or_else(|| malformed("access_level"))?;
    let is_active = members.text("membership_state").is_none_or(|state| state == "active");
    let role = ROLES.iter().rev().find(|(_, known)| *known <= level);
    Ok(match role {
        Some((role, _)) if level >= least && is_active => Membership::Member { role: (*role).to_owned() },
        _ => Membership::NotMember,
    })
}

/// Whether there can be such a group and role, and whether tokens with these scopes may ask for members.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    least(group)?;
    wanted(group)?;
    let enough = ["api", READ_API].into_iter().any(|name| scopes.contains(&Scope::known(name)));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: READ_API.to_owned() }) }
}

const READ_API: &str = "read_api";

/// Roles and their access levels, lowest first, as GitLab's documentation of members has them. Below is "minimal access",
/// which opens nothing.
const ROLES: [(&str, u64); 6] =
    [("guest", 10), ("planner", 15), ("reporter", 20), ("developer", 30), ("maintainer", 40), ("owner", 50)];

/// The least role that counts, and its number.
fn least(group: &Group) -> Result<(&'static str, u64), ConfigError> {
    let least = group.least_role().unwrap_or("guest");
    let is_least = |(role, level): &(&str, u64)| least.eq_ignore_ascii_case(role) || least.parse() == Ok(*level);
    ROLES.into_iter().find(is_least).ok_or(ConfigError::Role)
}

/// What stands in the path: an id, or a full path, which GitLab compares without regard to case. GitLab takes a path of
/// digits for an id, which is another group.
fn wanted(group: &Group) -> Result<&str, ConfigError> {
    let is_number = group.as_str().parse::<u64>().is_ok();
    if group.is_id() == is_number { Ok(group.as_str()) } else { Err(ConfigError::Group) }
}
