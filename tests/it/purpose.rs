//! What a pending login is for: rows F10 and F12 of the threat model, without a router.

use codehost_oauth::error::{ConfigError, Error, VerifyError};
use codehost_oauth::{PendingLogin, PendingLogins, Purpose};

use crate::support::{at_gitlab, callback, gitlab};
use crate::watch::Watched as _;

/// Through a session store, as a host keeps it.
fn stored_and_back(pending: PendingLogin) -> PendingLogins {
    let mut session = PendingLogins::default();
    session.insert(pending);
    serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_and_a_connection_are_never_taken_for_each_other() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    // Who begins what, who finishes it as what, and what comes of it.
    let refused = [
        (None, Some("user-7"), VerifyError::OtherPurpose),
        (Some("user-7"), None, VerifyError::OtherPurpose),
        (Some("user-7"), Some("user-8"), VerifyError::OtherUser),
        (Some("user-7"), Some("user-7 "), VerifyError::OtherUser),
        (Some("user-7"), Some("USER-7"), VerifyError::OtherUser),
    ];
    for (begins, finishes, expected) in refused {
        let start = match begins {
            Some(user) => integration.begin_connect(user, None).watched().unwrap(),
            None => integration.begin_login(None).watched().unwrap(),
        };
        let callback = callback(&gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap()).unwrap();
        let pending = stored_and_back(start.pending).take(&callback).unwrap();
        let outcome = match finishes {
            Some(user) => integration.finish_connect(user, pending, callback).await.watched(),
            None => integration.finish_login(pending, callback).await.watched(),
        };
        assert!(matches!(outcome.unwrap_err(), Error::Verify(error) if error == expected), "{begins:?} {finishes:?}");
    }
    assert!(gitlab.requests().is_empty());

    let start = integration.begin_connect("user-7", Some("/account".parse().unwrap())).watched().unwrap();
    let callback = callback(&gitlab.authorize(start.redirect_to.as_str(), "alice").unwrap()).unwrap();
    let pending = stored_and_back(start.pending).take(&callback).unwrap();
    assert_eq!(pending.purpose(), &Purpose::connect("user-7").unwrap());
    let login = integration.finish_connect("user-7", pending, callback).await.watched().unwrap();
    assert_eq!(login.user.key.to_string(), "gitlab:demo:2");
    assert_eq!(login.return_to.unwrap().as_str(), "/account");
}

#[tokio::test]
async fn nobody_is_no_user() {
    let gitlab = gitlab().await;
    let integration = at_gitlab(&gitlab);
    for user in ["", &"x".repeat(256), "a\nb", "a\u{1}"] {
        assert_eq!(integration.begin_connect(user, None).watched().unwrap_err(), ConfigError::UserId);
        assert_eq!(Purpose::connect(user).unwrap_err(), ConfigError::UserId);
    }
    assert!(Purpose::connect(&"x".repeat(255)).is_ok());

    // A stored purpose that names nobody is not read as a login.
    let start = integration.begin_connect("user-7", None).watched().unwrap();
    let json = serde_json::to_string(&start.pending).unwrap();
    assert!(serde_json::from_str::<PendingLogin>(&json).is_ok());
    for (part, by) in
        [(":user-7\"", ":\""), ("connect:user-7", "user-7"), ("\"connect:user-7\"", "null"), ("\"purpose\"", "\"x\"")]
    {
        let damaged = json.replace(part, by);
        assert_ne!(damaged, json);
        assert!(serde_json::from_str::<PendingLogin>(&damaged).is_err(), "{damaged}");
    }
}
