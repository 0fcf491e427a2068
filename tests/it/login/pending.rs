//! What the app keeps between the redirect and the callback: rows F6–F8, T12 of the threat model.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use codehost_oauth::bitbucket_cloud::BitbucketCloud;
use codehost_oauth::error::VerifyError;
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::verify;
use codehost_oauth::{Access, Callback, Integration, IntegrationConfig, IntegrationId, PendingLogin, PendingLogins};
use url::Url;

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::{IntegrationSetup, callback, http, stored};

const LONG_PUBLIC_URL: &str = "https://packages.a-rather-long-company-name.example.com/packages";

fn integration() -> Integration {
    IntegrationSetup::new("gitlab", "https://git.example.com").build_with(http())
}

fn begin(integration: &Integration) -> PendingLogin {
    integration.begin_login(None).leak_checked().unwrap().pending
}

fn callback_of(pending: &PendingLogin) -> Callback {
    callback(&format!("/oauth/callback/gitlab/demo?code=abc&state={}", stored(pending, "state"))).unwrap()
}

#[test]
fn a_session_holds_eight_logins_and_drops_the_oldest() {
    let integration = integration();
    let mut session = PendingLogins::default();
    assert!(session.is_empty());
    let mut callbacks = Vec::new();
    for count in 1..=20 {
        let pending = begin(&integration);
        callbacks.push(callback_of(&pending));
        session.insert(pending);
        assert_eq!((session.len(), session.is_empty()), (count.min(8), false));
    }
    let (dropped, kept) = callbacks.split_at(12);
    for callback in dropped {
        assert_eq!(session.take(callback).unwrap_err(), VerifyError::StateUnknown);
    }
    for callback in kept.iter().rev() {
        session.take(callback).unwrap();
    }
    assert!(session.is_empty());
}

#[test]
fn a_deserialized_session_holds_at_most_eight_logins() {
    let integration = integration();
    let pending: Vec<PendingLogin> = (0..20).map(|_| begin(&integration)).collect();
    let session: PendingLogins = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    assert_eq!(session.len(), 8);
    let mut session = session;
    assert_eq!(session.take(&callback_of(&pending[11])).unwrap_err(), VerifyError::StateUnknown);
    session.take(&callback_of(&pending[12])).unwrap();
    session.take(&callback_of(&pending[19])).unwrap();
}

#[test]
fn two_tabs_finish_in_any_order() {
    let integration = integration();
    let mut session = PendingLogins::default();
    let (first, second) = (begin(&integration), begin(&integration));
    let (first_callback, second_callback) = (callback_of(&first), callback_of(&second));
    session.insert(first);
    session.insert(second);
    for callback in [second_callback, first_callback] {
        let pending = session.take(&callback).unwrap();
        verify(&integration, pending, callback, SystemTime::now()).leak_checked().unwrap();
    }
}

#[test]
fn a_failed_login_uses_up_its_pending_login() {
    let integration = integration();
    for outcome in ["error=access_denied", "error=server_error", "code=", "code=abc&iss=https://evil.test"] {
        let mut session = PendingLogins::default();
        let pending = begin(&integration);
        let state = stored(&pending, "state");
        session.insert(pending);
        let again = || callback(&format!("/oauth/callback/gitlab/demo?state={state}&{outcome}")).unwrap();
        let pending = session.take(&again()).unwrap();
        verify(&integration, pending, again(), SystemTime::now()).leak_checked().unwrap_err();
        assert_eq!(session.take(&again()).unwrap_err(), VerifyError::StateUnknown);
        let right = callback(&format!("/oauth/callback/gitlab/demo?state={state}&code=abc")).unwrap();
        assert_eq!(session.take(&right).unwrap_err(), VerifyError::StateUnknown);
    }
}

#[test]
fn a_wrong_state_removes_no_pending_login() {
    let integration = integration();
    let mut session = PendingLogins::default();
    session.insert(begin(&integration));
    for (query, error) in [
        ("code=abc", VerifyError::StateMissing),
        ("code=abc&state=", VerifyError::StateMissing),
        ("code=abc&state=+", VerifyError::StateUnknown),
        ("code=abc&state=x", VerifyError::StateUnknown),
        ("error=access_denied&state=x", VerifyError::StateUnknown),
    ] {
        let callback = callback(&format!("/oauth/callback/gitlab/demo?{query}")).unwrap();
        assert_eq!(session.take(&callback).unwrap_err(), error);
    }
    assert_eq!(session.len(), 1);
    // An empty session does not accept an empty state.
    let empty = callback("/oauth/callback/gitlab/demo?code=abc&state=").unwrap();
    assert_eq!(PendingLogins::default().take(&empty).unwrap_err(), VerifyError::StateMissing);
}

#[test]
fn a_session_round_trips_through_json() {
    let integration = integration();
    let start = integration.begin_login(Some("/projects?tab=1".parse().unwrap())).leak_checked().unwrap();
    let mut session = PendingLogins::default();
    let callback = callback_of(&start.pending);
    session.insert(start.pending);
    session.insert(begin(&integration));
    let text = serde_json::to_string(&session).unwrap();
    let mut session: PendingLogins = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&session).unwrap(), text);
    let pending = session.take(&callback).unwrap();
    assert_eq!(pending.return_to().unwrap().as_str(), "/projects?tab=1");
    assert_eq!(pending.integration().as_str(), "demo");
    verify(&integration, pending, callback, SystemTime::now()).leak_checked().unwrap();
}

