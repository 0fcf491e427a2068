//! The floor: the least code with which `reqwest`, its `Url` and `serde` can log a user in. It has no
//! checks: no caps, no policy, no content types, no scopes, no states of accounts, no time-outs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::Digest as _;
use url::Url;
use url::form_urlencoded::Serializer;

use super::logins::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Kind, Login, browser};
use super::server::Endpoints;

pub struct Floor {
    http: reqwest::Client,
    kind: Kind,
    /// Without the parameters that are new for each login.
    authorize: Url,
    token: Url,
    user: Url,
    emails: Url,
    basic: String,
}

/// The result of every way to log in.
#[derive(Debug, Default)]
pub struct UserData {
    pub id: String,
    pub username: String,
    pub name: String,
    pub email: String,
    pub avatar_url: String,
    pub profile_url: String,
    pub token: String,
    pub refresh_token: String,
}

impl Login for Floor {
    fn new(kind: Kind, endpoints: &Endpoints) -> Self {
        let (site, api) = (&endpoints.site, &endpoints.api);
        let (authorize, token, user, emails, scope) = match kind {
            Kind::GitLab => ("/oauth/authorize", "/oauth/token", "/api/v4/user", "", "read_user"),
            _ => (
                "/site/oauth2/authorize",
                "/site/oauth2/access_token",
                "/2.0/user",
                "/2.0/user/emails?pagelen=100&page=1",
                "account email",
            ),
        };
        let api = if kind == Kind::GitLab { site } else { api };
        let always = [
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("code_challenge_method", "S256"),
        ];
        Self {
            http: client(endpoints),
            kind,
            authorize: Url::parse_with_params(&format!("{site}{authorize}"), always).unwrap(),
            token: format!("{site}{token}").parse().unwrap(),
            user: format!("{api}{user}").parse().unwrap(),
            emails: format!("{api}{emails}").parse().unwrap(),
            basic: format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"))),
        }
    }

    async fn login(&self) {
        assert!(!self.user().await.id.is_empty());
    }
}

impl Floor {
    pub async fn user(&self) -> UserData {
        let start = self.begin();
        let uri = browser(start.url.as_str(), CALLBACK);
        let code = self.verify(&start, &uri);
        let request = match self.kind {
            Kind::GitLab => self.http.post(self.token.clone()),
            _ => self.http.post(self.token.clone()).header("authorization", &self.basic),
        };
        let form = self.form(&code, &start.verifier);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let body = request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
        let token: Token<'_> = serde_json::from_slice(&body).unwrap();
        let mut user = match self.kind {
            Kind::GitLab => gitlab_user(&self.get(&self.user, &token.access_token).await),
            _ => {
                let user = self.get(&self.user, &token.access_token);
                let emails = self.get(&self.emails, &token.access_token);
                let (user, emails) = futures_util::future::join(user, emails).await;
                bitbucket_user(&user, &emails)
            }
        };
        user.token = token.access_token.into_owned();
        user.refresh_token = token.refresh_token.into_owned();
        user
    }

    pub fn begin(&self) -> Start {
        let (state, verifier) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&verifier));
        let mut url = self.authorize.clone();
        url.query_pairs_mut().append_pair("state", &state).append_pair("code_challenge", &challenge);
        Start { url, state, verifier }
    }

    pub fn verify(&self, start: &Start, uri: &http::Uri) -> String {
        let (mut code, mut state) = (None, None);
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap().as_bytes()) {
            match &*name {
                "code" => code = Some(value.into_owned()),
                "state" => state = Some(value),
                _ => {}
            }
        }
        assert_eq!(state.unwrap(), start.state);
        code.unwrap()
    }

    fn form(&self, code: &str, verifier: &str) -> String {
        let mut form = Serializer::new(String::with_capacity(512));
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("code_verifier", verifier)
            .append_pair("redirect_uri", CALLBACK);
        if self.kind == Kind::GitLab {
            form.append_pair("client_id", CLIENT_ID).append_pair("client_secret", CLIENT_SECRET);
        }
        form.finish()
    }

    async fn get(&self, url: &Url, token: &str) -> hyper::body::Bytes {
        let request = self.http.get(url.clone()).header("authorization", format!("Bearer {token}"));
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap()
    }
}

/// A login that has begun.
pub struct Start {
    pub url: Url,
    pub state: String,
    pub verifier: String,
}

pub fn client(endpoints: &Endpoints) -> reqwest::Client {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Without the limit each request is copied for a retry that never comes.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .no_proxy();
    if let Some(ca) = &endpoints.ca {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
        builder = builder.tls_certs_merge([ca]);
    }
    builder.build().unwrap()
}

fn random() -> String {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

#[derive(Deserialize)]
pub struct Token<'a> {
    #[serde(borrow)]
    pub access_token: Cow<'a, str>,
    #[serde(borrow)]
    pub refresh_token: Cow<'a, str>,
}

pub fn gitlab_user(body: &[u8]) -> UserData {
    #[derive(Deserialize)]
    struct User {
        id: u64,
        username: String,
        name: String,
        avatar_url: String,
        web_url: String,
        email: String,
    }
    let user: User = serde_json::from_slice(body).unwrap();
    UserData {
        id: user.id.to_string(),
        username: user.username,
        name: user.name,
        email: user.email,
        avatar_url: user.avatar_url,
        profile_url: user.web_url,
        ..UserData::default()
    }
}

pub fn bitbucket_user(user: &[u8], emails: &[u8]) -> UserData {
    #[derive(Deserialize)]
    struct User {
        uuid: String,
        username: String,
        display_name: String,
        links: Links,
    }
    #[derive(Deserialize)]
    struct Links {
        avatar: Link,
        html: Link,
    }
    #[derive(Deserialize)]
    struct Link {
        href: String,
    }
    #[derive(Deserialize)]
    struct Emails {
        values: Vec<Email>,
    }
    #[derive(Deserialize)]
    struct Email {
        email: String,
        is_primary: bool,
        is_confirmed: bool,
    }
    let user: User = serde_json::from_slice(user).unwrap();
    let emails: Emails = serde_json::from_slice(emails).unwrap();
    let primary = emails.values.into_iter().find(|email| email.is_primary && email.is_confirmed);
    UserData {
        id: user.uuid,
        username: user.username,
        name: user.display_name,
        email: primary.unwrap().email,
        avatar_url: user.links.avatar.href,
        profile_url: user.links.html.href,
        ..UserData::default()
    }
}
