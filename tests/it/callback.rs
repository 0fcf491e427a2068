//! What comes back to the callback URL, and whether it finishes a pending login: rows C1, C2, F1, F3–F5, F9, F13, F14
//! and F17 of the threat model.

use std::time::{Duration, SystemTime};

use codehost_oauth::error::{CallbackError, UntrustedText, VerifyError};
use codehost_oauth::transport::Network;
use codehost_oauth::{BaseUrl, Callback, CallbackUrl, Expected, Host, Origin, PendingLogin, VerifiedGrant};

use crate::support::stored;
use crate::watch::Watched as _;

const PATH: &str = "/oauth/callback/gitlab/demo";
const ISSUER: &str = "https://git.example.com/gitlab";

/// An integration's side of a callback.
struct Side {
    origin: Origin,
    callback_url: CallbackUrl,
}

impl Side {
    fn new(host: &str, id: &str) -> Self {
        let base_url = BaseUrl::parse(ISSUER, &Network::public_only()).unwrap();
        let host: Host = host.parse().unwrap();
        Self {
            origin: Origin::new(id.parse().unwrap(), base_url),
            callback_url: CallbackUrl::new(&host, "gitlab", &id.parse().unwrap()),
        }
    }

    fn demo() -> Self {
        Self::new("https://packages.example.com", "demo")
    }

