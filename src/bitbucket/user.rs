use serde::Deserialize;
use serde_json::value::RawValue;

use super::PLATFORM;
use crate::error::Error;
use crate::token::Origin;
use crate::transport::Reply;
use crate::user::{AccountKey, Email, EmailAuthority, EmailEvidence, User, UserState};
use crate::web_url::WebUrl;
use crate::wire::Members;

/// Reads `GET /2.0/user`.
pub(super) fn parse(origin: &Origin, reply: Reply) -> Result<User, Error> {
    let mut user = read(origin, &reply)?;
    user.raw = reply.into_text();
    Ok(user)
}

/// Strict are the id and the state of the account; the rest is to be shown, and what cannot be read of it is left out. Only
/// `uuid` is sure to be there: `username` left the public API in 2019 and is still sent to the person themself.
fn read(origin: &Origin, reply: &Reply) -> Result<User, Error> {
    let malformed = |member| reply.malformed(member);
    let members = Members::parse(reply.text()).ok_or_else(|| malformed("body"))?;
    let uuid: Option<String> = members.strict("uuid").map_err(malformed)?;
    let uuid = uuid.as_deref().and_then(uuid_digits).ok_or_else(|| malformed("uuid"))?;
    let mut user = User::new(AccountKey::new(origin.integration().clone(), PLATFORM.id(), uuid));
    user.username = members.shown("username").or_else(|| members.shown("nickname"));
    user.display_name = members.shown("display_name");
    let links: Links<'_> = members.read("links").unwrap_or_default();
    user.avatar_url = links.avatar.and_then(href);
    user.profile_url = links.html.and_then(href);
    user.two_factor = members.read("has_2fa_enabled");
    user.is_bot = members.text("type").is_some_and(|kind| kind != "user");
    user.created_at = members.shown("created_on");
    let status: Option<String> = members.strict("account_status").map_err(malformed)?;
    user.state = match status.as_deref() {
        Some("active") | None => UserState::Active,
        Some("inactive" | "closed") => UserState::Deactivated,
        Some("blocked" | "suspended") => UserState::Blocked,
        Some(_) => UserState::Other,
    };
    Ok(user)
}

/// Of the many links of an account, those that are shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Links<'a> {
    #[serde(borrow)]
    avatar: Option<&'a RawValue>,
    #[serde(borrow)]
    html: Option<&'a RawValue>,
}

fn href(link: &RawValue) -> Option<WebUrl> {
    Members::parse(link.get())?.text("href").as_deref().and_then(WebUrl::parse)
}

/// What comes after a page of addresses.
pub(super) enum Next {
    End,
    /// The URL that the server wrote.
    Page(String),
    Unreadable,
}

/// Reads one page of `GET /2.0/user/emails`, and what comes after it. Entries that are no addresses are left out.
pub(super) fn parse_emails(reply: &Reply) -> Result<(Vec<Email>, Next), Error> {
    let page = Members::parse(reply.text()).ok_or_else(|| reply.malformed("body"))?;
    let values = page.objects("values").ok_or_else(|| reply.malformed("values"))?;
    let emails = values.into_iter().filter_map(|entry| {
        let evidence = match entry.read("is_confirmed") {
            Some(true) => EmailEvidence::Confirmed,
            Some(false) => EmailEvidence::Unconfirmed,
            None => EmailEvidence::Unknown,
        };
        let is_primary = entry.read("is_primary").unwrap_or(false);
        Email::new(&entry.text("email")?, evidence, EmailAuthority::Vendor, is_primary)
    });
    let next = match page.text("next") {
        Some(url) if !url.is_empty() => Next::Page(url),
        _ if page.says("next") => Next::Unreadable,
        _ => Next::End,
    };
    Ok((emails.collect(), next))
}

/// `{8-4-4-4-12}` hexadecimal digits, in lower case and without the braces.
fn uuid_digits(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let groups = inner.split('-').map(str::len);
    let digits = inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (digits && groups.eq([8, 4, 4, 4, 12])).then(|| inner.to_ascii_lowercase())
}
