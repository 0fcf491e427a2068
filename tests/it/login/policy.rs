//! Who may log in: each rule, each refusal, and asking again later.

use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, bitbucket, gitlab};
use codehost_oauth::{Access, AccountKey, EmailTrust, LoginPolicy};

use super::user_in_groups::{at, gitlab_with, group, user};
use crate::secrets::leak_check::LeakChecked as _;
use crate::support::RoundTrips;
use crate::support::canned_http::{self, CannedHttp, TestIntegration};

/// The code of the refusal, or `ok`.
async fn log_in(fake: &FakeGitLab, integration: TestIntegration) -> &'static str {
    let outcome = canned_http::log_in(&integration.build().unwrap(), |url| fake.authorize(url, "jane").unwrap()).await;
    outcome.leak_checked().map_or_else(|error| error.code(), |_| "ok")
}

#[tokio::test]
async fn a_member_of_one_of_several_groups_logs_in() {
    let fake = gitlab_with(user()).await;
    for (groups, expected) in [
        (vec![group("ops")], "ok"),
        (vec![group("elsewhere"), group("ops"), group("nowhere")], "ok"),
        (vec![group("elsewhere"), group("nowhere")], "not_a_member"),
        (vec![group("ops").at_least("developer"), group("elsewhere")], "not_a_member"),
        (vec![group("ops").at_least("developer"), group("acme/tools/ci").at_least("developer")], "ok"),
        (vec![group("acme")], "not_a_member"),
        (vec![group("acme").with_subgroups()], "ok"),
        (vec![group("ACME/tools").with_subgroups().at_least("developer")], "ok"),
        (vec![group("acme").with_subgroups().at_least("maintainer")], "not_a_member"),
        (vec![group("op").with_subgroups()], "not_a_member"),
        (vec![group("ops").with_subgroups()], "ok"),
    ] {
        assert_eq!(log_in(&fake, at(&fake, LoginPolicy::members_of(groups.clone()))).await, expected, "{groups:?}");
    }
}

/// A list of groups from a setting can be empty by mistake. Then it must not let everyone in.
#[test]
fn an_empty_policy_is_refused() {
    let build = |policy| {
        canned_http::builder("gitlab", "https://git.example.com", "s").access(Access::Read).policy(policy).build()
    };
    for count in [0, 21] {
        let groups = (0..count).map(|number| group(&format!("g{number}")));
        assert_eq!(build(LoginPolicy::members_of(groups)).unwrap_err().code(), "group_count", "{count}");
    }
    assert!(build(LoginPolicy::members_of((0..20).map(|number| group(&format!("g{number}"))))).is_ok());
    let error = LoginPolicy::everyone().email_domains([]).unwrap_err();
    assert_eq!(error.code(), "no_email_domains");
    for domains in
        [&[""][..], &["acme"], &["acme.example", "jane@acme.example"], &["*.acme.example"], &["ä.example"], &[".a.b"]]
    {
        let error = LoginPolicy::everyone().email_domains(domains.iter().copied()).unwrap_err();
        assert_eq!(error.code(), "email_domains", "{domains:?}");
    }
    for platform in ["bitbucket-cloud", "github"] {
        let base_url = if platform == "github" { "https://github.com" } else { "https://bitbucket.org" };
        let policy = LoginPolicy::members_of([group("acme").with_subgroups()]);
        let error = canned_http::builder(platform, base_url, "s").access(Access::Read).policy(policy).build();
        assert_eq!(error.unwrap_err().code(), "no_subgroups", "{platform}");
    }
}

#[tokio::test]
async fn two_factor_and_external_users_are_told_by_gitlab() {
    let mut secured = user();
    secured.two_factor = true;
    let mut external = user();
    external.external = true;
    for (user, two_factor, no_external) in
        [(user(), "two_factor_required", "ok"), (secured, "ok", "ok"), (external, "two_factor_required", "external")]
    {
        let fake = gitlab_with(user).await;
        assert_eq!(log_in(&fake, at(&fake, LoginPolicy::everyone().require_two_factor())).await, two_factor);
        assert_eq!(log_in(&fake, at(&fake, LoginPolicy::everyone().refuse_external())).await, no_external);
    }
}

