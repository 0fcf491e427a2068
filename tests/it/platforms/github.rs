//! GitHub: what a login sends, what each response means, and logins at a fake over real sockets.

use std::time::Duration;

use codehost_oauth::check::Verdict;
use codehost_oauth::error::Error;
use codehost_oauth::github::GitHub;
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::testing::github::{FakeGitHubBuilder, ServerKind};
use codehost_oauth::testing::{FakeApplication, FakeGitHub, ScriptedTransport};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, EmailList, EmailTrust, Group, Integration, IntegrationBuilder,
    IntegrationConfig, Login, LoginPolicy, Membership, OAuthProvider as _, RefreshToken, Revocation,
};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http::Outcome;

const SECRET: &str = "canary-github-secret";
const CALLBACK: &str = "http://127.0.0.1:9000/oauth/callback/github/demo";

fn config(access: Access) -> IntegrationConfig {
    IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "GitHub".to_owned(),
        public_url: "http://127.0.0.1:9000".parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: SECRET.to_owned(),
        access,
    }
}

fn public(http: &ScriptedTransport) -> Integration {
    integration(http.clone())
}

/// An integration with github.com.
fn integration(http: impl Transport + 'static) -> Integration {
    let github = GitHub::new(BaseUrl::parse("https://github.com", &Network::public_only()).unwrap()).unwrap();
    Integration::builder(std::sync::Arc::new(github), http, config(Access::SignIn)).build().unwrap()
}

async fn server(builder: FakeGitHubBuilder) -> FakeGitHub {
    let application = FakeApplication::new("my-id", SECRET, CALLBACK, "");
    builder.kind(ServerKind::EnterpriseServer).application(application).start().await.unwrap()
}

fn live(fake: &FakeGitHub, access: Access, secret: &str) -> IntegrationBuilder {
    let network = Network::public_only().allow_loopback_http();
    let github = GitHub::new(BaseUrl::parse(fake.base_url(), &network).unwrap()).unwrap();
    assert_eq!(github.api_url().as_str(), fake.api_url());
    let http = HttpClient::builder(network).build().unwrap();
    let config = IntegrationConfig { client_secret: secret.to_owned(), ..config(access) };
    Integration::builder(std::sync::Arc::new(github), http, config)
}

async fn log_in(integration: &Integration, fake: &FakeGitHub, user: &str) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let callback = fake.authorize(start.redirect_to.as_str(), user).unwrap();
    integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked()
}

async fn finish(http: &ScriptedTransport) -> Result<Login, Error> {
    finish_login(&public(http)).await
}

async fn finish_login(integration: &Integration) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let query = format!("code=abc&state={state}&iss=https://github.com/login/oauth");
    let callback = Callback::parse(&format!("/oauth/callback/github/demo?{query}")).unwrap();
    integration.finish_login(start.pending, callback).await.leak_checked()
}

const TOKENS: &str = r#"{"access_token":"gho_canary","scope":"repo,user:email","token_type":"bearer"}"#;
const USER: &str = r#"{"login":"janedoe","id":12345678,"avatar_url":"https://avatars.example/1","html_url":"https://github.com/janedoe","type":"User","name":null,"email":"public@example.com"}"#;
const EMAILS: &str = r#"[{"email":"jane@example.com","primary":true,"verified":true,"visibility":"private"},{"email":"old@example.org","primary":false,"verified":false,"visibility":null},{"email":"1+janedoe@users.noreply.github.com","primary":false,"verified":true,"visibility":null}]"#;

fn scripted(tokens: &str, user: &str, emails: &str) -> ScriptedTransport {
    let http = ScriptedTransport::new();
    http.json("/login/oauth/access_token", tokens);
    http.json("/user", user);
    http.json("/user/emails", emails);
    http
}

#[tokio::test]
async fn a_login_at_github_com_sends_three_requests() {
    let http = scripted(TOKENS, USER, EMAILS);
    let login = finish(&http).await.unwrap();
    assert_eq!(login.user.key.to_string(), "github:demo:12345678");
    assert_eq!((login.user.username.as_deref(), login.user.display_name.as_deref()), (Some("janedoe"), None));
    assert_eq!(login.trusted_email(), Some("jane@example.com"));
    let addresses: Vec<_> = login.user.emails.iter().map(codehost_oauth::Email::address).collect();
    assert_eq!(addresses, ["jane@example.com", "old@example.org"], "a no-reply address reaches nobody");
    assert!(login.missing_scopes.is_empty());
    let urls: Vec<_> = http.requests().iter().map(|request| request.url.as_str().to_owned()).collect();
    let expected = [
        "https://github.com/login/oauth/access_token",
        "https://api.github.com/user",
        "https://api.github.com/user/emails?per_page=100&page=1",
    ];
    assert_eq!(urls, expected);
    assert!(http.requests().iter().all(|request| request.header("user-agent").is_some()));
}

