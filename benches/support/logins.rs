//! One login in each of the ways that are compared: the browser is played, the callback comes back at once.

use std::pin::Pin;
use std::sync::Arc;

use codehost_oauth::bitbucket::BitbucketCloud;
use codehost_oauth::error::TransportError;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, OAuthProvider};

use url::Url;

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

    /// The bench target that logs in this way.
    pub fn program(self) -> &'static str {
        match self {
            Self::Floor => "login_floor",
            Self::Ours => "login_ours",
            Self::Oauth2 => "login_oauth2",
        }
    }
}

/// A client that is ready to log people in.
pub trait Login: Send + Sync + 'static {
    fn new(kind: Kind, place: &Place) -> Self;

    /// One whole login.
    fn login(&self) -> impl Future<Output = ()> + Send;
}

/// This crate.
pub struct Ours(Integration);

impl Login for Ours {
    fn new(kind: Kind, place: &Place) -> Self {
        Self(integration(kind, place))
    }

    async fn login(&self) {
        let start = self.0.begin_login(None).unwrap();
        let uri = browser(start.redirect_to.as_str(), self.0.callback_url().as_str());
        let callback = Callback::from_uri(&uri).unwrap();
        let login = self.0.finish_login(start.pending, callback).await.unwrap();
        assert!(!login.user.key.subject().is_empty());
    }
}

pub fn integration(kind: Kind, place: &Place) -> Integration {
    let builder = Integration::builder(provider(kind, place));
    let builder = match kind {
        Kind::GitLab => builder.transport(http_client(place)),
        Kind::Bitbucket => builder.transport(TwoHosts::new(place)),
    };
    builder
        .id("demo".parse().unwrap())
        .name("Demo")
        .host("https://packages.example.com".parse().unwrap())
        .client(CLIENT_ID, CLIENT_SECRET)
        .access(Access::SignIn)
        // Room for all of the client's, since 64 logins run at once.
        .max_in_flight(64)
        .build()
        .unwrap()
}

pub fn provider(kind: Kind, place: &Place) -> Arc<dyn OAuthProvider> {
    match kind {
        Kind::GitLab => Arc::new(GitLab::new(BaseUrl::parse(&place.site, &network()).unwrap()).unwrap()),
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
    token: Url,
    user: Url,
    emails: Url,
}

impl TwoHosts {
    fn new(place: &Place) -> Self {
        let at = |host: &str, path: &str| format!("{host}{path}").parse().unwrap();
        Self {
            http: http_client(place),
            token: at(&place.site, "/site/oauth2/access_token"),
            user: at(&place.api, "/2.0/user"),
            emails: at(&place.api, "/2.0/user/emails?pagelen=100&page=1"),
        }
    }

    fn place(&self, url: &Url) -> &Url {
        match url.path() {
            "/2.0/user" => &self.user,
            "/2.0/user/emails" => &self.emails,
            _ => &self.token,
        }
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send + 'a>>;

// Not `async`: that would be one more box for each request than there is without it.
impl Transport for TwoHosts {
    fn send<'a, 'b>(&'a self, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        self.http.send(request, max_body)
    }

    fn send_to<'a, 'u, 'b>(&'a self, url: &'u Url, request: http::Request<Vec<u8>>, max_body: usize) -> Sending<'b>
    where
        'a: 'b,
        'u: 'b,
        Self: 'b,
    {
        self.http.send_to(self.place(url), request, max_body)
    }

    fn prepare(&self, url: &Url, requests: usize) {
        self.http.prepare(self.place(url), requests);
    }
}

/// What the browser does: it comes back to the callback URL with a code and the state.
pub fn browser(redirect_to: &str, callback: &str) -> http::Uri {
    let (_, behind) = redirect_to.split_once("&state=").unwrap();
    let state = behind.split('&').next().unwrap();
    let path = callback.strip_prefix("https://packages.example.com").unwrap();
    http::Uri::try_from(format!("{path}?code=made-up-code-of-a-usual-length-0123456789abcdef&state={state}")).unwrap()
}
