use http::StatusCode;

use super::{GitHub, PLATFORM};
use crate::error::{Audience, Error, TokenError};
use crate::provider::check::{CheckReport, CheckRequest, Finding, OtherErrors, credential_findings};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::token::ClientCredentials;

/// Requests `meta`, which every GitHub has, also in private mode. Only then the secret is sent: with a made-up code to the token
/// endpoint. No source says that GitHub checks the client before the code, so `meta` with the credentials must accept them too.
pub(super) async fn check(
    github: &GitHub,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(PLATFORM.id(), PLATFORM.name(), &github.base_url);
    match recognize(github, &http).await {
        Ok(()) => {
            report.push(Finding::ok("reachable", "GitHub can be reached."));
            report.push(Finding::encryption(&github.base_url, PLATFORM.name()));
            report.push(Finding::ok("platform", "The server is a GitHub."));
            report.extend(credentials(github, &http, client, request).await);
        }
        Err(finding) => {
            report.push(finding.network());
            report.push_not_checked(
                "credentials",
                "The Client ID and the secret: they are sent only to a server that is known to be a GitHub.",
            );
        }
    }
    report.push_not_checked(
        "callback_url",
        format!("The callback URL {}: GitHub checks it only after somebody has logged in.", request.callback_url),
    );
    report.push_not_checked("scopes", "The scopes: GitHub has no list of them. Each login asks its user for them.");
    report
}

async fn recognize(github: &GitHub, http: &dyn Transport) -> Result<(), Finding> {
    let meta = github.api_url.endpoint(&["meta"]);
    let response = ApiRequest::get(&meta).send(http).await.map_err(|error| match &error {
        Error::Response { cause, .. } if !cause.advice().is_transient => not_github(github),
        _ => Finding::from_error(&error),
    })?;
    if is_github(&response) { Ok(()) } else { Err(not_github(github)) }
}

/// Whether the response is that of a GitHub: members of `meta`, or the refusal of a server in private mode.
fn is_github(response: &ApiResponse) -> bool {
    let members = Members::parse(response.text()).unwrap_or_default();
    match response.status() {
        status if status.is_success() => {
            members.is_set("installed_version") || members.read::<bool>("verifiable_password_authentication").is_some()
        }
        StatusCode::UNAUTHORIZED => {
            response.header("x-github-request-id").is_some()
                || members.text("message").is_some_and(|message| message.starts_with("Must authenticate to access"))
        }
        // Too many requests from this address, in the words of GitHub.
        StatusCode::FORBIDDEN => response.header("x-github-request-id").is_some(),
        _ => false,
    }
}

fn not_github(github: &GitHub) -> Finding {
    let message = format!("The server at {} does not respond like a GitHub.", github.base_url);
    Finding::problem("not_this_platform", message).fix(
        Audience::Administrator,
        "Enter the address of GitHub's start page, and check that no other login page is in front of it.",
    )
}

async fn credentials(
    github: &GitHub,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> Vec<Finding> {
    let response = github.token_endpoint().probe(http, client, &request.callback_url).await;
    let is_code_refused = matches!(&response, Err(Error::Token { cause: TokenError::CodeRejected, .. }));
    if is_code_refused && !accepts_basic(github, http, client).await {
        let message = "The response does not show whether the Client ID and the secret are correct.";
        let fix = "Log in once to find out whether they are correct.";
        return vec![Finding::unknown("credentials_unclear", message).fix(Audience::Administrator, fix)];
    }
    credential_findings(response, OtherErrors::ProveNothing, "The Client ID or the Client secret is wrong.")
}

/// Whether `meta` accepts Client ID and secret by HTTP Basic, as documented for OAuth Apps.
async fn accepts_basic(github: &GitHub, http: &dyn Transport, client: &ClientCredentials) -> bool {
    let meta = github.api_url.endpoint(&["meta"]);
    let Ok(request) = ApiRequest::get(&meta).basic(client, &github.base_url) else { return false };
    request.send(http).await.is_ok_and(|response| response.status().is_success())
}
