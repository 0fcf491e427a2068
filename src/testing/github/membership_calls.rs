//! The calls for organizations and teams of the token's user.

use super::api::not_accessible;
use super::caller::TokenUser;
use super::membership::{FakeMembership, FakeTeamMembership};
use super::membership_json::{membership_json, state_name, team_json};
use super::organization::{FakeOrganization, FakeTeam};
use super::scopes::covers;
use super::state::State;
use super::user::FakeUser;
use super::wire::{JSON, not_found, page, refused};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, json_string, random_hex, respond};

pub(super) fn call(state: &State, request: &FakeRequest, token: &TokenUser, parts: &[&str]) -> FakeResponse {
    match parts {
        ["user", "memberships", "orgs"] => memberships(state, request, token),
        ["user", "memberships", "orgs", login] => membership(state, token, login),
        ["user", "orgs"] => organizations(state, request, token),
        ["user", "teams"] => teams(state, request, token),
        ["orgs", login, "teams", slug, "memberships", user] => {
            let organization = state.organization(login);
            let team = organization.and_then(|organization| organization.team(slug));
            team_membership(state, token, organization.zip(team), user)
        }
        ["organizations", id, "team", team_id, "memberships", user] => {
            let organization = state.organizations.iter().find(|organization| organization.id.to_string() == *id);
            let has_id = |team: &&FakeTeam| team.id.to_string() == *team_id;
            let team = organization.and_then(|organization| organization.teams.iter().find(has_id));
            team_membership(state, token, organization.zip(team), user)
        }
        ["orgs", login, which, user] => member(state, token, login, which, user),
        _ => not_found(state, ""),
    }
}

/// The refusal of a token that lacks the scope, or of a GitHub App that lacks the permission.
fn lacks_scope(state: &State, token: &TokenUser, sufficient: &[&str], docs: &str) -> Option<FakeResponse> {
    if token.github_app {
        return (!token.has_permission("members")).then(|| not_accessible(state, docs));
    }
    (!covers(&token.scopes, sufficient)).then(|| match state.options.missing_scope_status {
        404 => not_found(state, docs),
        status => refused(state, status, NEEDS_SCOPE, docs),
    })
}

const NEEDS_SCOPE: &str = "You need at least read:org scope or user scope to list your organizations.";
const DOCS: &str = "/orgs/members#get-an-organization-membership-for-the-authenticated-user";

enum Block {
    /// A GitHub App that is not installed, or an OAuth App that is not approved.
    App,
    /// The token was made without a SAML session.
    Saml,
}

fn block(state: &State, token: &TokenUser, organization: &FakeOrganization) -> Option<Block> {
    let has_app = organization.apps.contains(&token.client_id);
    let restricted = organization.restricts_apps && !state.options.is_server();
    if !has_app && (token.github_app || restricted) {
        return Some(Block::App);
    }
    (organization.saml && !token.saml.contains(&organization.id)).then_some(Block::Saml)
}

fn blocked(state: &State, token: &TokenUser, organization: &FakeOrganization) -> Option<FakeResponse> {
    let login = &organization.login;
    Some(match block(state, token, organization)? {
        Block::App if token.github_app => not_accessible(state, DOCS),
        Block::App => {
            let text = format!(
                "Although you appear to have the correct authorization credentials, the `{login}` organization has \
                 enabled OAuth App access restrictions, meaning that data access to third-parties is limited. For more \
                 information on these restrictions, including how to enable this app, visit \
                 https://docs.github.com/articles/restricting-access-to-your-organization-s-data/"
            );
            refused(state, 403, &text, DOCS)
        }
        Block::Saml => {
            let text = "Resource protected by organization SAML enforcement. You must grant your OAuth token access to \
                        this organization.";
            let mut response = refused(state, 403, text, "/authentication/authenticating-to-the-rest-api");
            let url = format!("{}/orgs/{login}/sso?authorization_request={}", state.base_url, random_hex(8));
            add_header(&mut response, "X-GitHub-SSO", &format!("required; url={url}"));
            response
        }
    })
}

/// The ids of organizations that a list leaves out, as a header of its response.
fn add_partial(response: &mut FakeResponse, hidden: &[String]) {
    if !hidden.is_empty() {
        add_header(response, "X-GitHub-SSO", &format!("partial-results; organizations={}", hidden.join(",")));
    }
}

/// The user's organizations that a list shows, and the ids of those that it leaves out because of SAML. Those that have not
/// approved the app are missing.
fn visible<'a>(
    state: &'a State,
    token: &'a TokenUser,
) -> (Vec<(&'a FakeMembership, &'a FakeOrganization)>, Vec<String>) {
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for organization in &state.organizations {
        let Some(membership) = token.user.membership(organization) else {
            continue;
        };
        match block(state, token, organization) {
            None => shown.push((membership, organization)),
            Some(Block::Saml) => hidden.push(organization.id.to_string()),
            Some(Block::App) => {}
        }
    }
    (shown, hidden)
}

/// `GET /user/memberships/orgs`.
fn memberships(state: &State, request: &FakeRequest, token: &TokenUser) -> FakeResponse {
    if let Some(refusal) = lacks_scope(state, token, &["read:org"], DOCS) {
        return refusal;
    }
    let query = Params::of_query(request);
    let wanted = query.get("state");
    let (shown, hidden) = visible(state, token);
    let entries: Vec<String> = shown
        .into_iter()
        .filter(|(membership, _)| wanted.is_none_or(|wanted| wanted == state_name(membership.pending)))
        .map(|(membership, organization)| membership_json(state, &token.user, membership, organization))
        .collect();
    let mut response = page(state, request, "/user/memberships/orgs", &entries);
    add_partial(&mut response, &hidden);
    response
}

