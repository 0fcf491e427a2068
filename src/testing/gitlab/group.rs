//! `GET /api/v4/groups`, the descendants of one of them, and its members.

use super::state::State;
use super::user::{FakeUser, rails_json};
use super::wire::{api, api_message};
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, form_decode};

/// A group of a [`FakeUser`], who is a member directly or through a parent group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeGroup {
    /// The id, which never changes.
    pub id: u64,
    /// The path, including the paths of all parent groups.
    pub full_path: String,
    /// The user's access level there: 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner.
    pub access_level: u8,
}

impl FakeGroup {
    /// A group and the user's access level in it.
    pub fn new(id: u64, full_path: &str, access_level: u8) -> Self {
        Self { id, full_path: full_path.to_owned(), access_level }
    }

    fn json(&self, base_url: &str) -> String {
        let path = self.full_path.rsplit('/').next().unwrap_or_default();
        format!(
            "{{\"id\":{},\"web_url\":{},\"name\":{name},\"path\":{name},\"description\":\"\",\
             \"visibility\":\"private\",\"full_name\":{},\"full_path\":{}}}",
            self.id,
            rails_json(&format!("{base_url}/groups/{}", self.full_path)),
            rails_json(&self.full_path.replace('/', " / ")),
            rails_json(&self.full_path),
            name = rails_json(path),
        )
    }
}

/// One page of a user's groups with at least `min_access_level`. Without that parameter, a real GitLab also lists all
/// visible groups.
pub(super) fn page(user: &FakeUser, base_url: &str, request: &FakeRequest) -> FakeResponse {
    list(&user.groups.iter().collect::<Vec<_>>(), base_url, request)
}

/// `GET /api/v4/groups/{group}` and what is below it; `call` is the path after `/api/v4/`.
pub(super) fn below(state: &State, user: &FakeUser, call: &str, request: &FakeRequest) -> FakeResponse {
    match call.split('/').collect::<Vec<_>>().as_slice() {
        ["groups", group, "descendant_groups"] => descendants(state, user, group, request),
        ["groups", group, "members", "all", member] => self::member(state, user, group, member),
        _ => api(404, None, "{\"error\":\"404 Not Found\"}".to_owned()),
    }
}

/// A group that the user is not in can be seen by members of its subgroups.
fn descendants(state: &State, user: &FakeUser, group: &str, request: &FakeRequest) -> FakeResponse {
    let group = form_decode(group);
    let prefix = format!("{}/", group.to_ascii_lowercase());
    let is_below = |known: &&FakeGroup| known.full_path.to_ascii_lowercase().starts_with(&prefix);
    let is_visible = user.groups.iter().any(|known| known.full_path.eq_ignore_ascii_case(&group) || is_below(&known));
    if !is_visible {
        return api_message(404, "404 Group Not Found");
    }
    list(&user.groups.iter().filter(is_below).collect::<Vec<_>>(), &state.base_url, request)
}

fn list(groups: &[&FakeGroup], base_url: &str, request: &FakeRequest) -> FakeResponse {
    let query = Params::of_query(request);
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let min_access_level = number("min_access_level", 0);
    let per_page = number("per_page", 20).clamp(1, 100);
    let page = number("page", 1).max(1);
    let start = page.saturating_sub(1).saturating_mul(per_page);
    let groups: Vec<_> = groups.iter().filter(|group| usize::from(group.access_level) >= min_access_level).collect();
    let shown: Vec<_> = groups.iter().skip(start).take(per_page).map(|group| group.json(base_url)).collect();
    let mut response = api(200, None, format!("[{}]", shown.join(",")));
    let more = start.saturating_add(per_page) < groups.len();
    let next = if more { page.saturating_add(1).to_string() } else { String::new() };
    for (name, value) in [
        ("X-Page", page.to_string()),
        ("X-Per-Page", per_page.to_string()),
        ("X-Total", groups.len().to_string()),
        ("X-Next-Page", next),
    ] {
        add_header(&mut response, name, &value);
    }
    response
}

/// The user's group with this path or id.
pub(super) fn of<'a>(user: &'a FakeUser, group: &str) -> Option<&'a FakeGroup> {
    let group = form_decode(group);
    user.groups.iter().find(|known| match group.parse::<u64>() {
        Ok(id) => known.id == id,
        Err(_) => known.full_path.eq_ignore_ascii_case(&group),
    })
}

/// For groups that only their members can see.
fn member(state: &State, user: &FakeUser, group: &str, member_id: &str) -> FakeResponse {
    let group = form_decode(group);
    // A path that consists of digits is read as an id.
    let is_named = |known: &&FakeGroup| match group.parse::<u64>() {
        Ok(id) => known.id == id,
        Err(_) => known.full_path.eq_ignore_ascii_case(&group),
    };
    if !user.groups.iter().any(|known| is_named(&known)) {
        return api_message(404, "404 Group Not Found");
    }
    let member = state.user_with_id(member_id);
    match member.and_then(|member| Some((member, member.groups.iter().find(is_named)?))) {
        Some((member, group)) => api(200, None, member_json(member, group, &state.base_url)),
        None => api_message(404, "404 Not found"),
    }
}

fn member_json(member: &FakeUser, group: &FakeGroup, base_url: &str) -> String {
    format!(
        "{{\"id\":{},\"username\":{},\"public_email\":null,\"name\":{},\"state\":{},\"locked\":{},\"avatar_url\":null,\
         \"web_url\":{},\"access_level\":{},\"created_at\":\"2024-02-01T12:00:00.000Z\",\"expires_at\":null,\
         \"membership_state\":\"active\"}}",
        member.id,
        rails_json(&member.username),
        rails_json(&member.name),
        rails_json(&member.state),
        member.locked,
        rails_json(&format!("{base_url}/{}", member.username)),
        group.access_level,
    )
}
