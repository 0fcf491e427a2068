use serde::{Deserialize, Deserializer};

use super::PLATFORM;
use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::token::Origin;
use crate::transport::Reply;
use crate::user::{AccountKey, Email, EmailAuthority, EmailEvidence, User, UserState};
use crate::web_url::WebUrl;
use crate::wire::{self, Text};

/// Reads `GET /api/v4/user`.
pub(super) fn parse(base_url: &BaseUrl, origin: &Origin, reply: Reply) -> Result<User, Error> {
    let mut user = read(base_url, origin, &reply)?;
    user.raw = reply.into_text();
    Ok(user)
}

fn read(base_url: &BaseUrl, origin: &Origin, reply: &Reply) -> Result<User, Error> {
    let answer: UserAnswer<'_> = reply.json()?;
    let text = |value: Option<Text<'_>>, field| wire::printable(value).map_err(|()| reply.malformed(field));
    // Numbers above i64 are no ids of a database; 0 and negative ones are nobody's.
    let id =
        answer.id.as_ref().and_then(serde_json::Number::as_u64).filter(|id| i64::try_from(*id).is_ok_and(|id| id > 0));
    let id = id.ok_or_else(|| reply.malformed("id"))?;
    let mut user = User::new(AccountKey::new(origin.integration().clone(), PLATFORM.id(), id.to_string()));
    user.username = text(answer.username, "username")?;
    user.display_name = text(answer.name, "name")?;
    user.avatar_url = answer.avatar_url.as_deref().and_then(WebUrl::parse);
    user.profile_url = answer.web_url.as_deref().and_then(WebUrl::parse);
    user.two_factor = answer.two_factor_enabled;
    user.is_bot = answer.bot.unwrap_or(false);
    user.created_at = text(answer.created_at, "created_at")?;
    user.state = match answer.state.as_deref() {
        Some("active") | None if answer.locked == Some(true) => UserState::Locked,
        // A refused person gets 403 instead of this answer, so a missing state is an old version's.
        Some("active") | None => UserState::Active,
        Some("blocked" | "ldap_blocked" | "banned") => UserState::Blocked,
        Some("deactivated") => UserState::Deactivated,
        Some("blocked_pending_approval") => UserState::PendingApproval,
        Some(_) => UserState::Other,
    };
    let evidence = match answer.confirmed_at {
        Some(Some(time)) if !time.is_empty() => EmailEvidence::Confirmed,
        Some(None) => EmailEvidence::Unconfirmed,
        Some(Some(_)) | None => EmailEvidence::Unknown,
    };
    let authority = if base_url.as_str() == GITLAB_COM { EmailAuthority::Vendor } else { EmailAuthority::SelfManaged };
    user.emails.extend(answer.email.and_then(|address| Email::new(&address, evidence, authority, true)));
    Ok(user)
}

pub(super) const GITLAB_COM: &str = "https://gitlab.com";

/// The members that every version since 15.0 may have; `skip` and others come and go.
#[derive(Deserialize)]
struct UserAnswer<'a> {
    id: Option<serde_json::Number>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    locked: Option<bool>,
    #[serde(borrow)]
    avatar_url: Option<Text<'a>>,
    #[serde(borrow)]
    web_url: Option<Text<'a>>,
    #[serde(borrow)]
    created_at: Option<Text<'a>>,
    #[serde(borrow)]
    email: Option<Text<'a>>,
    /// `None`: not in the answer. `Some(None)`: not confirmed.
    #[serde(borrow, default, deserialize_with = "present")]
    confirmed_at: Option<Option<Text<'a>>>,
    two_factor_enabled: Option<bool>,
    bot: Option<bool>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Text<'a>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
