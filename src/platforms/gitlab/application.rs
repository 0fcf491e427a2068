use http::StatusCode;
use serde_json::json;

use super::{GitLab, PLATFORM, refusal};
use crate::error::{ApiError, Error};
use crate::provider::oauth_provider::OAuthProvider as _;
use crate::provider::setup::{AppOwner, SetupRequest};
use crate::transport::{ApiRequest, Transport};
use crate::util::json::Members;
use crate::values::token::{AccessToken, ClientCredentials};

impl GitLab {
    /// Creates the OAuth application by GitLab's API, in place of the setup guide: one request. Returns its credentials.
    ///
    /// `token` belongs to an administrator (for [`AppOwner::Instance`]), to an owner of the group (for [`AppOwner::Group`],
    /// GitLab 19.6 or later), or to the user who will own the application (for [`AppOwner::User`]). It needs the scope `api`. It is
    /// used for this request only: do not store it.
    ///
    /// Source: docs.gitlab.com, "Applications API", "Group applications API" and "User applications API".
    ///
    /// ```no_run
    /// # use codehost_oauth::gitlab::GitLab;
    /// # use codehost_oauth::setup::{AppOwner, SetupRequest};
    /// # use codehost_oauth::transport::HttpClient;
    /// # use codehost_oauth::{error::Error, AccessToken, OAuthProvider, TokenBinding};
    /// # async fn example(gitlab: GitLab, http: HttpClient, request: SetupRequest, pasted: String) -> Result<(), Error> {
    /// let binding = TokenBinding::new(request.id.clone(), gitlab.base_url().clone());
    /// if let Some(token) = AccessToken::new(pasted, &binding) {
    ///     let client = gitlab.create_application(&http, &token, &request.owner(AppOwner::Instance)).await?;
    ///     println!("{}", client.client_id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ApiError::TooOld`] if this GitLab cannot do it for this owner, [`ApiError::TokenRejected`] and [`ApiError::Forbidden`]
    /// for the token, otherwise as [`OAuthProvider::user`](crate::OAuthProvider::user).
    pub async fn create_application(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        request: &SetupRequest,
    ) -> Result<ClientCredentials, Error> {
        let (path, needed): (Vec<&str>, _) = match &request.owner {
            AppOwner::Instance => (vec!["applications"], "GitLab 10.5"),
            AppOwner::Group(group) => (vec!["groups", group.trim().trim_matches('/'), "applications"], "GitLab 19.6"),
            AppOwner::User => (vec!["user", "applications"], "GitLab 19"),
        };
        let uri = self.api_url.endpoint(&[&["api", "v4"], path.as_slice()].concat());
        let callback_urls = request.callback_urls(PLATFORM.id());
        let body = json!({
            "name": request.name,
            "redirect_uri": callback_urls.iter().map(|url| url.as_str()).collect::<Vec<_>>().join("\n"),
            "scopes": self.required_scopes(&request.access).to_string(),
            "confidential": true,
        });
        let response = ApiRequest::post(&uri).bearer(token, &self.base_url)?.json(&body)?.send(http).await?;
        match response.status() {
            status if status.is_success() => {}
            // For an endpoint that it does not have, GitLab sends `error`; for a group that it does not have, `message`.
            StatusCode::NOT_FOUND if Members::parse(response.text()).is_none_or(|found| !found.is_set("message")) => {
                let cause = ApiError::TooOld { needed };
                return Err(Error::Api { cause, response: Box::new(response.summary()) });
            }
            _ => return Err(refusal::api(&self.base_url, &response)),
        }
        let malformed = |member| response.malformed(member);
        let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
        let text = |name| members.required::<String>(name).map_err(malformed);
        let client = ClientCredentials::new(&self.base_url, &text("application_id")?, &text("secret")?)?;
        Ok(client.with_api_url(&self.api_url))
    }
}
