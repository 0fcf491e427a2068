//! A login without a socket: an integration that uses a [`ScriptedTransport`].

use std::sync::Arc;

use codehost_oauth::testing::{ScriptedTransport, SentRequest};
use codehost_oauth::transport::Network;
use codehost_oauth::{
    Access, AccessToken, BaseUrl, Callback, CallbackUrl, ClientCredentials, Integration, IntegrationConfig, Login,
    OAuthProvider, RefreshToken, TokenBinding, TokenSet, User, bitbucket_cloud::BitbucketCloud, error::Error,
    gitlab::GitLab,
};

use crate::secrets::leak_check::{self, LeakChecked as _};
use crate::support::fixture::Fixture;

/// Credentials with every byte that an encoder could get wrong.
pub(crate) const CLIENT_ID: &str = "my%id";
pub(crate) const SECRET: &str = "canary-a:b%+x";
pub(crate) const CODE: &str = "canary-c0de/+=";
pub(crate) const CALLBACK: &str = "https://packages.example.com/app/oauth/callback";

/// One provider with its scripted responses.
pub(crate) struct Scripted {
    pub(crate) provider: Arc<dyn OAuthProvider>,
    pub(crate) http: ScriptedTransport,
    token_path: String,
    user_path: String,
}

impl Scripted {
    pub(crate) fn gitlab(base_url: &str) -> Self {
        leak_check::start();
        let base = BaseUrl::parse(base_url, &Network::public_only()).unwrap();
        let provider = GitLab::new(base).unwrap();
        let path = provider.base_url().path().to_owned();
        let (token_path, user_path) = (format!("{path}/oauth/token"), format!("{path}/api/v4/user"));
        Self { provider: Arc::new(provider), http: ScriptedTransport::new(), token_path, user_path }
    }

    pub(crate) fn bitbucket() -> Self {
        leak_check::start();
        Self {
            provider: Arc::new(BitbucketCloud::cloud()),
            http: ScriptedTransport::new(),
            token_path: "/site/oauth2/access_token".to_owned(),
            user_path: "/2.0/user".to_owned(),
        }
    }

    pub(crate) fn token_json(&self, body: impl Into<Vec<u8>>) -> &Self {
        self.http.json(&self.token_path, body);
        self
    }

    pub(crate) fn user_json(&self, body: impl Into<Vec<u8>>) -> &Self {
        self.http.json(&self.user_path, body);
        self
    }

    pub(crate) fn respond_to_all(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        self.http.otherwise(status, headers, body);
        self
    }

    /// The recorded response to every request.
    pub(crate) fn recorded(&self, name: &str) -> &Self {
        let fixture = Fixture::load(name, self.provider.base_url().as_str());
        let headers: Vec<_> = fixture.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.respond_to_all(fixture.status, &headers, fixture.body)
    }

    pub(crate) fn integration(&self) -> Integration {
        Integration::builder(
            Arc::clone(&self.provider),
            self.http.clone(),
            IntegrationConfig {
                id: "demo".parse().unwrap(),
                name: "Demo".to_owned(),
                public_url: "https://packages.example.com/app".parse().unwrap(),
                client_id: CLIENT_ID.to_owned(),
                client_secret: SECRET.to_owned(),
                access: Access::SignIn,
            },
        )
        .build()
        .unwrap()
    }

    pub(crate) async fn log_in(&self) -> Result<Login, Error> {
        let integration = self.integration();
        let start = integration.begin_login(None).leak_checked().unwrap();
        let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("code", CODE), ("state", state.as_str())])
            .finish();
        let path = format!("/app/oauth/callback/{}/demo?{query}", self.provider.platform().id());
        integration
            .finish_login(start.pending, Callback::from_uri(&path.parse().unwrap()).leak_checked().unwrap())
            .await
            .leak_checked()
    }

    /// The error of an exchange.
    pub(crate) async fn exchange_error(&self) -> Error {
        self.log_in().await.unwrap_err()
    }

    pub(crate) async fn refresh(&self) -> Result<TokenSet, Error> {
        let client = ClientCredentials::new(self.provider.base_url(), CLIENT_ID, SECRET).unwrap();
        let token = RefreshToken::new("canary-old-refresh".to_owned(), &self.binding()).unwrap();
        let callback_url =
            CallbackUrl::at(&CALLBACK.strip_suffix("/callback").unwrap().parse().unwrap(), "/callback").unwrap();
        self.provider.refresh(&self.http, &client, &token, &callback_url).await.leak_checked()
    }

    pub(crate) async fn user(&self) -> Result<User, Error> {
        let token = AccessToken::new("canary-the-token".to_owned(), &self.binding()).unwrap();
        self.provider.user(&self.http, &token).await.leak_checked()
    }

    pub(crate) fn requests(&self) -> Vec<SentRequest> {
        self.http.requests()
    }

    pub(crate) fn access(&self, tokens: &TokenSet) -> String {
        tokens.access_token.expose_for(self.provider.base_url()).unwrap().to_owned()
    }

    pub(crate) fn refresh_of(&self, tokens: &TokenSet) -> Option<String> {
        let token = tokens.refresh_token.as_ref()?;
        Some(token.expose_for(self.provider.base_url()).unwrap().to_owned())
    }

    fn binding(&self) -> TokenBinding {
        TokenBinding::new("demo".parse().unwrap(), self.provider.base_url().clone())
    }
}

/// The result of a call as a word: the code of its error, or `ok`.
pub(crate) fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    result.as_ref().err().map_or("ok", Error::code)
}

pub(crate) fn form(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut form: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    form.sort();
    form
}

/// The headers of a request but `authorization`, sorted.
pub(crate) fn headers(request: &SentRequest) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| *name != "authorization")
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        // The name, without the version.
        .map(|(name, value)| (name, if name == "user-agent" { value.split('/').next().unwrap() } else { value }))
        .collect();
    headers.sort_unstable();
    headers
}
