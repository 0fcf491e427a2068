//! The `oauth2` crate with `reqwest`, as in its README, with our own `AsyncHttpClient`, because it has none for this version of
//! reqwest.

use std::future::Future;
use std::pin::Pin;

use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse as _, TokenUrl,
};
use url::Url;

use super::floor::{UserData, bitbucket_user, client, gitlab_user};
use super::logins::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Kind, Login, browser};
use super::server::Endpoints;

pub struct PlainOauth2 {
    http: Http,
    oauth: BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>,
    kind: Kind,
    api: String,
}

impl Login for PlainOauth2 {
    fn new(kind: Kind, endpoints: &Endpoints) -> Self {
        let site = &endpoints.site;
        let (authorize, token, auth_type) = match kind {
            Kind::GitLab => ("/oauth/authorize", "/oauth/token", AuthType::RequestBody),
            _ => ("/site/oauth2/authorize", "/site/oauth2/access_token", AuthType::BasicAuth),
        };
        let oauth = BasicClient::new(ClientId::new(CLIENT_ID.to_owned()))
            .set_client_secret(ClientSecret::new(CLIENT_SECRET.to_owned()))
            .set_auth_uri(AuthUrl::new(format!("{site}{authorize}")).unwrap())
            .set_token_uri(TokenUrl::new(format!("{site}{token}")).unwrap())
            .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap())
            .set_auth_type(auth_type);
        let api = if kind == Kind::GitLab { site } else { &endpoints.api };
        Self { http: Http(client(endpoints)), oauth, kind, api: api.clone() }
    }

    async fn login(&self) {
        assert!(!self.user().await.id.is_empty());
    }
}

impl PlainOauth2 {
    pub async fn user(&self) -> UserData {
        let (url, state, verifier) = self.begin();
        let uri = browser(url.as_str(), CALLBACK);
        let code = self.verify(&state, &uri);
        let token = self.oauth.exchange_code(code).set_pkce_verifier(verifier).request_async(&self.http).await.unwrap();
        let access_token = token.access_token().secret();
        let mut user = match self.kind {
            Kind::GitLab => gitlab_user(&self.get("/api/v4/user", access_token).await),
            _ => {
                let user = self.get("/2.0/user", access_token).await;
                bitbucket_user(&user, &self.get("/2.0/user/emails?pagelen=100&page=1", access_token).await)
            }
        };
        user.token = access_token.clone();
        user.refresh_token = token.refresh_token().unwrap().secret().clone();
        user
    }

    pub fn begin(&self) -> (Url, CsrfToken, PkceCodeVerifier) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes: &[&str] = match self.kind {
            Kind::GitLab => &["read_user"],
            _ => &["account", "email"],
        };
        let (url, state) = self
            .oauth
            .authorize_url(|| CsrfToken::new_random_len(32))
            .add_scopes(scopes.iter().map(|scope| Scope::new((*scope).to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        (url, state, verifier)
    }

    pub fn verify(&self, expected: &CsrfToken, uri: &http::Uri) -> AuthorizationCode {
        let url = Url::parse(&format!("http://localhost{uri}")).unwrap();
        let get = |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
        let (code, state) = (AuthorizationCode::new(get("code")), CsrfToken::new(get("state")));
        assert_eq!(state.secret(), expected.secret());
        code
    }

    async fn get(&self, path: &str, token: &str) -> hyper::body::Bytes {
        let request = self.http.0.get(format!("{}{path}", self.api)).bearer_auth(token);
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap()
    }
}

struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, reqwest::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = self.0.execute(request.try_into()?).await?;
            let mut builder = http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                builder = builder.header(name, value);
            }
            Ok(builder.body(response.bytes().await?.to_vec()).unwrap())
        })
    }
}
