use serde_json::value::RawValue;

use super::{Forgejo, refusal};
use crate::error::{ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::token::AccessToken;

/// Looks for the group in the user's own teams: an organization (`acme`, or its id) or a team (`acme/tools`). Every member of
/// an organization is in one of its teams. Nested teams do not exist.
///
/// Source: the servers' API documentation, "List all the teams a user belongs to".
pub(super) async fn membership(
    forgejo: &Forgejo,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let least = least_rank(group)?;
    let target = target(group)?;
    let mut highest = None;
    let mut seen: u64 = 0;
    for page in 1..=MAX_PAGES {
        let response = teams(forgejo, http, token, page).await?;
        let teams: Vec<&RawValue> = serde_json::from_str(response.text()).map_err(|_| response.malformed("body"))?;
        for team in &teams {
            let team = Members::parse(team.get()).ok_or_else(|| response.malformed("team"))?;
            if target.is(&team) {
                highest = highest.max(team.text("permission").and_then(|permission| rank(&permission)));
            }
        }
        seen = seen.saturating_add(u64::try_from(teams.len()).unwrap_or(u64::MAX));
        let total: Option<u64> = response.header("x-total-count").and_then(|count| count.parse().ok());
        if highest >= Some(least) || teams.is_empty() || total.is_some_and(|total| seen >= total) {
            break;
        }
    }
    Ok(match highest {
        Some(rank) if rank >= least => {
            Membership::Member { role: ROLES.get(rank).copied().unwrap_or_default().to_owned() }
        }
        _ => Membership::NotMember,
    })
}

async fn teams(
    forgejo: &Forgejo,
    http: &dyn Transport,
    token: &AccessToken,
    page: usize,
) -> Result<ApiResponse, Error> {
    let query = [("page", &*page.to_string()), ("limit", "50")];
    let uri = forgejo.api_url.endpoint_with_query(&["api", "v1", "user", "teams"], &query);
    let response = ApiRequest::get(&uri).bearer(token, &forgejo.base_url)?.send(http).await?;
    if response.status().is_success() { Ok(response) } else { Err(refusal::api(&forgejo.base_url, &response)) }
}

/// Checks the form of group and role. The scope of every access level is enough.
pub(super) fn ensure(group: &Group) -> Result<(), ConfigError> {
    if group.includes_subgroups() {
        return Err(ConfigError::NoSubgroups);
    }
    least_rank(group)?;
    target(group).map(drop)
}

enum Target<'a> {
    OrganizationId(u64),
    Organization(&'a str),
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
        (Some(organization), None, _) => Ok(Target::Organization(organization)),
        (Some(organization), Some(team), None) => Ok(Target::Team(organization, team)),
        _ => Err(INVALID_GROUP),
    }
}

impl Target<'_> {
    /// Names are compared without case, as the servers do.
    fn is(&self, team: &Members<'_>) -> bool {
        let organization = team.members("organization");
        let is = |name: Option<String>, wanted: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        match self {
            Self::OrganizationId(id) => organization.read::<u64>("id") == Some(*id),
            Self::Organization(name) => is(organization.text("name"), name),
            Self::Team(name, wanted) => is(organization.text("name"), name) && is(team.text("name"), wanted),
        }
    }
}

/// The permissions of teams, lowest first. With `none`, the team has rights in single areas only.
const ROLES: [&str; 5] = ["none", "read", "write", "admin", "owner"];
/// 1,000 teams. A server may have shorter pages than the 50 that are asked for.
const MAX_PAGES: usize = 20;

fn rank(role: &str) -> Option<usize> {
    ROLES.iter().position(|known| *known == role)
}

fn least_rank(group: &Group) -> Result<usize, ConfigError> {
    group.least_role().map_or(Some(0), rank).ok_or_else(|| ConfigError::Role { known: ROLES.join(", ") })
}

const INVALID_GROUP: ConfigError =
    ConfigError::Group { hint: "Enter the name of an organization, or ORGANIZATION/TEAM." };
