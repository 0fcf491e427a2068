//! GitLab: the exact requests, and the result of every recorded or conceivable response.

use std::time::Duration;

use codehost_oauth::error::{Audience, Error};
use codehost_oauth::{EmailAuthority, EmailEvidence, EmailList, EmailTrust, Scopes, UserState};
use http::Method;

use crate::support::fixture::Fixture;
use crate::support::scripted::{CALLBACK, CLIENT_ID, CODE, SECRET, Scripted, form, headers, outcome};

const USER: &str = r#"{"id":42,"username":"jane","state":"active"}"#;
const TOKENS: &str = r#"{"access_token":"at","token_type":"Bearer","expires_in":7200,"refresh_token":"rt"}"#;

fn scripted() -> Scripted {
    Scripted::gitlab("https://git.example.com")
}

#[tokio::test]
async fn a_login_sends_exactly_these_requests() {
    for (base, port_and_path) in
        [("https://git.example.com", ""), ("https://git.example.com:8443/a/gitlab", ":8443/a/gitlab")]
    {
        let scripted = Scripted::gitlab(base);
        let login = scripted.token_json(TOKENS).user_json(USER).log_in().await.unwrap();
        assert_eq!(login.user.key.to_string(), "gitlab:demo:42");

        let requests = scripted.requests();
        assert_eq!(requests.len(), 2);
        let exchange = &requests[0];
        assert_eq!(exchange.method, Method::POST);
        assert_eq!(exchange.url.as_str(), format!("https://git.example.com{port_and_path}/oauth/token"));
        assert_eq!(
            headers(exchange),
            [
                ("accept", "application/json"),
                ("content-type", "application/x-www-form-urlencoded"),
                ("user-agent", "codehost-oauth")
            ]
        );
        assert_eq!(exchange.header("authorization"), None);
        let mut sent = exchange.form();
        let verifier = sent.iter().position(|(name, _)| name == "code_verifier").map(|at| sent.remove(at).1).unwrap();
        assert_eq!(verifier.len(), 43);
        let callback = format!("{CALLBACK}/gitlab/demo");
        assert_eq!(
            sent,
            form(&[
                ("grant_type", "authorization_code"),
                ("code", CODE),
                ("redirect_uri", &callback),
                ("client_id", CLIENT_ID),
                ("client_secret", SECRET),
            ])
        );

        let user = &requests[1];
        assert_eq!(user.method, Method::GET);
        assert_eq!(user.url.as_str(), format!("https://git.example.com{port_and_path}/api/v4/user"));
        assert_eq!(user.header("authorization"), Some("Bearer at"));
        assert_eq!(headers(user), [("accept", "application/json"), ("user-agent", "codehost-oauth")]);
        assert!(user.body.is_empty());
    }
}

#[tokio::test]
async fn a_refresh_sends_exactly_this_request() {
    let scripted = Scripted::gitlab("https://git.example.com/gitlab");
    scripted.token_json(TOKENS).refresh().await.unwrap();
    let requests = scripted.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url.as_str(), "https://git.example.com/gitlab/oauth/token");
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(
        requests[0].form(),
        form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "canary-old-refresh"),
            ("client_id", CLIENT_ID),
            ("client_secret", SECRET),
        ])
    );
}

