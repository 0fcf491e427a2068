use super::{refusal, scopes};
use crate::base_url::BaseUrl;
use crate::error::{ApiError, ConfigError, Error};
use crate::membership::{Group, Membership};
use crate::scope::{Scope, Scopes};
use crate::token::AccessToken;
use crate::transport::{Reply, Transport};
use crate::wire::Members;

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
    if !reply.status().is_success() {
        return match refusal::api(base_url, &reply) {
            Error::Api { cause: ApiError::ScopeMissing { .. }, .. } => {
                Ok(Membership::ScopeMissing { scope: Scope::known(ACCOUNT) })
            }
            Error::Api { cause: ApiError::Forbidden, .. } if refusal::is_no_access(&reply) => Ok(Membership::NotMember),
            // "No such workspace".
            Error::Api { cause: ApiError::NotFound, .. } => Ok(Membership::NotMember),
            error => Membership::from_failure(error),
        };
    }
    match read(group, &workspace, &reply) {
        Ok(role) if rank(&role).is_some_and(|rank| rank >= least) => Ok(Membership::Member { role }),
        Ok(_) => Ok(Membership::NotMember),
        Err(member) => Membership::from_failure(reply.malformed(member)),
    }
}

/// The permission, or the member that is wrong. If the response names a workspace, it must be the one that was asked for.
fn read(group: &Group, identifier: &str, reply: &Reply) -> Result<String, &'static str> {
    let members = Members::parse(reply.text()).ok_or("body")?;
    let role = members.text("permission").ok_or("permission")?;
    let named = members.members("workspace").text(if group.is_id() { "uuid" } else { "slug" });
    if named.is_none_or(|named| named.eq_ignore_ascii_case(identifier)) { Ok(role) } else { Err("workspace") }
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
