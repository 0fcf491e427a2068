//! Odd members that do not identify the user: the login succeeds and a renewed token pair is kept. Members that identify the
//! user or decide about access are strict.

use std::time::Duration;

use codehost_oauth::{EmailEvidence, EmailList, EmailTrust, Login, TokenNote, TokenSet, User};

use crate::support::scripted::{Scripted, outcome};

const JSON: &str = "application/json";
const EMAILS: &str = "/2.0/user/emails";
const PLATFORMS: [&str; 2] = ["gitlab", "bitbucket"];

fn scripted(platform: &str) -> Scripted {
    if platform == "gitlab" { Scripted::gitlab("https://git.example.com") } else { Scripted::bitbucket() }
}

/// A JSON object of these members, each with its raw value; an empty one is left out. A later member takes the place of an
/// earlier one with the same name.
fn object(members: &[(&str, &str)], changes: &[(&str, &str)]) -> String {
    let kept = members.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let all = kept.chain(changes).filter(|(_, value)| !value.is_empty());
    let all: Vec<_> = all.map(|(name, value)| format!("{name:?}:{value}")).collect();
    format!("{{{}}}", all.join(","))
}

const TOKENS: [(&str, &str); 5] = [
    ("access_token", "\"at\""),
    ("token_type", "\"bearer\""),
    ("expires_in", "7200"),
    ("refresh_token", "\"rt\""),
    ("scope", "\"read_user account\""),
];

const GITLAB_USER: [(&str, &str); 12] = [
    ("id", "42"),
    ("username", "\"jane\""),
    ("name", "\"Jane Doe\""),
    ("state", "\"active\""),
    ("locked", "false"),
    ("avatar_url", "\"https://git.example.com/a.png\""),
    ("web_url", "\"https://git.example.com/jane\""),
    ("created_at", "\"2012-05-23T08:00:58Z\""),
    ("email", "\"jane@example.com\""),
    ("confirmed_at", "\"2012-05-23T08:00:58Z\""),
    ("two_factor_enabled", "true"),
    ("bot", "false"),
];

const BITBUCKET_USER: [(&str, &str); 9] = [
    ("uuid", "\"{11111111-2222-3333-4444-555555555555}\""),
    ("type", "\"user\""),
    ("username", "\"jane\""),
    ("nickname", "\"Jane\""),
    ("display_name", "\"Jane Doe\""),
    ("links", r#"{"avatar":{"href":"https://bitbucket.org/a.png"},"html":{"href":"https://bitbucket.org/jane"}}"#),
    ("account_status", "\"active\""),
    ("has_2fa_enabled", "true"),
    ("created_on", "\"2019-02-19T10:36:46.361566-08:00\""),
];

fn user(platform: &str, changes: &[(&str, &str)]) -> String {
    if platform == "gitlab" { object(&GITLAB_USER, changes) } else { object(&BITBUCKET_USER, changes) }
}

const GOOD_EMAILS: &str = r#"{"values":[{"email":"jane@example.com","is_primary":true,"is_confirmed":true}]}"#;

/// A login with this token response; all other responses are good.
async fn log_in(platform: &str, status: u16, media: &[&str], tokens: &[u8]) -> Result<Login, &'static str> {
    let scripted = scripted(platform);
    let headers: Vec<_> = media.iter().map(|media| ("content-type", *media)).collect();
    let path = if platform == "gitlab" { "/oauth/token" } else { "/site/oauth2/access_token" };
    scripted.http.respond(path, status, &headers, tokens);
    scripted.user_json(user(platform, &[])).http.json(EMAILS, GOOD_EMAILS);
    let login = scripted.log_in().await.map_err(|error| error.code())?;
    assert!(scripted.requests()[1..].iter().all(|request| request.header("authorization") == Some("Bearer at")));
    Ok(login)
}

async fn refresh(platform: &str, status: u16, media: &[&str], tokens: &[u8]) -> Result<TokenSet, &'static str> {
    let scripted = scripted(platform);
    let headers: Vec<_> = media.iter().map(|media| ("content-type", *media)).collect();
    scripted.respond_to_all(status, &headers, tokens);
    let tokens = scripted.refresh().await.map_err(|error| error.code())?;
    assert_eq!((scripted.requests().len(), scripted.access(&tokens).as_str()), (1, "at"));
    Ok(tokens)
}

