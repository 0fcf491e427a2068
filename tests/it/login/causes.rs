//! The cause and audience of every error; and that no error repeats what a server sent.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use codehost_oauth::error::Audience::{self, Administrator, CodeHost, Operator, User};
use codehost_oauth::error::{Error, ResponseError, TransportError};
use codehost_oauth::provider::ApiRequest;
use codehost_oauth::testing;
use codehost_oauth::{Callback, PendingLogin};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http::{self, CannedHttp};
use crate::support::fixture;
use crate::support::scripted::Scripted;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain";

/// The call that gets the response.
#[derive(Clone, Copy, Debug)]
enum Call {
    Exchange,
    Refresh,
    User,
}
use Call::{Exchange, Refresh, User as Lookup};

/// Platform, call, status, content type, body, and then code, audience and flags of the error.
type Row = (&'static str, Call, u16, &'static str, String, &'static str, Audience, &'static str);

/// The flags of an error: `t` transient, `l` needs a login.
fn flags(error: &Error) -> String {
    let flag = |set: bool, letter: &'static str| if set { letter } else { "" };
    format!("{}{}", flag(error.advice().is_transient, "t"), flag(error.advice().needs_login, "l"))
}

async fn call(scripted: &Scripted, at: Call) -> Error {
    match at {
        Exchange => scripted.exchange_error().await,
        Refresh => scripted.refresh().await.unwrap_err(),
        Lookup => scripted.user().await.unwrap_err(),
    }
}

fn scripted(platform: &str) -> Scripted {
    match platform {
        "gitlab" => Scripted::gitlab("https://git.example.com/gitlab"),
        _ => Scripted::bitbucket(),
    }
}

