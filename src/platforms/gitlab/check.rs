use http::Uri;
use serde::Deserialize;

use super::{GitLab, PLATFORM};
use crate::error::{Audience, Error, ResponseError, TransportError};
use crate::platforms::recognize::{enter, paths_above};
use crate::provider::check::{CheckReport, CheckRequest, Finding, OtherErrors, credential_findings};
use crate::transport::{ApiRequest, ApiResponse, Network, Transport};
use crate::values::base_url::BaseUrl;
use crate::values::scope::Scopes;
use crate::values::token::ClientCredentials;

/// Requests the discovery document. Without one it requests the version, whose refusal identifies a GitLab. Then it sends a
/// made-up code to the token endpoint. The secret is sent only if the server is a GitLab.
pub(super) async fn check(
    gitlab: &GitLab,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(PLATFORM.id(), PLATFORM.name(), &gitlab.base_url);
    match recognize(gitlab, &http).await {
        Ok(discovery) => {
            reached(&mut report, &gitlab.api_url);
            match discovery {
                Some(discovery) => {
                    report.push(issuer(&gitlab.base_url, discovery.issuer.as_deref()));
                    scopes(&mut report, &request.scopes, &discovery.scopes_supported);
                }
                None => {
                    report.push(Finding::note(
                        "discovery_missing",
                        "This GitLab publishes no discovery document, so its own URL and scopes are not known.",
                    ));
                    scopes(&mut report, &request.scopes, &[]);
                }
            }
            let response = gitlab.token_endpoint().probe(&http, client, &request.callback_url).await;
            report.extend(credential_findings(response, OtherErrors::ProveNothing, REJECTED));
        }
        Err(finding) => {
            report.push(finding.network());
            report.push_not_checked(
                "credentials",
                "The Application ID and the Secret: they are sent only to a server that is known to be a GitLab.",
            );
        }
    }
    report.push_not_checked(
        "callback_url",
        format!("The callback URL {}: GitLab checks it only after somebody has logged in.", request.callback_url),
    );
    report.push_not_checked(
        "scopes_ticked",
        format!("The scopes {}: GitLab shows only at a login whether they are ticked.", request.scopes),
    );
    report
}

/// The discovery document of the GitLab, `None` if it publishes none. If there is no GitLab, the finding that says why.
async fn recognize(gitlab: &GitLab, http: &dyn Transport) -> Result<Option<Discovery>, Finding> {
    let api_url = &gitlab.api_url;
    let first = match ApiRequest::get(&discovery(api_url)).send(http).await {
        Ok(response) => match Discovery::of_gitlab(&response) {
            Some(discovery) => return Ok(Some(discovery)),
            None => describe(&response),
        },
        Err(error) => describe_error(gitlab, http, error).await?,
    };
    // The document can be blocked or switched off. The API's refusal also identifies a GitLab.
    let second = match ApiRequest::get(&api_url.endpoint(&["api", "v4", "version"])).send(http).await {
        Ok(response) if is_gitlab_api(&response) => return Ok(None),
        Ok(_) => None,
        Err(error) => Some(describe_error(gitlab, http, error).await?),
    };
    if uses_tls(api_url, http).await {
        return Err(http_on_tls_port(gitlab));
    }
    for candidate in candidates(api_url) {
        let response = ApiRequest::get(&discovery(&candidate)).send(http).await;
        if response.is_ok_and(|response| Discovery::of_gitlab(&response).is_some()) {
            let message = format!("There is no GitLab at {api_url}, but there is one at {candidate}.");
            let finding = Finding::problem("base_path", message);
            return Err(enter(finding, candidate.as_str(), &gitlab.base_url, api_url));
        }
    }
    let message =
        format!("The server at {api_url} does not respond like a GitLab. It sent {}.", second.unwrap_or(first));
    Err(Finding::problem("not_this_platform", message).fix(
        Audience::Administrator,
        "Enter the address of GitLab's start page, with its sub-path if it has one, and check that no other login page \
         is in front of it.",
    ))
}