fn refresh_token(platform: &str, tokens: &TokenSet) -> String {
    scripted(platform).refresh_of(tokens).unwrap_or_default()
}

/// The expected seconds, scopes, refresh token and notes.
type Parsed = (Option<u64>, Option<&'static str>, &'static str, &'static [TokenNote]);

#[tokio::test]
async fn odd_members_of_a_token_response_are_left_out() {
    use TokenNote::{Lifetime, RefreshToken, Scopes};
    const GOOD: Parsed = (Some(7200), Some("read_user account"), "rt", &[]);
    fn lifetime(seconds: Option<u64>, notes: &'static [TokenNote]) -> Parsed {
        (seconds, GOOD.1, GOOD.2, notes)
    }
    fn scopes(scopes: Option<&'static str>, notes: &'static [TokenNote]) -> Parsed {
        (GOOD.0, scopes, GOOD.2, notes)
    }
    fn renewal(notes: &'static [TokenNote]) -> Parsed {
        (GOOD.0, GOOD.1, "", notes)
    }
    let rows: Vec<(&str, &str, Parsed)> = vec![
        ("expires_in", "", lifetime(None, &[])),
        ("expires_in", "null", lifetime(None, &[])),
        ("expires_in", "\"\"", lifetime(None, &[])),
        ("expires_in", "0", lifetime(None, &[Lifetime])),
        ("expires_in", "-1", lifetime(None, &[Lifetime])),
        ("expires_in", "\"-1\"", lifetime(None, &[Lifetime])),
        ("expires_in", "\"soon\"", lifetime(None, &[Lifetime])),
        ("expires_in", "\"inf\"", lifetime(None, &[Lifetime])),
        ("expires_in", "1e400", lifetime(None, &[Lifetime])),
        ("expires_in", "true", lifetime(None, &[Lifetime])),
        ("expires_in", "[7200]", lifetime(None, &[Lifetime])),
        ("expires_in", "{}", lifetime(None, &[Lifetime])),
        ("expires_in", "\"7200\"", lifetime(Some(7200), &[])),
        ("expires_in", "\" 7200 \"", lifetime(Some(7200), &[])),
        ("expires_in", "7200.9", lifetime(Some(7200), &[])),
        ("expires_in", "\"99999999999999999999\"", lifetime(Some(315_360_000), &[])),
        ("scope", "", scopes(None, &[])),
        ("scope", "null", scopes(None, &[])),
        ("scope", "\"\"", scopes(Some(""), &[])),
        ("scope", r#"["read_user","account"]"#, scopes(Some("read_user account"), &[])),
        ("scope", r#"["read_user account",7,null]"#, scopes(Some("read_user account"), &[])),
        ("scope", "[]", scopes(None, &[Scopes])),
        ("scope", "[7]", scopes(None, &[Scopes])),
        ("scope", "\"read_user \u{e9} account\"", scopes(Some("read_user account"), &[Scopes])),
        ("scope", r#""read_user \" a\\b account\n""#, scopes(Some("read_user account"), &[Scopes])),
        ("scope", r#""\ud800""#, scopes(None, &[Scopes])),
        ("scope", "42", scopes(None, &[Scopes])),
        ("scope", r#"{"read_user":true}"#, scopes(None, &[Scopes])),
        ("refresh_token", "", renewal(&[])),
        ("refresh_token", "null", renewal(&[])),
        ("refresh_token", "\"\"", renewal(&[])),
        ("refresh_token", "42", renewal(&[RefreshToken])),
        ("refresh_token", r#""a b""#, renewal(&[RefreshToken])),
        ("refresh_token", r#""a\u0000b""#, renewal(&[RefreshToken])),
        ("refresh_token", r#"["rt"]"#, renewal(&[RefreshToken])),
        ("token_type", "", GOOD),
        ("token_type", "null", GOOD),
        ("token_type", "\"\"", GOOD),
        ("token_type", "\"BEARER\"", GOOD),
        ("token_type", "\" Bearer \"", GOOD),
        ("token_type", "1", GOOD),
        ("error", "null", GOOD),
        ("error", "\"\"", GOOD),
        ("error_description", "\"\\u0000\"", GOOD),
        ("created_at", "\"yesterday\"", GOOD),
        ("id_token", "{}", GOOD),
        ("state", "[[[[1]]]]", GOOD),
        ("something\\u0000new", "\"\\ud800\"", GOOD),
    ];
    assert!(rows.len() >= 36);
    for (name, value, (seconds, scopes, renewal, notes)) in rows {
        let body = object(&TOKENS, &[(name, value)]).replace("\\\\u0000", "\\u0000");
        for platform in PLATFORMS {
            let login = log_in(platform, 200, &[JSON], body.as_bytes()).await;
            let login = login.unwrap_or_else(|code| panic!("{platform} {body}: {code}"));
            let renewed = refresh(platform, 200, &[JSON], body.as_bytes()).await;
            let renewed = renewed.unwrap_or_else(|code| panic!("{platform} {body}: {code}"));
            assert_eq!(refresh_token(platform, &login.tokens), renewal, "{platform} {body}");
            // The old refresh token is kept, because the server may not have rotated it.
            let kept = if renewal.is_empty() { "canary-old-refresh" } else { renewal };
            assert_eq!(refresh_token(platform, &renewed), kept, "{platform} {body}");
            for tokens in [&login.tokens, &renewed] {
                assert_eq!(tokens.expires_in, seconds.map(Duration::from_secs), "{platform} {body}");
                assert_eq!(tokens.scopes.as_ref().map(ToString::to_string).as_deref(), scopes, "{platform} {body}");
                assert_eq!(tokens.notes, notes, "{platform} {body}");
            }
        }
    }
}

#[tokio::test]
async fn duplicate_members_are_ignored_or_refused() {
    for (members, notes, seconds, scopes) in [
        (r#""expires_in":1,"expires_in":2"#, TokenNote::Lifetime, None, None),
        (r#""scope":"a","scope":"b""#, TokenNote::Scopes, None, None),
        (r#""refresh_token":"a","refresh_token":"b""#, TokenNote::RefreshToken, None, None),
        (r#""scope":"a","sc\u006fpe":"b","scopes":"c""#, TokenNote::Scopes, None, Some("c")),
    ] {
        for platform in PLATFORMS {
            let body = format!(r#"{{"access_token":"at","token_type":"bearer",{members}}}"#);
            let tokens = refresh(platform, 200, &[JSON], body.as_bytes()).await.unwrap();
            assert_eq!((tokens.notes.as_slice(), tokens.expires_in), (&[notes][..], seconds), "{body}");
            assert_eq!(tokens.scopes.as_ref().map(ToString::to_string).as_deref(), scopes, "{body}");
            log_in(platform, 200, &[JSON], body.as_bytes()).await.unwrap();
        }
    }
    // Duplicates of members that decide about access are refused.
    for members in [r#""access_token":"at","access_token":"at""#, r#""access_token":"at","error":"","error":"""#] {
        for platform in PLATFORMS {
            let body = format!("{{{members}}}");
            assert_eq!(refresh(platform, 200, &[JSON], body.as_bytes()).await.unwrap_err(), "malformed", "{body}");
            assert_eq!(log_in(platform, 200, &[JSON], body.as_bytes()).await.unwrap_err(), "malformed", "{body}");
        }
    }
}

/// RFC 6749 section 7.1: the client must not use a type that it does not know. After a refresh the old pair is used up, so the
/// new one is kept.
#[tokio::test]
async fn another_token_type_fails_a_login_and_is_noted_after_a_refresh() {
    for kind in ["\"mac\"", "\"Bearer2\"", "\"bearer bearer\"", "\"\u{e9}\"", "\"N_A\""] {
        let body = object(&TOKENS, &[("token_type", kind)]);
        for platform in PLATFORMS {
            assert_eq!(log_in(platform, 200, &[JSON], body.as_bytes()).await.unwrap_err(), "malformed", "{kind}");
            let tokens = refresh(platform, 200, &[JSON], body.as_bytes()).await.unwrap();
            assert_eq!(tokens.notes, [TokenNote::NotBearer], "{kind}");
            assert_eq!(refresh_token(platform, &tokens), "rt", "{kind}");
        }
    }
}

#[tokio::test]
async fn any_success_status_with_json_is_accepted() {
    let good = object(&TOKENS, &[]);
    for platform in PLATFORMS {
        for status in [200, 201, 202, 203, 206, 299] {
            for media in [
                &[JSON][..],
                &["Application/JSON; charset=utf-8"],
                &["application/vnd.api+json"],
                &["application/problem+json"],
                &["text/json"],
                &["text/plain; charset=utf-8"],
                &["application/octet-stream"],
                &["application/x-www-form-urlencoded"],
                &[JSON, JSON],
                &[JSON, "text/plain"],
                // The default of many servers.
                &["text/html"],
                &["text/html; charset=UTF-8"],
                &["application/json, text/html"],
                &[""],
                &[],
            ] {
                log_in(platform, status, media, good.as_bytes()).await.unwrap();
                refresh(platform, status, media, good.as_bytes()).await.unwrap();
            }
        }
        let (with_mark, latin) = (format!("\u{FEFF}{good}"), good.replace("\"at\"", "\"at\",\"name\":\"?\""));
        let latin: Vec<u8> = latin.bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
        let with_tab = good.replace("\"at\"", "\"at\",\"note\":\"a\tb\u{1}\"\r\n\t");
        for body in [with_mark.as_bytes(), latin.as_slice(), with_tab.as_bytes()] {
            log_in(platform, 200, &[JSON], body).await.unwrap();
            refresh(platform, 200, &[JSON], body).await.unwrap();
        }
        // A web page, or no object at all.
        for (media, body, code) in [
            (&["text/html; charset=utf-8"][..], "<html>", "html"),
            (&["text/html"], "\"at\"", "html"),
            (&["application/xhtml+xml"], "<html>", "html"),
            (&[JSON, "text/html"], "<html>", "html"),
            (&["application/json, text/html"], "<html>", "html"),
            (&["text/plain"], "<html>", "not_json"),
            (&["text/plain"], "\"at\"", "not_json"),
            (&["text/plain"], "access_token=at&token_type=bearer", "not_json"),
            (&[], "", "malformed"),
            (&[JSON], "", "malformed"),
            (&["text/plain"], "[]", "malformed"),
            (&["text/plain"], "{}", "malformed"),
        ] {
            assert_eq!(log_in(platform, 200, media, body.as_bytes()).await.unwrap_err(), code, "{media:?} {body}");
            assert_eq!(refresh(platform, 200, media, body.as_bytes()).await.unwrap_err(), code, "{media:?} {body}");
        }
        for status in [201, 204, 205] {
            assert_eq!(refresh(platform, status, &[], b"").await.unwrap_err(), "malformed");
        }
        assert_eq!(refresh(platform, 201, &[JSON], b"{}").await.unwrap_err(), "malformed");
        let refused = object(&TOKENS, &[("error", "\"invalid_grant\"")]);
        assert_eq!(refresh(platform, 201, &["text/plain"], refused.as_bytes()).await.unwrap_err(), "refresh_rejected");
        for error in ["{}", "[]", "42", "true"] {
            let body = object(&TOKENS, &[("error", error)]);
            assert_eq!(refresh(platform, 200, &[JSON], body.as_bytes()).await.unwrap_err(), "malformed", "{error}");
        }
    }
}

/// The user of this response, by a look-up; a login must give the same key or error.
async fn look_up(platform: &str, body: &[u8]) -> Result<User, &'static str> {
    let looked_up = {
        let scripted = scripted(platform);
        scripted.user_json(body).http.json(EMAILS, GOOD_EMAILS);
        scripted.user().await.map_err(|error| error.code())
    };
    let scripted = scripted(platform);
    scripted.token_json(object(&TOKENS, &[])).user_json(body).http.json(EMAILS, GOOD_EMAILS);
    let logged_in = scripted.log_in().await.map_err(|error| error.code());
    let keys = (looked_up.as_ref().map(|user| &user.key), logged_in.as_ref().map(|login| &login.user.key));
    assert_eq!(keys.0, keys.1);
    looked_up
}

#[tokio::test]
async fn odd_members_of_a_user_are_left_out_or_replaced() {
    let names = [("gitlab", "name"), ("bitbucket", "display_name"), ("gitlab", "username"), ("bitbucket", "username")];
    for (platform, member) in names {
        for (value, expected) in [
            (r#""Pat O\u0092Brien""#, Some("Pat O\u{FFFD}Brien")),
            (r#""Pat\tBrien""#, Some("Pat\u{FFFD}Brien")),
            ("\"Pat\tBrien\"", Some("Pat Brien")),
            ("\"Pat\u{92}Brien\"", Some("Pat\u{FFFD}Brien")),
            (r#""a\u0000b""#, Some("a\u{FFFD}b")),
            (r#""a\u202etxt.exe""#, Some("atxt.exe")),
            (r#""\u200b""#, None),
            ("\"\"", None),
            ("null", None),
            ("", None),
            ("42", None),
            ("false", None),
            (r#"["Jane"]"#, None),
            (r#"{"first":"Jane"}"#, None),
        ] {
            let body = user(platform, &[(member, value), ("nickname", "")]);
            let user = look_up(platform, body.as_bytes()).await.unwrap_or_else(|code| panic!("{body}: {code}"));
            let found = if member == "username" { user.username } else { user.display_name };
            assert_eq!(found.as_deref(), expected, "{body}");
        }
        let half = user(platform, &[(member, r#""Jane \ud83d""#)]);
        let user = look_up(platform, half.as_bytes()).await.unwrap();
        assert!(user.display_name.is_some() && user.username.is_some(), "{user:?}");
    }
    let odd = [
        "null",
        "",
        "false",
        "0",
        "1",
        "42",
        "\"\"",
        "\"x\"",
        "[]",
        "[1]",
        "{}",
        r#"{"a":{}}"#,
        "1e400",
        r#""\ud800""#,
    ];
    for (platform, members) in [
        ("gitlab", &["avatar_url", "web_url", "created_at", "email", "confirmed_at", "two_factor_enabled", "new"][..]),
        ("bitbucket", &["links", "type_of", "nickname", "has_2fa_enabled", "created_on", "is_staff", "account_id"]),
    ] {
        for member in members {
            for value in odd {
                let body = user(platform, &[(member, value)]);
                let user = look_up(platform, body.as_bytes()).await.unwrap_or_else(|code| panic!("{body}: {code}"));
                assert!(user.ensure_active_person().is_ok(), "{body}");
                assert_eq!(user.display_name.as_deref(), Some("Jane Doe"), "{body}");
                match *member {
                    "avatar_url" => assert_eq!(user.avatar_url, None, "{body}"),
                    "web_url" => assert_eq!(user.profile_url, None, "{body}"),
                    "links" => assert_eq!((user.avatar_url, user.profile_url), (None, None), "{body}"),
                    "email" => assert_eq!(user.emails, [], "{body}"),
                    "two_factor_enabled" | "has_2fa_enabled" => {
                        assert_eq!(user.two_factor, (value == "false").then_some(false), "{body}");
                    }
                    "confirmed_at" if value != "\"x\"" && value != r#""\ud800""# => {
                        assert_ne!(user.emails[0].evidence, EmailEvidence::Confirmed, "{body}");
                    }
                    _ => {}
                }
            }
        }
    }
    for (links, avatar, profile) in [
        (r#"{"avatar":false,"html":{"href":"https://a.example/x"}}"#, false, true),
        (r#"{"avatar":{"href":7},"html":[]}"#, false, false),
        (r#"{"avatar":{"href":"https://a.example/x","href":"https://b.example/y"}}"#, false, false),
    ] {
        let user = look_up("bitbucket", user("bitbucket", &[("links", links)]).as_bytes()).await.unwrap();
        assert_eq!((user.avatar_url.is_some(), user.profile_url.is_some()), (avatar, profile), "{links}");
    }
}

/// Any true value marks a bot; an account whose state cannot be read is refused.
#[tokio::test]
async fn the_bot_flag_is_lenient_and_the_account_state_strict() {
    for (bot, is_bot) in [
        ("true", true),
        ("1", true),
        ("\"true\"", true),
        ("\"1\"", true),
        ("false", false),
        ("0", false),
        ("\"\"", false),
        ("\"false\"", false),
        ("null", false),
        ("[]", false),
        ("", false),
    ] {
        let scripted = scripted("gitlab");
        let user = scripted.user_json(user("gitlab", &[("bot", bot)])).user().await.unwrap();
        assert_eq!(user.is_bot, is_bot, "{bot}");
    }
    let (odd, absent) = (["1", "true", "[]", "{}", "[\"active\"]", r#""\ud800""#], ["null", ""]);
    for (platform, member) in [("gitlab", "state"), ("bitbucket", "account_status")] {
        for value in odd {
            let body = user(platform, &[(member, value)]);
            assert_eq!(look_up(platform, body.as_bytes()).await.unwrap_err(), "malformed", "{body}");
        }
        let twice = user(platform, &[]).replacen('{', &format!("{{{member:?}:\"active\","), 1);
        assert_eq!(look_up(platform, twice.as_bytes()).await.unwrap_err(), "malformed", "{twice}");
        for value in absent {
            let body = user(platform, &[(member, value)]);
            assert!(look_up(platform, body.as_bytes()).await.unwrap().ensure_active_person().is_ok(), "{body}");
        }
    }
    for locked in ["1", "0", "\"true\"", "\"\"", "[]"] {
        let body = user("gitlab", &[("locked", locked)]);
        assert_eq!(look_up("gitlab", body.as_bytes()).await.unwrap_err(), "malformed", "{body}");
    }
    for (platform, member, value) in [
        ("gitlab", "id", "\"42\""),
        ("gitlab", "id", "42.0"),
        ("gitlab", "id", "null"),
        ("bitbucket", "uuid", "42"),
        ("bitbucket", "uuid", "\"11111111-2222-3333-4444-555555555555\""),
        ("bitbucket", "uuid", "null"),
    ] {
        let body = user(platform, &[(member, value)]);
        assert_eq!(look_up(platform, body.as_bytes()).await.unwrap_err(), "malformed", "{body}");
    }
    for (platform, more) in
        [("gitlab", "\"id\":42,"), ("bitbucket", "\"uuid\":\"{11111111-2222-3333-4444-555555555555}\",")]
    {
        let twice = user(platform, &[]).replacen('{', &format!("{{{more}"), 1);
        assert_eq!(look_up(platform, twice.as_bytes()).await.unwrap_err(), "malformed", "{twice}");
    }
}

#[tokio::test]
async fn any_success_status_with_a_json_user_is_accepted() {
    for platform in PLATFORMS {
        for (status, media) in [
            (201, JSON),
            (203, JSON),
            (200, "text/plain"),
            (200, "text/html"),
            (200, "application/vnd.x+json"),
            (200, ""),
        ] {
            let scripted = scripted(platform);
            let headers = [("content-type", media)];
            let path = if platform == "gitlab" { "/api/v4/user" } else { "/2.0/user" };
            scripted.http.respond(path, status, if media.is_empty() { &[] } else { &headers }, user(platform, &[]));
            scripted.http.respond(EMAILS, status, &headers, GOOD_EMAILS);
            let user = scripted.user().await.unwrap();
            assert_eq!(
                user.trusted_email(EmailTrust::ThisInstance),
                Some("jane@example.com"),
                "{platform} {status} {media}"
            );
        }
    }
}

/// The addresses do not identify the user.
#[tokio::test]
async fn a_login_without_its_addresses_succeeds_and_is_marked_incomplete() {
    let row = |status: u16, media: &'static str, body: &'static str| (status, vec![("content-type", media)], body);
    let rows = [
        row(403, JSON, r#"{"type":"error","error":{"message":"Access denied"}}"#),
        row(403, "text/html", "<html>Checking your Browser</html>"),
        row(403, JSON, ""),
        row(404, JSON, r#"{"type":"error","error":{"message":"Resource not found"}}"#),
        row(404, "text/html", "<html>"),
        row(410, JSON, ""),
        row(400, JSON, ""),
        row(429, JSON, ""),
        row(500, "text/html", ""),
        row(502, "text/html", "<html>Bad Gateway"),
        row(503, JSON, "{}"),
        row(504, "text/plain", ""),
        row(302, JSON, ""),
        row(200, "text/html", "<html>"),
        row(200, "text/plain", "ok"),
        row(200, JSON, "{}"),
        row(200, JSON, "[]"),
        row(200, JSON, "{\"values\":7}"),
        row(204, JSON, ""),
    ];
    for (status, headers, body) in rows {
        let scripted = scripted("bitbucket");
        scripted.token_json(object(&TOKENS, &[])).user_json(user("bitbucket", &[]));
        scripted.http.respond(EMAILS, status, &headers, body);
        let login = scripted.log_in().await.unwrap_or_else(|error| panic!("{status} {body}: {}", error.code()));
        assert_eq!((login.user.emails.len(), login.user.email_list), (0, EmailList::Incomplete), "{status} {body}");
        assert_eq!(login.trusted_email(), None);
        let error = login.require_trusted_email().unwrap_err();
        assert_eq!((error.code(), error.advice().is_transient), ("emails_incomplete", true), "{status} {body}");
    }
    for failure in [
        codehost_oauth::error::TransportError::TimedOut,
        codehost_oauth::error::TransportError::Interrupted,
        codehost_oauth::error::TransportError::Encoded,
    ] {
        let scripted = scripted("bitbucket");
        scripted.user_json(user("bitbucket", &[])).http.fail(EMAILS, failure);
        assert_eq!(scripted.user().await.unwrap().email_list, EmailList::Incomplete);
    }
    // A missing scope has its own cause: an administrator can fix it.
    let scripted = scripted("bitbucket");
    let lacks = r#"{"error":{"message":"x","detail":{"required":["email"],"granted":["account"]}}}"#;
    scripted.user_json(user("bitbucket", &[])).http.respond(EMAILS, 403, &[("content-type", JSON)], lacks);
    let user = scripted.user().await.unwrap();
    assert_eq!(user.email_list, EmailList::NotPermitted);
    assert_eq!(user.require_trusted_email(EmailTrust::Platform).unwrap_err().code(), "email_scope");
}

/// One odd entry does not change the others.
#[tokio::test]
async fn odd_entries_of_the_address_list_are_left_out() {
    let good = r#"{"email":"jane@example.com","is_primary":true,"is_confirmed":true}"#;
    for odd in [
        "null",
        "7",
        "\"jane@evil.test\"",
        "[]",
        "{}",
        r#"{"email":7,"is_primary":true}"#,
        r#"{"email":"a@b@c","is_primary":true,"is_confirmed":true}"#,
        r#"{"email":"x@example.com","is_primary":"true","is_confirmed":true}"#,
        r#"{"email":"x@example.com","is_primary":1,"is_confirmed":1}"#,
        r#"{"email":"x@example.com","email":"y@example.com","is_primary":true,"is_confirmed":true}"#,
        r#"{"email":"x\ud800@example.com","is_primary":true,"is_confirmed":true}"#,
    ] {
        for entries in [format!("{odd},{good}"), format!("{good},{odd}")] {
            let scripted = scripted("bitbucket");
            scripted.user_json(user("bitbucket", &[])).http.json(EMAILS, format!(r#"{{"values":[{entries}]}}"#));
            let user = scripted.user().await.unwrap();
            assert_eq!(user.trusted_email(EmailTrust::Platform), Some("jane@example.com"), "{entries}");
            assert_eq!(user.email_list, EmailList::Complete);
        }
    }
    let doubtful = r#"{"values":[{"email":"jane@example.com","is_primary":true,"is_confirmed":"true"}]}"#;
    let scripted = scripted("bitbucket");
    scripted.user_json(user("bitbucket", &[])).http.json(EMAILS, doubtful);
    let user = scripted.user().await.unwrap();
    assert_eq!(user.emails[0].evidence, EmailEvidence::Unknown);
    assert_eq!(outcome(&scripted.user().await), "unreachable", "every scripted response was used");
}
