//! Bitbucket Data Center: logins at a fake over real sockets, and what each response means.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::bitbucket_data_center::BitbucketDataCenter;
use codehost_oauth::check::{Level, Verdict};
use codehost_oauth::error::Error;
use codehost_oauth::setup::SetupRequest;
use codehost_oauth::testing::bitbucket_data_center::{
    FakeBitbucketDataCenterBuilder, FakeProject, FakeRepository, FakeUser, Level as Permission, Licence, Maintenance,
};
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::testing::{FakeApplication, FakeBitbucketDataCenter, ScriptedTransport};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, EmailEvidence, EmailList, EmailTrust, Group, Integration,
    IntegrationBuilder, IntegrationConfig, Login, LoginPolicy, Membership, OAuthProvider as _, Platform, RefreshToken,
    Revocation,
};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::RoundTrips;

const SECRET: &str = "canary-bitbucket-dc-secret";
const CALLBACK: &str = "http://127.0.0.1:9000/oauth/callback/bitbucket-data-center/demo";

fn config(access: Access) -> IntegrationConfig {
    IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Bitbucket".to_owned(),
        public_url: "http://127.0.0.1:9000".parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: SECRET.to_owned(),
        access,
    }
}

fn network() -> Network {
    Network::public_only().allow_loopback_http()
}

fn provider(base_url: &str) -> Arc<BitbucketDataCenter> {
    Arc::new(BitbucketDataCenter::new(BaseUrl::parse(base_url, &network()).unwrap()).unwrap())
}

async fn server(builder: FakeBitbucketDataCenterBuilder) -> FakeBitbucketDataCenter {
    builder.application(FakeApplication::new("my-id", SECRET, CALLBACK, "REPO_ADMIN")).start().await.unwrap()
}

fn live(fake: &FakeBitbucketDataCenter, config: IntegrationConfig) -> IntegrationBuilder {
    Integration::builder(provider(fake.base_url()), HttpClient::builder(network()).build().unwrap(), config)
}

async fn log_in(integration: &Integration, fake: &FakeBitbucketDataCenter, user: &str) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let callback = fake.authorize(start.redirect_to.as_str(), user).unwrap();
    integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked()
}

fn scripted(http: &ScriptedTransport) -> (Integration, AccessToken) {
    let provider = provider("https://git.example.com");
    let integration = Integration::builder(provider, http.clone(), config(Access::Read)).build().unwrap();
    let token = AccessToken::new("canary-access".to_owned(), integration.binding()).unwrap();
    (integration, token)
}

#[tokio::test]
async fn a_login_takes_three_round_trips() {
    let fake = server(FakeBitbucketDataCenter::builder()).await;
    let trips = RoundTrips::new();
    let policy = LoginPolicy::members_of([Group::path("proj").unwrap()]);
    let builder = Integration::builder(provider(fake.base_url()), trips.clone(), config(Access::Read)).policy(policy);
    let login = log_in(&builder.build().unwrap(), &fake, "jdoe").await.unwrap();
    assert_eq!(trips.take(), 3);
    assert_eq!(login.user.key.to_string(), "bitbucket-data-center:demo:42");
    assert_eq!(login.user.username.as_deref(), Some("jdoe"));
    assert_eq!(login.user.display_name.as_deref(), Some("Jane Doe"));
    assert_eq!(login.user.profile_url.as_ref().unwrap().as_str(), format!("{}/users/jdoe", fake.base_url()));
    assert_eq!((login.user.emails.len(), login.user.emails[0].evidence), (1, EmailEvidence::Unknown));
    assert_eq!(login.tokens.scopes.as_ref().unwrap().to_string(), "REPO_READ");
    assert!(login.missing_scopes.is_empty() && login.trusted_email().is_none());
    // The search for jdoe also finds jdoe2, who is first.
    assert!(fake.requests().iter().any(|request| request.path.contains("filter=jdoe")));
}