    fn expected(&self) -> Expected<'_> {
        Expected::new(&self.origin, &self.callback_url, ISSUER)
    }

    fn begin(&self) -> PendingLogin {
        PendingLogin::begin(&self.expected(), None, now()).watched().unwrap()
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn parse(query: &str) -> Result<Callback, CallbackError> {
    Callback::from_uri(&format!("{PATH}?{query}").parse().unwrap()).watched()
}

/// What becomes of a callback at `path` with `query`, in which `STATE` stands for the right state.
fn verify_at(side: &Side, path: &str, query: &str, at: SystemTime) -> Result<VerifiedGrant, VerifyError> {
    let pending = side.begin();
    let query = query.replace("STATE", &stored(&pending, "state"));
    let callback = Callback::from_uri(&format!("{path}?{query}").parse().unwrap()).watched().unwrap();
    pending.verify(callback, &side.expected(), at).watched()
}

fn verify(query: &str) -> Result<VerifiedGrant, VerifyError> {
    verify_at(&Side::demo(), PATH, query, now())
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
fn a_callback_shows_its_path_and_nothing_of_its_query() {
    let callback = parse("code=abc&state=xyz&iss=https://evil.test").unwrap();
    assert_eq!(callback.path(), PATH);
    assert_eq!(format!("{callback:?}"), "Callback { .. }");
}

#[test]
fn what_is_not_text_is_refused() {
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
fn contradictions_and_other_flows_are_refused() {
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
fn every_callback_error_is_the_persons_to_mend() {
    for query in ["state=a&state=b", "code=%FF", "code=a&error=b", "id_token=a", &"a".repeat(20_000)] {
        let error = parse(query).unwrap_err();
        assert_eq!(error.public_message(), "Start the login again.");
        assert!(!error.is_transient() && !error.needs_login());
    }
}

#[test]
fn unknown_parameters_and_spellings_change_nothing() {
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
    // A semicolon separates nothing, so that no proxy sees other parameters than the host.
    assert_eq!(verify("code=abc;state=STATE").unwrap_err(), VerifyError::StateMissing);
}

#[test]
fn state_is_there_and_right_or_nothing_else_is_looked_at() {
    for query in ["", "code=abc", "code=abc&state=", "code=abc&state", "code=abc&State=STATE", "error=access_denied"] {
        assert_eq!(verify(query).unwrap_err(), VerifyError::StateMissing, "{query}");
    }
    let other = stored(&Side::demo().begin(), "state");
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
    // Half of a state, and one in another case.
    let side = Side::demo();
    let right = stored(&side.begin(), "state");
    for wrong in [&right[..42], &right[1..], &right.to_lowercase(), &right.to_uppercase()] {
        let mut stored = serde_json::to_value(side.begin()).unwrap();
        stored["state"] = right.as_str().into();
        let pending: PendingLogin = serde_json::from_value(stored).unwrap();
        let callback = parse(&format!("code=abc&state={wrong}")).unwrap();
        assert_eq!(pending.verify(callback, &side.expected(), now()).watched().unwrap_err(), VerifyError::StateUnknown);
    }
}

#[test]
fn a_login_takes_at_most_one_hour() {
    let side = Side::demo();
    let after = |seconds| verify_at(&side, PATH, "code=abc&state=STATE", now() + Duration::from_secs(seconds));
    let before = |seconds| verify_at(&side, PATH, "code=abc&state=STATE", now() - Duration::from_secs(seconds));
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
    verify_at(&side, PATH, "code=abc&state=STATE", fraction).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        verify_at(&side, PATH, "code=abc&state=STATE", long_ago).unwrap_err(),
        VerifyError::Clock,
        "a clock before 1970"
    );
}

#[test]
fn only_the_callback_url_itself_is_the_callback_url() {
    let side = Side::demo();
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
        let result = verify_at(&side, path, "code=abc&state=STATE", now());
        assert_eq!(result.unwrap_err(), VerifyError::OtherCallbackUrl, "{path}");
    }
    verify_at(&side, PATH, "code=abc&state=STATE", now()).unwrap();
}

#[test]
fn a_proxy_may_strip_the_hosts_own_sub_path_and_nothing_else() {
    let side = Side::new("https://packages.example.com/app", "demo");
    for path in ["/app/oauth/callback/gitlab/demo", "/oauth/callback/gitlab/demo"] {
        verify_at(&side, path, "code=abc&state=STATE", now()).unwrap();
    }
    for path in [
        "/oauth/callback/gitlab/demo/",
        "/callback/gitlab/demo",
        "/app/app/oauth/callback/gitlab/demo",
        "/other/oauth/callback/gitlab/demo",
        "/APP/oauth/callback/gitlab/demo",
        "/ap/oauth/callback/gitlab/demo",
    ] {
        let result = verify_at(&side, path, "code=abc&state=STATE", now());
        assert_eq!(result.unwrap_err(), VerifyError::OtherCallbackUrl, "{path}");
    }
}

#[test]
fn a_pending_login_belongs_to_one_integration_and_one_callback_url() {
    let [demo, other] = ["demo", "other"].map(|id| Side::new("https://packages.example.com", id));
    let finish = |begun: &Side, finished: &Side, path: &str| {
        let pending = begun.begin();
        let query = format!("code=abc&state={}", stored(&pending, "state"));
        let callback = Callback::from_uri(&format!("{path}?{query}").parse().unwrap()).watched().unwrap();
        pending.verify(callback, &finished.expected(), now()).watched().map(|grant| grant.integration().to_string())
    };
    // Whichever integration the host takes the callback for, and wherever it arrived.
    assert_eq!(finish(&demo, &other, "/oauth/callback/gitlab/other"), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&demo, &other, PATH), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&demo, &demo, "/oauth/callback/gitlab/other"), Err(VerifyError::OtherCallbackUrl));
    assert_eq!(finish(&demo, &demo, PATH), Ok("demo".to_owned()));

    // The integration's base URL was changed on the way: the code of the old code host is not for the new one.
    let mut moved = Side::demo();
    let evil = BaseUrl::parse("https://evil.test", &Network::public_only()).unwrap();
    moved.origin = Origin::new("demo".parse().unwrap(), evil);
    assert_eq!(finish(&demo, &moved, PATH), Err(VerifyError::OtherIntegration));
    assert_eq!(finish(&moved, &demo, PATH), Err(VerifyError::OtherIntegration));

    // The host's public URL was changed on the way: the code was asked for at another redirect URI.
    let moved = Side::new("https://new.example.com", "demo");
    assert_eq!(finish(&demo, &moved, PATH), Err(VerifyError::OtherCallbackUrl));
}