/// Describes a failed request in a few words, or returns a finding if no further request is needed.
async fn describe_error(gitlab: &GitLab, http: &dyn Transport, error: Error) -> Result<String, Finding> {
    let api_url = &gitlab.api_url;
    match &error {
        Error::Transport(TransportError::Protocol | TransportError::Interrupted) if uses_tls(api_url, http).await => {
            Err(http_on_tls_port(gitlab))
        }
        Error::Response { cause: ResponseError::Redirect { to }, .. } => match to {
            Some(to) if *to != origin(api_url) => Err(redirect(api_url, to)),
            _ => Ok("a redirect to another page".to_owned()),
        },
        Error::Response { cause, .. } if cause.advice().is_transient => Err(Finding::from_error(&error)),
        Error::Response { cause, response } => {
            let what = if *cause == ResponseError::Html { "a web page" } else { "a response that is not JSON" };
            Ok(format!("{what}, with status {}", response.status().as_u16()))
        }
        _ => Err(Finding::from_error(&error)),
    }
}

fn describe(response: &ApiResponse) -> String {
    match response.status().as_u16() {
        200 => "JSON of another kind of server".to_owned(),
        status => format!("a response with status {status}"),
    }
}

fn redirect(api_url: &BaseUrl, to: &str) -> Finding {
    let message = format!(
        "The server at {api_url} redirects to {to}. Redirects are not followed, so that the secret is sent to no other \
         server."
    );
    let fix = format!(
        "Ask the operator of GitLab for its address. If it is {to}{}, enter that as the base URL.",
        api_url.path()
    );
    Finding::problem("redirect", message).fix(Audience::Administrator, fix)
}

fn http_on_tls_port(gitlab: &GitLab) -> Finding {
    let api_url = &gitlab.api_url;
    let https = api_url.as_str().replacen("http://", "https://", 1);
    let message = format!("{api_url} begins with http://, but this port uses TLS.");
    enter(Finding::problem("http_on_tls_port", message), &https, &gitlab.base_url, api_url)
}

/// Whether the port of a base URL with `http://` uses TLS: it does if any response comes over TLS, or if only its
/// certificate is not trusted.
async fn uses_tls(api_url: &BaseUrl, http: &dyn Transport) -> bool {
    let mut url = api_url.page(&DISCOVERY);
    let port = url.port_or_known_default();
    if url.scheme() != "http" || url.set_scheme("https").is_err() || url.set_port(port).is_err() {
        return false;
    }
    let Ok(uri) = Uri::try_from(url.as_str()) else { return false };
    match ApiRequest::get(&uri).send(http).await {
        Ok(_) | Err(Error::Response { .. }) => true,
        Err(Error::Transport(cause)) => cause.is_certificate(),
        Err(_) => false,
    }
}

/// Other base URLs at which the GitLab may be: the sub-path of GitLab's documentation, the root, and the parent of the
/// sub-path. There are never more than three, so that a long path costs no more than a short one.
fn candidates(api_url: &BaseUrl) -> impl Iterator<Item = BaseUrl> + '_ {
    let path = api_url.path();
    let [parent, root] = paths_above(path);
    let usual = (path != USUAL_PATH).then_some(USUAL_PATH);
    [usual, root, parent.filter(|parent| *parent != USUAL_PATH)]
        .into_iter()
        .flatten()
        .map(|path| api_url.with_path(path))
}

const USUAL_PATH: &str = "/gitlab";

fn discovery(api_url: &BaseUrl) -> Uri {
    api_url.endpoint(&DISCOVERY)
}

const DISCOVERY: [&str; 2] = [".well-known", "openid-configuration"];

