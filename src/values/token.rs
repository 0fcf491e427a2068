use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::{ConfigError, TextFault};
use crate::values::account_key::AccountKey;
use crate::values::base_url::BaseUrl;
use crate::values::integration_id::IntegrationId;
use crate::values::scope::Scopes;
use crate::values::secret::Secret;
use crate::values::user::User;

/// The OAuth application's client id and secret, tied to the base URL that they were created at, and to the API URL of that
/// code host, where it has another server for its API.
///
/// GitLab calls them Application ID and Secret; Bitbucket calls them Client ID and Secret, or Key and Secret. There is
/// no way to move them to another base URL: if the URL is changed, the secret must be entered again.
///
/// ```
/// use codehost_oauth::{transport::Network, BaseUrl, ClientCredentials};
///
/// let base = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let client = ClientCredentials::new(&base, "my-id", "gloas-my-secret")?;
/// assert!(!format!("{client:?}").contains("my-secret"));
/// assert!(ClientCredentials::new(&base, "my-id", " ").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientCredentials {
    base_url: BaseUrl,
    api_url: BaseUrl,
    client_id: Box<str>,
    client_secret: Secret,
}

impl ClientCredentials {
    /// Reads what the administrator pasted. White space around it is removed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ClientId`] or [`ConfigError::ClientSecret`] if one is empty, longer than 4,096 bytes, or holds
    /// anything but visible ASCII. The format is not checked: platforms change it.
    pub fn new(base_url: &BaseUrl, client_id: &str, client_secret: &str) -> Result<Self, ConfigError> {
        let client_id = client_id.trim();
        let client_secret = client_secret.trim();
        let fault = |text: &str| TextFault::of(text, MAX_CREDENTIAL, |byte| byte.is_ascii_graphic());
        if let Some(fault) = fault(client_id) {
            return Err(ConfigError::ClientId(fault));
        }
        if let Some(fault) = fault(client_secret) {
            return Err(ConfigError::ClientSecret(fault));
        }
        let client_secret = Secret::unchecked(client_secret.to_owned());
        let (base_url, api_url) = (base_url.clone(), base_url.clone());
        Ok(Self { base_url, api_url, client_id: client_id.into(), client_secret })
    }

    /// Allows the secret for the API URL of the same code host too: [`OAuthProvider::api_url`](crate::OAuthProvider::api_url).
    #[must_use]
    pub fn with_api_url(self, api_url: &BaseUrl) -> Self {
        Self { api_url: api_url.clone(), ..self }
    }

    /// The client id; it is not secret.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The secret, for the base URL or the API URL that it may be sent to.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OtherBinding`] for every other URL.
    pub fn expose_for(&self, url: &BaseUrl) -> Result<&str, ConfigError> {
        if [&self.base_url, &self.api_url].contains(&url) {
            Ok(self.client_secret.expose())
        } else {
            Err(ConfigError::OtherBinding { what: "client credentials" })
        }
    }
}

/// What tokens belong to: one integration, at one base URL, and the API URL of the same code host. A token is never sent anywhere
/// else. Two bindings are equal if integration and base URL are: the API URL is a setting of the app.
///
/// ```
/// use codehost_oauth::{transport::Network, AccessToken, BaseUrl, TokenBinding};
///
/// let here = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let there = BaseUrl::parse("https://evil.test", &Network::public_only())?;
/// let token = AccessToken::new("s3cr3t".to_owned(), &TokenBinding::new("demo".parse()?, here.clone())).unwrap();
/// assert_eq!(token.expose_for(&here)?, "s3cr3t");
/// assert!(token.expose_for(&there).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenBinding(Arc<Binding>);

#[derive(Clone, Debug)]
struct Binding {
    integration: IntegrationId,
    base_url: BaseUrl,
    api_url: BaseUrl,
}

impl TokenBinding {
    /// The tokens of `integration` at `base_url`.
    pub fn new(integration: IntegrationId, base_url: BaseUrl) -> Self {
        let api_url = base_url.clone();
        Self(Arc::new(Binding { integration, base_url, api_url }))
    }

