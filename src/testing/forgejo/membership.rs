//! Organizations and teams.

use super::api::Caller;
use super::state::State;
use super::team::{FakeOrganization, FakeTeam, TeamPermission};
use super::user::FakeUser;
use super::wire::{api_error, json, not_found};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, form_decode, respond};

/// `parts` is the path after `/api/`, whose scopes were checked.
pub(super) fn call(state: &State, request: &FakeRequest, caller: &Caller<'_>, parts: &[&str]) -> FakeResponse {
    if let ["v1", "orgs", name, ..] | ["v1", "users", _, "orgs", name, _] = parts {
        let organization = visible(state, caller, name);
        if caller.rights.public_only() && organization.is_some_and(|known| known.visibility != "public") {
            return api_error(state, 403, "token scope is limited to public orgs");
        }
    }
    let shown = |team: &&FakeTeam| !caller.rights.public_only() || team.organization.visibility == "public";
    let response = match parts {
        ["v1", "user", "teams"] => {
            let teams = caller.user.teams.iter().filter(shown);
            let teams: Vec<_> = teams.map(|team| team.json(&state.root_url)).collect();
            Some(page(state, request, &teams, None))
        }
        ["v1", "user", "orgs"] => {
            let organizations = organizations(caller.user.teams.iter().filter(shown));
            let organizations: Vec<_> = organizations.iter().map(|known| known.json(&state.root_url)).collect();
            Some(page(state, request, &organizations, Some("/api/v1/user/orgs")))
        }
        ["v1", "orgs", organization, "members", user] => member(state, caller, organization, user),
        ["v1", "orgs", organization, "public_members", user] => public_member(state, organization, user),
        ["v1", "users", user, "orgs", organization, "permissions"] => permissions(state, caller, user, organization),
        ["v1", "teams", team, "members", user] => team_member(state, caller, team, user),
        _ => None,
    };
    response.unwrap_or_else(|| not_found(state, request))
}

/// Only some lists have a `Link`.
fn page(state: &State, request: &FakeRequest, entries: &[String], link: Option<&str>) -> FakeResponse {
    let query = Params::of_query(request);
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let limit = match number("limit", 0) {
        0 => state.max_response_items.min(30),
        limit => limit.min(state.max_response_items),
    };
    let page = number("page", 1).max(1);
    let start = page.saturating_sub(1).saturating_mul(limit);
    let shown: Vec<&str> = entries.iter().skip(start).take(limit).map(String::as_str).collect();
    let mut response = json(200, &format!("[{}]", shown.join(",")));
    if let Some(path) = link {
        let last = entries.len().div_ceil(limit.max(1));
        let to = |page: usize, rel| format!("<{}{path}?limit={limit}&page={page}>; rel=\"{rel}\"", state.root_url);
        let mut links = Vec::new();
        if page < last {
            links.extend([to(page.saturating_add(1), "next"), to(last, "last")]);
        }
        if page > 1 {
            links.extend([to(1, "first"), to(page.saturating_sub(1), "prev")]);
        }
        if !links.is_empty() {
            add_header(&mut response, "Link", &links.join(","));
        }
    }
    add_header(&mut response, "X-Total-Count", &entries.len().to_string());
    add_header(&mut response, "Access-Control-Expose-Headers", "X-Total-Count, Link");
    response
}

/// 204, 404, or 303 to the public members for a caller who may not see the others.
fn member(state: &State, caller: &Caller<'_>, organization: &str, username: &str) -> Option<FakeResponse> {
    let organization = visible(state, caller, organization)?;
    let user = state.user_named(&form_decode(username))?;
    if caller.user.admin || is_member(caller.user, organization) {
        return is_member(user, organization).then(no_content);
    }
    if caller.user.id == user.id {
        return None;
    }
    let location = format!("{}/api/v1/orgs/{}/public_members/{username}", state.sub_path, organization.name);
    Some(respond(303, &[("Location", &location)], Vec::new()))
}

fn public_member(state: &State, organization: &str, username: &str) -> Option<FakeResponse> {
    let user = state.user_named(&form_decode(username))?;
    let team = teams_in(user, &form_decode(organization)).find(|team| team.public)?;
    (team.organization.visibility == "public").then(no_content)
}

fn permissions(state: &State, caller: &Caller<'_>, username: &str, organization: &str) -> Option<FakeResponse> {
    let user = state.user_named(&form_decode(username))?;
    let organization = visible(state, caller, organization)?;
    let best = teams_in(user, &organization.name).map(|team| team.permission).max().unwrap_or(TeamPermission::None);
    let may = |least| best >= least;
    let creates = teams_in(user, &organization.name).any(|team| team.can_create_repositories);
    Some(json(
        200,
        &format!(
            "{{\"is_owner\":{},\"is_admin\":{},\"can_write\":{},\"can_read\":{},\"can_create_repository\":{}}}",
            may(TeamPermission::Owner),
            may(TeamPermission::Admin),
            may(TeamPermission::Write),
            may(TeamPermission::Read),
            may(TeamPermission::Owner) || creates,
        ),
    ))
}

/// Only members of the team, owners of the organization and site administrators may ask.
fn team_member(state: &State, caller: &Caller<'_>, team: &str, username: &str) -> Option<FakeResponse> {
    let id: u64 = team.parse().ok()?;
    let team = state.users.iter().flat_map(|user| &user.teams).find(|team| team.id == id)?;
    let mut own = teams_in(caller.user, &team.organization.name).peekable();
    if !caller.user.admin {
        own.peek()?;
        if !own.any(|own| own.id == id || own.permission == TeamPermission::Owner) {
            return Some(api_error(state, 403, "Must be a team member"));
        }
    }
    let user = state.user_named(&form_decode(username))?;
    let member = user.teams.iter().any(|team| team.id == id);
    member.then(|| json(200, &user.json(state, caller.user.id == user.id)))
}

/// The organization, if the caller may know that it exists.
fn visible<'a>(state: &'a State, caller: &Caller<'_>, name: &str) -> Option<&'a FakeOrganization> {
    let name = form_decode(name);
    let mut teams = state.users.iter().flat_map(|user| &user.teams);
    let organization = &teams.find(|team| team.organization.name.eq_ignore_ascii_case(&name))?.organization;
    let inside = caller.user.admin || is_member(caller.user, organization);
    let seen = match organization.visibility.as_str() {
        "public" => true,
        "limited" => inside || !caller.user.restricted,
        _ => inside,
    };
    seen.then_some(organization)
}

fn organizations<'a>(teams: impl Iterator<Item = &'a FakeTeam>) -> Vec<&'a FakeOrganization> {
    let mut found: Vec<&FakeOrganization> = Vec::new();
    for team in teams {
        if !found.iter().any(|known| known.id == team.organization.id) {
            found.push(&team.organization);
        }
    }
    found
}

fn teams_in<'a>(user: &'a FakeUser, organization: &str) -> impl Iterator<Item = &'a FakeTeam> {
    user.teams.iter().filter(move |team| team.organization.name.eq_ignore_ascii_case(organization))
}

fn is_member(user: &FakeUser, organization: &FakeOrganization) -> bool {
    user.teams.iter().any(|team| team.organization.id == organization.id)
}

fn no_content() -> FakeResponse {
    respond(204, &[], Vec::new())
}
