//! Parsing a callback and verifying it against its pending login: rows C1, C2, F1, F3–F5, F9, F13, F14
//! and F17 of the threat model.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codehost_oauth::error::{CallbackError, UntrustedText, VerifyError};
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::testing::{self, ScriptedTransport};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, PendingLogin, VerifiedGrant};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::stored;

const PATH: &str = "/oauth/callback/gitlab/demo";
const ISSUER: &str = "https://git.example.com/gitlab";

fn integration(public_url: &str, id: &str, base_url: &str) -> Integration {
    let base_url = BaseUrl::parse(base_url, &Network::public_only()).unwrap();
    let config = IntegrationConfig {
        id: id.parse().unwrap(),
        name: "GitLab".to_owned(),
        public_url: public_url.parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: "canary-secret".to_owned(),
        access: Access::SignIn,
    };
    Integration::builder(Arc::new(GitLab::new(base_url).unwrap()), ScriptedTransport::new(), config).build().unwrap()
}

fn demo() -> Integration {
    integration("https://packages.example.com", "demo", ISSUER)
}

/// A login that was begun at [`now`].
fn begin(integration: &Integration) -> PendingLogin {
    let pending = integration.begin_login(None).leak_checked().unwrap().pending;
    let mut stored = serde_json::to_value(pending).unwrap();
    stored["begun_at"] = NOW.into();
    serde_json::from_value(stored).unwrap()
}

const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn parse(query: &str) -> Result<Callback, CallbackError> {
    Callback::from_uri(&format!("{PATH}?{query}").parse().unwrap()).leak_checked()
}

/// Verifies a callback at `path` with `query`, in which `STATE` stands for the right state.
fn verify_at(integration: &Integration, path: &str, query: &str, at: SystemTime) -> Result<VerifiedGrant, VerifyError> {
    let pending = begin(integration);
    let query = query.replace("STATE", &stored(&pending, "state"));
    let callback = Callback::from_uri(&format!("{path}?{query}").parse().unwrap()).leak_checked().unwrap();
    testing::verify(integration, pending, callback, at).leak_checked()
}

fn verify(query: &str) -> Result<VerifiedGrant, VerifyError> {
    verify_at(&demo(), PATH, query, now())
}

#[test]
fn repeated_parameters_are_refused() {
    for (query, name) in [
        ("state=a&state=b", "state"),
        ("state=a&state=a", "state"),
        ("state=&state=a", "state"),
        ("state&state=a", "state"),
        ("code=x&%63ode=y", "code"),
        ("%63%6f%64%65=x&code=y", "code"),
        ("code=x&state=a&code=x", "code"),
        ("iss=a&iss=b", "iss"),
        ("error=a&error=b", "error"),
        ("error_description=a&state=c&error_description=b", "error_description"),
        ("error%5Fdescription=a&error_description=b", "error_description"),
        ("access_token=a&access_token=b", "access_token"),
    ] {
        assert_eq!(parse(query).unwrap_err(), CallbackError::Repeated { name }, "{query}");
    }
}

#[test]
fn debug_of_a_callback_shows_no_parameters() {
    let callback = parse("code=abc&state=xyz&iss=https://evil.test").unwrap();
    assert_eq!(callback.path(), Some(PATH));
    assert_eq!(format!("{callback:?}"), "Callback { .. }");
}

#[test]
fn malformed_encodings_and_control_characters_are_refused() {
    for value in [
        "%FF",
        "%C3",
        "%C3%28",
        "%C0%80",
        "%ED%A0%80",
        "%F4%90%80%80",
        "a%00",
        "%00",
        "a%0d%0ab",
        "%09",
        "%0A",
        "%1b%5B31m",
        "%7F",
        "%C2%85",
        "%",
        "%4",
        "%G0",
        "%0G",
        "%+1",
        "%-1",
        "a%2",
        "%25%",
        "%%41",
        "%u0041",
    ] {
        for name in ["code", "state", "iss", "error", "error_description", "unknown"] {
            assert_eq!(parse(&format!("{name}={value}")).unwrap_err(), CallbackError::Encoding, "{name}={value}");
        }
        assert_eq!(parse(&format!("{value}=x&code=a")).unwrap_err(), CallbackError::Encoding, "{value}=x");
    }
}

