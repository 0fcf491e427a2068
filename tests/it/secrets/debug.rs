//! The `Debug` of values that hold secrets.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::check::{CheckReport, Finding};
use codehost_oauth::error::Audience;
use codehost_oauth::keeper::{ConnectionId, MemoryTokens, Revision, SqliteTokens, StoredTokens, TokenKeeper};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeGitLab, Fault, FaultyStore, ScriptedTransport, Traffic,
};
use codehost_oauth::{Access, Callback, ScopeDescription, WebUrl};

use crate::support::{self, canned_http};

fn application() -> FakeApplication {
    FakeApplication::new("my-id", "canary-shown-secret", "http://127.0.0.1:9000/cb", "read_user")
}

fn ring() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

#[tokio::test]
async fn debug_of_fakes_shows_the_address_and_no_secret() {
    let text = format!("{:?}", application());
    assert!(text.contains("\"my-id\"") && text.contains("read_user") && !text.contains("shown-secret"), "{text}");
    let builder = format!("{:?}", FakeGitLab::builder().application(application()));
    assert!(builder.starts_with("FakeGitLabBuilder") && !builder.contains("shown-secret"), "{builder}");
    let builder = format!("{:?}", FakeBitbucket::builder().application(application()));
    assert!(builder.starts_with("FakeBitbucketBuilder") && !builder.contains("shown-secret"), "{builder}");
    let gitlab = FakeGitLab::builder().application(application()).start().await.unwrap();
    assert_eq!(format!("{gitlab:?}"), format!("FakeGitLab({})", gitlab.base_url()));
    let bitbucket = FakeBitbucket::builder().application(application()).start().await.unwrap();
    let urls = format!("{}, {}", bitbucket.base_url(), bitbucket.api_url());
    assert_eq!(format!("{bitbucket:?}"), format!("FakeBitbucket({urls})"));
    assert_eq!(format!("{:?}", Traffic::Callback("http://127.0.0.1/?code=canary")), "Callback");
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let recorded = Arc::clone(&seen);
    codehost_oauth::testing::on_traffic(move |passing| recorded.lock().unwrap().push(format!("{passing:?}")));
    support::get(&support::http(), bitbucket.base_url(), 4096).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(["Request", "Response"].iter().all(|what| seen.iter().any(|seen| seen == what)), "{seen:?}");
    let scripted = ScriptedTransport::new();
    scripted.otherwise(200, &[], "canary-response");
    assert_eq!(format!("{scripted:?}"), "ScriptedTransport(0 requests, 0 responses left)");
}

