//! Checks what a provider sends, and to which URL.

use url::Url;

use super::{
    CLIENT_ID, CODE, Conformance, Flow, NEW_ACCESS, NEW_REFRESH, OLD_ACCESS, OLD_REFRESH, Outcome, SECRET, ensure,
    other_base_url, text_of,
};
use crate::error::{ConfigError, Error};
use crate::provider::grant::AuthorizationRequest;
use crate::provider::token_endpoint;
use crate::testing::wire::{basic_header, form_decode};
use crate::testing::{ScriptedTransport, SentRequest};
use crate::values::access::Access;
use crate::values::token::TokenSet;

pub(super) async fn authorization_url(suite: &Conformance<'_>) -> Outcome {
    let provider = suite.provider;
    let flow = Flow::new(provider)?;
    let scopes = provider.required_scopes(&Access::Read);
    let challenge = token_endpoint::challenge(flow.pending.verifier());
    let url = provider.authorization_url(&AuthorizationRequest {
        client_id: CLIENT_ID,
        callback_url: &flow.callback_url,
        scopes: &scopes,
        login_hint: None,
        select_account: false,
    });
    ensure(url.fragment().is_none(), || "the authorization URL must not have a fragment".to_owned())?;
    let (state, verifier) = (flow.pending.state(), flow.pending.verifier());
    let url = token_endpoint::authorization_url(url, state, verifier, false);
    let url = Url::parse(url.as_str()).map_err(text_of)?;
    let base = provider.base_url();
    ensure(url.as_str().starts_with(&format!("{}/", base.as_str())), || {
        format!("the authorization URL must begin with {}/", base.as_str())
    })?;
    let mut found: Vec<_> = url.query_pairs().into_owned().collect();
    found.sort();
    let expected = [
        ("client_id", CLIENT_ID),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("redirect_uri", flow.callback_url.as_str()),
        ("response_type", "code"),
        ("scope", &scopes.to_string()),
        ("state", &flow.state()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    ensure(found == expected, || {
        format!("the authorization URL must have the parameters {expected:?}, but has {found:?}")
    })?;
    ensure(!url.as_str().contains(&flow.verifier()), || {
        "the authorization URL must not contain the PKCE verifier".to_owned()
    })
}

pub(super) async fn exchange(suite: &Conformance<'_>) -> Outcome {
    let flow = Flow::new(suite.provider)?;
    let (verifier, callback, state) = (flow.verifier(), flow.callback_url.as_str().to_owned(), flow.state());
    let http = suite.with_tokens(&suite.tokens(NEW_ACCESS, Some(NEW_REFRESH))?);
    let (grant, client) = flow.grant(suite.provider)?;
    let tokens = suite.provider.exchange_code(&http, &client, grant).await;
    let tokens = tokens.map_err(|error| format!("exchange_code must succeed, found the error: {error}"))?;

    let request = token_request(suite, &http)?;
    parameters(
        &request,
        &[
            ("grant_type", "authorization_code"),
            ("code", CODE),
            ("redirect_uri", &callback),
            ("code_verifier", &verifier),
        ],
    )?;
    not_in_url(&request, &[&verifier, CODE, SECRET, &state])?;
    has_tokens(suite, &tokens, NEW_ACCESS, Some(NEW_REFRESH))
}

pub(super) async fn refresh(suite: &Conformance<'_>) -> Outcome {
    for (given, kept) in [(Some(NEW_REFRESH), NEW_REFRESH), (None, OLD_REFRESH)] {
        let flow = Flow::new(suite.provider)?;
        let http = suite.with_tokens(&suite.tokens(NEW_ACCESS, given)?);
        let tokens = suite.provider.refresh(&http, &flow.client, &flow.refresh_token()?, &flow.callback_url).await;
        let tokens = tokens.map_err(|error| format!("refresh must succeed, found the error: {error}"))?;

        let request = token_request(suite, &http)?;
        let mut expected = vec![("grant_type", "refresh_token"), ("refresh_token", OLD_REFRESH)];
        // Some platforms want the callback URL here too.
        if request.form().iter().any(|(name, _)| name == "redirect_uri") {
            expected.push(("redirect_uri", flow.callback_url.as_str()));
        }
        parameters(&request, &expected)?;
        not_in_url(&request, &[OLD_REFRESH, SECRET])?;
        has_tokens(suite, &tokens, NEW_ACCESS, Some(kept))?;
    }
    Ok(())
}

pub(super) async fn user(suite: &Conformance<'_>) -> Outcome {
    let flow = Flow::new(suite.provider)?;
    let http = suite.with_user();
    let user = suite.provider.user(&http, &flow.access_token()?).await;
    let user = user.map_err(|error| format!("user must succeed, found the error: {error}"))?;
    ensure(!user.key.subject().is_empty(), || {
        "the subject of the user's key is empty: use the user's permanent id".to_owned()
    })?;
    ensure(*user.key.integration() == flow.id, || {
        "the user's key must have the integration of the access token's binding".to_owned()
    })?;
    let platform = suite.provider.platform().id();
    ensure(user.key.to_string().starts_with(&format!("{platform}:{}:", flow.id)), || {
        format!("the user's key must begin with the platform's id {platform}, but is {}", user.key)
    })?;
    let requests = http.requests();
    ensure(!requests.is_empty(), || "the look-up of the user sent no request".to_owned())?;
    for request in &requests {
        allowed_origin(suite, request)?;
        not_in_url(request, &[OLD_ACCESS])?;
        // A GraphQL query is a POST.
        let is_query =
            request.method == http::Method::POST && !String::from_utf8_lossy(&request.body).contains(OLD_ACCESS);
        ensure(is_query || request.method == http::Method::GET && request.body.is_empty(), || {
            format!("{request:?} must be a GET without a body, or a POST without the access token in its body")
        })?;
        let authorization = request.header("authorization");
        ensure(authorization == Some(&format!("Bearer {OLD_ACCESS}")), || {
            format!("{request:?} must have the access token in one `Authorization: Bearer` header")
        })?;
        sensitive(request)?;
    }
    Ok(())
}

pub(super) async fn other_binding(suite: &Conformance<'_>) -> Outcome {
    let provider = suite.provider;
    let (own, other) = (|| Flow::new(provider), || Flow::with_base_url(provider, &other_base_url()?));
    let callback_url = own()?.callback_url;
    let http = ScriptedTransport::new();
    http.otherwise(200, &[("content-type", "application/json")], "{}");

    let refused = |what: &str, error: Option<Error>| {
        let right = matches!(error, Some(Error::Config(ConfigError::OtherBinding { .. })));
        ensure(right, || {
            format!("{what} of another base URL must be refused with ConfigError::OtherBinding, found {error:?}")
        })?;
        ensure(http.requests().is_empty(), || {
            format!("{what} of another base URL must be refused before a request is sent")
        })
    };
    let (grant, _) = own()?.grant(provider)?;
    refused("a client secret", provider.exchange_code(&http, &other()?.client, grant).await.err())?;
    let (grant, _) = other()?.grant(provider)?;
    refused("a code", provider.exchange_code(&http, &own()?.client, grant).await.err())?;
    let token = own()?.refresh_token()?;
    refused(
        "a client secret at a refresh",
        provider.refresh(&http, &other()?.client, &token, &callback_url).await.err(),
    )?;
    let token = other()?.refresh_token()?;
    refused("a refresh token", provider.refresh(&http, &own()?.client, &token, &callback_url).await.err())?;
    refused("an access token", provider.user(&http, &other()?.access_token()?).await.err())
}

/// The only request to the token endpoint. Checks that it has the client's credentials in one place.
fn token_request(suite: &Conformance<'_>, http: &ScriptedTransport) -> Result<SentRequest, String> {
    let mut requests = http.requests().into_iter();
    let (Some(request), None) = (requests.next(), requests.next()) else {
        return Err(format!("expected one request to the token endpoint, found {:?}", http.requests()));
    };
    allowed_origin(suite, &request)?;
    let path = request.url.path();
    ensure(request.method == http::Method::POST, || format!("{request:?} must be a POST"))?;
    ensure(path == suite.token_path, || {
        format!("the token request must go to {}, but went to {path}", suite.token_path)
    })?;
    ensure(request.url.query().is_none(), || "the URL of the token request must not have a query".to_owned())?;
    let media = request.header("content-type").unwrap_or_default();
    ensure(media == "application/x-www-form-urlencoded", || {
        format!("the token request must have the content type application/x-www-form-urlencoded, but has {media:?}")
    })?;
    let accept = request.header("accept").unwrap_or_default();
    ensure(accept == "application/json", || {
        format!("the token request must have the header `Accept: application/json`, but has {accept:?}")
    })?;

    let in_form = request.form().iter().any(|(name, value)| name == "client_secret" && value == SECRET);
    let in_header = basic_header(&request.headers)
        .is_some_and(|(id, secret)| (form_decode(&id), form_decode(&secret)) == (CLIENT_ID.into(), SECRET.into()));
    ensure(in_form != in_header, || {
        "the token request must have the client secret, unchanged, either in the form or in an `Authorization: Basic` \
         header"
            .to_owned()
    })?;
    ensure(in_header || !request.headers.contains_key("authorization"), || {
        "the token request must not have an Authorization header if the client secret is in the form".to_owned()
    })?;
    Ok(request)
}

/// Checks that the form has these parameters once each, and otherwise only the client's.
fn parameters(request: &SentRequest, expected: &[(&str, &str)]) -> Outcome {
    let form = request.form();
    for (name, value) in expected {
        let found: Vec<_> = form.iter().filter(|(key, _)| key == name).collect();
        ensure(found.len() == 1 && found.iter().all(|(_, found)| found == value), || {
            format!("the form must have the parameter {name} once, with the value {value:?}; found {found:?}")
        })?;
    }
    let known =
        |name: &str| expected.iter().any(|(key, _)| *key == name) || name == "client_id" || name == "client_secret";
    let further: Vec<_> = form.iter().map(|(name, _)| name).filter(|name| !known(name)).collect();
    ensure(further.is_empty(), || format!("the form has parameters that are not expected: {further:?}"))
}

pub(super) fn allowed_origin(suite: &Conformance<'_>, request: &SentRequest) -> Outcome {
    let origin = request.url.origin().ascii_serialization();
    ensure(suite.origins.contains(&origin), || {
        format!("{request:?} went to {origin}: allow that with Conformance::api_origin, or use the base URL")
    })
}

pub(super) fn not_in_url(request: &SentRequest, secrets: &[&str]) -> Outcome {
    let url = form_decode(request.url.as_str());
    let found = secrets.iter().find(|secret| url.contains(**secret) || request.url.as_str().contains(**secret));
    ensure(found.is_none(), || format!("the URL of {request:?} must not contain a secret, code or token"))
}

/// Checks that the header is marked as sensitive, so that a transport does not log it.
fn sensitive(request: &SentRequest) -> Outcome {
    let marked = request.headers.get("authorization").is_none_or(http::HeaderValue::is_sensitive);
    ensure(marked, || format!("the Authorization header of {request:?} must be marked with HeaderValue::set_sensitive"))
}

pub(super) fn has_tokens(suite: &Conformance<'_>, tokens: &TokenSet, access: &str, refresh: Option<&str>) -> Outcome {
    let base = suite.provider.base_url();
    ensure(tokens.access_token.expose_for(base).map_err(text_of)? == access, || {
        "the TokenSet must have the access token of the response".to_owned()
    })?;
    let found = tokens.refresh_token.as_ref().map(|token| token.expose_for(base)).transpose().map_err(text_of)?;
    ensure(found == refresh, || format!("the TokenSet must have the refresh token {refresh:?}, but has {found:?}"))?;
    let shown = format!("{tokens:?} {tokens:#?}");
    ensure(!shown.contains(access) && refresh.is_none_or(|refresh| !shown.contains(refresh)), || {
        "the Debug output of the TokenSet must not contain tokens".to_owned()
    })
}
