//! Checks how a provider handles invalid responses, and that its errors contain no text of them.

use std::time::Duration;

use super::requests::has_tokens;
use super::{
    ApiCall, CODE, Conformance, Flow, NEW_ACCESS, NEW_REFRESH, OLD_ACCESS, OLD_REFRESH, Outcome, SECRET, SERVER_TEXT,
    all_texts, ensure, text_of,
};
use crate::error::{Error, TransportError};
use crate::testing::ScriptedTransport;
use crate::values::user::EmailList;

pub(super) async fn junk(suite: &Conformance<'_>) -> Outcome {
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let html: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let page = format!("<html>{SERVER_TEXT}</html>");
    let deep = format!(r#"{{"error_description":{}"#, "[".repeat(100_000));
    let redirect = format!("https://{}/?code={SERVER_TEXT}", suite.provider.base_url().authority());
    let location: &[(&str, &str)] = &[("content-type", "application/json"), ("location", &redirect)];
    let rows: [Junk<'_>; 30] = [
        ("a web page", 200, html, page.clone(), "html"),
        ("a web page with status 403, as a CDN sends", 403, html, page.clone(), "html"),
        ("a web page with status 404", 404, html, page.clone(), "html"),
        ("a redirect by 301", 301, location, String::new(), "redirect"),
        ("a redirect by 302", 302, location, "{}".to_owned(), "redirect"),
        ("a redirect by 307", 307, location, String::new(), "redirect"),
        ("a redirect by 308 without a Location header", 308, &[], String::new(), "redirect"),
        ("an empty body without a content type", 200, &[], String::new(), "malformed"),
        ("an empty JSON body", 200, json, String::new(), "malformed"),
        ("a JSON object without members", 200, json, "{}".to_owned(), "malformed"),
        ("a JSON string", 200, json, format!("{SERVER_TEXT:?}"), "malformed"),
        ("a JSON array", 200, json, format!("[{SERVER_TEXT:?}]"), "malformed"),
        ("the JSON value null", 200, json, "null".to_owned(), "malformed"),
        ("bytes that are not JSON", 200, json, SERVER_TEXT.to_owned(), "malformed"),
        ("a byte order mark", 200, json, "\u{FEFF}{}".to_owned(), "malformed"),
        ("100,000 nested arrays", 200, json, deep, "malformed"),
        ("plain text", 200, text, SERVER_TEXT.to_owned(), "not_json"),
        (
            "an object without tokens as application/jsonp",
            200,
            &[("content-type", "application/jsonp")],
            "{}".to_owned(),
            "malformed",
        ),
        (
            "two content types, one of them text/html",
            200,
            &[("content-type", "application/json"), ("content-type", "text/html")],
            "<html></html>".to_owned(),
            "html",
        ),
        ("an object without tokens and without a content type", 200, &[], "{}".to_owned(), "malformed"),
        ("status 201 without tokens", 201, json, "{}".to_owned(), "malformed|unexpected_status"),
        ("status 204", 204, &[], String::new(), "malformed"),
        ("status 206 without tokens", 206, json, "{}".to_owned(), "malformed|unexpected_status"),
        ("a rate limit in plain text", 429, text, format!("Retry later {SERVER_TEXT}"), "rate_limited"),
        ("a rate limit in JSON", 429, json, format!(r#"{{"message":{{"error":{SERVER_TEXT:?}}}}}"#), "rate_limited"),
        ("status 500 without a body", 500, html, String::new(), "code_host_down"),
        ("status 502 with a web page", 502, html, page.clone(), "code_host_down"),
        ("status 503 in JSON", 503, json, format!(r#"{{"error":{SERVER_TEXT:?}}}"#), "code_host_down"),
        ("status 504 without a content type", 504, &[], String::new(), "code_host_down"),
        ("a response of 16 MiB", 200, json, " ".repeat(16 * 1024 * 1024), "too_large"),
    ];
    for (what, status, headers, body, expected) in rows {
        let http = ScriptedTransport::new();
        http.otherwise(status, headers, body);
        for (call, error) in errors(suite, &http).await? {
            ensure(expected.split('|').any(|expected| error.code() == expected), || {
                let expected = expected.replace('|', " or ");
                format!("{call}, {what}: the error code must be {expected}, found {}", error.code())
            })?;
            ensure(!error.advice().needs_login, || {
                format!(
                    "{call}, {what}: the error must not require a new login, since the response is not the platform's"
                )
            })?;
        }
    }
    let http = ScriptedTransport::new();
    http.otherwise(429, &[("content-type", "text/plain"), ("retry-after", "7")], "Retry later");
    for (call, error) in errors(suite, &http).await? {
        let wait = error.advice().retry_after;
        ensure(wait == Some(Duration::from_secs(7)), || {
            format!("{call}: advice().retry_after must be the 7 s of the header Retry-After, found {wait:?}")
        })?;
    }
    Ok(())
}

/// Description, status, headers, body, and the error codes that are allowed, separated by `|`.
type Junk<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], String, &'a str);

/// An unexpected member that does not concern the access token must not be an error: after a refresh the new tokens
/// would be lost, and the old refresh token is used up.
pub(super) async fn odd_tokens(suite: &Conformance<'_>) -> Outcome {
    let whole = suite.tokens(NEW_ACCESS, Some(NEW_REFRESH))?;
    let with = |name: &str, value: &str| -> Result<String, String> {
        let mut response: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&whole).map_err(text_of)?;
        match value {
            "" => response.remove(name),
            value => response.insert(name.to_owned(), serde_json::from_str(value).map_err(text_of)?),
        };
        Ok(serde_json::Value::Object(response).to_string())
    };
    for (name, values) in [
        ("expires_in", &["", "null", "0", "-1", "\"7200\"", "\"\"", "\"soon\"", "[]", "true"][..]),
        ("scope", &["", "null", "[\"a\",\"b\"]", "\"a \\u00e9 \\\" b\"", "7", "{}"]),
        ("token_type", &["", "null", "\"\"", "\"BEARER\"", "\"mac\"", "7"]),
        ("error", &["null", "\"\""]),
        ("created_at", &["\"now\"", "{}"]),
        ("something_new", &["[[[1]]]", "\"\\u0000\""]),
    ] {
        for value in values {
            let what = format!("a response with {name}: {value}");
            refresh_gives(suite, &what, 200, JSON, &with(name, value)?, NEW_REFRESH).await?;
        }
    }
    for value in ["null", "\"\"", "7", "\"a b\""] {
        let what = format!("a response with refresh_token: {value}");
        refresh_gives(suite, &what, 200, JSON, &with("refresh_token", value)?, OLD_REFRESH).await?;
    }
    for (status, media) in [(201, JSON), (202, JSON), (200, "text/plain"), (200, "application/vnd.api+json"), (200, "")]
    {
        let what = format!("tokens with status {status} and the media type {media:?}");
        refresh_gives(suite, &what, status, media, &whole, NEW_REFRESH).await?;
    }
    Ok(())
}

const JSON: &str = "application/json";

/// Checks that a refresh accepts this response, and returns its access token and the refresh token `refresh`.
async fn refresh_gives(
    suite: &Conformance<'_>,
    what: &str,
    status: u16,
    media: &str,
    body: &str,
    refresh: &str,
) -> Outcome {
    let flow = Flow::new(suite.provider)?;
    let http = ScriptedTransport::new();
    let headers = [("content-type", media)];
    http.respond(&suite.token_path, status, if media.is_empty() { &[] } else { &headers }, body);
    let tokens = suite.provider.refresh(&http, &flow.client, &flow.refresh_token()?, &flow.callback_url).await;
    let tokens =
        tokens.map_err(|error| format!("refresh, {what}: must be accepted, found the error {}", error.code()))?;
    has_tokens(suite, &tokens, NEW_ACCESS, Some(refresh)).map_err(|text| format!("refresh, {what}: {text}"))
}

/// A response that was cut off at any byte must be an error.
pub(super) async fn truncated(suite: &Conformance<'_>) -> Outcome {
    let tokens = suite.tokens(NEW_ACCESS, Some(NEW_REFRESH))?;
    for cut in prefixes(&tokens) {
        let flow = Flow::new(suite.provider)?;
        let http = suite.with_tokens(cut);
        let token = flow.refresh_token()?;
        let error = suite.provider.refresh(&http, &flow.client, &token, &flow.callback_url).await.err();
        let error =
            error.ok_or_else(|| format!("refresh: a response that ends after {} bytes must be an error", cut.len()))?;
        has_no_secret("refresh", &error, &[])?;
    }
    for (index, ApiCall { path, response, .. }) in suite.api.iter().enumerate() {
        for cut in prefixes(response.trim_end()) {
            let http = ScriptedTransport::new();
            for other in 0..suite.api.len() {
                suite.queue(&http, other, (other == index).then_some(cut));
            }
            let token = Flow::new(suite.provider)?.access_token()?;
            match suite.provider.user(&http, &token).await {
                Err(error) => has_no_secret("user", &error, &[])?,
                // The user's identity does not depend on the e-mail addresses.
                Ok(user) => ensure(index > 0 && user.email_list != EmailList::Complete, || {
                    format!("user: a response of {path} that ends after {} bytes must be an error", cut.len())
                })?,
            }
        }
    }
    Ok(())
}

/// A failed connection must be reported with its cause, after one attempt for each path.
pub(super) async fn lost(suite: &Conformance<'_>) -> Outcome {
    for failure in [
        TransportError::TimedOut,
        TransportError::Interrupted,
        TransportError::Unreachable,
        TransportError::TlsUntrusted,
        TransportError::NameNotFound,
        TransportError::NameNotAllowed,
    ] {
        let http = ScriptedTransport::new();
        http.otherwise_fail(failure.clone());
        for (call, error) in errors(suite, &http).await? {
            let same = matches!(&error, Error::Transport(found) if *found == failure);
            ensure(same, || {
                format!("{call}: the TransportError {failure:?} must be returned as it is, found {error:?}")
            })?;
        }
        let requests = http.requests();
        let tokens = requests.iter().filter(|request| request.url.path() == suite.token_path).count();
        ensure(tokens == 2, || {
            format!(
                "after {failure:?}, one exchange and one refresh must send one token request each, found {tokens} in total"
            )
        })?;
        let mut urls: Vec<_> = requests.iter().filter(|request| request.method == http::Method::GET).collect();
        let all = urls.len();
        urls.sort_by_key(|request| request.url.clone());
        urls.dedup_by_key(|request| request.url.clone());
        ensure(urls.len() == all, || format!("after {failure:?}, the look-up of a user must not repeat a request"))?;
    }
    Ok(())
}

/// Refusals by RFC 6749 section 5.2 and RFC 6750 section 3.1 that mean the same everywhere.
pub(super) async fn refusals(suite: &Conformance<'_>) -> Outcome {
    let json = &[("content-type", "application/json")];
    for status in [200, 400, 401] {
        for code in ["invalid_grant", "invalid_client", "invalid_request", "some_new_error"] {
            let http = ScriptedTransport::new();
            http.otherwise(status, json, format!(r#"{{"error":{code:?},"error_description":"{SERVER_TEXT}"}}"#));
            for (call, error) in errors(suite, &http).await? {
                if call == "user" {
                    continue;
                }
                let refused = matches!(error, Error::Token { .. });
                ensure(refused, || format!("{call}, {status} {code}: must be Error::Token, found {error:?}"))?;
                let must_end = call == "refresh" && code == "invalid_grant";
                ensure(!must_end || error.advice().needs_login, || {
                    format!("{call}, {status} {code}: the error must require a new login")
                })?;
                let must_not_end = call == "refresh" && code == "some_new_error";
                ensure(!must_not_end || !error.advice().needs_login, || {
                    format!("{call}, {status} {code}: the error must not require a new login")
                })?;
            }
        }
    }
    // Without an error code of RFC 6749, the response does not come from the platform's token endpoint.
    for (status, body) in [(400, ""), (401, ""), (403, ""), (401, r#"{"message":"401 Unauthorized"}"#), (404, "")] {
        let http = ScriptedTransport::new();
        http.otherwise(status, json, body);
        for (call, error) in errors(suite, &http).await? {
            let ends = error.advice().needs_login && call != "user";
            ensure(!ends, || {
                format!("{call}, {status} without an error code: the error must not require a new login")
            })?;
        }
    }
    let http = ScriptedTransport::new();
    http.otherwise(401, json, "");
    let token = Flow::new(suite.provider)?.access_token()?;
    let error = suite.provider.user(&http, &token).await.err();
    ensure(matches!(error, Some(Error::Api { .. })), || format!("user, 401: must be Error::Api, found {error:?}"))
}

/// The errors of all three calls. Checks that none of them contains a secret or a text of the server.
async fn errors(suite: &Conformance<'_>, http: &ScriptedTransport) -> Result<[(&'static str, Error); 3], String> {
    let unexpected = |call: &str| format!("{call}: a response that is not the platform's must be an error");
    let provider = suite.provider;
    let flow = Flow::new(provider)?;
    let (access, refresh) = (flow.access_token()?, flow.refresh_token()?);
    let (state, verifier) = (flow.state(), flow.verifier());
    let callback_url = flow.callback_url.clone();
    let (grant, client) = flow.grant(provider)?;
    let exchange = provider.exchange_code(http, &client, grant).await.err().ok_or_else(|| unexpected("exchange"))?;
    let refresh =
        provider.refresh(http, &client, &refresh, &callback_url).await.err().ok_or_else(|| unexpected("refresh"))?;
    let user = provider.user(http, &access).await.err().ok_or_else(|| unexpected("user"))?;
    let errors = [("exchange", exchange), ("refresh", refresh), ("user", user)];
    for (call, error) in &errors {
        has_no_secret(call, error, &[&state, &verifier])?;
    }
    Ok(errors)
}

fn has_no_secret(call: &str, error: &Error, secrets: &[&str]) -> Outcome {
    let texts = all_texts(error);
    let marks = [SECRET, CODE, OLD_ACCESS, OLD_REFRESH, NEW_ACCESS, NEW_REFRESH, SERVER_TEXT];
    let found = marks.iter().chain(secrets).find(|mark| texts.contains(**mark));
    ensure(found.is_none(), || format!("{call}: the error {} must not contain {found:?}", error.code()))
}

fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().filter_map(|(at, _)| text.get(..at))
}
