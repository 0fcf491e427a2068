use http::{StatusCode, Uri};
use serde_json::value::RawValue;

use super::identity::Identity;
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
    let mut start = 0;
    for _ in 0..MAX_PAGES {
        let response = repositories(bitbucket, http, token, project, permission, start).await?;
        let page = Page::parse(&response, project)?;
        let counts = |repository: &Repository| repository.is_private || permission != READ;
        if page.repositories.iter().any(counts) {
            return Ok(Membership::Member { role: permission.to_owned() });
        }
        match page.next {
            Some(next) if next > start => start = next,
            _ => break,
        }
    }
    Ok(Membership::NotMember)
}

async fn repositories(
    bitbucket: &BitbucketDataCenter,
    http: &dyn Transport,
    token: &AccessToken,
    project: &str,
    permission: &str,
    start: u64,
) -> Result<ApiResponse, Error> {
    let mut url = bitbucket.api_url.page(&["rest", "api", "latest", "repos"]);
    url.query_pairs_mut()
        .append_pair("projectkey", project)
        .append_pair("permission", permission)
        .append_pair("limit", "100")
        .append_pair("start", &start.to_string());
    let uri = Uri::try_from(url.as_str()).unwrap_or_default();
    let response = ApiRequest::get(&uri).bearer(token, &bitbucket.base_url)?.send(http).await?;
    match response.status() {
        status if status.is_success() && Identity::of(&response).is_some() => Ok(response),
        status if status.is_success() => Err(refusal::anonymous(&response)),
        // There is no such project.
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(match refusal::api(&bitbucket.base_url, &response) {
                Error::Api { cause: ApiError::Forbidden, .. } => {
                    AccountError::MembershipScope { scope: permission.to_owned() }.into()
                }
                error => error,
            })
        }
        _ => Err(refusal::api(&bitbucket.base_url, &response)),
    }
}

struct Page {
    repositories: Vec<Repository>,
    next: Option<u64>,
}

struct Repository {
    is_private: bool,
}

impl Page {
    fn parse(response: &ApiResponse, project: &str) -> Result<Self, Error> {
        let malformed = |member| response.malformed(member);
        let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
        let entries: Vec<&RawValue> =
            members.strict("values").map_err(malformed)?.ok_or_else(|| malformed("values"))?;
        let repository = |entry: &RawValue| {
            let members = Members::parse(entry.get())?;
            let owner = members.members("project");
            // The response must be about this project.
            owner.text("key").filter(|key| key.eq_ignore_ascii_case(project))?;
            let is_private = |members: &Members<'_>| members.read("public") == Some(false);
            Some(Repository { is_private: is_private(&members) && is_private(&owner) })
        };
        let repositories: Option<Vec<_>> = entries.into_iter().map(repository).collect();
        let is_last = members.read("isLastPage").unwrap_or(true);
        Ok(Self {
            repositories: repositories.ok_or_else(|| malformed("project"))?,
            next: members.read("nextPageStart").filter(|_| !is_last),
        })
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
    let is_key = !group.is_id() && !group.as_str().contains('/');
    if is_key { Ok(group.as_str()) } else { Err(ConfigError::Group) }
}

const READ: &str = "REPO_READ";
/// The permissions, lowest first.
const ROLES: [&str; 3] = [READ, "REPO_WRITE", "REPO_ADMIN"];
/// 1,000 repositories.
const MAX_PAGES: usize = 10;

fn permission(group: &Group) -> Result<&'static str, ConfigError> {
    let least = group.least_role().unwrap_or(READ);
    let known = ROLES.into_iter().find(|known| known.eq_ignore_ascii_case(least));
    known.ok_or_else(|| ConfigError::Role { known: ROLES.join(", ") })
}
