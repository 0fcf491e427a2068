//! Membership in a group or workspace, and logins for members only.

use codehost_oauth::error::TransportError;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, bitbucket, gitlab};
use codehost_oauth::{Access, Group, Integration, Membership};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::RoundTrips;
use crate::support::canned_http::{self, CannedHttp, html, json, response};

const WORKSPACE: &str = "a15fb181-db1f-48f7-b41f-e1eff06929d6";

fn path(path: &str) -> Group {
    Group::path(path).unwrap()
}

fn integration(platform: &str, http: &CannedHttp) -> Integration {
    let base_url = if platform == "gitlab" { "https://git.example.com" } else { "https://bitbucket.org" };
    canned_http::builder(platform, base_url, "canary-secret").transport(http.clone()).build().unwrap()
}

/// The membership in one word, as a test compares it.
async fn ask(platform: &str, http: &CannedHttp, group: &Group) -> String {
    let integration = integration(platform, http);
    match integration.membership(&canned_http::tokens(&integration, false).access_token, group).await.leak_checked() {
        Ok(Membership::Member { role }) => format!("member: {role}"),
        Ok(Membership::NotMember) => "no".to_owned(),
        Ok(other) => panic!("{other:?}"),
        Err(error) => format!("error: {}", error.code()),
    }
}

