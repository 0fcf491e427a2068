//! The built-in providers pass the conformance suite, directly and behind a pointer.

use std::sync::Arc;

use codehost_oauth::error::{ApiError, Error, TokenError};
use codehost_oauth::provider::{ApiRequest, ProviderWrapper};
use codehost_oauth::setup::{SetupGuide, SetupRequest};
use codehost_oauth::testing::conformance::{Conformance, Violation};
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    Access, AccessToken, AccountKey, AuthorizationRequest, BaseUrl, CallbackUrl, ClientCredentials, OAuthProvider,
    RefreshToken, Scope, ScopeDescription, Scopes, TokenSet, User, bitbucket_cloud::BitbucketCloud, gitlab::GitLab,
};
use url::Url;

use super::scenarios;
use crate::support::fixture;

const BITBUCKET_EMAILS: &str = r#"{"values":[{"email":"a@example.com","is_primary":true,"is_confirmed":true}]}"#;

fn gitlab(url: &str) -> GitLab {
    GitLab::new(BaseUrl::parse(url, &Network::public_only()).unwrap()).unwrap()
}

async fn run_for_gitlab(provider: &dyn OAuthProvider, sub_path: &str) -> Vec<Violation> {
    let token = fixture::Fixture::load("gitlab/token_success.http", "").body;
    let user = r#"{"id":42,"username":"jane","name":"Jane","state":"active"}"#;
    let suite = Conformance::new(provider, &format!("{sub_path}/oauth/token"), &token);
    let scenarios = scenarios::gitlab(provider.base_url().as_str(), sub_path);
    scenarios::add(suite.api(&format!("{sub_path}/api/v4/user"), user), scenarios).run().await
}

