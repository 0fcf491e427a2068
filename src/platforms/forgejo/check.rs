use http::StatusCode;
use serde::Deserialize;

use super::{Forgejo, PLATFORM};
use crate::error::{ApiError, Audience, Error, ResponseError, ResponseSummary, TokenError};
use crate::platforms::recognize::{Found, VersionRequest, paths_above};
use crate::provider::check::{CheckReport, CheckRequest, Finding, OtherErrors, credential_findings};
use crate::transport::{ApiRequest, ApiResponse, Transport};
use crate::util::json::Members;
use crate::util::text::is_same_issuer;
use crate::values::base_url::BaseUrl;
use crate::values::token::ClientCredentials;

/// Requests the version and the discovery document. A refusal also identifies the server. Then it sends a made-up code to the token
/// endpoint. The secret is sent only if the server is a Forgejo or Gitea.
pub(super) async fn check(
    forgejo: &Forgejo,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(PLATFORM.id(), PLATFORM.name(), &forgejo.base_url);
    match VERSION.send(&forgejo.base_url, &forgejo.api_url, candidates(&forgejo.api_url), &http).await {
        Ok(version) => {
            reached(&mut report, &forgejo.api_url, version.as_ref());
            let discovery = discovery(forgejo, &http).await;
            let response = forgejo.token_endpoint().probe(&http, client, &request.callback_url).await;
            if is_oauth_off(&response, version.as_ref(), &discovery) {
                report.push(
                    Finding::problem("oauth_disabled", "OAuth2 is switched off on this server.")
                        .fix(Audience::CodeHost, "Set ENABLED = true in the section [oauth2] of the server's app.ini."),
                );
                report.push_not_checked(
                    "credentials",
                    "The Client ID and the secret: a server without OAuth2 does not check them.",
                );
            } else {
                report.push(own_url(forgejo, &discovery));
                if !is_callback_url_compared(&response) {
                    report.push_not_checked(
                        "callback_url",
                        format!(
                            "The callback URL {}: the server compares it after Client ID and secret.",
                            request.callback_url
                        ),
                    );
                }
                report.extend(credentials(response));
            }
        }
        Err(finding) => {
            report.push(finding.network());
            report.push_not_checked(
                "credentials",
                "The Client ID and the secret: they are sent only to a server that is known to be a Forgejo or Gitea.",
            );
        }
    }
    report.push_not_checked(
        "scopes",
        "The scopes: the server has no list of them for an application. Each login asks its user for them.",
    );
    report
}

const VERSION: VersionRequest<Version> = VersionRequest {
    name: "Forgejo or Gitea",
    path: &["api", "v1", "version"],
    read: read_version,
    hint: "Enter the address of the server's start page, with its sub-path if it has one. If a protection against bots is in front \
           of it, ask the operator to let requests to /api/ and /login/oauth/access_token pass.",
};

fn read_version(response: &ApiResponse) -> Found<Version> {
    let members = Members::parse(response.text()).unwrap_or_default();
    match response.status() {
        StatusCode::OK => match members.text("version") {
            // Built without a version.
            Some(text) if text == "development" => Found::NoVersion,
            text => text.and_then(|text| Version::parse(&text)).map_or(Found::OtherServer, Found::Version),
        },
        StatusCode::FORBIDDEN if is_sign_in_required(response, &members) => Found::NoVersion,
        _ => Found::OtherServer,
    }
}

/// With `REQUIRE_SIGNIN_VIEW`, the API refuses requests without a token.
fn is_sign_in_required(response: &ApiResponse, members: &Members<'_>) -> bool {
    response.status() == StatusCode::FORBIDDEN
        && members.text("message").is_some_and(|message| message.contains("signed in user is allowed to call APIs"))
}

/// Other base URLs at which the server may be: the parent of the sub-path, and the root.
fn candidates(api_url: &BaseUrl) -> impl Iterator<Item = BaseUrl> + '_ {
    paths_above(api_url.path()).into_iter().flatten().map(|path| api_url.with_path(path))
}

fn reached(report: &mut CheckReport, api_url: &BaseUrl, version: Option<&Version>) {
    report.push(Finding::ok("reachable", "The server can be reached."));
    report.push(Finding::encryption(api_url, PLATFORM.name()));
    let Some(version) = version else {
        report.push(Finding::ok("platform", "The server is a Forgejo or Gitea. Its version is not known."));
        return;
    };
    report.push(Finding::ok("platform", format!("The server is a {}.", version.name())));
    if !version.has_scopes() {
        report.push(
            Finding::warning(
                "no_scopes",
                format!("{} gives each token all rights of its user, whatever scopes are asked for.", version.name()),
            )
            .fix(Audience::CodeHost, "Update to Forgejo 9 or Gitea 1.23, or later."),
        );
    }
}

