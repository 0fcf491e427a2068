//! Projects and repositories: what a caller may see, and where a caller has a permission.

use super::api::Caller;
use super::page::Page;
use super::project::{FakeProject, FakeRepository, Level};
use super::scopes::covers;
use super::state::State;
use super::wire::{Refusal, bad_parameter, no_such_project, no_such_repository, scope_too_small, unauthorized};
use crate::testing::wire::{Params, json_string};

/// `GET /projects/{key}`. The key is not case-sensitive.
pub(super) fn project(state: &State, caller: Option<&Caller>, key: &str) -> Result<String, Refusal> {
    Ok(visible_project(state, caller, key)?.json(&state.base_url))
}

/// `GET /projects/{key}/repos/{slug}`.
pub(super) fn repository(state: &State, caller: Option<&Caller>, key: &str, slug: &str) -> Result<String, Refusal> {
    let project = find(state, key)?;
    let missing = || no_such_repository(key, slug);
    let repository = project.repositories.iter().find(|repository| repository.slug == slug).ok_or_else(missing)?;
    let level = |user| project.level_in(repository, user);
    access(state, caller, level(None).is_some(), level(caller.map(|caller| &caller.user)).is_some(), missing)?;
    Ok(project.repository_json(repository, &state.base_url))
}

/// `GET /projects/{key}/permissions/users`, for the project's administrators.
pub(super) fn permissions(
    state: &State,
    caller: Option<&Caller>,
    key: &str,
    query: &Params,
) -> Result<String, Refusal> {
    let caller = caller.ok_or_else(unauthorized)?;
    let project = visible_project(state, Some(caller), key)?;
    if project.level(Some(&caller.user)) != Some(Level::Admin) {
        return Err(unauthorized());
    }
    if !covers(&caller.scopes, "PROJECT_ADMIN", &state.options) {
        return Err(scope_too_small(&state.options));
    }
    let entry = |(id, level): &(u64, Level)| {
        let user = state.user_with_id(&id.to_string())?.json(&state.base_url, &state.context_path, None);
        let permission = json_string(&level.scope().replace("REPO", "PROJECT"));
        Some(format!("{{\"user\":{user},\"permission\":{permission}}}"))
    };
    Ok(Page::of(query, state.options.largest_page)?.render(project.members.iter().map(entry)))
}

/// `GET /repos`: where the caller has a permission. For somebody without it, and for an anonymous caller, the list is empty.
pub(super) fn repositories(state: &State, caller: Option<&Caller>, query: &Params) -> Result<String, Refusal> {
    let page = Page::of(query, state.options.largest_page)?;
    let permission = query.get("permission").unwrap_or("REPO_READ");
    let least = Level::parse(permission).ok_or_else(|| bad_parameter("permission"))?;
    let has_scope = caller.is_some_and(|caller| covers(&caller.scopes, least.scope(), &state.options));
    if caller.is_some() && !has_scope && least > Level::Read {
        return Err(scope_too_small(&state.options));
    }
    // Without the scope a caller reads what an anonymous one reads.
    let user = caller.filter(|_| has_scope).map(|caller| &caller.user);
    let key = query.get("projectkey");
    let is_asked = |project: &&FakeProject| key.is_none_or(|key| project.key.eq_ignore_ascii_case(key));
    let entry = |project: &FakeProject, repository: &FakeRepository| {
        let allowed = project.level_in(repository, user).is_some_and(|level| level >= least);
        allowed.then(|| project.repository_json(repository, &state.base_url))
    };
    let entries = state.projects.iter().filter(is_asked);
    Ok(page.render(
        entries.flat_map(|project| project.repositories.iter().map(move |repository| entry(project, repository))),
    ))
}

fn visible_project<'a>(state: &'a State, caller: Option<&Caller>, key: &str) -> Result<&'a FakeProject, Refusal> {
    let project = find(state, key)?;
    let own = project.is_visible_to(caller.map(|caller| &caller.user));
    access(state, caller, project.is_visible_to(None), own, || no_such_project(key))?;
    Ok(project)
}

fn find<'a>(state: &'a State, key: &str) -> Result<&'a FakeProject, Refusal> {
    let project = state.projects.iter().find(|project| project.key.eq_ignore_ascii_case(key));
    project.ok_or_else(|| no_such_project(key))
}

/// Whether everybody, or the caller with the right scope, may read it.
fn access(
    state: &State,
    caller: Option<&Caller>,
    public: bool,
    own: bool,
    hidden: impl FnOnce() -> Refusal,
) -> Result<(), Refusal> {
    match caller {
        _ if public => Ok(()),
        None => Err(unauthorized()),
        Some(caller) if own && covers(&caller.scopes, "REPO_READ", &state.options) => Ok(()),
        Some(_) if own => Err(scope_too_small(&state.options)),
        Some(_) if state.options.hidden_is_unauthorized => Err(unauthorized()),
        Some(_) => Err(hidden()),
    }
}
