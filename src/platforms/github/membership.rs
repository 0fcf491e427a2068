use http::StatusCode;

use super::{GitHub, refusal, scopes};
use crate::error::{AccountError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::scope::Scopes;
use crate::values::token::AccessToken;
use crate::values::user::User;

/// Looks up the user's own membership in an organization (`acme`, or its number) or in a team (`acme/tools`), which needs the
/// user name. An invitation that the user has not accepted is not a membership.
///
/// Source: docs.github.com, "REST API endpoints for organization members" and "team members".
pub(super) async fn membership(
    github: &GitHub,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
    user: Option<&User>,
) -> Result<Membership, Error> {
    let least = least_rank(group)?;
    let call: Vec<&str> = match target(group)? {
        Target::Organization(name) => vec!["user", "memberships", "orgs", name],
        Target::Team(organization, team) => {
            let username = user.and_then(|user| user.username.as_deref()).ok_or(ConfigError::AccountKey)?;
            vec!["orgs", organization, "teams", team, "memberships", username]
        }
    };
    let uri = github.api_url.endpoint(&call);
    let response = ApiRequest::get(&uri).bearer(token, &github.base_url)?.send(http).await?;
    if response.status() == StatusCode::NOT_FOUND {
        return not_found(&response);
    }
    if !response.status().is_success() {
        return Err(refusal::api(&github.base_url, &response));
    }
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let state: String = members.strict("state").map_err(malformed)?.ok_or_else(|| malformed("state"))?;
    let role: String = members.strict("role").map_err(malformed)?.ok_or_else(|| malformed("role"))?;
    // The response must be about this organization. That about a team does not name it.
    if let Target::Organization(name) = target(group)? {
        let found = members.members("organization").text("login");
        if !found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return Err(malformed("organization"));
        }
    }
    Ok(match rank(group, &role) {
        Some(rank) if rank >= least && state == "active" => Membership::Member { role },
        _ => Membership::NotMember,
    })
}

/// Checks the form of group and role, and that tokens with these scopes may look up memberships.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    // GitHub counts the members of child teams as members of the parent.
    if group.includes_subgroups() {
        return Err(ConfigError::NoSubgroups);
    }
    least_rank(group)?;
    target(group)?;
    let enough = scopes::reads_memberships(scopes.iter().map(|scope| scope.as_str()));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: scopes::READ_ORG.to_owned() }) }
}

pub(super) fn is_team(group: &Group) -> bool {
    group.as_str().contains('/')
}

enum Target<'a> {
    Organization(&'a str),
    Team(&'a str, &'a str),
}

/// An organization can be asked for by its name only. Its number would need all of the user's organizations.
fn target(group: &Group) -> Result<Target<'_>, ConfigError> {
    let mut parts = group.as_str().split('/');
    match (group.is_id(), parts.next(), parts.next(), parts.next()) {
        (false, Some(organization), None, None) => Ok(Target::Organization(organization)),
        (false, Some(organization), Some(team), None) => Ok(Target::Team(organization, team)),
        _ => Err(ConfigError::Group),
    }
}

/// GitHub hides what a token may not see: without the scope, nothing is found.
fn not_found(response: &ApiResponse) -> Result<Membership, Error> {
    let lacks_scope = |granted: &str| !scopes::reads_memberships(granted.split(',').map(str::trim));
    if response.header("x-oauth-scopes").is_some_and(lacks_scope) {
        return Err(AccountError::MembershipScope { scope: scopes::READ_ORG.to_owned() }.into());
    }
    Ok(Membership::NotMember)
}

/// The roles, lowest first. A `billing_manager` is not a member. An unknown role counts as none.
const ORGANIZATION_ROLES: [&str; 2] = ["member", "admin"];
const TEAM_ROLES: [&str; 2] = ["member", "maintainer"];

fn roles(group: &Group) -> [&'static str; 2] {
    if is_team(group) { TEAM_ROLES } else { ORGANIZATION_ROLES }
}

fn rank(group: &Group, role: &str) -> Option<usize> {
    roles(group).iter().position(|known| known.eq_ignore_ascii_case(role))
}

fn least_rank(group: &Group) -> Result<usize, ConfigError> {
    let known = || ConfigError::Role { known: roles(group).join(", ") };
    group.least_role().map_or(Some(0), |role| rank(group, role)).ok_or_else(known)
}
