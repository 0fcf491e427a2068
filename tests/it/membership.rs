//! Who is in a group or workspace, and logins for members only.

use codehost_oauth::error::TransportError;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab, bitbucket, gitlab};
use codehost_oauth::{Access, Group, Integration, Membership};

use crate::stub::{self, Stub, answer, html, json};
use crate::support::RoundTrips;
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

fn groups(paths: &[&str]) -> String {
    let entry =
        |(id, path): (usize, &&str)| format!(r#"{{"id":{id},"full_path":"{path}","name":"acme","path":"acme"}}"#);
    format!("[{}]", paths.iter().enumerate().map(entry).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn gitlab_compares_the_full_path_and_nothing_less() {
    let body = groups(&["evil/acme", "acme-tools", "acme/tools/deep", "ACME"]);
    let http = Stub::new(move |_| answer(200, &[("content-type", "application/json"), ("x-next-page", "")], &body));
    for (group, expected) in [
        ("acme", "no"),
        ("tools", "no"),
        ("acme/tools", "no"),
        ("evil/acme", "member: guest"),
        ("/acme-tools/ ", "member: guest"),
    ] {
        assert_eq!(ask("gitlab", &http, &path(group)).await, expected, "{group}");
    }
    assert_eq!(ask("gitlab", &http, &Group::id("3").unwrap()).await, "member: guest");
    assert_eq!(ask("gitlab", &http, &Group::id("4").unwrap()).await, "no");
    assert_eq!(ask("gitlab", &http, &path("acme-tools").at_least("Maintainer")).await, "member: maintainer");
    let last = http.urls().pop().unwrap();
    assert_eq!(last, "GET https://git.example.com/api/v4/groups?min_access_level=40&per_page=100&page=1");
    for refused in [path("acme").at_least("king"), Group::id("a15f").unwrap()] {
        assert!(ask("gitlab", &http, &refused).await.starts_with("error: "));
    }
}

#[tokio::test]
async fn gitlab_pages_are_counted_here_up_to_a_cap() {
    // The server's own links lead elsewhere, and are a yes or no.
    let http = Stub::new(|request| {
        let page: usize = request.uri().query().unwrap().rsplit('=').next().unwrap().parse().unwrap();
        let body = if page == 3 { groups(&["acme"]) } else { groups(&["other"]) };
        let headers = [
            ("content-type", "application/json"),
            ("x-next-page", "99"),
            ("link", "<https://evil.test/>; rel=\"next\""),
        ];
        answer(200, &headers, &body)
    });
    assert_eq!(ask("gitlab", &http, &path("acme")).await, "member: guest");
    assert_eq!(http.urls().len(), 3);
    assert!(http.urls().iter().all(|url| url.starts_with("GET https://git.example.com/api/v4/groups?")));
    assert_eq!(ask("gitlab", &http, &path("absent")).await, "unavailable: unclear");
    assert_eq!(http.urls().len(), 13);
    // A proxy has cut the header: a full page may have a next one.
    let full: Vec<String> = (0..100).map(|number| format!("g{number}")).collect();
    let full = groups(&full.iter().map(String::as_str).collect::<Vec<_>>());
    let http = Stub::new(move |request| match request.uri().query().unwrap().ends_with("page=1") {
        true => json(200, &full),
        false => json(200, &groups(&["acme"])),
    });
    assert_eq!(ask("gitlab", &http, &path("acme")).await, "member: guest");
    assert_eq!(ask("gitlab", &http, &path("absent")).await, "no");
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
    let both: [(Reaction, &str); 7] = [
        (|| Err(TransportError::Refused), "unavailable: unreachable"),
        (|| html(200), "unavailable: html"),
        (|| html(503), "unavailable: code_host_down"),
        (|| json(429, "{}"), "unavailable: rate_limited"),
        (|| json(200, "\"yes\""), "unavailable: malformed"),
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
    let bitbucket: [(Reaction, &str); 5] = [
        (
            || json(403, r#"{"error":{"message":"x","detail":{"required":["account"],"granted":["team"]}}}"#),
            "scope: account",
        ),
        (|| json(403, r#"{"error":{"message":"No access to the workspace"}}"#), "no"),
        (|| answer(403, &[], ""), "no"),
        (|| json(404, r#"{"error":{"message":"No workspace with identifier 'acme'."}}"#), "no"),
        (|| json(200, "{}"), "unavailable: malformed"),
    ];
    for (reaction, expected) in bitbucket {
        assert_eq!(ask("bitbucket-cloud", &Stub::new(move |_| reaction()), &path("acme")).await, expected);
    }
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
    let trips = RoundTrips::new();
    let gated = |group: Group| {
        let builder = stub::builder("bitbucket-cloud", fake.base_url(), "canary-right").access(Access::SignIn);
        builder.require_group(group).transport(trips.clone()).build().unwrap()
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
    trips.take();
    stub::log_in(&gated(path("acme")), |url| fake.authorize(url, "jane").unwrap()).await.unwrap();
    assert_eq!(trips.take(), 2);
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
