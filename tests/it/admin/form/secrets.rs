//! Secrets that were typed and not saved yet.

use http::StatusCode;

use crate::admin::app::{ANNA, App};
use crate::admin::form::{Filled, SECRET, edit_path, filled, filled_in, stored};

/// Somebody else in the same browser, or a browser that has her cookies.
#[tokio::test]
async fn a_typed_secret_is_kept_for_the_administrator_who_has_typed_it() {
    for app in [App::start(), App::in_cookie()] {
        let Filled { app, mut anna, gitlab, mut screen } = filled_in(app).await;
        screen.set("base_url", "git.example");
        let mut wrong = anna.press(&screen, "Create integration").await.screen();
        assert!(wrong.description("client_secret").contains("The secret is kept."));
        wrong.set("base_url", gitlab.base_url());

        let mut colleague = anna.clone();
        colleague.log_in("anna-2").await;
        let refused = colleague.press(&wrong, "Create integration").await.screen();
        assert_eq!((refused.status, refused.focused()), (StatusCode::UNPROCESSABLE_ENTITY, Some("client_secret")));
        assert!(refused.description("client_secret").contains("The Secret is empty."));
        assert!(gitlab.requests().is_empty(), "the secret was not sent");
        assert!(app.of_acme().await.is_empty());

        anna.log_in(ANNA).await;
        assert_eq!(anna.press(&wrong, "Create integration").await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn a_refused_secret_is_not_called_good() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = filled().await;
    screen.set("client_id", "wrong-id");
    let mut wrong = anna.press(&screen, "Create integration").await.screen();
    let description = wrong.description("client_secret");
    assert!(description.contains("The Application ID or the Secret is wrong."), "{description}");
    assert!(description.contains("The secret that was refused is kept."), "{description}");
    wrong.assert_hides("The secret is kept.");
    wrong.assert_hides("client ID");
    // It was the ID.
    wrong.set("client_id", "the-id");
    assert_eq!(anna.press(&wrong, "Create integration").await.status, StatusCode::SEE_OTHER);

    // Nor is one that no code host can accept.
    let mut edit = anna.open(&edit_path(&app).await).await;
    edit.set("client_secret", "canary\tsecret");
    let wrong = anna.press(&edit, "Save changes").await.screen();
    let description = wrong.description("client_secret");
    assert!(description.contains("contains a character that is not allowed"), "{description}");
    assert!(!description.contains("kept"), "{description}");
}

/// The last administrators could be locked out, which is their decision.
#[tokio::test]
async fn saving_without_a_check_says_what_it_can_lead_to() {
    let says = "If ID or secret is wrong, nobody can log in with this integration until an administrator who is still logged in";
    let Filled { app, mut anna, gitlab, mut screen } = stored().await;
    screen.assert_hides(says);
    gitlab.stop().await;
    screen.set("client_secret", SECRET);
    let unknown = anna.press(&screen, "Save changes").await.screen();
    unknown.assert_shows(says);
    assert_eq!(anna.press(&unknown, "Save anyway").await.status, StatusCode::SEE_OTHER);

    let path = edit_path(&app).await.replace("/edit", "/secret");
    let mut secret = anna.open(&path).await;
    secret.assert_hides(says);
    secret.set("client_secret", SECRET);
    anna.press(&secret, "Check and save").await.screen().assert_shows(says);
}

#[tokio::test]
async fn a_rule_for_logins_says_what_it_can_lead_to() {
    let Filled { screen, .. } = stored().await;
    let says = "If a rule excludes you, you cannot log in with this integration again until";
    assert_eq!(screen.text().matches(says).count(), 2, "at the groups and at the other rules");
    assert!(screen.described_by("who", "members").contains(says));
    assert!(!screen.described_by("who", "everybody").contains(says));
}
