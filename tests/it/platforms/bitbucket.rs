//! Bitbucket Cloud: the exact requests, and the result of every known or conceivable response.

use std::time::Duration;

use codehost_oauth::error::{Audience, Error, TokenError};
use codehost_oauth::transport::Network;
use codehost_oauth::{BaseUrl, EmailEvidence, EmailList, EmailTrust, Platform, Scopes, UserState};
use http::Method;

use crate::support::fixture;
use crate::support::scripted::{CALLBACK, CODE, Scripted, form, headers, outcome};

const TOKEN_URL: &str = "https://bitbucket.org/site/oauth2/access_token";
const USER_URL: &str = "https://api.bitbucket.org/2.0/user";
/// `my%25id:canary-a%3Ab%25%2Bx` in base64: both parts are form-encoded first (RFC 6749 section 2.3.1).
const BASIC: &str = "Basic bXklMjVpZDpjYW5hcnktYSUzQWIlMjUlMkJ4";
const USER: &str = r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#;
const EMAILS: &str = "/2.0/user/emails";
const NO_EMAILS: &str = r#"{"values":[]}"#;
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A tenant's server must not be taken for Bitbucket: codes of other tenants could be exchanged there.
#[test]
fn the_base_url_must_be_bitbucket_org_or_loopback() {
    let network = Network::any().danger_allow_http();
    let at = |text: &str| {
        let provider = Platform::find("bitbucket-cloud").unwrap().provider(BaseUrl::parse(text, &network).unwrap());
        provider.map(|provider| provider.base_url().to_string()).map_err(|error| error.code())
    };
    for accepted in ["https://bitbucket.org", "http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000/x"] {
        assert_eq!(at(accepted), Ok(accepted.to_owned()));
    }
    for other in [
        "https://git.example.com",
        "https://bitbucket.example.com",
        "https://bitbucket.org.evil.test",
        "https://evil.test/bitbucket.org",
        "https://bitbucket.org:8443",
        "https://bitbucket.org/team",
        "https://www.bitbucket.org",
        "http://bitbucket.org",
        "https://10.0.0.5",
        "http://192.168.0.1:7990",
        "https://127.0.0.1.evil.test",
    ] {
        assert_eq!(at(other), Err("base_url_other_platform"), "{other}");
    }
}

#[tokio::test]
async fn a_login_sends_exactly_these_requests() {
    let scripted = Scripted::bitbucket();
    scripted.token_json(fixture::text("bitbucket/token_success_old.json"));
    scripted.user_json(fixture::text("bitbucket/user.json"));
    scripted.http.json(EMAILS, fixture::text("bitbucket/emails.json"));
    let login = scripted.log_in().await.unwrap();
    assert_eq!(login.user.key.to_string(), "bitbucket-cloud:demo:11111111-2222-3333-4444-555555555555");
    assert_eq!(login.trusted_email(), Some("username@example.org"));
    let missing: Vec<_> = login.missing_scopes.iter().map(|scope| &*scope.label).collect();
    assert_eq!(missing, ["Account: Read", "Account: Email"], "the recorded consumer has `repository` only");

    let requests = scripted.requests();
    assert_eq!(requests.len(), 3);
    let exchange = &requests[0];
    assert_eq!((&exchange.method, exchange.url.as_str()), (&Method::POST, TOKEN_URL));
    assert_eq!(exchange.header("authorization"), Some(BASIC));
    assert_eq!(
        headers(exchange),
        [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("user-agent", "codehost-oauth")
        ]
    );
    let mut sent = exchange.form();
    let verifier = sent.iter().position(|(name, _)| name == "code_verifier").map(|at| sent.remove(at).1).unwrap();
    assert_eq!(verifier.len(), 43);
    let callback = format!("{CALLBACK}/bitbucket-cloud/demo");
    assert_eq!(sent, form(&[("grant_type", "authorization_code"), ("code", CODE), ("redirect_uri", &callback)]));

    let mut urls: Vec<_> = requests[1..].iter().map(|request| request.url.as_str()).collect();
    urls.sort_unstable();
    assert_eq!(urls, [USER_URL, &format!("{USER_URL}/emails?pagelen=100&page=1")]);
    for request in &requests[1..] {
        assert_eq!((&request.method, request.header("authorization")), (&Method::GET, Some("Bearer XXXXXX")));
        assert_eq!(headers(request), [("accept", "application/json"), ("user-agent", "codehost-oauth")]);
        assert!(request.body.is_empty());
    }
}

