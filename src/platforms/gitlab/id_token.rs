//! The ID token of OpenID Connect, in place of a request for the user.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::{GitLab, PLATFORM, user};
use crate::error::{Error, VerifyError};
use crate::platforms::database_id;
use crate::provider::oauth_provider::OAuthProvider as _;
use crate::util::json::Members;
use crate::util::text::is_same_issuer;
use crate::util::time::unix_now;
use crate::values::account_key::AccountKey;
use crate::values::email::{Email, EmailEvidence};
use crate::values::token::{ClientCredentials, TokenSet};
use crate::values::user::{EmailList, User, UserState};

/// The user that the ID token names, `None` if there is no ID token.
///
/// The signature is not checked: the token came from the token endpoint by TLS, which OpenID Connect Core section 3.1.3.7 (6)
/// accepts in its place. Issuer, audience, time and nonce are checked. The token does not say whether the account is active: a
/// blocked user gets none.
pub(super) fn user(
    gitlab: &GitLab,
    client: &ClientCredentials,
    nonce: &str,
    tokens: &TokenSet,
) -> Result<Option<User>, Error> {
    let Some(id_token) = &tokens.id_token else { return Ok(None) };
    let malformed = |claim| Error::from(VerifyError::IdToken { claim });
    let claims = id_token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| String::from_utf8(claims).ok()).ok_or_else(|| malformed("id_token"))?;
    let claims = Members::parse(&claims).ok_or_else(|| malformed("id_token"))?;
    let text = |name| claims.required::<String>(name).map_err(malformed);
    let issuer = text("iss")?;
    if !gitlab.issuers().iter().any(|own| is_same_issuer(own, &issuer)) {
        return Err(malformed("iss"));
    }
    if !is_audience(&claims, client.client_id()) {
        return Err(malformed("aud"));
    }
    if text("nonce")? != nonce {
        return Err(malformed("nonce"));
    }
    let now = unix_now();
    let time = |name| claims.required::<u64>(name).map_err(malformed);
    if time("exp")?.saturating_add(CLOCK_TOLERANCE) < now {
        return Err(malformed("exp"));
    }
    if time("iat")? > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(malformed("iat"));
    }
    let id = text("sub")?.parse().ok().and_then(database_id).ok_or_else(|| malformed("sub"))?;
    let integration = tokens.access_token.binding().integration().clone();
    let mut user = User::new(AccountKey::new(integration, PLATFORM.id(), id.to_string()));
    user.state = UserState::Unknown;
    let evidence = EmailEvidence::by_code_host(claims.read("email_verified"));
    let authority = user::authority(&gitlab.base_url);
    user.emails.extend(claims.text("email").and_then(|email| Email::new(&email, evidence, authority, true)));
    if user.emails.is_empty() {
        user.email_list = EmailList::Incomplete;
    }
    Ok(Some(user))
}

/// The audience is the client, and nobody else (section 3.1.3.7 (3)).
fn is_audience(claims: &Members<'_>, client_id: &str) -> bool {
    let one = claims.text("aud").is_some_and(|audience| audience == client_id);
    let list: Vec<&RawValue> = claims.read("aud").unwrap_or_default();
    one || list.len() == 1 && claims.texts("aud").is_some_and(|audiences| audiences == [client_id])
}

/// Seconds. An ID token of GitLab is valid for two minutes.
const CLOCK_TOLERANCE: u64 = 30;
