use serde_json::value::RawValue;

use super::PLATFORM;
use super::identity::Identity;
use crate::error::Error;
use crate::platforms::database_id;
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::account_key::AccountKey;
use crate::values::base_url::BaseUrl;
use crate::values::email::{Email, EmailAuthority, EmailEvidence};
use crate::values::token::TokenBinding;
use crate::values::user::{EmailList, User, UserState};
use crate::values::web_url::WebUrl;

/// The user with this identity, if one page of `GET /rest/api/latest/users` has it.
pub(super) fn find(
    binding: &TokenBinding,
    identity: &Identity,
    entries: &[&RawValue],
    response: &ApiResponse,
) -> Result<Option<User>, Error> {
    let mut user = None;
    for entry in entries {
        let Some(members) = Members::parse(entry.get()) else { continue };
        let id = members.read("id").and_then(database_id);
        let is_user = match (identity.id, id) {
            (Some(wanted), id) => id == Some(wanted),
            (None, Some(_)) => is_named(identity, &members),
            (None, None) => false,
        };
        if is_user && user.is_some() {
            return Err(response.malformed("name"));
        }
        if let (true, Some(id)) = (is_user, id) {
            user = Some(profile(binding, id, &members, entry.get(), response)?);
        }
    }
    Ok(user)
}

/// Names are not case-sensitive. Only ASCII letters may differ in case, since others can become a letter of another name: the
/// Kelvin sign becomes a `k`. Without the id, a name that could be read in two ways identifies nobody.
fn is_named(identity: &Identity, members: &Members<'_>) -> bool {
    let wanted = identity.name.as_deref().filter(|_| identity.is_exact);
    wanted.zip(members.text("name")).is_some_and(|(wanted, name)| name.eq_ignore_ascii_case(wanted))
}

/// The id and the state must be valid. The rest is for display: a value that cannot be read is left out.
fn profile(
    binding: &TokenBinding,
    id: u64,
    members: &Members<'_>,
    raw: &str,
    response: &ApiResponse,
) -> Result<User, Error> {
    let mut user = unlisted(binding, id);
    user.username = members.display_text("name");
    user.display_name = members.display_text("displayName");
    user.avatar_url = members.text("avatarUrl").and_then(|text| avatar(binding.base_url(), &text));
    let links: Vec<&RawValue> = members.members("links").read("self").unwrap_or_default();
    let page = links.first().and_then(|link| Members::parse(link.get())).and_then(|link| link.text("href"));
    user.profile_url = page.as_deref().and_then(WebUrl::parse);
    user.is_bot = members.text("type").is_some_and(|kind| kind != "NORMAL");
    user.state = match members.strict("active").map_err(|member| response.malformed(member))? {
        Some(false) => UserState::Deactivated,
        Some(true) | None => UserState::Active,
    };
    // From a directory, or from an administrator: Bitbucket does not say whether the user has confirmed it.
    let email = members.text("emailAddress").unwrap_or_default();
    user.emails.extend(Email::new(&email, EmailEvidence::Unknown, EmailAuthority::SelfManaged, true));
    user.email_list = EmailList::Complete;
    user.raw = raw.into();
    Ok(user)
}

/// The address of an avatar. Bitbucket leaves out its own host name.
fn avatar(base_url: &BaseUrl, text: &str) -> Option<WebUrl> {
    match text.starts_with('/') {
        true => WebUrl::parse(base_url.page(&[]).join(text).ok()?.as_str()),
        false => WebUrl::parse(text),
    }
}

/// A user of whom only the id is known.
pub(super) fn unlisted(binding: &TokenBinding, id: u64) -> User {
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), id.to_string()));
    user.email_list = EmailList::Incomplete;
    user
}
