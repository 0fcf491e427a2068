//! Memberships, organizations and teams as the API shows them.

use super::membership::FakeMembership;
use super::organization::{FakeOrganization, FakeTeam, node_id};
use super::state::State;
use super::user::FakeUser;
use crate::testing::wire::json_string;

pub(super) fn membership_json(
    state: &State,
    user: &FakeUser,
    membership: &FakeMembership,
    organization: &FakeOrganization,
) -> String {
    let url = format!("{}/orgs/{}", state.api_url, organization.login);
    let enterprise_teams = if membership.direct { "[]" } else { "[\"ent:staff\"]" };
    format!(
        "{{\"url\":{},\"state\":\"{}\",\"role\":{},\"organization_url\":{},\"direct_membership\":{},\
         \"enterprise_teams_providing_indirect_membership\":{enterprise_teams},\"organization\":{},\"user\":{}}}",
        json_string(&format!("{url}/memberships/{}", user.login)),
        state_name(membership.pending),
        json_string(&membership.role),
        json_string(&url),
        membership.direct,
        organization.json(state),
        user.short_json(state),
    )
}

impl FakeOrganization {
    pub(super) fn json(&self, state: &State) -> String {
        let url = format!("{}/orgs/{}", state.api_url, self.login);
        let ends = ["repos", "events", "hooks", "issues", "members", "public_members"];
        let urls = ends.map(|end| {
            let parameter = if end.ends_with("members") { "{/member}" } else { "" };
            format!("\"{end}_url\":{},", json_string(&format!("{url}/{end}{parameter}")))
        });
        format!(
            "{{\"login\":{},\"id\":{},\"node_id\":{},\"url\":{},{}\"avatar_url\":{},\"description\":null}}",
            json_string(&self.login),
            self.id,
            json_string(&node_id("O", self.id)),
            json_string(&url),
            urls.concat(),
            json_string(&format!("https://avatars.githubusercontent.com/u/{}?v=4", self.id)),
        )
    }
}

/// With its parent and organization, or as the parent of another one.
pub(super) fn team_json(state: &State, organization: &FakeOrganization, team: &FakeTeam, full: bool) -> String {
    let url = format!("{}/organizations/{}/team/{}", state.api_url, organization.id, team.id);
    let html_url = format!("{}/orgs/{}/teams/{}", state.base_url, organization.login, team.slug);
    let mut json = format!(
        "{{\"id\":{},\"node_id\":{},\"url\":{},\"html_url\":{},\"name\":{name},\"slug\":{name},\"description\":null,\
         \"privacy\":\"closed\",\"notification_setting\":\"notifications_enabled\",\"permission\":\"pull\",\
         \"members_url\":{},\"repositories_url\":{}",
        team.id,
        json_string(&node_id("T", team.id)),
        json_string(&url),
        json_string(&html_url),
        json_string(&format!("{url}/members{{/member}}")),
        json_string(&format!("{url}/repos")),
        name = json_string(&team.slug),
    );
    if full {
        let parent = team.parent.as_deref().and_then(|parent| organization.team(parent));
        let parent = parent.map_or_else(|| "null".to_owned(), |team| team_json(state, organization, team, false));
        json.push_str(&format!(
            ",\"parent\":{parent},\"members_count\":2,\"repos_count\":0,\"created_at\":\"2017-07-14T16:53:42Z\",\
             \"updated_at\":\"2017-08-17T12:37:15Z\",\"organization\":{}",
            organization.json(state)
        ));
    }
    json.push('}');
    json
}

pub(super) fn state_name(pending: bool) -> &'static str {
    if pending { "pending" } else { "active" }
}
