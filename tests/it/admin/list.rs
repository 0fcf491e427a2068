//! The list of integrations.

use codehost_oauth::seal::KeyRing;
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, MemoryIntegrations, SqliteIntegrations,
    StoredIntegration,
};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, FindIntegration as _, IntegrationId, LoginEnd};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, GUS, PUBLIC_URL};
use crate::keeper::servers::Server;

const NAME: &str = "Our <GitLab> \u{5d0}\u{5d1}\u{5d2}";

/// Stores an integration of "acme".
pub(super) async fn create(integrations: &Integrations, base_url: &str, name: &str) -> StoredIntegration {
    let id = IntegrationId::random().unwrap();
    let settings = IntegrationSettings::new("gitlab", base_url, Access::SignIn).named(name).with_client_id("app-id");
    let secrets = IntegrationSecrets::new("canary-list-secret");
    integrations.by("Anna Admin").create(&id, Some("acme"), settings, &secrets).await.unwrap()
}

/// The integrations in this store, as an app with another key or another network has them.
pub(super) fn other_app(store: &MemoryIntegrations, key: (u32, u8), network: Network) -> Integrations {
    let http = HttpClient::builder(network).build().unwrap();
    let keys = KeyRing::new([(key.0, [key.1; 32].as_slice())]).unwrap();
    Integrations::new(store.clone(), AppConfig::new(PUBLIC_URL.parse().unwrap(), http), keys)
}

#[tokio::test]
async fn an_empty_list_says_what_is_needed() {
    let app = App::start();
    let screen = app.browser(ANNA).await.open(ACME).await;
    assert_eq!(screen.status, StatusCode::OK);
    screen.assert_shows("There is no integration yet, so nobody can log in with a code host.");
    screen.assert_shows("an account there that may create an OAuth application");
    assert_eq!(screen.link("Add integration"), Some("/org/acme/integrations/new"));
}

