//! Bitbucket Data Center, which was called Bitbucket Server and Stash.

mod address;
mod check;
mod identity;
mod list;
mod membership;
mod refusal;
mod scopes;
mod setup;
mod user;

use async_trait::async_trait;
use http::{StatusCode, Uri};
use url::Url;

use self::identity::Identity;
use self::list::{List, MAX_PAGES, Next};
use crate::error::{ApiError, BaseUrlError, ConfigError, Error};
use crate::platforms::at_api_url;
use crate::provider::check::{CheckReport, CheckRequest, OtherErrors, accepts_client};
use crate::provider::grant::{AuthorizationRequest, VerifiedGrant};
use crate::provider::membership::{Group, Membership};
use crate::provider::oauth_provider::OAuthProvider;
use crate::provider::platform::Platform;
use crate::provider::revocation::Revocation;
use crate::provider::setup::{SetupGuide, SetupLink, SetupRequest};
use crate::provider::token_endpoint::TokenEndpoint;
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::values::access::Access;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::{Scope, ScopeDescription, Scopes};
use crate::values::token::{AccessToken, ClientCredentials, RefreshToken, TokenSet};
use crate::values::user::User;

/// The platform, as [`Platform::find`] gives it.
pub const PLATFORM: Platform = Platform::new("bitbucket-data-center", "Bitbucket Data Center", |base_url, api_url| {
    Ok(at_api_url(BitbucketDataCenter::new(base_url)?, api_url, BitbucketDataCenter::with_api_url))
});

/// One Bitbucket Data Center: version 7.20 or later, at any URL, with a port and a context path if it has them.
///
/// A login takes three round trips: `POST /rest/oauth2/latest/token` with the client's secret in the form and PKCE by S256; a
/// request that only users may make, whose response names the user in its headers, because no endpoint does; and a search
/// for that user's profile. A required project is looked up beside the second one.
///
/// Bitbucket gives a code ten seconds, so call [`Integration::finish_login`](crate::Integration::finish_login) at once. A token
/// that is not valid makes its caller an anonymous visitor: a success proves nothing without the headers. E-mail
/// addresses come from a directory; whether the user has confirmed them is not known. There is no endpoint to revoke tokens.
///
/// Atlassian ends all licences on 28 March 2029.
///
/// Source: confluence.atlassian.com, "Bitbucket OAuth 2.0 provider API"; developer.atlassian.com, "Bitbucket Data Center REST
/// API".
///
/// ```
/// use codehost_oauth::{bitbucket_data_center::BitbucketDataCenter, transport::Network, BaseUrl, OAuthProvider};
///
/// let pasted = BaseUrl::parse("https://git.example.com/bitbucket/projects/ACME", &Network::public_only())?;
/// assert_eq!(BitbucketDataCenter::new(pasted)?.base_url().as_str(), "https://git.example.com/bitbucket");
/// # Ok::<(), codehost_oauth::error::BaseUrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BitbucketDataCenter {
    base_url: BaseUrl,
    api_url: BaseUrl,
    token: Uri,
}

impl BitbucketDataCenter {
    /// The Bitbucket at a base URL. The address of one of its pages is cut to the base URL.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError::OtherPlatform`] for `bitbucket.org`, and for the well-known addresses of other code hosts.
    pub fn new(base_url: BaseUrl) -> Result<Self, BaseUrlError> {
        let base_url = address::root(&base_url)?;
        Ok(Self { token: token(&base_url), api_url: base_url.clone(), base_url })
    }

    /// Sends all requests to another URL: a fake, or an address of the same server inside the operator's network. Tokens and the
    /// client secret go there, so take the URL from the operator, never from a tenant.
    #[must_use]
    pub fn with_api_url(self, api_url: BaseUrl) -> Self {
        Self { token: token(&api_url), api_url, ..self }
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint::new(&self.base_url, &self.token, refusal::token)
    }

    async fn users(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        query: &[(&str, &str)],
    ) -> Result<ApiResponse, Error> {
        let uri = self.api_url.endpoint_with_query(&["rest", "api", "latest", "users"], query);
        ApiRequest::get(&uri).bearer(token, &self.base_url)?.send(http).await
    }

