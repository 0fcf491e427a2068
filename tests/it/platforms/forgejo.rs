//! Forgejo and Gitea: logins at a fake over real sockets, and what each response means.

use codehost_oauth::check::{Level, Verdict};
use codehost_oauth::error::{ApiError, Error};
use codehost_oauth::forgejo::Forgejo;
use codehost_oauth::setup::{AppOwner, SetupRequest};
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::testing::forgejo::{FakeForgejoBuilder, FakeUser};
use codehost_oauth::testing::{FakeApplication, FakeForgejo, ScriptedTransport};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, EmailAuthority, EmailEvidence, EmailList, EmailTrust, Group, Integration,
    IntegrationBuilder, IntegrationConfig, Login, LoginPolicy, OAuthProvider as _, Platform, RefreshToken, Revocation,
};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::RoundTrips;

const SECRET: &str = "canary-forgejo-secret";
const CALLBACK: &str = "http://127.0.0.1:9000/oauth/callback/forgejo/demo";
const USER: &str =
    r#"{"id":7,"login":"jane","full_name":"Jane Doe","email":"jane@example.com","active":true,"prohibit_login":false}"#;
const EMAILS: &str = r#"[{"email":"jane@example.com","verified":true,"primary":true,"user_id":0,"username":""}]"#;

fn config(access: Access) -> IntegrationConfig {
    IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Forgejo".to_owned(),
        public_url: "http://127.0.0.1:9000".parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: SECRET.to_owned(),
        access,
    }
}

fn network() -> Network {
    Network::public_only().allow_loopback_http()
}

fn provider(base_url: &str) -> std::sync::Arc<Forgejo> {
    std::sync::Arc::new(Forgejo::new(BaseUrl::parse(base_url, &network()).unwrap()).unwrap())
}

fn scripted(http: &ScriptedTransport) -> Integration {
    Integration::builder(provider("https://git.example.com"), http.clone(), config(Access::SignIn)).build().unwrap()
}

async fn server(builder: FakeForgejoBuilder) -> FakeForgejo {
    builder.application(FakeApplication::new("my-id", SECRET, CALLBACK, "")).start().await.unwrap()
}

fn live(fake: &FakeForgejo, config: IntegrationConfig) -> IntegrationBuilder {
    Integration::builder(provider(fake.base_url()), HttpClient::builder(network()).build().unwrap(), config)
}

async fn log_in(integration: &Integration, fake: &FakeForgejo, user: &str) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let callback = fake.authorize(start.redirect_to.as_str(), user).unwrap();
    integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked()
}

async fn finish(integration: &Integration, extra: &str) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let callback = Callback::parse(&format!("/oauth/callback/forgejo/demo?code=abc&state={state}{extra}")).unwrap();
    integration.finish_login(start.pending, callback).await.leak_checked()
}

#[tokio::test]
async fn a_login_takes_two_round_trips_on_both_servers() {
    for builder in [FakeForgejo::builder(), FakeForgejo::builder().gitea(), FakeForgejo::builder().sub_path("")] {
        let fake = server(builder).await;
        let trips = RoundTrips::new();
        let integration = Integration::builder(provider(fake.base_url()), trips.clone(), config(Access::SignIn));
        let policy = LoginPolicy::members_of([Group::path("acme").unwrap()]);
        let integration = integration.email_trust(EmailTrust::ThisInstance).policy(policy).build().unwrap();
        let login = log_in(&integration, &fake, "jane").await.unwrap();
        assert_eq!(trips.take(), 2);
        assert_eq!(login.user.key.to_string(), "forgejo:demo:7");
        assert_eq!(login.user.username.as_deref(), Some("jane"));
        assert_eq!(login.user.display_name.as_deref(), Some("Jane Doe"));
        assert_eq!(login.trusted_email(), Some("jane@example.com"));
        let evidence: Vec<_> = login.user.emails.iter().map(|email| (email.address(), email.evidence)).collect();
        assert_eq!(
            evidence,
            [
                ("jane@example.com", EmailEvidence::Confirmed),
                ("jane.work@example.com", EmailEvidence::Confirmed),
                ("jane.pending@example.com", EmailEvidence::Unconfirmed),
            ]
        );
        assert!(login.user.emails.iter().all(|email| email.authority == EmailAuthority::SelfManaged));
        // No response names the scopes, so none is reported as missing.
        assert!(login.tokens.scopes.is_none() && login.missing_scopes.is_empty());
        assert_eq!(fake.requests().len(), 4);
    }
}

