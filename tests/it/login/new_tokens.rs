//! New tokens at a code host whose nodes do not all know them yet, and the deadline of a login.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::TransportError;
use codehost_oauth::transport::Transport;
use codehost_oauth::{Access, Group, LoginPolicy};
use tokio::time::Instant;

use crate::secrets::leak_check;
use crate::support::canned_http::{self, Outcome, json};

const GITLAB: &str = "https://git.example.com";
const BITBUCKET: &str = "https://bitbucket.org";
const TOKENS: &str = r#"{"access_token":"at","token_type":"bearer","scope":"read_api read_user account email"}"#;
const GITLAB_USER: &str = r#"{"id":42,"username":"jane","state":"active"}"#;
const BITBUCKET_USER: &str = r#"{"uuid":"{11111111-2222-3333-4444-555555555555}","type":"user"}"#;
const BAD_TOKEN: &str = r#"{"error":"invalid_token","error_description":"Bad Access Token."}"#;

type Respond = dyn Fn(&str, usize) -> (Duration, Outcome) + Send + Sync;

/// Responds after a delay; response and delay are a function of the path and of the number of earlier requests for it.
#[derive(Clone)]
struct DelayedHttp(Arc<Respond>, Arc<Mutex<Vec<String>>>);

impl DelayedHttp {
    fn new(respond: impl Fn(&str, usize) -> (Duration, Outcome) + Send + Sync + 'static) -> Self {
        Self(Arc::new(respond), Arc::default())
    }

    fn count(&self, path: &str) -> usize {
        self.1.lock().unwrap().iter().filter(|seen| *seen == path).count()
    }

    fn all(&self) -> usize {
        self.1.lock().unwrap().len()
    }
}

impl fmt::Debug for DelayedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelayedHttp")
    }
}

#[async_trait::async_trait]
impl Transport for DelayedHttp {
    async fn send(&self, request: http::Request<Vec<u8>>, _: usize) -> Outcome {
        leak_check::request(&request);
        let path = request.uri().path().to_owned();
        let before = self.count(&path);
        self.1.lock().unwrap().push(path.clone());
        let (pause, response) = (self.0)(&path, before);
        tokio::time::sleep(pause).await;
        response
    }
}

fn builder(platform: &str, http: &DelayedHttp) -> canned_http::TestIntegration {
    let base_url = if platform == "gitlab" { GITLAB } else { BITBUCKET };
    canned_http::builder(platform, base_url, "canary-secret").access(Access::Read).transport(http.clone())
}

/// The error code of a login, if it fails, and its duration.
async fn log_in(builder: canned_http::TestIntegration) -> (Result<(), &'static str>, Duration) {
    let integration = builder.build().unwrap();
    let begun = Instant::now();
    let authorize = |url: &str| {
        let state = url.split("&state=").nth(1).unwrap().split('&').next().unwrap();
        let path = url.split("redirect_uri=").nth(1).unwrap().split('&').next().unwrap();
        let path = path.split("9000").nth(1).unwrap().replace("%2F", "/");
        format!("{path}?code=canary-code&state={state}")
    };
    let login = canned_http::log_in(&integration, authorize).await;
    (login.map(drop).map_err(|error| error.code()), begun.elapsed())
}