#[test]
fn code_with_error_and_the_implicit_flow_are_refused() {
    for (query, error) in [
        ("code=a&error=b&state=c", CallbackError::CodeAndError),
        ("code=&error=&state=c", CallbackError::CodeAndError),
        ("%63ode=a&%65rror=b", CallbackError::CodeAndError),
        ("access_token=a&state=c", CallbackError::Implicit),
        ("id_token=a&state=c", CallbackError::Implicit),
        ("code=a&state=c&id_token=d", CallbackError::Implicit),
        ("code=a&state=c&access_token=", CallbackError::Implicit),
        ("%61ccess_token=a", CallbackError::Implicit),
    ] {
        assert_eq!(parse(query).unwrap_err(), error, "{query}");
    }
}

#[test]
fn a_query_has_at_most_16_kib() {
    assert!(parse(&format!("code={}", "a".repeat(16 * 1024 - 5))).is_ok());
    assert_eq!(parse(&format!("code={}", "a".repeat(16 * 1024 - 4))).unwrap_err(), CallbackError::TooLong);
    assert_eq!(parse(&format!("code={}", "%41".repeat(6000))).unwrap_err(), CallbackError::TooLong);
    assert!(parse(&"&".repeat(16 * 1024)).is_ok());
}

#[test]
fn every_callback_error_tells_the_user_to_start_again() {
    for query in ["state=a&state=b", "code=%FF", "code=a&error=b", "id_token=a", &"a".repeat(20_000)] {
        let error = parse(query).unwrap_err();
        assert_eq!(error.advice().public_message, "Start the login again.");
        assert!(!error.advice().is_transient && !error.advice().needs_login);
    }
}