/// The name in the header is percent-encoded, and is not the slug.
#[tokio::test]
async fn every_name_is_found_by_the_id() {
    for form_encoded in [false, true] {
        let builder = FakeBitbucketDataCenter::builder().form_encoded_user_name(form_encoded).largest_page(2);
        let fake = server(builder).await;
        let integration =
            live(&fake, config(Access::SignIn)).email_trust(EmailTrust::WithoutVerification).build().unwrap();
        for (user, id, email) in [
            ("jdoe", "42", Some("jdoe@example.com")),
            ("ann.lee@example.com", "44", Some("ann.lee@example.com")),
            ("CORP\\kim", "45", Some("kim@example.com")),
            ("\u{c5}sa Lind", "46", Some("asa@example.com")),
            ("nomail", "47", None),
            ("emptymail", "48", None),
        ] {
            let login = log_in(&integration, &fake, user).await.unwrap();
            assert_eq!(login.user.key.subject(), id, "{user}");
            assert_eq!((login.user.username.as_deref(), login.trusted_email()), (Some(user), email));
            assert_eq!(login.user.email_list, EmailList::Complete);
        }
    }
    // Not every version sends the id: then the name must be the whole name.
    let fake = server(FakeBitbucketDataCenter::builder().user_id_header(false)).await;
    let integration = live(&fake, config(Access::SignIn)).build().unwrap();
    for (user, id) in [("jdoe", "42"), ("jdoe2", "43"), ("\u{c5}sa Lind", "46")] {
        assert_eq!(log_in(&integration, &fake, user).await.unwrap().user.key.subject(), id, "{user}");
    }
    let ambiguous = server(FakeBitbucketDataCenter::builder().user_id_header(false).form_encoded_user_name(true)).await;
    let integration = live(&ambiguous, config(Access::SignIn)).build().unwrap();
    assert_eq!(log_in(&integration, &ambiguous, "\u{c5}sa Lind").await.unwrap_err().code(), "malformed");
    // A renamed user is the same user.
    let fake = server(FakeBitbucketDataCenter::builder()).await;
    let integration = live(&fake, config(Access::SignIn)).build().unwrap();
    fake.rename("jdoe", "zoe");
    assert_eq!(log_in(&integration, &fake, "zoe").await.unwrap().user.key.subject(), "42");
}

#[tokio::test]
async fn accounts_that_may_not_log_in_are_refused_with_the_reason() {
    for (builder, user, code) in [
        (FakeBitbucketDataCenter::builder(), "ina", "account_deactivated"),
        (FakeBitbucketDataCenter::builder().stop_inactive_users(true), "ina", "token_rejected"),
        (FakeBitbucketDataCenter::builder(), "cap", "account_captcha_required"),
        (FakeBitbucketDataCenter::builder(), "access-token-user/1/2", "account_not_a_person"),
        (FakeBitbucketDataCenter::builder().list_service_users(true), "access-token-user/1/2", "account_not_a_person"),
        (FakeBitbucketDataCenter::builder().accept_access_tokens(false), "jdoe", "token_rejected"),
        (
            FakeBitbucketDataCenter::builder().accept_access_tokens(false).reject_bad_tokens(true),
            "jdoe",
            "token_rejected",
        ),
        (FakeBitbucketDataCenter::builder().licence(Licence::Expired), "jdoe", "ok"),
        (FakeBitbucketDataCenter::builder().closed_user_list(true), "jdoe", "ok"),
        (FakeBitbucketDataCenter::builder().closed_user_list(true).user_id_header(false), "jdoe", "malformed"),
    ] {
        let fake = server(builder).await;
        // Tokens that are not accepted are retried for three seconds, as after a login on a cluster.
        let deadline = Duration::from_millis(900);
        let integration = live(&fake, config(Access::SignIn)).login_deadline(deadline).build().unwrap();
        let outcome = log_in(&integration, &fake, user).await;
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), code, "{user}");
    }
    // With a closed list, only the id and the name are known.
    let fake = server(FakeBitbucketDataCenter::builder().closed_user_list(true)).await;
    let login = log_in(&live(&fake, config(Access::SignIn)).build().unwrap(), &fake, "jdoe").await.unwrap();
    assert_eq!((login.user.key.subject(), login.user.username.as_deref()), ("42", Some("jdoe")));
    assert_eq!((login.user.emails.len(), login.user.email_list), (0, EmailList::Incomplete));
}

