//! `GET /users` and `GET /users/{slug}`.

use super::api::Caller;
use super::page::Page;
use super::state::State;
use super::user::FakeUser;
use super::wire::{Refusal, no_such_user, unauthorized};
use crate::testing::wire::Params;

/// Not for anonymous callers. The newest user comes first, so that an exact match is often not the first.
pub(super) fn list(state: &State, caller: Option<&Caller>, query: &Params) -> Result<String, Refusal> {
    allowed(state, caller)?;
    let page = Page::of(query, state.options.largest_page)?;
    let filter = query.get("filter").unwrap_or_default();
    let mut users: Vec<&FakeUser> = state.users.iter().collect();
    users.sort_by_key(|user| std::cmp::Reverse(user.id));
    let entry = |user: &FakeUser| {
        let shown = is_listed(state, user) && user.matches(filter);
        shown.then(|| json(state, user, query))
    };
    Ok(page.render(users.into_iter().map(entry)))
}

pub(super) fn one(state: &State, caller: Option<&Caller>, slug: &str, query: &Params) -> Result<String, Refusal> {
    allowed(state, caller)?;
    let user = state.users.iter().find(|user| user.slug == slug && is_listed(state, user));
    user.map(|user| json(state, user, query)).ok_or_else(|| no_such_user(slug))
}

fn allowed(state: &State, caller: Option<&Caller>) -> Result<(), Refusal> {
    match caller {
        Some(caller) if caller.user.admin || !state.options.closed_user_list => Ok(()),
        _ => Err(unauthorized()),
    }
}

fn is_listed(state: &State, user: &FakeUser) -> bool {
    !user.service || state.options.list_service_users
}

fn json(state: &State, user: &FakeUser, query: &Params) -> String {
    user.json(&state.base_url, &state.context_path, query.get("avatarSize"))
}
