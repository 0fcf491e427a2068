//! One login in each of the compared ways. The browser is simulated, and the callback follows at once.

use std::pin::Pin;
use std::sync::Arc;

use codehost_oauth::bitbucket_cloud::BitbucketCloud;
use codehost_oauth::bitbucket_data_center::BitbucketDataCenter;
use codehost_oauth::error::TransportError;
use codehost_oauth::forgejo::Forgejo;
use codehost_oauth::github::GitHub;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, OAuthProvider};

use http::Uri;

use super::server::Endpoints;

pub const CLIENT_ID: &str = "6e5b1c2d3a4f5e6b7c8d9e0f1a2b3c4d";
pub const CLIENT_SECRET: &str = "gloas-0f1e2d3c4b5a69788796a5b4c3d2e1f0";
pub const CALLBACK: &str = "https://packages.example.com/oauth/callback/gitlab/demo";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    GitLab,
    Bitbucket,
    GitHub,
    Forgejo,
    DataCenter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Floor,
    Ours,
    Oauth2,
}

/// The platforms that are compared with the other ways.
pub const KINDS: [Kind; 2] = [Kind::GitLab, Kind::Bitbucket];
/// The platforms that only this crate logs in to.
pub const OTHER_KINDS: [Kind; 3] = [Kind::GitHub, Kind::Forgejo, Kind::DataCenter];
/// The floor comes first, because the ratios refer to it.
pub const WAYS: [Way; 3] = [Way::Floor, Way::Ours, Way::Oauth2];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
            Self::GitHub => "github",
            Self::Forgejo => "forgejo",
            Self::DataCenter => "bitbucket-data-center",
        }
    }

    pub fn find(name: &str) -> Self {
        KINDS.into_iter().chain(OTHER_KINDS).find(|kind| kind.name() == name).unwrap()
    }

    /// How many requests a login takes.
    pub fn requests(self) -> f64 {
        match self {
            Self::GitLab => 2.0,
            Self::Bitbucket | Self::GitHub | Self::Forgejo | Self::DataCenter => 3.0,
        }
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

/// A client that is ready to log users in.
pub trait Login: Send + Sync + 'static {
    fn new(kind: Kind, endpoints: &Endpoints) -> Self;

    /// One whole login.
    fn login(&self) -> impl Future<Output = ()> + Send;
}

/// This crate.
pub struct Ours(Integration);

impl Login for Ours {
    fn new(kind: Kind, endpoints: &Endpoints) -> Self {
        Self(integration(kind, endpoints))
    }

    async fn login(&self) {
        let start = self.0.begin_login(None).unwrap();
        let uri = browser(start.redirect_to.as_str(), self.0.callback_url().as_str());
        let callback = Callback::from_uri(&uri).unwrap();
        let login = self.0.finish_login(start.pending, callback).await.unwrap();
        assert!(!login.user.key.subject().is_empty());
    }
}

pub fn integration(kind: Kind, endpoints: &Endpoints) -> Integration {
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Demo".to_owned(),
        public_url: "https://packages.example.com".parse().unwrap(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        access: Access::SignIn,
    };
    let provider = provider(kind, endpoints);
    let builder = match kind {
        Kind::GitLab | Kind::GitHub | Kind::Forgejo | Kind::DataCenter => {
            Integration::builder(provider, http_client(endpoints), config)
        }
        Kind::Bitbucket => Integration::builder(provider, TwoHosts::new(endpoints), config),
    };
    // No request waits for a slot: 64 logins at once send up to 128 requests at once.
    builder.max_in_flight(128).build().unwrap()
}

pub fn provider(kind: Kind, endpoints: &Endpoints) -> Arc<dyn OAuthProvider> {
    let base_url = || BaseUrl::parse(&endpoints.site, &network()).unwrap();
    match kind {
        Kind::GitLab => Arc::new(GitLab::new(base_url()).unwrap()),
        Kind::GitHub => Arc::new(GitHub::new(base_url()).unwrap()),
        Kind::Forgejo => Arc::new(Forgejo::new(base_url()).unwrap()),
        Kind::DataCenter => Arc::new(BitbucketDataCenter::new(base_url()).unwrap()),
        Kind::Bitbucket => Arc::new(BitbucketCloud::cloud()),
    }
}

pub fn network() -> Network {
    Network::public_only().allow_loopback_http()
}

pub fn http_client(endpoints: &Endpoints) -> HttpClient {
    let mut builder = HttpClient::builder(network());
    if let Some(ca) = &endpoints.ca {
        builder = builder.root_certificates(&std::fs::read_to_string(ca).unwrap());
    }
    builder.build().unwrap()
}

/// Sends requests for Bitbucket Cloud's two host names to the two addresses of the fake.
#[derive(Debug)]
struct TwoHosts {
    http: HttpClient,
    token: Uri,
    user: Uri,
    emails: Uri,
}

impl TwoHosts {
    fn new(endpoints: &Endpoints) -> Self {
        let at = |host: &str, path: &str| format!("{host}{path}").parse().unwrap();
        Self {
            http: http_client(endpoints),
            token: at(&endpoints.site, "/site/oauth2/access_token"),
            user: at(&endpoints.api, "/2.0/user"),
            emails: at(&endpoints.api, "/2.0/user/emails?pagelen=100&page=1"),
        }
    }

    fn uri_at_fake(&self, uri: &Uri) -> &Uri {
        match uri.path() {
            "/2.0/user" => &self.user,
            "/2.0/user/emails" => &self.emails,
            _ => &self.token,
        }
    }
}

/// Written without `async`, so that it returns the client's future itself: an app has no such layer, so its future would be
/// counted as a cost of the crate.
impl Transport for TwoHosts {
    fn send<'a, 'f>(
        &'a self,
        mut request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        *request.uri_mut() = self.uri_at_fake(request.uri()).clone();
        self.http.send(request, max_body)
    }

    fn preconnect(&self, uri: &Uri, requests: usize) {
        self.http.preconnect(self.uri_at_fake(uri), requests);
    }
}

/// Simulates the browser: requests the callback URL with a code and the state.
pub fn browser(redirect_to: &str, callback: &str) -> Uri {
    let (_, behind) = redirect_to.split_once("&state=").unwrap();
    let state = behind.split('&').next().unwrap();
    let path = callback.strip_prefix("https://packages.example.com").unwrap();
    Uri::try_from(format!("{path}?code=made-up-code-of-a-usual-length-0123456789abcdef&state={state}")).unwrap()
}
