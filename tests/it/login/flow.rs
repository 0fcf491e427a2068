//! Whole logins over sockets, on both platforms, and attacks on them: rows F3, F4, F6, F8, T7 and I2 of the threat model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use codehost_oauth::error::{ApiError, Audience, Error, TokenError, VerifyError};
use codehost_oauth::testing::bitbucket::RefreshRotation;
use codehost_oauth::testing::{FakeApplication, FakeBitbucket, FakeError, FakeGitLab, gitlab, verify};
use codehost_oauth::{
    Access, CallbackUrl, EmailList, Integration, IntegrationId, Login, LoginStart, PendingLogin, PendingLogins,
    PublicUrl, UserState,
};
use proptest::prelude::*;
use url::Url;

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::{
    CLIENT_ID, CLIENT_SECRET, IntegrationSetup, PUBLIC_URL, RoundTrips, application, at_bitbucket, at_gitlab,
    bitbucket, callback, callback_url, gitlab, log_in, stored,
};

type Outcome = Result<Login, Error>;

async fn as_gitlab(username: &str) -> Outcome {
    let gitlab = gitlab().await;
    log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, username)).await
}

async fn as_bitbucket(username: &str) -> Outcome {
    let bitbucket = bitbucket().await;
    log_in(&at_bitbucket(&bitbucket), |url| bitbucket.authorize(url, username)).await
}

fn code(outcome: Outcome) -> &'static str {
    outcome.unwrap_err().code()
}

#[tokio::test]
async fn a_login_at_gitlab_is_two_requests() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    let start = integration.begin_login(Some("/projects".parse().unwrap())).leak_checked().unwrap();
    assert!(gitlab.requests().is_empty(), "beginning sends nothing");
    let verifier = stored(&start.pending, "verifier");
    let callback_uri = gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap();
    let callback = callback(&callback_uri).unwrap();
    let login = integration.finish_login(start.pending, callback).await.leak_checked().unwrap();

    assert_eq!(login.user.key.to_string(), "gitlab:demo:2");
    assert_eq!(login.user.username.as_deref(), Some("alice"));
    assert_eq!(login.user.display_name.as_deref(), Some("Alice Åström"));
    assert_eq!(login.user.state, UserState::Active);
    assert_eq!(login.user.emails.len(), 1);
    assert_eq!(login.trusted_email(), None, "the operator of this GitLab can claim any address");
    assert_eq!(login.return_to.as_ref().unwrap().as_str(), "/projects");
    assert_eq!(login.tokens.scopes.as_ref().unwrap().to_string(), "read_user");
    assert_eq!(login.tokens.expires_in, Some(Duration::from_secs(7200)));
    assert!(login.missing_scopes.is_empty());

    let requests = gitlab.requests();
    let lines: Vec<String> = requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    assert_eq!(lines, ["POST /gitlab/oauth/token", "GET /gitlab/api/v4/user"]);
    let form = |name| requests[0].form(name).unwrap();
    assert_eq!(form("grant_type"), "authorization_code");
    assert_eq!((form("client_id"), form("client_secret")), (CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned()));
    assert_eq!(form("redirect_uri"), integration.callback_url().as_str());
    assert_eq!(form("code_verifier"), verifier);
    assert!(callback_uri.contains(&form("code")));
    assert_eq!(requests[0].body.split('&').count(), 6);
    assert_eq!(requests[0].header("authorization"), None);
    assert!(requests[1].header("authorization").unwrap().starts_with("Bearer "));
    assert!(requests[1].body.is_empty());
}

#[tokio::test]
async fn a_login_at_bitbucket_is_three_requests() {
    let bitbucket = bitbucket().await;
    let integration = at_bitbucket(&bitbucket);
    let login = log_in(&integration, |url| bitbucket.authorize(url, "jane")).await.unwrap();
    assert_eq!(login.user.key.to_string(), "bitbucket-cloud:demo:11111111-2222-3333-4444-555555555555");
    assert_eq!(login.user.username.as_deref(), Some("jane"));
    assert_eq!(login.trusted_email(), Some("jane@example.com"));
    assert_eq!(login.tokens.scopes.as_ref().unwrap().to_string(), "account email");
    assert!(login.missing_scopes.is_empty() && login.return_to.is_none());

    let requests = bitbucket.requests();
    let mut lines: Vec<String> =
        requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    lines[1..].sort();
    assert_eq!(lines, ["POST /site/oauth2/access_token", "GET /2.0/user", "GET /2.0/user/emails?pagelen=100&page=1"]);
    assert!(requests[0].header("authorization").unwrap().starts_with("Basic "));
    assert_eq!((requests[0].form("client_id"), requests[0].form("client_secret")), (None, None));
    assert_eq!(requests[0].form("redirect_uri").unwrap(), integration.callback_url().as_str());
    for request in &requests[1..] {
        assert!(request.header("authorization").unwrap().starts_with("Bearer "));
    }
}