/// An instance that is not there for its users, before and after the page that they allow.
#[tokio::test]
async fn an_instance_that_is_down_is_not_the_fault_of_the_user() {
    for (maintenance, code) in
        [(Maintenance::Json, "code_host_down"), (Maintenance::Html, "code_host_down"), (Maintenance::HtmlOk, "html")]
    {
        let fake = server(FakeBitbucketDataCenter::builder()).await;
        let integration = live(&fake, config(Access::SignIn)).build().unwrap();
        let tokens = log_in(&integration, &fake, "jdoe").await.unwrap().tokens;
        let start = integration.begin_login(None).unwrap();
        let callback = fake.authorize(start.redirect_to.as_str(), "jdoe").unwrap();
        fake.set_maintenance(Some(maintenance));
        let outcome = integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked();
        let refresh = integration.refresh(tokens.refresh_token.as_ref().unwrap()).await.leak_checked();
        for error in [outcome.unwrap_err(), refresh.unwrap_err()] {
            assert_eq!((error.code(), error.advice().needs_login), (code, false), "{maintenance:?}");
        }
    }
    // The page does not return to the app.
    for builder in [
        FakeBitbucketDataCenter::builder().licence(Licence::ExpiredWithoutLogin),
        FakeBitbucketDataCenter::builder().version("7.19.2"),
    ] {
        let fake = server(builder).await;
        let start = live(&fake, config(Access::SignIn)).build().unwrap().begin_login(None).unwrap();
        assert!(fake.authorize(start.redirect_to.as_str(), "jdoe").is_err());
    }
}

/// What is not documented about Bitbucket works either way.
#[tokio::test]
async fn a_login_works_whatever_is_not_documented() {
    let builder = FakeBitbucketDataCenter::builder;
    for builder in [
        builder().list_implied_scopes(true),
        builder().wide_scopes(true),
        builder().created_at(false),
        builder().token_lifetime(None),
        builder().rotate_refresh_tokens(false),
        builder().refresh_needs_redirect_uri(false),
        builder().invalid_client_status(400),
        builder().grant_checked_first(true),
        builder().validate_client_secret(false),
        builder().sub_path(""),
        builder().version("7.20.0").error_details(false).null_messages(true).numeric_build(true),
    ] {
        let fake = server(builder).await;
        let integration = live(&fake, config(Access::Read)).build().unwrap();
        let login = log_in(&integration, &fake, "jdoe").await.unwrap();
        assert!(login.missing_scopes.is_empty(), "{:?}", login.missing_scopes);
        let renewed = integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
        assert!(renewed.refresh_token.is_some());
        let user = integration.user(&renewed.access_token).await.leak_checked().unwrap();
        assert_eq!(user.key, login.user.key);
    }
    // The link allows less than the login asks for.
    for (narrow, expected) in [(false, Err("scope_not_enabled")), (true, Ok("Repositories: Admin"))] {
        let fake = FakeBitbucketDataCenter::builder().narrow_scopes(narrow);
        let link = FakeApplication::new("my-id", SECRET, CALLBACK, "REPO_READ");
        let fake = fake.application(link).start().await.unwrap();
        let integration = live(&fake, config(Access::Write)).build().unwrap();
        let outcome = log_in(&integration, &fake, "jdoe").await.map_err(|error| error.code());
        let missing =
            outcome.map(|login| login.missing_scopes.into_iter().map(|scope| scope.label).collect::<Vec<_>>());
        assert_eq!(missing, expected.map(|label| vec![label.into()]));
    }
}

