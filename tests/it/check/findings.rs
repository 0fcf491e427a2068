//! The check before an integration is saved.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::bitbucket_cloud::BitbucketCloud;
use codehost_oauth::check::{CheckReport, CheckRequest, Finding, Level, Verdict};
use codehost_oauth::error::{Audience, TransportError};
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network, Transport};
use codehost_oauth::{
    Access, BaseUrl, CallbackUrl, ClientCredentials, Integration, IntegrationConfig, OAuthProvider, Platform,
};
use tokio::time::Instant;

use crate::secrets::leak_check;
use crate::support::canned_http::{self, CannedHttp, html, json, response};

const GITLAB: &str = "https://git.example.com/gitlab";
const BITBUCKET: &str = "https://bitbucket.org";
const DISCOVERY: &str = r#"{"issuer":"https://git.example.com/gitlab",
    "token_endpoint":"https://evil.test/oauth/token","scopes_supported":["read_api","read_user","api"]}"#;
const GOOD: &str = r#"{"error":"invalid_grant","error_description":"x"}"#;

fn codes(report: &CheckReport) -> Vec<(&str, Level)> {
    report.findings().iter().map(|finding| (finding.code, finding.level)).collect()
}

async fn check(platform: &str, base_url: &str, http: &CannedHttp) -> CheckReport {
    let integration =
        canned_http::builder(platform, base_url, "canary-my-secret").transport(http.clone()).build().unwrap();
    leak_checked_report(&integration).await
}

/// The report. The leak check reads its renderings.
async fn leak_checked_report(integration: &Integration) -> CheckReport {
    let report = integration.check().await;
    leak_check::debug("a report", &report);
    leak_check::display("a report", &report);
    report
}

async fn gitlab(respond: impl Fn(&str) -> canned_http::Outcome + Send + Sync + 'static) -> (CheckReport, CannedHttp) {
    let http = CannedHttp::new(move |request| respond(&request.uri().to_string()));
    (check("gitlab", GITLAB, &http).await, http)
}

/// A GitLab with this discovery document and this response of its token endpoint.
async fn gitlab_with(discovery: &'static str, status: u16, token: &'static str) -> CheckReport {
    let respond = move |url: &str| match url {
        url if url.ends_with("/openid-configuration") => json(200, discovery),
        url if url.ends_with("/oauth/token") => json(status, token),
        _ => html(404),
    };
    gitlab(respond).await.0
}

#[tokio::test]
async fn a_good_gitlab_is_all_right() {
    let (report, http) = gitlab(|url| match url {
        "https://git.example.com/gitlab/.well-known/openid-configuration" => json(200, DISCOVERY),
        "https://git.example.com/gitlab/oauth/token" => json(400, GOOD),
        _ => panic!("{url}"),
    })
    .await;
    assert_eq!(report.verdict(), Verdict::AllRight);
    let expected = ["reachable", "tls", "platform", "issuer", "scopes", "credentials"].map(|code| (code, Level::Ok));
    assert_eq!(codes(&report), expected);
    // The report lists what was not checked.
    let rows: Vec<_> = report.not_checked().iter().map(|row| row.code).collect();
    assert_eq!(rows, ["callback_url", "scopes_ticked"]);
    assert!(report.not_checked()[0].message.contains("http://127.0.0.1:9000/oauth/callback/gitlab/demo"));
    // One request for each, and none to an address that the instance named.
    assert_eq!(http.urls().len(), 2);
    assert!(http.urls().iter().all(|url| url.contains(" https://git.example.com/gitlab/")));
    assert!(http.last_body().contains("grant_type=authorization_code"));
}

