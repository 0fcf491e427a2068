//! Bitbucket Cloud.

mod address;
mod check;
mod membership;
mod refusal;
mod scopes;
mod setup;
mod user;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future;
use http::Uri;
use tokio::time::Instant;
use url::Url;

use crate::error::{ApiError, BaseUrlError, ConfigError, Error};
use crate::platforms::at_api_url;
use crate::provider::check::{CheckReport, CheckRequest, OtherErrors, accepts_client};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::{Platform, Service};
use crate::provider::revocation::Revocation;
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::provider::token_endpoint::TokenEndpoint;
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::email::Email;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, NEW_TOKEN_PAUSES, RefreshToken, TokenSet};
use crate::values::user::{EmailList, User};

use self::user::Next;

/// The platform, as [`Platform::find`] gives it.
pub const PLATFORM: Platform = Platform::new("bitbucket-cloud", "Bitbucket Cloud", |base_url, api_url| {
    Ok(at_api_url(BitbucketCloud::new(base_url)?, api_url, BitbucketCloud::with_api_url))
})
.with_services(&[Service::new("Bitbucket Cloud", "https://bitbucket.org")]);

/// The hosts of Bitbucket Cloud.
pub(super) const HOSTS: [&str; 3] = ["bitbucket.org", "www.bitbucket.org", "api.bitbucket.org"];

/// Bitbucket Cloud, `https://bitbucket.org`.
///
/// Requests of a login: `POST /site/oauth2/access_token` with HTTP Basic, then `GET /2.0/user` and
/// `GET /2.0/user/emails` at `https://api.bitbucket.org` at the same time; further pages of addresses one by one, ten at
/// most, and only at the same URL except for its query. If only the request for the addresses gets 401, it is repeated after
/// one and after two seconds. If the addresses cannot be read, the login goes on without them and
/// [`User::email_list`] says so. Needs the scope `account`, which includes `email`. A membership is looked up by
/// `GET /2.0/user/workspaces/{workspace}/permission`. PKCE is sent, but nothing depends on it: Bitbucket does not document
/// that it checks it.
///
/// Source: developer.atlassian.com, "Bitbucket Cloud REST API" (users), its changelog (CHANGE-3052), and
/// support.atlassian.com, "Use OAuth on Bitbucket Cloud".
///
/// ```
/// use codehost_oauth::{bitbucket_cloud::BitbucketCloud, transport::Network, BaseUrl, OAuthProvider};
///
/// assert_eq!(BitbucketCloud::cloud().base_url().as_str(), "https://bitbucket.org");
/// let server = BaseUrl::parse("https://bitbucket.example.com", &Network::public_only())?;
/// assert!(BitbucketCloud::new(server).is_err());
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BitbucketCloud {
    base_url: BaseUrl,
    api_url: BaseUrl,
    endpoints: Arc<Endpoints>,
}

#[derive(Debug)]
struct Endpoints {
    token: Uri,
    user: Uri,
    /// The first page.
    emails: Uri,
    /// Whether the API has another host than the token endpoint. Then connections to it are opened during the exchange.
    has_api_host: bool,
}

impl BitbucketCloud {
    /// Bitbucket Cloud.
    pub fn cloud() -> Self {
        static CLOUD: LazyLock<BitbucketCloud> = LazyLock::new(|| {
            BitbucketCloud::with_urls(BaseUrl::constant("https://bitbucket.org"), BaseUrl::constant(API))
        });
        CLOUD.clone()
    }

    /// Bitbucket Cloud at the base URL that an administrator typed. A loopback address is accepted for tests with a fake, which
    /// must serve the API too.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for every other URL, such as that of a Bitbucket Data Center.
    pub fn new(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        if base_url.is_loopback() {
            return Ok(Self::with_urls(base_url.clone(), base_url));
        }
        address::check(&base_url).map(|()| Self::cloud())
    }

