use serde::Deserialize;
use url::Url;

use super::GitLab;
use crate::base_url::BaseUrl;
use crate::check::{Bounded, CheckReport, CheckRequest, Finding, WRONG_CREDENTIALS, credentials};
use crate::error::{AnswerError, Audience, Error, TransportError};
use crate::scope::Scopes;
use crate::token::ClientCredentials;
use crate::transport::{Network, Reply, Transport};

/// Asks for the discovery document, or failing that for the version, which tells a GitLab by its refusal; then for the
/// tokens of a code that was made up. The secret is sent only if there is a GitLab.
pub(super) async fn check(
    gitlab: &GitLab,
    http: &dyn Transport,
    client: &ClientCredentials,
    request: &CheckRequest,
) -> CheckReport {
    let http = request.bounded(http);
    let mut report = CheckReport::new(gitlab);
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
                    report.push_not_checked(
                        "scopes_known",
                        "Whether this GitLab knows the scopes: it publishes no list.",
                    );
                }
            }
            let answer = gitlab.token_endpoint().probe(&http, client, &request.callback_url).await;
            credentials(answer, false, WRONG_CREDENTIALS).into_iter().for_each(|finding| report.push(finding));
        }
        Err(finding) => {
            report.push(finding.network());
            report.push_not_checked(
                "credentials",
                "Whether the client id and secret are right: a secret is sent only to what is surely a GitLab.",
            );
        }
    }
    report.push_not_checked(
        "callback_url",
        format!(
            "Whether the callback URL {} is registered: GitLab looks at it only after a person has signed in.",
            request.callback_url
        ),
    );
    report.push_not_checked(
        "scopes_ticked",
        format!("Whether the scopes {} are ticked: GitLab tells only a person who logs in.", request.scopes),
    );
    report
}

/// Whether a GitLab answers, and its discovery document if it has one. If not, the one finding that says why.
async fn recognize(gitlab: &GitLab, http: &Bounded<'_>) -> Result<Option<Discovery>, Finding> {
    let api_url = &gitlab.api_url;
    let first = match Reply::get_public(http, &discovery_url(api_url)).await {
        Ok(reply) => match Discovery::of_gitlab(&reply) {
            Some(discovery) => return Ok(Some(discovery)),
            None => seen(&reply),
        },
        Err(error) => other(api_url, http, error).await?,
    };
    // The document can be blocked or switched off; the API's refusal has a mark of its own.
    let second = match Reply::get_public(http, &api_url.endpoint(&["api", "v4", "version"])).await {
        Ok(reply) if is_gitlab_api(&reply) => return Ok(None),
        Ok(_) => None,
        Err(error) => Some(other(api_url, http, error).await?),
    };
    if speaks_tls(api_url, http).await {
        return Err(tls_port(api_url));
    }
    for candidate in candidates(api_url) {
        let reply = Reply::get_public(http, &discovery_url(&candidate)).await;
        if reply.is_ok_and(|reply| Discovery::of_gitlab(&reply).is_some()) {
            let message = format!("There is no GitLab at {api_url}, but there is one at {candidate}.");
            let fix = format!("Enter {candidate} as the base URL.");
            return Err(Finding::problem("base_path", message).fix(Audience::Administrator, fix));
        }
    }
    let message = format!("Something answers at {api_url}, but no GitLab: {}.", second.unwrap_or(first));
    Err(Finding::problem("not_this_platform", message).fix(
        Audience::Administrator,
        "Enter the address of GitLab's start page, with its sub-path if it has one, and see that no login wall stands \
         before it.",
    ))
}

/// What an answer that is no GitLab's was, in a few words; a finding if nothing more is to be learned from this address.
async fn other(api_url: &BaseUrl, http: &Bounded<'_>, error: Error) -> Result<String, Finding> {
    match &error {
        Error::Transport(TransportError::Protocol | TransportError::Interrupted) if speaks_tls(api_url, http).await => {
            Err(tls_port(api_url))
        }
        Error::Answer { cause: AnswerError::Redirect { to }, .. } => match to {
            Some(to) if *to != origin(api_url) => Err(redirect(api_url, to)),
            _ => Ok("it redirects to another page".to_owned()),
        },
        Error::Answer {
            cause: AnswerError::RateLimited { .. } | AnswerError::Unavailable { .. } | AnswerError::ReadOnly,
            ..
        } => Err(Finding::from_error(&error)),
        Error::Answer { cause, answer } => {
            let what = if *cause == AnswerError::Html { "a web page" } else { "no JSON" };
            Ok(format!("{what}, status {}", answer.status().as_u16()))
        }
        _ => Err(Finding::from_error(&error)),
    }
}

fn seen(reply: &Reply) -> String {
    match reply.status().as_u16() {
        200 => "JSON of another kind of server".to_owned(),
        status => format!("status {status}"),
    }
}

fn redirect(api_url: &BaseUrl, to: &str) -> Finding {
    let message = format!(
        "The server at {api_url} redirects to {to}. Only the server says so, and a redirect is never followed with a \
         secret."
    );
    let fix = format!(
        "Ask whoever runs GitLab for its address. If it is {to}{}, enter that as the base URL.",
        api_url.path()
    );
    Finding::problem("redirect", message).fix(Audience::Administrator, fix)
}