#[tokio::test]
async fn all_pages_of_addresses_are_read() {
    let login = as_bitbucket("many").await.unwrap();
    assert_eq!(login.user.emails.len(), 3);
    assert_eq!(login.trusted_email(), Some("many3@example.com"));
    assert_eq!(login.user.two_factor, Some(true));
}

/// The two requests of Bitbucket's second round trip are under way at the same time.
#[tokio::test]
async fn a_login_takes_two_round_trips() {
    let gitlab = gitlab().await;
    let bitbucket = bitbucket().await;
    bitbucket.set_latency(Duration::from_millis(20));
    let trips = RoundTrips::new();
    let at_gitlab = IntegrationSetup::new("gitlab", gitlab.base_url()).build_with(trips.clone());
    let at_bitbucket = IntegrationSetup::new("bitbucket-cloud", bitbucket.base_url()).build_with(trips.clone());
    for _ in 0..3 {
        log_in(&at_gitlab, |url| gitlab.authorize(url, "alice")).await.unwrap();
        assert_eq!(trips.take(), 2);
        bitbucket.clear_requests();
        log_in(&at_bitbucket, |url| bitbucket.authorize(url, "jane")).await.unwrap();
        assert_eq!((trips.take(), bitbucket.count("/2.0/user"), bitbucket.count("/2.0/user/emails")), (2, 1, 1));
    }
}

#[tokio::test]
async fn a_callback_works_once() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    let start = integration.begin_login(None).leak_checked().unwrap();
    let uri = gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap();
    let mut session = PendingLogins::default();
    session.insert(start.pending);
    let first = callback(&uri).unwrap();
    let pending = session.take(&first).unwrap();
    integration.finish_login(pending, first).await.leak_checked().unwrap();
    assert_eq!(session.take(&callback(&uri).unwrap()).unwrap_err(), VerifyError::StateUnknown);
    assert_eq!(gitlab.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_replays_at_once_give_one_exchange() {
    let gitlab = gitlab().await;
    gitlab.set_latency(Duration::from_millis(20));
    let integration = Arc::new(at_gitlab(&gitlab));
    let start = integration.begin_login(None).leak_checked().unwrap();
    let uri = gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap();
    let session = Arc::new(Mutex::new(PendingLogins::default()));
    session.lock().unwrap().insert(start.pending);
    let replays: Vec<_> = (0..50)
        .map(|_| {
            let (integration, session, uri) = (Arc::clone(&integration), Arc::clone(&session), uri.clone());
            tokio::spawn(async move {
                let callback = callback(&uri)?;
                let pending = session.lock().unwrap().take(&callback)?;
                integration.finish_login(pending, callback).await.leak_checked()
            })
        })
        .collect();
    let mut finished = 0;
    for replay in replays {
        match replay.await.unwrap() {
            Ok(_) => finished += 1,
            Err(error) => assert_eq!(error.code(), "state_unknown"),
        }
    }
    assert_eq!(finished, 1);
    assert_eq!(gitlab.count("/oauth/token"), 1);
}

/// An app that keeps its pending logins in cookies relies on the code host here: a code works once there.
#[tokio::test]
async fn a_used_code_is_refused_by_the_code_host() {
    let copy = |pending: &PendingLogin| -> PendingLogin {
        serde_json::from_value(serde_json::to_value(pending).unwrap()).unwrap()
    };
    let (gitlab, bitbucket) = (gitlab().await, bitbucket().await);
    for (integration, username) in [(at_gitlab(&gitlab), "alice"), (at_bitbucket(&bitbucket), "jane")] {
        let start = integration.begin_login(None).leak_checked().unwrap();
        let url = start.redirect_to.as_str();
        let uri = gitlab.authorize(url, username).or_else(|_| bitbucket.authorize(url, username)).unwrap();
        let again = copy(&start.pending);
        integration.finish_login(start.pending, callback(&uri).unwrap()).await.leak_checked().unwrap();
        let error = integration.finish_login(again, callback(&uri).unwrap()).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "code_rejected");
        assert_eq!(error.advice().audience, Audience::User);
    }
}

