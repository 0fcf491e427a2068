//! What each platform says in its own words, for the conformance suite.

use codehost_oauth::Group;
use codehost_oauth::testing::conformance::{Conformance, Scenario};

pub(super) fn add<'a>(suite: Conformance<'a>, scenarios: Vec<Scenario>) -> Conformance<'a> {
    scenarios.into_iter().fold(suite, Conformance::scenario)
}

fn acme() -> Group {
    Group::path("acme").unwrap()
}

/// The three refusals that every platform has.
fn tokens(path: &str, client: (u16, &str), code: (u16, &str), refresh: (u16, &str)) -> Vec<Scenario> {
    vec![
        Scenario::exchange("a wrong secret").respond(path, client.0, client.1).fails("client_rejected"),
        Scenario::exchange("a used code").respond(path, code.0, code.1).fails("code_rejected"),
        Scenario::refresh("a used refresh token").respond(path, refresh.0, refresh.1).fails("refresh_rejected"),
    ]
}

const INVALID_CLIENT: (u16, &str) =
    (401, r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#);
const INVALID_GRANT: (u16, &str) = (400, r#"{"error":"invalid_grant","error_description":"The grant is invalid"}"#);

/// For a GitLab whose `api` responses are about user 42.
pub(super) fn gitlab(base_url: &str, path: &str) -> Vec<Scenario> {
    let at = |call: &str| format!("{path}{call}");
    let (token, user) = (at("/oauth/token"), at("/api/v4/user"));
    let member = at("/api/v4/groups/acme/members/all/42");
    let discovery = format!(r#"{{"issuer":"{base_url}","scopes_supported":["read_user","read_api","api"]}}"#);
    let known = |scenario: Scenario| scenario.respond(&at("/.well-known/openid-configuration"), 200, &discovery);
    let mut scenarios = tokens(&token, INVALID_CLIENT, INVALID_GRANT, INVALID_GRANT);
    scenarios.extend([
        Scenario::user("renamed").respond(&user, 200, r#"{"id":42,"username":"zoe","state":"active"}"#).same_user(),
        Scenario::user("another").respond(&user, 200, r#"{"id":43,"username":"jane","state":"active"}"#).other_user(),
        Scenario::user("blocked")
            .respond(&user, 403, r#"{"message":"403 Forbidden - Your account has been blocked."}"#)
            .refused(),
        Scenario::user("an administrator's view of a blocked user")
            .respond(&user, 200, r#"{"id":42,"username":"jane","state":"blocked"}"#)
            .refused(),
        Scenario::user("not confirmed")
            .respond(
                &user,
                200,
                r#"{"id":42,"username":"jane","state":"active","email":"j@example.com","confirmed_at":null}"#,
            )
            .unconfirmed_email(),
        Scenario::membership("a member", acme()).respond(&member, 200, r#"{"id":42,"access_level":30}"#).member(),
        Scenario::membership("no member", acme()).respond(&member, 404, r#"{"message":"404 Not found"}"#).not_member(),
        Scenario::membership("minimal access", acme())
            .respond(&member, 200, r#"{"id":42,"access_level":5}"#)
            .not_member(),
        Scenario::membership("not active", acme())
            .respond(&member, 200, r#"{"id":42,"access_level":30,"membership_state":"awaiting"}"#)
            .not_member(),
        Scenario::membership("too low a role", acme().at_least("maintainer"))
            .respond(&member, 200, r#"{"id":42,"access_level":30}"#)
            .not_member(),
        Scenario::membership("of another user", acme())
            .respond(&member, 200, r#"{"id":43,"access_level":30}"#)
            .fails("malformed"),
        Scenario::revoke("accepted").respond(&at("/oauth/revoke"), 200, "{}").revoked(),
        Scenario::revoke("a wrong secret")
            .respond(&at("/oauth/revoke"), 403, r#"{"error":"unauthorized_client"}"#)
            .fails("client_rejected"),
        known(Scenario::check("correct")).respond(&token, INVALID_GRANT.0, INVALID_GRANT.1).all_right(),
        known(Scenario::check("a wrong secret"))
            .respond(&token, INVALID_CLIENT.0, INVALID_CLIENT.1)
            .finds("client_rejected"),
    ]);
    scenarios
}

/// For a Bitbucket Cloud whose `api` responses are about the user with the UUID that begins with `11111111`.
pub(super) fn bitbucket_cloud() -> Vec<Scenario> {
    let (token, user, emails) = ("/site/oauth2/access_token", "/2.0/user", "/2.0/user/emails");
    let permission = "/2.0/user/workspaces/acme/permission";
    let unauthorized = (401, r#"{"error":"unauthorized_client","error_description":"Client credentials missing"}"#);
    let account = |uuid: char, name: &str, status: &str| {
        let uuid = "11111111-2222-3333-4444-555555555555".replace('1', &uuid.to_string());
        format!(r#"{{"uuid":"{{{uuid}}}","username":"{name}","account_status":"{status}","type":"user"}}"#)
    };
    let none = r#"{"values":[]}"#;
    let unconfirmed = r#"{"values":[{"email":"a@example.com","is_primary":true,"is_confirmed":false}]}"#;
    let mut scenarios = tokens(token, unauthorized, INVALID_GRANT, INVALID_GRANT);
    scenarios.extend([
        Scenario::user("renamed")
            .respond(user, 200, &account('1', "zoe", "active"))
            .respond(emails, 200, none)
            .same_user(),
        Scenario::user("another")
            .respond(user, 200, &account('6', "jane", "active"))
            .respond(emails, 200, none)
            .other_user(),
        Scenario::user("inactive")
            .respond(user, 200, &account('1', "jane", "inactive"))
            .respond(emails, 200, none)
            .refused(),
        Scenario::user("not confirmed")
            .respond(user, 200, &account('1', "jane", "active"))
            .respond(emails, 200, unconfirmed)
            .unconfirmed_email(),
        Scenario::membership("a member", acme()).respond(permission, 200, r#"{"permission":"member"}"#).member(),
        Scenario::membership("no workspace", acme())
            .respond(permission, 404, r#"{"type":"error","error":{"message":"No workspace"}}"#)
            .not_member(),
        Scenario::membership("a collaborator", acme())
            .respond(permission, 200, r#"{"permission":"collaborator"}"#)
            .not_member(),
        Scenario::membership("of another workspace", acme())
            .respond(permission, 200, r#"{"permission":"owner","workspace":{"slug":"other"}}"#)
            .fails("malformed"),
        Scenario::check("correct")
            .respond(token, INVALID_GRANT.0, INVALID_GRANT.1)
            .respond(user, 401, r#"{"type":"error"}"#)
            .all_right(),
        Scenario::check("a wrong secret")
            .respond(token, unauthorized.0, unauthorized.1)
            .respond(user, 401, r#"{"type":"error"}"#)
            .finds("client_rejected"),
    ]);
    scenarios
}

/// For a GitHub whose API is below `api`, and whose `api` responses are about user 12345678.
pub(super) fn github(api: &str) -> Vec<Scenario> {
    let at = |call: &str| format!("{api}{call}");
    let token = "/login/oauth/access_token";
    let (user, emails) = (at("/user"), at("/user/emails"));
    let (client, code, refresh) = (
        (200, r#"{"error":"incorrect_client_credentials"}"#),
        (200, r#"{"error":"bad_verification_code"}"#),
        (200, r#"{"error":"bad_refresh_token"}"#),
    );
    let account = |id: u64, name: &str| format!(r#"{{"id":{id},"login":"{name}","type":"User"}}"#);
    let membership = |state: &str, role: &str, name: &str| {
        format!(r#"{{"state":"{state}","role":"{role}","organization":{{"login":"{name}"}}}}"#)
    };
    let of = |name: &'static str, status: u16, body: &str| {
        Scenario::membership(name, acme()).respond(&at("/user/memberships/orgs/acme"), status, body)
    };
    let meta = r#"{"verifiable_password_authentication":true,"installed_version":"3.20.0"}"#;
    let revoke = at("/applications/mark-client-id/token");
    let mut scenarios = tokens(token, client, code, refresh);
    scenarios.extend([
        Scenario::user("renamed")
            .respond(&user, 200, &account(12_345_678, "zoe"))
            .respond(&emails, 200, "[]")
            .same_user(),
        Scenario::user("another").respond(&user, 200, &account(9, "janedoe")).respond(&emails, 200, "[]").other_user(),
        Scenario::user("suspended")
            .respond(&user, 403, r#"{"message":"Sorry. Your account was suspended."}"#)
            .respond(&emails, 403, r#"{"message":"Sorry. Your account was suspended."}"#)
            .refused(),
        Scenario::user("not verified")
            .respond(&user, 200, &account(12_345_678, "janedoe"))
            .respond(&emails, 200, r#"[{"email":"j@example.com","primary":true,"verified":false}]"#)
            .unconfirmed_email(),
        of("a member", 200, &membership("active", "member", "acme")).member(),
        of("invited", 200, &membership("pending", "admin", "acme")).not_member(),
        of("an unknown role", 200, &membership("active", "guest", "acme")).not_member(),
        of("no member", 404, r#"{"message":"Not Found"}"#).not_member(),
        of("of another organization", 200, &membership("active", "admin", "other")).fails("malformed"),
        Scenario::revoke("accepted").respond(&revoke, 204, "").revoked(),
        Scenario::revoke("a wrong secret")
            .respond(&revoke, 401, r#"{"message":"Bad credentials"}"#)
            .fails("client_rejected"),
        Scenario::check("correct")
            .respond(&at("/meta"), 200, meta)
            .respond(token, code.0, code.1)
            .respond(&at("/meta"), 200, meta)
            .all_right(),
        Scenario::check("a wrong secret")
            .respond(&at("/meta"), 200, meta)
            .respond(token, client.0, client.1)
            .finds("client_rejected"),
    ]);
    scenarios
}

/// For a Forgejo below `path` whose `api` responses are about user 7.
pub(super) fn forgejo(base_url: &str, path: &str) -> Vec<Scenario> {
    let at = |call: &str| format!("{path}{call}");
    let token = at("/login/oauth/access_token");
    let (user, emails, teams) = (at("/api/v1/user"), at("/api/v1/user/emails"), at("/api/v1/user/teams"));
    let (client, code, refresh) = (
        (400, r#"{"error":"unauthorized_client","error_description":"invalid client secret"}"#),
        (400, r#"{"error":"unauthorized_client","error_description":"client is not authorized"}"#),
        (400, r#"{"error":"unauthorized_client","error_description":"token was already used"}"#),
    );
    let account =
        |id: u64, name: &str| format!(r#"{{"id":{id},"login":"{name}","active":true,"prohibit_login":false}}"#);
    let team = |organization: &str| {
        format!(r#"[{{"id":1,"name":"dev","permission":"write","organization":{{"id":20,"name":"{organization}"}}}}]"#)
    };
    let of = |name: &'static str, status: u16, body: &str| {
        Scenario::membership(name, acme()).respond_with_headers(&teams, status, &[("x-total-count", "1")], body)
    };
    let discovery = format!(r#"{{"issuer":"{base_url}"}}"#);
    let known = |scenario: Scenario| {
        scenario.respond(&at("/api/v1/version"), 200, r#"{"version":"15.0.3+gitea-1.22.0"}"#).respond(
            &at("/.well-known/openid-configuration"),
            200,
            &discovery,
        )
    };
    let prohibited =
        r#"{"message":"This account is prohibited from signing in, please contact your site administrator."}"#;
    let mut scenarios = tokens(&token, client, code, refresh);
    scenarios.extend([
        Scenario::user("renamed").respond(&user, 200, &account(7, "zoe")).respond(&emails, 200, "[]").same_user(),
        Scenario::user("another").respond(&user, 200, &account(8, "jane")).respond(&emails, 200, "[]").other_user(),
        Scenario::user("prohibited").respond(&user, 403, prohibited).respond(&emails, 403, prohibited).refused(),
        Scenario::user("not verified")
            .respond(&user, 200, &account(7, "jane"))
            .respond(&emails, 200, r#"[{"email":"j@example.com","primary":true,"verified":false}]"#)
            .unconfirmed_email(),
        of("a member", 200, &team("acme")).member(),
        of("of another organization", 200, &team("other")).not_member(),
        of("no list", 200, "{}").fails("malformed"),
        of("an error", 404, r#"{"message":"Not Found"}"#).fails("api_not_found"),
        known(Scenario::check("correct")).respond(&token, code.0, code.1).all_right(),
        known(Scenario::check("a wrong secret")).respond(&token, client.0, client.1).finds("client_rejected"),
    ]);
    scenarios
}

/// For a Bitbucket Data Center below `path` whose `api` responses are about user 42.
pub(super) fn bitbucket_data_center(path: &str) -> Vec<Scenario> {
    let at = |call: &str| format!("{path}{call}");
    let (token, users) = (at("/rest/oauth2/latest/token"), at("/rest/api/latest/users"));
    let look_up = |name: &'static str, id: &str, username: &str, active: bool| {
        let headers = [("X-AUSERID", id), ("X-AUSERNAME", username)];
        let page = format!(
            r#"{{"values":[{{"name":"{username}","id":{id},"active":{active},"type":"NORMAL"}}],"isLastPage":true}}"#
        );
        let first = Scenario::user(name).respond_with_headers(&users, 200, &headers, &page);
        first.respond_with_headers(&users, 200, &headers, &page)
    };
    let repositories = |name: &'static str, headers: &[(&str, &str)], entries: &str| {
        let body = format!(r#"{{"values":[{entries}],"isLastPage":true}}"#);
        Scenario::membership(name, acme()).respond_with_headers(&at("/rest/api/latest/repos"), 200, headers, &body)
    };
    let named = [("X-AUSERID", "42")];
    let repository = |key: &str, public: bool| {
        format!(r#"{{"slug":"web","public":{public},"project":{{"key":"{key}","public":false}}}}"#)
    };
    let properties = r#"{"version":"9.4.0","displayName":"Bitbucket"}"#;
    let known = |scenario: Scenario| scenario.respond(&at("/rest/api/latest/application-properties"), 200, properties);
    let mut scenarios = tokens(&token, INVALID_CLIENT, INVALID_GRANT, INVALID_GRANT);
    scenarios.extend([
        look_up("renamed", "42", "zoe", true).same_user(),
        look_up("another", "43", "jdoe", true).other_user(),
        look_up("deactivated", "42", "jdoe", false).refused(),
        repositories("a member", &named, &repository("ACME", false)).member(),
        repositories("a public repository", &named, &repository("ACME", true)).not_member(),
        repositories("no repository", &named, "").not_member(),
        repositories("an anonymous visitor", &[], "").fails("token_rejected"),
        repositories("of another project", &named, &repository("OTHER", false)).fails("malformed"),
        known(Scenario::check("correct"))
            .respond(&token, INVALID_GRANT.0, INVALID_GRANT.1)
            .respond(&token, INVALID_CLIENT.0, INVALID_CLIENT.1)
            .all_right(),
        known(Scenario::check("a wrong secret"))
            .respond(&token, INVALID_CLIENT.0, INVALID_CLIENT.1)
            .finds("client_rejected"),
    ]);
    scenarios
}