    /// Searches the list of users.
    async fn find_profile(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        identity: &Identity,
    ) -> Result<Profile, Error> {
        let (mut start, mut pages) = (0, 0_usize);
        loop {
            let (filter, first) = (identity.search.as_str(), start.to_string());
            let query = [("filter", filter), ("limit", "100"), ("start", &first), ("avatarSize", "64")];
            let response = self.users(http, token, &query).await?;
            if !response.status().is_success() {
                return Err(refusal::api(&response));
            }
            if Identity::of(&response).as_ref() != Some(identity) {
                return Err(refusal::anonymous(&response));
            }
            let list = List::parse(&response, start)?;
            if let Some(user) = user::find(token.binding(), identity, &list.entries, &response)? {
                return Ok(Profile::Found(Box::new(user)));
            }
            pages = pages.saturating_add(1);
            match list.next {
                Next::Page(next) if pages < MAX_PAGES => start = next,
                Next::End => return Ok(Profile::NotListed(identity.needed_id(&response)?)),
                Next::Page(_) | Next::Unknown => return Ok(Profile::Unknown(identity.needed_id(&response)?)),
            }
        }
    }
}

#[async_trait]
impl OAuthProvider for BitbucketDataCenter {
    fn platform(&self) -> Platform {
        PLATFORM
    }

    fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    fn api_url(&self) -> &BaseUrl {
        &self.api_url
    }

    fn setup_links(&self, _: &SetupRequest) -> Vec<SetupLink> {
        setup::links(&self.base_url)
    }

    fn required_scopes(&self, access: &Access) -> Scopes {
        scopes::required(access)
    }

    fn describe_scope(&self, scope: &Scope) -> ScopeDescription {
        scopes::describe(scope)
    }

    fn ensure_scopes(&self, scopes: &Scopes) -> Result<(), ConfigError> {
        scopes::ensure(scopes)
    }

    fn setup_guide(&self, request: &SetupRequest) -> SetupGuide {
        setup::guide(&self.base_url, request)
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Url {
        request.on(self.base_url.page(&["rest", "oauth2", "latest", "authorize"]))
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().exchange(http, client, grant).await
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        self.token_endpoint().redirect_uri_at_refresh(callback_url).refresh(http, client, token).await
    }

    /// Sends nothing: Bitbucket has no documented endpoint to revoke tokens.
    async fn revoke(&self, _: &dyn Transport, _: &ClientCredentials, _: &TokenSet) -> Result<Revocation, Error> {
        Ok(Revocation::NotSupported {
            where_to: Some(setup::account(&self.base_url)),
            how: "Open \"Manage account\", \"Authorized applications\", and revoke the access of this app.",
        })
    }

    async fn accepts_client(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        callback_url: &CallbackUrl,
    ) -> Result<bool, Error> {
        accepts_client(check::probe(self, http, client, callback_url).await, OtherErrors::ProveNothing)
    }

    /// Two round trips, more if the search finds more than 100 users. A user whom the list does not have is a service user. If
    /// the list is closed, or too long to be read, only id and name are known.
    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let response = self.users(http, token, &[("limit", "1")]).await?;
        let identity = identity(&response)?;
        let profile = match is_list_closed(&response) {
            true => Profile::Unknown(identity.needed_id(&response)?),
            false => self.find_profile(http, token, &identity).await?,
        };
        let (id, is_bot) = match profile {
            Profile::Found(user) => return Ok(*user),
            Profile::NotListed(id) => (id, true),
            Profile::Unknown(id) => (id, false),
        };
        let mut user = user::unlisted(token.binding(), id);
        user.username = identity.name;
        user.is_bot = is_bot;
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
        match response.status().is_success() {
            true => Identity::of(response).is_none().then(|| refusal::anonymous(response)),
            false => Some(refusal::api(response)),
        }
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        check::check(self, http, client, request).await
    }
}

/// Whose token a request for the list of users had.
fn identity(response: &ApiResponse) -> Result<Identity, Error> {
    if response.status().is_success() {
        // A success must be a list.
        List::parse(response, 0)?;
    } else {
        match refusal::api(response) {
            Error::Api { cause: ApiError::Forbidden, .. } if is_list_closed(response) => {}
            error => return Err(error),
        }
    }
    match Identity::of(response) {
        Some(identity) => Ok(identity),
        // A proxy, for example.
        None if response.status() == StatusCode::FORBIDDEN => Err(refusal::api(response)),
        None => Err(refusal::anonymous(response)),
    }
}

/// What the list of users has about the user with an id.
enum Profile {
    Found(Box<User>),
    /// The whole list does not have the user.
    NotListed(u64),
    /// The list is closed, or longer than what was read of it.
    Unknown(u64),
}

/// The list is closed to anonymous visitors. If it is closed to users too, the refusal names the user anyway.
fn is_list_closed(response: &ApiResponse) -> bool {
    matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn token(base: &BaseUrl) -> Uri {
    base.endpoint(&["rest", "oauth2", "latest", "token"])
}
