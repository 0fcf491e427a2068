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
use url::Url;

use crate::base_url::BaseUrl;
use crate::check::{CheckReport, CheckRequest, acceptance};
use crate::error::{ApiError, BaseUrlError, ConfigError, Error};
use crate::grant::{AuthorizationRequest, VerifiedGrant};
use crate::host::CallbackUrl;
use crate::membership::{Group, Membership};
use crate::oauth::{ClientAuthentication, TokenEndpoint};
use crate::provider::{OAuthProvider, Platform};
use crate::revocation::Revocation;
use crate::scope::{Access, Scope, ScopeDescription, Scopes};
use crate::setup::{AppOwner, SetupGuide, SetupLink, SetupRequest};
use crate::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::transport::{Reply, Transport};
use crate::user::{Email, EmailList, User};

use self::user::Next;

/// The platform, as [`Platform::find`] gives it.
pub const PLATFORM: Platform =
    Platform::new("bitbucket-cloud", "Bitbucket Cloud", |base_url| Ok(Arc::new(BitbucketCloud::at(base_url)?)));

/// Bitbucket Cloud, `https://bitbucket.org`.
///
/// Requests of a login: `POST /site/oauth2/access_token` with HTTP Basic, then `GET /2.0/user` and
/// `GET /2.0/user/emails` at `https://api.bitbucket.org` at the same time; further pages of addresses one by one, ten at
/// most, and only at the same URL but for its query. If the addresses cannot be had, the login goes on without them and
/// [`User::email_list`] tells. Needs the scope `account`, which includes `email`. A membership is looked up by
/// `GET /2.0/user/workspaces/{workspace}/permission`. PKCE is sent, and not relied on: Bitbucket does not say that
/// it checks it.
///
/// Source: developer.atlassian.com, "Bitbucket Cloud REST API" (users), its changelog (CHANGE-3052), and
/// support.atlassian.com, "Use OAuth on Bitbucket Cloud".
///
/// ```
/// use codehost_oauth::{bitbucket::BitbucketCloud, transport::Network, BaseUrl, OAuthProvider};
///
/// assert_eq!(BitbucketCloud::new().base_url().as_str(), "https://bitbucket.org");
/// let server = BaseUrl::parse("https://bitbucket.example.com", &Network::public_only())?;
/// assert!(BitbucketCloud::at(server).is_err());
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
    token: Url,
    user: Url,
    /// The first page.
    emails: Url,
    /// The person is looked up at another host than the one that gives tokens: connections to it are opened meanwhile.
    is_api_elsewhere: bool,
}

impl BitbucketCloud {
    /// Bitbucket Cloud.
    pub fn new() -> Self {
        static CLOUD: LazyLock<BitbucketCloud> = LazyLock::new(|| {
            BitbucketCloud::with_urls(BaseUrl::constant("https://bitbucket.org"), BaseUrl::constant(API))
        });
        CLOUD.clone()
    }

    /// Bitbucket Cloud at the base URL that an administrator typed, or a fake of it on a loopback address, which then
    /// serves the API too.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for every other URL, such as that of a Bitbucket Data Center.
    pub fn at(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        if base_url.is_loopback() {
            return Ok(Self::with_urls(base_url.clone(), base_url));
        }
        address::check(&base_url).map(|()| Self::new())
    }

