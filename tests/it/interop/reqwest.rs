//! An app's own `reqwest::Client`. All features of reqwest are on here that another crate in the app's tree could turn on.
//! What both transports promise is tested in `tests/it/transport/requests.rs` and `hostile.rs`.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::Access;
use codehost_oauth::error::{Audience, ConfigError};
use codehost_oauth::interop::ReqwestTransport;
use codehost_oauth::transport::Transport as _;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::platforms::all;
use crate::secrets::leak_check::LeakChecked as _;
use crate::support::{
    IntegrationSetup, RawServer, canned_http, free_address, get, gitlab, log_in, reqwest_builder, reqwest_transport,
};

const CAP: usize = 1024;

#[tokio::test]
async fn a_login_and_a_refresh_work_on_every_platform() {
    for host in all::all().await {
        let builder = canned_http::builder(host.platform, &host.base_url, "canary-right").access(Access::SignIn);
        let integration = builder.transport(reqwest_transport()).build().unwrap();
        let login = canned_http::log_in(&integration, |url| (host.authorize)(url, host.user).unwrap()).await.unwrap();
        assert!(login.user.key.to_string().starts_with(&format!("{}:demo:", host.platform)));
        let tokens = integration.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
        let user = integration.user(&tokens.access_token).await.leak_checked().unwrap();
        assert_eq!(user.key, login.user.key, "{}", host.platform);
    }
}

/// Each wrong client with the code of its error, and the words that its hint must have.
fn wrong_clients() -> Vec<(ClientBuilder, &'static str, &'static str)> {
    const REDIRECTS: (&str, &str) = ("reqwest_redirects", ".redirect(reqwest::redirect::Policy::none())");
    const ENCODINGS: (&str, &str) = ("reqwest_decompression", ".no_gzip().no_brotli().no_deflate().no_zstd()");
    // A default header whose value looks like the setting that is missing.
    let imitation = [(http::header::FROM, r#"redirect_policy: "Policy(None)""#.parse().unwrap())];
    let imitation = reqwest_builder().redirect(Policy::default()).default_headers(imitation.into_iter().collect());
    [
        (reqwest_builder().redirect(Policy::default()), REDIRECTS),
        (reqwest_builder().redirect(Policy::limited(1)), REDIRECTS),
        (reqwest_builder().redirect(Policy::custom(|attempt| attempt.follow())), REDIRECTS),
        (imitation, REDIRECTS),
        (reqwest_builder().gzip(true), ENCODINGS),
        (reqwest_builder().brotli(true), ENCODINGS),
        (reqwest_builder().deflate(true), ENCODINGS),
        (reqwest_builder().zstd(true), ENCODINGS),
        (reqwest_builder().cookie_store(true), ("reqwest_cookies", "without `.cookie_store(true)`")),
    ]
    .into_iter()
    .map(|(client, (code, fix))| (client, code, fix))
    .collect()
}

#[test]
fn a_wrong_client_is_refused_with_the_line_that_corrects_it() {
    for (client, code, fix) in wrong_clients() {
        let error = ReqwestTransport::new(client.build().unwrap()).leak_checked().unwrap_err();
        let advice = error.advice();
        assert_eq!((error.code(), advice.audience), (code, Audience::Operator));
        assert!(advice.hint.contains(fix), "{}", advice.hint);
    }
    // With all features on, each default is wrong.
    let default = Client::builder().tls_certs_only([]);
    assert_eq!(ReqwestTransport::new(default.build().unwrap()).unwrap_err(), ConfigError::ReqwestRedirects);
    let no_redirects = Client::builder().tls_certs_only([]).redirect(Policy::none());
    assert_eq!(ReqwestTransport::new(no_redirects.build().unwrap()).unwrap_err(), ConfigError::ReqwestDecompression);
    // Settings that do not matter are accepted, and so is a header that looks like one.
    let header = [(http::header::FROM, "redirect_policy: None, cookies".parse().unwrap())];
    let client = reqwest_builder().default_headers(header.into_iter().collect()).user_agent("app").https_only(true);
    ReqwestTransport::new(client.timeout(Duration::from_secs(1)).build().unwrap()).unwrap();
}

/// `new` reads what the client shows of itself. This test compares it with what the client does: those that are refused follow a
/// redirect, decompress, or send a cookie back, and the accepted one does none of it.
#[tokio::test]
async fn what_a_client_shows_is_what_it_does() {
    for (client, code, _) in wrong_clients() {
        let expected = match code {
            "reqwest_redirects" => &["redirect"][..],
            "reqwest_decompression" => &["gzip", "br", "deflate", "zstd"],
            _ => &["cookie"],
        };
        let found = behaviour(client.build().unwrap()).await;
        assert!(!found.is_empty() && found.iter().all(|one| expected.contains(one)), "{code}: {found:?}");
    }
    let found = behaviour(reqwest_builder().build().unwrap()).await;
    assert!(found.is_empty(), "{found:?}");
}

/// What this client does that a transport must not do.
async fn behaviour(client: Client) -> Vec<&'static str> {
    let server = MockServer::start().await;
    let redirect = ResponseTemplate::new(302).insert_header("Location", "/target").insert_header("Set-Cookie", "a=b");
    Mock::given(path("/redirect")).respond_with(redirect).mount(&server).await;
    Mock::given(path("/target")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let encoded = ResponseTemplate::new(200).insert_header("Content-Encoding", encoding).set_body_bytes([1, 2, 3]);
        Mock::given(path(format!("/{encoding}"))).respond_with(encoded).mount(&server).await;
    }
    let url = |path: &str| format!("{}/{path}", server.uri());
    let mut wrong = Vec::new();
    client.get(url("redirect")).send().await.unwrap();
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        // The body is not encoded in that way, so decoding it fails.
        let body = client.get(url(encoding)).send().await.unwrap().bytes().await;
        if body.is_err() {
            wrong.push(encoding);
        }
    }
    for request in server.received_requests().await.unwrap() {
        if request.url.path() == "/target" {
            wrong.push("redirect");
        }
        if request.headers.contains_key("cookie") {
            wrong.push("cookie");
        }
    }
    wrong
}