    /// The same where the code host has its API at another URL: [`OAuthProvider::api_url`](crate::OAuthProvider::api_url).
    #[must_use]
    pub fn with_api_url(self, api_url: &BaseUrl) -> Self {
        Self(Arc::new(Binding { api_url: api_url.clone(), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The integration.
    pub fn integration(&self) -> &IntegrationId {
        &self.0.integration
    }

    /// The base URL.
    pub fn base_url(&self) -> &BaseUrl {
        &self.0.base_url
    }

    /// The URL of the API: the base URL, unless the code host has another server for it.
    pub fn api_url(&self) -> &BaseUrl {
        &self.0.api_url
    }
}

impl PartialEq for TokenBinding {
    fn eq(&self, other: &Self) -> bool {
        self.integration() == other.integration() && self.base_url() == other.base_url()
    }
}

impl Eq for TokenBinding {}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        pub struct $name {
            secret: Secret,
            binding: TokenBinding,
        }

        impl $name {
            /// Takes a token from a store or a response. `None` if it is empty, longer than 16 KiB, or holds anything
            /// but visible ASCII. Its format is not looked at: platforms change it.
            pub fn new(token: String, binding: &TokenBinding) -> Option<Self> {
                let secret = Secret::parse(token, MAX_TOKEN)?;
                Some(Self { secret, binding: binding.clone() })
            }

            /// The integration and the URLs that it belongs to.
            pub fn binding(&self) -> &TokenBinding {
                &self.binding
            }

            /// The token, for the base URL or the API URL that it may be sent to.
            ///
            /// # Errors
            ///
            /// [`ConfigError::OtherBinding`] for every other URL.
            pub fn expose_for(&self, url: &BaseUrl) -> Result<&str, ConfigError> {
                if [self.binding.base_url(), self.binding.api_url()].contains(&url) {
                    Ok(self.secret.expose())
                } else {
                    Err(ConfigError::OtherBinding { what: $what })
                }
            }

            #[cfg(feature = "seal")]
            pub(crate) fn matches(&self, other: &Self) -> bool {
                self.secret.matches(&other.secret)
            }

            /// A second copy, for a store or a task.
            #[must_use]
            pub fn duplicate(&self) -> Self {
                Self { secret: self.secret.duplicate(), binding: self.binding.clone() }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

token! {
    /// Lets the app call the platform's API as the user (RFC 6749 section 1.4). Opaque, and long: a Bitbucket token
    /// can have 2,500 characters.
    ///
    /// It cannot be printed, compared or serialized:
    ///
    /// ```compile_fail,E0599
    /// fn print(token: codehost_oauth::AccessToken) -> String { token.to_string() }
    /// ```
    ///
    /// ```compile_fail,E0369
    /// fn compare(one: codehost_oauth::AccessToken, other: codehost_oauth::AccessToken) -> bool { one == other }
    /// ```
    AccessToken, "access token"
}

token! {
    /// Obtains new tokens, once (RFC 6749 section 1.5). Most platforms rotate it: a refresh gives another one and
    /// ends this one.
    ///
    /// ```compile_fail,E0277
    /// fn save(token: codehost_oauth::RefreshToken) -> String { serde_json::to_string(&token).unwrap() }
    /// ```
    RefreshToken, "refresh token"
}

/// What the token endpoint gave (RFC 6749 section 5.1).
///
/// `Debug` shows which members are there and when the access token ends; of the scopes it shows the number.
#[non_exhaustive]
pub struct TokenSet {
    /// For the API.
    pub access_token: AccessToken,
    /// For the next refresh, if the platform gave one.
    pub refresh_token: Option<RefreshToken>,
    /// The granted scopes; an empty set if none was granted. `None` if the platform did not say.
    pub scopes: Option<Scopes>,
    /// How long the access token lives, counted from [`received_at`](Self::received_at); at most ten years. `None` if the
    /// platform did not say: then use the token until the API responds with 401.
    pub expires_in: Option<Duration>,
    /// How long the refresh token lives if it is not used, counted in the same way. `None` if the platform did not say.
    pub refresh_expires_in: Option<Duration>,
    /// When the response arrived, by the app's clock.
    pub received_at: SystemTime,
    /// Problems in the response. The tokens can be used in spite of them.
    pub notes: Vec<TokenNote>,
    /// Who the user is, if the provider knows it from the token response. Then a login does not look it up, and takes it out: in a
    /// [`Login`](crate::Login) it is `None`.
    pub user: Option<Box<User>>,
    /// The ID token of OpenID Connect, as it came.
    pub(crate) id_token: Option<Box<str>>,
    /// Whose tokens these are, if they are from a login.
    pub(crate) account: Option<AccountKey>,
}

/// A problem in a token response that was accepted.
///
/// ```
/// use codehost_oauth::{transport::Network, AccessToken, BaseUrl, TokenBinding, TokenNote, TokenSet};
///
/// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let token = AccessToken::new("s3cr3t".to_owned(), &TokenBinding::new("demo".parse()?, base_url)).unwrap();
/// let mut tokens = TokenSet::new(token);
/// assert_eq!(tokens.notes, []);
/// tokens.notes.push(TokenNote::Lifetime);
/// assert_eq!(tokens.notes[0].code(), "lifetime");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenNote {
    /// `token_type` is not `Bearer` (RFC 6749 section 7.1). A login fails then; after a refresh the tokens are kept,
    /// because the old ones are used up, and the access token is sent as a Bearer token.
    NotBearer,
    /// `refresh_token` is not valid. After a login there is none; after a refresh the old one is kept.
    RefreshToken,
    /// `scope` was not readable, or not all of it. What was readable is in [`TokenSet::scopes`].
    Scopes,
    /// `expires_in` is not a number of seconds, or is below 1. The lifetime is unknown.
    Lifetime,
}

impl TokenNote {
    /// A stable name for the note, `snake_case`: for logs, metrics and tests.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotBearer => "not_bearer",
            Self::RefreshToken => "refresh_token",
            Self::Scopes => "scopes",
            Self::Lifetime => "lifetime",
        }
    }
}

impl TokenSet {
    /// Tokens that have just been received, with nothing known but the access token.
    pub fn new(access_token: AccessToken) -> Self {
        Self {
            access_token,
            refresh_token: None,
            scopes: None,
            expires_in: None,
            refresh_expires_in: None,
            received_at: SystemTime::now(),
            notes: Vec::new(),
            user: None,
            id_token: None,
            account: None,
        }
    }

    /// A second copy, to store it or because one login is handed out twice. Without what only the login needs: the user and the ID
    /// token.
    #[cfg(feature = "seal")]
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            access_token: self.access_token.duplicate(),
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::duplicate),
            scopes: self.scopes.clone(),
            expires_in: self.expires_in,
            refresh_expires_in: self.refresh_expires_in,
            received_at: self.received_at,
            notes: self.notes.clone(),
            user: None,
            id_token: None,
            account: self.account.clone(),
        }
    }

    /// The ID token of OpenID Connect, as it came; `None` if there was none. It proves nothing until a provider has checked it: use
    /// [`Login::user`](crate::Login::user).
    pub fn id_token(&self) -> Option<&str> {
        self.id_token.as_deref()
    }

    /// When the access token ends, by the app's clock; `None` if the platform did not say.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.received_at.checked_add(self.expires_in?)
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("scopes", &self.scopes.as_ref().map(Scopes::len))
            .field("expires_in", &self.expires_in)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .field("received_at", &self.received_at)
            .finish()
    }
}

/// How long to wait before a new token is tried once more: replicas are a second or two behind.
pub(crate) const NEW_TOKEN_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

const MAX_CREDENTIAL: usize = 4096;
const MAX_TOKEN: usize = 16 * 1024;
