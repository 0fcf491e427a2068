//! The API calls that a login makes, and the discovery document.

use http::Method;

use super::group;
use super::state::State;
use super::user::{FakeUser, rails_json};
use super::wire::{JSON, PRIVATE, VARY, api, api_message, error_json, two_tokens};
use crate::testing::FakeApplication;
use crate::testing::wire::{FakeRequest, FakeResponse, Params, bearer, random_hex, respond};

pub(super) fn call(state: &State, request: &FakeRequest, method: &Method, call: &str) -> FakeResponse {
    let user = match (method, call) {
        (&Method::GET, "user" | "user/emails" | "version" | "metadata") => {
            owner(state, request, &["read_user", "api", "read_api"])
        }
        (&Method::GET, path) if path == "groups" || path.starts_with("groups/") => {
            owner(state, request, &["api", "read_api"])
        }
        _ => return api(404, None, "{\"error\":\"404 Not Found\"}".to_owned()),
    };
    let user = match user {
        Ok(user) => user,
        Err(refusal) => return *refusal,
    };
    let body = match call {
        "user" => user.json(&state.base_url),
        "user/emails" => user.emails_json(),
        "groups" => return group::page(user, &state.base_url, request),
        path if path.starts_with("groups/") => return group::below(state, user, path, request),
        _ => "{\"version\":\"18.5.0\",\"revision\":\"0a1b2c3d4e5\"}".to_owned(),
    };
    api(200, None, body)
}

/// `POST /applications`, `/groups/{group}/applications` or `/user/applications`; `call` is the path after `/api/v4/`.
pub(super) fn create_application(state: &mut State, request: &FakeRequest, call: &str) -> FakeResponse {
    let user = match owner(state, request, &["api"]) {
        Ok(user) => user,
        Err(refusal) => return *refusal,
    };
    let allowed = match call.split('/').collect::<Vec<_>>().as_slice() {
        ["applications"] => user.admin,
        ["user", "applications"] => true,
        ["groups", group, "applications"] => match group::of(user, group) {
            Some(group) => group.access_level >= 50,
            None => return api_message(404, "404 Group Not Found"),
        },
        _ => return api(404, None, "{\"error\":\"404 Not Found\"}".to_owned()),
    };
    if !allowed {
        return api_message(403, "403 Forbidden");
    }
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let (Some(name), Some(redirect_uri), Some(scopes)) = (text("name"), text("redirect_uri"), text("scopes")) else {
        return api(400, None, "{\"error\":\"name, redirect_uri, scopes are missing\"}".to_owned());
    };
    let (id, secret) = (random_hex(32), format!("gloas-{}", random_hex(32)));
    let mut application = FakeApplication::new(&id, &secret, "", scopes);
    name.clone_into(&mut application.name);
    application.redirect_uris = redirect_uri.split('\n').map(str::to_owned).collect();
    application.confidential = body.get("confidential").and_then(serde_json::Value::as_bool).unwrap_or(true);
    let response = format!(
        "{{\"id\":1,\"application_id\":\"{id}\",\"application_name\":{},\"secret\":\"{secret}\",\"callback_url\":{},\
         \"confidential\":{}}}",
        rails_json(name),
        rails_json(redirect_uri),
        application.confidential
    );
    state.applications.push(application);
    api(201, None, response)
}