#[tokio::test]
async fn optional_members_of_a_token_response_are_read() {
    let long = format!("{}.{}.{}", "a".repeat(40), "b".repeat(8000), "c".repeat(340));
    let with_jwt = format!(r#"{{"access_token":"{long}","token_type":"bearer"}}"#);
    // Response · refresh token · scopes · seconds.
    for (response, refresh, scopes, seconds) in [
        (TOKENS, "rt", None, Some(7200)),
        (r#"{"access_token":"at","token_type":"bearer"}"#, "canary-old-refresh", None, None),
        (
            r#"{"access_token":"at","token_type":"BEARER","refresh_token":"rt","scope":"api","created_at":1522861703}"#,
            "rt",
            Some("api"),
            None,
        ),
        (
            r#"{"access_token":"at","token_type":"bearer","scope":"openid read_user","id_token":"a.b.c"}"#,
            "canary-old-refresh",
            Some("read_user openid"),
            None,
        ),
        (
            r#"{"access_token":"at","token_type":"bearer","scope":"","expires_in":1}"#,
            "canary-old-refresh",
            Some(""),
            Some(1),
        ),
        (r#"{"access_token":"at","token_type":"bearer","scopes":"api"}"#, "canary-old-refresh", Some("api"), None),
        (
            r#"{"access_token":"at","token_type":"bearer","scope":"read_user","scopes":"api"}"#,
            "canary-old-refresh",
            Some("read_user"),
            None,
        ),
        (
            r#"{"access_token":"at","token_type":"bearer","scope":null,"expires_in":null,"refresh_token":null,"error":null}"#,
            "canary-old-refresh",
            None,
            None,
        ),
        (&with_jwt, "canary-old-refresh", None, None),
    ] {
        let scripted = scripted();
        let tokens = scripted.token_json(response).refresh().await.unwrap();
        let access = scripted.access(&tokens);
        assert_eq!(access, if response == with_jwt { long.as_str() } else { "at" }, "{response}");
        assert_eq!(scripted.refresh_of(&tokens).as_deref(), Some(refresh), "{response}");
        assert_eq!(tokens.scopes, scopes.map(|text| text.parse::<Scopes>().unwrap()), "{response}");
        assert_eq!(tokens.expires_in, seconds.map(Duration::from_secs), "{response}");
        assert_eq!(tokens.expires_at().is_some(), seconds.is_some(), "{response}");
    }
}

#[tokio::test]
async fn expires_in_is_bounded_or_ignored_and_never_panics() {
    const TEN_YEARS: u64 = 315_360_000;
    let unknown = [
        "0",
        "-0",
        "-1",
        "-9223372036854775808",
        "-1e300",
        "0.9",
        "-0.5",
        "1e-400",
        "1e400",
        "\"\"",
        "true",
        "[]",
        "{}",
    ];
    let two_hours = ["7200", "7200.0", "7200.9", "7.2e3", "\"7200\"", "\"7200.5\""];
    let ten_years = [
        "315360001",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "\"18446744073709551616\"",
    ];
    let no_json = ["NaN", "07200", "+7200", "0x10"];
    let rows = unknown.iter().map(|text| (*text, Ok(None)));
    let rows = rows.chain(two_hours.iter().map(|text| (*text, Ok(Some(7200)))));
    let rows = rows.chain(ten_years.iter().map(|text| (*text, Ok(Some(TEN_YEARS)))));
    for (number, expected) in rows.chain(no_json.iter().map(|text| (*text, Err("malformed")))) {
        let scripted = scripted();
        scripted.token_json(format!(r#"{{"access_token":"at","token_type":"bearer","expires_in":{number}}}"#));
        let found = scripted.refresh().await;
        let seconds = found.as_ref().map(|tokens| tokens.expires_in.map(|time| time.as_secs()));
        assert_eq!(seconds.map_err(Error::code), expected, "{number}");
        assert!(
            found.is_err() || found.is_ok_and(|tokens| tokens.expires_at().is_some() == tokens.expires_in.is_some())
        );
    }
}

#[tokio::test]
async fn malformed_token_responses_are_refused_and_not_echoed() {
    let long = format!(r#"{{"access_token":"{}","token_type":"bearer"}}"#, "M".repeat(16 * 1024 + 1));
    let responses: [(&str, &[u8]); 15] = [
        ("a line break", br#"{"access_token":"MARK\r\nX: y","token_type":"bearer"}"#),
        ("a NUL", br#"{"access_token":"MARK\u0000b","token_type":"bearer"}"#),
        ("a space", br#"{"access_token":"MARK b","token_type":"bearer"}"#),
        ("a letter outside ASCII", "{\"access_token\":\"MARK\u{e9}\",\"token_type\":\"bearer\"}".as_bytes()),
        ("an empty token", br#"{"access_token":"","token_type":"bearer"}"#),
        ("no token", br#"{"token_type":"bearer"}"#),
        ("a token that is a number", br#"{"access_token":42,"token_type":"bearer"}"#),
        ("a token that is a list", br#"{"access_token":["MARK"],"token_type":"bearer"}"#),
        ("an overlong token", long.as_bytes()),
        ("the token twice", br#"{"access_token":"a","access_token":"MARK","token_type":"bearer"}"#),
        ("trailing data", br#"{"access_token":"MARK","token_type":"bearer"}{}"#),
        ("a lone surrogate", br#"{"access_token":"MARK\ud800","token_type":"bearer"}"#),
        ("bytes that are not UTF-8", b"{\"access_token\":\"MARK\xFF\",\"token_type\":\"bearer\"}"),
        ("the members as a list", br#"["MARK","bearer",7200,"MARK","api","api"]"#),
        ("an error that is an object", br#"{"access_token":"MARK","token_type":"bearer","error":{"message":"MARK"}}"#),
    ];
    for (what, response) in responses {
        let scripted = scripted();
        let error = scripted.token_json(response).refresh().await.expect_err(what);
        assert_eq!(error.code(), "malformed", "{what}");
        assert!(!format!("{error} {error:?}").contains("MARK"), "{what}");
    }
    let scripted = scripted();
    let error = scripted.token_json(r#"{"access_token":"MARK","token_type":"bearer","error":"invalid_grant"}"#);
    assert_eq!(
        outcome(&error.refresh().await),
        "refresh_rejected",
        "a response with status 200 and an error is an error"
    );
}

#[tokio::test]
async fn every_recorded_response_of_the_token_endpoint_has_its_result() {
    for (name, exchange, refresh) in [
        ("token_success", "malformed", "ok"),
        ("token_success_basic", "malformed", "ok"),
        ("token_success_client_credentials", "malformed", "ok"),
        ("token_success_openid", "malformed", "ok"),
        ("token_refreshed", "malformed", "ok"),
        ("token_refreshed_narrower", "malformed", "ok"),
        ("token_refreshed_openid", "malformed", "ok"),
        ("token_invalid_client", "client_rejected", "client_rejected"),
        ("token_invalid_grant", "code_rejected", "refresh_rejected"),
        ("token_invalid_scope", "scope_not_enabled", "scope_not_enabled"),
        ("token_missing_code", "token_refused", "token_refused"),
        ("token_missing_code_verifier", "token_refused", "token_refused"),
        ("token_missing_grant_type", "token_refused", "token_refused"),
        ("token_missing_redirect_uri", "token_refused", "token_refused"),
        ("token_missing_refresh_token", "token_refused", "token_refused"),
        ("token_two_mechanisms", "token_refused", "token_refused"),
        ("token_unsupported_grant_type", "grant_not_allowed", "grant_not_allowed"),
        ("token_server_error", "code_host_down", "code_host_down"),
        ("token_get", "api_not_found", "api_not_found"),
        ("api_not_found", "api_not_found", "api_not_found"),
        ("revoke_unauthorized", "grant_not_allowed", "grant_not_allowed"),
        ("rate_limited_application", "rate_limited", "rate_limited"),
        ("rate_limited_throttle", "rate_limited", "rate_limited"),
        ("read_only", "read_only", "read_only"),
        ("authorize_granted", "redirect", "redirect"),
        ("authorize_consent_skipped", "html", "html"),
        ("user_unauthorized", "unexpected_status", "unexpected_status"),
        ("userinfo_unauthorized", "unexpected_status", "unexpected_status"),
        ("user_alice", "malformed", "malformed"),
        ("revoke_success", "malformed", "malformed"),
    ] {
        let scripted = scripted();
        scripted.recorded(&format!("gitlab/{name}.http"));
        // After a successful exchange, the user look-up gets the same response, and it is not a user.
        assert_eq!(outcome(&scripted.log_in().await), exchange, "{name} at an exchange");
        assert_eq!(outcome(&scripted.refresh().await), refresh, "{name} at a refresh");
    }
}

#[tokio::test]
async fn every_recorded_response_of_the_api_has_its_result() {
    for (name, expected) in [
        ("user_alice", "ok"),
        ("user_bob", "ok"),
        ("user_root", "ok"),
        ("user_unauthorized", "token_rejected"),
        ("user_token_expired", "token_expired"),
        ("user_token_revoked", "token_revoked"),
        ("user_insufficient_scope", "scope_missing"),
        ("user_blocked", "account_blocked"),
        ("user_deactivated", "account_deactivated"),
        ("user_pending_approval", "account_pending_approval"),
        ("user_terms_not_accepted", "terms_not_accepted"),
        ("user_unconfirmed", "account_unconfirmed"),
        ("user_two_tokens", "unexpected_status"),
        ("read_only", "read_only"),
        ("api_not_found", "api_not_found"),
        ("rate_limited_application", "rate_limited"),
        ("rate_limited_throttle", "rate_limited"),
        ("userinfo_unauthorized", "token_rejected"),
        ("userinfo_token_expired", "token_rejected"),
        ("userinfo_insufficient_scope", "forbidden"),
        ("userinfo_server_error", "code_host_down"),
        ("userinfo_alice", "malformed"),
        ("user_emails_alice", "malformed"),
        ("version", "malformed"),
        ("discovery", "malformed"),
        ("authorize_denied", "redirect"),
        ("authorize_consent_skipped", "html"),
    ] {
        let scripted = Scripted::gitlab("https://git.example.com/gitlab");
        assert_eq!(outcome(&scripted.recorded(&format!("gitlab/{name}.http")).user().await), expected, "{name}");
    }
}

#[tokio::test]
async fn other_refusals_of_the_api_have_their_cause() {
    let forbidden = |reason: &str| (403, format!(r#"{{"message":"403 Forbidden - {reason}"}}"#));
    for ((status, body), expected) in [
        (forbidden("This action cannot be performed by internal users"), "account_not_a_person"),
        (forbidden("Your account has been blocked."), "account_blocked"),
        (forbidden(r"Your password expired.\nPlease access GitLab from a web browser."), "account_password_expired"),
        (forbidden("You (@blocked) must accept the Terms of Service in order to"), "terms_not_accepted"),
        (forbidden("a reason of a later version"), "forbidden"),
        ((403, r#"{"message":{"a":"blocked"}}"#.to_owned()), "forbidden"),
        ((403, r#"{"error":"insufficient_scope"}"#.to_owned()), "scope_missing"),
        ((403, String::new()), "forbidden"),
        ((401, r#"{"error":"invalid_token","error_description":"Bad Access Token."}"#.to_owned()), "token_rejected"),
        ((401, r#"{"error":"invalid_token","error_description":{"a":"expired"}}"#.to_owned()), "token_rejected"),
        ((400, r#"{"message":"400 Bad request"}"#.to_owned()), "unexpected_status"),
        ((405, "[]".to_owned()), "unexpected_status"),
        ((200, r#"{"id":1,"id":2}"#.to_owned()), "malformed"),
    ] {
        let scripted = scripted();
        scripted.respond_to_all(status, &[("content-type", "application/json")], body.clone());
        assert_eq!(outcome(&scripted.user().await), expected, "{status} {body}");
    }
    // A proxy in front of GitLab that requires a login of its own.
    let scripted = scripted();
    scripted.respond_to_all(401, &[("content-type", "text/plain")], "401 Authorization Required");
    let error = scripted.user().await.unwrap_err();
    assert_eq!((error.code(), error.advice().needs_login), ("not_json", false));
}

#[tokio::test]
async fn a_missing_scope_error_names_the_check_boxes_and_the_page() {
    let scripted = Scripted::gitlab("https://git.example.com/gitlab");
    let error = scripted.recorded("gitlab/user_insufficient_scope.http").user().await.unwrap_err();
    assert_eq!(error.to_string(), "the OAuth application lacks the scope read_user or read_api or api");
    assert_eq!(error.advice().audience, Audience::Administrator);
    assert!(
        error.advice().hint.contains("https://git.example.com/gitlab/-/user_settings/applications"),
        "{}",
        error.advice().hint
    );
}

#[tokio::test]
async fn the_terms_link_is_at_the_instance_itself() {
    let error = scripted().recorded("gitlab/user_terms_not_accepted.http").user().await.unwrap_err();
    assert!(
        error.advice().public_message.contains("https://git.example.com/-/users/terms"),
        "{}",
        error.advice().public_message
    );
    let scripted = scripted();
    let elsewhere = r#"{"message":"403 Forbidden - must accept the Terms of Service at https://evil.test/terms"}"#;
    scripted.respond_to_all(403, &[("content-type", "application/json")], elsewhere);
    let error = scripted.user().await.unwrap_err();
    assert!(
        matches!(&error, Error::Account { .. }) && !error.advice().public_message.contains("https://"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_user_of_a_current_gitlab_is_read() {
    let scripted = Scripted::gitlab("https://git.example.com/gitlab");
    let user = scripted.recorded("gitlab/user_alice.http").user().await.unwrap();
    assert_eq!(user.key.to_string(), "gitlab:demo:2");
    assert_eq!(user.username.as_deref(), Some("alice"));
    assert_eq!(user.display_name.as_deref(), Some("Alice Åström"));
    assert_eq!(
        user.profile_url.as_ref().map(codehost_oauth::WebUrl::as_str),
        Some("https://git.example.com/gitlab/alice")
    );
    let avatar = "https://git.example.com/gitlab/uploads/-/system/user/avatar/2/avatar.png";
    assert_eq!(user.avatar_url.as_ref().map(codehost_oauth::WebUrl::as_str), Some(avatar));
    assert_eq!((user.state, user.two_factor, user.is_bot), (UserState::Active, Some(false), false));
    assert_eq!(user.created_at.as_deref(), Some("2024-01-15T09:30:00.000Z"));
    assert_eq!(&*user.raw, Fixture::load("gitlab/user_alice.http", "https://git.example.com/gitlab").body);
    let [email] = &user.emails[..] else { panic!("{:?}", user.emails) };
    assert_eq!(email.address(), "alice@example.com", "the primary address, not the public one");
    assert_eq!((email.evidence, email.authority), (EmailEvidence::Confirmed, EmailAuthority::SelfManaged));
    assert!(email.primary && user.email_list == EmailList::Complete);
    assert_eq!(user.trusted_email(EmailTrust::Platform), None);
    assert_eq!(user.trusted_email(EmailTrust::ThisInstance), Some("alice@example.com"));

    let bob = scripted.recorded("gitlab/user_bob.http").user().await.unwrap();
    assert_eq!(bob.emails[0].evidence, EmailEvidence::Unconfirmed);
    let avatar = bob.avatar_url.unwrap();
    assert!(avatar.as_str().ends_with("?s=80&d=identicon"), "JSON writes & as \\u0026");
}

#[tokio::test]
async fn only_addresses_of_gitlab_com_are_trusted_by_default() {
    let user = r#"{"id":42,"email":"jane@example.com","confirmed_at":"2012-05-23T09:05:22Z"}"#;
    for (base, trusted) in [
        ("https://gitlab.com", Some("jane@example.com")),
        ("https://git.example.com", None),
        ("https://gitlab.com.example.com", None),
        ("https://gitlab.com:8443", None),
    ] {
        let user = Scripted::gitlab(base).user_json(user).user().await.unwrap();
        assert_eq!(user.trusted_email(EmailTrust::Platform), trusted, "{base}");
    }
}

#[tokio::test]
async fn users_of_every_gitlab_version_are_read() {
    let of = async |body: &str| scripted().user_json(body).user().await.unwrap();

    // About 13: neither `locked` nor `bot`, with `skype` and `bio_html`.
    let user = of(r#"{"id":1,"name":"John Smith","username":"john_smith","state":"active","avatar_url":null,
        "web_url":"http://localhost:3000/john_smith","created_at":"2012-05-23T08:00:58Z","bio":"","bio_html":"",
        "location":null,"public_email":"john@example.com","skype":"","confirmed_at":"2012-05-23T09:05:22Z",
        "email":"john@example.com","two_factor_enabled":true,"identities":[{"provider":"github","extern_uid":"2"}]}"#)
    .await;
    assert_eq!((user.state, user.is_bot, user.two_factor), (UserState::Active, false, Some(true)));
    assert_eq!((user.avatar_url, user.emails.len()), (None, 1));

    // 14.4: `bot` is there.
    let user =
        of(r#"{"id":1,"username":"project_7_bot","name":"token","state":"active","bot":true,"email":null}"#).await;
    assert!(user.is_bot && user.emails.is_empty());
    assert_eq!(user.ensure_active_person().unwrap_err().code(), "account_not_a_person");

    // 17: `locked` is there, `id` is large.
    let user = of(r#"{"id":9223372036854775807,"username":"x","state":"active","locked":true,"bot":false}"#).await;
    assert_eq!((user.key.subject(), user.state), ("9223372036854775807", UserState::Locked));

    // An administrator's response has more members.
    let user = of(r#"{"id":1,"username":"root","state":"active","locked":false,"is_admin":true,"note":null,
        "namespace_id":1,"created_by":null,"email_reset_offered_at":null,"current_sign_in_ip":"::1","extra_groups":[]}"#)
    .await;
    assert!(user.raw.contains(r#""is_admin":true"#));

    // The smallest response.
    let user = of(r#"{"id":7}"#).await;
    assert_eq!((user.username, user.state, user.two_factor), (None, UserState::Active, None));
    let nothing = r#"{"id":7,"username":null,"name":"","state":null,"locked":null,"avatar_url":"","web_url":"javascript:alert(1)",
        "email":"","confirmed_at":"","two_factor_enabled":null,"bot":null}"#;
    let user = of(nothing).await;
    assert_eq!((user.username, user.display_name, user.profile_url, user.emails.len()), (None, None, None, 0));

    for (state, expected) in [
        ("blocked", UserState::Blocked),
        ("ldap_blocked", UserState::Blocked),
        ("banned", UserState::Blocked),
        ("deactivated", UserState::Deactivated),
        ("blocked_pending_approval", UserState::PendingApproval),
        ("hibernating", UserState::Other),
        ("", UserState::Other),
    ] {
        let user = of(&format!(r#"{{"id":7,"state":"{state}"}}"#)).await;
        assert_eq!(user.state, expected, "{state}");
        assert!(user.ensure_active_person().is_err(), "{state}");
    }
    for (confirmed_at, expected) in [
        (r#","confirmed_at":"2021-03-26T19:07:56.248Z""#, EmailEvidence::Confirmed),
        (r#","confirmed_at":null"#, EmailEvidence::Unconfirmed),
        (r#","confirmed_at":"""#, EmailEvidence::Unknown),
        ("", EmailEvidence::Unknown),
    ] {
        let user = of(&format!(r#"{{"id":7,"email":"a@example.com"{confirmed_at}}}"#)).await;
        assert_eq!(user.emails[0].evidence, expected, "{confirmed_at}");
    }
    for address in ["a@evil@corp.com", "a\u{FF20}example.com", "no-at", "@x", "x@", "a b@example.com"] {
        assert_eq!(of(&format!(r#"{{"id":7,"email":"{address}"}}"#)).await.emails, [], "{address}");
    }
}

#[tokio::test]
async fn only_a_positive_64_bit_integer_is_a_user_id() {
    for (id, expected) in [
        ("1", Some("1")),
        ("9007199254740993", Some("9007199254740993")),
        ("9223372036854775807", Some("9223372036854775807")),
        ("9223372036854775808", None),
        ("18446744073709551615", None),
        ("18446744073709551616", None),
        ("0", None),
        ("-0", None),
        ("-1", None),
        ("042", None),
        ("42.0", None),
        ("1e3", None),
        ("\"42\"", None),
        ("null", None),
        ("true", None),
        ("[42]", None),
        (r#"{"id":42}"#, None),
        ("", None),
    ] {
        let user = scripted().user_json(format!(r#"{{"username":"jane","id":{id}}}"#)).user().await;
        assert_eq!(user.as_ref().ok().map(|user| user.key.subject()), expected, "{id}");
        assert_eq!(outcome(&user), if expected.is_some() { "ok" } else { "malformed" }, "{id}");
    }
    let endless = "1".repeat(500_000);
    assert_eq!(outcome(&scripted().user_json(format!(r#"{{"id":{endless}}}"#)).user().await), "malformed");
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let user = scripted().user_json(format!(r#"{{"new_in_a_later_version":{deep},"id":42}}"#)).user().await.unwrap();
    assert_eq!(user.key.subject(), "42", "an unknown member is skipped");
}
