use serde::Deserialize;

use super::PLATFORM;
use crate::error::Error;
use crate::token::Origin;
use crate::transport::Reply;
use crate::user::{AccountKey, Email, EmailAuthority, EmailEvidence, User, UserState};
use crate::web_url::WebUrl;
use crate::wire::{self, Text};

/// Reads `GET /2.0/user`.
pub(super) fn parse(origin: &Origin, reply: Reply) -> Result<User, Error> {
    let mut user = read(origin, &reply)?;
    user.raw = reply.into_text();
    Ok(user)
}

fn read(origin: &Origin, reply: &Reply) -> Result<User, Error> {
    let answer: UserAnswer<'_> = reply.json()?;
    let text = |value: Option<Text<'_>>, field| wire::printable(value).map_err(|()| reply.malformed(field));
    let uuid = answer.uuid.as_deref().and_then(uuid).ok_or_else(|| reply.malformed("uuid"))?;
    let mut user = User::new(AccountKey::new(origin.integration().clone(), PLATFORM.id(), uuid));
    user.username = match text(answer.username, "username")? {
        Some(username) => Some(username),
        None => text(answer.nickname, "nickname")?,
    };
    user.display_name = text(answer.display_name, "display_name")?;
    let links = answer.links.unwrap_or_default();
    let href = |link: Option<Link<'_>>| link.and_then(|link| link.href).as_deref().and_then(WebUrl::parse);
    user.avatar_url = href(links.avatar);
    user.profile_url = href(links.html);
    user.two_factor = answer.has_2fa_enabled;
    user.is_bot = answer.kind.is_some_and(|kind| *kind != *"user");
    user.created_at = text(answer.created_on, "created_on")?;
    user.state = match answer.account_status.as_deref() {
        Some("active") | None => UserState::Active,
        Some("inactive" | "closed") => UserState::Deactivated,
        Some("blocked" | "suspended") => UserState::Blocked,
        Some(_) => UserState::Other,
    };
    Ok(user)
}

/// Reads one page of `GET /2.0/user/emails`, and whether there is another.
pub(super) fn parse_emails(reply: &Reply) -> Result<(Vec<Email>, bool), Error> {
    let page: EmailPage<'_> = reply.json()?;
    let values = page.values.ok_or_else(|| reply.malformed("values"))?;
    let emails = values.into_iter().filter_map(|entry| {
        let evidence = match entry.is_confirmed {
            Some(true) => EmailEvidence::Confirmed,
            Some(false) => EmailEvidence::Unconfirmed,
            None => EmailEvidence::Unknown,
        };
        Email::new(&entry.email?, evidence, EmailAuthority::Vendor, entry.is_primary.unwrap_or(false))
    });
    Ok((emails.collect(), page.next.is_some()))
}

/// `{8-4-4-4-12}` hexadecimal digits, in lower case and without the braces.
fn uuid(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let groups = inner.split('-').map(str::len);
    let digits = inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (digits && groups.eq([8, 4, 4, 4, 12])).then(|| inner.to_ascii_lowercase())
}

/// The members that matter. Only `uuid` is sure to be there: `username` left the public API in 2019 and is still sent
/// to the person themself.
#[derive(Deserialize)]
struct UserAnswer<'a> {
    #[serde(borrow)]
    uuid: Option<Text<'a>>,
    #[serde(rename = "type")]
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    nickname: Option<Text<'a>>,
    #[serde(borrow)]
    display_name: Option<Text<'a>>,
    #[serde(borrow)]
    links: Option<Links<'a>>,
    #[serde(borrow)]
    account_status: Option<Text<'a>>,
    has_2fa_enabled: Option<bool>,
    #[serde(borrow)]
    created_on: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Links<'a> {
    #[serde(borrow)]
    avatar: Option<Link<'a>>,
    #[serde(borrow)]
    html: Option<Link<'a>>,
}

#[derive(Deserialize)]
struct Link<'a> {
    #[serde(borrow)]
    href: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct EmailPage<'a> {
    #[serde(borrow)]
    values: Option<Vec<EmailEntry<'a>>>,
    #[serde(borrow)]
    next: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct EmailEntry<'a> {
    #[serde(borrow)]
    email: Option<Text<'a>>,
    is_primary: Option<bool>,
    is_confirmed: Option<bool>,
}
