//! The app's own calls of the API, by `Integration::api_get` and `api_call`.

use codehost_oauth::error::TransportError;
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::{Access, AccessToken, Integration};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::IntegrationSetup;
use crate::support::scripted::outcome;

const TOKEN: &str = "canary-api-token";
const JSON: (&str, &str) = ("content-type", "application/json");

fn integration(platform: &str, base_url: &str, http: &ScriptedTransport) -> Integration {
    let setup = IntegrationSetup { access: Access::Read, ..IntegrationSetup::new(platform, base_url) };
    setup.build_with(http.clone())
}

fn token(integration: &Integration) -> AccessToken {
    AccessToken::new(TOKEN.to_owned(), integration.binding()).unwrap()
}

#[tokio::test]
async fn a_call_is_sent_below_the_api_url() {
    for (platform, base_url, url) in [
        ("gitlab", "https://git.example.com/gitlab", "https://git.example.com/gitlab/"),
        ("github", "https://github.com", "https://api.github.com/"),
        ("github", "https://git.example.com", "https://git.example.com/api/v3/"),
        ("bitbucket-cloud", "https://bitbucket.org", "https://api.bitbucket.org/"),
        ("forgejo", "https://codeberg.org", "https://codeberg.org/"),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(200, &[JSON], "[]");
        let integration = integration(platform, base_url, &http);
        let call = integration.api_get(&["a", "..", "b/../c", "?d#"]).query(&[("q", "x&y=1"), ("page", "2")]);
        call.query(&[("z", "ü")]).send(&token(&integration)).await.leak_checked().unwrap();
        let sent = &http.requests()[0];
        let path = "a/b%2F..%2Fc/%3Fd%23?q=x%26y%3D1&page=2&z=%C3%BC";
        assert_eq!((&sent.method, sent.url.as_str()), (&Method::GET, format!("{url}{path}").as_str()));
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert!(sent.headers["authorization"].is_sensitive());
        assert_eq!((sent.header("accept"), sent.body.len()), (Some("application/json"), 0));
    }
}

