//! `GET /2.0/user/workspaces/{workspace}/permission`.

use super::user::FakeUser;
use crate::testing::wire::json_string;

/// A workspace that a [`FakeUser`] can access.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeWorkspace {
    /// The UUID in braces. It never changes.
    pub uuid: String,
    /// The workspace ID, which an administrator can change.
    pub slug: String,
    /// `owner`, `create-project` or `member`; a `collaborator` is not a member.
    pub permission: String,
}

impl FakeWorkspace {
    /// A workspace and the user's permission in it. `uuid` is given without its braces.
    pub fn new(uuid: &str, slug: &str, permission: &str) -> Self {
        Self { uuid: format!("{{{uuid}}}"), slug: slug.to_owned(), permission: permission.to_owned() }
    }
}

/// The response with the user's permission in the workspace with this ID or UUID; `None` if the user cannot access it.
pub(super) fn permission(user: &FakeUser, identifier: &str) -> Option<String> {
    let identifier = identifier.replace("%7B", "{").replace("%7D", "}");
    let is_named = |text: &str| text.eq_ignore_ascii_case(&identifier);
    let workspace = user.workspaces.iter().find(|own| is_named(&own.slug) || is_named(&own.uuid))?;
    Some(format!(
        "{{\"type\": \"workspace_membership\", \"permission\": {}, \"user\": {{\"type\": \"user\", \"uuid\": {}, \
         \"nickname\": {name}, \"display_name\": {name}}}, \"workspace\": {{\"type\": \"workspace\", \"uuid\": {}, \
         \"slug\": {slug}, \"name\": {slug}}}}}",
        json_string(&workspace.permission),
        json_string(&user.uuid),
        json_string(&workspace.uuid),
        name = json_string(&user.display_name),
        slug = json_string(&workspace.slug),
    ))
}