/// `GET /user/memberships/orgs/{org}`, where an id is not a login.
fn membership(state: &State, token: &TokenUser, login: &str) -> FakeResponse {
    if let Some(refusal) = lacks_scope(state, token, &["read:org"], DOCS) {
        return refusal;
    }
    let organization = state.organization(login);
    let Some((organization, membership)) =
        organization.and_then(|organization| Some((organization, token.user.membership(organization)?)))
    else {
        return not_found(state, DOCS);
    };
    blocked(state, token, organization)
        .unwrap_or_else(|| respond(200, &[JSON], membership_json(state, &token.user, membership, organization)))
}

/// `GET /user/orgs`. Without `read:org` it has public memberships only.
fn organizations(state: &State, request: &FakeRequest, token: &TokenUser) -> FakeResponse {
    let docs = "/orgs/orgs#list-organizations-for-the-authenticated-user";
    if !token.github_app && !covers(&token.scopes, &["read:org", "user"]) {
        return refused(state, 403, NEEDS_SCOPE, docs);
    }
    let all = token.github_app || covers(&token.scopes, &["read:org"]);
    let (shown, hidden) = visible(state, token);
    let shown = shown.into_iter().filter(|(membership, _)| !membership.pending && (all || membership.public));
    let entries: Vec<String> = shown.map(|(_, organization)| organization.json(state)).collect();
    let mut response = page(state, request, "/user/orgs", &entries);
    add_partial(&mut response, &hidden);
    response
}

/// `GET /user/teams`: without the parents of the user's teams.
fn teams(state: &State, request: &FakeRequest, token: &TokenUser) -> FakeResponse {
    let docs = "/teams/teams#list-teams-for-the-authenticated-user";
    if let Some(refusal) = lacks_scope(state, token, &["read:org", "repo", "user"], docs) {
        return refusal;
    }
    let (shown, hidden) = visible(state, token);
    let mut entries = Vec::new();
    for (_, organization) in shown.into_iter().filter(|(membership, _)| !membership.pending) {
        let is_own = |own: &&FakeTeamMembership| own.organization.eq_ignore_ascii_case(&organization.login);
        let own = token.user.teams.iter().filter(is_own).filter(|own| !own.pending);
        entries.extend(own.filter_map(|own| Some(team_json(state, organization, organization.team(&own.team)?, true))));
    }
    let mut response = page(state, request, "/user/teams", &entries);
    add_partial(&mut response, &hidden);
    response
}

/// The membership of any user in a team, for members of the organization.
fn team_membership(
    state: &State,
    token: &TokenUser,
    team: Option<(&FakeOrganization, &FakeTeam)>,
    login: &str,
) -> FakeResponse {
    let docs = "/teams/members#get-team-membership-for-a-user";
    if let Some(refusal) = lacks_scope(state, token, &["read:org"], docs) {
        return refusal;
    }
    let team = team.filter(|(organization, _)| token.user.active_membership(organization).is_some());
    let Some((organization, team)) = team else {
        return not_found(state, docs);
    };
    if let Some(refusal) = blocked(state, token, organization) {
        return refusal;
    }
    let Some((role, pending)) = state.user_named(login).and_then(|user| role_in(user, organization, team)) else {
        return not_found(state, docs);
    };
    let url = format!("{}/organizations/{}/team/{}/memberships/{login}", state.api_url, organization.id, team.id);
    let body = format!(
        "{{\"url\":{},\"role\":{},\"state\":\"{}\"}}",
        json_string(&url),
        json_string(&role),
        state_name(pending)
    );
    respond(200, &[JSON], body)
}

/// Members of child teams count. An owner is a maintainer of each own team.
fn role_in(user: &FakeUser, organization: &FakeOrganization, team: &FakeTeam) -> Option<(String, bool)> {
    let is_own = |own: &&FakeTeamMembership| own.organization.eq_ignore_ascii_case(&organization.login);
    let own: Vec<_> = user.teams.iter().filter(is_own).collect();
    let direct = own.iter().find(|own| own.team.eq_ignore_ascii_case(&team.slug));
    let through_child = || own.iter().find(|own| !own.pending && organization.is_within(&own.team, team));
    let pending = direct.or_else(through_child)?.pending;
    let is_owner = user.active_membership(organization).is_some_and(|membership| membership.role == "admin");
    let role = match direct {
        _ if is_owner => "maintainer",
        Some(direct) => &direct.role,
        None => "member",
    };
    Some((role.to_owned(), pending))
}

/// `GET /orgs/{org}/members/{username}` and `GET /orgs/{org}/public_members/{username}`.
fn member(state: &State, token: &TokenUser, login: &str, which: &str, user: &str) -> FakeResponse {
    let Some(organization) = state.organization(login) else {
        return not_found(state, "");
    };
    let membership = state.user_named(user).and_then(|user| user.active_membership(organization));
    if which == "public_members" {
        let is_public = membership.is_some_and(|membership| membership.public);
        return if is_public { respond(204, &[], Vec::new()) } else { not_found(state, "") };
    }
    let may_see = token.github_app || covers(&token.scopes, &["read:org"]);
    if !may_see || token.user.active_membership(organization).is_none() {
        let url = format!("{}/orgs/{}/public_members/{user}", state.api_url, organization.login);
        return respond(302, &[("Location", &url)], Vec::new());
    }
    let response = || if membership.is_some() { respond(204, &[], Vec::new()) } else { not_found(state, "") };
    blocked(state, token, organization).unwrap_or_else(response)
}