#[tokio::test]
async fn what_the_code_host_does_not_say_is_a_no() {
    for (member, expected) in [
        (r#""two_factor_enabled":true,"external":false"#, ["ok", "ok"]),
        (r#""name":"Jane""#, ["two_factor_unknown", "external_unknown"]),
        (r#""two_factor_enabled":null,"external":null"#, ["two_factor_unknown", "external_unknown"]),
        (r#""two_factor_enabled":"yes","external":0"#, ["two_factor_unknown", "external_unknown"]),
        (
            r#""two_factor_enabled":true,"two_factor_enabled":true,"external":false,"external":false"#,
            ["two_factor_unknown", "external_unknown"],
        ),
    ] {
        let policies = [LoginPolicy::everyone().require_two_factor(), LoginPolicy::everyone().refuse_external()];
        for (policy, expected) in policies.into_iter().zip(expected) {
            let body = format!(r#"{{"id":42,"username":"jane","state":"active",{member}}}"#);
            let http = CannedHttp::new(move |_| canned_http::json(200, &body));
            let integration =
                canned_http::builder("gitlab", "https://git.example.com", "s").policy(policy).transport(http);
            let integration = integration.build().unwrap();
            let token = canned_http::tokens(&integration, false).access_token;
            let key = AccountKey::new(integration.id().clone(), "gitlab", "42");
            let outcome = integration.recheck(&token, &key).await.leak_checked();
            assert_eq!(outcome.map_or_else(|error| error.code(), |_| "ok"), expected, "{member}");
        }
    }
}

#[tokio::test]
async fn only_trusted_addresses_at_the_domains_count() {
    let acme = || LoginPolicy::everyone().email_domains(["ACME.example", "acme.test"]).unwrap();
    let mut unconfirmed = user();
    unconfirmed.confirmed_at = None;
    for (user, trust, expected) in [
        (user(), EmailTrust::ThisInstance, "ok"),
        (user(), EmailTrust::Platform, "email_not_trusted"),
        (unconfirmed.clone(), EmailTrust::ThisInstance, "email_domain"),
        (unconfirmed, EmailTrust::WithoutVerification, "ok"),
        (gitlab::FakeUser::new(77, "jane", "Jane", "jane@sub.acme.example"), EmailTrust::ThisInstance, "email_domain"),
        (gitlab::FakeUser::new(77, "jane", "Jane", "jane@evilacme.example"), EmailTrust::ThisInstance, "email_domain"),
        (gitlab::FakeUser::new(77, "jane", "Jane", "jane@Acme.Test"), EmailTrust::ThisInstance, "ok"),
        (gitlab::FakeUser::new(77, "jane", "Jane", "jan\u{e9}@acme.test"), EmailTrust::ThisInstance, "email_domain"),
    ] {
        let email = user.email.clone();
        let fake = gitlab_with(user).await;
        assert_eq!(log_in(&fake, at(&fake, acme()).email_trust(trust)).await, expected, "{email} {trust}");
    }
}

/// Several memberships are looked up at once, beside the user.
#[tokio::test]
async fn several_groups_take_no_more_round_trips() {
    let callback = "http://127.0.0.1:9000/oauth/callback/bitbucket-cloud/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "account email");
    let mut jane = bitbucket::FakeUser::jane();
    jane.workspaces = vec![bitbucket::FakeWorkspace::new("{a15fb181-db1f-48f7-b41f-e1eff06929d6}", "acme", "member")];
    let fake = FakeBitbucket::builder().application(app).user(jane).start().await.unwrap();
    let trips = RoundTrips::new();
    let policy = LoginPolicy::members_of([group("one"), group("two"), group("acme"), group("three")]);
    let builder = canned_http::builder("bitbucket-cloud", fake.base_url(), "canary-right").access(Access::SignIn);
    let integration = builder.policy(policy).transport(trips.clone()).build().unwrap();
    canned_http::log_in(&integration, |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    assert_eq!(trips.take(), 2);
}

#[tokio::test]
async fn a_recheck_finds_what_has_changed_since_the_login() {
    let fake = gitlab_with(user()).await;
    let policy = LoginPolicy::members_of([group("ops")]);
    let integration = at(&fake, policy.clone()).build().unwrap();
    let login = canned_http::log_in(&integration, |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    let (token, key) = (&login.tokens.access_token, &login.user.key);
    assert_eq!(integration.recheck(token, key).await.leak_checked().unwrap().key, *key);

    let stranger = AccountKey::new(integration.id().clone(), "gitlab", "78");
    assert_eq!(integration.recheck(token, &stranger).await.leak_checked().unwrap_err().code(), "other_account");
    let other = at(&fake, policy).id("other".parse().unwrap()).build().unwrap();
    assert_eq!(other.recheck(token, key).await.leak_checked().unwrap_err().code(), "other_binding");

    let mut alone = user();
    alone.groups.clear();
    fake.add_user(alone);
    assert_eq!(integration.recheck(token, key).await.leak_checked().unwrap_err().code(), "not_a_member");
    fake.add_user(user());
    fake.block("jane");
    assert_eq!(integration.recheck(token, key).await.leak_checked().unwrap_err().code(), "account_blocked");
    // That it is not known is another kind of error.
    fake.expire_all_tokens();
    let error = integration.recheck(token, key).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "token_expired");
    assert!(!matches!(error, codehost_oauth::error::Error::Account { .. }));
}