#[tokio::test]
async fn a_code_is_refused_in_another_login() {
    let (gitlab, bitbucket) = (gitlab().await, bitbucket().await);
    for (integration, usernames) in
        [(at_gitlab(&gitlab), ["alice", "root"]), (at_bitbucket(&bitbucket), ["jane", "una"])]
    {
        let [first, second] = [(); 2].map(|()| integration.begin_login(None).leak_checked().unwrap());
        let code = |url: &str, username| {
            gitlab.authorize(url, username).or_else(|_| bitbucket.authorize(url, username)).unwrap()
        };
        // The attacker's own code in the victim's callback: the state is right, the verifier is not.
        let stolen = code(first.redirect_to.as_str(), usernames[0]);
        let stolen = Url::parse(&stolen).unwrap();
        let stolen = stolen.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let path = integration.callback_url().as_str();
        let injected = format!("{path}?code={stolen}&state={}", stored(&second.pending, "state"));
        let error =
            integration.finish_login(second.pending, callback(&injected).unwrap()).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "code_rejected");

        // Verifiers of two flows swapped.
        let [third, fourth] = [(); 2].map(|()| integration.begin_login(None).leak_checked().unwrap());
        let uri = code(third.redirect_to.as_str(), usernames[0]);
        let mut swapped = serde_json::to_value(&third.pending).unwrap();
        swapped["verifier"] = stored(&fourth.pending, "verifier").into();
        let swapped: PendingLogin = serde_json::from_value(swapped).unwrap();
        let error = integration.finish_login(swapped, callback(&uri).unwrap()).await.leak_checked().unwrap_err();
        assert_eq!(error.code(), "code_rejected");
    }
}

/// Cross-tenant confusion: a tenant brings a code host of its own, which redirects the browser to the honest one
/// with the honest client id and callback URL, and with the state of the login that began at the hostile one.
#[tokio::test]
async fn a_hostile_code_host_never_gets_a_code_of_another() {
    let honest_host = FakeGitLab::builder().application(application("gitlab", "honest", "read_user"));
    let honest_host = honest_host.start().await.unwrap();
    let hostile_host = FakeGitLab::builder().application(application("gitlab", "evil", "read_user"));
    let hostile_host = hostile_host.start().await.unwrap();
    let mut setup = IntegrationSetup::new("gitlab", honest_host.base_url());
    setup.id = "honest";
    let honest = setup.build();
    let mut setup = IntegrationSetup::new("gitlab", hostile_host.base_url());
    setup.id = "evil";
    let hostile = setup.build();

    let parsed = |start: &LoginStart| Url::parse(start.redirect_to.as_str()).unwrap();
    let honest_url = parsed(&honest.begin_login(None).leak_checked().unwrap());
    let start = |integration: &Integration| integration.begin_login(None).leak_checked().unwrap();
    // The hostile code host takes the authorization URL of the honest one and puts its own state and challenge in.
    let forge = |url: &Url| {
        let taken: Vec<_> = url.query_pairs().into_owned().collect();
        let mut forged = honest_url.clone();
        let pairs: Vec<_> = honest_url
            .query_pairs()
            .into_owned()
            .map(|(name, value)| match name.as_str() {
                "state" | "code_challenge" => taken.iter().find(|(other, _)| *other == name).unwrap().clone(),
                _ => (name, value),
            })
            .collect();
        forged.query_pairs_mut().clear().extend_pairs(pairs);
        forged
    };
    // The app chooses the integration by the path of the callback, or by the pending login in the session.
    for finisher in [&honest, &hostile] {
        let begun = start(&hostile);
        let forged = forge(&parsed(&begun));
        let uri = honest_host.authorize(forged.as_str(), "alice").unwrap();
        assert!(uri.starts_with(honest.callback_url().as_str()));
        let mut session = PendingLogins::default();
        session.insert(begun.pending);
        let callback = callback(&uri).unwrap();
        let pending = session.take(&callback).unwrap();
        assert_eq!(pending.integration().as_str(), "evil");
        let error = finisher.finish_login(pending, callback).await.leak_checked().unwrap_err();
        assert!(matches!(error.code(), "other_integration" | "other_callback_url"), "{}", error.code());
        assert!(session.is_empty());
    }
    // The attacker's own redirect URI is not registered at the honest code host.
    let begun = start(&hostile);
    let mut forged = parsed(&begun);
    forged.set_host(honest_url.host_str()).unwrap();
    forged.set_port(honest_url.port()).unwrap();
    assert!(matches!(honest_host.authorize(forged.as_str(), "alice"), Err(FakeError::Page(_))));

    for code_host in [&honest_host, &hostile_host] {
        assert_eq!(code_host.count("/oauth/token"), 0);
    }
}