async fn run_for_bitbucket(provider: &dyn OAuthProvider) -> Vec<Violation> {
    let token = fixture::text("bitbucket/token_success_old.json");
    let suite = Conformance::new(provider, "/site/oauth2/access_token", &token)
        .api("/2.0/user", r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#)
        .api("/2.0/user/emails", BITBUCKET_EMAILS)
        .api_origin("https://api.bitbucket.org");
    scenarios::add(suite, scenarios::bitbucket_cloud()).run().await
}

#[tokio::test]
async fn gitlab_conforms() {
    assert_eq!(run_for_gitlab(&gitlab("https://git.example.com"), "").await, []);
}

#[tokio::test]
async fn gitlab_under_a_sub_path_conforms() {
    assert_eq!(run_for_gitlab(&gitlab("https://git.example.com:8443/a/gitlab"), "/a/gitlab").await, []);
}

#[tokio::test]
async fn gitlab_with_another_api_url_conforms() {
    let inside = BaseUrl::parse("https://gitlab.svc:8443/inside", &Network::any()).unwrap();
    let provider = gitlab("https://git.example.com/gitlab").with_api_url(inside);
    let token = fixture::Fixture::load("gitlab/token_success.http", "").body;
    let suite = Conformance::new(&provider, "/inside/oauth/token", &token)
        .api("/inside/api/v4/user", r#"{"id":42}"#)
        .api_origin("https://gitlab.svc:8443");
    let scenarios = scenarios::gitlab("https://git.example.com/gitlab", "/inside");
    assert_eq!(scenarios::add(suite, scenarios).run().await, []);
}

#[tokio::test]
async fn bitbucket_cloud_conforms() {
    assert_eq!(run_for_bitbucket(&BitbucketCloud::cloud()).await, []);
}

#[tokio::test]
async fn providers_behind_pointers_conform() {
    let shared: Arc<dyn OAuthProvider> = Arc::new(gitlab("https://git.example.com"));
    assert_eq!(run_for_gitlab(&shared, "").await, []);
    let boxed: Box<dyn OAuthProvider> = Box::new(BitbucketCloud::cloud());
    assert_eq!(run_for_bitbucket(&boxed).await, []);
    let twice: Arc<Box<dyn OAuthProvider>> = Arc::new(boxed);
    assert_eq!(run_for_bitbucket(&twice).await, []);
}

#[tokio::test]
async fn a_wrong_setup_of_the_suite_is_reported() {
    let failed_checks = async |token_path: &str, token: &str, user: &str| -> Vec<&str> {
        let provider = gitlab("https://git.example.com");
        let suite = Conformance::new(&provider, token_path, token).api("/api/v4/user", user);
        scenarios::add(suite, scenarios::gitlab("https://git.example.com", ""))
            .run()
            .await
            .into_iter()
            .map(|violation| violation.check)
            .collect()
    };
    let (token, user) = (r#"{"access_token":"a","token_type":"bearer"}"#, r#"{"id":42}"#);
    assert_eq!(failed_checks("/oauth/token", token, user).await, [""; 0]);
    assert_eq!(failed_checks("/oauth/token", token, r#"{"id":0}"#).await, ["user", "scenarios", "user_values"]);
    assert_eq!(failed_checks("/oauth/token", r#"{"token_type":"mac"}"#, user).await, ["exchange"]);
    assert_eq!(
        failed_checks("/oauth/tokens", token, user).await,
        ["exchange", "refresh", "odd_tokens", "lost_responses", "granted_scopes"]
    );
    // The API is not at the base URL, and the suite was not told.
    let provider = BitbucketCloud::cloud();
    let suite = Conformance::new(&provider, "/site/oauth2/access_token", token)
        .api("/2.0/user", r#"{"uuid":"{11111111-2222-3333-4444-555555555555}"}"#)
        .api("/2.0/user/emails", BITBUCKET_EMAILS);
    let suite = scenarios::add(suite, scenarios::bitbucket_cloud());
    let found: Vec<_> = suite.run().await.into_iter().map(|violation| violation.to_string()).collect();
    assert_eq!(
        found,
        [
            "user: SentRequest(GET /2.0/user) went to https://api.bitbucket.org: allow that with Conformance::api_origin, or use the base URL"
        ]
    );
}

/// The check for a mistake finds it.
#[tokio::test]
async fn every_mistake_of_a_provider_is_found() {
    for (mistake, checks) in [
        (Mistake::None, &[] as &[_]),
        (Mistake::GuideWithoutCallback, &["setup_guide"]),
        (Mistake::NoScopes, &["scopes", "setup_guide"]),
        (Mistake::NoLabel, &["scopes"]),
        (Mistake::SecretInAuthorizationUrl, &["authorization_url"]),
        (Mistake::PlainChallenge, &["authorization_url"]),
        (Mistake::AuthorizesAtAnotherServer, &["authorization_url"]),
        (Mistake::RefreshesTwice, &["refresh", "lost_responses"]),
        (Mistake::LosesOldToken, &["refresh", "odd_tokens"]),
        (Mistake::TokenInUrl, &["user", "refusals", "scenarios"]),
        (Mistake::AsksAnotherServer, &["user", "refusals", "scenarios"]),
        (Mistake::EveryFailureEndsTheLogin, &["junk_responses", "lost_responses", "refusals"]),
        // It sends two requests, and only one response is scripted.
        (Mistake::RepeatsTheResponse, &["user", "junk_responses", "scenarios", "user_values", "round_trips"]),
    ] {
        let provider = FaultyProvider(gitlab("https://git.example.com"), mistake).into_provider();
        let found: Vec<_> = run_for_gitlab(&provider, "").await.into_iter().map(|violation| violation.check).collect();
        assert_eq!(found, checks, "{mistake:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    GuideWithoutCallback,
    NoScopes,
    NoLabel,
    SecretInAuthorizationUrl,
    PlainChallenge,
    AuthorizesAtAnotherServer,
    RefreshesTwice,
    LosesOldToken,
    TokenInUrl,
    AsksAnotherServer,
    EveryFailureEndsTheLogin,
    RepeatsTheResponse,
}

/// A provider for GitLab with one mistake.
#[derive(Debug)]
struct FaultyProvider(GitLab, Mistake);

impl FaultyProvider {
    fn makes(&self, mistake: Mistake) -> bool {
        self.1 == mistake
    }
}

#[async_trait::async_trait]
impl ProviderWrapper for FaultyProvider {
    type Inner = GitLab;

    fn inner(&self) -> &GitLab {
        &self.0
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        match access {
            Access::Read if self.makes(Mistake::NoScopes) => Scopes::default(),
            _ => self.0.required_scopes(access),
        }
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        let mut description = self.0.describe_scope(scope);
        if self.makes(Mistake::NoLabel) {
            description.label = " ".into();
        }
        description
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        let mut guide = self.0.setup_guide(request);
        if self.makes(Mistake::GuideWithoutCallback) {
            guide.fields.retain(|field| field.value != guide.callback_url.as_str());
        }
        guide
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        let mut url = self.0.authorization_url(request);
        match self.1 {
            Mistake::SecretInAuthorizationUrl => {
                url.query_pairs_mut().append_pair("client_secret", "s");
            }
            Mistake::PlainChallenge => {
                url.query_pairs_mut().append_pair("code_challenge_method", "plain");
            }
            Mistake::AuthorizesAtAnotherServer => url.set_host(Some("other.example.com")).unwrap(),
            _ => {}
        }
        url
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        let mut outcome = self.0.refresh(http, client, token, callback_url).await;
        if self.makes(Mistake::RefreshesTwice) && matches!(&outcome, Err(Error::Transport(_)) | Ok(_)) {
            let _ = self.0.refresh(http, client, token, callback_url).await;
        }
        match &mut outcome {
            Ok(tokens) if self.makes(Mistake::LosesOldToken) => {
                let old = token.expose_for(self.base_url())?;
                let given = tokens.refresh_token.take();
                tokens.refresh_token = given.filter(|given| given.expose_for(self.base_url()).ok() != Some(old));
            }
            Err(Error::Response { response, .. }) if self.makes(Mistake::EveryFailureEndsTheLogin) => {
                return Err(Error::Token { cause: TokenError::RefreshRejected, response: response.clone() });
            }
            Err(Error::Token { response, .. }) if self.makes(Mistake::EveryFailureEndsTheLogin) => {
                return Err(Error::Token { cause: TokenError::RefreshRejected, response: response.clone() });
            }
            Err(Error::Transport(_)) if self.makes(Mistake::EveryFailureEndsTheLogin) => {
                return Err(codehost_oauth::error::VerifyError::Expired.into());
            }
            _ => {}
        }
        outcome
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        #[derive(serde::Deserialize)]
        struct UserResponse {
            id: Option<u64>,
        }
        let mut url = self.base_url().page(&["api", "v4", "user"]);
        match self.1 {
            Mistake::TokenInUrl => {
                url.query_pairs_mut().append_pair("access_token", token.expose_for(self.base_url())?);
            }
            Mistake::AsksAnotherServer => url.set_host(Some("other.example.com")).unwrap(),
            _ => {}
        }
        let uri = url.as_str().parse().unwrap();
        if matches!(self.1, Mistake::TokenInUrl | Mistake::AsksAnotherServer) {
            let response = ApiRequest::get(&uri).bearer(token, self.base_url())?.send(http).await?;
            let UserResponse { id } = response.json()?;
            let id = id.ok_or_else(|| response.malformed("id"))?;
            return Ok(User::new(AccountKey::new(token.binding().integration().clone(), "gitlab", id.to_string())));
        }
        if self.makes(Mistake::RepeatsTheResponse) {
            let response = ApiRequest::get(&uri).bearer(token, self.base_url())?.send(http).await?;
            let text: Result<serde_json::Value, _> = serde_json::from_str(response.text());
            if let Ok(serde_json::Value::String(text)) = text {
                let cause = ApiError::ScopeMissing { missing: vec![text], setup_link: None };
                return Err(Error::Api { cause, response: Box::new(response.summary()) });
            }
        }
        self.0.user(http, token).await
    }
}