#[tokio::test]
async fn a_call_has_the_method_headers_and_body_that_the_app_sets() {
    let http = ScriptedTransport::new();
    http.respond("/api/v4/projects/7/hooks", 201, &[JSON], r#"{"id":42}"#);
    http.respond("/api/v4/projects/7/hooks/42", 204, &[], "");
    let integration = integration("gitlab", "https://git.example.com", &http);
    let token = token(&integration);
    let call = integration.api_call(Method::POST, &["api", "v4", "projects", "7", "hooks"]);
    let call = call
        .header(HeaderName::from_static("x-own"), HeaderValue::from_static("1"))
        .header(AUTHORIZATION, HeaderValue::from_static("Basic b3RoZXI="))
        .json(&serde_json::json!({"url": "https://app.example.com/hook"}))
        .unwrap();
    let response = call.send(&token).await.leak_checked().unwrap();
    assert_eq!((response.status(), response.text()), (StatusCode::CREATED, r#"{"id":42}"#));
    let sent = &http.requests()[0];
    assert_eq!((&sent.method, sent.header("x-own")), (&Method::POST, Some("1")));
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.body, br#"{"url":"https://app.example.com/hook"}"#);

    let call = integration.api_call(Method::DELETE, &["api", "v4", "projects", "7", "hooks", "42"]);
    let response = call.send(&token).await.leak_checked().unwrap();
    assert_eq!((response.status(), response.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(http.requests()[1].method, Method::DELETE);
}

#[tokio::test]
async fn a_body_is_limited() {
    let http = ScriptedTransport::new();
    http.otherwise(200, &[JSON], format!("\"{}\"", "x".repeat(512 * 1024)));
    let integration = integration("gitlab", "https://git.example.com", &http);
    let token = token(&integration);
    assert_eq!(outcome(&integration.api_get(&["api"]).send(&token).await.leak_checked()), "too_large");
    let call = integration.api_get(&["api"]).max_body(1024 * 1024);
    assert_eq!(outcome(&call.send(&token).await.leak_checked()), "ok");
}

#[tokio::test]
async fn a_token_of_another_integration_or_code_host_is_not_sent() {
    let http = ScriptedTransport::new();
    let here = integration("gitlab", "https://git.example.com", &http);
    let elsewhere = integration("gitlab", "https://evil.test", &http);
    let other_id = IntegrationSetup { id: "other", ..IntegrationSetup::new("gitlab", "https://git.example.com") };
    for other in [elsewhere, other_id.build_with(http.clone())] {
        let result = here.api_get(&["api", "v4", "user"]).send(&token(&other)).await.leak_checked();
        assert_eq!(outcome(&result), "other_binding");
    }
    assert!(http.requests().is_empty());
}

/// As in a login: the platform's own words decide.
#[tokio::test]
async fn a_refusal_has_the_meaning_that_the_platform_gives_it() {
    let bitbucket = "https://bitbucket.org";
    let server = "https://git.example.com";
    for (platform, base_url, status, header, body, code) in [
        ("gitlab", server, 401, JSON, r#"{"message":"401 Unauthorized"}"#, "token_rejected"),
        (
            "gitlab",
            server,
            401,
            JSON,
            r#"{"error":"invalid_token","error_description":"Token is expired."}"#,
            "token_expired",
        ),
        ("gitlab", server, 403, JSON, r#"{"error":"insufficient_scope","scope":"api"}"#, "scope_missing"),
        ("gitlab", server, 404, JSON, r#"{"message":"404 Project Not Found"}"#, "resource_not_found"),
        ("gitlab", server, 422, JSON, r#"{"message":"Name is too long"}"#, "unexpected_status"),
        ("github", "https://github.com", 401, JSON, r#"{"message":"Bad credentials"}"#, "token_rejected"),
        ("github", "https://github.com", 403, ("x-github-sso", "required"), "{}", "sign_on_required"),
        (
            "github",
            "https://github.com",
            403,
            ("retry-after", "7"),
            r#"{"message":"secondary rate limit"}"#,
            "rate_limited",
        ),
        ("bitbucket-cloud", bitbucket, 401, JSON, r#"{"error":{"message":"Access token expired."}}"#, "token_expired"),
        ("bitbucket-cloud", bitbucket, 410, JSON, "{}", "endpoint_removed"),
        (
            "forgejo",
            server,
            403,
            JSON,
            r#"{"message":"token does not have at least one of required scope(s)"}"#,
            "consent_too_narrow",
        ),
        ("bitbucket-data-center", server, 401, JSON, "{}", "token_rejected"),
        // The user is named, so it is a missing right.
        ("bitbucket-data-center", server, 401, ("x-auserid", "7"), "{}", "forbidden"),
        // What visitors without a token get too.
        ("bitbucket-data-center", server, 200, JSON, r#"{"values":[]}"#, "token_rejected"),
        ("bitbucket-data-center", server, 200, ("x-auserid", "7"), r#"{"values":[]}"#, "ok"),
        ("gitlab", server, 302, ("location", "https://login.example.com"), "", "redirect"),
        // A conditional request of the app.
        ("github", "https://github.com", 304, JSON, "", "unexpected_status"),
        ("gitlab", server, 503, JSON, "{}", "code_host_down"),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(status, &[header], body);
        let integration = integration(platform, base_url, &http);
        let result = integration.api_get(&["x"]).send(&token(&integration)).await.leak_checked();
        assert_eq!(outcome(&result), code, "{platform} {status} {body}");
    }
}

/// The message of a refusal that only the app's call can explain.
#[tokio::test]
async fn the_message_of_a_refusal_is_in_the_summary() {
    for (platform, base_url, body) in [
        ("gitlab", "https://git.example.com", r#"{"message":"Name is too long"}"#),
        ("github", "https://github.com", r#"{"message":"Name is too long"}"#),
        ("bitbucket-cloud", "https://bitbucket.org", r#"{"error":{"message":"Name is too long"}}"#),
        ("forgejo", "https://codeberg.org", r#"{"message":"Name is too long"}"#),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(422, &[JSON], body);
        let integration = integration(platform, base_url, &http);
        let error = integration.api_get(&["x"]).send(&token(&integration)).await.leak_checked().unwrap_err();
        let summary = error.summary().unwrap();
        assert_eq!(summary.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(summary.error().unwrap().sanitized(), "Name is too long", "{platform}");
    }
}

/// A user may have chosen a call that never ends: only if the start page fails too, the code host counts as down.
#[tokio::test]
async fn failed_calls_open_the_breaker_only_if_the_start_page_fails_too() {
    for (start_page, sent) in [(Some(200), 7), (None, 6)] {
        let http = ScriptedTransport::new();
        http.otherwise_fail(TransportError::TimedOut);
        if let Some(status) = start_page {
            http.respond("/", status, &[], "");
        }
        let integration = integration("gitlab", "https://git.example.com", &http);
        for _ in 0..6 {
            let result = integration.api_get(&["slow"]).send(&token(&integration)).await.leak_checked();
            assert_eq!(outcome(&result), "timed_out");
        }
        let requests = http.requests();
        assert_eq!(requests.len(), sent, "{start_page:?}: {requests:?}");
        assert_eq!((&requests[5].method, requests[5].url.path()), (&Method::HEAD, "/"));
        assert_eq!(requests[5].header("authorization"), None);
    }
}

/// Nothing is sent: an empty body would be another request.
#[tokio::test]
async fn a_body_that_is_no_json_is_an_error() {
    let http = ScriptedTransport::new();
    let integration = integration("gitlab", "https://git.example.com", &http);
    let body = std::collections::BTreeMap::from([((1, 2), "a key that is not text")]);
    let error = integration.api_call(Method::POST, &["api", "v4", "projects"]).json(&body).unwrap_err();
    assert_eq!(error.code(), "json_body");
    assert!(http.requests().is_empty());
}
