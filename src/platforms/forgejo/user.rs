use serde_json::value::RawValue;

use super::{HOSTS, PLATFORM};
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

/// Reads `GET /api/v1/user`, without the addresses.
pub(super) fn parse(binding: &TokenBinding, response: ApiResponse) -> Result<User, Error> {
    let mut user = read(binding, &response)?;
    user.raw = response.into_text();
    Ok(user)
}

/// The id and the state must be valid. The rest is for display: a value that cannot be read is left out.
fn read(binding: &TokenBinding, response: &ApiResponse) -> Result<User, Error> {
    let malformed = |member| response.malformed(member);
    let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
    let id = members.required("id").ok().and_then(database_id).ok_or_else(|| malformed("id"))?;
    let mut user = User::new(AccountKey::new(binding.integration().clone(), PLATFORM.id(), id.to_string()));
    user.username = members.display_text("login");
    user.display_name = members.display_text("full_name");
    user.avatar_url = members.text("avatar_url").as_deref().and_then(WebUrl::parse);
    user.profile_url = members.text("html_url").as_deref().and_then(WebUrl::parse);
    user.created_at = members.display_text("created");
    // Users who may not sign in mostly get 403 instead.
    user.state = if members.strict("prohibit_login").map_err(malformed)? == Some(true) {
        UserState::Blocked
    } else if members.strict("active").map_err(malformed)? == Some(false) {
        UserState::PendingApproval
    } else {
        UserState::Active
    };
    Ok(user)
}

/// Reads `GET /api/v1/user/emails`, which has all addresses. Entries without a valid address are left out.
pub(super) fn parse_emails(base_url: &BaseUrl, response: &ApiResponse) -> Option<Vec<Email>> {
    let entries: Vec<&RawValue> = serde_json::from_str(response.text()).ok()?;
    let authority =
        if HOSTS.contains(&base_url.authority()) { EmailAuthority::Platform } else { EmailAuthority::SelfManaged };
    let email = |entry: &&RawValue| {
        let members = Members::parse(entry.get())?;
        let evidence = EmailEvidence::by_code_host(members.read("verified"));
        let is_primary = members.read("primary").unwrap_or(false);
        Email::new(&members.text("email")?, evidence, authority, is_primary)
    };
    Some(entries.iter().filter_map(email).collect())
}