/// Login CSRF: the attacker's own code and state at the victim's callback.
#[tokio::test]
async fn a_callback_of_another_browser_is_refused() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    let attackers = integration.begin_login(None).leak_checked().unwrap();
    let uri = gitlab.authorize(attackers.redirect_to.as_str(), "root").unwrap();
    let mut victims = PendingLogins::default();
    victims.insert(integration.begin_login(None).leak_checked().unwrap().pending);
    assert_eq!(victims.take(&callback(&uri).unwrap()).unwrap_err(), VerifyError::StateUnknown);
    assert_eq!(gitlab.count("/oauth/token"), 0);
}

#[tokio::test]
async fn every_wrong_setting_has_its_error() {
    let (gitlab, bitbucket) = (gitlab().await, bitbucket().await);
    // A wrong secret.
    for (platform, base_url) in [("gitlab", gitlab.base_url()), ("bitbucket-cloud", bitbucket.base_url())] {
        let mut setup = IntegrationSetup::new(platform, base_url);
        setup.client = (CLIENT_ID, "canary-wrong");
        let integration = setup.build();
        let authorize = |url: &str| gitlab.authorize(url, "alice").or_else(|_| bitbucket.authorize(url, "jane"));
        let error = log_in(&integration, authorize).await.unwrap_err();
        assert_eq!((error.code(), error.advice().audience), ("client_rejected", Audience::Administrator));
        assert!(error.advice().hint.contains(base_url), "{}", error.advice().hint);
        assert!(!error.advice().public_message.contains(base_url));
    }
    // A wrong client id: only the token endpoint refuses it, or the authorization page does too.
    for (platform, base_url) in [("gitlab", gitlab.base_url()), ("bitbucket-cloud", bitbucket.base_url())] {
        let mut setup = IntegrationSetup::new(platform, base_url);
        setup.client = ("other", CLIENT_SECRET);
        let integration = setup.build();
        let page = |url: &str| gitlab.authorize(url, "alice").or_else(|_| bitbucket.authorize(url, "jane"));
        let authorize = |url: &str| page(&url.replace("client_id=other", &format!("client_id={CLIENT_ID}")));
        assert_eq!(code(log_in(&integration, authorize).await), "client_rejected");
        let url = integration.begin_login(None).leak_checked().unwrap().redirect_to;
        assert!(matches!(gitlab.authorize(url.as_str(), "alice"), Err(FakeError::Page(_) | FakeError::Url)));
        assert!(matches!(bitbucket.authorize(url.as_str(), "jane"), Err(FakeError::Page(_) | FakeError::Url)));
    }
    // With a callback URL that is not registered, the code host shows an error page. If none is registered, Bitbucket's token
    // endpoint refuses.
    let other = FakeApplication::new("elsewhere", "x", "https://packages.example.com/other", "read_user account");
    gitlab.add_application(other.clone());
    bitbucket.add_application(other);
    for (platform, base_url) in [("gitlab", gitlab.base_url()), ("bitbucket-cloud", bitbucket.base_url())] {
        let mut setup = IntegrationSetup::new(platform, base_url);
        setup.client = ("elsewhere", "x");
        let url = setup.build().begin_login(None).leak_checked().unwrap().redirect_to;
        let page = gitlab.authorize(url.as_str(), "alice").or_else(|error| match error {
            FakeError::Url => bitbucket.authorize(url.as_str(), "jane"),
            error => Err(error),
        });
        assert!(matches!(page, Err(FakeError::Page(_))));
    }
    let no_callback =
        r#"{"error_description": "No callback uri defined for the OAuth client.", "error": "invalid_request"}"#;
    bitbucket.respond_next("/access_token", 400, &[("Content-Type", "application/json")], no_callback);
    let error = log_in(&at_bitbucket(&bitbucket), |url| bitbucket.authorize(url, "jane")).await.unwrap_err();
    assert_eq!(error.code(), "callback_url_rejected");
    assert!(error.advice().hint.contains(&callback_url("bitbucket-cloud", "demo")));
}

