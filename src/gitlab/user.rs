use super::PLATFORM;
use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::token::Origin;
use crate::transport::Reply;
use crate::user::{AccountKey, Email, EmailAuthority, EmailEvidence, User, UserState};
use crate::web_url::WebUrl;
use crate::wire::Members;

/// Reads `GET /api/v4/user`.
pub(super) fn parse(base_url: &BaseUrl, origin: &Origin, reply: Reply) -> Result<User, Error> {
    let mut user = read(base_url, origin, &reply)?;
    user.raw = reply.into_text();
    Ok(user)
}

/// The id in `GET /api/v4/user`, and nothing else of it.
pub(super) fn parse_id(reply: &Reply) -> Result<u64, Error> {
    let members = Members::parse(reply.text()).ok_or_else(|| reply.malformed("body"))?;
    id(&members, "id").map_err(|member| reply.malformed(member))
}

/// Strict are the id and the state of the account; the rest is to be shown, and what cannot be read of it is left out.
fn read(base_url: &BaseUrl, origin: &Origin, reply: &Reply) -> Result<User, Error> {
    let malformed = |member| reply.malformed(member);
    let members = Members::parse(reply.text()).ok_or_else(|| malformed("body"))?;
    let id = id(&members, "id").map_err(malformed)?;
    let mut user = User::new(AccountKey::new(origin.integration().clone(), PLATFORM.id(), id.to_string()));
    user.username = members.shown("username");
    user.display_name = members.shown("name");
    user.avatar_url = members.text("avatar_url").as_deref().and_then(WebUrl::parse);
    user.profile_url = members.text("web_url").as_deref().and_then(WebUrl::parse);
    user.two_factor = members.read("two_factor_enabled");
    user.is_bot = is_bot(&members);
    user.created_at = members.shown("created_at");
    let state: Option<String> = members.strict("state").map_err(malformed)?;
    let is_locked = members.strict("locked").map_err(malformed)? == Some(true);
    user.state = match state.as_deref() {
        Some("active") | None if is_locked => UserState::Locked,
        // A refused person gets 403 instead of this answer, so a missing state is an old version's.
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
    let authority = if base_url.as_str() == GITLAB_COM { EmailAuthority::Vendor } else { EmailAuthority::SelfManaged };
    user.emails.extend(members.text("email").and_then(|address| Email::new(&address, evidence, authority, true)));
    Ok(user)
}

pub(super) const GITLAB_COM: &str = "https://gitlab.com";

/// Numbers above i64 are no ids of a database; 0 and negative ones are nobody's.
pub(super) fn id(members: &Members<'_>, name: &'static str) -> Result<u64, &'static str> {
    let id: Option<u64> = members.strict(name)?;
    id.filter(|id| i64::try_from(*id).is_ok_and(|id| id > 0)).ok_or(name)
}

/// A yes in any spelling. What is neither yes nor no is no: most accounts are people's, and the API's own word for a bot
/// has always been `true`.
fn is_bot(members: &Members<'_>) -> bool {
    let yes = |text: String| ["true", "yes", "1"].iter().any(|yes| text.eq_ignore_ascii_case(yes));
    members.read("bot") == Some(true)
        || members.read::<f64>("bot").is_some_and(|number| number != 0.0)
        || members.text("bot").is_some_and(yes)
}
