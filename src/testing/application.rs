use std::fmt;

use super::wire::Credentials;

/// An OAuth application that is registered at a fake.
#[derive(Clone)]
#[non_exhaustive]
pub struct FakeApplication {
    /// The name on the authorization page.
    pub name: String,
    /// GitLab's Application ID, Bitbucket's Client ID or Key.
    pub client_id: String,
    /// The secret that the token endpoint checks.
    pub client_secret: String,
    /// The registered callback URLs. Empty if the administrator left the field empty.
    pub redirect_uris: Vec<String>,
    /// The scopes whose check boxes are ticked.
    pub scopes: Vec<String>,
    /// Whether the token endpoint requires the secret.
    pub confidential: bool,
}

impl FakeApplication {
    /// A confidential application. `scopes` are separated by spaces.
    pub fn new(client_id: &str, client_secret: &str, redirect_uri: &str, scopes: &str) -> Self {
        Self {
            name: "Example".to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: vec![redirect_uri.to_owned()],
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            confidential: true,
        }
    }

    pub(super) fn accepts(&self, credentials: &Credentials) -> bool {
        self.client_id == credentials.id
            && match &credentials.secret {
                Some(secret) => *secret == self.client_secret,
                None => !self.confidential,
            }
    }
}

/// Shows everything except the secret.
impl fmt::Debug for FakeApplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeApplication")
            .field("name", &self.name)
            .field("client_id", &self.client_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("scopes", &self.scopes)
            .field("confidential", &self.confidential)
            .finish_non_exhaustive()
    }
}

/// Why the authorization page did not redirect to the callback URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FakeError {
    /// The page shows an error and does not redirect.
    #[error("the authorization page shows: {0}")]
    Page(String),
    /// The URL is not that of the fake's authorization page.
    #[error("the URL is not that of this fake's authorization page")]
    Url,
    /// The fake has no user with this user name.
    #[error("the fake has no user called {0}")]
    UnknownUser(String),
}