#[tokio::test]
async fn users_who_may_not_log_in_get_the_reason() {
    for (username, expected) in [
        ("carol", "account_blocked"),
        ("dave", "account_deactivated"),
        ("erin", "account_pending_approval"),
        ("frank", "terms_not_accepted"),
        ("project_9_bot", "account_not_a_person"),
    ] {
        let error = as_gitlab(username).await.unwrap_err();
        assert_eq!((error.code(), error.advice().audience), (expected, Audience::User), "{username}");
        assert!(!error.advice().needs_login && !error.advice().is_transient);
    }
    for (username, expected) in [("ina", "account_deactivated"), ("app", "account_not_a_person")] {
        assert_eq!(code(as_bitbucket(username).await), expected, "{username}");
    }

    let gitlab = gitlab().await;
    let mut zoe = gitlab::FakeUser::new(30, "zoe", "Zoe", "zoe@example.com");
    zoe.refusal = Some(gitlab::Refusal::Unconfirmed);
    gitlab.add_user(zoe);
    let integration = at_gitlab(&gitlab);
    assert_eq!(code(log_in(&integration, |url| gitlab.authorize(url, "zoe")).await), "account_unconfirmed");
    for (state, expected) in [
        ("blocked", "account_blocked"),
        ("banned", "account_blocked"),
        ("deactivated", "account_deactivated"),
        ("blocked_pending_approval", "account_pending_approval"),
        ("something_new", "account_not_active"),
    ] {
        let mut user = gitlab::FakeUser::new(31, "yan", "Yan", "yan@example.com");
        user.state = state.to_owned();
        gitlab.add_user(user);
        assert_eq!(code(log_in(&integration, |url| gitlab.authorize(url, "yan")).await), expected, "{state}");
    }
    let mut locked = gitlab::FakeUser::new(32, "lea", "Lea", "lea@example.com");
    locked.locked = true;
    gitlab.add_user(locked);
    assert_eq!(code(log_in(&integration, |url| gitlab.authorize(url, "lea")).await), "account_locked");
}

#[tokio::test]
async fn unconfirmed_addresses_log_in_and_are_not_trusted() {
    for login in [as_gitlab("bob").await, as_bitbucket("una").await, as_bitbucket("nomail").await] {
        let login = login.unwrap();
        assert_eq!(login.trusted_email(), None);
        assert_eq!(login.require_trusted_email().unwrap_err().code(), "no_trusted_email");
    }
}

#[tokio::test]
async fn a_denial_is_its_own_error() {
    let (gitlab, bitbucket) = (gitlab().await, bitbucket().await);
    for outcome in [
        log_in(&at_gitlab(&gitlab), |url| gitlab.deny(url)).await,
        log_in(&at_bitbucket(&bitbucket), |url| bitbucket.deny(url)).await,
    ] {
        assert!(matches!(outcome, Err(Error::Verify(VerifyError::Denied))));
    }
    assert_eq!(gitlab.requests().len() + bitbucket.requests().len(), 0);
}

