use serde_json::value::RawValue;

use super::PLATFORM;
use super::identity::Identity;
use crate::error::Error;
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::account_key::AccountKey;
use crate::values::email::{Email, EmailAuthority, EmailEvidence};
use crate::values::token::TokenBinding;
use crate::values::user::{EmailList, User, UserState};
use crate::values::web_url::WebUrl;

/// One page of `GET /rest/api/latest/users`.
pub(super) struct Page {
    /// The user with this identity, if the page has it.
    pub(super) user: Option<User>,
    /// Where the next page begins; `None` if this is the last one.
    pub(super) next: Option<u64>,
}

impl Page {
    /// Checks that the response is a list, whatever is in it.
    pub(super) fn ensure_list(response: &ApiResponse) -> Result<(), Error> {
        list(response).map(drop)
    }

    pub(super) fn parse(binding: &TokenBinding, identity: &Identity, response: &ApiResponse) -> Result<Self, Error> {
        let (members, entries) = list(response)?;
        let mut user = None;
        for entry in entries {
            let Some(members) = Members::parse(entry.get()) else { continue };
            let id = members.read("id").filter(|id: &u64| *id > 0);
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
        let is_last = members.read("isLastPage").unwrap_or(true);
        Ok(Self { user, next: members.read("nextPageStart").filter(|_| !is_last) })
    }
}

/// The members of a page, and its entries.
fn list(response: &ApiResponse) -> Result<(Members<'_>, Vec<&RawValue>), Error> {
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let entries = members.strict("values").map_err(malformed)?.ok_or_else(|| malformed("values"))?;
    Ok((members, entries))
}

/// Names are not case-sensitive. Without the id, a name that could be read in two ways identifies nobody.
fn is_named(identity: &Identity, members: &Members<'_>) -> bool {
    let wanted = identity.name.as_deref().filter(|_| identity.is_exact).map(str::to_lowercase);
    wanted.is_some() && members.text("name").map(|name| name.to_lowercase()) == wanted
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
    user.avatar_url = members.text("avatarUrl").as_deref().and_then(WebUrl::parse);
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

/// A user of whom only the id is known.
pub(super) fn unlisted(binding: &TokenBinding, id: u64) -> User {
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), id.to_string()));
    user.email_list = EmailList::Incomplete;
    user
}