#[test]
fn unknown_parameters_and_other_encodings_are_accepted() {
    for query in [
        "code=abc&state=STATE",
        "state=STATE&code=abc",
        "code=abc&state=STATE&session_state=x&foo=1&foo=2&code[]=z&state.x=y",
        "Code=zzz&State=zzz&CODE=zzz&code=abc&state=STATE&error_uri=https://evil.test",
        "&&code=abc&&state=STATE&",
        "%63%6F%64%65=%61bc&stat%65=STATE",
        "=x&code=abc&state=STATE&=y",
        "code=abc&state=STATE&expires_in=1&token_type=bearer&scope=api",
        "code=abc=&state=STATE",
        "code=4%2F0AbC_d-%7E.&state=STATE",
    ] {
        verify(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    // A semicolon is no separator: a proxy and the app must see the same parameters.
    assert_eq!(verify("code=abc;state=STATE").unwrap_err(), VerifyError::StateMissing);
}

#[test]
fn without_the_right_state_no_other_parameter_is_read() {
    for query in ["", "code=abc", "code=abc&state=", "code=abc&state", "code=abc&State=STATE", "error=access_denied"] {
        assert_eq!(verify(query).unwrap_err(), VerifyError::StateMissing, "{query}");
    }
    let other = stored(&begin(&demo()), "state");
    for state in [
        "+",
        "%20",
        "%20STATE",
        "STATE%20",
        "STATE+",
        "STATE%3D",
        "STATESTATE",
        "x",
        "undefined",
        "null",
        "STATE,STATE",
        &other,
        &"A".repeat(43),
        &"a".repeat(10_000),
    ] {
        for rest in ["code=abc", "error=access_denied", "error=server_error&error_description=x", "iss=https://x", ""] {
            let query = format!("state={state}&{rest}");
            assert_eq!(verify(&query).unwrap_err(), VerifyError::StateUnknown, "{query}");
        }
    }
    // A part of the right state, and the right state in another case.
    let integration = demo();
    let right = stored(&begin(&integration), "state");
    for wrong in [&right[..42], &right[1..], &right.to_lowercase(), &right.to_uppercase()] {
        let mut stored = serde_json::to_value(begin(&integration)).unwrap();
        stored["state"] = right.as_str().into();
        let pending: PendingLogin = serde_json::from_value(stored).unwrap();
        let callback = parse(&format!("code=abc&state={wrong}")).unwrap();
        assert_eq!(
            testing::verify(&integration, pending, callback, now()).leak_checked().unwrap_err(),
            VerifyError::StateUnknown
        );
    }
}

#[test]
fn a_login_takes_at_most_one_hour() {
    let integration = demo();
    let after = |seconds| verify_at(&integration, PATH, "code=abc&state=STATE", now() + Duration::from_secs(seconds));
    let before = |seconds| verify_at(&integration, PATH, "code=abc&state=STATE", now() - Duration::from_secs(seconds));
    for fine in [after(0), after(1), after(10 * 60), after(59 * 60 + 59), before(1), before(29), before(30)] {
        fine.unwrap();
    }
    for late in [after(60 * 60), after(60 * 60 + 1), after(24 * 60 * 60), after(u64::from(u32::MAX))] {
        assert_eq!(late.unwrap_err(), VerifyError::Expired);
    }
    for early in [before(31), before(3600), before(1_800_000_000)] {
        assert_eq!(early.unwrap_err(), VerifyError::Clock);
    }
    let fraction = now() + Duration::from_millis(3_599_999);
    verify_at(&integration, PATH, "code=abc&state=STATE", fraction).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        verify_at(&integration, PATH, "code=abc&state=STATE", long_ago).unwrap_err(),
        VerifyError::Clock,
        "a clock before 1970"
    );
}

#[test]
fn only_the_exact_callback_path_is_accepted() {
    let integration = demo();
    for path in [
        "/oauth/callback/gitlab/demo/",
        "/oauth/callback/gitlab/demo/x",
        "/oauth/callback/gitlab/demo%2Fx",
        "/oauth/callback/gitlab/demo;x",
        "/oauth/callback/gitlab/dem",
        "/oauth/callback/gitlab/demo2",
        "/oauth/callback/gitlab/dem%6F",
        "/oauth/callback/gitlab/DEMO",
        "/oauth/callback/GitLab/demo",
        "/oauth/callback/bitbucket-cloud/demo",
        "/oauth/callback/gitlab%2Fdemo",
        "/oauth%2Fcallback/gitlab/demo",
        "/%6Fauth/callback/gitlab/demo",
        "//oauth/callback/gitlab/demo",
        "/oauth//callback/gitlab/demo",
        "/oauth/./callback/gitlab/demo",
        "/x/../oauth/callback/gitlab/demo",
        "/app/oauth/callback/gitlab/demo",
        "/",
        "/oauth/callback/gitlab/other",
    ] {
        let result = verify_at(&integration, path, "code=abc&state=STATE", now());
        assert_eq!(result.unwrap_err(), VerifyError::OtherCallbackUrl, "{path}");
    }
    verify_at(&integration, PATH, "code=abc&state=STATE", now()).unwrap();
}

#[test]
fn a_proxy_may_strip_the_apps_own_sub_path_only() {
    let integration = integration("https://packages.example.com/app", "demo", ISSUER);
    for path in ["/app/oauth/callback/gitlab/demo", "/oauth/callback/gitlab/demo"] {
        verify_at(&integration, path, "code=abc&state=STATE", now()).unwrap();
    }
    for path in [
        "/oauth/callback/gitlab/demo/",
        "/callback/gitlab/demo",
        "/app/app/oauth/callback/gitlab/demo",
        "/other/oauth/callback/gitlab/demo",
        "/APP/oauth/callback/gitlab/demo",
        "/ap/oauth/callback/gitlab/demo",
    ] {
        let result = verify_at(&integration, path, "code=abc&state=STATE", now());
        assert_eq!(result.unwrap_err(), VerifyError::OtherCallbackUrl, "{path}");
    }
}

#[test]
fn a_pending_login_belongs_to_one_integration_and_one_callback_url() {
    let [demo, other] = ["demo", "other"].map(|id| integration("https://packages.example.com", id, ISSUER));
    let finish = |begun: &Integration, finished: &Integration, path: &str| {
        let pending = begin(begun);
        let query = format!("code=abc&state={}", stored(&pending, "state"));
        let callback = Callback::from_uri(&format!("{path}?{query}").parse().unwrap()).leak_checked().unwrap();
        testing::verify(finished, pending, callback, now()).leak_checked().map(|grant| grant.integration().to_string())
    };
    // For each choice of integration by the app, and each path of the callback.
    assert_eq!(finish(&demo, &other, "/oauth/callback/gitlab/other"), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&demo, &other, PATH), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&demo, &demo, "/oauth/callback/gitlab/other"), Err(VerifyError::OtherCallbackUrl));
    assert_eq!(finish(&demo, &demo, PATH), Ok("demo".to_owned()));

    // The integration's base URL was changed meanwhile: the code of the old code host must not go to the new one.
    let moved = integration("https://packages.example.com", "demo", "https://evil.test");
    assert_eq!(finish(&demo, &moved, PATH), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&moved, &demo, PATH), Err(VerifyError::OtherIntegration));

    // The app's public URL was changed meanwhile: the code was requested with another redirect URI.
    let moved = integration("https://new.example.com", "demo", ISSUER);
    assert_eq!(finish(&demo, &moved, PATH), Err(VerifyError::OtherCallbackUrl));
}