/// Every cause that a response of a code host can have, with the response.
#[tokio::test]
async fn every_response_has_its_cause_and_audience() {
    let bitbucket = |name: &str| fixture::text(&format!("bitbucket/{name}.json"));
    let oauth = |error: &str| format!(r#"{{"error":"{error}"}}"#);
    let message = |text: &str| format!(r#"{{"message":"{text}"}}"#);
    let forbidden = |text: &str| message(&format!("403 Forbidden - {text}"));
    let expired = r#"{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}"#;
    let revoked =
        r#"{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}"#;
    let scope = r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"read_user api"}"#;
    let limited = r#"{"message":{"error":"This endpoint has been requested too many times. Try again later."}}"#;
    let terms = "You (@jane) must accept the Terms of Service in order to perform this action.";
    let none = String::new;
    let rows: Vec<Row> = vec![
        // Wrong client id or secret; code or refresh token used up; scope; grant.
        ("gitlab", Exchange, 401, JSON, oauth("invalid_client"), "client_rejected", Administrator, ""),
        ("gitlab", Refresh, 401, JSON, oauth("invalid_client"), "client_rejected", Administrator, ""),
        ("gitlab", Exchange, 400, JSON, oauth("invalid_grant"), "code_rejected", User, ""),
        ("gitlab", Exchange, 401, JSON, oauth("invalid_grant"), "code_rejected", User, ""),
        ("gitlab", Refresh, 400, JSON, oauth("invalid_grant"), "refresh_rejected", User, "l"),
        ("gitlab", Exchange, 400, JSON, oauth("invalid_scope"), "scope_not_enabled", Administrator, ""),
        ("gitlab", Exchange, 401, JSON, oauth("unauthorized_client"), "grant_not_allowed", Administrator, ""),
        ("gitlab", Exchange, 400, JSON, oauth("invalid_request"), "token_refused", Administrator, ""),
        // Bitbucket's response is the same for a wrong secret and for a dead refresh token.
        (
            "bitbucket",
            Exchange,
            400,
            JSON,
            bitbucket("token_unauthorized_client"),
            "client_rejected",
            Administrator,
            "",
        ),
        ("bitbucket", Refresh, 400, JSON, bitbucket("token_unauthorized_client"), "refresh_rejected", User, "l"),
        (
            "bitbucket",
            Exchange,
            400,
            JSON,
            bitbucket("token_no_callback_uri"),
            "callback_url_rejected",
            Administrator,
            "",
        ),
        // Both shapes of 401.
        ("gitlab", Lookup, 401, JSON, message("401 Unauthorized"), "token_rejected", User, "l"),
        ("gitlab", Lookup, 401, JSON, expired.to_owned(), "token_expired", User, ""),
        ("gitlab", Lookup, 401, JSON, revoked.to_owned(), "token_revoked", User, "l"),
        ("bitbucket", Lookup, 401, JSON, bitbucket("error_token_expired"), "token_expired", User, ""),
        ("bitbucket", Lookup, 401, JSON, bitbucket("error_token_invalid"), "token_rejected", User, "l"),
        // Both shapes of 403, and every reason.
        ("gitlab", Lookup, 403, JSON, scope.to_owned(), "scope_missing", Administrator, ""),
        ("bitbucket", Lookup, 403, JSON, bitbucket("error_missing_scope"), "scope_missing", Administrator, ""),
        ("gitlab", Lookup, 403, JSON, forbidden(terms), "terms_not_accepted", User, ""),
        ("gitlab", Lookup, 403, JSON, forbidden("Your account has been blocked."), "account_blocked", User, ""),
        (
            "gitlab",
            Lookup,
            403,
            JSON,
            forbidden("Your account has been deactivated by your administrator."),
            "account_deactivated",
            User,
            "",
        ),
        (
            "gitlab",
            Lookup,
            403,
            JSON,
            forbidden("Your account is pending approval from your administrator and hence blocked."),
            "account_pending_approval",
            User,
            "",
        ),
        (
            "gitlab",
            Lookup,
            403,
            JSON,
            forbidden("Your primary email address is not confirmed. In case the link is expired, request another."),
            "account_unconfirmed",
            User,
            "",
        ),
        ("gitlab", Lookup, 403, JSON, forbidden("Your password expired."), "account_password_expired", User, ""),
        (
            "gitlab",
            Lookup,
            403,
            JSON,
            forbidden("This action cannot be performed by internal users"),
            "account_not_a_person",
            User,
            "",
        ),
        ("gitlab", Lookup, 403, JSON, message("403 Forbidden"), "forbidden", Administrator, ""),
        ("bitbucket", Lookup, 403, JSON, none(), "forbidden", Administrator, ""),
        // The service as a whole.
        (
            "gitlab",
            Refresh,
            403,
            JSON,
            message("You cannot perform write operations on a read-only instance"),
            "read_only",
            CodeHost,
            "t",
        ),
        ("gitlab", Exchange, 429, TEXT, "Retry later".to_owned(), "rate_limited", CodeHost, "t"),
        ("gitlab", Refresh, 429, JSON, limited.to_owned(), "rate_limited", CodeHost, "t"),
        ("bitbucket", Lookup, 429, JSON, bitbucket("error_rate_limited"), "rate_limited", CodeHost, "t"),
        ("bitbucket", Lookup, 429, "", none(), "rate_limited", CodeHost, "t"),
        ("gitlab", Refresh, 500, HTML, none(), "code_host_down", CodeHost, "t"),
        ("gitlab", Lookup, 502, HTML, "<h1>Whoops</h1>".to_owned(), "code_host_down", CodeHost, "t"),
        ("gitlab", Lookup, 503, JSON, message("read-only"), "code_host_down", CodeHost, "t"),
        ("bitbucket", Lookup, 410, JSON, bitbucket("error_gone"), "endpoint_removed", Operator, ""),
        // Not the platform at all.
        ("gitlab", Lookup, 200, HTML, "<html>Sign in</html>".to_owned(), "html", Administrator, ""),
        ("gitlab", Exchange, 403, HTML, "<html>Sign in to continue</html>".to_owned(), "html", Administrator, ""),
        ("gitlab", Exchange, 404, HTML, "<html>Not found</html>".to_owned(), "html", Administrator, ""),
        ("gitlab", Exchange, 404, HTML, none(), "api_not_found", Administrator, ""),
        ("gitlab", Exchange, 301, HTML, none(), "redirect", Administrator, ""),
        ("gitlab", Lookup, 302, HTML, "<html>".to_owned(), "redirect", Administrator, ""),
        ("gitlab", Lookup, 200, TEXT, "ok".to_owned(), "not_json", Administrator, ""),
        ("gitlab", Refresh, 200, JSON, none(), "malformed", CodeHost, ""),
        ("gitlab", Refresh, 200, "", none(), "malformed", CodeHost, ""),
        ("gitlab", Refresh, 204, "", none(), "malformed", CodeHost, ""),
        ("gitlab", Refresh, 401, "", none(), "unexpected_status", CodeHost, ""),
        ("gitlab", Refresh, 401, TEXT, "Authorization Required".to_owned(), "not_json", Administrator, ""),
        ("gitlab", Lookup, 200, JSON, " ".repeat(512 * 1024 + 1), "too_large", CodeHost, ""),
        ("gitlab", Refresh, 200, JSON, " ".repeat(256 * 1024 + 1), "too_large", CodeHost, ""),
    ];
    for (platform, at, status, media, body, code, audience, expected_flags) in rows {
        let scripted = scripted(platform);
        let headers: Vec<_> = [("content-type", media)].into_iter().filter(|(_, media)| !media.is_empty()).collect();
        scripted.respond_to_all(status, &headers, body.clone());
        let error = call(&scripted, at).await;
        let row = format!("{platform} {at:?} {status} {}", body.chars().take(60).collect::<String>());
        assert_eq!((error.code(), error.advice().audience), (code, audience), "{row}");
        assert_eq!(flags(&error), expected_flags, "{row}");
        assert!(!error.advice().hint.is_empty() && !error.advice().public_message.is_empty(), "{row}");
        assert_eq!(error.advice().retry_after, None, "{row}");
        assert_eq!(error.summary().is_some(), code != "too_large", "{row}");
    }
}

/// There is no response to summarize. The public message is the same for all, so that it tells nothing about the app's network.
#[tokio::test]
async fn every_network_failure_has_its_cause_and_the_same_public_message() {
    let mut public = BTreeSet::new();
    for (failure, code, audience, transient) in [
        (TransportError::TlsUntrusted, "tls_untrusted", Administrator, false),
        (TransportError::TlsMissingIntermediate, "tls_missing_intermediate", Administrator, false),
        (TransportError::TlsExpired, "tls_expired", Administrator, false),
        (TransportError::TlsNotYetValid, "tls_not_yet_valid", Administrator, false),
        (TransportError::TlsWrongName, "tls_wrong_name", Administrator, false),
        (TransportError::TlsCommonNameOnly, "tls_common_name_only", Administrator, false),
        (TransportError::TlsCertificate, "tls_certificate", Administrator, false),
        (TransportError::NameLookupTimedOut, "name_lookup_timed_out", Operator, true),
        (TransportError::Tls, "tls_failed", Administrator, false),
        (TransportError::NameNotFound, "name_not_found", Administrator, true),
        (TransportError::Unreachable, "unreachable", Administrator, true),
        (TransportError::TimedOut, "timed_out", CodeHost, true),
        (TransportError::NameNotAllowed, "name_not_allowed", Operator, false),
        (TransportError::PlainHttp, "plain_http", Administrator, false),
        (TransportError::NoTls, "no_tls", Operator, false),
        (TransportError::Interrupted, "interrupted", CodeHost, true),
        (TransportError::Busy, "busy", Operator, true),
        (TransportError::Protocol, "not_http", CodeHost, false),
        (TransportError::Encoded, "encoded", CodeHost, false),
        (TransportError::Redirected, "redirect_followed", Operator, false),
    ] {
        for (platform, at) in [("gitlab", Exchange), ("gitlab", Refresh), ("bitbucket", Refresh), ("bitbucket", Lookup)]
        {
            let scripted = scripted(platform);
            scripted.http.otherwise_fail(failure.clone());
            let error = call(&scripted, at).await;
            assert_eq!((error.code(), error.advice().audience), (code, audience), "{platform} {at:?}");
            assert_eq!(
                (error.advice().is_transient, error.advice().needs_login),
                (transient, false),
                "{platform} {at:?} {code}"
            );
            assert!(error.summary().is_none());
            public.insert(error.advice().public_message.into_owned());
        }
    }
    assert_eq!(public.len(), 1, "{public:?}");
}

/// Each hint names the setting or part that the reader must look at.
#[test]
fn hints_name_what_to_check() {
    for (cause, words) in [
        (TransportError::TimedOut, &["firewall", "port", "time-out"][..]),
        (TransportError::Unreachable, &["firewall", "port"]),
        (TransportError::NameLookupTimedOut, &["name servers"]),
        (TransportError::TlsMissingIntermediate, &["fullchain.pem", "PEM"]),
        (TransportError::TlsUntrusted, &["PEM"]),
        (TransportError::TlsExpired, &["Renew"]),
        (TransportError::TlsNotYetValid, &["clocks"]),
        (TransportError::TlsWrongName, &["base URL"]),
        (TransportError::TlsCommonNameOnly, &["subjectAltName"]),
    ] {
        let hint = cause.advice().hint;
        assert!(words.iter().all(|word| hint.contains(word)), "{cause:?}: {hint}");
    }
}

/// The page of a bot protection is neither an outage nor a page of the code host.
#[tokio::test]
async fn a_bot_challenge_has_its_own_cause() {
    let cloudflare =
        "<!DOCTYPE html><title>Just a moment...</title><script src=/cdn-cgi/challenge-platform/x></script>";
    let anubis = "<html><script src=\"/.within.website/x/cmd/anubis/static/js/main.mjs\"></script></html>";
    for (status, headers, body, expected) in [
        (200, &[("content-type", HTML)][..], anubis, "bot_challenge"),
        (401, &[("content-type", HTML)], anubis, "bot_challenge"),
        (403, &[("content-type", HTML)], anubis, "bot_challenge"),
        (403, &[("content-type", HTML), ("cf-mitigated", "challenge")], "<html></html>", "bot_challenge"),
        (503, &[("content-type", HTML), ("cf-mitigated", "challenge")], "", "bot_challenge"),
        (429, &[("content-type", HTML), ("cf-mitigated", "challenge")], "", "bot_challenge"),
        (200, &[("content-type", HTML), ("cf-mitigated", "challenge")], "", "bot_challenge"),
        (403, &[("content-type", HTML)], cloudflare, "bot_challenge"),
        (503, &[("content-type", HTML)], cloudflare, "bot_challenge"),
        (503, &[("content-type", HTML)], "<html>Checking your Browser before accessing</html>", "bot_challenge"),
        (403, &[("content-type", HTML)], "<html><div class=\"g-recaptcha\"></div></html>", "bot_challenge"),
        (
            403,
            &[("content-type", HTML)],
            "<html><script src=https://ct.captcha-delivery.com/c.js></html>",
            "bot_challenge",
        ),
        (503, &[("content-type", HTML)], "<html>Down for maintenance</html>", "code_host_down"),
        (502, &[("content-type", HTML)], cloudflare, "code_host_down"),
        (403, &[("content-type", HTML)], "<html>Forbidden</html>", "html"),
        (200, &[("content-type", HTML)], cloudflare, "html"),
    ] {
        for (platform, at) in [("gitlab", Exchange), ("gitlab", Refresh), ("bitbucket", Refresh), ("bitbucket", Lookup)]
        {
            let scripted = scripted(platform);
            scripted.respond_to_all(status, headers, body);
            let error = call(&scripted, at).await;
            assert_eq!(error.code(), expected, "{platform} {at:?} {status} {body}");
            if expected == "bot_challenge" {
                assert_eq!((error.advice().is_transient, error.advice().needs_login), (false, false));
                assert_eq!(error.advice().audience, Administrator);
            }
        }
    }
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_or_as_a_date_and_bounded() {
    const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
    for (header, expected) in [
        (Some("60"), Some(60)),
        (Some(" 7 "), Some(7)),
        (Some("0"), Some(0)),
        (Some("901"), Some(900)),
        (Some("18446744073709551615"), Some(900)),
        (Some("99999999999999999999"), None),
        (Some("-1"), None),
        (Some("1.5"), None),
        // Dates are compared with the server's own clock, in each of the three formats (RFC 9110 section 5.6.7).
        (Some("Wed, 21 Oct 2026 07:28:30 GMT"), Some(30)),
        (Some("Wednesday, 21-Oct-26 07:30:00 GMT"), Some(120)),
        (Some("Wed Oct 21 07:28:07 2026"), Some(7)),
        (Some("Wed, 21 Oct 2026 07:27:00 GMT"), Some(0)),
        (Some("Thu, 22 Oct 2026 07:28:00 GMT"), Some(900)),
        (Some("Wed, 21 Oct 2026 07:28:30"), None),
        (Some("tomorrow"), None),
        (Some(""), None),
        (None, None),
    ] {
        for (status, media) in [(429, TEXT), (429, JSON), (503, HTML), (503, JSON)] {
            for platform in ["gitlab", "bitbucket"] {
                let scripted = scripted(platform);
                let mut headers = vec![("content-type", media), ("date", DATE)];
                headers.extend(header.map(|value| ("retry-after", value)));
                scripted.respond_to_all(status, &headers, "{}");
                let error = call(&scripted, Refresh).await;
                assert_eq!(error.advice().retry_after, expected.map(Duration::from_secs), "{status} {header:?}");
                assert!(error.advice().is_transient);
            }
        }
    }
}

/// Without a valid `Date`, our own clock is used; a value that a provider sets is bounded as well.
#[tokio::test]
async fn retry_after_is_bounded_without_a_date_header() {
    for date in [None, Some("yesterday")] {
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let scripted = scripted("gitlab");
        let mut headers = vec![("retry-after", soon.as_str())];
        headers.extend(date.map(|date| ("date", date)));
        scripted.respond_to_all(503, &headers, "");
        let wait = call(&scripted, Refresh).await.advice().retry_after.unwrap();
        assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
    }
    let long = Some(Duration::from_secs(86400));
    for error in [ResponseError::RateLimited { retry_after: long }, ResponseError::Unavailable { retry_after: long }] {
        assert_eq!(error.advice().retry_after, Some(Duration::from_secs(900)), "{error:?}");
    }
}

/// `ApiResponse` is what an app's own provider works with.
#[tokio::test]
async fn an_api_response_is_read_strictly_and_debug_shows_its_status() {
    let headers = [("content-type", JSON), ("x-once", "a b"), ("x-twice", "a"), ("x-twice", "a"), ("x-odd", "\u{e9}")];
    let http = CannedHttp::new(move |_| canned_http::response(200, &headers, r#"{"id":7}"#));
    let request = || ApiRequest::get(&"https://git.example.com/x".parse().unwrap()).max_body(64);
    let response = request().send(&http).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text()), (200, r#"{"id":7}"#));
    let found = ["x-once", "X-ONCE", "x-twice", "x-odd", "x-none"].map(|name| response.header(name));
    assert_eq!(found, [Some("a b"), Some("a b"), None, None, None]);
    assert_eq!(response.json::<serde_json::Value>().unwrap()["id"], 7);
    assert_eq!(format!("{response:?}"), "ApiResponse { status: 200, .. }");

    let http = CannedHttp::new(move |_| canned_http::response(400, &[("content-type", JSON)], r#"{"id":7}"#));
    let response = request().send(&http).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.json_or_default::<serde_json::Value>()["id"].as_u64()),
        (400, Some(7))
    );

    // Bytes that are not text.
    let bytes = |status: u16, media: &'static str| {
        CannedHttp::new(move |_| {
            Ok(http::Response::builder().status(status).header("content-type", media).body(vec![0xff]).unwrap())
        })
    };
    for (status, media, code) in [(200, JSON, "malformed"), (401, TEXT, "not_json"), (503, JSON, "code_host_down")] {
        assert_eq!(request().send(&bytes(status, media)).await.unwrap_err().code(), code, "{status} {media}");
    }
    for media in [JSON, TEXT] {
        let response = request().send(&bytes(400, media)).await.unwrap();
        assert_eq!((response.text(), response.json_or_default::<serde_json::Value>()), ("", serde_json::Value::Null));
    }
}

/// An administrator must know the target; the rest of the URL may hold secrets.
#[tokio::test]
async fn a_redirect_error_names_only_the_origin_of_its_target() {
    // The longest name that DNS takes has 253 characters.
    let [longest, too_long] =
        ["com", "comm"].map(|end| format!("https://{}{end}:65535", "a.".repeat(125)).leak() as &str);
    assert_eq!(longest.len(), 267);
    for (location, expected) in [
        (Some("https://login.example.com/x?code=abc#y"), Some("https://login.example.com")),
        (Some("HTTP://10.0.0.5:8080/"), Some("http://10.0.0.5:8080")),
        (Some("https://user:abc@login.example.com/"), Some("https://login.example.com")),
        (Some("/elsewhere?code=abc"), None),
        (Some("javascript:abc"), None),
        (Some("ftp://login.example.com/"), None),
        (Some("\u{e9}"), None),
        (Some(longest), Some(longest)),
        (Some(too_long), None),
        (None, None),
    ] {
        let http = CannedHttp::new(move |_| {
            let headers: Vec<_> = location.map(|location| ("location", location)).into_iter().collect();
            canned_http::response(302, &headers, "")
        });
        let request = ApiRequest::get(&"https://git.example.com/x".parse().unwrap());
        let error = request.send(&http).await.unwrap_err();
        assert!(!all_texts(&error).contains("abc"), "{error:?}");
        let Error::Response { cause: ResponseError::Redirect { to }, .. } = error else { panic!("{error:?}") };
        assert_eq!(to.as_deref(), expected, "{location:?}");
    }
}

#[test]
fn every_callback_error_has_its_cause_and_audience() {
    let begin = || {
        let scripted = scripted("gitlab");
        let integration = scripted.integration();
        let pending = integration.begin_login(None).leak_checked().unwrap().pending;
        let stored: serde_json::Value = serde_json::to_value(&pending).unwrap();
        let state = stored["state"].as_str().unwrap().to_owned();
        (integration, pending, state)
    };
    let verify = |path: &str, query: &str, now: SystemTime| -> Error {
        let (integration, pending, state) = begin();
        let uri = format!("{path}?{}", query.replace("STATE", &state)).parse().unwrap();
        match Callback::from_uri(&uri).leak_checked() {
            Ok(callback) => testing::verify(&integration, pending, callback, now).leak_checked().unwrap_err().into(),
            Err(error) => error.into(),
        }
    };
    let (path, now) = ("/app/oauth/callback/gitlab/demo", SystemTime::now());
    for (query, code, audience) in [
        ("error=access_denied&state=STATE", "denied", User),
        ("error=invalid_scope&state=STATE", "scope_not_enabled", Administrator),
        ("error=server_error&state=STATE", "authorization_unavailable", CodeHost),
        ("error=unauthorized_client&state=STATE", "authorization_refused", Administrator),
        ("error=access_denied&state=other", "state_unknown", User),
        ("code=c&state=other", "state_unknown", User),
        ("code=c", "state_missing", User),
        ("code=c&state=", "state_missing", User),
        ("state=STATE", "code_missing", User),
        ("code=&state=STATE", "code_malformed", User),
        ("code=c&state=STATE&iss=https://evil.test", "other_issuer", Administrator),
        ("code=c&code=d&state=STATE", "callback_repeated", User),
        ("code=c&error=access_denied&state=STATE", "callback_code_and_error", User),
        ("access_token=a&state=STATE", "callback_implicit", User),
        ("code=%FF&state=STATE", "callback_encoding", User),
    ] {
        let error = verify(path, query, now);
        assert_eq!((error.code(), error.advice().audience), (code, audience), "{query}");
        assert!(!error.advice().needs_login && error.summary().is_none(), "{query}");
    }
    let error = verify(path, "error=Zq9mark&error_description=Zq9mark&state=STATE", now);
    assert!(error.code() == "authorization_refused" && !all_texts(&error).contains("Zq9mark"), "{error:?}");
    let error = verify("/app/oauth/callback/gitlab/other", "code=c&state=STATE", now);
    assert_eq!((error.code(), error.advice().audience), ("other_callback_url", Operator));
    let error = verify(path, "code=c&state=STATE", now + Duration::from_secs(3660));
    assert_eq!((error.code(), error.advice().audience), ("login_expired", User));
    let error = verify(path, "code=c&state=STATE", now - Duration::from_secs(60));
    assert_eq!((error.code(), error.advice().audience), ("clock", Operator));
}

/// Text of a server, in any place of a response, is in none of an error's own texts, only in the members of its summary.
#[tokio::test]
async fn no_error_shows_what_a_server_sent() {
    // Letters only, so that no escaping hides it.
    const MARK: &str = "Zq9markZq9";
    let bodies = [
        MARK.to_owned(),
        format!("{MARK:?}"),
        format!("[{MARK:?}]"),
        format!("<html>{MARK}</html>"),
        format!(r#"{{"error":"{MARK}","error_description":"{MARK}","scope":"{MARK}","message":"{MARK}"}}"#),
        format!(r#"{{"error":"invalid_grant","error_description":"{MARK}"}}"#),
        format!(r#"{{"error":"invalid_client","error_description":{{"{MARK}":"{MARK}"}}}}"#),
        format!(r#"{{"error":"invalid_request","error_description":"callback uri {MARK}"}}"#),
        format!(r#"{{"error":"invalid_token","error_description":"Token is expired {MARK}"}}"#),
        format!(r#"{{"error":"insufficient_scope","scope":"{MARK} read_user"}}"#),
        format!(r#"{{"error":{{"message":"{MARK}","detail":{{"required":["{MARK}"],"granted":["{MARK}"]}}}}}}"#),
        format!(r#"{{"error":{{"message":"access token expired {MARK}","detail":"{MARK}"}}}}"#),
        format!(r#"{{"error":{{"message":"{MARK}","data":{{"announcement_url":"https://{MARK}/"}}}}}}"#),
        format!(r#"{{"message":"403 Forbidden - blocked {MARK}"}}"#),
        format!(r#"{{"message":"403 Forbidden - Terms of Service https://git.example.com/gitlab/{MARK}"}}"#),
        format!(r#"{{"message":"403 Forbidden - {MARK}"}}"#),
        format!(r#"{{"message":"read-only instance {MARK}"}}"#),
        format!(r#"{{"access_token":"{MARK} ","token_type":"bearer"}}"#),
        format!(r#"{{"access_token":"a","token_type":"{MARK}"}}"#),
        format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":"{MARK}"}}"#),
        format!(r#"{{"access_token":"a","token_type":"bearer","scope":"\"{MARK}"}}"#),
        format!(r#"{{"access_token":"a","token_type":"bearer","refresh_token":["{MARK}"]}}"#),
        format!(r#"{{"{MARK}":1,"{MARK}":2}}"#),
        format!(r#"{{"id":"{MARK}","uuid":"{MARK}","username":"{MARK}"}}"#),
        format!(r#"{{"id":1,"uuid":"{{{MARK}}}","name":"{MARK}\u0000","created_on":"{MARK}\n"}}"#),
        format!(r#"{{"id":1,"email":{{"{MARK}":1}},"values":"{MARK}","next":{{"{MARK}":1}}}}"#),
    ];
    let (mut codes, mut refused) = (BTreeSet::new(), 0);
    for body in &bodies {
        for status in [200, 201, 302, 400, 401, 403, 404, 409, 410, 418, 429, 500, 503] {
            for media in [JSON, HTML, TEXT, MARK] {
                for platform in ["gitlab", "bitbucket"] {
                    let headers = [
                        ("content-type", media),
                        ("www-authenticate", MARK),
                        ("x-request-id", MARK),
                        ("retry-after", MARK),
                        ("location", "https://Zq9markZq9@other.example.com/Zq9markZq9?Zq9markZq9#Zq9markZq9"),
                    ];
                    let scripted = scripted(platform);
                    scripted.respond_to_all(status, &headers, body.clone());
                    let calls =
                        [scripted.log_in().await.err(), scripted.refresh().await.err(), scripted.user().await.err()];
                    for error in calls.into_iter().flatten() {
                        assert!(!all_texts(&error).contains(MARK), "{platform} {status} {media} {body}: {error:?}");
                        codes.insert(error.code());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 7000 && codes.len() > 20, "{refused} errors of {} kinds: {codes:?}", codes.len());

    let scripted = scripted("gitlab");
    scripted.respond_to_all(400, &[("content-type", JSON), ("x-request-id", MARK)], bodies[5].clone());
    let error = scripted.refresh().await.unwrap_err();
    let response = error.summary().unwrap();
    assert_eq!(response.request_id().unwrap().sanitized(), MARK);
    assert_eq!(response.description().unwrap().sanitized(), MARK);
    assert_eq!(response.error().unwrap().sanitized(), "invalid_grant");
}

/// All texts of an error, without the summary of the response.
fn all_texts(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {} {}", error.advice().hint, error.advice().public_message);
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

#[test]
fn debug_of_a_pending_login_shows_no_secret() {
    let integration = scripted("gitlab").integration();
    let pending: PendingLogin = integration.begin_login(None).leak_checked().unwrap().pending;
    let stored = serde_json::to_value(&pending).unwrap();
    for member in ["state", "verifier"] {
        assert!(!format!("{pending:?} {pending:#?}").contains(stored[member].as_str().unwrap()), "{member}");
    }
}
