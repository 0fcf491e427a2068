//! One login in each of the ways that are compared: the browser is played, the callback comes back at once.

use codehost_oauth::bitbucket::BitbucketCloud;
use codehost_oauth::gitlab::GitLab;
use std::sync::Arc;

use codehost_oauth::error::TransportError;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, OAuthProvider};

use super::floor::Floor;
use super::plain_oauth2::PlainOauth2;
use super::server::Place;

pub const CLIENT_ID: &str = "6e5b1c2d3a4f5e6b7c8d9e0f1a2b3c4d";
pub const CLIENT_SECRET: &str = "gloas-0f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub const CALLBACK: &str = "https://packages.example.com/oauth/callback/gitlab/demo";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    GitLab,
    Bitbucket,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Floor,
    Ours,
    Oauth2,
}

pub const KINDS: [Kind; 2] = [Kind::GitLab, Kind::Bitbucket];
/// The floor first: ratios are to it.
pub const WAYS: [Way; 3] = [Way::Floor, Way::Ours, Way::Oauth2];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
        }
    }

    pub fn find(name: &str) -> Self {
        KINDS.into_iter().find(|kind| kind.name() == name).unwrap()
    }
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "codehost-oauth",
            Self::Oauth2 => "oauth2",
        }
    }

    pub fn find(name: &str) -> Self {
        WAYS.into_iter().find(|way| way.name() == name).unwrap()
    }
}

/// A client that is ready to log people in.
pub enum Client {
    Floor(Floor),
    Ours(Integration),
    Oauth2(Box<PlainOauth2>),
}

impl Client {
    pub fn new(way: Way, kind: Kind, place: &Place) -> Self {
        match way {
            Way::Floor => Self::Floor(Floor::new(kind, place)),
            Way::Ours => Self::Ours(integration(kind, place)),
            Way::Oauth2 => Self::Oauth2(Box::new(PlainOauth2::new(kind, place))),
        }
    }

    pub async fn login(&self) {
        match self {
            Self::Floor(floor) => assert!(!floor.login().await.id.is_empty()),
            Self::Oauth2(oauth2) => assert!(!oauth2.login().await.id.is_empty()),
            Self::Ours(integration) => {
                let start = integration.begin_login(None).unwrap();
                let uri = browser(start.redirect_to.as_str(), integration.callback_url().as_str());
                let callback = Callback::from_uri(&uri).unwrap();
                let login = integration.finish_login(start.pending, callback).await.unwrap();
                assert!(!login.user.key.subject().is_empty());
            }
        }
    }
}

pub fn integration(kind: Kind, place: &Place) -> Integration {
    let builder = Integration::builder(provider(kind, place));
    let builder = if kind == Kind::Bitbucket && place.api != place.site {
        builder.transport(TwoHosts::new(place))
    } else {
        builder.transport(http_client(place))
    };
    builder
        .id("demo".parse().unwrap())
        .name("Demo")
        .host("https://packages.example.com".parse().unwrap())
        .client(CLIENT_ID, CLIENT_SECRET)
        .access(Access::SignIn)
        .build()
        .unwrap()
}

pub fn provider(kind: Kind, place: &Place) -> Arc<dyn OAuthProvider> {
    let base_url = BaseUrl::parse(&place.site, &network()).unwrap();
    match kind {
        Kind::GitLab => Arc::new(GitLab::new(base_url).unwrap()),
        Kind::Bitbucket if place.api == place.site => Arc::new(BitbucketCloud::at(base_url).unwrap()),
        Kind::Bitbucket => Arc::new(BitbucketCloud::new()),
    }
}

pub fn network() -> Network {
    Network::public_only().allow_loopback_http()
}

pub fn http_client(place: &Place) -> HttpClient {
    let mut builder = HttpClient::builder(network());
    if let Some(ca) = &place.ca {
        builder = builder.root_certificates(&std::fs::read_to_string(ca).unwrap());
    }
    builder.build().unwrap()
}

/// Bitbucket Cloud's two hosts, found at the two of the fake.
#[derive(Debug)]
struct TwoHosts {
    http: HttpClient,
    site: http::uri::Authority,
    api: http::uri::Authority,
}

impl TwoHosts {
    fn new(place: &Place) -> Self {
        let authority = |url: &str| url.split_once("://").unwrap().1.parse().unwrap();
        Self { http: http_client(place), site: authority(&place.site), api: authority(&place.api) }
    }

    fn place(&self, uri: &http::Uri) -> http::Uri {
        let mut parts = uri.clone().into_parts();
        let authority = parts.authority.take().unwrap();
        parts.authority = Some(if authority.host() == "api.bitbucket.org" { &self.api } else { &self.site }.clone());
        parts.try_into().unwrap()
    }
}

#[async_trait::async_trait]
impl Transport for TwoHosts {
    async fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        *request.uri_mut() = self.place(request.uri());
        self.http.send(request, max_body).await
    }
}

/// What the browser does: it comes back to the callback URL with a code and the state.
pub fn browser(redirect_to: &str, callback: &str) -> http::Uri {
    let (_, behind) = redirect_to.split_once("&state=").unwrap();
    let state = behind.split('&').next().unwrap();
    let path = callback.strip_prefix("https://packages.example.com").unwrap();
    http::Uri::try_from(format!("{path}?code=made-up-code-of-a-usual-length-0123456789abcdef&state={state}")).unwrap()
}
