use super::PLATFORM;
use super::address::GITLAB_COM;
use crate::error::Error;
use crate::platforms::database_id;
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::account_key::AccountKey;
use crate::values::base_url::BaseUrl;
use crate::values::email::{Email, EmailAuthority, EmailEvidence};
use crate::values::token::TokenBinding;
use crate::values::user::{User, UserState};
use crate::values::web_url::WebUrl;

/// Reads `GET /api/v4/user`.
pub(super) fn parse(base_url: &BaseUrl, binding: &TokenBinding, response: ApiResponse) -> Result<User, Error> {
    let mut user = read(base_url, binding, &response)?;
    user.raw = response.into_text();
    Ok(user)
}

/// The id and the state of the account must be valid. The rest is for display: a value that cannot be read is left out.
fn read(base_url: &BaseUrl, binding: &TokenBinding, response: &ApiResponse) -> Result<User, Error> {
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let id = id(&members, "id").map_err(malformed)?;
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), id.to_string()));
    user.username = members.display_text("username");
    user.display_name = members.display_text("name");
    user.avatar_url = members.text("avatar_url").as_deref().and_then(WebUrl::parse);
    user.profile_url = members.text("web_url").as_deref().and_then(WebUrl::parse);
    user.two_factor = members.read("two_factor_enabled");
    user.is_external = members.read("external");
    user.is_bot = is_bot(&members);
    user.created_at = members.display_text("created_at");
    let state: Option<String> = members.strict("state").map_err(malformed)?;
    let is_locked = members.strict("locked").map_err(malformed)? == Some(true);
    user.state = match state.as_deref() {
        Some("active") | None if is_locked => UserState::Locked,
        // A refused user gets 403 instead of this response, so only an old version sends no state.
        Some("active") | None => UserState::Active,
        Some("blocked" | "ldap_blocked" | "banned") => UserState::Blocked,
        Some("deactivated") => UserState::Deactivated,
        Some("blocked_pending_approval") => UserState::PendingApproval,
        Some(_) => UserState::Other,
    };
    let evidence = match members.text("confirmed_at") {
        Some(time) if !time.is_empty() => EmailEvidence::Confirmed,
        None if members.is_null("confirmed_at") => EmailEvidence::Unconfirmed,
        Some(_) | None => EmailEvidence::Unknown,
    };
    let authority = authority(base_url);
    user.emails.extend(members.text("email").and_then(|address| Email::new(&address, evidence, authority, true)));
    Ok(user)
}

pub(super) fn authority(base_url: &BaseUrl) -> EmailAuthority {
    if base_url.as_str() == GITLAB_COM { EmailAuthority::Platform } else { EmailAuthority::SelfManaged }
}

/// The id of a user or a group.
pub(super) fn id(members: &Members<'_>, name: &'static str) -> Result<u64, &'static str> {
    database_id(members.required(name)?).ok_or(name)
}

/// True in any spelling. Every other value counts as false: most accounts belong to people, and GitLab has always sent `true`
/// for a bot.
fn is_bot(members: &Members<'_>) -> bool {
    if let Some(is_bot) = members.read("bot") {
        return is_bot;
    }
    let yes = |text: String| ["true", "yes", "1"].iter().any(|yes| text.eq_ignore_ascii_case(yes));
    members.read::<f64>("bot").is_some_and(|number| number != 0.0) || members.text("bot").is_some_and(yes)
}
