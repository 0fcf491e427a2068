//! Which kind of server is at a base URL: the first question of a check.

use crate::error::{Audience, Error, ResponseError};
use crate::provider::check::Finding;
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::values::base_url::BaseUrl;

/// A request without a token, whose response shows that the server is one of this platform.
pub(super) struct VersionRequest<V> {
    /// The platform, for messages.
    pub(super) name: &'static str,
    /// Segments below the API URL.
    pub(super) path: &'static [&'static str],
    pub(super) read: fn(&ApiResponse) -> Found<V>,
    /// What to do about another kind of server.
    pub(super) hint: &'static str,
}

/// What the response shows.
pub(super) enum Found<V> {
    Version(V),
    /// A server of this platform, which does not tell its version.
    NoVersion,
    OtherServer,
}

impl<V> VersionRequest<V> {
    /// The version, `None` if the server does not tell it. If it is another kind of server, the finding that says so, and which
    /// of the `candidates` would be right.
    pub(super) async fn send(
        &self,
        base_url: &BaseUrl,
        api_url: &BaseUrl,
        candidates: impl Iterator<Item = BaseUrl> + Send,
        http: &dyn Transport,
    ) -> Result<Option<V>, Finding> {
        match self.send_to(api_url, http).await {
            Ok(Found::Version(version)) => return Ok(Some(version)),
            Ok(Found::NoVersion) => return Ok(None),
            Ok(Found::OtherServer) => {}
            Err(error) => match &error {
                Error::Response {
                    cause: ResponseError::Redirect { .. } | ResponseError::Html | ResponseError::NotJson,
                    ..
                } => {}
                _ => return Err(Finding::from_error(&error)),
            },
        }
        let name = self.name;
        for candidate in candidates {
            if matches!(self.send_to(&candidate, http).await, Ok(Found::Version(_) | Found::NoVersion)) {
                let message = format!("There is no {name} at {api_url}, but there is one at {candidate}.");
                return Err(enter(Finding::problem("base_path", message), candidate.as_str(), base_url, api_url));
            }
        }
        let message = format!("The server at {api_url} does not respond like a {name}.");
        Err(Finding::problem("not_this_platform", message).fix(Audience::Administrator, self.hint))
    }

    async fn send_to(&self, base: &BaseUrl, http: &dyn Transport) -> Result<Found<V>, Error> {
        let response = ApiRequest::get(&base.endpoint(self.path)).send(http).await?;
        Ok((self.read)(&response))
    }
}

/// Other paths at which the server may be: the parent of the path, and the root.
pub(super) fn paths_above(path: &str) -> [Option<&str>; 2] {
    let parent = path.rfind('/').and_then(|at| path.get(..at)).filter(|parent| !parent.is_empty());
    let root = (!path.is_empty()).then_some("");
    [parent, root]
}

/// Adds the fix to a finding: to enter another URL. If the app reaches the API at a URL of its own, that is the one to correct,
/// and its operator has set it.
pub(super) fn enter(finding: Finding, url: &str, base_url: &BaseUrl, api_url: &BaseUrl) -> Finding {
    if api_url == base_url {
        finding.fix(Audience::Administrator, format!("Enter {url} as the base URL."))
    } else {
        finding.fix(Audience::Operator, format!("Enter {url} as the API URL."))
    }
}
