//! A new integration, as both guides have it.

use codehost_oauth::testing::FakeApplication;
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, GUS, MIA};
use crate::admin::form::{Filled, SECRET, callback_url, code_hosts, filled, scopes};
use crate::admin::screen::Screen;

#[tokio::test]
async fn nobody_else_sees_the_form() {
    let app = App::start();
    let mut mia = app.browser(MIA).await;
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::FORBIDDEN);
    mia.cookies.clear();
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::UNAUTHORIZED);
}

/// Both guides, for each platform: add, see link, callback URL and scopes while id and secret are empty, paste, create.
#[tokio::test]
async fn an_administrator_adds_an_integration_of_each_platform() {
    for code_host in code_hosts().await {
        let app = App::start();
        if let Some(api_url) = &code_host.api_url {
            app.world.facts().api_urls.insert(code_host.base_url.clone(), api_url.clone());
        }
        let mut anna = app.browser(ANNA).await;
        let mut screen = anna.open(&format!("{ACME}/new")).await;
        assert_eq!(screen.status, StatusCode::OK);
        screen.assert_shows("Choose the platform and enter the base URL.");
        screen.assert_hides("/oauth/callback/");

        screen.set("platform", code_host.platform);
        screen.set("base_url", &code_host.base_url);
        screen.set("owner", "acme");
        let mut screen = anna.press(&screen, "Show setup link").await.screen();
        assert_eq!(screen.status, StatusCode::OK);
        assert_eq!((screen.value("client_id"), screen.value("client_secret")), Default::default());
        assert_eq!(screen.focused(), None);
        let links = screen.attributes("href");
        let link = format!("{}{}", code_host.base_url, code_host.link);
        assert!(links.iter().any(|href| href.starts_with(&link)), "{link} is not in {links:?}");
        let callback = callback_url(&screen, code_host.platform);
        // Said only where the platform calls it otherwise.
        match code_host.callback.to_lowercase().as_str() {
            "callback url" => screen.assert_hides("(the callback URL)"),
            _ => screen.assert_shows(&format!("{} (the callback URL)", code_host.callback)),
        }
        screen.assert_shows("paste them below and choose “Create integration”.");
        assert_eq!([screen.label("client_id"), screen.label("client_secret")], code_host.labels);
        assert_eq!(screen.value("name"), "");
        let scopes = scopes(&screen);
        assert!(!scopes.is_empty());
        let empty = anna.press(&screen, "Create integration").await.screen();
        for (field, label) in ["client_id", "client_secret"].into_iter().zip(code_host.labels) {
            let says = format!("The {label} is empty. Copy the {label} from the page of the OAuth application again,");
            assert!(empty.description(field).starts_with(&says), "{}", empty.description(field));
        }

        // At the code host.
        (code_host.add)(FakeApplication::new("the-id", SECRET, &callback, &scopes.join(" ")));
        screen.set("client_id", " the-id ");
        screen.set("client_secret", SECRET);
        let created = anna.press(&screen, "Create integration").await;
        assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", Screen::new(created.status, &created.body).text());
        let [stored] = app.of_acme().await.try_into().unwrap();
        assert_eq!(created.location(), Some(&*format!("{ACME}/{}?saved=created", stored.id)));
        assert!(callback.ends_with(&format!("/{}", stored.id)), "{callback}");
        assert_eq!(stored.settings.client_id, "the-id");
        assert_eq!(stored.created.by, "Anna Admin");
        let host = code_host.base_url.split('/').nth(2).unwrap();
        // A public service is called as it is.
        let is_named = |name: &str| name.ends_with(&format!("({host})")) || name == "Bitbucket Cloud";
        assert!(is_named(&stored.settings.name), "{}", stored.settings.name);
    }
}

/// The page can be loaded again: the callback URL that is registered already stays.
#[tokio::test]
async fn a_new_form_has_its_id_in_its_address() {
    let app = App::start();
    let mut anna = app.browser(ANNA).await;
    let first = anna.get(&format!("{ACME}/new")).await;
    let address = first.location().unwrap().to_owned();
    let ids = [anna.open(&address).await.value("id"), anna.open(&address).await.value("id")];
    assert_eq!(ids[0], ids[1]);
    assert_ne!(anna.open(&format!("{ACME}/new")).await.value("id"), ids[0], "another form has another id");
    // An address of another organization, or an invented one, leads to a fresh form.
    let query = address.split_once('?').unwrap().1;
    let mut gus = app.browser(GUS).await;
    assert_ne!(gus.open(&format!("/org/globex/integrations/new?{query}")).await.value("id"), ids[0]);
}