/// Whether this is a 401 with a header that only GitLab sends.
fn is_gitlab_api(response: &ApiResponse) -> bool {
    let marked = ["x-gitlab-meta", "x-gitlab-feature-category"].iter().any(|name| response.header(name).is_some());
    marked && response.status() == http::StatusCode::UNAUTHORIZED
}

/// The findings once a GitLab has responded.
fn reached(report: &mut CheckReport, api_url: &BaseUrl) {
    // Without the URL: tenants see this finding, and the operator may have set another API URL.
    report.push(Finding::ok("reachable", "GitLab can be reached."));
    report.push(Finding::encryption(api_url, PLATFORM.name()));
    report.push(Finding::ok("platform", "The server is a GitLab."));
}

/// Compares the URL that the instance gives as its own with the base URL. Nothing is ever sent to that URL. Only the full
/// report shows it, if it can be a base URL, and the fix is to ask before it is entered.
fn issuer(base_url: &BaseUrl, issuer: Option<&str>) -> Finding {
    let own = issuer.filter(|text| text.len() <= MAX_URL);
    let network = Network::any().danger_allow_http();
    let Some(own) = own.and_then(|text| BaseUrl::parse(text, &network).ok()) else {
        return Finding::note("issuer", "This GitLab does not say what its own URL is.");
    };
    if issuer == Some(base_url.as_str()) {
        return Finding::ok("issuer", format!("Its own URL is the base URL, {base_url}."));
    }
    if without_scheme(own.as_str()) == without_scheme(base_url.as_str()) {
        return Finding::note(
            "issuer",
            "Its own URL differs from the base URL only in http or https, in a slash, or in upper case.",
        );
    }
    Finding::warning("issuer", format!("The server says that its own URL is {own}, not {base_url}."))
        .fix(
            Audience::Administrator,
            format!(
                "Ask the operator of GitLab for its address. If it is {own}, enter that as the base URL, unless this app \
                 can reach it only by another name."
            ),
        )
        .with_public_text(
            format!("The server says that its own URL is not {base_url}."),
            "Open GitLab in a browser, and compare the address there with the base URL.",
        )
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// `https://host:port`, without the scheme's default port, to compare with the target of a redirect.
fn origin(url: &BaseUrl) -> String {
    url.page(&[]).origin().ascii_serialization()
}

fn scopes(report: &mut CheckReport, wanted: &Scopes, supported: &[String]) {
    if supported.is_empty() {
        report
            .push_not_checked("scopes_known", "The scopes: this GitLab publishes no list of the scopes that it knows.");
        return;
    }
    let known = |scope: &str| {
        let fits = |entry: &String| match entry.strip_suffix('*') {
            Some(prefix) => scope.starts_with(prefix),
            None => entry == scope,
        };
        supported.iter().any(fits)
    };
    let unknown: Scopes = wanted.iter().filter(|scope| !known(scope.as_str())).cloned().collect();
    report.push(if unknown.is_empty() {
        Finding::ok("scopes", format!("GitLab knows every scope that logins ask for: {wanted}."))
    } else {
        Finding::problem("scopes", format!("This GitLab does not know the scopes {unknown}."))
            .fix(Audience::Administrator, "Choose another access level, or update GitLab.")
    });
}

/// The longest URL that is shown, in bytes.
const MAX_URL: usize = 512;

const REJECTED: &str = "The Application ID or the Secret is wrong. GitLab does not say which of them.";

/// The members that are read. The endpoints are not read: they are built from the base URL.
#[derive(Default, Deserialize)]
struct Discovery {
    issuer: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    claims_supported: Vec<String>,
}

impl Discovery {
    fn of_gitlab(response: &ApiResponse) -> Option<Self> {
        let discovery: Self = response.status().is_success().then(|| response.json_or_default())?;
        let scope = discovery.scopes_supported.iter().any(|scope| scope == "read_user");
        let claim = discovery.claims_supported.iter().any(|claim| claim == "https://gitlab.org/claims/groups/owner");
        (scope || claim).then_some(discovery)
    }
}
