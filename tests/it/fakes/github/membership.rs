use codehost_oauth::testing::github::{FakeOrganization, ServerKind};

use super::*;

const ACME: &str = "/user/memberships/orgs/acme";

#[tokio::test]
async fn a_membership_has_state_and_role() {
    let fake = start().await;
    for (login, state, role) in [
        ("janedoe", "active", "member"),
        ("owner", "active", "admin"),
        ("pete", "pending", "member"),
        ("bill", "active", "billing_manager"),
        ("emma_acme", "active", "member"),
    ] {
        let token = access(&fake, login, "read:org").await;
        // Logins ignore case.
        let response = api(&fake, "/user/memberships/orgs/ACME", &token).await;
        assert_eq!((response.text("state").as_str(), response.text("role").as_str()), (state, role), "{login}");
    }
    let jane = access(&fake, "janedoe", "admin:org").await;
    let response = api(&fake, ACME, &jane).await;
    let expected = [
        "url",
        "state",
        "role",
        "organization_url",
        "direct_membership",
        "enterprise_teams_providing_indirect_membership",
        "organization",
        "user",
    ];
    assert_eq!(members(&response.body), expected);
    let json = response.json();
    assert_eq!(json["url"], format!("{}/orgs/acme/memberships/janedoe", fake.api_url()));
    assert_eq!(
        (&json["organization"]["id"], &json["organization"]["node_id"]),
        (&87_654_321.into(), &"O_kgDOBTl_sQ".into())
    );
    assert_eq!(json["user"]["id"], 12_345_678);
    let enid = access(&fake, "enid", "read:org").await;
    assert_eq!(api(&fake, ACME, &enid).await.json()["direct_membership"], false);
    let una = access(&fake, "nomail", "read:org").await;
    assert_refused(&api(&fake, ACME, &una).await, 404, "Not Found");
    for path in ["/user/memberships/orgs/87654321", "/user/memberships/orgs/nowhere"] {
        assert_refused(&api(&fake, path, &jane).await, 404, "Not Found");
    }
}

#[tokio::test]
async fn memberships_need_a_scope_or_a_permission() {
    let fake = start().await;
    let token = access(&fake, "janedoe", "user:email").await;
    assert_refused(&api(&fake, ACME, &token).await, 404, "Not Found");
    assert_refused(
        &api(&fake, "/user/orgs", &token).await,
        403,
        "You need at least read:org scope or user scope to list your organizations.",
    );
    let fake = builder().missing_scope_status(403).start().await.unwrap();
    let token = access(&fake, "janedoe", "user:email").await;
    assert_eq!(api(&fake, ACME, &token).await.status, 403);
    // A GitHub App must be installed.
    let token = app_access(&fake, APP_ID, "janedoe").await;
    assert_refused(&api(&fake, ACME, &token).await, 403, "Resource not accessible by integration");
    assert_eq!(api(&fake, "/user/memberships/orgs", &token).await.body, "[]");
    fake.approve_application("acme", APP_ID);
    let response = api(&fake, ACME, &token).await;
    assert_eq!((response.status, response.header("x-accepted-github-permissions")), (200, "members=read"));
}

#[tokio::test]
async fn lists_have_states_and_leave_out_what_is_blocked() {
    let fake = start().await;
    let logins = |response: &ResponseSummary| {
        let list = response.json();
        let login = |entry: &serde_json::Value| entry["organization"]["login"].as_str().map(str::to_owned);
        list.as_array().unwrap().iter().filter_map(login).collect::<Vec<_>>()
    };
    let pete = access(&fake, "pete", "read:org").await;
    assert_eq!(logins(&api(&fake, "/user/memberships/orgs", &pete).await), ["acme"]);
    assert_eq!(api(&fake, "/user/memberships/orgs?state=active", &pete).await.body, "[]");
    assert_eq!(logins(&api(&fake, "/user/memberships/orgs?state=pending&per_page=100", &pete).await), ["acme"]);
    let clara = access(&fake, "clara", "read:org").await;
    assert_eq!(logins(&api(&fake, "/user/memberships/orgs", &clara).await), ["acme"]);
    let nils = access(&fake, "nils", "read:org").await;
    let partial = api(&fake, "/user/memberships/orgs", &nils).await;
    assert_eq!(logins(&partial), ["acme"]);
    assert_eq!(partial.header("x-github-sso"), "partial-results; organizations=201");
    // Without `read:org`, public memberships only.
    let clara = access(&fake, "clara", "user").await;
    assert!(api(&fake, "/user/orgs", &clara).await.body.contains("\"login\":\"acme\""));
    let jane = access(&fake, "janedoe", "user").await;
    assert_eq!(api(&fake, "/user/orgs", &jane).await.body, "[]");
}

