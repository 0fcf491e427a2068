use serde_json::value::RawValue;

use super::identity::Identity;
use super::list::{List, MAX_PAGES, Next};
use super::{BitbucketDataCenter, refusal, scopes};
use crate::error::{AccountError, ApiError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::scope::Scopes;
use crate::values::token::AccessToken;

/// Looks for a repository of the project in which the user has the permission. Bitbucket has no groups that a user can see.
/// Everyone can read what is public, so only private repositories of private projects count for `REPO_READ`.
///
/// Source: developer.atlassian.com, "Bitbucket Data Center REST API", search for repositories.
pub(super) async fn membership(
    bitbucket: &BitbucketDataCenter,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let permission = permission(group)?;
    let project = project(group)?;
    let (mut start, mut pages) = (0, 0_usize);
    loop {
        let response = repositories(bitbucket, http, token, project, permission, start).await?;
        if !response.status().is_success() {
            return refused(&response, permission);
        }
        if Identity::of(&response).is_none() {
            return Err(refusal::anonymous(&response));
        }
        let list = List::parse(&response, start)?;
        let repositories: Option<Vec<_>> = list.entries.iter().map(|entry| Repository::parse(entry, project)).collect();
        let repositories = repositories.ok_or_else(|| response.malformed("project"))?;
        if repositories.iter().any(|repository| repository.is_private || permission != READ) {
            return Ok(Membership::Member { role: permission.to_owned() });
        }
        pages = pages.saturating_add(1);
        match list.next {
            Next::End => return Ok(Membership::NotMember),
            Next::Page(next) if pages < MAX_PAGES => start = next,
            // What was not read may be a private repository.
            Next::Page(_) | Next::Unknown => return Err(response.malformed("isLastPage")),
        }
    }
}

/// One page of the repositories in which the user has the permission.
async fn repositories(
    bitbucket: &BitbucketDataCenter,
    http: &dyn Transport,
    token: &AccessToken,
    project: &str,
    permission: &str,
    start: u64,
) -> Result<ApiResponse, Error> {
    let query = [("projectkey", project), ("permission", permission), ("limit", "100"), ("start", &start.to_string())];
    let uri = bitbucket.api_url.endpoint_with_query(&["rest", "api", "latest", "repos"], &query);
    ApiRequest::get(&uri).bearer(token, &bitbucket.base_url)?.send(http).await
}

/// The meaning of a refusal. A project that does not exist, or that the user may not see, has no members that a user can see.
fn refused(response: &ApiResponse, permission: &str) -> Result<Membership, Error> {
    let is_user = Identity::of(response).is_some();
    match refusal::api(response) {
        Error::Api { cause: ApiError::Forbidden, .. } if is_user => {
            Err(AccountError::MembershipScope { scope: permission.to_owned() }.into())
        }
        Error::Api { cause: ApiError::NotFound, .. } if is_user && refusal::is_no_such_project(response) => {
            Ok(Membership::NotMember)
        }
        error => Err(error),
    }
}

struct Repository {
    is_private: bool,
}

impl Repository {
    /// `None` unless it is one of this project.
    fn parse(entry: &RawValue, project: &str) -> Option<Self> {
        let members = Members::parse(entry.get())?;
        let owner = members.members("project");
        owner.text("key").filter(|key| key.eq_ignore_ascii_case(project))?;
        let is_private = |members: &Members<'_>| members.read("public") == Some(false);
        Some(Self { is_private: is_private(&members) && is_private(&owner) })
    }
}

/// Checks the form of project and permission, and that tokens with these scopes may look for it.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    if group.includes_subgroups() {
        return Err(ConfigError::NoSubgroups);
    }
    let permission = permission(group)?;
    project(group)?;
    match scopes::allow(scopes, permission) {
        true => Ok(()),
        false => Err(ConfigError::GroupScope { scope: permission.to_owned() }),
    }
}

/// The key of a project. A personal project (`~name`) has no members.
fn project(group: &Group) -> Result<&str, ConfigError> {
    let is_key = !group.is_id() && !group.as_str().contains(['/', '~']);
    if is_key { Ok(group.as_str()) } else { Err(INVALID_GROUP) }
}

const READ: &str = "REPO_READ";
/// The permissions, lowest first.
const ROLES: [&str; 3] = [READ, "REPO_WRITE", "REPO_ADMIN"];

fn permission(group: &Group) -> Result<&'static str, ConfigError> {
    let least = group.least_role().unwrap_or(READ);
    let known = ROLES.into_iter().find(|known| known.eq_ignore_ascii_case(least));
    known.ok_or_else(|| ConfigError::Role { known: ROLES.join(", ") })
}

const INVALID_GROUP: ConfigError =
    ConfigError::Group { hint: "Enter the key of a project, such as PROJ. A personal project (~NAME) has no members." };