/// A code works once. The client's own policy repeats every request twice; a `GET` shows that it does.
#[tokio::test]
async fn a_post_is_sent_once_whatever_the_retry_policy_is() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(503)).expect(3).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(503)).expect(2).mount(&server).await;
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(503)).expect(1).mount(&server).await;
    let retry = reqwest::retry::for_host("127.0.0.1").no_budget().classify_fn(|response| response.retryable());
    let http = ReqwestTransport::new(reqwest_builder().retry(retry).build().unwrap()).unwrap();
    for (method, body) in [("GET", ""), ("POST", "code=abc"), ("POST", ""), ("DELETE", "")] {
        let request = http::Request::builder().method(method).uri(server.uri()).body(body.as_bytes().to_vec()).unwrap();
        assert_eq!(http.send(request, CAP).await.leak_checked().unwrap().status(), 503);
    }
    server.verify().await;
    let sent = server.received_requests().await.unwrap();
    let post = sent.iter().find(|request| request.method == "POST" && !request.body.is_empty()).unwrap();
    assert_eq!(post.headers["content-length"], "8");
    assert_eq!(post.body, b"code=abc");
}

/// The defaults of the app's client hold, but not against the promises of this crate.
#[tokio::test]
async fn a_default_accept_encoding_is_replaced() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let header = [(http::header::ACCEPT_ENCODING, "gzip".parse().unwrap())];
    let client = reqwest_builder().default_headers(header.into_iter().collect());
    let http = ReqwestTransport::new(client.build().unwrap()).unwrap();
    get(&http, &server.uri(), CAP).await.unwrap();
    assert_eq!(server.received_requests().await.unwrap()[0].headers["accept-encoding"], "identity");
}

