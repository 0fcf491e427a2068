use http::StatusCode;

use super::{BitbucketDataCenter, PLATFORM, refusal};
use crate::error::{Audience, ConfigError, Error, TokenError};
use crate::platforms::recognize::{Found, VersionRequest, paths_above};
use crate::provider::check::{CheckReport, CheckRequest, Finding, OtherErrors, credential_findings};
use crate::transport::{ApiResponse, Transport};
use crate::util::json::Members;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;
use crate::values::secret::Secret;
use crate::values::token::ClientCredentials;

/// Requests the application properties, which have the version. Then it sends a made-up code to the token endpoint, with the
/// client's secret and with a made-up one: nothing says whether Bitbucket checks the client first. The secret is sent only to
/// a Bitbucket with OAuth 2.0.
pub(super) async fn check(
    bitbucket: &BitbucketDataCenter,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(PLATFORM.id(), PLATFORM.name(), &bitbucket.base_url);
    match recognize(bitbucket, &http).await {
        Ok(version) => {
            reached(&mut report, &bitbucket.api_url, version);
            let response = probe(bitbucket, &http, client, &request.callback_url).await;
            report.extend(credential_findings(response, OtherErrors::ProveNothing, REJECTED));
        }
        Err(finding) => {
            report.push(finding.network());
            report.push_not_checked(
                "credentials",
                "The Client ID and the secret: they are sent only to a server that is known to be a Bitbucket with OAuth 2.0.",
            );
        }
    }
    report.push_not_checked(
        "callback_url",
        format!("The callback URL {}: Bitbucket checks it only after somebody has logged in.", request.callback_url),
    );
    report.push_not_checked(
        "scopes",
        format!("The permissions {}: Bitbucket shows only at a login whether the link has them.", request.scopes),
    );
    report
}

/// What Bitbucket says to a made-up code. `CodeRejected` proves that it accepts the client: with a made-up secret, it says
/// something else.
pub(super) async fn probe(
    bitbucket: &BitbucketDataCenter,
    http: &dyn Transport,
    client: &ClientCredentials,
    callback_url: &CallbackUrl,
) -> Result<(), Error> {
    let first = bitbucket.token_endpoint().probe(http, client, callback_url).await;
    let Err(Error::Token { cause: TokenError::CodeRejected, response }) = first else { return first };
    let made_up = made_up(bitbucket, client)?;
    let second = bitbucket.token_endpoint().probe(http, &made_up, callback_url).await;
    let cause = match second {
        Err(Error::Token { cause: TokenError::ClientRejected { .. }, .. }) => TokenError::CodeRejected,
        // Bitbucket accepts any secret, or looks at the code first.
        _ => TokenError::Refused,
    };
    Err(Error::Token { cause, response })
}

fn made_up(bitbucket: &BitbucketDataCenter, client: &ClientCredentials) -> Result<ClientCredentials, ConfigError> {
    let [secret] = Secret::random()?;
    let made_up = ClientCredentials::new(&bitbucket.base_url, client.client_id(), secret.expose())?;
    Ok(made_up.with_api_url(&bitbucket.api_url))
}

/// The version, `None` if only users may read it. If there is no Bitbucket with OAuth 2.0, the finding that says why.
async fn recognize(bitbucket: &BitbucketDataCenter, http: &dyn Transport) -> Result<Option<Version>, Finding> {
    let (base_url, api_url) = (&bitbucket.base_url, &bitbucket.api_url);
    match VERSION.send(base_url, api_url, candidates(api_url), http).await? {
        Some(version) if !version.has_oauth() => Err(too_old(&version)),
        version => Ok(version),
    }
}

const VERSION: VersionRequest<Version> = VersionRequest {
    name: "Bitbucket Data Center",
    path: &["rest", "api", "latest", "application-properties"],
    read: read_version,
    hint: "Enter the address of Bitbucket's start page, with its context path if it has one, and check that no other login page is \
           in front of it.",
};

fn read_version(response: &ApiResponse) -> Found<Version> {
    let members = Members::parse(response.text()).unwrap_or_default();
    match response.status() {
        // The name of the instance can be changed.
        StatusCode::OK if members.text("displayName").is_some() => {
            let version = members.text("version").and_then(|text| Version::parse(&text));
            version.map_or(Found::OtherServer, Found::Version)
        }
        StatusCode::UNAUTHORIZED if refusal::is_bitbucket(response) => Found::NoVersion,
        _ => Found::OtherServer,
    }
}

fn too_old(Version([major, minor]): &Version) -> Finding {
    let message = format!(
        "This Bitbucket is version {major}.{minor}. Logins need OAuth 2.0, which Bitbucket has since version 7.20."
    );
    Finding::problem("version_too_old", message)
        .fix(Audience::CodeHost, "Update Bitbucket. Versions up to 8.19 have had no support since March 2026.")
}

/// Other base URLs at which Bitbucket may be: the usual context paths, the parent of the path, and the root.
fn candidates(api_url: &BaseUrl) -> impl Iterator<Item = BaseUrl> + '_ {
    let path = api_url.path();
    let usual = ["/bitbucket", "/stash"].into_iter().filter(move |usual| *usual != path);
    paths_above(path).into_iter().flatten().chain(usual).map(|path| api_url.with_path(path))
}

fn reached(report: &mut CheckReport, api_url: &BaseUrl, version: Option<Version>) {
    report.push(Finding::ok("reachable", "Bitbucket can be reached."));
    report.push(Finding::encryption(api_url, PLATFORM.name()));
    report.push(match version {
        Some(Version([major, minor])) => Finding::ok("platform", format!("The server is a Bitbucket {major}.{minor}.")),
        None => Finding::ok("platform", "The server is a Bitbucket. It tells its version to users only."),
    });
}

const REJECTED: &str = "The Client ID or the Client secret is wrong.";

/// Major and minor number.
struct Version([u64; 2]);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        Some(Self([parts.next()??, parts.next().flatten().unwrap_or(0)]))
    }

    fn has_oauth(&self) -> bool {
        self.0 >= [7, 20]
    }
}
