use futures_util::future;

use super::BitbucketCloud;
use crate::base_url::BaseUrl;
use crate::check::{Bounded, CheckReport, CheckRequest, Finding, credentials};
use crate::error::Error;
use crate::token::ClientCredentials;
use crate::transport::{Reply, Transport};

/// Asks for the tokens of a code that was made up, and whether the API answers, at the same time. There is nothing to
/// recognize: the address is a constant.
pub(super) async fn check(
    bitbucket: &BitbucketCloud,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(bitbucket);
    let endpoint = bitbucket.token_endpoint();
    let (answer, api) =
        future::join(endpoint.probe(&http, client, &request.callback_url), api(&bitbucket.api_url, &http)).await;
    let reached = |answer: &Result<(), Error>| {
        !matches!(answer, Err(Error::Transport(_) | Error::Answer { .. } | Error::Config(_)))
    };
    match (reached(&answer), api) {
        (true, Ok(())) => {
            report.push(Finding::ok("reachable", "Bitbucket Cloud and its API answer."));
            report.push(if bitbucket.base_url.as_str().starts_with("https:") {
                Finding::ok("tls", "Their certificates are trusted.")
            } else {
                Finding::note("no_encryption", "The connection is not encrypted; it does not leave this machine.")
            });
            report.push(Finding::ok("platform", "It is Bitbucket Cloud."));
        }
        // What is wrong with the site is said below.
        (false, Ok(())) => {}
        (_, Err(error)) => {
            let finding = Finding::from_error(&error);
            let message = format!("The API at {} does not work: {}", bitbucket.api_url, finding.message);
            report.push(finding.saying(message).network());
        }
    }
    credentials(answer, true, REJECTED).into_iter().for_each(|finding| report.push(finding));
    report.push_not_checked(
        "callback_url",
        format!(
            "Whether the callback URL is {}: Bitbucket compares it only when a person logs in.",
            request.callback_url
        ),
    );
    report.push_not_checked(
        "scopes_ticked",
        format!("Whether the scopes {} are ticked: Bitbucket tells only a person who logs in.", request.scopes),
    );
    report
}

/// Whether the API answers at all. Without a token it refuses, which is an answer.
async fn api(api_url: &BaseUrl, http: &Bounded<'_>) -> Result<(), Error> {
    let reply = Reply::get_public(http, &api_url.endpoint(&["2.0", "user"])).await?;
    if matches!(reply.status().as_u16(), 401 | 403) { Ok(()) } else { Err(super::refusal::api(api_url, &reply)) }
}

/// The same words stand for both.
const REJECTED: &str = "Bitbucket does not accept the client id and secret: one of them is wrong, or Bitbucket refuses this \
                        client for some minutes, as it does after many requests.";