#[tokio::test]
async fn a_refresh_sends_exactly_this_request() {
    let scripted = Scripted::bitbucket();
    scripted.token_json(fixture::text("bitbucket/token_success_old.json")).refresh().await.unwrap();
    let requests = scripted.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url.as_str(), TOKEN_URL);
    assert_eq!(requests[0].header("authorization"), Some(BASIC));
    assert_eq!(requests[0].form(), form(&[("grant_type", "refresh_token"), ("refresh_token", "canary-old-refresh")]));
}

#[tokio::test]
async fn token_responses_of_both_back_ends_are_read() {
    let (jwt, long) = (format!("eyJ.{}.s-_", "x".repeat(2500)), "y".repeat(2600));
    let new = format!(
        r#"{{"access_token":"{jwt}","scope":"account email","expires_in":7200,"token_type":"bearer","refresh_token":"{long}"}}"#
    );
    for (response, access, refresh, scopes) in [
        (fixture::text("bitbucket/token_success_old.json"), "XXXXXX", "XXXXX", Some("repository")),
        (
            fixture::text("bitbucket/token_success_client_credentials_old.json"),
            "token",
            "abc",
            Some("pullrequest:write webhook"),
        ),
        (new, jwt.as_str(), long.as_str(), Some("email account")),
        (r#"{"access_token":"a","token_type":"Bearer","expires_in":7200}"#.to_owned(), "a", "canary-old-refresh", None),
        (
            r#"{"access_token":"a","token_type":"bearer","expires_in":7200,"scopes":"account,email"}"#.to_owned(),
            "a",
            "canary-old-refresh",
            Some("account email"),
        ),
    ] {
        let scripted = Scripted::bitbucket();
        let tokens = scripted.token_json(response).refresh().await.unwrap();
        assert_eq!(scripted.access(&tokens), access);
        assert_eq!(scripted.refresh_of(&tokens).as_deref(), Some(refresh));
        assert_eq!(tokens.scopes, scopes.map(|text| text.parse::<Scopes>().unwrap()), "{access}");
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(7200)));
    }
}