#[tokio::test]
async fn tokens_are_renewed_and_a_used_refresh_token_is_refused() {
    let fake = server(FakeForgejo::builder().unique_tokens(true)).await;
    let integration = live(&fake, config(Access::SignIn)).build().unwrap();
    let tokens = log_in(&integration, &fake, "jane").await.unwrap().tokens;
    let old = tokens.refresh_token.as_ref().unwrap();
    let renewed = integration.refresh(old).await.leak_checked().unwrap();
    assert!(integration.user(&renewed.access_token).await.leak_checked().is_ok());
    assert_eq!(integration.refresh(old).await.leak_checked().unwrap_err().code(), "refresh_rejected");
    // Nothing is sent to revoke tokens: the user is told where to do it.
    let before = fake.requests().len();
    let Ok(Revocation::NotSupported { where_to: Some(page), .. }) = integration.revoke(&renewed).await.leak_checked()
    else {
        panic!()
    };
    assert_eq!(page.as_str(), format!("{}/user/settings/applications", fake.base_url()));
    assert_eq!(fake.requests().len(), before);
    fake.revoke_all();
    let error = integration.user(&renewed.access_token).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "token_rejected");
    let error = integration.refresh(renewed.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "refresh_rejected");
}

#[tokio::test]
async fn accounts_that_may_not_sign_in_are_refused_with_the_reason() {
    for (version, user, code) in [
        ("15.0.3+gitea-1.22.0", "carol", "account_blocked"),
        ("15.0.3+gitea-1.22.0", "dave", "account_unconfirmed"),
        ("15.0.3+gitea-1.22.0", "erin", "account_password_expired"),
        ("15.0.3+gitea-1.22.0", "frank", "two_factor_required"),
        ("11.0.3+gitea-1.22.0", "frank", "ok"),
        ("15.0.3+gitea-1.22.0", "bob", "ok"),
        ("15.0.3+gitea-1.22.0", "ivan", "ok"),
    ] {
        let fake = server(FakeForgejo::builder().version(version)).await;
        let integration = live(&fake, config(Access::SignIn)).build().unwrap();
        let outcome = log_in(&integration, &fake, user).await;
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), code, "{user} {version}");
    }
    let fake = server(FakeForgejo::builder()).await;
    let integration = live(&fake, config(Access::SignIn)).email_trust(EmailTrust::ThisInstance).build().unwrap();
    let login = log_in(&integration, &fake, "bob").await.unwrap();
    assert_eq!(login.require_trusted_email().unwrap_err().code(), "no_trusted_email");
}

/// A user who has authorized the application before keeps the scopes of that time.
#[tokio::test]
async fn an_earlier_authorization_that_is_too_narrow_has_a_way_out() {
    for builder in [FakeForgejo::builder(), FakeForgejo::builder().gitea()] {
        let fake = server(builder).await;
        let integration = live(&fake, config(Access::SignIn)).build().unwrap();
        let start = integration.begin_login(None).unwrap();
        let narrow = start.redirect_to.as_str().replace("read%3Auser", "read%3Arepository");
        assert!(narrow.contains("scope=read%3Arepository"), "{narrow}");
        fake.authorize(&narrow, "jane").unwrap();
        let error = log_in(&integration, &fake, "jane").await.unwrap_err();
        let Error::Api { cause: ApiError::ConsentTooNarrow { missing, .. }, .. } = &error else { panic!("{error}") };
        assert_eq!(missing, &["read:user"]);
        let page = format!("{}/user/settings/applications", fake.base_url());
        assert!(error.advice().hint.contains(&page), "{}", error.advice().hint);
        fake.revoke("jane");
        assert!(log_in(&integration, &fake, "jane").await.is_ok());
    }
}