    /// Sends the server-side calls to another URL: a fake, or a proxy of the operator. The client secret goes there, so take
    /// the URL from the operator, never from a tenant.
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self::with_urls(self.base_url, api_url)
    }

    fn with_urls(base_url: BaseUrl, api_url: BaseUrl) -> Self {
        // The token endpoint is on the site, unless `with_api_url` moves all server-side calls.
        let site = if api_url.as_str() == API { &base_url } else { &api_url };
        let endpoints = Endpoints {
            token: site.endpoint(&["site", "oauth2", "access_token"]),
            user: api_url.endpoint(&["2.0", "user"]),
            emails: api_url.endpoint_with_query(&["2.0", "user", "emails"], &[("pagelen", "100"), ("page", "1")]),
            has_api_host: site != &api_url,
        };
        Self { base_url, api_url, endpoints: Arc::new(endpoints) }
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.endpoints.token, refusal::token).basic()
    }

    /// As [`emails`](Self::emails); an incomplete list without addresses at the deadline.
    async fn emails_before(
        &self,
        deadline: Instant,
        http: &dyn Transport,
        token: &AccessToken,
    ) -> Result<(Vec<Email>, EmailList), Error> {
        let emails = tokio::time::timeout_at(deadline, self.emails(http, token)).await;
        emails.unwrap_or(Ok((Vec::new(), EmailList::Incomplete)))
    }

    /// The e-mail addresses, and whether the list is complete. The user's identity does not depend on them, so only errors
    /// about the token are returned.
    async fn emails(&self, http: &dyn Transport, token: &AccessToken) -> Result<(Vec<Email>, EmailList), Error> {
        let mut emails = Vec::new();
        let mut later: Vec<Uri> = Vec::new();
        loop {
            let uri = later.last().unwrap_or(&self.endpoints.emails);
            let (mut found, next) = match self.emails_page(http, uri, token).await {
                Ok(page) => page,
                Err(error) if error.is_unauthorized() => return Err(error),
                Err(error @ Error::Config(_)) => return Err(error),
                Err(Error::Api { cause: ApiError::ScopeMissing { .. }, .. }) => {
                    return Ok((emails, EmailList::NotPermitted));
                }
                Err(_) => return Ok((emails, EmailList::Incomplete)),
            };
            emails.append(&mut found);
            let next = match next {
                Next::End => return Ok((emails, EmailList::Complete)),
                Next::Page(text) => next_page(&text, &self.endpoints.emails),
                Next::Unreadable => None,
            };
            match next.filter(|uri| !later.contains(uri) && later.len() < MAX_LATER_PAGES) {
                Some(uri) => later.push(uri),
                None => return Ok((emails, EmailList::Incomplete)),
            }
        }
    }

    async fn emails_page(
        &self,
        http: &dyn Transport,
        uri: &Uri,
        token: &AccessToken,
    ) -> Result<(Vec<Email>, Next), Error> {
        let response = ApiRequest::get(uri).bearer(token, &self.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return Err(refusal::api(&self.base_url, &response));
        }
        user::parse_emails(&response)
    }

    async fn account(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let response = ApiRequest::get(&self.endpoints.user).bearer(token, &self.base_url)?.send(http).await?;
        if !response.status().is_success() {
            return Err(refusal::api(&self.base_url, &response));
        }
        user::parse(token.binding(), response)
    }
}

#[async_trait]
impl OAuthProvider for BitbucketCloud {
    fn platform(&self) -> Platform {
        PLATFORM
    }

    fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn api_url(&self) -> &BaseUrl {
        &self.api_url
    }

    fn setup_links(&self, request: &SetupRequest) -> Vec<SetupLink> {
        setup::links(&self.base_url, &request.owner)
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        scopes::required(access)
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        scopes::describe(scope)
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, &request.callback_url(PLATFORM.id()), request)
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["site", "oauth2", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        if self.endpoints.has_api_host {
            http.preconnect(&self.endpoints.user, 2);
        }
        self.token_endpoint().exchange(http, client, grant).await
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        _: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().refresh(http, client, token).await
    }

    /// Sends nothing: Bitbucket has no endpoint to revoke tokens.
    ///
    /// Source: <https://support.atlassian.com/bitbucket-cloud/kb/revoke-app-authorization-from-a-bitbucket-account/>.
    async fn revoke(&self, _: &dyn Transport, _: &ClientCredentials, _: &TokenSet) -> Result<Revocation, Error> {
        Ok(Revocation::NotSupported {
            where_to: Some(self.base_url.page(&["account", "settings", "app-authorizations", ""])),
            how: "Open \"App authorizations\" in your personal Bitbucket settings, and click \"Revoke\".",
        })
    }

    fn may_be_about_client(&self, refusal: &Error) -> bool {
        refusal::may_be_about_client(refusal)
    }

    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        accepts_client(self.token_endpoint().probe(http, client, callback_url).await, OtherErrors::ProveAccepted)
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let deadline = Instant::now().checked_add(EMAILS_TIMEOUT).unwrap_or_else(Instant::now);
        let emails = self.emails_before(deadline, http, token);
        let (user, mut emails) = future::join(self.account(http, token), emails).await;
        // Errors about the token or the user come from the account.
        let mut user = user?;
        // The account call accepted the token, so the node that refused it does not know it yet.
        for pause in NEW_TOKEN_PAUSES {
            let next = Instant::now().checked_add(pause).unwrap_or(deadline);
            if !matches!(&emails, Err(error) if error.is_unauthorized()) || next >= deadline {
                break;
            }
            tokio::time::sleep_until(next).await;
            emails = self.emails_before(deadline, http, token).await;
        }
        (user.emails, user.email_list) = match emails {
            Err(error) if error.is_unauthorized() => (Vec::new(), EmailList::Incomplete),
            emails => emails?,
        };
        Ok(user)
    }

    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        membership::ensure(group, scopes)
    }

    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        _: Option<&User>,
    ) -> Result<Membership, Error> {
        membership::membership(self, http, token, group).await
    }

    fn api_error(&self, response: &ApiResponse) -> Option<Error> {
        (!response.status().is_success()).then(|| refusal::api(&self.base_url, response))
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}

/// The next page. The server chooses its URL, and the token is sent there, so only the query may differ from the first page.
/// The query may have any form: not every page has a number.
fn next_page(text: &str, first: &Uri) -> Option<Uri> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL)?;
    let next = Uri::try_from(url.as_str()).ok()?;
    let is_same =
        next.scheme() == first.scheme() && next.authority() == first.authority() && next.path() == first.path();
    is_same.then_some(next)
}

const API: &str = "https://api.bitbucket.org";
/// Ten pages with the first one.
const MAX_LATER_PAGES: usize = 9;
/// The longest URL of a page, in bytes.
const MAX_URL: usize = 2048;
/// How long a login waits for the addresses. It works without them.
const EMAILS_TIMEOUT: Duration = Duration::from_secs(10);