/// What the discovery document says. Nothing is sent to an address in it.
enum Discovery {
    /// The server's own URL.
    Issuer(String),
    Missing,
    Unreadable,
}

async fn discovery(forgejo: &Forgejo, http: &dyn Transport) -> Discovery {
    let uri = forgejo.api_url.endpoint(&[".well-known", "openid-configuration"]);
    let (status, issuer) = match ApiRequest::get(&uri).send(http).await {
        Ok(response) => (Some(response.status()), response.json_or_default::<Document>().issuer),
        Err(error) => (error.summary().map(ResponseSummary::status), None),
    };
    match (status, issuer) {
        (Some(StatusCode::NOT_FOUND), _) => Discovery::Missing,
        (Some(StatusCode::OK), Some(issuer)) => Discovery::Issuer(issuer),
        _ => Discovery::Unreadable,
    }
}

/// Without OAuth, the token endpoint responds with 403, and newer versions have no discovery document. Each alone can also come
/// from a proxy, so both are needed where the version is a newer one.
fn is_oauth_off(response: &Result<(), Error>, version: Option<&Version>, discovery: &Discovery) -> bool {
    let is_forbidden = matches!(response, Err(Error::Api { cause: ApiError::Forbidden, .. }));
    let is_older = !version.is_some_and(Version::hides_discovery_without_oauth);
    is_forbidden && (is_older || matches!(discovery, Discovery::Missing))
}

fn own_url(forgejo: &Forgejo, discovery: &Discovery) -> Finding {
    match discovery {
        Discovery::Issuer(own) if is_same_issuer(own, forgejo.base_url.as_str()) => {
            Finding::ok("issuer", "The server has the base URL as its own.")
        }
        Discovery::Issuer(_) => Finding::warning(
            "issuer",
            "The server has another URL as its own. It sends browsers there, and its links lead there.",
        )
        .fix(
            Audience::CodeHost,
            "Set ROOT_URL in the section [server] of the server's app.ini to the address at which users open it.",
        ),
        Discovery::Missing | Discovery::Unreadable => {
            Finding::note("discovery_missing", "The server's discovery document cannot be read.")
        }
    }
}

/// The server compares the callback URL before the code.
fn is_callback_url_compared(response: &Result<(), Error>) -> bool {
    let cause = if let Err(Error::Token { cause, .. }) = response { Some(cause) } else { None };
    matches!(cause, Some(TokenError::CodeRejected | TokenError::CallbackUrlRejected { .. }))
}

fn credentials(response: Result<(), Error>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &response {
        Err(Error::Token { cause: TokenError::CodeRejected, .. }) => {
            findings.push(Finding::ok("callback_url", "The callback URL is registered."));
        }
        // The base URL is correct: the API has responded.
        Err(error @ Error::Response { cause: ResponseError::Html | ResponseError::NotJson, .. }) => {
            let fix = "Let requests to /login/oauth/access_token and /api/ pass: a protection against bots or another login \
                       page responds in the server's place.";
            return vec![Finding::from_error(error).fix(Audience::CodeHost, fix)];
        }
        _ => {}
    }
    findings.extend(credential_findings(response, OtherErrors::ProveNothing, REJECTED));
    findings
}

#[derive(Default, Deserialize)]
struct Document {
    issuer: Option<String>,
}

const REJECTED: &str = "The Client ID or the Client secret is wrong.";

/// A version, such as `15.0.3+gitea-1.22.0` of a Forgejo and `1.25.4` of a Gitea.
struct Version {
    is_forgejo: bool,
    numbers: [u64; 3],
}

impl Version {
    /// `None` if the text is not a version.
    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let mut parts = text.get(..end)?.split('.').map(|part| part.parse().ok());
        let numbers = [parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)];
        Some(Self { is_forgejo: text.contains("+gitea-"), numbers })
    }

    fn name(&self) -> String {
        let [major, minor, patch] = self.numbers;
        format!("{} {major}.{minor}.{patch}", if self.is_forgejo { "Forgejo" } else { "Gitea" })
    }

    /// Older versions have the discovery document also while OAuth is switched off.
    fn hides_discovery_without_oauth(&self) -> bool {
        self.numbers >= if self.is_forgejo { [13, 0, 0] } else { [1, 25, 0] }
    }

    /// Older versions ignore scopes.
    fn has_scopes(&self) -> bool {
        self.numbers >= if self.is_forgejo { [9, 0, 0] } else { [1, 23, 0] }
    }
}
