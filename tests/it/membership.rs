//! Who is in a group or workspace, and logins for members only.

use std::time::{Duration, Instant};

use codehost_oauth::error::TransportError;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, bitbucket, gitlab};
use codehost_oauth::{Access, Group, Integration, Membership};

use crate::stub::{self, Stub, answer, html, json};
use crate::watch::Watched as _;

const WORKSPACE: &str = "a15fb181-db1f-48f7-b41f-e1eff06929d6";

fn path(path: &str) -> Group {
    Group::path(path).unwrap()
}

fn integration(platform: &str, http: &Stub) -> Integration {
    let base_url = if platform == "gitlab" { "https://git.example.com" } else { "https://bitbucket.org" };
    stub::builder(platform, base_url, "canary-secret").transport(http.clone()).build().unwrap()
}

/// The membership in one word, as a test compares it.
async fn ask(platform: &str, http: &Stub, group: &Group) -> String {
    let integration = integration(platform, http);
    match integration.membership(&stub::tokens(&integration, false).access_token, group).await.watched() {
        Ok(Membership::Member { role }) => format!("member: {role}"),
        Ok(Membership::NotMember) => "no".to_owned(),
        Ok(Membership::ScopeMissing { scope }) => format!("scope: {scope}"),
        Ok(Membership::Unavailable { cause }) => {
            format!("unavailable: {}", cause.map_or("unclear", |cause| cause.code()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => format!("error: {}", error.code()),
    }
}

/// A GitLab at which user 42 asks for `of`, and gets this.
fn gitlab_member(of: &'static str, status: u16, body: &'static str) -> Stub {
    Stub::new(move |request| match request.uri().path() {
        "/api/v4/user" => json(200, r#"{"id":42,"username":"jane","state":"active"}"#),
        path if path == format!("/api/v4/groups/{of}/members/all/42") => json(status, body),
        path => panic!("{path}"),
    })
}

#[tokio::test]
async fn gitlab_is_asked_for_the_one_group() {
    let developer = r#"{"id":42,"username":"jane","state":"active","access_level":30,"membership_state":"active"}"#;
    for (group, of) in [
        (path("acme"), "acme"),
        (path("/Acme/Tools/ "), "Acme%2FTools"),
        (path("acme/tools/deep.er_x"), "acme%2Ftools%2Fdeep.er_x"),
        (Group::id("7").unwrap(), "7"),
    ] {
        let http = gitlab_member(of, 200, developer);
        assert_eq!(ask("gitlab", &http, &group).await, "member: developer", "{group}");
        assert_eq!(ask("gitlab", &http, &group.clone().at_least("Reporter")).await, "member: developer");
        assert_eq!(ask("gitlab", &http, &group.clone().at_least("30")).await, "member: developer");
        assert_eq!(ask("gitlab", &http, &group.clone().at_least("maintainer")).await, "no");
        let user = "GET https://git.example.com/api/v4/user".to_owned();
        let member = format!("GET https://git.example.com/api/v4/groups/{of}/members/all/42");
        assert_eq!(http.urls()[..2], [user, member]);
        assert_eq!(http.urls().len(), 8);
    }
    // A path of digits would be taken for an id, and so for another group.
    let http = gitlab_member("7", 200, developer);
    for refused in [path("acme").at_least("king"), Group::id("a15f").unwrap(), path("7")] {
        assert!(ask("gitlab", &http, &refused).await.starts_with("error: "));
    }
    assert_eq!(http.urls().len(), 0);
}

#[tokio::test]
async fn gitlab_roles_and_answers_are_told_apart() {
    for (body, expected) in [
        (r#"{"id":42,"access_level":10}"#, "member: guest"),
        (r#"{"id":42,"access_level":15}"#, "member: planner"),
        (r#"{"id":42,"access_level":25}"#, "member: reporter"),
        (r#"{"id":42,"access_level":50,"name":7}"#, "member: owner"),
        // Minimal access, and members who wait for a seat.
        (r#"{"id":42,"access_level":5}"#, "no"),
        (r#"{"id":42,"access_level":0}"#, "no"),
        (r#"{"id":42,"access_level":50,"membership_state":"awaiting"}"#, "no"),
        // Somebody else's membership, and what cannot be read.
        (r#"{"id":43,"access_level":50}"#, "unavailable: malformed"),
        (r#"{"access_level":50}"#, "unavailable: malformed"),
        (r#"{"id":42}"#, "unavailable: malformed"),
        (r#"{"id":42,"access_level":"50"}"#, "unavailable: malformed"),
        (r#"{"id":42,"access_level":50,"access_level":10}"#, "unavailable: malformed"),
        (r#"[{"id":42,"access_level":50}]"#, "unavailable: malformed"),
    ] {
        assert_eq!(ask("gitlab", &gitlab_member("acme", 200, body), &path("acme")).await, expected, "{body}");
    }
    for (status, body, expected) in [
        (404, r#"{"message":"404 Group Not Found"}"#, "no"),
        (404, r#"{"message":"404 Not found"}"#, "no"),
        (404, r#"{"error":"404 Not Found"}"#, "unavailable: api_not_found"),
        (403, r#"{"message":"403 Forbidden"}"#, "unavailable: forbidden"),
        (403, r#"{"error":"insufficient_scope","scope":"api read_api"}"#, "scope: read_api"),
        (500, "", "unavailable: code_host_down"),
    ] {
        assert_eq!(ask("gitlab", &gitlab_member("acme", status, body), &path("acme")).await, expected, "{body}");
    }
}

#[tokio::test]
async fn bitbucket_roles_are_told_apart() {
    for (permission, least, expected) in [
        ("owner", None, "member: owner"),
        ("create-project", None, "member: create-project"),
        ("member", None, "member: member"),
        ("collaborator", None, "no"),
        ("Owner", None, "no"),
        ("something-new", None, "no"),
        ("member", Some("owner"), "no"),
        ("owner", Some("create-project"), "member: owner"),
        ("owner", Some("king"), "error: role"),
    ] {
        let body = format!(r#"{{"type":"workspace_membership","permission":"{permission}"}}"#);
        let http = Stub::new(move |_| json(200, &body));
        let group = least.map_or(path("acme"), |least| path("acme").at_least(least));
        assert_eq!(ask("bitbucket-cloud", &http, &group).await, expected, "{permission} {least:?}");
    }
}

#[tokio::test]
async fn a_workspace_is_asked_for_by_id_or_uuid() {
    let body = format!(r#"{{"permission":"member","workspace":{{"slug":"acme","uuid":"{{{WORKSPACE}}}"}}}}"#);
    let http = Stub::new(move |_| json(200, &body));
    for (group, expected, segment) in [
        (path("Acme"), "member: member", "acme"),
        (Group::id(WORKSPACE).unwrap(), "member: member", "%7Ba15fb181-db1f-48f7-b41f-e1eff06929d6%7D"),
        // Somebody else's workspace came back: that is no yes.
        (path("other"), "unavailable: malformed", "other"),
        (
            Group::id("{00000000-db1f-48f7-b41f-e1eff06929d6}").unwrap(),
            "unavailable: malformed",
            "%7B00000000-db1f-48f7-b41f-e1eff06929d6%7D",
        ),
    ] {
        assert_eq!(ask("bitbucket-cloud", &http, &group).await, expected);
        let url = format!("GET https://api.bitbucket.org/2.0/user/workspaces/{segment}/permission");
        assert_eq!(http.urls().last(), Some(&url));
    }
    let sent = http.urls().len();
    for group in [path("acme/tools"), path("a.b"), Group::id("42").unwrap()] {
        assert_eq!(ask("bitbucket-cloud", &http, &group).await, "error: group");
    }
    assert_eq!(http.urls().len(), sent);
    assert!(["", "a//b", "a/../b", "a b", "a?b", "a%2fb", "ä"].iter().all(|text| Group::path(text).is_err()));
}

#[tokio::test]
async fn whatever_is_unclear_denies() {
    type Reaction = fn() -> stub::Answer;
    let both: [(Reaction, &str); 8] = [
        (|| Err(TransportError::Refused), "unavailable: unreachable"),
        (|| html(200), "unavailable: html"),
        (|| html(503), "unavailable: code_host_down"),
        (|| json(429, "{}"), "unavailable: rate_limited"),
        (|| json(200, "\"yes\""), "unavailable: malformed"),
        (|| json(200, "[]"), "unavailable: malformed"),
        (|| json(410, "{}"), "unavailable"),
        (|| json(401, "{}"), "error: token_rejected"),
    ];
    for platform in ["gitlab", "bitbucket-cloud"] {
        for (reaction, expected) in &both {
            let outcome = ask(
                platform,
                &Stub::new({
                    let reaction = *reaction;
                    move |_| reaction()
                }),
                &path("acme"),
            )
            .await;
            assert!(outcome.starts_with(expected), "{platform}: {outcome}, not {expected}");
        }
    }
    let gitlab: [(Reaction, &str); 4] = [
        (|| json(403, r#"{"error":"insufficient_scope","scope":"read_api api"}"#), "scope: read_api"),
        (|| json(403, r#"{"message":"403 Forbidden"}"#), "unavailable: forbidden"),
        (|| json(403, r#"{"message":"403 Forbidden - Your account has been blocked."}"#), "error: account_blocked"),
        (|| json(404, "{}"), "unavailable: api_not_found"),
    ];
    for (reaction, expected) in gitlab {
        assert_eq!(ask("gitlab", &Stub::new(move |_| reaction()), &path("acme")).await, expected);
    }
    let bitbucket: [(Reaction, &str); 15] = [
        (
            || json(403, r#"{"error":{"message":"x","detail":{"required":["account"],"granted":["team"]}}}"#),
            "scope: account",
        ),
        (|| json(403, r#"{"error":{"message":"No access to the workspace"}}"#), "no"),
        (|| json(403, r#"{"error":{"message":"You do not have access to this workspace."}}"#), "no"),
        (|| json(403, r#"{"error":{"message":"User does not have access to the workspace"}}"#), "no"),
        (
            || json(403, r#"{"error":{"message":"To access this workspace, enable two-step verification."}}"#),
            "unavailable: forbidden",
        ),
        (
            || json(403, r#"{"error":{"message":"You do not have access: your IP address is not on the allowlist."}}"#),
            "unavailable: forbidden",
        ),
        (
            || json(403, r#"{"error":{"message":"No access","detail":"This workspace requires 2FA."}}"#),
            "unavailable: forbidden",
        ),
        (|| json(403, r#"{"error":{"message":"Forbidden by an administrator."}}"#), "unavailable: forbidden"),
        (|| json(201, r#"{"permission":"member"}"#), "member: member"),
        (|| json(200, r#"{"permission":"member","workspace":false}"#), "member: member"),
        (|| json(200, r#"{"permission":["owner"]}"#), "unavailable: malformed"),
        (|| json(200, r#"{"permission":"member","workspace":{"slug":"ACME"}}"#), "member: member"),
        (|| answer(403, &[], ""), "no"),
        (|| json(404, r#"{"error":{"message":"No workspace with identifier 'acme'."}}"#), "no"),
        (|| json(200, "{}"), "unavailable: malformed"),
    ];
    for (reaction, expected) in bitbucket {
        assert_eq!(ask("bitbucket-cloud", &Stub::new(move |_| reaction()), &path("acme")).await, expected);
    }
}

/// The administrator reads what the workspace asks for.
#[tokio::test]
async fn the_words_of_a_workspace_reach_the_administrator() {
    let words = "To access this workspace, enable two-step verification.";
    let body = format!(r#"{{"type":"error","error":{{"message":"{words}"}}}}"#);
    let http = Stub::new(move |_| json(403, &body));
    let integration = integration("bitbucket-cloud", &http);
    let token = stub::tokens(&integration, false).access_token;
    let error = integration.membership(&token, &path("acme")).await.watched().unwrap().require().unwrap_err();
    assert_eq!((error.code(), error.audience()), ("forbidden", codehost_oauth::error::Audience::Administrator));
    assert!(error.hint().contains("the code host's own words"), "{}", error.hint());
    assert_eq!(error.answer().unwrap().error().unwrap().sanitized(), words);
}

async fn fake_gitlab(scopes: &str) -> FakeGitLab {
    let app = FakeApplication::new("my-id", "canary-right", "http://127.0.0.1:9000/oauth/callback/gitlab/demo", scopes);
    let mut alice = gitlab::FakePerson::alice();
    alice.groups = vec![
        gitlab::FakeGroup::new(10, "acme", 20),
        gitlab::FakeGroup::new(11, "acme/tools", 20),
        gitlab::FakeGroup::new(12, "other", 50),
    ];
    FakeGitLab::builder().application(app).person(alice).start().await.unwrap()
}

#[tokio::test]
async fn only_members_log_in_at_gitlab() {
    let fake = fake_gitlab("read_api read_user").await;
    for (group, person, expected) in [
        (path("acme/tools"), "alice", Ok(())),
        (path("ACME/Tools"), "alice", Ok(())),
        (Group::id("11").unwrap(), "alice", Ok(())),
        (path("acme/tools").at_least("developer"), "alice", Err("not_a_member")),
        (path("tools"), "alice", Err("not_a_member")),
        (path("acme"), "root", Err("not_a_member")),
        // What is wrong with the account comes first.
        (path("acme"), "carol", Err("account_blocked")),
    ] {
        let builder = stub::live("gitlab", fake.base_url(), "canary-right").require_group(group);
        let outcome = stub::log_in(&builder.build().unwrap(), |url| fake.authorize(url, person).unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected, "{person}");
    }
}

/// Ten pages of groups were not enough for everybody, and took ten round trips.
#[tokio::test]
async fn a_member_of_many_groups_is_found_by_two_requests() {
    let fake = fake_gitlab("read_api read_user").await;
    let mut many = gitlab::FakePerson::new(77, "many", "Many Groups", "many@example.com");
    many.groups = (0..1500).map(|number| gitlab::FakeGroup::new(1000 + number, &format!("g{number}"), 30)).collect();
    fake.add_person(many);
    for (group, expected) in [("g1499", Ok(())), ("g0", Ok(())), ("g1500", Err("not_a_member"))] {
        let builder = stub::live("gitlab", fake.base_url(), "canary-right").require_group(path(group));
        let before = fake.requests().len();
        let outcome = stub::log_in(&builder.build().unwrap(), |url| fake.authorize(url, "many").unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected, "{group}");
        // Tokens, the user twice, and the member.
        assert_eq!(fake.requests().len() - before, 4, "{group}");
    }
}

#[tokio::test]
async fn a_gate_without_its_scope_is_refused_early_or_closed() {
    let fake = fake_gitlab("read_user").await;
    let builder = || stub::live("gitlab", fake.base_url(), "canary-right").access(Access::SignIn);
    let error = builder().require_group(path("acme")).build().unwrap_err();
    assert_eq!(error.code(), "group_scope");
    assert!(builder().require_group(path("acme")).access(Access::Integration).build().is_ok());
    for (group, code) in [(path("acme").at_least("king"), "role"), (Group::id("a15f").unwrap(), "group")] {
        let error = builder().access(Access::Read).require_group(group).build().unwrap_err();
        assert_eq!(error.code(), code);
    }
    // The application lost its check box afterwards.
    let integration = builder().build().unwrap();
    let login = stub::log_in(&integration, |url| fake.authorize(url, "alice").unwrap()).await.unwrap();
    let membership = integration.membership(&login.tokens.access_token, &path("acme")).await.watched().unwrap();
    assert!(!membership.is_member());
    assert_eq!(membership.require().unwrap_err().code(), "membership_scope");

    let builder = stub::builder("bitbucket-cloud", "https://bitbucket.org", "s").require_group(path("acme"));
    let error = builder.access(Access::Custom("email".parse().unwrap())).build().unwrap_err();
    assert_eq!(error.to_string(), "the access level lacks the scope account, which the required group needs");
}

#[tokio::test]
async fn a_gated_login_at_bitbucket_costs_two_legs() {
    let callback = "http://127.0.0.1:9000/oauth/callback/bitbucket-cloud/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "account email");
    let mut jane = bitbucket::FakePerson::jane();
    jane.workspaces = vec![bitbucket::FakeWorkspace::new(WORKSPACE, "acme", "member")];
    let fake = FakeBitbucket::builder().application(app).person(jane).start().await.unwrap();
    let gated = |group: Group| {
        let builder = stub::live("bitbucket-cloud", fake.base_url(), "canary-right").access(Access::SignIn);
        builder.require_group(group).build().unwrap()
    };
    for (group, expected) in [
        (Group::id(WORKSPACE).unwrap(), Ok(())),
        (path("acme"), Ok(())),
        (path("acme").at_least("owner"), Err("not_a_member")),
        (path("elsewhere"), Err("not_a_member")),
    ] {
        let outcome = stub::log_in(&gated(group), |url| fake.authorize(url, "jane").unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected);
    }
    fake.set_latency(Duration::from_secs(2));
    let begun = Instant::now();
    stub::log_in(&gated(path("acme")), |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    // Three legs would take six seconds, and two leave two for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn what_no_platform_has_as_an_id_is_refused() {
    for id in ["", " ", "{}", "acme", "12 34", "1/2", "{1234", &"1".repeat(1025)] {
        assert_eq!(Group::id(id).unwrap_err().code(), "group", "{id:?}");
    }
    assert_eq!(Group::id(" 42 ").unwrap().to_string(), "42");
    assert_eq!(Group::path("acme/tools").unwrap().to_string(), "acme/tools");
}

/// Whatever kept the code host from answering is what the person is told of.
#[test]
fn an_outage_is_its_own_cause() {
    let cause = codehost_oauth::error::Error::from(TransportError::TimedOut);
    let membership = Membership::Unavailable { cause: Some(Box::new(cause)) };
    assert_eq!(membership.require().unwrap_err().code(), "timed_out");
}
