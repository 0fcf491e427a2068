use serde_json::value::RawValue;

use super::PLATFORM;
use super::address::{Kind, kind};
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

/// Reads `GET /user`. A suspended user gets 403 instead.
pub(super) fn parse(binding: &TokenBinding, response: ApiResponse) -> Result<User, Error> {
    let mut user = read(binding, &response)?;
    user.raw = response.into_text();
    Ok(user)
}

/// The id must be valid. The rest is for display: a value that cannot be read is left out.
fn read(binding: &TokenBinding, response: &ApiResponse) -> Result<User, Error> {
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let id = members.required("id").ok().and_then(database_id).ok_or_else(|| malformed("id"))?;
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), id.to_string()));
    user.username = members.display_text("login");
    user.display_name = members.display_text("name");
    user.avatar_url = members.text("avatar_url").as_deref().and_then(WebUrl::parse);
    user.profile_url = members.text("html_url").as_deref().and_then(WebUrl::parse);
    // Only in the private profile, which needs the scope `user`.
    user.two_factor = members.read("two_factor_authentication");
    user.is_bot = members.text("type").is_some_and(|kind| kind != "User");
    user.created_at = members.display_text("created_at");
    user.state = UserState::Active;
    Ok(user)
}

/// Reads one page of `GET /user/emails`, and how many entries it has. Entries without a valid address are left out, and those of
/// no mailbox, which GitHub makes for users who hide theirs.
pub(super) fn parse_emails(base_url: &BaseUrl, username: &str, text: &str) -> Option<(Vec<Email>, usize)> {
    let entries: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let kind = kind(base_url);
    // Where an enterprise runs the server or creates the accounts, it also writes the addresses. The names of such accounts
    // contain an underscore, which no other name may have.
    let authority = match kind {
        Kind::Public if !username.is_empty() && !username.contains('_') => EmailAuthority::Platform,
        _ => EmailAuthority::SelfManaged,
    };
    let emails = entries.iter().filter_map(|entry| {
        let members = Members::parse(entry.get())?;
        let address = members.text("email")?;
        let domain = address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
        let is_no_reply = domain.starts_with("users.noreply.") || domain.starts_with("noreply.");
        // An Enterprise Server verifies nothing, and says true or false anyway.
        let is_confirmed = if kind == Kind::EnterpriseServer { None } else { members.read("verified") };
        let evidence = EmailEvidence::by_code_host(is_confirmed);
        let is_primary = members.read("primary").unwrap_or(false);
        Email::new(&address, evidence, authority, is_primary).filter(|_| !is_no_reply)
    });
    Some((emails.collect(), entries.len()))
}
