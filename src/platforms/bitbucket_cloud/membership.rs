use super::{BitbucketCloud, refusal, scopes};
use crate::error::{AccountError, ApiError, ConfigError, Error};
use crate::provider::membership::{Group, Membership};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::scope::{Scope, Scopes};
use crate::values::token::AccessToken;

/// Looks up the user's own permission in a workspace: one request. The user need not be an administrator.
///
/// Source: developer.atlassian.com, "Bitbucket Cloud REST API" (workspaces), CHANGE-3022.
pub(super) async fn membership(
    bitbucket: &BitbucketCloud,
    http: &dyn Transport,
    token: &AccessToken,
    group: &Group,
) -> Result<Membership, Error> {
    let least = least_rank(group)?;
    let workspace = identifier(group)?;
    let BitbucketCloud { base_url, api_url, .. } = bitbucket;
    let uri = api_url.endpoint(&["2.0", "user", "workspaces", &workspace, "permission"]);
    let response = ApiRequest::get(&uri).bearer(token, base_url)?.send(http).await?;
    if !response.status().is_success() {
        return match refusal::api(base_url, &response) {
            Error::Api { cause: ApiError::ScopeMissing { .. }, .. } => {
                Err(AccountError::MembershipScope { scope: ACCOUNT_SCOPE.to_owned() }.into())
            }
            Error::Api { cause: ApiError::Forbidden, .. } if refusal::means_not_a_member(&response) => {
                Ok(Membership::NotMember)
            }
            // There is no such workspace.
            Error::Api { cause: ApiError::NotFound, .. } => Ok(Membership::NotMember),
            error => Err(error),
        };
    }
    match read(group, &workspace, &response) {
        Ok(role) if rank(&role).is_some_and(|rank| rank >= least) => Ok(Membership::Member { role }),
        Ok(_) => Ok(Membership::NotMember),
        Err(member) => Err(response.malformed(member)),
    }
}

/// The permission, or the name of the invalid member. If the response names a workspace, it must be the requested one.
fn read(group: &Group, identifier: &str, response: &ApiResponse) -> Result<String, &'static str> {
    let members = Members::parse(response.text()).ok_or("body")?;
    let role = members.text("permission").ok_or("permission")?;
    let named = members.members("workspace").text(if group.is_id() { "uuid" } else { "slug" });
    if named.is_none_or(|named| named.eq_ignore_ascii_case(identifier)) { Ok(role) } else { Err("workspace") }
}

/// Checks the form of workspace and role, and that tokens with these scopes may look up the membership.
pub(super) fn ensure(group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
    if group.includes_subgroups() {
        return Err(ConfigError::NoSubgroups);
    }
    least_rank(group)?;
    identifier(group)?;
    let account = Scope::known(ACCOUNT_SCOPE);
    let enough = scopes.iter().any(|scope| *scope == account || scopes::describe(scope).implies.contains(&account));
    if enough { Ok(()) } else { Err(ConfigError::GroupScope { scope: ACCOUNT_SCOPE.to_owned() }) }
}

const ACCOUNT_SCOPE: &str = "account";

/// The permissions of members, lowest first. A `collaborator` reaches some repositories but is not a member. An unknown
/// permission counts as none.
const ROLES: [&str; 3] = ["member", "create-project", "owner"];

fn least_rank(group: &Group) -> Result<usize, ConfigError> {
    group.least_role().map_or(Some(0), rank).ok_or_else(|| ConfigError::Role { known: ROLES.join(", ") })
}

fn rank(role: &str) -> Option<usize> {
    ROLES.iter().position(|known| *known == role)
}

/// The path segment: an ID, or a UUID in braces, in lower case.
fn identifier(group: &Group) -> Result<String, ConfigError> {
    let text = group.as_str().to_ascii_lowercase();
    if group.is_id() {
        let uuid = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(&text);
        let groups = uuid.split('-').map(str::len);
        return if groups.eq([8, 4, 4, 4, 12]) { Ok(format!("{{{uuid}}}")) } else { Err(INVALID_GROUP) };
    }
    if text.contains(['/', '.', '~']) { Err(INVALID_GROUP) } else { Ok(text) }
}

const INVALID_GROUP: ConfigError =
    ConfigError::Group { hint: "Enter the workspace ID, as it is in the workspace's URL." };