#[test]
fn a_missing_issuer_is_accepted_and_another_issuer_refused() {
    for issuer in ["", "&iss=https://git.example.com/gitlab", "&iss=https%3A%2F%2Fgit.example.com%2Fgitlab%2F"] {
        verify(&format!("code=abc&state=STATE{issuer}")).unwrap_or_else(|error| panic!("{issuer}: {error}"));
    }
    for issuer in [
        "",
        "https://evil.test",
        "https://git.example.com",
        "https://git.example.com/gitlab/x",
        "https://git.example.com/gitlab2",
        "http://git.example.com/gitlab",
        "https://GIT.example.com/gitlab",
        "https://git.example.com:443/gitlab",
        "https://git.example.com/gitlab%3F",
        "https://git.example.com/gitlab%20",
    ] {
        for outcome in ["code=abc", "error=access_denied", "error=server_error"] {
            let error = verify(&format!("{outcome}&state=STATE&iss={issuer}")).unwrap_err();
            assert_eq!(error, VerifyError::OtherIssuer { expected: ISSUER.to_owned() }, "{issuer}");
            assert!(!error.to_string().contains("evil.test"));
        }
    }
}

/// With several faults, the error is that of the first check.
#[test]
fn the_checks_run_in_a_fixed_order() {
    let [demo, other] = ["demo", "other"].map(|id| integration("https://packages.example.com", id, ISSUER));
    for (fault, expected) in [
        VerifyError::StateMissing,
        VerifyError::StateUnknown,
        VerifyError::OtherIntegration,
        VerifyError::OtherCallbackUrl,
        VerifyError::Expired,
        VerifyError::OtherIssuer { expected: ISSUER.to_owned() },
        VerifyError::Denied,
    ]
    .into_iter()
    .enumerate()
    {
        let pending = begin(&demo);
        let state = match fault {
            0 => String::new(),
            1 => "wrong".to_owned(),
            _ => stored(&pending, "state"),
        };
        let integration = if fault <= 2 { &other } else { &demo };
        let path = if fault <= 3 { "/elsewhere" } else { PATH };
        let at = if fault <= 4 { now() + Duration::from_secs(3600) } else { now() };
        let issuer = if fault <= 5 { "https://evil.test" } else { ISSUER };
        let uri = format!("{path}?error=access_denied&iss={issuer}&state={state}");
        let callback = Callback::from_uri(&uri.parse().unwrap()).leak_checked().unwrap();
        assert_eq!(
            testing::verify(integration, pending, callback, at).leak_checked().unwrap_err(),
            expected,
            "fault {fault}"
        );
    }
}

