//! `POST /login/oauth/introspect`, `GET /login/oauth/userinfo`, and the ID token.

use super::api::token_of;
use super::discovery::issuer;
use super::ledger::Grant;
use super::state::State;
use super::user::FakeUser;
use super::wire::{go_json, json, plain};
use crate::testing::jwt;
use crate::testing::wire::{FakeRequest, FakeResponse, Params, add_header, basic};

/// The only way to learn which scopes were granted.
pub(super) fn introspect(state: &State, request: &FakeRequest) -> FakeResponse {
    if !state.oauth {
        return plain(403, "Forbidden");
    }
    let Ok(client) = introspecting_client(state, request) else {
        let mut response = plain(401, "no valid authorization");
        add_header(&mut response, "WWW-Authenticate", "Basic realm=\"Gitea OAuth2\"");
        return response;
    };
    let params = Params::of_form(request).unwrap_or_default();
    let found = valid_grant(state, params.get("token").unwrap_or_default());
    let found = found.filter(|(grant, _)| client.as_ref().is_none_or(|client| *client == grant.client_id));
    let Some((grant, user)) = found else { return json(200, "{\"active\":false}") };
    json(
        200,
        &format!(
            "{{\"active\":true,\"scope\":{},\"username\":{},\"iss\":{},\"sub\":\"{}\",\"aud\":[{}]}}",
            go_json(&grant.scopes),
            go_json(&user.username),
            go_json(&issuer(state)),
            user.id,
            go_json(&grant.client_id)
        ),
    )
}

/// `GET /login/oauth/userinfo`.
pub(super) fn userinfo(state: &State, request: &FakeRequest) -> FakeResponse {
    if !state.oauth {
        return plain(403, "Forbidden");
    }
    let found = token_of(request).and_then(|token| valid_grant(state, token));
    let Some((grant, user)) = found.filter(|(grant, _)| has_scope(grant, "openid")) else {
        let mut response = plain(401, "no valid authorization");
        add_header(&mut response, "WWW-Authenticate", "Bearer realm=\"Gitea OAuth2\"");
        return response;
    };
    let groups = match has_scope(grant, "groups") {
        true => format!(",\"groups\":{}", groups(user)),
        false => String::new(),
    };
    let picture = user.avatar_url.replace("$BASE", &state.root_url);
    json(
        200,
        &format!(
            "{{\"sub\":\"{}\",\"name\":{},\"preferred_username\":{name},\"email\":{},\"picture\":{}{groups}}}",
            user.id,
            go_json(&user.full_name),
            go_json(user.email()),
            go_json(&picture),
            name = go_json(&user.username),
        ),
    )
}

pub(super) fn id_token(state: &State, grant: &Grant) -> String {
    let now = state.ledger.now().as_secs();
    let expires = state.ledger.now().saturating_add(state.token_lifetime).as_secs();
    let nonce = grant.nonce.as_deref().map(|nonce| format!(",\"nonce\":{}", go_json(nonce))).unwrap_or_default();
    let user = state.user_with_id(grant.user);
    let email = user.filter(|_| has_scope(grant, "email"));
    // The mark is that of the account, not of the address.
    let email = email.map(|user| format!(",\"email\":{},\"email_verified\":{}", go_json(user.email()), user.active));
    let groups = user.filter(|_| has_scope(grant, "groups")).map(|user| format!(",\"groups\":{}", groups(user)));
    let claims = format!(
        "{{\"iss\":{},\"sub\":\"{}\",\"aud\":[{}],\"exp\":{expires},\"iat\":{now}{nonce}{}{}}}",
        go_json(&issuer(state)),
        grant.user,
        go_json(&grant.client_id),
        email.unwrap_or_default(),
        groups.unwrap_or_default(),
    );
    jwt::token(&state.ledger.key, &claims)
}

/// The client whose tokens it may look at; `None` stands for all. Before Forgejo 9 a user's token was needed.
fn introspecting_client(state: &State, request: &FakeRequest) -> Result<Option<String>, ()> {
    if !state.version.at_least([9, 0, 0], [0; 3]) {
        return token_of(request).and_then(|token| valid_grant(state, token)).map(|_| None).ok_or(());
    }
    let credentials = basic(request).ok_or(())?;
    let application = state.application(&credentials.id).filter(|application| application.confidential).ok_or(())?;
    State::check_secret(application, credentials.secret.as_deref()).map_err(|_| ())?;
    Ok(Some(credentials.id))
}

fn valid_grant<'a>(state: &'a State, token: &str) -> Option<(&'a Grant, &'a FakeUser)> {
    let token = state.ledger.token(token).filter(|token| !token.refresh && token.expires > state.ledger.now())?;
    let grant = state.ledger.grant(token.grant)?;
    Some((grant, state.user_with_id(grant.user)?))
}

fn has_scope(grant: &Grant, scope: &str) -> bool {
    grant.scopes.split(' ').any(|granted| granted == scope)
}

/// Organizations, and teams after their organization, in lower case.
fn groups(user: &FakeUser) -> String {
    let mut names: Vec<String> = Vec::new();
    for team in &user.teams {
        let organization = team.organization.name.to_lowercase();
        let team = format!("{organization}:{}", team.name.to_lowercase());
        for name in [organization, team] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let names: Vec<String> = names.iter().map(|name| go_json(name)).collect();
    format!("[{}]", names.join(","))
}