#[test]
fn an_issuer_may_be_absent_and_must_not_be_another() {
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

/// Each fault hides all that come after it.
#[test]
fn the_checks_run_in_one_order() {
    let [demo, other] = ["demo", "other"].map(|id| Side::new("https://packages.example.com", id));
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
        let pending = demo.begin();
        let state = match fault {
            0 => String::new(),
            1 => "wrong".to_owned(),
            _ => stored(&pending, "state"),
        };
        let side = if fault <= 2 { &other } else { &demo };
        let path = if fault <= 3 { "/elsewhere" } else { PATH };
        let at = if fault <= 4 { now() + Duration::from_secs(3600) } else { now() };
        let issuer = if fault <= 5 { "https://evil.test" } else { ISSUER };
        let uri = format!("{path}?error=access_denied&iss={issuer}&state={state}");
        let callback = Callback::from_uri(&uri.parse().unwrap()).watched().unwrap();
        assert_eq!(pending.verify(callback, &side.expected(), at).watched().unwrap_err(), expected, "fault {fault}");
    }
}

#[test]
fn what_the_code_host_says_is_told_apart() {
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
    // A denial is nothing that anybody must mend, and an outage passes.
    assert_eq!(verify("state=STATE&error=access_denied").unwrap_err(), VerifyError::Denied);
    assert!(verify("state=STATE&error=server_error").unwrap_err().is_transient());
}

#[test]
fn what_a_hostile_code_host_says_stays_one_bounded_line() {
    for description in [
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%E2%80%AEgnp.exe",
        "%E2%80%A8second+line",
        "%EF%BB%BFx",
        &"%F0%9F%92%A9".repeat(1200),
        &"A".repeat(15_000),
    ] {
        let error = verify(&format!("state=STATE&error=odd&error_description={description}")).unwrap_err();
        for shown in [format!("{error}"), format!("{error:?}"), error.hint().into_owned()] {
            assert!(shown.len() < 200 && shown.lines().count() == 1, "{shown}");
            assert!(!shown.contains("alert") && !shown.contains("gnp") && !shown.contains("AAA"), "{shown}");
        }
        let VerifyError::Refused { description: Some(text), .. } = error else { panic!("{error:?}") };
        assert!(text.sanitized().chars().count() <= 512);
        assert!(!text.sanitized().contains(['\u{202E}', '\u{2028}', '\u{FEFF}', '\r', '\n']));
        assert!(!text.escaped_html().contains('<'));
    }
    // As do a megabyte, which no callback can bring but a token endpoint could, and every mark that turns text around.
    let megabyte = UntrustedText::new(&"<b>\r\n".repeat(1 << 18));
    assert_eq!(megabyte.sanitized().chars().count(), 512);
    assert!(megabyte.sanitized().lines().count() == 1 && !megabyte.escaped_html().contains('<'));
    let marks = ('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}').chain(['\u{200E}', '\u{200F}', '\u{061C}']);
    for mark in marks {
        let error = verify(&format!("state=STATE&error=odd&error_description=a{}b", encoded(mark))).unwrap_err();
        let VerifyError::Refused { description: Some(text), .. } = error else { panic!("{error:?}") };
        assert_eq!(text.sanitized(), "a\u{FFFD}b", "{mark:?}");
    }
    // Line breaks and escape sequences do not even get that far.
    for description in ["a%0d%0aSet-Cookie:x", "%1b%5B2J"] {
        assert_eq!(parse(&format!("error=x&error_description={description}")).unwrap_err(), CallbackError::Encoding);
    }
}

fn encoded(mark: char) -> String {
    url::form_urlencoded::byte_serialize(mark.to_string().as_bytes()).collect()
}
