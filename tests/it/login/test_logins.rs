//! Test logins, without a router: what the report says, and that nothing is left of the tokens.

use std::fmt;
use std::time::Duration;

use codehost_oauth::error::{Error, TransportError};
use codehost_oauth::test_login::{LoginReport, TestLogin};
use codehost_oauth::transport::Transport;
use codehost_oauth::{Access, EmailTrust, Integration, LoginPolicy, PendingLogins};

use super::user_in_groups::{at, gitlab_with, group, user};
use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http::{self, CannedHttp, Outcome, TestIntegration};

/// A whole test login of `admin-1`, in which `authorize` turns the authorization URL into the callback URL.
async fn test(integration: &Integration, authorize: impl FnOnce(&str) -> String) -> Result<TestLogin, Error> {
    let start = integration.begin_test("admin-1", Some("/admin".parse().unwrap())).leak_checked()?;
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let callback = codehost_oauth::Callback::parse(&authorize(start.redirect_to.as_str())).leak_checked()?;
    let pending = session.take(&callback)?;
    integration.finish_test("admin-1", pending, callback).await.leak_checked()
}

#[tokio::test]
async fn a_report_says_what_a_login_would_give() {
    let fake = gitlab_with(user()).await;
    let groups = [group("elsewhere"), group("ops"), group("ops").at_least("maintainer")];
    let integration = at(&fake, LoginPolicy::members_of(groups)).email_trust(EmailTrust::ThisInstance);
    let tested = test(&integration.build().unwrap(), |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    assert_eq!(tested.return_to.unwrap().as_str(), "/admin");
    assert_eq!(tested.user.unwrap().key.to_string(), "gitlab:demo:77");

    let report = tested.report;
    assert!(report.may_log_in());
    let user = report.user.as_ref().unwrap();
    assert_eq!((user.key.as_str(), user.username.as_deref()), ("gitlab:demo:77", Some("jane")));
    assert_eq!(user.trusted_email.as_deref(), Some("jane@acme.example"));
    assert_eq!((user.emails.len(), user.no_trusted_email.is_none()), (1, true));
    let members: Vec<_> =
        report.groups.iter().map(|one| (one.group.as_str(), one.is_member, one.role.as_deref())).collect();
    assert_eq!(
        members,
        [("elsewhere", Some(false), None), ("ops", Some(true), members[1].2), ("ops", Some(false), None)]
    );
    assert_eq!(report.requested_scopes, report.granted_scopes.clone().unwrap());
    assert!(report.missing_scopes.is_empty() && report.notes.is_empty());
    assert_eq!((report.access_token_seconds, report.has_refresh_token), (Some(7200), true));

    // The tokens are revoked, and not in the report.
    assert!(report.are_tokens_revoked);
    let revocation = fake.requests().into_iter().find(|request| request.path.ends_with("/oauth/revoke")).unwrap();
    let (json, debug) = (serde_json::to_string(&report).unwrap(), format!("{report:?}"));
    let bearer = fake.requests().iter().find_map(|r| r.header("authorization").map(str::to_owned)).unwrap();
    for token in [&*revocation.form("token").unwrap(), bearer.strip_prefix("Bearer ").unwrap(), "canary-right"] {
        assert!(!json.contains(token) && !debug.contains(token));
    }
    for personal in ["jane", "Jane", "acme.example"] {
        assert!(json.contains(personal) && !debug.contains(personal), "{personal}");
    }
    assert_eq!(serde_json::from_str::<LoginReport>(&json).unwrap(), report);
}

/// The same error as that of a login, and everything else is reported in any case.
#[tokio::test]
async fn a_refusal_is_the_error_of_a_login() {
    let mut bot = user();
    bot.bot = true;
    let mut external = user();
    external.external = true;
    let everyone = LoginPolicy::everyone;
    for (user, policy, expected) in [
        (user(), everyone().require_two_factor(), "two_factor_required"),
        (external, everyone().refuse_external(), "external"),
        (bot, everyone(), "account_not_a_person"),
        (user(), everyone().email_domains(["other.example"]).unwrap(), "email_domain"),
        (user(), LoginPolicy::members_of([group("elsewhere"), group("ops").at_least("owner")]), "not_a_member"),
        // The account comes before the group.
        (user(), LoginPolicy::members_of([group("ops")]).require_two_factor(), "two_factor_required"),
        (user(), LoginPolicy::members_of([group("elsewhere")]).require_two_factor(), "two_factor_required"),
    ] {
        let fake = gitlab_with(user).await;
        let integration = || at(&fake, policy.clone()).email_trust(EmailTrust::ThisInstance).build().unwrap();
        let login = canned_http::log_in(&integration(), |url| fake.authorize(url, "jane").unwrap()).await;
        assert_eq!(login.leak_checked().unwrap_err().code(), expected);

        let tested = test(&integration(), |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
        let refusal = tested.report.refusal.as_ref().unwrap();
        assert_eq!(refusal.code, expected);
        assert!(!tested.report.may_log_in() && !refusal.hint.is_empty() && !refusal.is_about_network);
        assert!(tested.user.is_some() && tested.report.are_tokens_revoked);
        assert!(tested.report.groups.iter().all(|group| group.is_member.is_some()));
        assert_eq!(tested.report.groups.len(), policy.groups().len());
    }
}

#[tokio::test]
async fn an_untrusted_address_has_its_reason() {
    let fake = gitlab_with(user()).await;
    let integration = at(&fake, LoginPolicy::everyone()).build().unwrap();
    let report = test(&integration, |url| fake.authorize(url, "jane").unwrap()).await.unwrap().report;
    let user = report.user.unwrap();
    assert_eq!((user.email_trust, user.trusted_email), (EmailTrust::Platform, None));
    assert_eq!(user.no_trusted_email.unwrap().code, "email_not_trusted");
}

/// A server with one response to every request of the API, after it has given tokens.
fn server(api: impl Fn() -> Outcome + Send + Sync + 'static) -> CannedHttp {
    CannedHttp::new(move |request| match request.uri().path() {
        "/oauth/token" => canned_http::json(200, r#"{"access_token":"canary-access-t","token_type":"Bearer"}"#),
        "/oauth/revoke" => canned_http::json(200, "{}"),
        _ => api(),
    })
}

fn over(http: impl Transport + 'static) -> TestIntegration {
    let policy = LoginPolicy::members_of([group("acme")]);
    canned_http::builder("gitlab", "https://git.example.com", "canary-right").transport(http).policy(policy)
}

fn callback(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    format!("/oauth/callback/gitlab/demo?code=canary-code-t&state={state}")
}

#[tokio::test]
async fn without_a_user_the_report_says_why() {
    let cases: [(fn() -> Outcome, bool); 4] = [
        (|| canned_http::json(403, r#"{"error":"insufficient_scope","scope":"read_user"}"#), false),
        (|| canned_http::html(200), true),
        (|| Err(TransportError::NameNotFound), true),
        (|| canned_http::json(503, "{}"), true),
    ];
    for (api, is_about_network) in cases {
        let http = server(api);
        let integration = over(http.clone()).build().unwrap();
        let login = canned_http::log_in(&integration, callback).await.leak_checked().unwrap_err();
        let tested = test(&integration, callback).await.unwrap();
        assert!(tested.user.is_none() && tested.report.user.is_none());
        let refusal = tested.report.refusal.clone().unwrap();
        assert_eq!(refusal.code, login.code());
        assert_eq!(refusal.is_about_network, is_about_network, "{refusal:?}");
        // GitLab's memberships cannot be asked for without the user.
        assert_eq!((tested.report.groups[0].is_member, tested.report.groups.len()), (None, 1));
        assert!(tested.report.are_tokens_revoked);
        assert!(http.urls().last().unwrap().ends_with("/oauth/revoke"), "{:?}", http.urls());

        // An administrator who does not run the app learns nothing of its network.
        let public = tested.report.public().refusal.unwrap();
        assert_eq!(public.code == "instance_unreachable", is_about_network);
        assert_eq!(public.message == refusal.message, !is_about_network);
        assert_eq!(public.hint == refusal.hint, !is_about_network);
    }
}

#[tokio::test]
async fn without_tokens_a_test_is_an_error() {
    for (status, body) in [(400, r#"{"error":"invalid_grant"}"#), (401, r#"{"error":"invalid_client"}"#), (500, "{}")] {
        let http = CannedHttp::new(move |_| canned_http::json(status, body));
        let integration = over(http.clone()).build().unwrap();
        let login = canned_http::log_in(&integration, callback).await.leak_checked().unwrap_err();
        assert_eq!(test(&integration, callback).await.unwrap_err().code(), login.code());
        assert!(http.urls().iter().all(|url| url.ends_with("/oauth/token")), "{:?}", http.urls());
    }
    // A code that was not asked for is not sent.
    let http = CannedHttp::new(|_| canned_http::json(200, "{}"));
    let integration = over(http.clone()).build().unwrap();
    let start = integration.begin_test("admin-1", None).unwrap();
    let other = codehost_oauth::Callback::parse("/oauth/callback/gitlab/demo?code=canary-code-t&state=x").unwrap();
    let refused = integration.finish_test("admin-1", start.pending, other).await.leak_checked().unwrap_err();
    assert_eq!((refused.code(), http.urls().len()), ("state_unknown", 0));
}

#[tokio::test]
async fn tokens_that_cannot_be_revoked_are_reported() {
    let http = CannedHttp::new(|request| match request.uri().path() {
        "/oauth/token" => canned_http::json(200, r#"{"access_token":"canary-access-t","token_type":"Bearer"}"#),
        "/oauth/revoke" => Err(TransportError::TimedOut),
        _ => canned_http::json(200, r#"{"id":42,"username":"jane","state":"active"}"#),
    });
    let integration = over(http).policy(LoginPolicy::everyone()).access(Access::SignIn).build().unwrap();
    let report = test(&integration, callback).await.unwrap().report;
    assert!(report.may_log_in() && !report.are_tokens_revoked);
    assert_eq!((report.granted_scopes, report.has_refresh_token, report.access_token_seconds), (None, false, None));
}

/// Gives tokens at once, and nothing else.
struct Silent(CannedHttp);

impl fmt::Debug for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Silent")
    }
}

#[async_trait::async_trait]
impl Transport for Silent {
    async fn send(&self, request: http::Request<Vec<u8>>, max: usize) -> Outcome {
        if request.uri().path() != "/oauth/token" {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        self.0.send(request, max).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_ends_in_time_with_what_is_known() {
    let begun = tokio::time::Instant::now();
    let integration = over(Silent(server(|| Err(TransportError::TimedOut)))).build().unwrap();
    let report = test(&integration, callback).await.unwrap().report;
    assert_eq!(report.refusal.unwrap().code, "timed_out");
    assert!(report.user.is_none() && !report.are_tokens_revoked);
    // The deadline of a login, and five seconds to revoke the tokens.
    assert_eq!(begun.elapsed().as_secs(), 35);
}
