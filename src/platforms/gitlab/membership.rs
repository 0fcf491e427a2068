use futures_util::future;
use serde_json::value::RawValue;

use super::{GitLab, refusal, user};
use crate::error::{AccountError, ApiError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::scope::{Scope, Scopes};
use crate::values::token::AccessToken;
use crate::values::user::User;

/// Looks up the user's own membership in the group, including inherited ones and those of invited groups. A group that the user,
/// or an administrator, can only see is not a membership.
///
/// Source: docs.gitlab.com, "Group and project members API".
pub(super) async fn membership(
    gitlab: &GitLab,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
    user: Option<&User>,
) -> Result<Membership, Error> {
    let (least_role, least_level) = least_role(group)?;
    let id = path_segment(group)?;
    // The user was read from a response of this GitLab, so the subject is a number.
    let user = user.ok_or(ConfigError::UserNeeded)?.key.subject().parse().map_err(|_| ConfigError::AccountKey)?;
    let request = MembershipRequest { gitlab, http, token, group: id, least_level };
    let membership = if group.includes_subgroups() {
        match future::join(request.of_group(user), request.of_subgroups()).await {
            (Ok(Membership::NotMember), Ok(true)) => Ok(Membership::Member { role: least_role.to_owned() }),
            (Ok(Membership::NotMember), Err(error)) => Err(error),
            (membership, _) => membership,
        }
    } else {
        request.of_group(user).await
    };
    membership.map_err(|error| match error {
        Error::Api { cause: ApiError::ScopeMissing { .. }, .. } => {
            AccountError::MembershipScope { scope: READ_API.to_owned() }.into()
        }
        error => error,
    })
}

/// A group of which the user with this token must be a member.
struct MembershipRequest<'a> {
    gitlab: &'a GitLab,
    http: &'a dyn Transport,
    token: &'a AccessToken,
    /// The path segment.
    group: &'a str,
    /// The least access level.
    least_level: u64,
}

impl MembershipRequest<'_> {
    /// The membership of the user with this id.
    async fn of_group(&self, id: u64) -> Result<Membership, Error> {
        let Self { gitlab: GitLab { base_url, api_url, .. }, http, token, group, least_level } = *self;
        let uri = api_url.endpoint(&["api", "v4", "groups", group, "members", "all", &id.to_string()]);
        let response = ApiRequest::get(&uri).bearer(token, base_url)?.send(http).await?;
        if !response.status().is_success() {
            let is_no_member = says_not_found(&response);
            return if is_no_member { Ok(Membership::NotMember) } else { Err(refusal::api(base_url, &response)) };
        }
        let malformed = |member| response.malformed(member);
        let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
        // The response must be about this user.
        if user::id(&members, "id").map_err(malformed)? != id {
            return Err(malformed("id"));
        }
        let level: u64 = members.required("access_level").map_err(malformed)?;
        let is_active = members.text("membership_state").is_none_or(|state| state == "active");
        let role = ROLES.iter().rev().find(|(_, known)| *known <= level);
        Ok(match role {
            Some((role, _)) if level >= least_level && is_active => Membership::Member { role: (*role).to_owned() },
            _ => Membership::NotMember,
        })
    }

    /// Whether the user is a member of a subgroup, at any depth. With a least level, GitLab lists the user's own groups, for
    /// administrators too.
    ///
    /// Source: docs.gitlab.com, "Groups API", list descendant groups.
    async fn of_subgroups(&self) -> Result<bool, Error> {
        let Self { gitlab, http, token, group, least_level } = *self;
        let query = [("min_access_level", &*least_level.to_string()), ("per_page", "1")];
        let uri = gitlab.api_url.endpoint_with_query(&["api", "v4", "groups", group, "descendant_groups"], &query);
        let response = ApiRequest::get(&uri).bearer(token, &gitlab.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return if says_not_found(&response) { Ok(false) } else { Err(refusal::api(&gitlab.base_url, &response)) };
        }
        let groups: Vec<&RawValue> = serde_json::from_str(response.text()).map_err(|_| response.malformed("body"))?;
        let is_group =
            |group: &&RawValue| Members::parse(group.get()).is_some_and(|group| user::id(&group, "id").is_ok());
        if groups.iter().all(is_group) { Ok(!groups.is_empty()) } else { Err(response.malformed("id")) }
    }
}

/// `message` means that the user cannot see the group or is not in it. For an unknown endpoint GitLab sends `error`.
fn says_not_found(response: &ApiResponse) -> bool {
    response.status() == http::StatusCode::NOT_FOUND
        && Members::parse(response.text()).is_some_and(|members| members.is_set("message"))
}

/// Checks the form of group and role, and that tokens with these scopes may look up members.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    least_role(group)?;
    path_segment(group)?;
    let enough = ["api", READ_API].into_iter().any(|name| scopes.contains(&Scope::known(name)));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: READ_API.to_owned() }) }
}

const READ_API: &str = "read_api";

/// Roles and their access levels, lowest first, as in GitLab's documentation of members. "Minimal access" is below them and
/// is not enough.
const ROLES: [(&str, u64); 6] =
    [("guest", 10), ("planner", 15), ("reporter", 20), ("developer", 30), ("maintainer", 40), ("owner", 50)];

/// The required role, and its access level.
fn least_role(group: &Group) -> Result<(&'static str, u64), ConfigError> {
    let least = group.least_role().unwrap_or("guest");
    let is_least = |(role, level): &(&str, u64)| least.eq_ignore_ascii_case(role) || least.parse() == Ok(*level);
    ROLES.into_iter().find(is_least).ok_or_else(|| ConfigError::Role { known: ROLES.map(|(role, _)| role).join(", ") })
}

/// The path segment: an id or a full path. A path of digits is refused: GitLab would take it for the id of another group.
fn path_segment(group: &Group) -> Result<&str, ConfigError> {
    let is_number = group.as_str().parse::<u64>().is_ok();
    if group.is_id() == is_number && !group.as_str().starts_with('~') { Ok(group.as_str()) } else { Err(INVALID_GROUP) }
}

const INVALID_GROUP: ConfigError =
    ConfigError::Group { hint: "Enter the full path of the group, such as acme/backend." };
