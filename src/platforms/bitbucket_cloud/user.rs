use super::PLATFORM;
use crate::error::Error;
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::account_key::AccountKey;
use crate::values::email::{Email, EmailAuthority, EmailEvidence};
use crate::values::token::TokenBinding;
use crate::values::user::{User, UserState};
use crate::values::web_url::WebUrl;

/// Reads `GET /2.0/user`.
pub(super) fn parse(binding: &TokenBinding, response: ApiResponse) -> Result<User, Error> {
    let mut user = read(binding, &response)?;
    user.raw = response.into_text();
    Ok(user)
}

/// The id and the state of the account must be valid. The rest is for display: a value that cannot be read is left out. Only
/// `uuid` is always there: `username` was removed from the public API in 2019, but users still get their own.
fn read(binding: &TokenBinding, response: &ApiResponse) -> Result<User, Error> {
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let uuid: Option<String> = members.strict("uuid").map_err(malformed)?;
    let uuid = uuid.as_deref().and_then(uuid_digits).ok_or_else(|| malformed("uuid"))?;
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), uuid));
    user.username = members.display_text("username").or_else(|| members.display_text("nickname"));
    user.display_name = members.display_text("display_name");
    let links = members.members("links");
    let link = |name| links.members(name).text("href").as_deref().and_then(WebUrl::parse);
    user.avatar_url = link("avatar");
    user.profile_url = link("html");
    user.two_factor = members.read("has_2fa_enabled");
    user.is_bot = members.text("type").is_some_and(|kind| kind != "user");
    user.created_at = members.display_text("created_on");
    let status: Option<String> = members.strict("account_status").map_err(malformed)?;
    user.state = match status.as_deref() {
        Some("active") | None => UserState::Active,
        Some("inactive" | "closed") => UserState::Deactivated,
        Some("blocked" | "suspended") => UserState::Blocked,
        Some(_) => UserState::Other,
    };
    Ok(user)
}

/// What comes after a page of addresses.
pub(super) enum Next {
    End,
    /// The URL from the response.
    Page(String),
    Unreadable,
}

/// Reads one page of `GET /2.0/user/emails`, and what comes after it. Entries without a valid address are left out.
pub(super) fn parse_emails(response: &ApiResponse) -> Result<(Vec<Email>, Next), Error> {
    let page = Members::parse(response.text()).ok_or_else(|| response.malformed("body"))?;
    let values = page.objects("values").ok_or_else(|| response.malformed("values"))?;
    let emails = values.into_iter().filter_map(|entry| {
        let evidence = EmailEvidence::by_code_host(entry.read("is_confirmed"));
        let is_primary = entry.read("is_primary").unwrap_or(false);
        Email::new(&entry.text("email")?, evidence, EmailAuthority::Platform, is_primary)
    });
    let next = match page.text("next") {
        Some(url) if !url.is_empty() => Next::Page(url),
        _ if page.is_set("next") => Next::Unreadable,
        _ => Next::End,
    };
    Ok((emails.collect(), next))
}

/// `{8-4-4-4-12}` hexadecimal digits, in lower case and without the braces.
fn uuid_digits(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (inner.len() == 36 && inner.bytes().enumerate().all(is_right)).then(|| inner.to_ascii_lowercase())
}