/// A GitLab that responds to the membership of user 42 in the group `of` with this.
fn gitlab_member(of: &'static str, status: u16, body: &'static str) -> CannedHttp {
    CannedHttp::new(move |request| match request.uri().path() {
        "/api/v4/user" => json(200, r#"{"id":42,"username":"jane","state":"active"}"#),
        path if path == format!("/api/v4/groups/{of}/members/all/42") => json(status, body),
        path => panic!("{path}"),
    })
}

#[tokio::test]
async fn gitlab_gets_one_request_for_the_group() {
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
async fn every_membership_response_of_gitlab_has_its_result() {
    for (body, expected) in [
        (r#"{"id":42,"access_level":10}"#, "member: guest"),
        (r#"{"id":42,"access_level":15}"#, "member: planner"),
        (r#"{"id":42,"access_level":25}"#, "member: reporter"),
        (r#"{"id":42,"access_level":50,"name":7}"#, "member: owner"),
        // Minimal access, and a membership that is awaiting approval.
        (r#"{"id":42,"access_level":5}"#, "no"),
        (r#"{"id":42,"access_level":0}"#, "no"),
        (r#"{"id":42,"access_level":50,"membership_state":"awaiting"}"#, "no"),
        // The membership of another user, and responses that cannot be read.
        (r#"{"id":43,"access_level":50}"#, "error: malformed"),
        (r#"{"access_level":50}"#, "error: malformed"),
        (r#"{"id":42}"#, "error: malformed"),
        (r#"{"id":42,"access_level":"50"}"#, "error: malformed"),
        (r#"{"id":42,"access_level":50,"access_level":10}"#, "error: malformed"),
        (r#"[{"id":42,"access_level":50}]"#, "error: malformed"),
    ] {
        assert_eq!(ask("gitlab", &gitlab_member("acme", 200, body), &path("acme")).await, expected, "{body}");
    }
    for (status, body, expected) in [
        (404, r#"{"message":"404 Group Not Found"}"#, "no"),
        (404, r#"{"message":"404 Not found"}"#, "no"),
        (404, r#"{"error":"404 Not Found"}"#, "error: api_not_found"),
        (403, r#"{"message":"403 Forbidden"}"#, "error: forbidden"),
        (403, r#"{"error":"insufficient_scope","scope":"api read_api"}"#, "error: membership_scope"),
        (500, "", "error: code_host_down"),
    ] {
        assert_eq!(ask("gitlab", &gitlab_member("acme", status, body), &path("acme")).await, expected, "{body}");
    }
}

#[tokio::test]
async fn every_permission_of_bitbucket_has_its_result() {
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
        let http = CannedHttp::new(move |_| json(200, &body));
        let group = least.map_or(path("acme"), |least| path("acme").at_least(least));
        assert_eq!(ask("bitbucket-cloud", &http, &group).await, expected, "{permission} {least:?}");
    }
}

#[tokio::test]
async fn a_workspace_is_requested_by_id_or_uuid() {
    let body = format!(r#"{{"permission":"member","workspace":{{"slug":"acme","uuid":"{{{WORKSPACE}}}"}}}}"#);
    let http = CannedHttp::new(move |_| json(200, &body));
    for (group, expected, segment) in [
        (path("Acme"), "member: member", "acme"),
        (Group::id(WORKSPACE).unwrap(), "member: member", "%7Ba15fb181-db1f-48f7-b41f-e1eff06929d6%7D"),
        // The response is about another workspace.
        (path("other"), "error: malformed", "other"),
        (
            Group::id("{00000000-db1f-48f7-b41f-e1eff06929d6}").unwrap(),
            "error: malformed",
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
async fn unclear_responses_never_give_a_membership() {
    type Respond = fn() -> canned_http::Outcome;
    let both: [(Respond, &str); 8] = [
        (|| Err(TransportError::Unreachable), "error: unreachable"),
        (|| html(200), "error: html"),
        (|| html(503), "error: code_host_down"),
        (|| json(429, "{}"), "error: rate_limited"),
        (|| json(200, "\"yes\""), "error: malformed"),
        (|| json(200, "[]"), "error: malformed"),
        (|| json(410, "{}"), "error: "),
        (|| json(401, "{}"), "error: token_rejected"),
    ];
    for platform in ["gitlab", "bitbucket-cloud"] {
        for (respond, expected) in &both {
            let outcome = ask(
                platform,
                &CannedHttp::new({
                    let respond = *respond;
                    move |_| respond()
                }),
                &path("acme"),
            )
            .await;
            assert!(outcome.starts_with(expected), "{platform}: {outcome}, not {expected}");
        }
    }
    let gitlab: [(Respond, &str); 4] = [
        // The look-up of the user needs no scope for groups.
        (|| json(403, r#"{"error":"insufficient_scope","scope":"read_user"}"#), "error: scope_missing"),
        (|| json(403, r#"{"message":"403 Forbidden"}"#), "error: forbidden"),
        (|| json(403, r#"{"message":"403 Forbidden - Your account has been blocked."}"#), "error: account_blocked"),
        (|| json(404, "{}"), "error: api_not_found"),
    ];
    for (respond, expected) in gitlab {
        assert_eq!(ask("gitlab", &CannedHttp::new(move |_| respond()), &path("acme")).await, expected);
    }
    let bitbucket: [(Respond, &str); 15] = [
        (
            || json(403, r#"{"error":{"message":"x","detail":{"required":["account"],"granted":["team"]}}}"#),
            "error: membership_scope",
        ),
        (|| json(403, r#"{"error":{"message":"No access to the workspace"}}"#), "no"),
        (|| json(403, r#"{"error":{"message":"You do not have access to this workspace."}}"#), "no"),
        (|| json(403, r#"{"error":{"message":"User does not have access to the workspace"}}"#), "no"),
        (
            || json(403, r#"{"error":{"message":"To access this workspace, enable two-step verification."}}"#),
            "error: forbidden",
        ),
        (
            || json(403, r#"{"error":{"message":"You do not have access: your IP address is not on the allowlist."}}"#),
            "error: forbidden",
        ),
        (
            || json(403, r#"{"error":{"message":"No access","detail":"This workspace requires 2FA."}}"#),
            "error: forbidden",
        ),
        (|| json(403, r#"{"error":{"message":"Forbidden by an administrator."}}"#), "error: forbidden"),
        (|| json(201, r#"{"permission":"member"}"#), "member: member"),
        (|| json(200, r#"{"permission":"member","workspace":false}"#), "member: member"),
        (|| json(200, r#"{"permission":["owner"]}"#), "error: malformed"),
        (|| json(200, r#"{"permission":"member","workspace":{"slug":"ACME"}}"#), "member: member"),
        (|| response(403, &[], ""), "no"),
        (|| json(404, r#"{"error":{"message":"No workspace with identifier 'acme'."}}"#), "no"),
        (|| json(200, "{}"), "error: malformed"),
    ];
    for (respond, expected) in bitbucket {
        assert_eq!(ask("bitbucket-cloud", &CannedHttp::new(move |_| respond()), &path("acme")).await, expected);
    }
}

/// The administrator must see what the workspace requires.
#[tokio::test]
async fn the_refusal_text_of_a_workspace_is_in_the_summary() {
    let refusal = "To access this workspace, enable two-step verification.";
    let body = format!(r#"{{"type":"error","error":{{"message":"{refusal}"}}}}"#);
    let http = CannedHttp::new(move |_| json(403, &body));
    let integration = integration("bitbucket-cloud", &http);
    let token = canned_http::tokens(&integration, false).access_token;
    let error = integration.membership(&token, &path("acme")).await.leak_checked().unwrap_err();
    assert_eq!((error.code(), error.advice().audience), ("forbidden", codehost_oauth::error::Audience::Administrator));
    assert!(error.advice().hint.contains("the code host's message"), "{}", error.advice().hint);
    assert_eq!(error.summary().unwrap().error().unwrap().sanitized(), refusal);
}

async fn fake_gitlab(scopes: &str) -> FakeGitLab {
    let app = FakeApplication::new("my-id", "canary-right", "http://127.0.0.1:9000/oauth/callback/gitlab/demo", scopes);
    let mut alice = gitlab::FakeUser::alice();
    alice.groups = vec![
        gitlab::FakeGroup::new(10, "acme", 20),
        gitlab::FakeGroup::new(11, "acme/tools", 20),
        gitlab::FakeGroup::new(12, "other", 50),
    ];
    FakeGitLab::builder().application(app).user(alice).start().await.unwrap()
}

#[tokio::test]
async fn only_members_log_in_at_gitlab() {
    let fake = fake_gitlab("read_api read_user").await;
    for (group, username, expected) in [
        (path("acme/tools"), "alice", Ok(())),
        (path("ACME/Tools"), "alice", Ok(())),
        (Group::id("11").unwrap(), "alice", Ok(())),
        (path("acme/tools").at_least("developer"), "alice", Err("not_a_member")),
        (path("tools"), "alice", Err("not_a_member")),
        (path("acme"), "root", Err("not_a_member")),
        // An error of the account has precedence.
        (path("acme"), "carol", Err("account_blocked")),
    ] {
        let builder = canned_http::live("gitlab", fake.base_url(), "canary-right").require_group(group);
        let outcome =
            canned_http::log_in(&builder.build().unwrap(), |url| fake.authorize(url, username).unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected, "{username}");
    }
}

/// Reading all groups page by page would need many round trips.
#[tokio::test]
async fn a_member_of_many_groups_is_found_with_one_request() {
    let fake = fake_gitlab("read_api read_user").await;
    let mut many = gitlab::FakeUser::new(77, "many", "Many Groups", "many@example.com");
    many.groups = (0..1500).map(|number| gitlab::FakeGroup::new(1000 + number, &format!("g{number}"), 30)).collect();
    fake.add_user(many);
    for (group, expected) in [("g1499", Ok(())), ("g0", Ok(())), ("g1500", Err("not_a_member"))] {
        let builder = canned_http::live("gitlab", fake.base_url(), "canary-right").require_group(path(group));
        let before = fake.requests().len();
        let outcome = canned_http::log_in(&builder.build().unwrap(), |url| fake.authorize(url, "many").unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected, "{group}");
        // Tokens, the user, and the member.
        assert_eq!(fake.requests().len() - before, 3, "{group}");
    }
}

#[tokio::test]
async fn a_required_group_without_its_scope_is_refused() {
    let fake = fake_gitlab("read_user").await;
    let builder = || canned_http::live("gitlab", fake.base_url(), "canary-right").access(Access::SignIn);
    let error = builder().require_group(path("acme")).build().unwrap_err();
    assert_eq!(error.code(), "group_scope");
    assert!(builder().require_group(path("acme")).access(Access::Write).build().is_ok());
    for (group, code) in [(path("acme").at_least("king"), "role"), (Group::id("a15f").unwrap(), "group")] {
        let error = builder().access(Access::Read).require_group(group).build().unwrap_err();
        assert_eq!(error.code(), code);
    }
    // The application lacks the scope.
    let integration = builder().build().unwrap();
    let login = canned_http::log_in(&integration, |url| fake.authorize(url, "alice").unwrap()).await.unwrap();
    let error = integration.membership(&login.tokens.access_token, &path("acme")).await.leak_checked().unwrap_err();
    assert_eq!(error.code(), "membership_scope");

    let builder = canned_http::builder("bitbucket-cloud", "https://bitbucket.org", "s").require_group(path("acme"));
    let error = builder.access(Access::Custom("email".parse().unwrap())).build().unwrap_err();
    assert_eq!(error.to_string(), "the access level lacks the scope account, which the required group needs");
}

#[tokio::test]
async fn a_bitbucket_login_with_a_required_workspace_takes_two_round_trips() {
    let callback = "http://127.0.0.1:9000/oauth/callback/bitbucket-cloud/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "account email");
    let mut jane = bitbucket::FakeUser::jane();
    jane.workspaces = vec![bitbucket::FakeWorkspace::new(WORKSPACE, "acme", "member")];
    let fake = FakeBitbucket::builder().application(app).user(jane).start().await.unwrap();
    let trips = RoundTrips::new();
    let integration_for = |group: Group| {
        let builder = canned_http::builder("bitbucket-cloud", fake.base_url(), "canary-right").access(Access::SignIn);
        builder.require_group(group).transport(trips.clone()).build().unwrap()
    };
    for (group, expected) in [
        (Group::id(WORKSPACE).unwrap(), Ok(())),
        (path("acme"), Ok(())),
        (path("acme").at_least("owner"), Err("not_a_member")),
        (path("elsewhere"), Err("not_a_member")),
    ] {
        let outcome = canned_http::log_in(&integration_for(group), |url| fake.authorize(url, "jane").unwrap()).await;
        assert_eq!(outcome.map(drop).map_err(|error| error.code()), expected);
    }
    trips.take();
    canned_http::log_in(&integration_for(path("acme")), |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    assert_eq!(trips.take(), 2);
}

/// Each platform says what it calls a group.
#[test]
fn a_personal_project_is_no_group_of_any_platform() {
    for (platform, base_url, hint) in [
        ("gitlab", "https://git.example.com", "Enter the full path of the group, such as acme/backend."),
        ("github", "https://github.com", "Enter the name of an organization, or ORGANIZATION/TEAM."),
        ("forgejo", "https://git.example.com", "Enter the name of an organization, or ORGANIZATION/TEAM."),
        ("bitbucket-cloud", "https://bitbucket.org", "Enter the workspace ID, as it is in the workspace's URL."),
        (
            "bitbucket-data-center",
            "https://git.example.com",
            "Enter the key of a project, such as PROJ. A personal project (~NAME) has no members.",
        ),
    ] {
        let builder = canned_http::builder(platform, base_url, "s").access(Access::Write);
        let error = builder.require_group(path("~jdoe")).build().unwrap_err();
        assert_eq!((error.code(), &*error.advice().hint), ("group", hint), "{platform}");
    }
}

#[test]
fn malformed_group_ids_are_refused() {
    for id in ["", " ", "{}", "acme", "12 34", "1/2", "{1234", &"1".repeat(1025)] {
        assert_eq!(Group::id(id).unwrap_err().code(), "group", "{id:?}");
    }
    assert_eq!(Group::id(" 42 ").unwrap().to_string(), "42");
    assert_eq!(Group::path("acme/tools").unwrap().to_string(), "acme/tools");
}
