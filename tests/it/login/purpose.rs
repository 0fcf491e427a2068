//! What a pending login is for: rows F10 and F12 of the threat model, without a router.

use codehost_oauth::error::{ConfigError, Error, VerifyError};
use codehost_oauth::{PendingLogin, PendingLogins, Purpose};

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::{at_gitlab, callback, gitlab};

/// Through a session store, as an app keeps it.
fn store_and_load(pending: PendingLogin) -> PendingLogins {
    let mut session = PendingLogins::default();
    session.insert(pending);
    serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap()
}

#[tokio::test]
async fn logins_connections_and_tests_are_never_mixed_up() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    // How it begins, how it is finished, and the error; `log_in` is a login.
    let refused = [
        ("log_in", "connect:user-7", VerifyError::OtherPurpose),
        ("log_in", "test:user-7", VerifyError::OtherPurpose),
        ("connect:user-7", "log_in", VerifyError::OtherPurpose),
        ("connect:user-7", "test:user-7", VerifyError::OtherPurpose),
        ("connect:user-7", "connect:user-8", VerifyError::OtherUser),
        ("connect:user-7", "connect:user-7 ", VerifyError::OtherUser),
        ("connect:user-7", "connect:USER-7", VerifyError::OtherUser),
        ("test:user-7", "log_in", VerifyError::OtherPurpose),
        ("test:user-7", "connect:user-7", VerifyError::OtherPurpose),
        ("test:user-7", "test:user-8", VerifyError::OtherUser),
        ("test:user-7", "test:user-7 ", VerifyError::OtherUser),
        // The text of one is the user of another.
        ("connect:test:user-7", "test:user-7", VerifyError::OtherPurpose),
        ("test:connect:user-7", "connect:user-7", VerifyError::OtherPurpose),
    ];
    for (begins, finishes, expected) in refused {
        let start = match begins.split_once(':') {
            Some(("connect", user)) => integration.begin_connect(user, None).leak_checked().unwrap(),
            Some((_, user)) => integration.begin_test(user, None).leak_checked().unwrap(),
            None => integration.begin_login(None).leak_checked().unwrap(),
        };
        assert_eq!(serde_json::to_value(start.pending.purpose()).unwrap(), begins);
        let callback = callback(&gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap()).unwrap();
        let pending = store_and_load(start.pending).take(&callback).unwrap();
        let error = match finishes.split_once(':') {
            Some(("connect", user)) => integration.finish_connect(user, pending, callback).await.leak_checked().err(),
            Some((_, user)) => integration.finish_test(user, pending, callback).await.leak_checked().err(),
            None => integration.finish_login(pending, callback).await.leak_checked().err(),
        };
        assert!(matches!(error.unwrap(), Error::Verify(error) if error == expected), "{begins} {finishes}");
    }
    assert!(gitlab.requests().is_empty());

    let start = integration.begin_connect("user-7", Some("/account".parse().unwrap())).leak_checked().unwrap();
    let callback = callback(&gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap()).unwrap();
    let pending = store_and_load(start.pending).take(&callback).unwrap();
    assert_eq!(pending.purpose(), &Purpose::connect("user-7").unwrap());
    let login = integration.finish_connect("user-7", pending, callback).await.leak_checked().unwrap();
    assert_eq!(login.user.key.to_string(), "gitlab:demo:2");
    assert_eq!(login.return_to.unwrap().as_str(), "/account");
}

#[tokio::test]
async fn malformed_user_ids_are_refused() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    for user in ["", &"x".repeat(256), "a\nb", "a\u{1}"] {
        assert!(matches!(integration.begin_connect(user, None).leak_checked().unwrap_err(), ConfigError::UserId(_)));
        assert!(matches!(Purpose::connect(user).unwrap_err(), ConfigError::UserId(_)));
        assert!(matches!(integration.begin_test(user, None).leak_checked().unwrap_err(), ConfigError::UserId(_)));
        assert!(matches!(Purpose::test(user).unwrap_err(), ConfigError::UserId(_)));
    }
    assert!(Purpose::connect(&"x".repeat(255)).is_ok());

    // A stored purpose without a user is refused and not read as a login.
    let start = integration.begin_connect("user-7", None).leak_checked().unwrap();
    let json = serde_json::to_string(&start.pending).unwrap();
    assert!(serde_json::from_str::<PendingLogin>(&json).is_ok());
    for (part, by) in
        [(":user-7\"", ":\""), ("connect:user-7", "user-7"), ("\"connect:user-7\"", "null"), ("\"purpose\"", "\"x\"")]
    {
        let damaged = json.replace(part, by);
        assert_ne!(damaged, json);
        assert!(serde_json::from_str::<PendingLogin>(&damaged).is_err(), "{damaged}");
    }
    for text in ["test:", "test", "Test:user-7", "tests:user-7", "test:a\u{1}"] {
        assert!(serde_json::from_value::<Purpose>(text.into()).is_err(), "{text}");
    }
}
