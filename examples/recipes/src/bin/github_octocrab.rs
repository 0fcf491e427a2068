//! octocrab with the token of a login, over the app's `HttpClient`.

#![allow(clippy::print_stdout, reason = "a program")]

use std::sync::Arc;

use bytes::Bytes;
use codehost_oauth::AccessToken;
use codehost_oauth::transport::HttpClient;
use http_body_util::{BodyExt as _, Full};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use recipes::{Result, send};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<()> {
    let demo = recipes::github().await?;
    let octocrab = octocrab(&demo.http, &demo.login.tokens.access_token)?;
    println!("{}", login_name(&octocrab).await?);
    Ok(())
}

/// Call it inside of a tokio runtime. With a `TokenKeeper`, build it again for each token: it is cheap, and connections are kept
/// by `http`.
fn octocrab(http: &HttpClient, token: &AccessToken) -> Result<Octocrab> {
    let (http, token) = (http.clone(), Arc::new(token.duplicate()));
    let service = tower::service_fn(move |request| call(http.clone(), Arc::clone(&token), request));
    Ok(OctocrabBuilder::new_empty().with_service(service).with_auth(AuthState::None).build()?)
}

/// octocrab gives a path, or the URL of a next page.
#[allow(clippy::disallowed_methods, reason = "the body is from this program, not from the network")]
async fn call(
    http: HttpClient,
    token: Arc<AccessToken>,
    request: http::Request<OctoBody>,
) -> Result<http::Response<Full<Bytes>>> {
    let (mut parts, body) = request.into_parts();
    if parts.uri.authority().is_none() {
        parts.uri = format!("{}{}", token.binding().api_url(), parts.uri).parse()?;
    }
    let body = body.collect().await?.to_bytes().to_vec();
    let response = send(&http, &token, http::Request::from_parts(parts, body)).await?;
    Ok(response.map(|body| Full::new(body.into())))
}

async fn login_name(octocrab: &Octocrab) -> Result<String> {
    // Or `octocrab.current().user()`, which needs all members that github.com sends.
    let user: Value = octocrab.get("/user", None::<&()>).await?;
    Ok(user.get("login").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn octocrab_finds_the_user_of_the_login() {
        let demo = recipes::github().await.unwrap();
        let octocrab = octocrab(&demo.http, &demo.login.tokens.access_token).unwrap();
        assert_eq!(login_name(&octocrab).await.unwrap(), "janedoe");
        let last = demo.fake.requests().pop().unwrap();
        assert_eq!((last.method.as_str(), last.path.as_str()), ("GET", "/user"));
        assert!(last.headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    }

    /// As for a link to a next page that names another server.
    #[tokio::test]
    async fn octocrab_sends_nothing_to_another_server() {
        let (demo, other) = (recipes::github().await.unwrap(), recipes::github().await.unwrap());
        let octocrab = octocrab(&demo.http, &demo.login.tokens.access_token).unwrap();
        let before = other.fake.requests().len();
        let url = format!("{}/user?page=2", other.fake.api_url());
        let error = octocrab.get::<Value, _, _>(url, None::<&()>).await.unwrap_err();
        assert!(format!("{error:?}").contains("OtherBinding"), "{error:?}");
        assert_eq!(other.fake.requests().len(), before);
    }
}