#[tokio::test]
async fn saml_needs_a_session_when_the_token_is_made() {
    let fake = start().await;
    let path = "/user/memberships/orgs/signed";
    let nils = access(&fake, "nils", "read:org").await;
    let response = api(&fake, path, &nils).await;
    let text = "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this \
                organization.";
    assert_refused(&response, 403, text);
    let start = format!("required; url={}/orgs/signed/sso?authorization_request=", fake.base_url());
    assert!(response.header("x-github-sso").starts_with(&start), "{}", response.header("x-github-sso"));
    let sam = log_in(&fake, "sam", "read:org").await;
    assert_eq!(api(&fake, path, &sam.text("access_token")).await.text("state"), "active");
    let renewed = token(&fake, &refresh(&sam.text("refresh_token"))).await;
    assert_eq!(api(&fake, path, &renewed.text("access_token")).await.status, 200);
}

#[tokio::test]
async fn restricted_organizations_approve_oauth_apps() {
    let path = "/user/memberships/orgs/closed";
    let fake = start().await;
    let clara = access(&fake, "clara", "read:org").await;
    let response = api(&fake, path, &clara).await;
    assert_eq!(response.status, 403);
    let text = "Although you appear to have the correct authorization credentials, the `closed` organization has enabled \
                OAuth App access restrictions, ";
    assert!(response.text("message").starts_with(text), "{}", response.body);
    assert_eq!(api(&fake, "/user/teams", &clara).await.body, "[]");
    fake.approve_application("closed", ID);
    assert_eq!(api(&fake, path, &clara).await.text("state"), "active");
    let server = builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    let clara = access(&server, "clara", "read:org").await;
    assert_eq!(api(&server, path, &clara).await.status, 200);
}

#[tokio::test]
async fn teams_have_members_of_their_children_and_roles() {
    let fake = start().await;
    let jane = access(&fake, "janedoe", "read:org").await;
    let teams = api(&fake, "/user/teams?per_page=100", &jane).await.json();
    assert_eq!(teams.as_array().unwrap().len(), 1);
    let team = &teams[0];
    assert_eq!((&team["id"], &team["slug"]), (&72.into(), &"compilers".into()));
    assert_eq!((&team["parent"]["slug"], &team["organization"]["login"]), (&"tools".into(), &"acme".into()));
    let pete = access(&fake, "pete", "repo").await;
    assert_eq!(api(&fake, "/user/teams", &pete).await.body, "[]");
    let membership = |path: &'static str| api(&fake, path, &jane);
    let roles = |response: ResponseSummary| (response.text("role"), response.text("state"));
    let text = |role: &str, state: &str| (role.to_owned(), state.to_owned());
    let tools = membership("/orgs/acme/teams/tools/memberships/janedoe").await;
    assert_eq!(members(&tools.body), ["url", "role", "state"]);
    assert_eq!(roles(tools), text("member", "active"), "through the child team");
    assert_eq!(
        roles(membership("/organizations/87654321/team/72/memberships/janedoe").await),
        text("member", "active")
    );
    assert_eq!(roles(membership("/orgs/acme/teams/tools/memberships/owner").await), text("maintainer", "active"));
    assert_eq!(roles(membership("/orgs/acme/teams/tools/memberships/pete").await), text("member", "pending"));
    for path in [
        "/orgs/acme/teams/sales/memberships/janedoe",
        "/orgs/acme/teams/compilers/memberships/owner",
        "/orgs/acme/teams/nothing/memberships/janedoe",
        "/orgs/signed/teams/core/memberships/sam",
    ] {
        assert_refused(&membership(path).await, 404, "Not Found");
    }
}

#[tokio::test]
async fn members_are_204_302_or_404() {
    let fake = start().await;
    let jane = access(&fake, "janedoe", "read:org").await;
    assert_eq!(api(&fake, "/orgs/acme/members/owner", &jane).await.status, 204);
    assert_eq!(api(&fake, "/orgs/acme/members/una", &jane).await.status, 404);
    let una = access(&fake, "nomail", "read:org").await;
    let moved = api(&fake, "/orgs/acme/members/clara", &una).await;
    let target = format!("{}/orgs/acme/public_members/clara", fake.api_url());
    assert_eq!((moved.status, moved.header("location")), (302, target.as_str()));
    assert_eq!(api(&fake, "/orgs/acme/public_members/clara", &una).await.status, 204);
    assert_eq!(api(&fake, "/orgs/acme/public_members/owner", &una).await.status, 404);
}

#[tokio::test]
async fn a_login_of_an_organization_can_be_reused() {
    let fake = start().await;
    let jane = access(&fake, "janedoe", "read:org").await;
    fake.rename_organization("acme", "acme-old");
    fake.add_organization(FakeOrganization::new(999, "acme"));
    assert_eq!(api(&fake, ACME, &jane).await.status, 404);
    let response = api(&fake, "/user/memberships/orgs/acme-old", &jane).await;
    assert_eq!(response.json()["organization"]["id"], 87_654_321);
}
