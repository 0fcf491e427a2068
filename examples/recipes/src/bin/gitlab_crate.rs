//! The endpoints of the `gitlab` crate with the token of a login, over the app's `HttpClient`.

#![allow(clippy::print_stdout, reason = "a program")]

use bytes::Bytes;
use codehost_oauth::AccessToken;
use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::transport::{HttpClient, Network};
use gitlab::api::users::CurrentUser;
use gitlab::api::{ApiError, AsyncClient, AsyncQuery as _, RestClient};
use recipes::{Result, send};
use url::Url;

#[tokio::main]
async fn main() -> Result<()> {
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    let demo = recipes::gitlab(http, "127.0.0.1").await?;
    let calls = Calls { http: demo.http, token: demo.login.tokens.access_token };
    println!("{}", user_name(&calls).await?);
    Ok(())
}

/// The client, in place of `gitlab::AsyncGitlab`.
struct Calls {
    http: HttpClient,
    token: AccessToken,
}

impl RestClient for Calls {
    type Error = Error;

    fn rest_endpoint(&self, endpoint: &str) -> Result<Url, ApiError<Error>> {
        Ok(Url::parse(&format!("{}/api/v4/{endpoint}", self.token.binding().api_url()))?)
    }
}

#[async_trait::async_trait]
impl AsyncClient for Calls {
    async fn rest_async(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<http::Response<Bytes>, ApiError<Error>> {
        let request = request.body(body).map_err(|_| ConfigError::OtherBinding { what: "access token" });
        let request = request.map_err(|error| ApiError::client(error.into()))?;
        let response = send(&self.http, &self.token, request).await.map_err(ApiError::client)?;
        Ok(response.map(Bytes::from))
    }
}

#[derive(serde::Deserialize)]
struct User {
    username: String,
}

async fn user_name(calls: &Calls) -> Result<String> {
    let user: User = CurrentUser::builder().build()?.query_async(calls).await?;
    Ok(user.username)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_gitlab_crate_finds_the_user_of_the_login() {
        let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build().unwrap();
        let demo = recipes::gitlab(http, "127.0.0.1").await.unwrap();
        let calls = Calls { http: demo.http, token: demo.login.tokens.access_token };
        assert_eq!(user_name(&calls).await.unwrap(), "alice");
        let last = demo.fake.requests().pop().unwrap();
        assert_eq!((last.method.as_str(), last.path.as_str()), ("GET", "/gitlab/api/v4/user?"));
        assert!(last.headers["authorization"].to_str().unwrap().starts_with("Bearer "));

        // A refusal is the crate's own error.
        demo.fake.revoke_all();
        let error = user_name(&calls).await.unwrap_err();
        assert!(error.to_string().contains("401"), "{error}");
    }
}