/// Whom a search did not reach is neither a bot, nor another user.
#[tokio::test]
async fn a_search_that_does_not_end_proves_nothing() {
    const PATH: &str = "/rest/api/latest/users";
    const NAMED: [(&str, &str); 2] = [("X-AUSERID", "42"), ("X-AUSERNAME", "an")];
    let page = |next: &str| {
        format!(
            r#"{{"values":[{{"name":"andrew","id":7,"type":"NORMAL"}}],"isLastPage":false,"nextPageStart":{next}}}"#
        )
    };
    let endless: Vec<String> = (1..=10).map(|start| page(&(start * 100).to_string())).collect();
    let last = r#"{"values":[],"isLastPage":true}"#.to_owned();
    for (headers, pages, expected) in [
        (&NAMED[..], endless.clone(), Ok(("42", false))),
        (&NAMED[..], vec![page("0")], Ok(("42", false))),
        (&NAMED[..], vec![page("null")], Ok(("42", false))),
        (&NAMED[..], vec![r#"{"values":[],"isLastPage":"no"}"#.to_owned()], Ok(("42", false))),
        (&NAMED[..], vec![page("100"), last.clone()], Ok(("42", true))),
        (&NAMED[..], vec![r#"{"values":[]}"#.to_owned()], Ok(("42", true))),
        // The name is not the key of an account.
        (&NAMED[1..], endless, Err("malformed")),
        (&NAMED[1..], vec![page("null")], Err("malformed")),
        (&NAMED[1..], vec![last], Err("malformed")),
    ] {
        let http = ScriptedTransport::new();
        http.respond(PATH, 200, headers, r#"{"values":[],"isLastPage":true}"#);
        for page in &pages {
            http.respond(PATH, 200, headers, page.as_str());
        }
        let token = scripted(&http).1;
        let outcome = provider("https://git.example.com").user(&http, &token).await.leak_checked();
        let found = outcome.as_ref().map(|user| (user.key.subject(), user.is_bot)).map_err(Error::code);
        assert_eq!(found, expected, "{pages:?}");
        assert_eq!(http.requests().len(), pages.len() + 1);
    }
}

/// A letter that becomes another one in lower case must not make one name of two.
#[tokio::test]
async fn a_name_that_only_looks_equal_is_another_user() {
    for (header, name, code) in [
        ("KIM", "kim", "ok"),
        ("%E2%84%AAim", "\u{212a}im", "ok"),
        ("%E2%84%AAim", "kim", "malformed"),
        ("kim", "\u{212a}im", "malformed"),
    ] {
        let http = ScriptedTransport::new();
        let page = format!(r#"{{"values":[{{"name":"{name}","id":45,"type":"NORMAL"}}],"isLastPage":true}}"#);
        for _ in 0..2 {
            http.respond("/rest/api/latest/users", 200, &[("X-AUSERNAME", header)], page.as_str());
        }
        let (integration, token) = scripted(&http);
        let outcome = integration.user(&token).await.leak_checked();
        assert_eq!(outcome.as_ref().map_or_else(|error| error.code(), |_| "ok"), code, "{header} {name}");
    }
}

#[tokio::test]
async fn avatars_are_links() {
    for (avatar, expected) in [
        ("/stash/users/jdoe/avatar.png?s=64", Some("https://git.example.com/stash/users/jdoe/avatar.png?s=64")),
        ("https://www.gravatar.com/avatar/0?s=64", Some("https://www.gravatar.com/avatar/0?s=64")),
        ("javascript:alert(1)", None),
        ("/\\javascript:alert(1)", None),
        ("avatar.png", None),
    ] {
        let http = ScriptedTransport::new();
        let avatar = serde_json::Value::from(avatar);
        let page = format!(r#"{{"values":[{{"name":"jdoe","id":42,"avatarUrl":{avatar}}}],"isLastPage":true}}"#);
        for _ in 0..2 {
            http.respond("/rest/api/latest/users", 200, &[("X-AUSERID", "42")], page.as_str());
        }
        let (integration, token) = scripted(&http);
        let user = integration.user(&token).await.leak_checked().unwrap();
        assert_eq!(user.avatar_url.as_ref().map(|url| url.as_str()), expected, "{avatar}");
    }
}

/// A token that is not valid makes its caller an anonymous visitor, who gets responses with status 200.
#[tokio::test]
async fn a_success_proves_nothing_without_the_headers() {
    const PAGE: &str = r#"{"values":[{"name":"jdoe","id":42,"active":true,"type":"NORMAL"}],"isLastPage":true}"#;
    for (headers, code) in [
        (&[][..], "token_rejected"),
        (&[("X-AUSERID", "0")], "token_rejected"),
        (&[("X-AUSERID", "x")], "token_rejected"),
        (&[("X-AUSERNAME", "%0Ajdoe")], "token_rejected"),
        (&[("X-AUSERNAME", "%FF")], "token_rejected"),
        (&[("X-AUSERID", "42"), ("X-AUSERNAME", "jdoe")], "ok"),
        (&[("X-AUSERID", "42")], "ok"),
        (&[("X-AUSERNAME", "JDOE")], "ok"),
        (&[("X-AUSERNAME", "jdo")], "malformed"),
    ] {
        let http = ScriptedTransport::new();
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        for _ in 0..2 {
            http.respond("/rest/api/latest/users", 200, &headers, PAGE);
        }
        let (integration, token) = scripted(&http);
        let outcome = integration.user(&token).await.leak_checked();
        assert_eq!(outcome.as_ref().map_or_else(|error| error.code(), |_| "ok"), code, "{headers:?}");
        // The second response is that of another user, or of an anonymous visitor.
        for second in [&[][..], &[("X-AUSERID", "43"), ("X-AUSERNAME", "jdoe2")]] {
            let http = ScriptedTransport::new();
            http.respond("/rest/api/latest/users", 200, &[("X-AUSERID", "42"), ("X-AUSERNAME", "jdoe")], PAGE);
            http.respond("/rest/api/latest/users", 200, second, PAGE);
            let (integration, token) = scripted(&http);
            assert_eq!(integration.user(&token).await.leak_checked().unwrap_err().code(), "token_rejected");
        }
    }
}

#[tokio::test]
async fn tokens_are_renewed_with_the_callback_url() {
    let fake = server(FakeBitbucketDataCenter::builder()).await;
    let integration = live(&fake, config(Access::SignIn)).build().unwrap();
    let tokens = log_in(&integration, &fake, "jdoe").await.unwrap().tokens;
    let old = tokens.refresh_token.as_ref().unwrap();
    let renewed = integration.refresh(old).await.leak_checked().unwrap();
    assert!(integration.user(&renewed.access_token).await.leak_checked().is_ok());
    assert_eq!(integration.user(&tokens.access_token).await.leak_checked().unwrap_err().code(), "token_rejected");
    assert_eq!(integration.refresh(old).await.leak_checked().unwrap_err().code(), "refresh_rejected");
    let before = fake.requests().len();
    let Ok(Revocation::NotSupported { where_to: Some(page), .. }) = integration.revoke(&renewed).await.leak_checked()
    else {
        panic!()
    };
    assert_eq!(page.as_str(), format!("{}/account", fake.base_url()));
    assert_eq!(fake.requests().len(), before);
}

/// A code is valid for ten seconds.
#[tokio::test]
async fn a_late_code_is_refused() {
    let fake = server(FakeBitbucketDataCenter::builder()).await;
    let integration = live(&fake, config(Access::SignIn)).build().unwrap();
    let start = integration.begin_login(None).unwrap();
    let callback = fake.authorize(start.redirect_to.as_str(), "jdoe").unwrap();
    fake.advance(Duration::from_secs(11));
    let outcome = integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked();
    assert_eq!(outcome.unwrap_err().code(), "code_rejected");
}

/// Everyone can read what is public: it makes nobody a member.
#[tokio::test]
async fn a_member_has_a_permission_in_a_project() {
    let mut public = FakeProject::new(90, "OPEN", "Open")
        .member(FakeUser::jdoe2().id, Permission::Write)
        .repository(FakeRepository::new(91, "web"));
    public.public = true;
    let mut shown = FakeRepository::new(93, "shown");
    shown.public = true;
    let half = FakeProject::new(92, "HALF", "Half").repository(shown);
    let fake = server(FakeBitbucketDataCenter::builder().project(public).project(half).largest_page(1)).await;
    let path = |path: &str| Group::path(path).unwrap();
    for (user, group, expected) in [
        ("jdoe", path("PROJ"), "ok"),
        ("jdoe", path("proj").at_least("REPO_WRITE"), "ok"),
        ("jdoe", path("PROJ").at_least("repo_admin"), "not_a_member"),
        ("ann.lee@example.com", path("PROJ").at_least("REPO_ADMIN"), "ok"),
        ("CORP\\kim", path("PROJ").at_least("REPO_WRITE"), "ok"),
        ("\u{c5}sa Lind", path("PROJ"), "ok"),
        ("\u{c5}sa Lind", path("PROJ").at_least("REPO_WRITE"), "not_a_member"),
        ("jdoe2", path("PROJ"), "not_a_member"),
        ("jdoe2", path("NOWHERE"), "not_a_member"),
        ("jdoe2", path("HALF"), "not_a_member"),
        ("jdoe", path("OPEN"), "not_a_member"),
        ("jdoe2", path("OPEN"), "not_a_member"),
        ("jdoe2", path("OPEN").at_least("REPO_WRITE"), "ok"),
    ] {
        let policy = LoginPolicy::members_of([group.clone()]);
        let integration = live(&fake, config(Access::Write)).policy(policy).build().unwrap();
        let outcome = log_in(&integration, &fake, user).await;
        assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), expected, "{user} {group:?}");
    }
    let build = |access, group| live(&fake, config(access)).policy(LoginPolicy::members_of([group])).build();
    for (access, group, code) in [
        (Access::SignIn, path("PROJ"), "group_scope"),
        (Access::Read, path("PROJ").at_least("REPO_WRITE"), "group_scope"),
        (Access::Read, path("PROJ").at_least("owner"), "role"),
        (Access::Read, path("PROJ/web"), "group"),
        (Access::Read, Group::id("1").unwrap(), "group"),
        (Access::Read, path("PROJ").with_subgroups(), "no_subgroups"),
    ] {
        assert_eq!(build(access, group.clone()).unwrap_err().code(), code, "{group:?}");
    }
    let personal = build(Access::Read, path("~JDOE")).unwrap_err();
    assert!(personal.advice().hint.contains("A personal project (~NAME) has no members"));
}

#[test]
fn scopes_of_another_platform_do_not_pass() {
    for (scopes, code) in [
        ("PUBLIC_REPOS", "ok"),
        ("REPO_WRITE PROJECT_ADMIN", "ok"),
        ("account", "unknown_scope"),
        ("repository:write", "unknown_scope"),
        ("PROJECT_READ", "unknown_scope"),
    ] {
        let access = Access::Custom(scopes.parse().unwrap());
        let outcome =
            Integration::builder(provider("https://git.example.com"), ScriptedTransport::new(), config(access));
        assert_eq!(outcome.build().map_or_else(|error| error.code(), |_| "ok"), code, "{scopes}");
    }
    let provider = provider("https://git.example.com");
    let scopes =
        [Access::SignIn, Access::Read, Access::Write].map(|access| provider.required_scopes(&access).to_string());
    assert_eq!(scopes, ["PUBLIC_REPOS", "REPO_READ", "REPO_ADMIN"]);
    let covered = provider.covered_scopes(&"REPO_ADMIN".parse().unwrap());
    assert_eq!(covered.to_string(), "REPO_WRITE REPO_READ PUBLIC_REPOS");
}

/// The table of refusals.
#[tokio::test]
async fn every_refusal_has_its_meaning() {
    for (status, error, of_code, of_refresh) in [
        (400, "invalid_client", "client_rejected", "client_rejected"),
        (401, "invalid_client", "client_rejected", "client_rejected"),
        (400, "invalid_grant", "code_rejected", "refresh_rejected"),
        (400, "invalid_scope", "scope_not_enabled", "scope_not_enabled"),
        (400, "unsupported_grant_type", "grant_not_allowed", "grant_not_allowed"),
        (400, "invalid_request", "token_refused", "token_refused"),
        (500, "server_error", "code_host_down", "code_host_down"),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(status, &[("content-type", "application/json")], format!(r#"{{"error":"{error}"}}"#));
        let (integration, _) = scripted(&http);
        let token = RefreshToken::new("canary-refresh".to_owned(), integration.binding()).unwrap();
        assert_eq!(integration.refresh(&token).await.leak_checked().unwrap_err().code(), of_refresh, "{error}");
        let start = integration.begin_login(None).unwrap();
        let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let callback = format!("/oauth/callback/bitbucket-data-center/demo?code=abc&state={state}");
        let outcome = integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await;
        assert_eq!(outcome.leak_checked().unwrap_err().code(), of_code, "{error}");
    }
    let named = &[("X-AUSERID", "42"), ("X-AREQUESTID", "@1AB2C3x1x0")][..];
    let captcha = "auth.CaptchaRequiredAuthenticationException";
    for (status, headers, exception, code) in [
        (401, &[][..], "AuthorisationException", "token_rejected"),
        (401, named, "AuthorisationException", "membership_scope"),
        (403, named, "AuthorisationException", "membership_scope"),
        (401, &[], captcha, "account_captcha_required"),
        (403, &[], captcha, "account_captcha_required"),
        (401, &[("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE; login-url=x")], "", "account_captcha_required"),
        (404, &[], "project.NoSuchProjectException", "api_not_found"),
        (404, named, "", "api_not_found"),
        (410, named, "", "endpoint_removed"),
        (429, named, "", "rate_limited"),
        (503, &[], "", "code_host_down"),
    ] {
        let http = ScriptedTransport::new();
        let body = format!(
            r#"{{"errors":[{{"context":null,"message":null,"exceptionName":"com.atlassian.bitbucket.{exception}"}}]}}"#
        );
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        http.otherwise(status, &headers, body);
        let (integration, token) = scripted(&http);
        let error = integration.membership(&token, &Group::path("PROJ").unwrap()).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), code, "{status} {exception}");
        let id = error.summary().and_then(|summary| summary.request_id()).map(|id| id.sanitized().to_owned());
        assert_eq!(id.is_some(), headers.contains(&named[1]) && error.summary().is_some(), "{status} {exception}");
    }
    // A project that is hidden, or does not exist.
    let http = ScriptedTransport::new();
    let hidden = r#"{"errors":[{"exceptionName":"com.atlassian.bitbucket.project.NoSuchProjectException"}]}"#;
    http.otherwise(404, &[("content-type", "application/json"), named[0]], hidden);
    let (integration, token) = scripted(&http);
    let outcome = integration.membership(&token, &Group::path("PROJ").unwrap()).await.leak_checked();
    assert_eq!(outcome.unwrap(), Membership::NotMember);
    // A wrong list is not a membership, and proves none to be missing.
    for body in [
        r#"{"values":[],"isLastPage":false}"#,
        r#"{"values":[],"isLastPage":false,"nextPageStart":0}"#,
        r#"{"values":[],"isLastPage":"yes"}"#,
        r#"{"values":null}"#,
        "{}",
        "[]",
        r#"{"values":[{"slug":"web","project":{"key":"OTHER","public":false},"public":false}]}"#,
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(200, &[("content-type", "application/json"), ("X-AUSERID", "42")], body);
        let (integration, token) = scripted(&http);
        let outcome = integration.membership(&token, &Group::path("PROJ").unwrap()).await.leak_checked();
        assert_eq!(outcome.unwrap_err().code(), "malformed", "{body}");
    }
}

#[tokio::test]
async fn the_check_finds_what_would_fail() {
    let fake = server(FakeBitbucketDataCenter::builder()).await;
    let report = live(&fake, config(Access::SignIn)).build().unwrap().check().await;
    assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
    assert!(report.to_string().contains("Bitbucket 9.4"), "{report}");
    let wrong_secret = || IntegrationConfig { client_secret: "canary-wrong".to_owned(), ..config(Access::SignIn) };
    let builder = FakeBitbucketDataCenter::builder;
    for (builder, config, code, is_secret_sent) in [
        (builder(), wrong_secret(), "client_rejected", true),
        (builder().version("7.19.2"), config(Access::SignIn), "version_too_old", false),
        (builder().version("7.20.0"), config(Access::SignIn), "credentials", true),
        (builder().numeric_build(true).invalid_client_status(400), config(Access::SignIn), "credentials", true),
        // Whether the secret is right cannot be known: the code is looked at first, or any secret passes.
        (builder().grant_checked_first(true), wrong_secret(), "credentials_unclear", true),
        (builder().validate_client_secret(false), config(Access::SignIn), "credentials_unclear", true),
        (builder().maintenance(Some(Maintenance::Json)), config(Access::SignIn), "code_host_down", false),
        (builder().maintenance(Some(Maintenance::Html)), config(Access::SignIn), "code_host_down", false),
        (builder().maintenance(Some(Maintenance::HtmlOk)), config(Access::SignIn), "not_this_platform", false),
        (builder().login_redirect(true), config(Access::SignIn), "not_this_platform", false),
        (builder().display_name("Our Git"), config(Access::SignIn), "credentials", true),
        (builder().closed_to_anonymous(true), config(Access::SignIn), "credentials", true),
    ] {
        let fake = server(builder).await;
        let report = live(&fake, config).build().unwrap().check().await;
        let found = report.findings().iter().find(|finding| finding.code == code);
        assert!(found.is_some_and(|finding| finding.level == Level::Ok || finding.fix.is_some()), "{code}: {report}");
        let sent = fake.requests().iter().any(|request| request.method == http::Method::POST);
        assert_eq!(sent, is_secret_sent, "{code}");
    }
    // The context path is missing.
    let root = fake.base_url().strip_suffix("/bitbucket").unwrap();
    let http = HttpClient::builder(network()).build().unwrap();
    let report = Integration::builder(provider(root), http, config(Access::SignIn)).build().unwrap().check().await;
    let fix = report.findings()[0].fix.as_ref().unwrap();
    assert!(report.findings()[0].code == "base_path" && fix.contains(fake.base_url()), "{report}");
}

#[test]
fn the_guide_shows_the_boxes_of_the_link() {
    let provider = provider("https://git.example.com/bitbucket");
    let guide = |access| {
        let app = "https://packages.example.com".parse().unwrap();
        provider.setup_guide(&SetupRequest::new(app, "demo".parse().unwrap(), "Depot", access).unwrap())
    };
    let sign_in = guide(Access::SignIn);
    assert!(!sign_in.has_scope_boxes && !sign_in.to_string().to_lowercase().contains("tick"), "{sign_in}");
    let permissions = sign_in.fields.iter().find(|field| field.label == "Application permissions").unwrap();
    assert_eq!(permissions.value, "none");
    let read = guide(Access::Read);
    assert!(read.has_scope_boxes && read.to_string().contains("Repositories: Read"), "{read}");
    let link = "https://git.example.com/bitbucket/plugins/servlet/applinks/listApplicationLinks";
    assert_eq!(read.links.iter().map(|link| link.address.as_str()).collect::<Vec<_>>(), [link]);
    assert!(read.warnings.iter().any(|warning| warning.contains("7.20")));
    assert!(read.warnings.iter().any(|warning| warning.contains("2029")));
    assert!(read.warnings.iter().any(|warning| warning.contains("server settings must begin with https://")));
}

#[tokio::test]
async fn bitbucket_data_center_conforms() {
    let headers = [("X-AUSERID", "42"), ("X-AUSERNAME", "jdoe")];
    let page = r#"{"values":[{"name":"jdoe","id":42,"active":true,"type":"NORMAL"}],"isLastPage":true}"#;
    for (base_url, root) in [("https://git.example.com", ""), ("https://git.example.com:7990/stash", "/stash")] {
        let base_url = BaseUrl::parse(base_url, &network()).unwrap();
        let provider = Platform::find("bitbucket-data-center").unwrap().provider(base_url).unwrap();
        let tokens = r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"refresh_token":"r"}"#;
        let suite = Conformance::new(&provider, &format!("{root}/rest/oauth2/latest/token"), tokens)
            .api_with_headers(&format!("{root}/rest/api/latest/users"), page, &headers)
            .api_with_headers(&format!("{root}/rest/api/latest/users"), page, &headers)
            .user_round_trips(2);
        let violations = super::scenarios::add(suite, super::scenarios::bitbucket_data_center(root)).run().await;
        assert_eq!(violations, []);
    }
}