#[tokio::test]
async fn memberships_come_from_the_users_teams() {
    let mut members = FakeUser::many_teams(120);
    members.id = 100;
    let fake = server(FakeForgejo::builder().user(members).max_response_items(20)).await;
    let log_in_as = async |user: &str, group: Group| {
        let policy = LoginPolicy::members_of([group]);
        let integration = live(&fake, config(Access::SignIn)).policy(policy).build().unwrap();
        log_in(&integration, &fake, user).await.map_or_else(|error| error.code(), |_| "ok")
    };
    let path = |path: &str| Group::path(path).unwrap();
    for (user, group, expected) in [
        ("jane", path("acme"), "ok"),
        ("jane", path("ACME"), "ok"),
        ("jane", Group::id("20").unwrap(), "ok"),
        ("jane", Group::id("21").unwrap().at_least("owner"), "ok"),
        ("jane", Group::id("31").unwrap(), "not_a_member"),
        ("jane", path("acme/developers"), "ok"),
        ("jane", path("acme/Owners"), "not_a_member"),
        ("jane", path("acme").at_least("write"), "ok"),
        ("jane", path("acme").at_least("admin"), "not_a_member"),
        ("jane", path("developers"), "not_a_member"),
        ("bob", path("acme"), "not_a_member"),
        ("heidi", path("acme/triage"), "ok"),
        ("heidi", path("acme/triage").at_least("read"), "not_a_member"),
        ("heidi", path("acme").at_least("admin"), "ok"),
        ("many", path("org-120"), "ok"),
        ("many", path("org-121"), "not_a_member"),
    ] {
        assert_eq!(log_in_as(user, group.clone()).await, expected, "{user} {group:?}");
    }
    for (group, code) in [
        (path("acme/a/b"), "group"),
        (Group::id("a15f").unwrap(), "group"),
        (path("acme").at_least("member"), "role"),
        (path("acme").with_subgroups(), "no_subgroups"),
    ] {
        let policy = LoginPolicy::members_of([group]);
        assert_eq!(live(&fake, config(Access::SignIn)).policy(policy).build().unwrap_err().code(), code);
    }
}

/// Unknown scopes, and scopes of OpenID Connect alone, would give a token all rights.
#[test]
fn scopes_that_would_allow_everything_are_refused() {
    let build = |access: Access| {
        Integration::builder(provider("https://git.example.com"), ScriptedTransport::new(), config(access))
            .build()
            .map(drop)
    };
    for (scopes, code) in [
        ("read:user", "ok"),
        ("write:package read:user openid", "ok"),
        ("all", "ok"),
        ("openid profile email", "unlimited_scopes"),
        ("public-only", "unlimited_scopes"),
        ("read:user read:everything", "unknown_scope"),
        ("read_user", "unknown_scope"),
        ("repo", "unknown_scope"),
    ] {
        let outcome = build(Access::Custom(scopes.parse().unwrap()));
        assert_eq!(outcome.map_or_else(|error| error.code(), |()| "ok"), code, "{scopes}");
    }
    for access in [Access::SignIn, Access::Read, Access::Write] {
        assert_eq!(build(access), Ok(()));
    }
    let forgejo = provider("https://git.example.com");
    let text = |access| forgejo.required_scopes(&access).to_string();
    assert_eq!(text(Access::SignIn), "read:user");
    assert_eq!(text(Access::Read), "read:issue read:organization read:repository read:user");
    assert_eq!(text(Access::Write), "read:organization read:user write:issue write:repository");
    assert_eq!(forgejo.covered_scopes(&"write:issue".parse().unwrap()).to_string(), "read:issue");
    assert_eq!(forgejo.covered_scopes(&"all".parse().unwrap()).len(), 18);
}

#[test]
fn the_placeholder_of_the_secret_is_refused() {
    let config = IntegrationConfig { client_secret: "averysecuresecret".to_owned(), ..config(Access::SignIn) };
    let error = Integration::builder(provider("https://git.example.com"), ScriptedTransport::new(), config).build();
    let error = error.unwrap_err();
    assert_eq!(error.code(), "secret_placeholder");
    assert!(error.advice().hint.starts_with("Choose \"Regenerate secret\" in"));
}

