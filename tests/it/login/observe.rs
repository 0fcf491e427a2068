//! The feature `tracing`: spans and events, and that they hold no secret even at the level `trace`.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, PendingLogins, Platform};
use tracing_subscriber::fmt::format::FmtSpan;

#[tokio::test]
async fn a_span_has_outcome_and_duration_and_no_secret() {
    let (log, _guard) = capture_log();

    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let application = FakeApplication::new("id", "canary-observed-secret", callback, "read_user");
    let gitlab = FakeGitLab::builder().application(application).start().await.unwrap();
    let network = Network::public_only().allow_loopback_http();
    let provider =
        Platform::find("gitlab").unwrap().provider(BaseUrl::parse(gitlab.base_url(), &network).unwrap()).unwrap();
    let integration = Integration::builder(
        provider,
        HttpClient::builder(network).build().unwrap(),
        IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "GitLab".to_owned(),
            public_url: "http://127.0.0.1:9000".parse().unwrap(),
            client_id: "id".to_owned(),
            client_secret: "canary-observed-secret".to_owned(),
            access: Access::SignIn,
        },
    )
    .build()
    .unwrap();

    let mut secrets = vec!["canary-observed-secret".to_owned()];
    for username in ["alice", "carol"] {
        let mut session = PendingLogins::default();
        let start = integration.begin_login(None).unwrap();
        session.insert(start.pending);
        let stored = serde_json::to_value(&session).unwrap();
        secrets.extend(["state", "verifier"].map(|name| stored[0][name].as_str().unwrap().to_owned()));
        let uri: http::Uri = gitlab.authorize(start.redirect_to.as_str(), username).unwrap().parse().unwrap();
        let code = uri.query().unwrap().split(['=', '&']).nth(1).unwrap();
        secrets.push(code.to_owned());
        let returned = Callback::from_uri(&uri).unwrap();
        let pending = session.take(&returned).unwrap();
        if let Ok(login) = integration.finish_login(pending, returned).await {
            let base_url = login.tokens.access_token.binding().base_url();
            secrets.push(login.tokens.access_token.expose_for(base_url).unwrap().to_owned());
            secrets.push(login.tokens.refresh_token.as_ref().unwrap().expose_for(base_url).unwrap().to_owned());
        }
    }

    let log = log.text();
    let spans: Vec<_> = log.lines().filter(|line| line.contains("codehost_oauth{") && line.contains("close")).collect();
    assert_eq!(spans.len(), 2, "{log}");
    let common = "codehost_oauth{integration=demo platform=\"gitlab\" operation=\"finish_login\" outcome=";
    assert!(spans[0].contains(&format!("{common}\"ok\" duration_ms=")), "{}", spans[0]);
    assert!(spans[1].contains(&format!("{common}\"account_blocked\" duration_ms=")), "{}", spans[1]);
    assert!(spans.iter().all(|span| span.contains("}: codehost_oauth: close")), "the target: {log}");
    assert_eq!(secrets.len(), 9);
    for secret in secrets {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}

/// An operator reads the log and must see which address was refused.
#[tokio::test]
async fn a_refused_address_is_named_in_the_log() {
    let (log, _guard) = capture_log();
    let network = Network::public_only();
    let base_url = BaseUrl::parse("https://192.0.2.7", &Network::any()).unwrap();
    let integration = Integration::builder(
        Platform::find("gitlab").unwrap().provider(base_url).unwrap(),
        HttpClient::builder(network).build().unwrap(),
        IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "GitLab".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: "id".to_owned(),
            client_secret: "canary-observed-secret".to_owned(),
            access: Access::SignIn,
        },
    )
    .build()
    .unwrap();
    let mut session = PendingLogins::default();
    let start = integration.begin_login(None).unwrap();
    let stored = serde_json::to_value(&start.pending).unwrap();
    let state = stored["state"].as_str().unwrap();
    session.insert(start.pending);
    let uri = format!("https://packages.example.com/oauth/callback/gitlab/demo?code=c&state={state}");
    let returned = Callback::from_uri(&uri.parse().unwrap()).unwrap();
    let pending = session.take(&returned).unwrap();
    let error = integration.finish_login(pending, returned).await.unwrap_err();
    assert_eq!(error.code(), "address_not_allowed");
    let log = log.text();
    let events: Vec<_> = log.lines().filter(|line| line.contains("codehost_oauth: failed: ")).collect();
    assert_eq!(events.len(), 1, "{log}");
    for part in ["ERROR", "audience=Operator", "note=\"192.0.2.7 is a reserved address\""] {
        assert!(events[0].contains(part), "{part}: {}", events[0]);
    }
}

/// Collects the log, at every level, as long as the guard lives.
pub(crate) fn capture_log() -> (Log, tracing::subscriber::DefaultGuard) {
    // While there is only one subscriber, tracing caches for all threads whether the first thread that reaches a call site has
    // a subscriber: a test of another thread could then turn off the log of this one.
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));

    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    // The runtime has one thread, so this reaches every task of the test and no other test.
    (log, tracing::subscriber::set_default(subscriber))
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        crate::secrets::leak_check::text("a log record", &String::from_utf8_lossy(bytes));
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