/// As with the default client, the app's name is sent if it has one, and else this crate's.
#[tokio::test]
async fn the_user_agent_is_the_apps() {
    for (client, expected) in
        [(reqwest_builder().user_agent("my-app/1"), "my-app"), (reqwest_builder(), "codehost-oauth")]
    {
        let gitlab = gitlab().await;
        let http = ReqwestTransport::new(client.build().unwrap()).unwrap();
        let integration = IntegrationSetup::new("gitlab", gitlab.base_url()).build_with(http);
        log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap();
        for request in gitlab.requests() {
            let sent = request.header("user-agent").unwrap();
            assert_eq!(sent.split('/').next(), Some(expected), "{sent}");
        }
    }
}

/// A resolver without names.
#[derive(Debug)]
struct NoNames;

impl reqwest::dns::Resolve for NoNames {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async { Err("no such name".into()) })
    }
}

#[tokio::test]
async fn failures_have_their_causes() {
    let code = async |client: ClientBuilder, url: &str| {
        let http = ReqwestTransport::new(client.build().unwrap()).unwrap();
        let error = get(&http, url, CAP).await.unwrap_err();
        assert!(!format!("{error} {error:?} {}", error.advice().hint).contains("127.0.0.1"));
        error.code()
    };
    let closed = format!("http://{}/", free_address());
    assert_eq!(code(reqwest_builder(), &closed).await, "unreachable");
    assert_eq!(code(reqwest_builder(), &closed.replace("http:", "https:")).await, "unreachable");
    assert_eq!(
        code(reqwest_builder().dns_resolver(Arc::new(NoNames)), "http://git.example.com/").await,
        "name_not_found"
    );
    assert_eq!(code(reqwest_builder().https_only(true), &closed).await, "plain_http");
    for url in ["ftp://127.0.0.1/x", "git.example.com:443", "/path/only"] {
        assert_eq!(code(reqwest_builder(), url).await, "not_http", "{url}");
    }
    let silent = RawServer::silent().await;
    assert_eq!(code(reqwest_builder().timeout(Duration::from_millis(100)), &silent.url()).await, "timed_out");
    // A port without TLS, and one that closes the connection.
    let plain = RawServer::responding("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(code(reqwest_builder(), &plain.https_url()).await, "tls_failed");
    let empty = RawServer::responding("").await;
    assert_eq!(code(reqwest_builder(), &empty.https_url()).await, "tls_failed");
    assert_eq!(code(reqwest_builder(), &empty.url()).await, "interrupted");
}

/// The causes of rustls are told apart, as in the default client.
#[cfg(not(feature = "native-tls"))]
#[tokio::test]
async fn causes_of_certificates_are_told_apart() {
    use crate::transport::requests::{certificate_for, serve_tls};
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = certificate_for(&["git.example.com"]).self_signed(&key).unwrap();
    let trusted = reqwest::Certificate::from_pem(certificate.pem().as_bytes()).unwrap();
    let url = serve_tls(certificate, key).await;
    for (roots, code) in [(vec![], "tls_untrusted"), (vec![trusted], "tls_wrong_name")] {
        let http = ReqwestTransport::new(reqwest_builder().tls_certs_only(roots).build().unwrap()).unwrap();
        assert_eq!(get(&http, &url, CAP).await.unwrap_err().code(), code);
    }
}

/// The circuit breaker opens for all clones, so a tenant that saves its settings again does not close it.
#[tokio::test]
async fn clones_share_their_limits() {
    let server = RawServer::responding("").await;
    let http = reqwest_transport();
    let look_up = async |http: &ReqwestTransport| {
        let builder = canned_http::builder("gitlab", &server.url(), "canary-right").transport(http.clone());
        let integration = builder.build().unwrap();
        let tokens = canned_http::tokens(&integration, false);
        let error = integration.user(&tokens.access_token).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "interrupted");
        server.connections()
    };
    for sent in 1..=5 {
        assert_eq!(look_up(&http).await, sent);
    }
    assert_eq!(look_up(&http).await, 5, "nothing is sent");
    assert_eq!(look_up(&reqwest_transport()).await, 6, "another transport has its own limits");
}
