use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::TransportError;
use crate::transport::Transport;
use crate::values::callback_url::CallbackUrl;
use crate::values::scope::Scopes;

/// What a check needs besides base URL and credentials. All of it is known before the integration is saved.
///
/// ```
/// use codehost_oauth::{check::CheckRequest, gitlab::GitLab, transport::Network, Access, BaseUrl, CallbackUrl, OAuthProvider};
///
/// let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only())?)?;
/// let callback_url = CallbackUrl::new(&"https://packages.example.com".parse()?, "gitlab", &"demo".parse()?);
/// let request = CheckRequest::new(callback_url, gitlab.required_scopes(&Access::SignIn));
/// assert_eq!(request.scopes.to_string(), "read_user");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckRequest {
    /// The callback URL of the integration.
    pub callback_url: CallbackUrl,
    /// The scopes that logins will ask for.
    pub scopes: Scopes,
    /// How long the whole check may take: 30 seconds unless set, 5 minutes at most.
    pub deadline: Duration,
}

impl CheckRequest {
    /// A request with a deadline of 30 seconds.
    pub fn new(callback_url: CallbackUrl, scopes: Scopes) -> Self {
        Self { callback_url, scopes, deadline: Duration::from_secs(30) }
    }

    /// Sets how long the whole check may take.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// A transport for all calls of one check, which share its deadline. The time counts from now.
    pub fn bounded<'a>(&self, http: &'a dyn Transport) -> impl Transport + 'a {
        let now = Instant::now();
        Bounded { http, until: now.checked_add(self.deadline.min(MAX_DEADLINE)).unwrap_or(now) }
    }
}

/// A transport whose calls share one deadline.
#[derive(Debug)]
struct Bounded<'a> {
    http: &'a dyn Transport,
    until: Instant,
}

#[async_trait]
impl Transport for Bounded<'_> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let response = tokio::time::timeout_at(self.until, self.http.send(request, max_body)).await;
        response.unwrap_or(Err(TransportError::TimedOut))
    }
}

const MAX_DEADLINE: Duration = Duration::from_secs(300);