/// The user of the token. GitLab checks expiry before revocation, and the user before the scope.
fn owner<'a>(state: &'a State, request: &FakeRequest, sufficient: &[&str]) -> Result<&'a FakeUser, Box<FakeResponse>> {
    let query = Params::of_query(request);
    let form = Params::of_form(request).unwrap_or_default();
    let has_token_parameter = ["access_token", "private_token", "bearer_token"]
        .iter()
        .any(|name| query.get(name).is_some() || form.get(name).is_some());
    let token = match bearer(request) {
        Some(_) if has_token_parameter => return Err(Box::new(two_tokens())),
        Some(token) => token,
        // A real GitLab accepts the token as a parameter, which puts it into its logs.
        None => return Err(Box::new(api_message(401, "401 Unauthorized"))),
    };
    let now = state.grants.now();
    let Some(token) = state.grants.by_access(token) else {
        return Err(Box::new(api_message(401, "401 Unauthorized")));
    };
    if token.is_expired(now) {
        return Err(invalid_token("Token is expired. You can either do re-authorization or token refresh."));
    }
    if token.access_revoked {
        return Err(invalid_token("Token was revoked. You have to re-authorize from the user."));
    }
    let (id, scopes) = (token.user.clone(), token.scopes.clone());
    let Some(user) = state.user_with_id(&id) else {
        return Err(Box::new(api_message(401, "401 Unauthorized")));
    };
    if let Some(text) = user.refusal_text(&state.base_url) {
        return Err(Box::new(api_message(403, &format!("403 Forbidden - {text}"))));
    }
    if !scopes.split_whitespace().any(|scope| sufficient.contains(&scope)) {
        let body = format!("{INSUFFICIENT_SCOPE}\"{}\"}}", sufficient.join(" "));
        return Err(Box::new(api(403, None, body)));
    }
    Ok(user)
}

const INSUFFICIENT_SCOPE: &str = concat!(
    r#"{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided "#,
    r#"by the access token.","scope":"#,
);

fn invalid_token(text: &str) -> Box<FakeResponse> {
    let challenge =
        format!("Bearer realm=\"Protected by OAuth 2.0\", error=\"invalid_token\", error_description=\"{text}\"");
    Box::new(api(401, Some(&challenge), error_json("invalid_token", text)))
}

/// As in a real GitLab, the endpoints are HTTPS URLs even if the issuer is an HTTP URL.
pub(super) fn discovery(state: &State) -> FakeResponse {
    let issuer = state.issuer.as_deref().unwrap_or(&state.base_url);
    let endpoints = match issuer.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => issuer.to_owned(),
    };
    let member_json =
        |(member, path): (&str, &str)| format!(",\"{member}\":{}", rails_json(&format!("{endpoints}{path}")));
    let endpoints: String = ENDPOINTS.into_iter().map(member_json).collect();
    respond(200, &[JSON, VARY, PRIVATE], format!("{{\"issuer\":{}{endpoints},{CAPABILITIES}}}", rails_json(issuer)))
}

const ENDPOINTS: [(&str, &str); 6] = [
    ("authorization_endpoint", "/oauth/authorize"),
    ("token_endpoint", "/oauth/token"),
    ("revocation_endpoint", "/oauth/revoke"),
    ("introspection_endpoint", "/oauth/introspect"),
    ("userinfo_endpoint", "/oauth/userinfo"),
    ("jwks_uri", "/oauth/discovery/keys"),
];

const CAPABILITIES: &str = concat!(
    r#""scopes_supported":["api","read_api","read_user","create_runner","manage_runner","k8s_proxy","#,
    r#""self_rotate","mcp","read_repository","write_repository","read_registry","write_registry","#,
    r#""read_virtual_registry","write_virtual_registry","read_observability","write_observability","#,
    r#""ai_features","sudo","admin_mode","read_service_ping","openid","profile","email"],"#,
    r#""response_types_supported":["code"],"response_modes_supported":["query","fragment","form_post"],"#,
    r#""grant_types_supported":["authorization_code","password","client_credentials","refresh_token"],"#,
    r#""token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],"#,
    r#""subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"],"#,
    r#""claim_types_supported":["normal"],"claims_supported":["iss","sub","aud","exp","iat","sub_legacy","#,
    r#""name","nickname","preferred_username","email","email_verified","website","profile","picture","#,
    r#""groups","groups_direct","https://gitlab.org/claims/groups/owner","#,
    r#""https://gitlab.org/claims/groups/maintainer","https://gitlab.org/claims/groups/developer"]"#,
);
