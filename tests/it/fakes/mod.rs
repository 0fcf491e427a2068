//! The fakes against recorded responses, with an independent HTTP client. All other tests rely on the fakes.

mod bitbucket;
mod bitbucket_data_center;
mod doorkeeper;
mod forgejo;
mod github;
mod gitlab;
mod new_application;
mod sockets;

use reqwest::header::HeaderMap;

use crate::support::fixture::Fixture;

/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://127.0.0.1:9000/callback";

struct ResponseSummary {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl ResponseSummary {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that the response equals the fixture except for tokens, ids and times.
    #[track_caller]
    fn assert_like(&self, name: &str, base_url: &str) {
        let fixture = Fixture::load(name, base_url);
        assert_eq!((self.status, masked(&self.body)), (fixture.status, masked(&fixture.body)), "{name}");
        for (header, value) in &fixture.headers {
            assert_eq!(masked(self.header(header)), masked(value), "{name}: {header}");
        }
        for header in self.headers.keys().map(reqwest::header::HeaderName::as_str) {
            let known = ["date", "content-length", "x-request-id"].contains(&header)
                || fixture.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header));
            assert!(known, "{name}: {header} was not recorded");
        }
    }
}

/// A client without redirects, proxies and the system's certificates.
fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
}

async fn send(request: reqwest::RequestBuilder) -> ResponseSummary {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    ResponseSummary { status, headers, body: response.text().await.unwrap() }
}

async fn get(url: &str) -> ResponseSummary {
    send(client().get(url)).await
}

async fn get_with_token(url: &str, token: &str) -> ResponseSummary {
    send(client().get(url).bearer_auth(token)).await
}

fn form(url: &str, params: &[(&str, &str)]) -> reqwest::RequestBuilder {
    client().post(url).header("Content-Type", "application/x-www-form-urlencoded").body(encoded(params))
}

fn encoded(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

/// The value of a parameter of a URL's query.
fn param(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

/// `params` with one of them set, or removed if the value is empty.
fn with<'a>(params: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut params: Vec<_> = params.iter().copied().filter(|(key, _)| *key != name).collect();
    if !value.is_empty() {
        params.push((name, value));
    }
    params
}

/// Tokens, correlation ids and seconds since 1970 become one letter each.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() || (c == '-' && !run.is_empty()) {
            run.push(c);
            continue;
        }
        match run.len() {
            36 | 64 => out.push('T'),
            10 if run.bytes().all(|byte| byte.is_ascii_digit()) => out.push('S'),
            _ => out.push_str(&run),
        }
        run.clear();
        out.push(c);
    }
    // The end mark.
    out.pop();
    out
}