#[test]
fn a_session_round_trips_through_a_sealed_cookie() {
    let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    let integration = integration();
    let pending = begin(&integration);
    let callback = callback_of(&pending);
    let mut session = PendingLogins::default();
    session.insert(begin(&integration));
    session.insert(pending);
    let cookie = session.seal(&ring, SystemTime::now()).unwrap();
    let mut session = PendingLogins::open(&cookie, &ring, SystemTime::now()).unwrap();
    assert_eq!(session.len(), 2);
    let pending = session.take(&callback).unwrap();
    verify(&integration, pending, callback, SystemTime::now()).unwrap();
}

#[test]
fn debug_shows_the_integration_and_no_secret() {
    assert_eq!(format!("{:?}", begin(&integration())), "PendingLogin { integration: IntegrationId(demo), .. }");
}

#[test]
fn a_stored_pending_login_is_small() {
    let pending = serde_json::to_string(&begin(&integration())).unwrap();
    assert!(pending.len() < 300, "{}", pending.len());

    let config = IntegrationConfig {
        id: IntegrationId::random().unwrap(),
        name: "Bitbucket".to_owned(),
        public_url: LONG_PUBLIC_URL.parse().unwrap(),
        client_id: "id".to_owned(),
        client_secret: "canary-secret".to_owned(),
        access: Access::SignIn,
    };
    let integration = Integration::builder(Arc::new(BitbucketCloud::cloud()), http(), config).build().unwrap();
    let pending = serde_json::to_string(&begin(&integration)).unwrap();
    assert!(pending.len() < 400, "{}", pending.len());
}

#[test]
fn malformed_pending_logins_are_refused_and_not_echoed() {
    let good = serde_json::to_value(begin(&integration())).unwrap();
    let change = |member: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        changed[member] = value;
        changed
    };
    let mut without_verifier = good.clone();
    without_verifier.as_object_mut().unwrap().remove("verifier");
    let marker = "MARKER";
    for malformed in [
        change("v", 0.into()),
        change("v", 2.into()),
        change("v", 300.into()),
        change("v", "1".into()),
        change("v", marker.into()),
        change("state", "".into()),
        change("state", marker.into()),
        change("state", 7.into()),
        change("state", [marker].as_slice().into()),
        change("state", "a".repeat(42).into()),
        change("state", "a".repeat(44).into()),
        change("state", format!("{} ", "a".repeat(42)).into()),
        change("verifier", "".into()),
        change("verifier", marker.into()),
        change("verifier", serde_json::Value::Null),
        change("begun_at", (-1).into()),
        change("begun_at", marker.into()),
        change("integration", "MARKER MARKER".into()),
        change("return_to", "//MARKER".into()),
        change("return_to", "https://MARKER".into()),
        change("callback_url", 1.into()),
        change("base_url", 1.into()),
        change("base_url", serde_json::Value::Null),
        without_verifier,
        serde_json::Value::Null,
        marker.into(),
        7.into(),
        serde_json::json!({}),
        serde_json::json!([marker]),
        serde_json::json!({ marker: marker }),
    ] {
        let text = malformed.to_string();
        let alone = serde_json::from_str::<PendingLogin>(&text).unwrap_err();
        let listed = serde_json::from_str::<PendingLogins>(&format!("[{text}]")).unwrap_err();
        for error in [&alone, &listed] {
            assert!(!format!("{error} {error:?}").contains(marker), "{text}: {error}");
        }
        // The same text in place of the whole session.
        if let Err(error) = serde_json::from_str::<PendingLogins>(&text) {
            assert!(!format!("{error} {error:?}").contains(marker), "{text}: {error}");
        }
        if let Err(error) = serde_json::from_value::<PendingLogins>(malformed) {
            assert!(!format!("{error} {error:?}").contains(marker), "{text}: {error}");
        }
    }
}

#[test]
fn ten_thousand_states_and_verifiers_are_all_different() {
    let integration = integration();
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        let pending = begin(&integration);
        for member in ["state", "verifier"] {
            let secret = stored(&pending, member);
            assert_eq!(secret.len(), 43);
            assert!(secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert!(seen.insert(secret));
        }
    }
}

#[test]
fn the_authorization_url_has_code_and_s256_and_no_other_parameters() {
    for (platform, base_url) in [("gitlab", "https://git.example.com"), ("bitbucket-cloud", "https://bitbucket.org")] {
        let start = IntegrationSetup::new(platform, base_url).build().begin_login(None).leak_checked().unwrap();
        let query: Vec<(String, String)> =
            Url::parse(start.redirect_to.as_str()).unwrap().query_pairs().into_owned().collect();
        let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"]
        );
        let value = |name: &str| query.iter().find(|(known, _)| known == name).unwrap().1.as_str();
        assert_eq!(value("response_type"), "code");
        assert_eq!(value("code_challenge_method"), "S256");
        assert_eq!(value("code_challenge").len(), 43);
        assert_eq!(value("state"), stored(&start.pending, "state"));
        assert!(!start.redirect_to.as_str().contains(&stored(&start.pending, "verifier")));
        assert!(!start.redirect_to.as_str().contains(crate::support::CLIENT_SECRET));
    }
}