fn user(path: &str) -> Outcome {
    match path {
        "/oauth/token" | "/site/oauth2/access_token" => json(200, TOKENS),
        "/api/v4/user" => json(200, GITLAB_USER),
        "/2.0/user" => json(200, BITBUCKET_USER),
        "/2.0/user/emails" => json(200, r#"{"values":[]}"#),
        "/2.0/user/workspaces/acme/permission" => json(200, r#"{"permission":"member"}"#),
        "/api/v4/groups/acme/members/all/42" => json(200, r#"{"id":42,"access_level":30}"#),
        path => panic!("{path}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_retries_twice_while_its_new_token_is_refused() {
    for (platform, slow, group_required) in [
        ("gitlab", "/api/v4/user", false),
        ("gitlab", "/api/v4/groups/acme/members/all/42", true),
        ("bitbucket-cloud", "/2.0/user", false),
        ("bitbucket-cloud", "/2.0/user/emails", false),
        ("bitbucket-cloud", "/2.0/user/workspaces/acme/permission", true),
    ] {
        for (refusals, expected, seconds) in [
            (0, Ok(()), 0),
            (1, Ok(()), 1),
            (2, Ok(()), 3),
            (3, Err("token_rejected"), 3),
            (9, Err("token_rejected"), 3),
        ] {
            // A login does not need the addresses.
            let expected = if slow.ends_with("/emails") { Ok(()) } else { expected };
            let http = DelayedHttp::new(move |path, before| {
                let refused = path == slow && before < refusals;
                (Duration::ZERO, if refused { json(401, BAD_TOKEN) } else { user(path) })
            });
            let mut builder = builder(platform, &http);
            if group_required {
                builder = builder.policy(LoginPolicy::members_of([Group::path("acme").unwrap()]));
            }
            let (found, took) = log_in(builder).await;
            assert_eq!((found, took.as_secs()), (expected, seconds), "{slow}: {refusals} refusals");
            assert_eq!(http.count(slow), 1 + refusals.min(2), "{slow}: {refusals} refusals");
            let exchanges = http.count("/oauth/token") + http.count("/site/oauth2/access_token");
            assert_eq!(exchanges, 1, "a code is exchanged once");
        }
    }
}

/// Only 401 can mean that the token is not known yet.
#[tokio::test(start_paused = true)]
async fn other_statuses_than_401_are_not_retried() {
    for (status, code) in [(403, "forbidden"), (404, "api_not_found"), (429, "rate_limited"), (503, "code_host_down")] {
        let http = DelayedHttp::new(move |path, _| {
            (Duration::ZERO, if path == "/api/v4/user" { json(status, "{}") } else { user(path) })
        });
        let (found, took) = log_in(builder("gitlab", &http)).await;
        assert_eq!((found, took.as_secs(), http.all()), (Err(code), 0, 2), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_login_has_one_deadline() {
    let (second, forever) = (Duration::from_secs(1), Duration::from_secs(3600));
    for (platform, stuck, group_required) in [
        ("gitlab", "/oauth/token", false),
        ("gitlab", "/api/v4/user", false),
        ("gitlab", "/api/v4/groups/acme/members/all/42", true),
        ("bitbucket-cloud", "/2.0/user", false),
        ("bitbucket-cloud", "/2.0/user/workspaces/acme/permission", true),
    ] {
        for (deadline, seconds) in [(None, 30), (Some(5), 5), (Some(90), 90)] {
            let http = DelayedHttp::new(move |path, _| (if path == stuck { forever } else { second }, user(path)));
            let mut builder = builder(platform, &http);
            if let Some(deadline) = deadline {
                builder = builder.login_deadline(Duration::from_secs(deadline));
            }
            if group_required {
                builder = builder.policy(LoginPolicy::members_of([Group::path("acme").unwrap()]));
            }
            let (found, took) = log_in(builder).await;
            assert_eq!((found, took.as_secs()), (Err("timed_out"), seconds), "{stuck}");
        }
    }
    // There is no time left for another try.
    let http = DelayedHttp::new(move |path, _| {
        (Duration::from_millis(500), if path == "/api/v4/user" { json(401, BAD_TOKEN) } else { user(path) })
    });
    let (found, took) = log_in(builder("gitlab", &http).login_deadline(Duration::from_millis(3500))).await;
    assert_eq!((found, took), (Err("token_rejected"), Duration::from_millis(2500)));
    assert_eq!(http.count("/api/v4/user"), 2);
}

/// Missing addresses must not use up the deadline of the login.
#[tokio::test(start_paused = true)]
async fn a_login_waits_ten_seconds_for_the_addresses() {
    let http = DelayedHttp::new(|path, _| {
        let pause = if path == "/2.0/user/emails" { Duration::from_secs(3600) } else { Duration::ZERO };
        (pause, user(path))
    });
    let (found, took) = log_in(builder("bitbucket-cloud", &http)).await;
    assert_eq!((found, took.as_secs()), (Ok(()), 10));
}

#[tokio::test(start_paused = true)]
async fn a_lost_exchange_is_not_repeated() {
    let http = DelayedHttp::new(|_, _| (Duration::ZERO, Err(TransportError::Interrupted)));
    assert_eq!(log_in(builder("gitlab", &http)).await.0, Err("interrupted"));
    assert_eq!(http.all(), 1);
}