#[tokio::test]
async fn every_refusal_of_the_token_endpoint_has_its_cause() {
    let file = |name: &str| fixture::text(&format!("bitbucket/{name}.json"));
    let refusal = |error: &str, text: &str| format!(r#"{{"error_description":"{text}","error":"{error}"}}"#);
    for (response, exchange, refresh) in [
        (file("token_unauthorized_client"), "client_rejected", "refresh_rejected"),
        (file("token_no_callback_uri"), "callback_url_rejected", "token_refused"),
        (file("token_unsupported_grant_type"), "grant_not_allowed", "grant_not_allowed"),
        (file("token_public_client_credentials"), "grant_not_allowed", "grant_not_allowed"),
        (
            refusal("unauthorized_client", "Requests must be authenticated using OAuth client credentials"),
            "client_rejected",
            "refresh_rejected",
        ),
        (refusal("invalid_request", "Invalid refresh_token"), "token_refused", "refresh_rejected"),
        (refusal("invalid_request", "Invalid resource owner username/password"), "token_refused", "token_refused"),
        (refusal("invalid_grant", ""), "code_rejected", "refresh_rejected"),
        (refusal("invalid_client", ""), "client_rejected", "client_rejected"),
        (refusal("invalid_scope", ""), "scope_not_enabled", "scope_not_enabled"),
        (refusal("unsupported_grant_type", ""), "grant_not_allowed", "grant_not_allowed"),
        (r#"{"error":"invalid_grant","error_description":{"a":1}}"#.to_owned(), "code_rejected", "refresh_rejected"),
        (file("error_token_invalid"), "unexpected_status", "unexpected_status"),
        (String::new(), "unexpected_status", "unexpected_status"),
    ] {
        let scripted = Scripted::bitbucket();
        scripted.respond_to_all(400, &JSON, response.clone());
        assert_eq!(outcome(&scripted.log_in().await), exchange, "{response} at an exchange");
        assert_eq!(outcome(&scripted.refresh().await), refresh, "{response} at a refresh");
    }
}

#[tokio::test]
async fn a_missing_callback_url_is_named_in_the_error() {
    let scripted = Scripted::bitbucket();
    scripted.respond_to_all(400, &JSON, fixture::text("bitbucket/token_no_callback_uri.json"));
    let error = scripted.exchange_error().await;
    let expected = format!("{CALLBACK}/bitbucket-cloud/demo");
    assert!(matches!(&error, Error::Token { cause: TokenError::CallbackUrlRejected { callback_url, .. }, .. }
            if *callback_url == expected));
    assert_eq!(error.advice().audience, Audience::Administrator);
    assert!(
        error.advice().hint.contains(&expected) && error.advice().hint.contains("https://bitbucket.org/"),
        "{}",
        error.advice().hint
    );
}

#[tokio::test]
async fn every_refusal_of_the_api_has_its_cause() {
    let file = |name: &str| fixture::text(&format!("bitbucket/{name}.json"));
    let older = r#"{"type":"error","error":{"message":"Access token expired. Use your refresh token to obtain"}}"#;
    for (status, body, expected) in [
        (401, file("error_token_expired"), "token_expired"),
        (401, older.to_owned(), "token_expired"),
        (401, file("error_token_invalid"), "token_rejected"),
        (401, String::new(), "token_rejected"),
        (403, file("error_missing_scope"), "scope_missing"),
        (400, file("error_missing_scope"), "scope_missing"),
        (403, r#"{"error":{"message":"no access","detail":"text"}}"#.to_owned(), "forbidden"),
        (403, String::new(), "forbidden"),
        (404, file("error_workspace_not_found"), "api_not_found"),
        (410, file("error_gone"), "endpoint_removed"),
        (410, String::new(), "endpoint_removed"),
        (429, file("error_rate_limited"), "rate_limited"),
        (429, String::new(), "rate_limited"),
        (400, "{}".to_owned(), "unexpected_status"),
        (500, String::new(), "code_host_down"),
        (200, "{}".to_owned(), "malformed"),
    ] {
        let scripted = Scripted::bitbucket();
        scripted.respond_to_all(status, &JSON, body.clone());
        assert_eq!(outcome(&scripted.user().await), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_missing_scope_is_named_by_its_check_box_label() {
    for (detail, expected) in [
        (r#"{"required":["account"],"granted":["team"]}"#, "Account: Read"),
        (r#"{"required":["account","email"],"granted":["email"]}"#, "Account: Read"),
        (
            r#"{"required":["pullrequest:write","webhook"],"granted":[]}"#,
            "Pull requests: Write, Webhooks: Read and write",
        ),
        // The granular names belong to API tokens; text of the server is never repeated.
        (r#"{"required":["read:user:bitbucket"],"granted":[]}"#, "Account: Read"),
        (r#"{"required":["<b>evil</b>"]}"#, "Account: Read"),
        (r#"{"required":"account"}"#, "Account: Read"),
        (r#"{"required":null}"#, "Account: Read"),
        (r#""see the documentation""#, "Account: Read"),
    ] {
        let scripted = Scripted::bitbucket();
        let message = "Your credentials lack one or more required privilege scopes.";
        let body = format!(r#"{{"type":"error","error":{{"message":"{message}","detail":{detail}}}}}"#);
        scripted.respond_to_all(403, &JSON, body);
        let error = scripted.user().await.unwrap_err();
        assert_eq!(error.to_string(), format!("the OAuth application lacks the scope {expected}"), "{detail}");
        assert!(error.advice().hint.contains("https://bitbucket.org/account/workspaces/"), "{}", error.advice().hint);
    }
}

#[tokio::test]
async fn a_recorded_user_is_read() {
    let scripted = Scripted::bitbucket();
    scripted.user_json(fixture::text("bitbucket/user.json"));
    scripted.http.json(EMAILS, fixture::text("bitbucket/emails.json"));
    let user = scripted.user().await.unwrap();
    assert_eq!(user.key.subject(), "11111111-2222-3333-4444-555555555555");
    assert_eq!((user.username.as_deref(), user.display_name.as_deref()), (Some("janedoe"), Some("Jane Doe")));
    assert_eq!((user.state, user.two_factor, user.is_bot), (UserState::Active, None, false));
    assert_eq!(user.created_at.as_deref(), Some("2019-02-19T10:36:46.361566-08:00"));
    let profile = "https://bitbucket.org/%7B11111111-2222-3333-4444-555555555555%7D/";
    assert_eq!(user.profile_url.as_ref().map(codehost_oauth::WebUrl::as_str), Some(profile));
    assert!(user.avatar_url.is_some_and(|url| url.as_str().contains(".atl-paas.net/")));
    assert_eq!(&*user.raw, fixture::text("bitbucket/user.json"));
}

#[tokio::test]
async fn absent_null_and_odd_members_of_a_user_are_accepted() {
    for (members, username, state, two_factor, is_person) in [
        (r#""type":"user""#, None, UserState::Active, None, true),
        ("", None, UserState::Active, None, true),
        (r#","username":"jane","nickname":"J D""#, Some("jane"), UserState::Active, None, true),
        (r#","username":null,"nickname":"J D""#, Some("J D"), UserState::Active, None, true),
        (r#","nickname":"J D","has_2fa_enabled":true"#, Some("J D"), UserState::Active, Some(true), true),
        (r#","has_2fa_enabled":null,"links":{},"created_on":null"#, None, UserState::Active, None, true),
        (r#","links":null,"display_name":"","account_status":"active""#, None, UserState::Active, None, true),
        (r#","links":{"avatar":{},"html":{"href":"javascript:alert(1)"}}"#, None, UserState::Active, None, true),
        (r#","account_status":"inactive""#, None, UserState::Deactivated, None, false),
        (r#","account_status":"closed""#, None, UserState::Deactivated, None, false),
        (r#","account_status":"suspended""#, None, UserState::Blocked, None, false),
        (r#","account_status":"in limbo""#, None, UserState::Other, None, false),
        (r#","account_status":"""#, None, UserState::Other, None, false),
        (r#","type":"app_user""#, None, UserState::Active, None, false),
        (r#","type":"team""#, None, UserState::Active, None, false),
    ] {
        let scripted = Scripted::bitbucket();
        let members = members.trim_start_matches(',');
        let comma = if members.is_empty() { "" } else { "," };
        let uuid = "{11111111-2222-3333-4444-555555555555}";
        scripted.user_json(format!(r#"{{"uuid":"{uuid}"{comma}{members}}}"#)).http.json(EMAILS, NO_EMAILS);
        let user = scripted.user().await.unwrap();
        assert_eq!(user.username.as_deref(), username, "{members}");
        assert_eq!((user.state, user.two_factor), (state, two_factor), "{members}");
        assert_eq!(user.ensure_active_person().is_ok(), is_person, "{members}");
        assert_eq!((user.profile_url, user.emails.len()), (None, 0), "{members}");
    }
}

#[tokio::test]
async fn only_a_uuid_in_braces_is_a_user_id() {
    const LOWER: &str = "abcdef01-2222-3333-4444-555555555555";
    for (uuid, expected) in [
        (r#""{abcdef01-2222-3333-4444-555555555555}""#, Some(LOWER)),
        (r#""{ABCDEF01-2222-3333-4444-555555555555}""#, Some(LOWER)),
        (r#""\u007babcdef01-2222-3333-4444-555555555555}""#, Some(LOWER)),
        (r#""abcdef01-2222-3333-4444-555555555555""#, None),
        (r#""{abcdef01-2222-3333-4444-555555555555""#, None),
        (r#""{{abcdef01-2222-3333-4444-555555555555}}""#, None),
        (r#""{abcdef0122223333-4444-555555555555}""#, None),
        (r#""{abcdef01-2222-3333-4444-55555555555}""#, None),
        (r#""{abcdef01-2222-3333-4444-5555555555555}""#, None),
        (r#""{abcdef01-2222-3333-4444-555555555555-}""#, None),
        (r#""{gbcdef01-2222-3333-4444-555555555555}""#, None),
        (r#""{abcdef01-2222-3333-4444-55555555555\u0000}""#, None),
        (r#""{abcdef01-2222-3333-4444-55555555555\uff11}""#, None),
        (r#"" {abcdef01-2222-3333-4444-555555555555} ""#, None),
        (r#""{}""#, None),
        (r#""""#, None),
        ("null", None),
        ("42", None),
        (r#"["{abcdef01-2222-3333-4444-555555555555}"]"#, None),
    ] {
        let scripted = Scripted::bitbucket();
        scripted.user_json(format!(r#"{{"type":"user","uuid":{uuid}}}"#)).http.json(EMAILS, NO_EMAILS);
        let user = scripted.user().await;
        assert_eq!(user.as_ref().ok().map(|user| user.key.subject()), expected, "{uuid}");
        assert_eq!(outcome(&user), if expected.is_some() { "ok" } else { "malformed" }, "{uuid}");
    }
    let scripted = Scripted::bitbucket();
    let twice = r#"{"uuid":"{abcdef01-2222-3333-4444-555555555555}","uuid":"{abcdef02-2222-3333-4444-555555555555}"}"#;
    scripted.user_json(twice).http.json(EMAILS, NO_EMAILS);
    assert_eq!(outcome(&scripted.user().await), "malformed");
}

#[tokio::test]
async fn only_a_single_primary_and_confirmed_address_is_trusted() {
    let entry = |email: &str, primary: &str, confirmed: &str| {
        format!(r#"{{"type":"email","email":"{email}","is_primary":{primary},"is_confirmed":{confirmed}}}"#)
    };
    for (entries, trusted) in [
        (vec![], None),
        (vec![entry("a@example.com", "true", "true")], Some("a@example.com")),
        (vec![entry("a@example.com", "true", "false")], None),
        (vec![entry("a@example.com", "true", "null")], None),
        (vec![entry("a@example.com", "false", "true")], None),
        (vec![entry("a@example.com", "null", "true")], None),
        (vec![entry("a@example.com", "true", "true"), entry("b@example.com", "true", "true")], None),
        (vec![entry("a@example.com", "true", "false"), entry("b@example.com", "true", "true")], None),
        (vec![entry("a@example.com", "false", "true"), entry("b@example.com", "true", "true")], Some("b@example.com")),
        (vec![entry("a@evil@example.com", "true", "true")], None),
        (vec![r#"{"type":"email"}"#.to_owned()], None),
    ] {
        let scripted = Scripted::bitbucket();
        scripted.user_json(USER).http.json(EMAILS, format!(r#"{{"values":[{}]}}"#, entries.join(",")));
        let user = scripted.user().await.unwrap();
        assert_eq!(user.trusted_email(EmailTrust::Platform), trusted, "{entries:?}");
    }
    let scripted = Scripted::bitbucket();
    scripted.user_json(USER).http.json(EMAILS, format!(r#"{{"values":[{}]}}"#, entry("a@example.com", "true", "null")));
    assert_eq!(scripted.user().await.unwrap().emails[0].evidence, EmailEvidence::Unknown);
}

/// The token is sent to the URL of `next`, so that must be the requested URL; only the query may differ.
#[tokio::test]
async fn next_is_followed_only_to_the_same_url_with_another_query() {
    const PAGE: &str = "https://api.bitbucket.org/2.0/user/emails";
    let page = |number: usize, next: &str| {
        let email = format!(r#"{{"email":"a{number}@example.com","is_primary":false,"is_confirmed":true}}"#);
        format!(r#"{{"next":{next},"values":[{email}]}}"#)
    };
    // Pages, addresses, and whether the list is complete.
    for (pages, expected, complete) in [(1, 1, true), (2, 2, true), (10, 10, true), (11, 10, false), (50, 10, false)] {
        let scripted = Scripted::bitbucket();
        scripted.user_json(USER);
        for number in 1..=pages {
            let next =
                if number == pages { "null".to_owned() } else { format!("\"{PAGE}?page=op%3Aaque-{number}&x=1\"") };
            scripted.http.json(EMAILS, page(number, &next));
        }
        let user = scripted.user().await.unwrap();
        assert_eq!((user.emails.len(), user.email_list == EmailList::Complete), (expected, complete), "{pages} pages");
        let requests = scripted.requests();
        let requested: Vec<_> =
            requests.iter().map(|request| request.url.as_str()).filter(|url| *url != USER_URL).collect();
        let later = (1..expected).map(|page| format!("{PAGE}?page=op%3Aaque-{page}&x=1"));
        let expected_urls: Vec<_> = std::iter::once(format!("{PAGE}?pagelen=100&page=1")).chain(later).collect();
        assert_eq!(requested, expected_urls, "{pages} pages");
        assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer canary-the-token")));
    }
    for (next, complete) in [
        ("null", true),
        ("\"\"", true),
        ("false", true),
        ("7", false),
        ("{}", false),
        ("\"page=2\"", false),
        ("\"/2.0/user/emails?page=2\"", false),
        ("\"//api.bitbucket.org/2.0/user/emails?page=2\"", false),
        ("\"https://evil.test/2.0/user/emails?page=2\"", false),
        ("\"https://api.bitbucket.org.evil.test/2.0/user/emails?page=2\"", false),
        ("\"https://api.bitbucket.org@evil.test/2.0/user/emails?page=2\"", false),
        ("\"https://user:secret@api.bitbucket.org/2.0/user/emails?page=2\"", false),
        ("\"https://bitbucket.org/2.0/user/emails?page=2\"", false),
        ("\"http://api.bitbucket.org/2.0/user/emails?page=2\"", false),
        ("\"https://api.bitbucket.org:8443/2.0/user/emails?page=2\"", false),
        ("\"https://api.bitbucket.org/2.0/user?page=2\"", false),
        ("\"https://api.bitbucket.org/2.0/user/emails/?page=2\"", false),
        ("\"https://api.bitbucket.org/2.0/user/emails/../emails/x?page=2\"", false),
        ("\"https://api.bitbucket.org/2.0/user%2Femails?page=2\"", false),
        ("\"javascript:alert(1)\"", false),
    ] {
        let scripted = Scripted::bitbucket();
        scripted.user_json(USER).http.json(EMAILS, page(1, next));
        let user = scripted.user().await.unwrap();
        assert_eq!((user.emails.len(), user.email_list == EmailList::Complete), (1, complete), "{next}");
        assert_eq!(scripted.requests().len(), 2, "{next}");
    }
    // Other spellings of the same URL; and pages that link to each other endlessly.
    for next in
        ["HTTPS://API.bitbucket.org:443/2.0/user/emails?page=2#x", "https://api.bitbucket.org/2.0/./user/emails?page=2"]
    {
        let scripted = Scripted::bitbucket();
        scripted.user_json(USER).http.json(EMAILS, page(1, &format!("{next:?}"))).json(EMAILS, page(2, "null"));
        assert_eq!(scripted.user().await.unwrap().emails.len(), 2, "{next}");
        assert_eq!(scripted.requests().last().unwrap().url.as_str(), format!("{PAGE}?page=2"));
    }
    let scripted = Scripted::bitbucket();
    scripted.user_json(USER);
    for number in 1..=20 {
        scripted.http.json(EMAILS, page(number, &format!("\"{PAGE}?page=2\"")));
    }
    let user = scripted.user().await.unwrap();
    assert_eq!((user.emails.len(), user.email_list, scripted.requests().len()), (2, EmailList::Incomplete, 3));

    // Addresses before a page that fails are kept.
    let scripted = Scripted::bitbucket();
    let first = r#"{"values":[{"email":"jane@example.com","is_primary":true,"is_confirmed":true}],"next":NEXT}"#;
    scripted.user_json(USER).http.json(EMAILS, first.replace("NEXT", &format!("\"{PAGE}?page=2\"")));
    scripted.http.respond(EMAILS, 502, &JSON, "");
    let user = scripted.user().await.unwrap();
    assert_eq!(user.email_list, EmailList::Incomplete);
    assert_eq!(user.trusted_email(EmailTrust::Platform), Some("jane@example.com"));

    let scripted = Scripted::bitbucket();
    scripted.user_json(USER).http.json(EMAILS, fixture::text("bitbucket/emails_first_of_two_pages.json"));
    scripted.http.json(EMAILS, fixture::text("bitbucket/emails.json"));
    assert_eq!(scripted.user().await.unwrap().trusted_email(EmailTrust::Platform), Some("username@example.org"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_at_the_addresses_does_not_fail_the_user() {
    // The user look-up accepted the token.
    let scripted = Scripted::bitbucket();
    scripted.user_json(USER);
    for _ in 0..3 {
        scripted.http.respond(EMAILS, 401, &JSON, "");
    }
    assert_eq!(scripted.user().await.unwrap().email_list, EmailList::Incomplete);
    assert_eq!(scripted.requests().len(), 4);
    // An error of the user look-up has precedence.
    let scripted = Scripted::bitbucket();
    scripted.http.respond("/2.0/user", 401, &JSON, fixture::text("bitbucket/error_token_expired.json"));
    scripted.http.respond(EMAILS, 503, &JSON, "");
    assert_eq!(outcome(&scripted.user().await), "token_expired");
}