#[tokio::test]
async fn missing_scopes_are_named_or_refused() {
    // The application lacks one: GitLab shows a page, Bitbucket sends the browser back.
    let gitlab = FakeGitLab::builder().application(application("gitlab", "demo", "read_user")).start().await.unwrap();
    let mut setup = IntegrationSetup::new("gitlab", gitlab.base_url());
    setup.access = Access::Read;
    let integration = setup.build();
    let url = integration.begin_login(None).leak_checked().unwrap().redirect_to;
    assert!(matches!(gitlab.authorize(url.as_str(), "alice"), Err(FakeError::Page(_))));
    let bitbucket = FakeBitbucket::builder().application(application("bitbucket-cloud", "demo", "account email"));
    let bitbucket = bitbucket.start().await.unwrap();
    let mut setup = IntegrationSetup::new("bitbucket-cloud", bitbucket.base_url());
    setup.access = Access::Read;
    let outcome = log_in(&setup.build(), |url| bitbucket.authorize(url, "jane")).await;
    assert!(matches!(outcome, Err(Error::Verify(VerifyError::ScopeNotEnabled))));

    // Less was granted than asked for.
    let grant_less = |url: &str| gitlab.authorize(&url.replace("read_api+", ""), "alice");
    let login = log_in(&integration, grant_less).await.unwrap();
    let missing: Vec<&str> = login.missing_scopes.iter().map(|scope| scope.scope.as_str()).collect();
    assert_eq!(missing, ["read_api"]);

    // The granted scopes do not allow the user look-up.
    gitlab.add_application(FakeApplication::new("other", "x", &callback_url("gitlab", "demo"), "read_repository"));
    let mut setup = IntegrationSetup::new("gitlab", gitlab.base_url());
    setup.client = ("other", "x");
    setup.access = Access::Custom("read_repository".parse().unwrap());
    let error = log_in(&setup.build(), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
    assert!(matches!(&error, Error::Api { cause: ApiError::ScopeMissing { .. }, .. }), "{error:?}");
    assert_eq!((error.code(), error.advice().audience), ("scope_missing", Audience::Administrator));
}

#[tokio::test]
async fn granted_scopes_may_be_absent_or_empty() {
    let json = [("Content-Type", "application/json")];
    for (scope_member, granted, missing) in [
        ("", None, &[][..]),
        (r#","scope":null"#, None, &[]),
        (r#","scope":"""#, Some(""), &["read_api", "read_user"]),
        (r#","scope":" ""#, Some(""), &["read_api", "read_user"]),
        (r#","scope":"read_user""#, Some("read_user"), &["read_api"]),
        (r#","scope":"read_user,read_api""#, Some("read_user read_api"), &[]),
        (r#","scope":"read_api read_user sudo""#, Some("read_api read_user sudo"), &[]),
        // At GitLab no check box ticks another, but a token with this scope may do what the narrower ones allow.
        (r#","scope":"api""#, Some("api"), &[]),
        (r#","scope":"API""#, Some("API"), &["read_api", "read_user"]),
    ] {
        let gitlab = gitlab().await;
        let token = format!(r#"{{"access_token":"abcdefgh","token_type":"Bearer"{scope_member}}}"#);
        gitlab.respond_next("/oauth/token", 200, &json, token);
        gitlab.respond_next("/api/v4/user", 200, &json, r#"{"id":2}"#);
        let mut setup = IntegrationSetup::new("gitlab", gitlab.base_url());
        setup.access = Access::Read;
        let login = log_in(&setup.build(), |url| gitlab.authorize(url, "alice")).await.unwrap();
        assert_eq!(login.tokens.scopes.map(|scopes| scopes.to_string()).as_deref(), granted, "{scope_member}");
        let names: Vec<&str> = login.missing_scopes.iter().map(|scope| scope.scope.as_str()).collect();
        assert_eq!(names, missing, "{scope_member}");
    }
}

#[tokio::test]
async fn a_wider_scope_of_bitbucket_includes_the_narrower_one() {
    let bitbucket = bitbucket().await;
    let integration = at_bitbucket(&bitbucket);
    let login = log_in(&integration, |url| bitbucket.authorize(&url.replace("+email", ""), "jane")).await.unwrap();
    assert_eq!(login.tokens.scopes.as_ref().unwrap().to_string(), "account");
    assert!(login.missing_scopes.is_empty());
    let error =
        log_in(&integration, |url| bitbucket.authorize(&url.replace("account+", ""), "jane")).await.unwrap_err();
    assert_eq!(error.code(), "scope_missing");
}

#[tokio::test]
async fn a_refresh_ends_the_old_tokens_of_gitlab() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    let old = log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap().tokens;
    let old_refresh = old.refresh_token.unwrap();
    gitlab.clear_requests();
    let new = integration.refresh(&old_refresh).await.leak_checked().unwrap();
    assert_eq!(gitlab.requests().len(), 1);
    assert_eq!(integration.user(&new.access_token).await.leak_checked().unwrap().key.subject(), "2");

    let dead = integration.user(&old.access_token).await.leak_checked().unwrap_err();
    assert_eq!((dead.code(), dead.advice().needs_login), ("token_revoked", true));
    let dead = integration.refresh(&old_refresh).await.leak_checked().unwrap_err();
    assert!(matches!(&dead, Error::Token { cause: TokenError::RefreshRejected, .. }));
    assert!(dead.advice().needs_login);
    // The new pair still works.
    let newer = integration.refresh(new.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
    gitlab.expire_all_tokens();
    let expired = integration.user(&newer.access_token).await.leak_checked().unwrap_err();
    assert_eq!((expired.code(), expired.advice().needs_login), ("token_expired", false));
    let newest = integration.refresh(newer.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
    gitlab.revoke_all();
    assert_eq!(integration.user(&newest.access_token).await.leak_checked().unwrap_err().code(), "token_revoked");
    assert_eq!(
        integration.refresh(newest.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap_err().code(),
        "refresh_rejected"
    );
}

#[tokio::test]
async fn bitbucket_may_or_may_not_rotate_refresh_tokens() {
    for rotation in [RefreshRotation::Rotating, RefreshRotation::Old] {
        let bitbucket = FakeBitbucket::builder().application(application("bitbucket-cloud", "demo", "account email"));
        let bitbucket = bitbucket.refresh_rotation(rotation).start().await.unwrap();
        let integration = at_bitbucket(&bitbucket);
        let old = log_in(&integration, |url| bitbucket.authorize(url, "jane")).await.unwrap().tokens;
        let old_refresh = old.refresh_token.unwrap();
        let new = integration.refresh(&old_refresh).await.leak_checked().unwrap();
        integration.user(&new.access_token).await.leak_checked().unwrap();
        // The old access token is valid until it expires.
        integration.user(&old.access_token).await.leak_checked().unwrap();
        let again = integration.refresh(&old_refresh).await.leak_checked();
        match rotation {
            RefreshRotation::Old => drop(again.unwrap()),
            _ => assert_eq!(again.unwrap_err().code(), "refresh_rejected"),
        }
        integration.refresh(new.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap();
        bitbucket.expire_all_tokens();
        assert_eq!(integration.user(&new.access_token).await.leak_checked().unwrap_err().code(), "token_expired");
    }
}

#[tokio::test]
async fn tokens_of_another_integration_are_not_sent() {
    let (here, there) = (gitlab().await, gitlab().await);
    let login = log_in(&at_gitlab(&here), |url| here.authorize(url, "alice")).await.unwrap();
    let (before, other) = (here.requests().len(), bitbucket().await);
    let mut sibling = IntegrationSetup::new("gitlab", here.base_url());
    sibling.id = "sibling";
    // Another URL under the same id, another id at the same URL, another platform.
    for other in [at_gitlab(&there), sibling.build(), at_bitbucket(&other)] {
        let by_access = other.user(&login.tokens.access_token).await.leak_checked().unwrap_err();
        let by_refresh = other.refresh(login.tokens.refresh_token.as_ref().unwrap()).await.leak_checked().unwrap_err();
        for error in [by_access, by_refresh] {
            assert!(matches!(&error, Error::Config(_)) && error.code() == "other_binding", "{error:?}");
        }
    }
    assert_eq!((there.connections(), other.connections()), (0, 0));
    assert_eq!(here.requests().len(), before);
    at_gitlab(&here).user(&login.tokens.access_token).await.leak_checked().unwrap();
}

#[tokio::test]
async fn a_code_of_another_instance_is_not_sent() {
    let (here, there) = (gitlab().await, gitlab().await);
    let start = at_gitlab(&here).begin_login(None).leak_checked().unwrap();
    let callback = callback(&here.authorize(start.redirect_to.as_str(), "alice").unwrap()).unwrap();
    let integration = at_gitlab(&here);
    let grant = verify(&integration, start.pending, callback, std::time::SystemTime::now()).leak_checked().unwrap();
    let other = at_gitlab(&there);
    let client = codehost_oauth::ClientCredentials::new(other.provider().base_url(), CLIENT_ID, CLIENT_SECRET).unwrap();
    let error = other.provider().exchange_code(&crate::support::http(), &client, grant).await.unwrap_err();
    assert_eq!(error.code(), "other_binding");
    assert_eq!((here.connections(), there.connections()), (0, 0));
}

#[tokio::test]
async fn a_renamed_user_keeps_the_key_and_the_old_name_gets_another() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    let before = log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap().user;
    gitlab.rename("alice", "alice2");
    gitlab.add_user(gitlab::FakeUser::new(99, "alice", "Mallory", "alice@example.com"));
    let after = log_in(&integration, |url| gitlab.authorize(url, "alice2")).await.unwrap().user;
    let impostor = log_in(&integration, |url| gitlab.authorize(url, "alice")).await.unwrap().user;
    assert_eq!(before.key, after.key);
    assert_ne!(before.username, after.username);
    assert_eq!(before.username, impostor.username);
    assert_ne!(before.key, impostor.key);

    let bitbucket = bitbucket().await;
    let integration = at_bitbucket(&bitbucket);
    let before = log_in(&integration, |url| bitbucket.authorize(url, "jane")).await.unwrap().user;
    bitbucket.rename("jane", "jane2");
    let after = log_in(&integration, |url| bitbucket.authorize(url, "jane2")).await.unwrap().user;
    assert_eq!((&before.key, before.username.as_deref()), (&after.key, Some("jane")));
    assert_eq!(after.username.as_deref(), Some("jane2"));
}

/// A code works once, so its request is sent once. A `GET` is repeated once if a kept connection was closed.
#[tokio::test]
async fn a_lost_token_response_is_an_error_and_a_lost_get_is_sent_once_more() {
    let gitlab = gitlab().await;
    gitlab.lose_next_response("/oauth/token");
    let error = log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
    assert_eq!((error.code(), error.advice().is_transient), ("interrupted", true));
    assert_eq!((gitlab.count("/oauth/token"), gitlab.count("/api/v4/user")), (1, 0));
    gitlab.lose_next_response("/api/v4/user");
    log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap();
    assert_eq!((gitlab.count("/oauth/token"), gitlab.count("/api/v4/user")), (2, 2));
    // A second lost response is an error.
    gitlab.lose_next_response("/api/v4/user");
    gitlab.lose_next_response("/api/v4/user");
    let error = log_in(&at_gitlab(&gitlab), |url| gitlab.authorize(url, "alice")).await.unwrap_err();
    assert_eq!((error.code(), gitlab.count("/api/v4/user")), ("interrupted", 4));

    let bitbucket = bitbucket().await;
    bitbucket.lose_next_response("/access_token");
    let error = log_in(&at_bitbucket(&bitbucket), |url| bitbucket.authorize(url, "jane")).await.unwrap_err();
    assert_eq!((error.code(), bitbucket.count("/access_token")), ("interrupted", 1));
    bitbucket.lose_next_response("/2.0/user");
    log_in(&at_bitbucket(&bitbucket), |url| bitbucket.authorize(url, "jane")).await.unwrap();
    assert_eq!((bitbucket.count("/access_token"), bitbucket.count("/2.0/user")), (2, 2));
    // A login does not need the addresses.
    bitbucket.lose_next_response("/2.0/user/emails");
    bitbucket.lose_next_response("/2.0/user/emails");
    let login = log_in(&at_bitbucket(&bitbucket), |url| bitbucket.authorize(url, "jane")).await.unwrap();
    assert_eq!(login.user.email_list, EmailList::Incomplete);
}

proptest! {
    /// Bitbucket takes every callback URL that begins with the registered one.
    #[test]
    fn no_callback_url_is_a_prefix_of_another(
        a in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        b in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
    ) {
        let public_url: PublicUrl = PUBLIC_URL.parse().unwrap();
        let [a, b]: [IntegrationId; 2] = [a.parse().unwrap(), b.parse().unwrap()];
        let url = |platform, id: &IntegrationId| CallbackUrl::new(&public_url, platform, id).as_str().to_owned();
        let (bitbucket, gitlab) = (url("bitbucket-cloud", &a), url("gitlab", &b));
        prop_assert!(!bitbucket.starts_with(&gitlab) && !gitlab.starts_with(&bitbucket));
        let (first, second) = (url("bitbucket-cloud", &a), url("bitbucket-cloud", &b));
        prop_assert_eq!(first.starts_with(&second) || second.starts_with(&first), a.overlaps(&b));
        let [random, other] = [IntegrationId::random().unwrap(), IntegrationId::random().unwrap()];
        prop_assert!(!random.overlaps(&other) && !random.overlaps(&"bitbucket".parse().unwrap()));
    }
}