#[tokio::test]
async fn only_addresses_that_github_com_vouches_for_are_trusted() {
    let managed = USER.replace("janedoe", "emma_acme");
    assert_eq!(finish(&scripted(TOKENS, &managed, EMAILS)).await.unwrap().trusted_email(), None);
    for domain in ["Users.NoReply.github.com", "noreply.github.com"] {
        let emails = EMAILS.replace("jane@example.com", &format!("jane@{domain}"));
        assert_eq!(finish(&scripted(TOKENS, USER, &emails)).await.unwrap().trusted_email(), None, "{domain}");
    }
    let unverified = EMAILS.replace("\"verified\":true", "\"verified\":false");
    assert_eq!(finish(&scripted(TOKENS, USER, &unverified)).await.unwrap().trusted_email(), None);
    let login = finish(&scripted(TOKENS, USER, r#"{"message":"no list"}"#)).await.unwrap();
    assert_eq!(login.user.email_list, EmailList::Incomplete);
    for (user, code) in [
        (USER.replace("12345678", "0"), "malformed"),
        (USER.replace("12345678", "\"1\""), "malformed"),
        (USER.replace("\"User\"", "\"Bot\""), "account_not_a_person"),
        (USER.replace("\"User\"", "\"Organization\""), "account_not_a_person"),
    ] {
        assert_eq!(finish(&scripted(TOKENS, &user, EMAILS)).await.unwrap_err().code(), code, "{user}");
    }
}

/// Each page of addresses takes nine seconds.
#[derive(Clone, Debug)]
struct SlowEmails(ScriptedTransport);

#[async_trait::async_trait]
impl Transport for SlowEmails {
    async fn send(&self, request: http::Request<Vec<u8>>, limit: usize) -> Outcome {
        if request.uri().path().ends_with("/emails") {
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        self.0.send(request, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_waits_ten_seconds_for_all_pages_of_addresses_together() {
    let entries = |from: usize, to: usize| -> String {
        let entry = |n: usize| format!(r#"{{"email":"jane{n}@example.com","primary":false,"verified":true}}"#);
        format!("[{}]", (from..to).map(entry).collect::<Vec<_>>().join(","))
    };
    let http = scripted(TOKENS, USER, &entries(0, 100));
    http.json("/user/emails", entries(100, 101));
    let integration = integration(SlowEmails(http.clone()));
    let begun = tokio::time::Instant::now();
    let user = finish_login(&integration).await.unwrap().user;
    assert_eq!((user.emails.len(), user.email_list), (100, EmailList::Incomplete));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(http.requests().len(), 3, "the second page was not received");
}

/// A GitHub App has permissions, and its responses say that no scope was granted.
#[tokio::test]
async fn scopes_of_a_github_app_are_unknown_and_not_missing() {
    let tokens = r#"{"access_token":"ghu_canary","scope":"","token_type":"bearer"}"#;
    let login = finish(&scripted(tokens, USER, EMAILS)).await.unwrap();
    assert_eq!((login.tokens.scopes, login.missing_scopes.len()), (None, 0));

    // By its client ID, where the server gives tokens without a prefix.
    let github = GitHub::new(BaseUrl::parse("https://github.com", &Network::public_only()).unwrap()).unwrap();
    for (client_id, are_unknown) in [("Iv1.0123456789abcdef", true), ("Ov23liabc", false)] {
        let http = ScriptedTransport::new();
        http.json("/login/oauth/access_token", tokens.replace("ghu_canary", "canary-0123456789abcdef"));
        let config = IntegrationConfig { client_id: client_id.to_owned(), ..config(Access::SignIn) };
        let integration = Integration::builder(std::sync::Arc::new(github.clone()), http, config).build().unwrap();
        let token = RefreshToken::new("ghr_canary".to_owned(), integration.binding()).unwrap();
        let tokens = integration.refresh(&token).await.leak_checked().unwrap();
        assert_eq!(tokens.scopes.is_none(), are_unknown, "{client_id}");
    }
}

#[tokio::test]
async fn a_membership_in_another_organization_is_no_membership() {
    for (organization, expected) in [
        (r#"{"login":"Acme","id":1}"#, Ok(Membership::Member { role: "admin".to_owned() })),
        (r#"{"login":"other","id":1}"#, Err("malformed")),
        ("{}", Err("malformed")),
    ] {
        let http = ScriptedTransport::new();
        let body = format!(r#"{{"state":"active","role":"admin","organization":{organization}}}"#);
        http.json("/user/memberships/orgs/acme", body);
        let integration = public(&http);
        let token = AccessToken::new("gho_canary".to_owned(), integration.binding()).unwrap();
        let group = Group::path("acme").unwrap().at_least("Member");
        let membership = integration.membership(&token, &group).await.leak_checked();
        assert_eq!(membership.map_err(|error| error.code()), expected, "{organization}");
    }
}

#[tokio::test]
async fn a_team_is_not_looked_up_without_a_user_name() {
    let http = ScriptedTransport::new();
    let integration = public(&http);
    let token = AccessToken::new("gho_canary".to_owned(), integration.binding()).unwrap();
    let team = Group::path("acme/tools").unwrap();
    let error = integration.provider().membership(&http, &token, &team, None).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "user_needed");
    http.json("/user", USER.replace("janedoe", ""));
    http.json("/user/emails", EMAILS);
    let error = integration.membership(&token, &team).await.leak_checked().unwrap_err();
    assert_eq!((error.code(), http.requests().len()), ("user_needed", 2));
}

#[tokio::test]
async fn an_organization_is_found_by_its_id_on_any_page() {
    let entry =
        |id: u64| format!(r#"{{"state":"active","role":"member","organization":{{"login":"acme","id":{id}}}}}"#);
    let list = |ids: std::ops::Range<u64>| format!("[{}]", ids.map(entry).collect::<Vec<_>>().join(","));
    let partial = ("x-github-sso", "partial-results; organizations=7, 201");
    let json = ("content-type", "application/json");
    for (id, second, headers, expected) in [
        ("42", list(0..0), vec![json], Ok(true)),
        ("150", list(100..160), vec![json], Ok(true)),
        ("500", list(100..160), vec![json], Ok(false)),
        // The user must sign on to this one first.
        ("201", list(100..160), vec![json, partial], Err("sign_on_required")),
        ("20", list(100..160), vec![json, partial], Ok(true)),
        ("500", "{}".to_owned(), vec![json], Err("malformed")),
    ] {
        let http = ScriptedTransport::new();
        http.json("/user/memberships/orgs", list(0..100));
        http.respond("/user/memberships/orgs", 200, &headers, second);
        let integration = public(&http);
        let token = AccessToken::new("gho_canary".to_owned(), integration.binding()).unwrap();
        let membership = integration.membership(&token, &Group::id(id).unwrap()).await.leak_checked();
        let is_member = membership.map(|found| found != Membership::NotMember).map_err(|error| error.code());
        assert_eq!(is_member, expected, "{id}");
        for (page, request) in http.requests().iter().enumerate() {
            assert_eq!(request.url.query().unwrap(), format!("state=active&per_page=100&page={}", page + 1));
        }
    }
}

#[tokio::test]
async fn a_429_without_retry_after_waits_until_the_reset() {
    for (reset, expected) in [("1795303695", Some(60)), ("30", None), ("x", None), ("18446744073709551615", None)] {
        let http = ScriptedTransport::new();
        let headers = [("x-ratelimit-reset", reset), ("date", "Sat, 21 Nov 2026 23:27:15 GMT")];
        http.otherwise(429, &headers, r#"{"message":"API rate limit exceeded"}"#);
        let integration = public(&http);
        let token = AccessToken::new("gho_canary".to_owned(), integration.binding()).unwrap();
        let error = integration.user(&token).await.leak_checked().unwrap_err();
        assert_eq!((error.code(), error.advice().retry_after.map(|wait| wait.as_secs())), ("rate_limited", expected));
    }
}

#[tokio::test]
async fn every_refusal_of_the_token_endpoint_has_its_cause() {
    for (status, error, code) in [
        (200, "incorrect_client_credentials", "client_rejected"),
        (404, "Not Found", "client_rejected"),
        (200, "bad_verification_code", "code_rejected"),
        (200, "redirect_uri_mismatch", "callback_url_rejected"),
        (200, "unverified_user_email", "account_unconfirmed"),
        (200, "something_new", "token_refused"),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(status, &[("content-type", "application/json")], format!(r#"{{"error":{error:?}}}"#));
        assert_eq!(finish(&http).await.unwrap_err().code(), code, "{status} {error}");
    }
    let http = ScriptedTransport::new();
    http.json("/login/oauth/access_token", r#"{"error":"bad_refresh_token"}"#);
    let integration = public(&http);
    let token = RefreshToken::new("ghr_canary".to_owned(), integration.binding()).unwrap();
    let error = integration.refresh(&token).await.leak_checked().unwrap_err();
    assert_eq!((error.code(), error.advice().needs_login), ("refresh_rejected", true));
}

#[tokio::test]
async fn every_meaning_of_403_has_its_cause() {
    let json = ("content-type", "application/json");
    let reset = ("x-ratelimit-reset", "1795303695");
    let date = ("date", "Fri, 21 Nov 2026 21:27:15 GMT");
    for (headers, message, code) in [
        (
            vec![json, ("x-ratelimit-remaining", "0"), reset, date],
            "API rate limit exceeded for user ID 1.",
            "rate_limited",
        ),
        (vec![json, ("retry-after", "60")], "You have exceeded a secondary rate limit.", "rate_limited"),
        (vec![json, ("x-github-sso", "required; url=https://github.com/orgs/a/sso")], "x", "sign_on_required"),
        (vec![json], "Resource protected by organization SAML enforcement.", "sign_on_required"),
        (vec![json], "the `a` organization has enabled OAuth App access restrictions, x", "application_not_approved"),
        (vec![json], "Sorry. Your account was suspended.", "account_blocked"),
        (vec![json], "Resource not accessible by integration", "forbidden"),
    ] {
        let http = ScriptedTransport::new();
        http.otherwise(403, &headers, format!(r#"{{"message":{message:?}}}"#));
        let integration = public(&http);
        let token = AccessToken::new("gho_canary".to_owned(), integration.binding()).unwrap();
        let error = integration.user(&token).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), code, "{message}");
        if code == "rate_limited" {
            assert!(error.advice().retry_after.is_some(), "{message}");
        }
    }
}

#[tokio::test]
async fn users_log_in_at_a_server_of_their_own() {
    let fake = server(FakeGitHub::builder()).await;
    let integration = live(&fake, Access::SignIn, SECRET).email_trust(EmailTrust::WithoutVerification).build().unwrap();
    let login = log_in(&integration, &fake, "janedoe").await.unwrap();
    assert_eq!(login.user.key.to_string(), "github:demo:12345678");
    assert!(login.missing_scopes.is_empty(), "{:?}", login.missing_scopes);
    for (user, code) in [("sue", "account_blocked"), ("build[bot]", "account_not_a_person")] {
        assert_eq!(
            log_in(&integration, &fake, user).await.map(drop).map_err(|error| error.code()),
            Err(code),
            "{user}"
        );
    }
    assert_eq!(log_in(&integration, &fake, "nomail").await.unwrap().trusted_email(), None);

    let start = integration.begin_login(None).unwrap();
    let callback = Callback::parse(&fake.deny(start.redirect_to.as_str()).unwrap()).unwrap();
    let error = integration.finish_login(start.pending, callback).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "denied");

    let wrong = live(&fake, Access::SignIn, "canary-wrong").build().unwrap();
    assert_eq!(log_in(&wrong, &fake, "janedoe").await.unwrap_err().code(), "client_rejected");
}

#[tokio::test]
async fn tokens_are_refreshed_and_revoked() {
    let fake = server(FakeGitHub::builder().version("3.23.0")).await;
    let integration = live(&fake, Access::SignIn, SECRET).build().unwrap();
    let login = log_in(&integration, &fake, "janedoe").await.unwrap();
    let old = login.tokens;
    let new = integration.refresh(old.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
    assert!(new.refresh_expires_in.is_some());
    let error = integration.refresh(old.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "refresh_rejected");
    assert_eq!(integration.user(&old.access_token).await.leak_checked().unwrap_err().code(), "token_rejected");

    fake.expire_all_tokens();
    assert_eq!(integration.revoke(&new).await.leak_checked().unwrap(), Revocation::Revoked, "after a refresh");
    assert!(integration.refresh(new.refresh_token.as_ref().unwrap()).await.leak_checked().is_err());
    assert_eq!(integration.revoke(&new).await.leak_checked().unwrap(), Revocation::Revoked, "a second time");

    // A wrong secret is 404 too, and then the token is still valid.
    let fake = server(FakeGitHub::builder()).await;
    let login = log_in(&live(&fake, Access::SignIn, SECRET).build().unwrap(), &fake, "janedoe").await.unwrap();
    let wrong = live(&fake, Access::SignIn, "canary-wrong").build().unwrap();
    assert_eq!(wrong.revoke(&login.tokens).await.leak_checked().unwrap_err().code(), "client_rejected");
}

#[tokio::test]
async fn members_of_organizations_and_teams_are_found() {
    let fake = server(FakeGitHub::builder()).await;
    let group = |path: &str| Group::path(path).unwrap();
    for (user, group, expected) in [
        ("janedoe", group("acme"), Ok(())),
        ("janedoe", group("acme").at_least("admin"), Err("not_a_member")),
        ("owner", group("acme").at_least("admin"), Ok(())),
        ("pete", group("acme"), Err("not_a_member")),
        ("nomail", group("acme"), Err("not_a_member")),
        ("janedoe", Group::id("87654321").unwrap(), Ok(())),
        ("janedoe", Group::id("87654321").unwrap().at_least("admin"), Err("not_a_member")),
        ("janedoe", Group::id("201").unwrap(), Err("not_a_member")),
        ("pete", Group::id("87654321").unwrap(), Err("not_a_member")),
        ("janedoe", group("acme/compilers"), Ok(())),
        ("janedoe", group("acme/sales"), Err("not_a_member")),
    ] {
        let integration =
            live(&fake, Access::Read, SECRET).policy(LoginPolicy::members_of([group.clone()])).build().unwrap();
        let outcome = log_in(&integration, &fake, user).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected, "{user} in {group}");
    }
    // A token without the scope finds nothing, which is no membership and no proof of the opposite.
    let integration = live(&fake, Access::SignIn, SECRET).build().unwrap();
    let login = log_in(&integration, &fake, "owner").await.unwrap();
    for group in [group("acme"), Group::id("87654321").unwrap()] {
        let error = integration.membership(&login.tokens.access_token, &group).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "membership_scope");
    }
    assert_eq!(
        live(&fake, Access::SignIn, SECRET)
            .policy(LoginPolicy::members_of([group("acme")]))
            .build()
            .unwrap_err()
            .code(),
        "group_scope"
    );
    for refused in
        [Group::id("{a15fb181-0000-0000-0000-000000000000}").unwrap(), group("a/b/c"), group("acme").at_least("king")]
    {
        assert!(live(&fake, Access::Read, SECRET).policy(LoginPolicy::members_of([refused])).build().is_err());
    }
    let membership = integration.provider().ensure_group(&group("acme"), &"repo read:org".parse().unwrap());
    assert_eq!(membership, Ok(()));
    assert_eq!(Membership::NotMember.require().unwrap_err().code(), "not_a_member");
}

#[tokio::test]
async fn a_check_accepts_what_works_and_names_what_does_not() {
    let fake = server(FakeGitHub::builder()).await;
    let report = live(&fake, Access::SignIn, SECRET).build().unwrap().check().await;
    assert_ne!(report.verdict(), Verdict::Wrong, "{report}");
    let report = live(&fake, Access::SignIn, "canary-wrong").build().unwrap().check().await;
    assert_eq!(report.verdict(), Verdict::Wrong, "{report}");
    assert!(report.findings().iter().any(|finding| finding.code == "client_rejected"), "{report}");
    // Another server gets no secret.
    let gitlab = crate::support::gitlab().await;
    let network = Network::public_only().allow_loopback_http();
    let github = GitHub::new(BaseUrl::parse(gitlab.base_url(), &network).unwrap()).unwrap();
    let http = HttpClient::builder(network).build().unwrap();
    let other = Integration::builder(std::sync::Arc::new(github), http, config(Access::SignIn)).build().unwrap();
    let report = other.check().await;
    assert!(report.findings().iter().any(|finding| finding.code == "not_this_platform"), "{report}");
    assert!(gitlab.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(gitlab.requests().iter().all(|request| request.path != "/login/oauth/access_token"));
}

#[tokio::test]
async fn github_conforms() {
    for (base_url, api_url, root) in [
        ("https://github.com", "https://api.github.com", ""),
        ("https://acme.ghe.com", "https://api.acme.ghe.com", ""),
        ("https://git.example.com", "https://git.example.com", "/api/v3"),
    ] {
        let github = GitHub::new(BaseUrl::parse(base_url, &Network::public_only()).unwrap()).unwrap();
        let tokens = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":28800}"#;
        let suite = Conformance::new(&github, "/login/oauth/access_token", tokens)
            .api_origin(api_url)
            .api(&format!("{root}/user"), USER)
            .api(&format!("{root}/user/emails"), EMAILS);
        let violations = super::scenarios::add(suite, super::scenarios::github(root)).run().await;
        assert_eq!(violations, [], "{base_url}");
    }
}