#[tokio::test]
async fn the_response_to_a_made_up_code_checks_the_credentials() {
    for (status, body, expected) in [
        (400, GOOD, vec![("credentials", Level::Ok)]),
        (401, GOOD, vec![("credentials", Level::Ok)]),
        (401, r#"{"error":"invalid_client"}"#, vec![("client_rejected", Level::Problem)]),
        (
            401,
            r#"{"error":"unauthorized_client"}"#,
            vec![("credentials", Level::Ok), ("grant_not_allowed", Level::Problem)],
        ),
        (400, r#"{"error":"invalid_request"}"#, vec![("credentials_unclear", Level::Unknown)]),
        (404, "{}", vec![("credentials_unclear", Level::Unknown)]),
        (503, "{}", vec![("code_host_down", Level::Unknown)]),
        (429, "{}", vec![("rate_limited", Level::Unknown)]),
        (200, r#"{"access_token":"t","token_type":"Bearer"}"#, vec![("code_not_checked", Level::Problem)]),
        (200, "[]", vec![("malformed", Level::Problem)]),
    ] {
        let report = gitlab_with(DISCOVERY, status, body).await;
        assert_eq!(codes(&report)[5..], expected, "{body}");
    }
    for (status, body) in [(400, r#"{"error":"invalid_request"}"#), (404, "{}")] {
        let report = gitlab_with(DISCOVERY, status, body).await;
        let audience = report.finding("credentials_unclear").unwrap().audience;
        assert_eq!(audience, Some(Audience::Administrator), "the fix is about the OAuth application: {report}");
    }
    let report = gitlab_with(DISCOVERY, 401, r#"{"error":"invalid_client"}"#).await;
    let finding = report.finding("client_rejected").unwrap();
    assert_eq!(finding.audience, Some(Audience::Administrator));
    let fix = finding.fix.as_deref().unwrap();
    assert!(fix.contains("https://git.example.com/gitlab/-/user_settings/applications"), "{fix}");
}

#[tokio::test]
async fn the_issuer_is_compared_and_never_used() {
    for (issuer, level) in [
        (r#""https://git.example.com/gitlab""#, Level::Ok),
        (r#""https://git.example.com/gitlab/""#, Level::Note),
        (r#""http://git.example.com/gitlab""#, Level::Note),
        (r#""HTTPS://GIT.EXAMPLE.COM/gitlab""#, Level::Note),
        (r#""https://git.example.com""#, Level::Warning),
        (r#""https://code.example.com/gitlab""#, Level::Warning),
        (r#""https://git.example.com:8443/gitlab""#, Level::Warning),
        (r#""javascript:alert(1)""#, Level::Note),
        ("null", Level::Note),
    ] {
        let body = format!(r#"{{"issuer":{issuer},"scopes_supported":["read_user","read_api"]}}"#);
        let report = gitlab_with(body.leak(), 400, GOOD).await;
        let finding = report.finding("issuer").unwrap();
        assert_eq!(finding.level, level, "{issuer}");
        assert!(!report.to_string().contains("javascript"));
        // A login works nevertheless.
        assert_eq!(report.verdict(), Verdict::AllRight);
        if level == Level::Warning {
            let canonical = issuer.trim_matches('"');
            assert!(finding.fix.as_deref().is_some_and(|fix| fix.contains(canonical)), "{report}");
        }
    }
}

/// A tenant who runs the server controls its responses, for example an address that looks like another's.
#[tokio::test]
async fn the_public_report_has_no_text_of_a_server() {
    const SERVER_TEXT: &str = "login.evil.test";
    let mut reports = Vec::new();
    for issuer in [
        "https://login.evil.test",
        "http://login.evil.test:8080/gitlab",
        "https://git.example.com.login.evil.test/gitlab",
        "https://git.example.com/login.evil.test",
        "https://git.example.com/gitlab?login.evil.test",
        "https://git.example.com/gitlab#login.evil.test",
        "https://login.evil.test@git.example.com/gitlab",
    ] {
        let body = format!(r#"{{"issuer":"{issuer}","scopes_supported":["read_user","read_api","login.evil.test"]}}"#);
        let report = gitlab_with(body.leak(), 400, GOOD).await;
        let full = report.to_string();
        // An issuer that cannot be a base URL is shown in no report.
        let is_shown = !issuer.contains(['?', '#', '@']);
        assert_eq!(full.contains(SERVER_TEXT), is_shown, "{issuer}");
        assert_eq!(full.contains(&format!("The server says that its own URL is {issuer}, not {GITLAB}.")), is_shown);
        assert!(
            !full.contains(&format!("Enter {issuer}")),
            "the report must not tell to enter it without asking: {full}"
        );
        reports.push(report);
    }
    for status in [301, 302, 307, 308] {
        let location = "https://login.evil.test/login.evil.test?login.evil.test";
        let (report, _) = gitlab(move |_| response(status, &[("location", location)], "login.evil.test")).await;
        assert!(report.to_string().contains("redirects to https://login.evil.test. Redirects are not followed"));
        reports.push(report);
        // Only the token endpoint redirects.
        let respond = move |url: &str| match url {
            url if url.ends_with("/openid-configuration") => json(200, DISCOVERY),
            _ => response(status, &[("location", location)], ""),
        };
        reports.push(gitlab(respond).await.0);
        let http = CannedHttp::new(move |_| response(status, &[("location", location)], ""));
        reports.push(check("bitbucket-cloud", BITBUCKET, &http).await);
    }
    for report in reports {
        let public = report.public();
        let json = serde_json::to_string(&public).unwrap();
        for text in [public.to_string(), public.to_html(), json, format!("{public:?} {public:#?} {report:?}")] {
            assert!(!text.contains(SERVER_TEXT), "{text}");
        }
        // The public report of a public report is the same.
        assert_eq!(public.public(), public);
    }
}

#[tokio::test]
async fn a_scope_unknown_to_the_instance_is_a_problem() {
    let report = gitlab_with(r#"{"scopes_supported":["read_user","api"]}"#, 400, GOOD).await;
    let finding = report.finding("scopes").unwrap();
    assert_eq!((finding.level, report.verdict()), (Level::Problem, Verdict::Wrong));
    assert!(finding.message.contains("read_api") && !finding.message.contains("read_user"));
    let report = gitlab_with(r#"{"scopes_supported":["read_*"]}"#, 400, GOOD).await;
    assert!(report.finding("not_this_platform").is_some());
    let report = gitlab_with(r#"{"scopes_supported":["read_user","read_*"]}"#, 400, GOOD).await;
    assert_eq!(report.finding("scopes").unwrap().level, Level::Ok);
}

#[tokio::test]
async fn a_gitlab_without_discovery_is_recognized_by_its_api() {
    let (report, http) = gitlab(|url| match url {
        url if url.ends_with("/api/v4/version") => response(
            401,
            &[("content-type", "application/json"), ("x-gitlab-meta", "{}")],
            r#"{"message":"401 Unauthorized"}"#,
        ),
        url if url.ends_with("/oauth/token") => json(400, GOOD),
        _ => html(404),
    })
    .await;
    assert_eq!(report.verdict(), Verdict::AllRight);
    assert_eq!(report.finding("discovery_missing").unwrap().level, Level::Note);
    assert!(report.not_checked().iter().any(|row| row.code == "scopes_known"));
    assert_eq!(http.urls().len(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_gitlab_gets_no_secret() {
    type Respond = fn(&str) -> canned_http::Outcome;
    let rows: [(&str, Respond); 8] = [
        ("not_this_platform", |_| html(200)),
        ("not_this_platform", |_| html(404)),
        ("not_this_platform", |_| json(404, "{}")),
        ("not_this_platform", |_| json(200, r#"{"issuer":"https://git.example.com","scopes_supported":["openid"]}"#)),
        ("not_this_platform", |_| json(401, r#"{"message":"401 Unauthorized"}"#)),
        ("not_this_platform", |_| response(302, &[("location", "/users/sign_in")], "")),
        ("redirect", |_| response(301, &[("location", "https://code.example.com/gitlab/x?secret=1")], "")),
        ("base_path", |url| match url {
            "https://git.example.com/.well-known/openid-configuration" => json(200, DISCOVERY),
            _ => html(404),
        }),
    ];
    for (code, respond) in rows {
        let (report, http) = gitlab(respond).await;
        assert_eq!(codes(&report), [(code, Level::Problem)]);
        let finding = report.finding(code).unwrap();
        assert_eq!(finding.audience, Some(Audience::Administrator));
        assert!(report.not_checked().iter().any(|row| row.code == "credentials"));
        assert!(http.urls().iter().all(|url| url.starts_with("GET ")), "{:?}", http.urls());
        assert!(http.urls().len() <= 4);
        match code {
            "redirect" => {
                assert_eq!(
                    finding.fix.as_deref(),
                    Some(
                        "Ask the operator of GitLab for its address. If it is https://code.example.com/gitlab, enter that \
                         as the base URL."
                    )
                );
            }
            "base_path" => assert_eq!(finding.fix.as_deref(), Some("Enter https://git.example.com as the base URL.")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_public_report_is_the_same_for_every_network_failure() {
    let causes = [
        TransportError::Unreachable,
        TransportError::TimedOut,
        TransportError::NameNotFound,
        TransportError::TlsUntrusted,
        TransportError::Tls,
        TransportError::NameNotAllowed,
        TransportError::Interrupted,
        TransportError::Protocol,
        TransportError::TooLarge { limit: 1 },
    ];
    for (platform, base_url) in [("gitlab", GITLAB), ("bitbucket-cloud", BITBUCKET)] {
        let mut reports = Vec::new();
        for cause in causes.clone() {
            let http = CannedHttp::new(move |_| Err(cause.clone()));
            reports.push(check(platform, base_url, &http).await);
        }
        for respond in [|| html(200), || html(502), || response(301, &[("location", "https://10.0.0.1/")], "")] {
            reports.push(check(platform, base_url, &CannedHttp::new(move |_| respond())).await);
        }
        let first = reports[0].public();
        assert_eq!(first.verdict(), Verdict::CouldNotTell);
        for report in &reports {
            assert_ne!(report.verdict(), Verdict::AllRight);
            assert_eq!(report.public(), first);
            assert_eq!(report.public().to_string(), first.to_string());
            assert_eq!(report.public().to_html(), first.to_html());
            assert_eq!(serde_json::to_string(&report.public()).unwrap(), serde_json::to_string(&first).unwrap());
        }
        // The operator sees the cause.
        let codes: Vec<_> = reports.iter().map(|report| report.findings()[0].code).collect();
        assert_eq!(codes[..5], ["unreachable", "timed_out", "name_not_found", "tls_untrusted", "tls_failed"]);
    }
}

/// A code host that needs this long for each response.
#[derive(Debug)]
struct DelayedHttp(CannedHttp, Duration);

#[async_trait::async_trait]
impl Transport for DelayedHttp {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        tokio::time::sleep(self.1).await;
        self.0.send(request, max_body).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_has_one_deadline() {
    let canned = CannedHttp::new(|request| match request.uri().path() {
        path if path.ends_with("/openid-configuration") => json(200, DISCOVERY),
        _ => json(401, r#"{"error":"invalid_client"}"#),
    });
    let http = DelayedHttp(canned, Duration::from_millis(400));
    let base_url = BaseUrl::parse(GITLAB, &Network::public_only()).unwrap();
    // Nothing is saved yet: a provider, the entered values and an HTTP client are enough.
    let provider = GitLab::new(base_url.clone()).unwrap();
    let client = ClientCredentials::new(&base_url, "my-id", "canary-my-secret").unwrap();
    let callback_url = CallbackUrl::new(
        &"https://packages.example.com".parse().unwrap(),
        provider.platform().id(),
        &"demo".parse().unwrap(),
    );
    let request = CheckRequest::new(callback_url, provider.required_scopes(&Access::SignIn));
    let begun = Instant::now();
    let report = provider.check(&http, &client, &request.clone().deadline(Duration::from_millis(600))).await;
    assert_eq!(begun.elapsed().as_millis(), 600);
    assert_eq!(report.finding("platform").unwrap().level, Level::Ok);
    assert_eq!(report.finding("timed_out").unwrap().level, Level::Unknown);
    assert_eq!(report.verdict(), Verdict::CouldNotTell);
    let report = provider.check(&http, &client, &request.deadline(Duration::MAX)).await;
    assert_eq!(report.finding("client_rejected").unwrap().level, Level::Problem);
}

#[tokio::test]
async fn both_fakes_pass_the_check_over_a_socket() {
    let callback = |platform: &str| format!("http://127.0.0.1:9000/oauth/callback/{platform}/demo");
    let app = FakeApplication::new("my-id", "canary-right", &callback("gitlab"), "read_api read_user");
    let gitlab = FakeGitLab::builder().application(app).start().await.unwrap();
    let app = FakeApplication::new("my-id", "canary-right", &callback("bitbucket-cloud"), "account email");
    let bitbucket = FakeBitbucket::builder().application(app).start().await.unwrap();
    for (platform, base_url) in [("gitlab", gitlab.base_url()), ("bitbucket-cloud", bitbucket.base_url())] {
        let report = leak_checked_report(&canned_http::live(platform, base_url, "canary-right").build().unwrap()).await;
        assert_eq!(report.verdict(), Verdict::AllRight, "{report}");
        for (id, secret) in [("my-id", "canary-wrong"), ("other-id", "canary-right")] {
            let integration = canned_http::live(platform, base_url, secret).credentials(id, secret).build().unwrap();
            let report = leak_checked_report(&integration).await;
            assert_eq!(report.verdict(), Verdict::Wrong);
            assert_eq!(report.finding("client_rejected").unwrap().level, Level::Problem);
            assert_eq!(report.public().findings(), report.findings(), "a wrong secret is shown in the public report");
        }
    }
    assert_eq!(gitlab.count("/oauth/token"), 3);
    assert_eq!(bitbucket.count("/site/oauth2/access_token"), 3);
    // The usual sub-path is found.
    let root = gitlab.base_url().trim_end_matches("/gitlab");
    let report = leak_checked_report(&canned_http::live("gitlab", root, "canary-right").build().unwrap()).await;
    assert!(report.finding("base_path").unwrap().fix.as_deref().unwrap().contains(gitlab.base_url()));
    let wrong = format!("{root}/gitlab/deeper/still");
    let report = leak_checked_report(&canned_http::live("gitlab", &wrong, "canary-right").build().unwrap()).await;
    assert!(report.finding("base_path").unwrap().fix.as_deref().unwrap().contains(gitlab.base_url()));
}

#[tokio::test]
async fn every_bitbucket_response_about_the_client_has_its_finding() {
    for (body, expected) in [
        (GOOD, vec![("credentials", Level::Ok)]),
        (r#"{"error":"unauthorized_client","error_description":"x"}"#, vec![("client_rejected", Level::Problem)]),
        (r#"{"error":"something_new"}"#, vec![("credentials", Level::Ok)]),
        (
            r#"{"error":"invalid_request","error_description":"No callback uri defined for the OAuth client."}"#,
            vec![("credentials", Level::Ok), ("callback_url_rejected", Level::Problem)],
        ),
    ] {
        let http = CannedHttp::new(move |request| match request.uri().host() {
            Some("api.bitbucket.org") => json(401, "{}"),
            _ => json(400, body),
        });
        let report = check("bitbucket-cloud", BITBUCKET, &http).await;
        assert_eq!(codes(&report)[..3], [("reachable", Level::Ok), ("tls", Level::Ok), ("platform", Level::Ok)]);
        assert_eq!(codes(&report)[3..], expected);
        assert_eq!(http.urls().len(), 2);
    }
    // A firewall that permits only the site.
    let http = CannedHttp::new(|request| match request.uri().host() {
        Some("api.bitbucket.org") => Err(TransportError::Unreachable),
        _ => json(400, GOOD),
    });
    let report = check("bitbucket-cloud", BITBUCKET, &http).await;
    assert_eq!(codes(&report), [("unreachable", Level::Problem), ("credentials", Level::Ok)]);
    assert!(report.findings()[0].message.contains("https://api.bitbucket.org"));
}

/// A tenant does not need to know where the operator sends the server-side requests.
#[tokio::test]
async fn the_public_report_does_not_name_the_api_url() {
    let any = Network::any();
    let inside = BaseUrl::parse("https://inside.svc:8443", &any).unwrap();
    let gitlab = GitLab::new(BaseUrl::parse(GITLAB, &any).unwrap()).unwrap().with_api_url(inside.clone());
    let providers: [Arc<dyn OAuthProvider>; 2] =
        [Arc::new(gitlab), Arc::new(BitbucketCloud::new().with_api_url(inside))];
    for (provider, status) in
        providers.iter().flat_map(|provider| [200, 401, 404, 500].map(|status| (provider, status)))
    {
        let http = CannedHttp::new(move |request| match request.uri().path() {
            "/oauth/token" | "/site/oauth2/access_token" => json(400, GOOD),
            _ => json(status, DISCOVERY),
        });
        let client = ClientCredentials::new(provider.base_url(), "my-client", "canary-my-secret").unwrap();
        let callback_url = CallbackUrl::new(
            &"https://app.example".parse().unwrap(),
            provider.platform().id(),
            &"demo".parse().unwrap(),
        );
        let request = CheckRequest::new(callback_url, provider.required_scopes(&Access::SignIn));
        let report = provider.check(&http, &client, &request).await.public();
        for text in [report.to_string(), report.to_html(), serde_json::to_string(&report).unwrap()] {
            assert!(!text.contains("inside"), "{status}: {text}");
        }
    }
}

#[tokio::test]
async fn plain_http_is_a_note_on_this_machine_and_a_warning_elsewhere() {
    let network = Network::any().danger_allow_http();
    for (base_url, expected) in [
        ("http://127.0.0.1:3000/gitlab", ("no_encryption", Level::Note)),
        ("http://localhost/gitlab", ("no_encryption", Level::Note)),
        ("http://[::1]:3000/gitlab", ("no_encryption", Level::Note)),
        ("http://git.example.com/gitlab", ("no_encryption", Level::Warning)),
        ("http://10.0.0.5/gitlab", ("no_encryption", Level::Warning)),
        ("https://127.0.0.1:3000/gitlab", ("tls", Level::Ok)),
        ("https://git.example.com/gitlab", ("tls", Level::Ok)),
    ] {
        let gitlab = GitLab::new(BaseUrl::parse(base_url, &network).unwrap()).unwrap();
        let http = CannedHttp::new(|request| match request.uri().path() {
            "/gitlab/oauth/token" => json(400, GOOD),
            _ => json(200, DISCOVERY),
        });
        let client = ClientCredentials::new(gitlab.base_url(), "my-client", "my-secret").unwrap();
        let callback_url =
            CallbackUrl::new(&"https://app.example".parse().unwrap(), gitlab.platform().id(), &"demo".parse().unwrap());
        let request = CheckRequest::new(callback_url, gitlab.required_scopes(&Access::SignIn));
        let report = gitlab.check(&http, &client, &request).await;
        let found: Vec<_> =
            codes(&report).into_iter().filter(|(code, _)| ["tls", "no_encryption"].contains(code)).collect();
        assert_eq!(found, [expected], "{base_url}");
    }
}

/// A provider of another crate may put text of a server into a finding.
#[test]
fn a_report_has_no_terminal_control_characters() {
    let mut report = CheckReport::new("bitbucket-cloud", "Bitbucket Cloud", BitbucketCloud::new().base_url());
    let hostile = "no\u{1b}[2J\u{202e}way\r\nproblem";
    report.push(Finding::problem("hostile", hostile).fix(Audience::Operator, hostile));
    report.push_not_checked("hostile", hostile);
    for text in [report.to_string(), report.to_html()] {
        let controls = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(controls), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("problem")), "{text:?}");
    }
}

#[tokio::test]
async fn a_report_shows_no_secret_and_no_markup() {
    let hostile = r#"{"issuer":"https://evil.test/<script>alert(1)</script>","scopes_supported":["read_user"]}"#;
    let report = gitlab_with(hostile, 401, r#"{"error":"<b>my-secret</b>"}"#).await;
    let texts = [report.to_string(), report.to_html(), serde_json::to_string(&report).unwrap(), format!("{report:?}")];
    for text in texts {
        assert!(!text.contains("canary-my-secret") && !text.contains("<script"), "{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "wrong");
    assert_eq!(json["platform_id"], "gitlab");
    assert_eq!(json["findings"][0]["level"], "ok");
    assert!(json["findings"][0].get("network").is_none());
}

#[test]
fn a_report_names_who_must_act() {
    let mut report = CheckReport::new("bitbucket-cloud", "Bitbucket Cloud", BitbucketCloud::default().base_url());
    let audiences = [
        (Audience::User, "What the user can do"),
        (Audience::Administrator, "What the administrator can do"),
        (Audience::Operator, "What the operator of this app can do"),
        (Audience::CodeHost, "What the operator of the code host can do"),
    ];
    for (audience, _) in audiences {
        report.push(Finding::problem("x", "Something is wrong.").fix(audience, "Look."));
    }
    for text in [report.to_string(), report.to_html()] {
        for (_, named) in audiences {
            assert_eq!(text.matches(&format!("{named}: Look.")).count(), 1, "{text}");
        }
    }
    assert_eq!(report.verdict(), Verdict::Wrong);
}

/// The administrator's base URL is right, so it must not be replaced by an address of the app's own network.
#[tokio::test]
async fn a_wrong_api_url_is_the_operators_to_correct() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let network = Network::public_only().allow_loopback_http();
    let base_url = BaseUrl::parse("https://git.example.com", &network).unwrap();
    let root = gitlab.base_url().trim_end_matches("/gitlab");
    let provider = Platform::find("gitlab").unwrap();
    let provider = provider.provider_with_api_url(base_url, BaseUrl::parse(root, &network).unwrap()).unwrap();
    let http = HttpClient::builder(network).build().unwrap();
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Demo".to_owned(),
        public_url: "http://127.0.0.1:9000".parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: "canary-secret".to_owned(),
        access: Access::SignIn,
    };
    let report = leak_checked_report(&Integration::builder(provider, http, config).build().unwrap()).await;
    let finding = report.finding("base_path").unwrap_or_else(|| panic!("{report}"));
    assert_eq!(finding.audience, Some(Audience::Operator));
    assert_eq!(finding.fix.as_deref(), Some(format!("Enter {} as the API URL.", gitlab.base_url()).as_str()));
    assert_eq!(report.connection().unwrap().addresses[0].address, Ipv4Addr::LOCALHOST);
}