#[tokio::test]
async fn a_card_shows_what_is_known() {
    let app = App::start();
    let stored = create(&app.integrations, "https://git.example.com:8443/git", NAME).await;
    let path = format!("{ACME}/{}", stored.id);
    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(ACME).await;
    screen.assert_shows("GitLab: git.example.com:8443");
    screen.assert_shows("Last login at the code host none yet");
    screen.assert_hides("Last failure");
    screen.assert_hides("Users");
    screen.assert_hides("Changed by");
    screen.assert_hides("There is no integration yet");

    app.world.facts().accounts.insert(stored.id.clone(), 3);
    app.integrations.login_ended(&LoginEnd::success(&stored.id));
    app.integrations.login_ended(&LoginEnd::failure(&stored.id, "client_rejected"));
    app.integrations.write_notes().await;
    app.integrations.by("Olga Operator").disable(&stored).await.unwrap();
    let screen = browser.open(ACME).await;
    screen.assert_shows("Users 3");
    screen.assert_shows("Last failure client_rejected,");
    screen.assert_shows("Disabled. Nobody can log in with it.");
    screen.assert_shows("Created by Anna Admin,");
    screen.assert_shows("Changed by Olga Operator,");
    screen.assert_hides("none yet");
    assert_eq!(screen.all("h2"), [NAME]);
    assert_eq!(screen.link(NAME), Some(path.as_str()));
    assert_eq!(screen.link(&format!("Edit {NAME}")), Some(format!("{path}/edit").as_str()));
    assert_eq!(screen.link(&format!("Delete {NAME}")), Some(format!("{path}/delete").as_str()));
    let link = format!("{PUBLIC_URL}/login/{}", stored.id);
    assert_eq!(screen.attributes("data-ch-copy"), [link.as_str()]);
    assert!(screen.attributes("aria-label").contains(&"Copy: login link"));
    let times = screen.attributes("datetime");
    assert_eq!(times.len(), 4, "two of activity, created and changed: {times:?}");
    assert!(times.iter().all(|time| time.len() == 20 && time.starts_with("20") && time.ends_with('Z')), "{times:?}");
    // A name is written in its own direction.
    assert!(browser.get(ACME).await.body.contains(r#"dir="auto">Our &lt;GitLab&gt;"#));
}

#[tokio::test]
async fn a_lost_key_is_said_and_the_integration_can_be_repaired() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let stored = create(&other_app(&store, (2, 9), Network::public_only()), "https://git.example.com", NAME).await;
    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(ACME).await;
    screen.assert_hides("There is no integration yet");
    screen.assert_shows("This integration cannot be used. The app no longer has the key that encrypted the secret.");
    screen.assert_shows("Enter the secret again");
    assert_eq!(screen.attributes("data-code"), ["seal_unknown_key"]);
    assert_eq!(screen.attributes("data-ch-copy"), Vec::<&str>::new(), "no link that does not work");

    // Neither the page nor the small changes need the key.
    let screen = browser.open(&format!("{ACME}/{}", stored.id)).await;
    screen.assert_shows("The app no longer has the key");
    assert!(!screen.buttons().contains(&"Test login".to_owned()));
    assert_eq!(browser.press(&screen, "Disable").await.status, StatusCode::SEE_OTHER);
    assert!(app.of_acme().await[0].is_disabled);
    let screen = browser.open(&format!("{ACME}/{}/delete", stored.id)).await;
    assert_eq!(browser.press(&screen, "Delete integration").await.status, StatusCode::SEE_OTHER);
    assert!(app.of_acme().await.is_empty());

    // The same key id with other bytes.
    create(&other_app(&store, (1, 9), Network::public_only()), "https://git.example.com", NAME).await;
    browser.open(ACME).await.assert_shows("The stored secret cannot be decrypted.");
}

/// Another node, of a newer version, has stored it.
#[tokio::test]
async fn an_integration_that_cannot_be_read_hides_nothing_and_can_be_deleted() {
    let server = Server::sqlite().unwrap();
    let path = server.url.strip_prefix("sqlite:").unwrap();
    let app = App::with_store(SqliteIntegrations::open(path).await.unwrap(), Access::SignIn, true);
    let bad = create(&app.integrations, "https://git.example.com", NAME).await;
    let good = create(&app.integrations, "https://git.example.com", "Another one").await;
    let json = r#"{"version":9,"canary":"canary-newer"}"#;
    let pool = sqlx::SqlitePool::connect(&server.url).await.unwrap();
    let update = sqlx::query("UPDATE codehost_oauth_integrations SET settings = $1 WHERE id = $2");
    update.bind(json).bind(bad.id.as_str()).execute(&pool).await.unwrap();

    let mut browser = app.browser(ANNA).await;
    let screen = browser.open(ACME).await;
    assert_eq!(screen.all("h2"), ["Another one", NAME]);
    screen.assert_shows("This integration cannot be used. A newer version of this app has stored it.");
    screen.assert_shows(&format!("ID {} Changed by Anna Admin,", bad.id));
    assert_eq!(screen.attributes("data-code"), ["unreadable"]);
    assert_eq!(screen.link(&format!("Edit {NAME}")), None);
    let listed = browser.get(&format!("{ACME}/api/v1/integrations")).await.body;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["integrations"][0]["id"], good.id.as_str());
    let one = &listed["integrations"][1];
    assert_eq!((&one["id"], &one["version"], &one["name"]), (&bad.id.as_str().into(), &1.into(), &NAME.into()));
    assert_eq!(one["problem"]["code"], "unreadable");
    for part in ["", "/edit", "/secret", "/test"] {
        let shown = browser.get(&format!("{ACME}/{}{part}", bad.id)).await;
        assert_eq!(shown.status, StatusCode::SERVICE_UNAVAILABLE, "{part}");
        assert!(shown.body.contains("A newer version of this app has stored it."), "{}", shown.body);
    }
    // Nobody else learns that it is there.
    let globex = app.browser(GUS).await.get(&format!("/org/globex/integrations/{}", bad.id)).await;
    assert_eq!(globex.status, StatusCode::NOT_FOUND);
    let login = browser.get(&format!("/login/{}", bad.id)).await;
    assert_eq!(login.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.get(&format!("/login/{}", good.id)).await.status, StatusCode::OK);

    let screen = browser.open(screen.link(&format!("Delete {NAME}")).unwrap()).await;
    assert_eq!((screen.all("h1"), screen.link("Cancel")), (vec![format!("Delete {NAME}?")], Some(ACME)));
    assert_eq!(browser.press(&screen, "Delete integration").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await, [good]);
    assert_eq!(app.world.facts().told, ["before Deleted - → - by anna", "after Deleted - → - by anna"]);
}

#[tokio::test]
async fn settings_that_the_app_refuses_now_are_said() {
    let store = MemoryIntegrations::default();
    let app = App::with_store(store.clone(), Access::SignIn, true);
    let intranet = Network::public_and(["10.0.0.0/8".parse().unwrap()]);
    create(&other_app(&store, (1, 7), intranet), "https://10.1.2.3", "Intranet").await;
    let screen = app.browser(ANNA).await.open(ACME).await;
    screen.assert_shows("This integration cannot be used. Base URL:");
    screen.assert_shows("Edit the integration and correct its settings.");
    screen.assert_shows("GitLab: 10.1.2.3");
}

#[tokio::test]
async fn each_organization_sees_its_own() {
    let app = App::start();
    create(&app.integrations, "https://git.example.com", "Of Acme").await;
    let screen = app.browser(GUS).await.open("/org/globex/integrations").await;
    screen.assert_shows("There is no integration yet");
    screen.assert_hides("Of Acme");
}