fn tls_port(api_url: &BaseUrl) -> Finding {
    let https = api_url.as_str().replacen("http://", "https://", 1);
    Finding::problem("http_on_tls_port", format!("{api_url} begins with http://, but this port speaks TLS."))
        .fix(Audience::Administrator, format!("Enter {https} as the base URL."))
}

/// Whether a base URL with `http://` leads to a port that speaks TLS: it does if anything at all comes back by it, and
/// also if only its certificate is not trusted.
async fn speaks_tls(api_url: &BaseUrl, http: &Bounded<'_>) -> bool {
    let mut url = discovery_url(api_url);
    let port = url.port_or_known_default();
    if url.scheme() != "http" || url.set_scheme("https").is_err() || url.set_port(port).is_err() {
        return false;
    }
    match Reply::get_public(http, &url).await {
        Ok(_) | Err(Error::Answer { .. }) => true,
        Err(Error::Transport(cause)) => cause.is_certificate(),
        Err(_) => false,
    }
}

/// Where the GitLab may be instead: at each parent of the sub-path, and at the sub-path that GitLab's documentation uses.
/// Three at most, so that a long path costs no more than a short one.
fn candidates(api_url: &BaseUrl) -> impl Iterator<Item = BaseUrl> + '_ {
    let path = api_url.path();
    let parent = path.rfind('/').and_then(|at| path.get(..at));
    let root = (!path.is_empty()).then_some("");
    let usual = (path != USUAL_PATH).then_some(USUAL_PATH);
    let parent = parent.filter(|parent| !parent.is_empty() && *parent != USUAL_PATH);
    [usual, root, parent].into_iter().flatten().map(|path| api_url.with_path(path))
}

const USUAL_PATH: &str = "/gitlab";

fn discovery_url(api_url: &BaseUrl) -> Url {
    api_url.endpoint(&[".well-known", "openid-configuration"])
}

/// `{"message":"401 Unauthorized"}` and a header that nobody else sends.
fn is_gitlab_api(reply: &Reply) -> bool {
    let marked = ["x-gitlab-meta", "x-gitlab-feature-category"].iter().any(|name| reply.header(name).is_some());
    marked && reply.status() == http::StatusCode::UNAUTHORIZED
}

/// What can be said once a GitLab has answered.
fn reached(report: &mut CheckReport, api_url: &BaseUrl) {
    // Not at which URL: the report for a tenant has this too, and the operator may have set another one.
    report.push(Finding::ok("reachable", "It answers."));
    report.push(if api_url.as_str().starts_with("https:") {
        Finding::ok("tls", "Its certificate is trusted.")
    } else if api_url.is_loopback() {
        Finding::note("no_encryption", "The connection is not encrypted; it does not leave this machine.")
    } else {
        let message = "The connection is not encrypted: everybody on the way can read the secret and the tokens.";
        Finding::warning("no_encryption", message).fix(Audience::CodeHost, "Serve GitLab by https://.")
    });
    report.push(Finding::ok("platform", "It is a GitLab."));
}

/// Whether the instance's own idea of its URL is the base URL. It is only compared: nothing is ever sent there. It is named
/// to the operator only, if it could be a base URL at all, and never as an address to enter without asking.
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
                "Ask whoever runs GitLab for its address. If it is {own}, enter that as the base URL, unless this host \
                 can only reach it by another name."
            ),
        )
        .publicly(
            format!("The server says that its own URL is another one than {base_url}."),
            "Open GitLab in a browser, and compare the address there with the base URL.",
        )
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// `https://host:port`, without a port that is the scheme's own: what a redirect's target is compared with.
fn origin(url: &BaseUrl) -> String {
    url.endpoint(&[]).origin().ascii_serialization()
}

fn scopes(report: &mut CheckReport, wanted: &Scopes, supported: &[String]) {
    if supported.is_empty() {
        report.push_not_checked("scopes_known", "Whether this GitLab knows the scopes: it publishes no list.");
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
        Finding::ok("scopes", format!("It knows every scope that logins ask for: {wanted}."))
    } else {
        Finding::problem("scopes", format!("It does not know: {unknown}."))
            .fix(Audience::Administrator, "Choose another access level, or update GitLab.")
    });
}

const MAX_URL: usize = 512;

/// The members that are looked at. The endpoints are not: they are built from the base URL.
#[derive(Default, Deserialize)]
struct Discovery {
    issuer: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    claims_supported: Vec<String>,
}

impl Discovery {
    fn of_gitlab(reply: &Reply) -> Option<Self> {
        let discovery: Self = reply.status().is_success().then(|| reply.refusal())?;
        let scope = discovery.scopes_supported.iter().any(|scope| scope == "read_user");
        let claim = discovery.claims_supported.iter().any(|claim| claim == "https://gitlab.org/claims/groups/owner");
        (scope || claim).then_some(discovery)
    }
}