#[tokio::test]
async fn debug_of_stores_and_keepers_shows_the_type_and_no_secret() {
    let folder = std::env::temp_dir().join(format!("codehost-oauth-debug-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let sqlite = SqliteTokens::open(folder.join("canary-tokens.db")).await.unwrap();
    assert_eq!(format!("{sqlite:?}"), "SqliteTokens");
    drop(sqlite);
    std::fs::remove_dir_all(&folder).unwrap();

    let faulty = FaultyStore::new(MemoryTokens::default());
    assert!(format!("{faulty:?}").starts_with("FaultyStore(MemoryTokens"), "{faulty:?}");
    let nothing = || Arc::new(|| {}) as Arc<dyn Fn() + Send + Sync>;
    let faults = [
        Fault::Error,
        Fault::LostResponse,
        Fault::Delay(Duration::ZERO),
        Fault::Before(nothing()),
        Fault::After(nothing()),
    ];
    assert_eq!(format!("{faults:?}"), "[Error, LostResponse, Delay, Before, After]");

    let integration =
        Arc::new(canned_http::builder("gitlab", "https://git.example.com", "canary-shown-secret").build().unwrap());
    let builder = TokenKeeper::builder(MemoryTokens::default(), ring(), Arc::clone(&integration));
    let text =
        format!("{builder:?} {:?} {integration:?}", TokenKeeper::builder(faulty, ring(), integration.clone()).build());
    assert!(text.contains("KeyRing([1])") && text.contains("lease: 45s"), "{text}");
    assert!(!text.contains("shown-secret") && !text.contains("7, 7"), "{text}");
    let connection: ConnectionId = "gitlab:demo:1".parse().unwrap();
    assert_eq!(format!("{connection:?}"), "ConnectionId(gitlab:demo:1)");
    assert_eq!((integration.name(), integration.access()), ("Demo", &Access::Read));
}

#[test]
fn a_link_is_displayed_unchanged() {
    let link = WebUrl::parse("https://git.example.com/alice").unwrap();
    assert_eq!(format!("{link} {link:?}"), "https://git.example.com/alice WebUrl(29 bytes)");
    assert_eq!(serde_json::to_string(&link).unwrap(), "\"https://git.example.com/alice\"");
    assert_eq!(link.as_ref() as &str, link.as_str());
}

/// Only `as_str` and `String::from` give the URL.
#[tokio::test]
async fn debug_of_a_login_start_shows_no_url() {
    let gitlab = support::gitlab().await;
    let start = support::at_gitlab(&gitlab).begin_login(None).unwrap();
    let url = start.redirect_to.as_str().to_owned();
    assert!(!format!("{start:?}").contains("state="), "{start:?}");
    assert_eq!(String::from(start.redirect_to), url);
}

/// No `Debug` of a login and its parts shows text of a code host, a user or a browser.
#[tokio::test]
async fn debug_of_a_login_shows_no_text_of_others() {
    const FOREIGN: &str = "zzwritten";
    const USER: &str = r#"{"id":42,"username":"zzwritten","name":"zzwritten","state":"active","email":"zzwritten@example.com",
        "confirmed_at":"2020-01-01T00:00:00Z","avatar_url":"https://example.com/zzwritten","two_factor_enabled":true,
        "web_url":"https://git.example.com/zzwritten"}"#;
    const TOKENS: &str = r#"{"access_token":"canary-shown-access","token_type":"Bearer","refresh_token":"canary-shown-refresh",
        "scope":"zzwritten read_user"}"#;
    let http = canned_http::CannedHttp::new(|request| match request.uri().path() {
        "/oauth/token" => canned_http::json(200, TOKENS),
        _ => canned_http::json(200, USER),
    });
    let integration = canned_http::builder("gitlab", "https://git.example.com", "canary-shown-secret").transport(http);
    let integration = integration.access(Access::Read).build().unwrap();
    let start = integration.begin_login(Some("/zzwritten".parse().unwrap())).unwrap();
    let state = support::stored(&start.pending, "state");
    let uri = format!("/oauth/callback/gitlab/demo?code=zzwritten&state={state}").parse().unwrap();
    let callback = Callback::from_uri(&uri).unwrap();
    let mut texts = vec![format!("{start:?} {callback:?} {:?}", start.pending)];
    let login = integration.finish_login(start.pending, callback).await.unwrap();
    assert_eq!((login.user.username.as_deref(), login.user.emails.len()), (Some(FOREIGN), 1));
    assert!(login.return_to.is_some() && !login.missing_scopes.is_empty());
    assert!(login.tokens.scopes.as_ref().unwrap().to_string().contains(FOREIGN));
    texts.push(format!("{login:?} {login:#?} {:?} {:?}", login.user, login.tokens));
    texts.push(format!("{:?} {:?} {:?}", login.user.emails, login.user.avatar_url, login.user.profile_url));
    texts.push(format!("{:?} {:?}", login.return_to, login.missing_scopes));
    let written = ScopeDescription::new(FOREIGN.parse().unwrap(), FOREIGN, FOREIGN);
    texts.push(format!("{written:?}"));
    let unknown: Callback = Callback::from_uri(&"/zzwritten?error=zzwritten&state=zzwritten".parse().unwrap()).unwrap();
    texts.push(format!("{unknown:?}"));
    let finding = Finding::problem("broken", FOREIGN).fix(Audience::Operator, FOREIGN);
    let mut report = CheckReport::new("gitlab", "GitLab", integration.provider().base_url());
    report.push(finding.clone());
    report.push_not_checked("everything", FOREIGN);
    texts.push(format!("{finding:?} {report:?} {:?}", report.not_checked()));
    let stored = StoredTokens::new(Revision::from_i64(7), FOREIGN.as_bytes().to_vec());
    texts.push(format!("{stored:?}"));
    for text in texts {
        assert!(!text.contains(FOREIGN) && !text.contains(&format!("{:?}", FOREIGN.as_bytes())), "{text}");
        assert!(!text.contains("@example.com") && !text.contains("canary"), "{text}");
    }
    // It shows the account key and the numbers of addresses and scopes.
    let text = format!("{login:?}");
    assert!(
        text.contains("gitlab:demo:42") && text.contains("emails: 1") && text.contains("scopes: Some(2)"),
        "{text}"
    );
    assert_eq!(format!("{finding:?}"), "Finding { code: \"broken\", level: Problem, audience: Some(Operator), .. }");
}