    /// Sends the server-side calls to another URL: a fake, or a proxy of the operator's. The client secret goes there:
    /// take it from the operator, never from a tenant.
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self::with_urls(self.base_url, api_url)
    }

    fn with_urls(base_url: BaseUrl, api_url: BaseUrl) -> Self {
        // The token endpoint is part of the site, unless the server-side calls go elsewhere altogether.
        let site = if api_url.as_str() == API { &base_url } else { &api_url };
        let endpoints = Endpoints {
            token: site.endpoint(&["site", "oauth2", "access_token"]),
            user: api_url.endpoint(&["2.0", "user"]),
            emails: emails_url(&api_url),
            is_api_elsewhere: site != &api_url,
        };
        Self { base_url, api_url, endpoints: Arc::new(endpoints) }
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint {
            base_url: &self.base_url,
            url: &self.endpoints.token,
            authentication: ClientAuthentication::Basic,
            refused: refusal::token,
        }
    }

    /// Every address, and whether these are all. Who somebody is does not depend on it, so only what is wrong with the
    /// token is an error.
    async fn emails(&self, http: &dyn Transport, token: &AccessToken) -> Result<(Vec<Email>, EmailList), Error> {
        let mut emails = Vec::new();
        let mut later: Vec<Url> = Vec::new();
        loop {
            let url = later.last().unwrap_or(&self.endpoints.emails);
            let (mut found, next) = match self.emails_page(http, url, token).await {
                Ok(page) => page,
                Err(error) if error.is_unauthorized() => return Err(error),
                Err(error @ Error::Config(_)) => return Err(error),
                Err(Error::Api { cause: ApiError::ScopeMissing { .. }, .. }) => {
                    return Ok((emails, EmailList::NotPermitted));
                }
                Err(_) => return Ok((emails, EmailList::Incomplete)),
            };
            emails.append(&mut found);
            let url = match next {
                Next::End => return Ok((emails, EmailList::Complete)),
                Next::Page(text) => next_page(&text, &self.endpoints.emails),
                Next::Unreadable => None,
            };
            match url.filter(|url| !later.contains(url) && later.len() < MAX_LATER_PAGES) {
                Some(url) => later.push(url),
                None => return Ok((emails, EmailList::Incomplete)),
            }
        }
    }

    async fn emails_page(
        &self,
        http: &dyn Transport,
        url: &Url,
        token: &AccessToken,
    ) -> Result<(Vec<Email>, Next), Error> {
        let reply = Reply::get(http, url, token, &self.base_url).await?;
        if !reply.status().is_success() {
            return Err(refusal::api(&self.base_url, &reply));
        }
        user::parse_emails(&reply)
    }

    async fn account(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let reply = Reply::get(http, &self.endpoints.user, token, &self.base_url).await?;
        if !reply.status().is_success() {
            return Err(refusal::api(&self.base_url, &reply));
        }
        user::parse(token.origin(), reply)
    }
}

impl Default for BitbucketCloud {
    fn default() -> Self {
        Self::new()
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

    fn setup_links(&self, owner: &AppOwner) -> Vec<SetupLink> {
        setup::links(&self.base_url, owner)
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        scopes::required(access)
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        scopes::describe(scope)
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, &self.callback_url(&request.host, &request.id), request)
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.endpoint(&["site", "oauth2", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        if self.endpoints.is_api_elsewhere {
            http.prepare(&self.endpoints.user, 2);
        }
        self.token_endpoint().exchange(http, client, grant).await
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().refresh(http, client, token).await
    }

    /// Bitbucket has no endpoint for it, so nothing is sent.
    ///
    /// Source: <https://support.atlassian.com/bitbucket-cloud/kb/revoke-app-authorization-from-a-bitbucket-account/>.
    async fn revoke(&self, _: &dyn Transport, _: &ClientCredentials, _: &TokenSet) -> Result<Revocation, Error> {
        Ok(Revocation::NotSupported {
            where_to: Some(self.base_url.endpoint(&["account", "settings", "app-authorizations", ""])),
            how: "Open \"App authorizations\" in your personal Bitbucket settings, and click \"Revoke\".",
        })
    }

    fn can_mean_client(&self, refusal: &Error) -> bool {
        refusal::can_mean_client(refusal)
    }

    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        acceptance(self.token_endpoint().probe(http, client, callback_url).await, true)
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let emails = tokio::time::timeout(EMAILS_PATIENCE, self.emails(http, token));
        let (user, emails) = future::join(self.account(http, token), emails).await;
        // What is wrong with the token or the person shows at the account first.
        let mut user = user?;
        (user.emails, user.email_list) = emails.unwrap_or_else(|_| Ok((Vec::new(), EmailList::Incomplete)))?;
        Ok(user)
    }

    fn ensure_group(&self, group: &Group, scopes: &Scopes) -> Result<(), ConfigError> {
        membership::ensure(group, scopes)
    }

    async fn membership(&self, http: &dyn Transport, token: &AccessToken, group: &Group) -> Result<Membership, Error> {
        membership::membership(http, &self.base_url, &self.api_url, token, group).await
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}

fn emails_url(api_url: &BaseUrl) -> Url {
    let mut url = api_url.endpoint(&["2.0", "user", "emails"]);
    url.query_pairs_mut().append_pair("pagelen", "100").append_pair("page", "1");
    url
}

/// The next page. The server writes its URL, and the token goes there, so only the query may be another one than that of
/// the first page. The query is the server's: a page can be named by more than a number.
fn next_page(text: &str, first: &Url) -> Option<Url> {
    let mut url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL)?;
    url.set_fragment(None);
    let mut same = first.clone();
    same.set_query(url.query());
    (url == same).then_some(url)
}

const API: &str = "https://api.bitbucket.org";
/// Ten pages with the first one.
const MAX_LATER_PAGES: usize = 9;
const MAX_URL: usize = 2048;
/// Nobody waits for longer for what a login can do without.
const EMAILS_PATIENCE: Duration = Duration::from_secs(10);