#[test]
fn every_error_of_the_code_host_has_its_cause() {
    for (query, code) in [
        ("error=access_denied", "denied"),
        ("error=access_denied&error_description=The+resource+owner+denied+the+request.", "denied"),
        ("error=invalid_scope", "scope_not_enabled"),
        ("error=server_error", "authorization_unavailable"),
        ("error=temporarily_unavailable", "authorization_unavailable"),
        ("error=unauthorized_client", "authorization_refused"),
        ("error=invalid_request", "authorization_refused"),
        ("error=ACCESS_DENIED", "authorization_refused"),
        ("error=", "authorization_refused"),
        ("", "code_missing"),
        ("error_description=x", "code_missing"),
        ("code=", "code_malformed"),
        ("code", "code_malformed"),
        ("code=a+b", "code_malformed"),
        ("code=a%20b", "code_malformed"),
        ("code=%C3%A9", "code_malformed"),
    ] {
        assert_eq!(verify(&format!("state=STATE&{query}")).unwrap_err().code(), code, "{query}");
    }
    verify(&format!("state=STATE&code={}", "a".repeat(8192))).unwrap();
    let error = verify(&format!("state=STATE&code={}", "a".repeat(8193))).unwrap_err();
    assert_eq!(error, VerifyError::Code);
    // A denial is its own variant, and an outage is transient.
    assert_eq!(verify("state=STATE&error=access_denied").unwrap_err(), VerifyError::Denied);
    assert!(verify("state=STATE&error=server_error").unwrap_err().advice().is_transient);
}

#[test]
fn hostile_error_descriptions_become_one_bounded_line() {
    for description in [
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%E2%80%AEgnp.exe",
        "%E2%80%A8second+line",
        "%EF%BB%BFx",
        &"%F0%9F%92%A9".repeat(1200),
        &"A".repeat(15_000),
    ] {
        let error = verify(&format!("state=STATE&error=odd&error_description={description}")).unwrap_err();
        for text in [format!("{error}"), format!("{error:?}"), error.advice().hint.into_owned()] {
            assert!(text.len() < 200 && text.lines().count() == 1, "{text}");
            assert!(!text.contains("alert") && !text.contains("gnp") && !text.contains("AAA"), "{text}");
        }
        let VerifyError::Refused { description: Some(text), .. } = error else { panic!("{error:?}") };
        assert!(text.sanitized().chars().count() <= 512);
        assert!(!text.sanitized().contains(['\u{202E}', '\u{2028}', '\u{FEFF}', '\r', '\n']));
        assert!(!text.escaped_html().contains('<'));
    }
    // So does a megabyte, which a token endpoint could send, and so does every mark that changes the direction of text.
    let megabyte = UntrustedText::new(&"<b>\r\n".repeat(1 << 18));
    assert_eq!(megabyte.sanitized().chars().count(), 512);
    assert!(megabyte.sanitized().lines().count() == 1 && !megabyte.escaped_html().contains('<'));
    let marks = ('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}').chain(['\u{200E}', '\u{200F}', '\u{061C}']);
    for mark in marks {
        let error = verify(&format!("state=STATE&error=odd&error_description=a{}b", encoded(mark))).unwrap_err();
        let VerifyError::Refused { description: Some(text), .. } = error else { panic!("{error:?}") };
        assert_eq!(text.sanitized(), "a\u{FFFD}b", "{mark:?}");
    }
    // Line breaks and escape sequences are refused when the callback is parsed.
    for description in ["a%0d%0aSet-Cookie:x", "%1b%5B2J"] {
        assert_eq!(parse(&format!("error=x&error_description={description}")).unwrap_err(), CallbackError::Encoding);
    }
}

fn encoded(mark: char) -> String {
    url::form_urlencoded::byte_serialize(mark.to_string().as_bytes()).collect()
}
