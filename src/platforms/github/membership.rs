use http::{StatusCode, Uri};

use super::{GitHub, refusal, scopes};
use crate::error::{AccountError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::scope::Scopes;
use crate::values::token::AccessToken;
use crate::values::user::User;

/// Looks up the user's own membership in an organization (`acme`, or its id) or in a team (`acme/tools`), which needs the user
/// name. An invitation that the user has not accepted is not a membership.
///
/// Source: docs.github.com, "REST API endpoints for organization members" and "team members".
pub(super) async fn membership(
    github: &GitHub,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
    user: Option<&User>,
) -> Result<Membership, Error> {
    let (call, organization) = match target(group)? {
        Target::OrganizationId(id) => return membership_by_id(github, http, token, group, id).await,
        Target::Organization(name) => (vec!["user", "memberships", "orgs", name], Some(name)),
        Target::Team(organization, team) => {
            let username = user.and_then(|user| user.username.as_deref()).ok_or(ConfigError::UserNeeded)?;
            (vec!["orgs", organization, "teams", team, "memberships", username], None)
        }
    };
    let Some(response) = send(github, http, token, &github.api_url.endpoint(&call)).await? else {
        return Ok(Membership::NotMember);
    };
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    // The response must be about this organization. That about a team does not name it.
    if let Some(name) = organization {
        let found = members.members("organization").text("login");
        if !found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return Err(malformed("organization"));
        }
    }
    read(group, &members, &response)
}

/// Only the name of an organization can be asked for, so this looks for the id in the list of the user's organizations.
async fn membership_by_id(
    github: &GitHub,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
    id: u64,
) -> Result<Membership, Error> {
    for page in 1..=MAX_PAGES {
        let query = [("state", "active"), ("per_page", &PAGE.to_string()), ("page", &page.to_string())];
        let uri = github.api_url.endpoint_with_query(&["user", "memberships", "orgs"], &query);
        let Some(response) = send(github, http, token, &uri).await? else { break };
        let memberships: Vec<Members<'_>> = response.json()?;
        let is_wanted = |entry: &&Members<'_>| entry.members("organization").read::<u64>("id") == Some(id);
        if let Some(entry) = memberships.iter().find(is_wanted) {
            return read(group, entry, &response);
        }
        if is_hidden(id, &response) {
            let response = Some(Box::new(response.summary()));
            return Err(Error::Account { cause: AccountError::SignOnRequired, response });
        }
        if memberships.len() < PAGE {
            break;
        }
    }
    Ok(Membership::NotMember)
}

/// `None` if there is no such membership that the token may see.
async fn send(
    github: &GitHub,
    http: &dyn Transport,
    token: &AccessToken,
    uri: &Uri,
) -> Result<Option<ApiResponse>, Error> {
    let response = ApiRequest::get(uri).bearer(token, &github.base_url)?.send(http).await?;
    match response.status() {
        // What a token may not see is left out of a list, or not found.
        status if lacks_scope(&response) && (status.is_success() || status == StatusCode::NOT_FOUND) => {
            Err(AccountError::MembershipScope { scope: scopes::READ_ORG.to_owned() }.into())
        }
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => Ok(Some(response)),
        _ => Err(refusal::api(&response)),
    }
}

fn read(group: &Group, members: &Members<'_>, response: &ApiResponse) -> Result<Membership, Error> {
    let malformed = |member| response.malformed(member);
    let least = least_rank(group)?;
    let state: String = members.required("state").map_err(malformed)?;
    let role: String = members.required("role").map_err(malformed)?;
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
    OrganizationId(u64),
    Team(&'a str, &'a str),
}

fn target(group: &Group) -> Result<Target<'_>, ConfigError> {
    if group.is_id() {
        return group.as_str().parse().map(Target::OrganizationId).map_err(|_| INVALID_GROUP);
    }
    if group.as_str().starts_with('~') {
        return Err(INVALID_GROUP);
    }
    let mut parts = group.as_str().split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(organization), None, None) => Ok(Target::Organization(organization)),
        (Some(organization), Some(team), None) => Ok(Target::Team(organization, team)),
        _ => Err(INVALID_GROUP),
    }
}

/// GitHub hides what a token may not see: without the scope, nothing is found.
fn lacks_scope(response: &ApiResponse) -> bool {
    let lacks = |granted: &str| !scopes::reads_memberships(granted.split(',').map(str::trim));
    response.header("x-oauth-scopes").is_some_and(lacks)
}

/// Whether the list leaves this organization out because the user must sign on to it first.
fn is_hidden(id: u64, response: &ApiResponse) -> bool {
    let hidden = response.header("x-github-sso").and_then(|header| header.split_once("organizations="));
    hidden.is_some_and(|(_, ids)| ids.split(',').any(|hidden| hidden.trim().parse() == Ok(id)))
}

/// The largest page that GitHub sends.
const PAGE: usize = 100;
/// Members of more organizations than that are not found by id.
const MAX_PAGES: usize = 10;
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

const INVALID_GROUP: ConfigError =
    ConfigError::Group { hint: "Enter the name of an organization, or ORGANIZATION/TEAM." };
