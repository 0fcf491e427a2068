//! What every platform must do, at its fake.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::error::{Audience, Error};
use codehost_oauth::keeper::{ConnectionId, KeeperError, LoginReason, MemoryTokens, TokenKeeper};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeClock, FakeError, FakeForgejo, FakeGitHub, FakeGitLab,
};
use codehost_oauth::{Access, Callback, Integration, Login, Platform};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::canned_http;

/// A fake in one form for all platforms.
pub(crate) struct CodeHost {
    pub(crate) platform: &'static str,
    pub(crate) base_url: String,
    pub(crate) user: &'static str,
    /// The application's page, below the base URL.
    page: &'static str,
    pub(crate) authorize: Box<Authorize>,
    deny: Box<Deny>,
    revoke_all: Box<dyn Fn() + Send + Sync>,
}

pub(crate) type Authorize = dyn Fn(&str, &str) -> Result<String, FakeError> + Send + Sync;
type Deny = dyn Fn(&str) -> Result<String, FakeError> + Send + Sync;

macro_rules! code_host {
    ($platform:literal, $user:literal, $page:literal, $scopes:literal, $builder:expr) => {{
        let callback = format!("http://127.0.0.1:9000/oauth/callback/{}/demo", $platform);
        let application = FakeApplication::new("my-id", "canary-right", &callback, $scopes);
        let fake = Arc::new($builder.application(application).start().await.unwrap());
        let (authorizing, denying, revoking) = (Arc::clone(&fake), Arc::clone(&fake), Arc::clone(&fake));
        CodeHost {
            platform: $platform,
            base_url: fake.base_url().to_owned(),
            user: $user,
            page: $page,
            authorize: Box::new(move |url, user| authorizing.authorize(url, user)),
            deny: Box::new(move |url| denying.deny(url)),
            revoke_all: Box::new(move || revoking.revoke_all()),
        }
    }};
}

pub(crate) async fn all() -> Vec<CodeHost> {
    // Older servers give no refresh tokens.
    let github = FakeGitHub::builder().kind(ServerKind::EnterpriseServer).version("3.23.0");
    vec![
        code_host!("bitbucket-cloud", "jane", "", "account email", FakeBitbucket::builder()),
        code_host!(
            "bitbucket-data-center",
            "jdoe",
            "/plugins/servlet/applinks/listApplicationLinks",
            "",
            FakeBitbucketDataCenter::builder()
        ),
        code_host!("forgejo", "jane", "/user/settings/applications", "", FakeForgejo::builder()),
        code_host!("github", "janedoe", "/settings/developers", "", github),
        code_host!("gitlab", "alice", "/-/user_settings/applications", "read_user", FakeGitLab::builder()),
    ]
}

async fn finish(integration: &Integration, browser: impl Fn(&str) -> String) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let callback = Callback::parse(&browser(start.redirect_to.as_str())).unwrap();
    integration.finish_login(start.pending, callback).await.leak_checked()
}

#[tokio::test]
async fn logins_denials_and_wrong_secrets_mean_the_same_on_every_platform() {
    let code_hosts = all().await;
    let platforms: Vec<_> = Platform::all().iter().map(Platform::id).collect();
    assert_eq!(code_hosts.iter().map(|host| host.platform).collect::<Vec<_>>(), platforms);
    for host in code_hosts {
        let integration = |secret: &str| {
            let builder = canned_http::live(host.platform, &host.base_url, "canary-right").access(Access::SignIn);
            builder.credentials("my-id", secret).build().unwrap()
        };
        let right = integration("canary-right");
        let login = finish(&right, |url| (host.authorize)(url, host.user).unwrap()).await.unwrap();
        assert!(login.user.key.to_string().starts_with(&format!("{}:demo:", host.platform)));
        assert!(login.user.username.is_some() && login.missing_scopes.is_empty(), "{}", host.platform);

        let denied = finish(&right, |url| (host.deny)(url).unwrap()).await.unwrap_err();
        assert_eq!((denied.code(), denied.advice().audience), ("denied", Audience::User), "{}", host.platform);

        let wrong = integration("canary-wrong");
        let refused = finish(&wrong, |url| (host.authorize)(url, host.user).unwrap()).await.unwrap_err();
        let advice = refused.advice();
        assert_eq!(
            (refused.code(), advice.audience),
            ("client_rejected", Audience::Administrator),
            "{}",
            host.platform
        );
        assert!(advice.hint.contains(host.page), "{}: {}", host.platform, advice.hint);
        assert!(!advice.public_message.contains("127.0.0.1"), "{}", host.platform);

        // A code works once.
        let start = right.begin_login(None).unwrap();
        let callback = (host.authorize)(start.redirect_to.as_str(), host.user).unwrap();
        let again = right.begin_login(None).unwrap();
        let first = right.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked();
        assert!(first.is_ok(), "{}", host.platform);
        let code =
            url::Url::parse(&callback).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let state = url::Url::parse(again.redirect_to.as_str()).unwrap();
        let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let forged = Callback::from_parameters([("code", code.as_str()), ("state", &state)]).unwrap();
        let refused = right.finish_login(again.pending, forged).await.leak_checked().unwrap_err();
        assert_eq!(refused.code(), "code_rejected", "{}", host.platform);
    }
}

#[tokio::test]
async fn a_keeper_refreshes_and_tells_who_must_act_on_every_platform() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for host in all().await {
        let platform = host.platform;
        let clock = FakeClock::default();
        let store = Arc::new(MemoryTokens::default());
        let keeper = |secret: &str| {
            let builder = canned_http::live(host.platform, &host.base_url, "canary-right").access(Access::SignIn);
            let integration = Arc::new(builder.credentials("my-id", secret).build().unwrap());
            let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
            let keeper = TokenKeeper::builder(Arc::clone(&store), ring, Arc::clone(&integration)).clock(clock.clone());
            (integration, keeper.build())
        };
        let (integration, right) = keeper("canary-right");
        let login = finish(&integration, |url| (host.authorize)(url, host.user).unwrap()).await.unwrap();
        let connection = ConnectionId::from(&login.user.key);
        assert!(login.tokens.refresh_token.is_some(), "{platform}");
        right.import(&connection, login.tokens).await.leak_checked().unwrap();
        clock.advance(DAY);
        right.access_token(&connection).await.leak_checked().unwrap();

        clock.advance(DAY);
        let (_, wrong) = keeper("canary-wrong");
        let error = wrong.access_token(&connection).await.leak_checked().unwrap_err();
        assert!(matches!(error, KeeperError::Refused { .. }), "{platform}: {error:?}");
        assert_eq!(error.advice().audience, Audience::Administrator, "{platform}");

        clock.advance(DAY);
        (host.revoke_all)();
        let error = right.access_token(&connection).await.leak_checked().unwrap_err();
        let is_rejected = matches!(&error, KeeperError::NeedsLogin(LoginReason::RefreshTokenRejected));
        assert!(is_rejected, "{platform}: {error:?}");
    }
}
