use serde::Deserialize;

use super::{refusal, scopes};
use crate::base_url::BaseUrl;
use crate::error::{ApiError, ConfigError, Error};
use crate::membership::{Group, Membership};
use crate::scope::{Scope, Scopes};
use crate::token::AccessToken;
use crate::transport::{Reply, Transport};

/// Asks for the person's own permission in a workspace: one request, which works for those who are no administrators.
///
/// Source: developer.atlassian.com, "Bitbucket Cloud REST API" (workspaces), CHANGE-3022.
pub(super) async fn membership(
    http: &dyn Transport,
    base_url: &BaseUrl,
    api_url: &BaseUrl,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let least = least(group)?;
    let workspace = identifier(group)?;
    let url = api_url.endpoint(&["2.0", "user", "workspaces", &workspace, "permission"]);
    let reply = match Reply::get(http, &url, token, base_url).await {
        Ok(reply) => reply,
        Err(error) => return Membership::from_failure(error),
    };
    if reply.status() != http::StatusCode::OK {
        return match refusal::api(base_url, &reply) {
            Error::Api { cause: ApiError::ScopeMissing { .. }, .. } => {
                Ok(Membership::ScopeMissing { scope: Scope::known(ACCOUNT) })
            }
            // 403 is "no access to the workspace", 404 "no such workspace".
            Error::Api { cause: ApiError::Forbidden | ApiError::NotFound, .. } => Ok(Membership::NotMember),
            error => Membership::from_failure(error),
        };
    }
    let answer: PermissionAnswer = match reply.json() {
        Ok(answer) => answer,
        Err(error) => return Membership::from_failure(error),
    };
    let Some(role) = answer.permission else {
        return Membership::from_failure(reply.malformed("permission"));
    };
    if !answer.workspace.is_none_or(|named| named.is(group, &workspace)) {
        return Membership::from_failure(reply.malformed("workspace"));
    }
    match rank(&role) {
        Some(rank) if rank >= least => Ok(Membership::Member { role }),
        _ => Ok(Membership::NotMember),
    }
}

/// Whether there can be such a workspace and role, and whether tokens with these scopes may ask.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    least(group)?;
    identifier(group)?;
    let account = Scope::known(ACCOUNT);
    let enough = scopes.iter().any(|scope| *scope == account || scopes::describe(scope).implies.contains(&account));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: ACCOUNT.to_owned() }) }
}

const ACCOUNT: &str = "account";

/// The permissions of members, lowest first. A `collaborator` reaches some repositories and is no member; what is not
/// known opens nothing.
const ROLES: [&str; 3] = ["member", "create-project", "owner"];

fn least(group: &Group) -> Result<usize, ConfigError> {
    group.least_role().map_or(Some(0), rank).ok_or(ConfigError::Role)
}

fn rank(role: &str) -> Option<usize> {
    ROLES.iter().position(|known| *known == role)
}

/// What stands in the path: an ID, or the UUID with its braces. Both are in lower case.
fn identifier(group: &Group) -> Result<String, ConfigError> {
    let text = group.as_str().to_ascii_lowercase();
    if group.is_id() {
        let uuid = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(&text);
        let groups = uuid.split('-').map(str::len);
        return if groups.eq([8, 4, 4, 4, 12]) { Ok(format!("{{{uuid}}}")) } else { Err(ConfigError::Group) };
    }
    if text.contains(['/', '.']) { Err(ConfigError::Group) } else { Ok(text) }
}

#[derive(Deserialize)]
struct PermissionAnswer {
    permission: Option<String>,
    workspace: Option<Workspace>,
}

#[derive(Deserialize)]
struct Workspace {
    slug: Option<String>,
    uuid: Option<String>,
}

impl Workspace {
    /// Whether it is the one that was asked for, as far as the answer says so.
    fn is(&self, group: &Group, identifier: &str) -> bool {
        let named = if group.is_id() { &self.uuid } else { &self.slug };
        named.as_ref().is_none_or(|named| named.eq_ignore_ascii_case(identifier))
    }
}