/// The table of the token endpoint's refusals. `unauthorized_client` has many meanings, an unknown text has none.
#[tokio::test]
async fn every_refusal_of_the_token_endpoint_has_its_meaning() {
    for (error, description, of_code, of_refresh) in [
        ("invalid_client", "cannot load client with client id: 'x'", "client_rejected", "client_rejected"),
        ("invalid_client", "invalid client secret", "client_rejected", "client_rejected"),
        ("unauthorized_client", "invalid client secret", "client_rejected", "client_rejected"),
        ("unauthorized_client", "invalid empty client secret", "client_rejected", "client_rejected"),
        ("unauthorized_client", "unexpected redirect URI", "callback_url_rejected", "token_refused"),
        ("unauthorized_client", "client is not authorized", "code_rejected", "token_refused"),
        ("unauthorized_client", "failed PKCE code challenge", "code_rejected", "token_refused"),
        (
            "unauthorized_client",
            "redirect_uri does not match the authorization request",
            "callback_url_rejected",
            "token_refused",
        ),
        (
            "invalid_grant",
            "redirect_uri differs from the original authorization request",
            "callback_url_rejected",
            "refresh_rejected",
        ),
        ("invalid_grant", "invalid grant", "code_rejected", "refresh_rejected"),
        ("invalid_grant", "authorization code already used", "code_rejected", "refresh_rejected"),
        ("invalid_grant", "authorization code expired", "code_rejected", "refresh_rejected"),
        ("invalid_request", "cannot proceed your request", "code_rejected", "token_refused"),
        ("invalid_request", "cannot process your request", "code_rejected", "token_refused"),
        ("unauthorized_client", "unable to parse refresh token", "token_refused", "refresh_rejected"),
        ("unauthorized_client", "token is not a refresh token", "token_refused", "refresh_rejected"),
        ("unauthorized_client", "token was already used", "token_refused", "refresh_rejected"),
        ("invalid_grant", "grant does not exist", "code_rejected", "refresh_rejected"),
        ("invalid_grant", "refresh token was not issued to this client", "code_rejected", "refresh_rejected"),
        ("invalid_grant", "cannot increase the grant counter", "code_rejected", "refresh_rejected"),
        (
            "unsupported_grant_type",
            "Only refresh_token or authorization_code",
            "grant_not_allowed",
            "grant_not_allowed",
        ),
        ("unauthorized_client", "a text of a later version", "token_refused", "token_refused"),
        ("server_error", "", "token_refused", "token_refused"),
    ] {
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        let http = ScriptedTransport::new();
        http.otherwise(400, &[("content-type", "application/json;charset=utf-8")], body);
        let integration = scripted(&http);
        assert_eq!(finish(&integration, "").await.unwrap_err().code(), of_code, "{error}: {description}");
        let token = RefreshToken::new("canary-refresh".to_owned(), integration.binding()).unwrap();
        let refused = integration.refresh(&token).await.leak_checked().unwrap_err();
        assert_eq!(refused.code(), of_refresh, "{error}: {description}");
    }
    // OAuth is switched off.
    let http = ScriptedTransport::new();
    http.otherwise(403, &[("content-type", "text/plain")], "Forbidden");
    assert_eq!(finish(&scripted(&http), "").await.unwrap_err().code(), "forbidden");
    // A refusal that is no OAuth error is not about the token, whatever it says.
    for message in ["token is required", "token is expired", "oauth2 grant not found or revoked"] {
        let http = ScriptedTransport::new();
        let body = format!(r#"{{"message":"{message}"}}"#);
        http.otherwise(401, &[("content-type", "application/json")], body);
        assert_eq!(finish(&scripted(&http), "").await.unwrap_err().code(), "unexpected_status", "{message}");
    }
}

/// The table of the API's refusals, with the words of both servers' versions.
#[tokio::test]
async fn every_refusal_of_the_api_has_its_meaning() {
    let repeated = "access token does not exist [sha: canary-access]\\ntoken has invalid claims: token is expired";
    for (status, message, code) in [
        (401, "user does not exist [uid: 0, name: ]", "token_rejected"),
        (401, "oauth2 grant not found or revoked", "token_revoked"),
        (401, "token has invalid claims: token is expired", "token_expired"),
        (401, repeated, "token_expired"),
        (401, "token is required", "token_rejected"),
        (403, "token does not have at least one of required scope(s): [read:user]", "consent_too_narrow"),
        (
            403,
            "token does not have at least one of required scope(s), required=[read:user], token scope=all",
            "consent_too_narrow",
        ),
        (403, "token scope is limited to public users", "consent_too_narrow"),
        (403, "This account is not activated.", "account_unconfirmed"),
        (403, "This account is prohibited from signing in, please contact your site administrator.", "account_blocked"),
        (
            403,
            "You must change your password. Change it at: https://git.example.com//user/settings/change_password",
            "account_password_expired",
        ),
        (403, "Aktiviere sie unter: https://git.example.com/user/settings/security", "two_factor_required"),
        (403, "請至 https://git.example.com/git/user/settings/security 啟用。", "two_factor_required"),
        (403, "Only signed in user is allowed to call APIs.", "forbidden"),
        (404, "Nicht gefunden", "api_not_found"),
        (500, "", "code_host_down"),
    ] {
        let http = ScriptedTransport::new();
        let body = format!(r#"{{"message":"{message}","url":"https://git.example.com/api/swagger"}}"#);
        http.otherwise(status, &[("content-type", "application/json;charset=utf-8")], body);
        let integration = scripted(&http);
        let token = AccessToken::new("canary-access".to_owned(), integration.binding()).unwrap();
        let error = integration.user(&token).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), code, "{status} {message}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
    // The page of a protection against bots.
    for status in [200, 401, 403] {
        let fake = server(FakeForgejo::builder()).await;
        let integration = live(&fake, config(Access::SignIn)).build().unwrap();
        let login = log_in(&integration, &fake, "jane").await.unwrap();
        fake.set_bot_check(Some(status));
        let error = integration.user(&login.tokens.access_token).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "bot_challenge", "{status}");
        assert!(!error.advice().needs_login);
    }
}

/// Users who may not sign in mostly get 403; where they get a response, it says so.
#[tokio::test]
async fn the_state_in_the_response_decides_and_must_be_readable() {
    for (members, code) in [
        (r#""active":true,"prohibit_login":false"#, "ok"),
        (r#""active":true,"prohibit_login":false,"restricted":true"#, "ok"),
        // Older versions do not tell it.
        (r#""login":"jane""#, "ok"),
        (r#""active":true,"prohibit_login":true"#, "account_blocked"),
        (r#""active":false,"prohibit_login":true"#, "account_blocked"),
        (r#""active":false,"prohibit_login":false"#, "account_pending_approval"),
        (r#""active":"yes","prohibit_login":false"#, "malformed"),
        (r#""active":true,"prohibit_login":1"#, "malformed"),
    ] {
        let http = ScriptedTransport::new();
        http.json("/login/oauth/access_token", r#"{"access_token":"canary-a","token_type":"bearer"}"#);
        http.json("/api/v1/user", format!(r#"{{"id":7,{members}}}"#)).json("/api/v1/user/emails", EMAILS);
        let outcome = finish(&scripted(&http), "").await;
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), code, "{members}");
    }
    for id in ["0", "-7", "\"7\"", "7.5", "null", "9223372036854775808"] {
        let http = ScriptedTransport::new();
        http.json("/login/oauth/access_token", r#"{"access_token":"canary-a","token_type":"bearer"}"#);
        http.json("/api/v1/user", format!(r#"{{"id":{id},"login":"jane"}}"#)).json("/api/v1/user/emails", EMAILS);
        assert_eq!(finish(&scripted(&http), "").await.unwrap_err().code(), "malformed", "{id}");
    }
}

/// A Forgejo 16 says what is wrong with a token, in a message that repeats the token.
#[tokio::test]
async fn newer_servers_tell_an_expired_token_from_a_revoked_one() {
    for (version, expired, revoked) in [
        ("16.0.0+gitea-1.22.0", "token_expired", "token_revoked"),
        ("15.0.3+gitea-1.22.0", "token_rejected", "token_rejected"),
    ] {
        let fake = server(FakeForgejo::builder().version(version).unique_tokens(true)).await;
        let integration = live(&fake, config(Access::SignIn)).build().unwrap();
        let user = async |login: &Login| {
            let error = integration.user(&login.tokens.access_token).await.leak_checked().unwrap_err();
            error.code()
        };
        let login = log_in(&integration, &fake, "jane").await.unwrap();
        fake.expire_all_tokens();
        assert_eq!(user(&login).await, expired, "{version}");
        let login = log_in(&integration, &fake, "jane").await.unwrap();
        fake.revoke("jane");
        assert_eq!(user(&login).await, revoked, "{version}");
    }
}

#[tokio::test]
async fn odd_addresses_never_cost_a_login() {
    for (emails, count, list) in [
        (EMAILS, 1, EmailList::Complete),
        ("[]", 0, EmailList::Complete),
        (
            r#"[{"email":"a@b.c@d.e","verified":true,"primary":true},7,{"email":"x@example.com"}]"#,
            1,
            EmailList::Complete,
        ),
        (r#"{"message":"x"}"#, 0, EmailList::Incomplete),
        ("<html>", 0, EmailList::Incomplete),
    ] {
        let http = ScriptedTransport::new();
        http.json("/login/oauth/access_token", r#"{"access_token":"canary-a","token_type":"bearer"}"#);
        http.json("/api/v1/user", USER).json("/api/v1/user/emails", emails);
        let login = finish(&scripted(&http), "").await.unwrap();
        assert_eq!((login.user.emails.len(), login.user.email_list), (count, list), "{emails}");
    }
    // Addresses of the services that the projects run themselves.
    for (base_url, authority) in [
        ("https://codeberg.org", EmailAuthority::Platform),
        ("https://gitea.com", EmailAuthority::Platform),
        ("https://codeberg.org.example.com", EmailAuthority::SelfManaged),
    ] {
        let http = ScriptedTransport::new();
        http.json("/api/v1/user", USER).json("/api/v1/user/emails", EMAILS);
        let integration = Integration::builder(provider(base_url), http, config(Access::SignIn)).build().unwrap();
        let token = AccessToken::new("canary-access".to_owned(), integration.binding()).unwrap();
        assert_eq!(integration.user(&token).await.leak_checked().unwrap().emails[0].authority, authority, "{base_url}");
    }
}

/// Neither server names an issuer. If one is named, it must be this server.
#[tokio::test]
async fn the_issuer_may_be_absent_and_must_not_be_wrong() {
    for (extra, code) in
        [("", "ok"), ("&iss=https://git.example.com/", "ok"), ("&iss=https://evil.example.com", "other_issuer")]
    {
        let http = ScriptedTransport::new();
        http.json("/login/oauth/access_token", r#"{"access_token":"canary-a","token_type":"bearer"}"#);
        http.json("/api/v1/user", USER).json("/api/v1/user/emails", EMAILS);
        let outcome = finish(&scripted(&http), extra).await;
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), code, "{extra}");
    }
}

#[tokio::test]
async fn the_check_finds_what_would_fail() {
    let fine = server(FakeForgejo::builder()).await;
    let report = live(&fine, config(Access::SignIn)).build().unwrap().check().await;
    assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
    let codes: Vec<_> = report.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["reachable", "no_encryption", "platform", "issuer", "callback_url", "credentials"]);
    assert!(report.to_string().contains("Forgejo 15.0.3"), "{report}");

    let wrong_secret = IntegrationConfig { client_secret: "canary-wrong".to_owned(), ..config(Access::SignIn) };
    let wrong_id = IntegrationConfig { client_id: "other".to_owned(), ..config(Access::SignIn) };
    let other_callback = IntegrationConfig { id: "elsewhere".parse().unwrap(), ..config(Access::SignIn) };
    for (builder, config, code) in [
        (FakeForgejo::builder(), wrong_secret, "client_rejected"),
        (FakeForgejo::builder(), wrong_id, "client_rejected"),
        (FakeForgejo::builder(), other_callback, "callback_url_rejected"),
        (FakeForgejo::builder().oauth(false), config(Access::SignIn), "oauth_disabled"),
        (FakeForgejo::builder().oauth(false).version("11.0.3+gitea-1.22.0"), config(Access::SignIn), "oauth_disabled"),
        (FakeForgejo::builder().oauth(false).gitea().version("1.24.0"), config(Access::SignIn), "oauth_disabled"),
        (FakeForgejo::builder().oauth(false).require_sign_in(true), config(Access::SignIn), "oauth_disabled"),
        (FakeForgejo::builder().bot_check(200), config(Access::SignIn), "bot_challenge"),
        (FakeForgejo::builder().gitea().version("1.22.6"), config(Access::SignIn), "no_scopes"),
        (FakeForgejo::builder().root_url("http://other.example.com"), config(Access::SignIn), "issuer"),
    ] {
        let fake = server(builder).await;
        let report = live(&fake, config).build().unwrap().check().await;
        let found = report.findings().iter().find(|finding| finding.code == code);
        assert!(found.is_some_and(|finding| finding.level != Level::Ok && finding.fix.is_some()), "{code}: {report}");
        let is_secret_sent = fake.requests().iter().any(|request| request.method == http::Method::POST);
        assert_eq!(is_secret_sent, code != "bot_challenge", "{code}");
        assert_eq!(report.verdict() == Verdict::Wrong, !["no_scopes", "issuer"].contains(&code), "{report}");
    }
    // The version is told to users only.
    let private = server(FakeForgejo::builder().require_sign_in(true)).await;
    let report = live(&private, config(Access::SignIn)).build().unwrap().check().await;
    assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
    // The address of a user's page.
    let page = format!("{}/jane", fine.base_url());
    let http = HttpClient::builder(network()).build().unwrap();
    let report = Integration::builder(provider(&page), http, config(Access::SignIn)).build().unwrap().check().await;
    let fix = report.findings()[0].fix.as_ref().unwrap();
    assert!(report.findings()[0].code == "base_path" && fix.contains(fine.base_url()), "{report}");
}

/// A proxy can hide the discovery document, and respond in place of the token endpoint. That is not a server without OAuth.
#[tokio::test]
async fn the_check_tells_a_proxy_from_a_server_without_oauth() {
    const JSON: &str = "application/json";
    let refused_code = r#"{"error":"unauthorized_client","error_description":"client is not authorized"}"#;
    let discovery = r#"{"issuer":"https://git.example.com/"}"#;
    let proxy = "<html>Sign in at the proxy</html>";
    for (version, document, token, codes) in [
        ("15.0.3+gitea-1.22.0", (404, "{}"), (400, JSON, refused_code), "discovery_missing callback_url credentials"),
        ("15.0.3+gitea-1.22.0", (200, "{}"), (400, JSON, refused_code), "discovery_missing callback_url credentials"),
        ("development", (200, discovery), (400, JSON, refused_code), "issuer callback_url credentials"),
        ("15.0.3+gitea-1.22.0", (404, ""), (403, "text/plain", "Forbidden"), "oauth_disabled"),
        ("1.25.0", (200, discovery), (403, "text/plain", "Forbidden"), "issuer credentials_unclear"),
        ("1.24.9", (200, discovery), (403, "text/plain", "Forbidden"), "oauth_disabled"),
        ("1.27.2", (200, discovery), (200, "text/html", proxy), "issuer html"),
        ("1.27.2", (200, discovery), (403, "text/html", proxy), "issuer html"),
    ] {
        let http = ScriptedTransport::new();
        http.json("/api/v1/version", format!(r#"{{"version":"{version}"}}"#));
        http.respond("/.well-known/openid-configuration", document.0, &[("content-type", JSON)], document.1);
        http.respond("/login/oauth/access_token", token.0, &[("content-type", token.1)], token.2);
        let report = scripted(&http).check().await;
        let found: Vec<_> = report.findings().iter().skip(3).map(|finding| finding.code).collect();
        assert_eq!(found.join(" "), codes, "{version} {report}");
        let of_html = report.findings().iter().find(|finding| finding.code == "html");
        assert!(
            of_html.is_none_or(|html| html.fix.as_ref().unwrap().contains("/login/oauth/access_token")),
            "{report}"
        );
    }
}

/// The credentials are sent only to what is known to be a Forgejo or a Gitea.
#[tokio::test]
async fn a_server_with_another_kind_of_version_gets_no_secret() {
    for version in [r#""x""#, r#""""#, r#""v""#, "7", "null", "{}"] {
        let http = ScriptedTransport::new();
        http.json("/api/v1/version", format!(r#"{{"version":{version}}}"#));
        http.otherwise(404, &[("content-type", "application/json")], "{}");
        let report = scripted(&http).check().await;
        assert!(report.finding("not_this_platform").is_some(), "{version} {report}");
        assert!(http.requests().iter().all(|request| request.method == http::Method::GET), "{version}");
    }
}

fn setup_request() -> SetupRequest {
    let app = "https://packages.example.com".parse().unwrap();
    SetupRequest::new(app, "demo".parse().unwrap(), "Depot", Access::Read).unwrap()
}

#[test]
fn the_guide_has_no_boxes_and_a_line_for_each_callback_url() {
    let forgejo = provider("https://git.example.com/forgejo");
    let request = setup_request();
    let guide = forgejo.setup_guide(&request);
    let text = guide.to_string();
    assert!(!guide.has_scope_boxes && !text.to_lowercase().contains("tick"), "{text}");
    let links: Vec<_> = guide.links.iter().map(|link| link.address.as_str().to_owned()).collect();
    assert_eq!(
        links,
        [
            "https://git.example.com/forgejo/org/<ORGANIZATION>/settings/applications",
            "https://git.example.com/forgejo/admin/applications",
            "https://git.example.com/forgejo/user/settings/applications",
        ]
    );
    for (owner, link) in [
        (AppOwner::Group("acme".to_owned()), "https://git.example.com/forgejo/org/acme/settings/applications"),
        (AppOwner::Instance, "https://git.example.com/forgejo/admin/applications"),
    ] {
        let request = setup_request();
        let links = forgejo.setup_links(&request.owner(owner));
        assert_eq!((links.len(), links[0].address.as_str()), (1, link));
    }
    let more = "https://other.example.com/callback";
    let app: codehost_oauth::PublicUrl = "https://other.example.com".parse().unwrap();
    let guide =
        forgejo.setup_guide(&request.more_callback_url(codehost_oauth::CallbackUrl::at(&app, "/callback").unwrap()));
    let fields = guide.fields.iter().filter(|field| field.label == "Redirect URIs");
    let values: Vec<_> = fields.map(|field| field.value.as_str()).collect();
    assert_eq!(values, ["https://packages.example.com/oauth/callback/forgejo/demo", more]);
    // Each is a value of its own in what an administrator copies from.
    assert!(guide.to_string().lines().any(|line| line.trim() == more), "{guide}");
    assert!(guide.to_html().contains(&format!("<code>{more}</code>")));
    assert!(guide.to_markdown().contains(&format!("`{more}`")));
}

#[tokio::test]
async fn forgejo_conforms() {
    for (base_url, root) in [("https://codeberg.org", ""), ("https://git.example.com:3000/git", "/git")] {
        let provider =
            Platform::find("forgejo").unwrap().provider(BaseUrl::parse(base_url, &network()).unwrap()).unwrap();
        let tokens = r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"refresh_token":"r"}"#;
        let suite = Conformance::new(&provider, &format!("{root}/login/oauth/access_token"), tokens)
            .api(&format!("{root}/api/v1/user"), USER)
            .api(&format!("{root}/api/v1/user/emails"), EMAILS);
        let violations = super::scenarios::add(suite, super::scenarios::forgejo(base_url, root)).run().await;
        assert_eq!(violations, [], "{base_url}");
    }
}
