//! Support for another code host, in one file: SourceHut. Its user look-up is a GraphQL query, sent by `POST`.

use std::sync::Arc;

use async_trait::async_trait;
use codehost_oauth::error::{AccountError, ApiError, Error, ResponseError, TokenError};
use codehost_oauth::provider::{ApiRequest, ApiResponse, Grant, Service, TokenEndpoint, TokenRefusal, display_text};
use codehost_oauth::setup::{
    LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use codehost_oauth::transport::Transport;
use codehost_oauth::{
    Access, AccessToken, AccountKey, AuthorizationRequest, BaseUrl, CallbackUrl, ClientCredentials, Email,
    EmailAuthority, EmailEvidence, OAuthProvider, Platform, RefreshToken, Scope, ScopeDescription, Scopes, TokenSet,
    User, UserState, VerifiedGrant,
};
use http::Uri;
use url::Url;

/// Support for SourceHut.
pub const SOURCEHUT: Platform =
    Platform::new("sourcehut", "SourceHut", |base_url, _| Ok(Arc::new(SourceHut::new(base_url))))
        .with_services(&[Service::new("SourceHut", "https://meta.sr.ht")]);

/// The account service of a SourceHut, `https://meta.sr.ht` or your own. Source: man.sr.ht/meta.sr.ht/oauth.md.
#[derive(Debug)]
pub struct SourceHut {
    base_url: BaseUrl,
    token: Uri,
    query: Uri,
}

impl SourceHut {
    /// The provider at this base URL.
    pub fn new(base_url: BaseUrl) -> Self {
        let token = base_url.endpoint(&["oauth2", "access-token"]);
        let query = base_url.endpoint(&["query"]);
        Self { base_url, token, query }
    }

    fn tokens(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.token, refused).basic()
    }
}

#[async_trait]
impl OAuthProvider for SourceHut {
    fn platform(&self) -> Platform {
        SOURCEHUT
    }

    fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn setup_links(&self, _: &SetupRequest) -> Vec<SetupLink> {
        let page = LinkAddress::Url(self.base_url.page(&["oauth2", "client-registration"]));
        vec![SetupLink::new(page, "Register new client", "every user of SourceHut")]
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        let names: &[&str] = match access {
            Access::Custom(scopes) => return scopes.clone(),
            Access::SignIn => &["meta.sr.ht/PROFILE:RO"],
            Access::Read => &["meta.sr.ht/PROFILE:RO", "git.sr.ht/REPOSITORIES:RO"],
            _ => &["meta.sr.ht/PROFILE:RO", "git.sr.ht/REPOSITORIES:RW"],
        };
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        ScopeDescription::new(scope.clone(), scope.to_string(), "Lets the app do what it is for.")
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        let callback = request.callback_url(SOURCEHUT.id());
        let mut guide = SetupGuide::new(SOURCEHUT.id(), SOURCEHUT.name(), self.base_url.clone(), callback);
        guide.links = self.setup_links(request);
        guide.steps =
            vec!["Register a client with these values, then copy its client ID and client secret.".to_owned()];
        guide.fields = vec![
            SetupField::copy("Client name", &request.name),
            SetupField::copy("Redirection URI", guide.callback_url.as_str()),
        ];
        guide.scopes = SetupScope::list(&self.required_scopes(&request.access), |scope| self.describe_scope(scope));
        guide.has_scope_boxes = false;
        guide.credentials = vec![SetupCredentials::new("Client ID", "Client secret", "The secret is shown only once.")];
        guide
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["oauth2", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.tokens().exchange(http, client, grant).await
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.tokens().refresh(http, client, token).await
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let query = serde_json::json!({ "query": "{ me { id username email } }" });
        let request = ApiRequest::post(&self.query).bearer(token, &self.base_url)?.json(&query)?;
        let response = request.send(http).await?;
        let cause = match response.status().as_u16() {
            200..=299 => return user(token, &response),
            401 => ApiError::TokenRejected,
            403 if response.text().contains("Account suspended") => return Err(AccountError::Blocked.into()),
            403 => ApiError::Forbidden,
            404 => ApiError::NotFound,
            _ => return Err(response.unusable(ResponseError::Status)),
        };
        Err(Error::Api { cause, response: Box::new(response.summary()) })
    }
}

/// GraphQL reports errors with status 200, and then there is no `me`.
fn user(token: &AccessToken, response: &ApiResponse) -> Result<User, Error> {
    #[derive(serde::Deserialize)]
    struct Response {
        data: Option<Data>,
    }
    #[derive(serde::Deserialize)]
    struct Data {
        me: Option<Account>,
    }
    #[derive(serde::Deserialize)]
    struct Account {
        id: u64,
        username: String,
        email: Option<String>,
    }
    let body: Response = response.json()?;
    let account = body.data.and_then(|data| data.me).ok_or_else(|| response.malformed("me"))?;
    let key = AccountKey::new(token.binding().integration().clone(), SOURCEHUT.id(), account.id.to_string());
    let mut user = User::new(key);
    user.username = display_text(account.username);
    user.state = UserState::Active;
    let email = account.email.unwrap_or_default();
    user.emails.extend(Email::new(&email, EmailEvidence::Unknown, EmailAuthority::SelfManaged, true));
    user.raw = response.text().into();
    Ok(user)
}

fn refused(base_url: &BaseUrl, refusal: &TokenRefusal<'_>) -> Error {
    let setup_link = Some(Box::new(base_url.page(&["oauth2"])));
    let cause = match (refusal.error, refusal.grant) {
        ("invalid_client" | "unauthorized_client", _) => TokenError::ClientRejected { setup_link },
        ("invalid_grant", Grant::RefreshToken) => TokenError::RefreshRejected,
        ("invalid_grant", _) => TokenError::CodeRejected,
        ("invalid_scope", _) => TokenError::ScopeRejected,
        _ => TokenError::Refused,
    };
    Error::Token { cause, response: refusal.summary() }
}
