use url::Url;

use super::{scopes, setup};
use crate::error::{AccountError, ApiError, Error, ResponseError, TokenError};
use crate::platforms::refusal::no_oauth_error;
use crate::provider::token_endpoint::{Grant, TokenRefusal};
use crate::transport::ApiResponse;
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;

/// The meaning of a refusal of `/login/oauth/access_token`. `unauthorized_client` has many, and only the description tells which.
/// The descriptions are constants of both servers' source, in English since 2019. An unknown one is never guessed.
pub(super) fn token(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let says = |text: &str| refusal.description.contains(text);
    let callback_rejected = || TokenError::CallbackUrlRejected {
        callback_url: refusal.callback_url.unwrap_or_default().to_owned(),
        setup_link: setup_link(base_url),
    };
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client", _) => client_rejected(base_url),
        ("unauthorized_client", _) if says("invalid client secret") || says("invalid empty client secret") => {
            client_rejected(base_url)
        }
        ("unauthorized_client", Grant::AuthorizationCode) if says("unexpected redirect URI") => callback_rejected(),
        ("unauthorized_client" | "invalid_grant", Grant::AuthorizationCode)
            if says("redirect_uri does not match") || says("redirect_uri differs") =>
        {
            callback_rejected()
        }
        ("unauthorized_client", Grant::AuthorizationCode)
            if says("client is not authorized") || says("failed PKCE code challenge") =>
        {
            TokenError::CodeRejected
        }
        ("unauthorized_client", Grant::RefreshToken)
            if says("unable to parse refresh token")
                || says("token is not a refresh token")
                || says("token was already used") =>
        {
            TokenError::RefreshRejected
        }
        ("invalid_grant", Grant::AuthorizationCode) => TokenError::CodeRejected,
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        // Two exchanges at the same time.
        ("invalid_request", Grant::AuthorizationCode) if says("cannot proce") => TokenError::CodeRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        ("unsupported_grant_type", _) => TokenError::GrantNotAllowed,
        ("", _) => return no_oauth_error(refusal, api(base_url, refusal.response)),
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}

/// The meaning of a refusal of `/api/v1`. What is wrong with the account comes before what is wrong with the scopes.
pub(super) fn api(base_url: &BaseUrl, response: &ApiResponse) -> Error {
    let members = Members::parse(response.text()).unwrap_or_default();
    let message = members.text("message").unwrap_or_default();
    let says = |text: &str| message.contains(text);
    let summary = || Box::new(response.summary().with_error(Some(message.as_str()), None));
    let account = |cause| Error::Account { cause, response: Some(summary()) };
    let api = |cause| Error::Api { cause, response: summary() };
    match response.status().as_u16() {
        // Without the message: newer versions repeat the access token in it.
        401 => {
            let cause = if says("grant not found or revoked") {
                ApiError::TokenRevoked
            } else if says("expired") {
                ApiError::TokenExpired
            } else {
                ApiError::TokenRejected
            };
            Error::Api { cause, response: Box::new(response.summary()) }
        }
        403 if says("not activated") => account(AccountError::Unconfirmed),
        403 if says("prohibited from signing in") => account(AccountError::Blocked),
        403 if says("must change your password") => account(AccountError::PasswordExpired),
        // The text around the address is translated.
        403 if says("/user/settings/security") => account(AccountError::TwoFactorRequired),
        403 if says("required scope") || says("token scope is limited") => {
            // In front of "token scope", which lists those that the token has.
            let required = message.split("token scope=").next().unwrap_or_default();
            let mut missing = scopes::known_in(required);
            if missing.is_empty() {
                missing.push(scopes::READ_USER.to_owned());
            }
            api(ApiError::ConsentTooNarrow { missing, where_to: Some(Box::new(setup::authorized(base_url))) })
        }
        403 => api(ApiError::Forbidden),
        404 => api(ApiError::NotFound),
        410 => api(ApiError::EndpointRemoved),
        _ => Error::Response { cause: ResponseError::Status, response: summary() },
    }
}

fn client_rejected(base_url: &BaseUrl) -> TokenError {
    TokenError::ClientRejected { setup_link: setup_link(base_url) }
}

fn setup_link(base_url: &BaseUrl) -> Option<Box<Url>> {
    Some(Box::new(setup::applications(base_url)))
}
