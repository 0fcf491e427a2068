use futures_util::future;

use super::{BitbucketCloud, PLATFORM};
use crate::error::Error;
use crate::provider::check::{CheckReport, CheckRequest, Finding, OtherErrors, credential_findings};
use crate::transport::{ApiRequest, Transport};
use crate::values::base_url::BaseUrl;
use crate::values::token::ClientCredentials;

/// Sends a made-up code to the token endpoint and a request to the API, at the same time. The code host need not be
/// recognized first: the address is a constant.
pub(super) async fn check(
    bitbucket: &BitbucketCloud,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(PLATFORM.id(), PLATFORM.name(), &bitbucket.base_url);
    let endpoint = bitbucket.token_endpoint();
    let (response, api) =
        future::join(endpoint.probe(&http, client, &request.callback_url), api(&bitbucket.api_url, &http)).await;
    let reached = |response: &Result<(), Error>| {
        !matches!(response, Err(Error::Transport(_) | Error::Response { .. } | Error::Config(_)))
    };
    match (reached(&response), api) {
        (true, Ok(())) => {
            report.push(Finding::ok("reachable", "Bitbucket Cloud and its API can be reached."));
            report.push(Finding::encryption(&bitbucket.api_url, PLATFORM.name()));
            report.push(Finding::ok("platform", "It is Bitbucket Cloud."));
        }
        // `credential_findings` adds the finding about the site.
        (false, Ok(())) => {}
        (_, Err(error)) => {
            let finding = Finding::from_error(&error);
            let message = format!("The API at {} does not work: {}", bitbucket.api_url, finding.message);
            report.push(finding.with_message(message).network());
        }
    }
    report.extend(credential_findings(response, OtherErrors::ProveAccepted, REJECTED));
    report.push_not_checked(
        "callback_url",
        format!("The callback URL {}: Bitbucket compares it only when somebody logs in.", request.callback_url),
    );
    report.push_not_checked(
        "scopes_ticked",
        format!("The scopes {}: Bitbucket shows only at a login whether they are ticked.", request.scopes),
    );
    report
}

/// Checks that the API responds. It refuses a request without a token, and that is enough.
async fn api(api_url: &BaseUrl, http: &dyn Transport) -> Result<(), Error> {
    let response = ApiRequest::get(&api_url.endpoint(&["2.0", "user"])).send(http).await?;
    if matches!(response.status().as_u16(), 401 | 403) { Ok(()) } else { Err(super::refusal::api(api_url, &response)) }
}

/// Bitbucket sends the same error for both causes.
const REJECTED: &str = "Bitbucket does not accept the Client ID (Key) and the Secret: one of them is wrong, or Bitbucket \
                        refuses this client for some minutes after too many requests.";