/// Of another organization, invented, or changed.
#[tokio::test]
async fn an_id_that_was_not_given_out_is_refused() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    let mut gus = app.browser(GUS).await;
    let other = gus.open("/org/globex/integrations/new").await;
    let of_other = other.value("signature");
    for (name, value) in [("id", "gitlab"), ("id", ""), ("signature", ""), ("signature", of_other.as_str())] {
        let changed = fields
            .iter()
            .cloned()
            .map(|(known, old)| if known == name { (known, value.to_owned()) } else { (known, old) });
        let shown = anna.post(&action, &changed.collect::<Vec<_>>()).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{name}={value}");
        assert!(app.of_acme().await.is_empty());
    }
    assert_eq!(anna.post(&action, &fields).await.status, StatusCode::SEE_OTHER);
    // The same form once more: the id is taken, and everything typed is there still.
    let twice = anna.post(&action, &fields).await.screen();
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert_eq!(twice.value("client_id"), "the-id");
    assert_eq!(app.of_acme().await.len(), 1);
}

/// What the script asks for: the guide alone, without the secret.
#[tokio::test]
async fn the_guide_alone_is_a_fragment() {
    let app = App::start();
    let mut anna = app.browser(ANNA).await;
    let mut screen = anna.open(&format!("{ACME}/new")).await;
    screen.set("platform", "bitbucket-cloud");
    screen.set("base_url", "https://bitbucket.org");
    screen.set("owner", "acme");
    let (action, fields) = screen.submission("Show setup link");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let shown = anna.send(http::Request::post(action).header("x-fragment", "1"), body).await;
    assert_eq!(shown.status, StatusCode::OK);
    let fragment = shown.screen();
    assert!(fragment.all("h1").is_empty() && fragment.fields().iter().all(|name| name.is_empty()));
    assert_eq!(fragment.attributes("data-ch-id"), ["Client ID"]);
    assert_eq!(fragment.attributes("data-ch-secret"), ["Secret"]);
    assert!(fragment.attributes("href").contains(&"https://bitbucket.org/acme/workspace/settings/oauth-clients"));
    assert_eq!(shown.headers["cache-control"], "no-store");
}

/// Without JavaScript, a button for each public service fills in platform and URL.
#[tokio::test]
async fn a_service_is_one_press() {
    let app = App::start();
    let mut anna = app.browser(ANNA).await;
    let screen = anna.open(&format!("{ACME}/new")).await;
    let codeberg = anna.press(&screen, "Codeberg").await.screen();
    assert_eq!(
        (codeberg.value("platform"), codeberg.value("base_url")),
        ("forgejo".to_owned(), "https://codeberg.org".to_owned())
    );
    callback_url(&codeberg, "forgejo");
    // Likewise a platform without a base URL. An empty form says what is missing.
    let mut screen = anna.open(&format!("{ACME}/new")).await;
    screen.set("platform", "gitlab");
    assert_eq!(anna.press(&screen, "Show setup link").await.screen().value("base_url"), "https://gitlab.com");
    let screen = anna.open(&format!("{ACME}/new")).await;
    let empty = anna.press(&screen, "Show setup link").await.screen();
    assert_eq!((empty.status, empty.focused()), (StatusCode::UNPROCESSABLE_ENTITY, Some("platform")));
    assert!(!empty.is_invalid("client_id"), "it is not asked for yet");
}

/// The enter key shows the guide first, and creates when there are credentials.
#[tokio::test]
async fn the_enter_key_goes_on() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    assert_eq!(screen.buttons()[0], "Continue");
    assert_eq!(anna.press(&screen, "Continue").await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await.len(), 1);
    let mut screen = anna.open(&format!("{ACME}/new")).await;
    screen.set("platform", "github");
    screen.set("base_url", "https://github.com");
    callback_url(&anna.press(&screen, "Continue").await.screen(), "github");
}
