//! The form of an integration.

use codehost_oauth::admin::Refusal;
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, Browser, GUS, MIA, OLGA, PUBLIC_URL};
use crate::admin::screen::Screen;

const SECRET: &str = "canary-admin-secret";

#[tokio::test]
async fn nobody_else_sees_the_form() {
    let app = App::start();
    let mut mia = app.browser(MIA).await;
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::FORBIDDEN);
    mia.cookies.clear();
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::UNAUTHORIZED);
}

/// A platform, its fake, and what the platform calls id and secret.
struct CodeHost {
    platform: &'static str,
    base_url: String,
    api_url: Option<String>,
    labels: [&'static str; 2],
    /// The label of the callback URL there.
    callback: &'static str,
    /// The path of the setup link after the base URL, with the owner "acme".
    link: &'static str,
    add: Box<dyn Fn(FakeApplication) + Send + Sync>,
}

async fn code_hosts() -> Vec<CodeHost> {
    let gitlab = FakeGitLab::builder().sub_path("/gitlab").start().await.unwrap();
    let github = FakeGitHub::builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    let bitbucket = FakeBitbucket::builder().start().await.unwrap();
    let forgejo = FakeForgejo::builder().start().await.unwrap();
    let data_center = FakeBitbucketDataCenter::builder().start().await.unwrap();
    vec![
        CodeHost {
            platform: "gitlab",
            base_url: gitlab.base_url().to_owned(),
            api_url: None,
            labels: ["Application ID", "Secret"],
            callback: "Redirect URI",
            link: "/groups/acme/-/settings/applications",
            add: Box::new(move |application| gitlab.add_application(application)),
        },
        CodeHost {
            platform: "github",
            base_url: github.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Authorization callback URL",
            link: "/organizations/acme/settings/applications/new",
            add: Box::new(move |application| github.add_application(application)),
        },
        CodeHost {
            platform: "bitbucket-cloud",
            base_url: "https://bitbucket.org".to_owned(),
            api_url: Some(bitbucket.base_url().to_owned()),
            labels: ["Client ID", "Secret"],
            callback: "Callback URL",
            link: "/acme/workspace/settings/oauth-clients",
            add: Box::new(move |application| bitbucket.add_application(application)),
        },
        CodeHost {
            platform: "forgejo",
            base_url: forgejo.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Redirect URIs",
            link: "/org/acme/settings/applications",
            add: Box::new(move |application| forgejo.add_application(application)),
        },
        CodeHost {
            platform: "bitbucket-data-center",
            base_url: data_center.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Redirect URL",
            link: "/plugins/servlet/applinks/listApplicationLinks",
            add: Box::new(move |application| data_center.add_application(application)),
        },
    ]
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
        screen.assert_shows(&format!("{} (the callback URL)", code_host.callback));
        assert_eq!([screen.label("client_id"), screen.label("client_secret")], code_host.labels);
        assert_eq!(screen.value("name"), "");
        let scopes = scopes(&screen);
        assert!(!scopes.is_empty());

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

/// The one text field that shows the callback URL to copy.
fn callback_url(screen: &Screen, platform: &str) -> String {
    let start = format!("{PUBLIC_URL}/oauth/callback/{platform}/");
    let found: Vec<_> = screen.attributes("value").into_iter().filter(|value| value.starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let copied = screen.attributes("data-ch-copy").into_iter().find(|value| value.starts_with(&start));
    assert_eq!(copied, Some(found[0]));
    found[0].to_owned()
}

/// The scopes that have a copy button.
fn scopes(screen: &Screen) -> Vec<String> {
    let is_scope = |value: &&str| !value.contains("://") && !value.contains([' ', '(']);
    screen.attributes("data-ch-copy").into_iter().filter(is_scope).map(str::to_owned).collect()
}

/// A GitLab and a browser with a form that is filled in for it; the application exists.
struct Filled {
    app: App,
    anna: Browser,
    gitlab: FakeGitLab,
    screen: Screen,
}

async fn filled() -> Filled {
    filled_in(App::start()).await
}

async fn filled_in(app: App) -> Filled {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut anna = app.browser(ANNA).await;
    let mut screen = anna.open(&format!("{ACME}/new")).await;
    screen.set("platform", "gitlab");
    screen.set("base_url", gitlab.base_url());
    let mut screen = anna.press(&screen, "Show setup link").await.screen();
    let callback = callback_url(&screen, "gitlab");
    gitlab.add_application(FakeApplication::new("the-id", SECRET, &callback, &scopes(&screen).join(" ")));
    screen.set("client_id", "the-id");
    screen.set("client_secret", SECRET);
    Filled { app, anna, gitlab, screen }
}

/// A stored integration, and its form.
async fn stored() -> Filled {
    let Filled { app, mut anna, gitlab, screen } = filled().await;
    let created = anna.press(&screen, "Create integration").await;
    assert_eq!(created.status, StatusCode::SEE_OTHER);
    let screen = anna.open(&edit_path(&app).await).await;
    assert_eq!(screen.status, StatusCode::OK);
    Filled { app, anna, gitlab, screen }
}

async fn edit_path(app: &App) -> String {
    format!("{ACME}/{}/edit", app.of_acme().await[0].id)
}

#[tokio::test]
async fn an_error_is_at_its_field_in_the_summary_and_has_the_focus() {
    let Filled { app, mut anna, gitlab, mut screen } = filled().await;
    screen.set("base_url", "git.example");
    screen.set("client_id", "");
    screen.set("timeout", "90");
    screen.set("name", "שלום GitLab");
    screen.set("groups", "acme/tools\nacme/more");
    let mut screen = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(screen.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(screen.focused(), Some("base_url"));
    let summary = screen.role("alert");
    for (field, label) in [("base_url", "Base URL: "), ("timeout", "Time-out: ")] {
        assert!(screen.is_invalid(field) && screen.is_open(field), "{field}");
        assert!(summary.contains(label), "{summary}");
        assert!(screen.link_starting(label).is_some_and(|href| href == format!("#{field}")), "{summary}");
        assert!(!screen.description(field).is_empty());
    }
    assert!(screen.description("timeout").contains("from 1 to 60"));
    assert!(!screen.is_invalid("name"));
    // Nothing that was typed is lost, and the secret is not in the page.
    assert_eq!(screen.value("base_url"), "git.example");
    assert_eq!(screen.value("timeout"), "90");
    assert_eq!(screen.value("name"), "שלום GitLab");
    assert_eq!(screen.value("groups"), "acme/tools\nacme/more");
    assert_eq!(screen.value("client_secret"), "");
    assert!(screen.description("client_secret").contains("The secret is kept. Leave the field empty to use it."));
    assert!(app.of_acme().await.is_empty());
    assert!(gitlab.requests().is_empty(), "nothing was sent");

    screen.set("base_url", gitlab.base_url());
    screen.set("timeout", "");
    let mut screen = anna.press(&screen, "Create integration").await.screen();
    // In the platform's words.
    assert_eq!(screen.focused(), Some("client_id"));
    assert!(screen.role("alert").contains("Application ID: The client ID is empty."), "{}", screen.role("alert"));
    screen.set("client_id", "the-id");
    screen.set("who", "everybody");
    let saved = anna.press(&screen, "Create integration").await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "the secret that was kept is used: {}", saved.body);
    assert_eq!(app.of_acme().await[0].settings.name, "שלום GitLab");
}

#[tokio::test]
async fn a_wrong_secret_is_found_by_the_check_and_can_be_corrected() {
    let Filled { app, mut anna, gitlab, mut screen } = filled().await;
    screen.set("client_secret", "canary-wrong-secret");
    for button in ["Check", "Create integration"] {
        let wrong = anna.press(&screen, button).await.screen();
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(wrong.focused(), Some("client_secret"));
        assert!(wrong.is_invalid("client_secret"));
        assert!(wrong.role("status").contains("Something is wrong: log-ins would fail."));
        assert!(!wrong.buttons().contains(&"Save anyway".to_owned()));
    }
    screen.set("client_secret", SECRET);
    let checked = anna.press(&screen, "Check").await.screen();
    assert_eq!((checked.status, checked.focused()), (StatusCode::OK, Some("ch-report")));
    assert!(checked.role("status").contains("Everything that can be checked without a log-in is correct."));
    assert!(app.of_acme().await.is_empty());
    // The secret of the check is used.
    assert_eq!(anna.press(&checked, "Create integration").await.status, StatusCode::SEE_OTHER);
    assert!(gitlab.requests().iter().any(|request| request.path.ends_with("/oauth/token")));
}

#[tokio::test]
async fn an_outage_can_be_saved_anyway() {
    let Filled { app, mut anna, gitlab, screen } = filled().await;
    gitlab.stop().await;
    let unknown = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.role("status").contains("could not find out"), "{}", unknown.role("status"));
    assert!(unknown.is_invalid("base_url"));
    unknown.assert_hides("127.0.0.1:1");
    let saved = anna.press(&unknown, "Save anyway").await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await.len(), 1);
}

/// Signed out in another tab, the session gone, the right gone: what was typed stays, and works after a log-in.
#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session() {
    for (end, status, says) in [
        ("sign-out", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("lost", StatusCode::UNAUTHORIZED, "You are not logged in any more."),
        ("as/mia", StatusCode::FORBIDDEN, "You do not have access to these integrations."),
    ] {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
        match end {
            "lost" => anna.cookies.clear(),
            path => drop(anna.get(&format!("/{path}")).await),
        }
        let again = anna.press(&screen, "Create integration").await.screen();
        assert_eq!(again.status, status, "{end}");
        again.assert_shows(says);
        assert_eq!(again.link("Log in in another tab"), Some("/sign-in"));
        assert_eq!(again.focused(), Some("ch-notice"));
        assert_eq!(callback_url(&again, "gitlab"), callback_url(&screen, "gitlab"));
        assert_eq!(again.value("client_id"), "the-id");
        assert_eq!(again.value("client_secret"), "");
        assert!(again.description("client_secret").contains("The secret is kept."));
        assert!(app.of_acme().await.is_empty());
        // The other tab.
        anna.sign_in(ANNA).await;
        let saved = anna.press(&again, "Create integration").await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{end}: {}", saved.body);
        assert_eq!(app.of_acme().await.len(), 1);
    }
}

#[tokio::test]
async fn a_changed_csrf_token_needs_one_more_press() {
    for app in [App::start(), App::in_cookie()] {
        let Filled { app, mut anna, screen, gitlab: _gitlab } = filled_in(app).await;
        anna.cookies.clear();
        anna.sign_in(ANNA).await;
        let again = anna.press(&screen, "Create integration").await.screen();
        assert_eq!(again.status, StatusCode::FORBIDDEN);
        again.assert_shows("Press the button once more.");
        assert_eq!(again.value("client_id"), "the-id");
        assert!(app.of_acme().await.is_empty());
        let saved = anna.press(&again, "Create integration").await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    }
}

/// Another site cannot fill in the form for an administrator, nor keep a secret in the browser.
#[tokio::test]
async fn a_form_of_another_site_is_not_shown() {
    let Filled { mut anna, screen, .. } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| name != "csrf_token").collect();
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    for site in ["cross-site", "same-site", "none"] {
        let request = http::Request::post(&action).header("sec-fetch-site", site);
        let shown = anna.send(request, body.clone()).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN);
        assert!(!shown.body.contains("the-id"), "{site}: {}", shown.body);
    }
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

#[tokio::test]
async fn an_edit_changes_what_was_typed_and_keeps_the_secret() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = stored().await;
    let mut screen = screen;
    screen.assert_shows("Cannot be changed: it is part of the callback URL.");
    assert!(!screen.fields().contains(&"signature"));
    assert_eq!(screen.value("client_id"), "the-id");
    assert!(screen.description("client_secret").contains("The secret is kept."));
    screen.set("name", "A new name");
    screen.set("who", "members");
    screen.set("groups", "acme/tools\n42");
    screen.tick("with_subgroups", true);
    screen.set("least_role", "developer");
    screen.tick("two_factor", true);
    screen.set("email_domains", "example.com");
    screen.set("email_trust", "this-instance");
    let saved = anna.press(&screen, "Save changes").await;
    let id = app.of_acme().await[0].id.clone();
    assert_eq!(saved.location(), Some(&*format!("{ACME}/{id}?saved=changed")), "{}", saved.body);
    let screen = anna.open(&edit_path(&app).await).await;
    for (field, value) in [
        ("name", "A new name"),
        ("who", "members"),
        ("groups", "acme/tools\n42"),
        ("least_role", "developer"),
        ("email_domains", "example.com"),
        ("email_trust", "this-instance"),
    ] {
        assert_eq!(screen.value(field), value);
    }
    assert!(screen.is_ticked("with_subgroups") && screen.is_ticked("two_factor") && !screen.is_ticked("allow_bots"));
    assert!(screen.is_open("two_factor"), "what is set is not hidden");
    assert_eq!(app.of_acme().await[0].version, 2);
}

#[tokio::test]
async fn members_of_no_group_are_nobody() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = filled().await;
    screen.set("who", "members");
    let again = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(again.focused(), Some("groups"));
    assert!(again.description("groups").contains("No group or workspace is entered."));
    assert!(app.of_acme().await.is_empty());
}

/// Both versions are shown, and either can be used.
#[tokio::test]
async fn a_stale_edit_shows_both_versions() {
    let Filled { app, mut anna, screen: mut mine, gitlab: _gitlab } = stored().await;
    let mut olga = app.browser(OLGA).await;
    let mut hers = olga.open(&edit_path(&app).await).await;
    hers.set("name", "Olga's name");
    assert_eq!(olga.press(&hers, "Save changes").await.status, StatusCode::SEE_OTHER);

    mine.set("name", "Anna's name");
    mine.set("timeout", "9");
    mine.set("client_secret", SECRET);
    let both = anna.press(&mine, "Save changes").await.screen();
    assert_eq!(both.status, StatusCode::CONFLICT);
    both.assert_shows("Changed by Olga Operator,");
    let rows: Vec<_> = both.all("tr").into_iter().skip(1).collect();
    assert_eq!(rows, ["Name Anna's name Olga's name", "Time-out 9"]);
    assert_eq!(app.of_acme().await[0].settings.name, "Olga's name");

    // Start over.
    let over = both.link("Start over with what is stored now").unwrap().to_owned();
    assert_eq!(anna.open(&over).await.value("name"), "Olga's name");
    // Or continue.
    let form = anna.press(&both, "Continue with your version").await.screen();
    assert_eq!(
        (form.status, form.value("name"), form.value("timeout")),
        (StatusCode::OK, "Anna's name".to_owned(), "9".to_owned())
    );
    assert_eq!(app.of_acme().await[0].settings.name, "Olga's name", "not saved yet");
    assert_eq!(anna.press(&form, "Save changes").await.status, StatusCode::SEE_OTHER);
    let now = app.of_acme().await.remove(0);
    assert_eq!((now.settings.name.as_str(), now.version), ("Anna's name", 3));
}

#[tokio::test]
async fn what_was_typed_for_a_deleted_integration_is_shown() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.integrations.delete(&one, &()).await.unwrap();
    screen.set("name", "Anna's name");
    let gone = anna.press(&screen, "Save changes").await.screen();
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    gone.assert_shows("Name Anna's name");
    assert!(app.of_acme().await.is_empty());
}

#[tokio::test]
async fn a_changed_base_url_is_a_move_with_a_decision_first() {
    let Filled { app, mut anna, mut screen, gitlab: _gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.world.facts().accounts.insert(one.id.clone(), 3);
    let other = FakeGitLab::builder().start().await.unwrap();
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    other.add_application(FakeApplication::new("other-id", SECRET, &callback, "read_user read_api"));
    screen.set("base_url", other.base_url());
    screen.set("client_id", "other-id");

    // The stored secret is not sent to another server.
    let mut asked = anna.press(&screen, "Save changes").await.screen();
    assert_eq!(asked.focused(), Some("client_secret"));
    asked.assert_shows("Enter the secret again.");
    assert!(other.requests().is_empty());
    asked.set("client_secret", SECRET);
    let decision = anna.press(&asked, "Save changes").await.screen();
    decision.assert_shows("Move to another server?");
    decision.assert_shows("3 accounts use this integration.");
    decision.assert_shows(&format!("Base URL {} {}", one.settings.base_url, other.base_url()));
    decision.assert_shows("Application ID the-id other-id");
    decision.assert_shows("All accounts and connections of this integration are forgotten.");
    assert_eq!(app.of_acme().await[0], one, "nothing is saved");
    assert!(app.world.facts().told.is_empty());

    let back = anna.press(&decision, "Back to the form").await.screen();
    assert_eq!((back.value("base_url"), back.value("client_id")), (other.base_url().to_owned(), "other-id".to_owned()));
    assert!(!back.is_invalid("client_secret"));

    let moved = anna.press(&decision, "Move to another server").await;
    assert_eq!(moved.location(), Some(&*format!("{ACME}/{}?saved=changed", one.id)), "{}", moved.body);
    let now = app.of_acme().await.remove(0);
    assert_eq!((now.settings.base_url.as_str(), now.settings.client_id.as_str()), (other.base_url(), "other-id"));
    let name = &one.settings.name;
    assert_eq!(
        app.world.facts().told,
        [format!("before Some(NewServer) of {name}"), format!("after Some(NewServer) of {name}")]
    );
}

#[tokio::test]
async fn the_same_server_under_a_new_name_is_proposed() {
    let Filled { app, mut anna, mut screen, gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    screen.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
    screen.set("client_secret", SECRET);
    let decision = anna.press(&screen, "Save changes").await.screen();
    decision.assert_shows("The app does not tell how many accounts use this integration.");
    let proposed = anna.press(&decision, "Prove it with a test login").await;
    assert_eq!(proposed.location(), Some(&*format!("{ACME}/{}", one.id)), "{}", proposed.body);
    let now = app.of_acme().await.remove(0);
    assert_eq!(now.settings, one.settings, "users log in as before");
    assert!(now.proposed.unwrap().settings.base_url.contains("localhost"));
    assert!(app.world.facts().told.is_empty());
}

#[tokio::test]
async fn another_application_keeps_the_accounts() {
    let Filled { app, mut anna, mut screen, gitlab } = stored().await;
    let one = app.of_acme().await.remove(0);
    app.world.facts().accounts.insert(one.id.clone(), 1);
    let callback = format!("{PUBLIC_URL}/oauth/callback/gitlab/{}", one.id);
    gitlab.add_application(FakeApplication::new("other-id", "canary-other-secret", &callback, "read_user read_api"));
    screen.set("client_id", "other-id");
    screen.set("client_secret", "canary-other-secret");
    let decision = anna.press(&screen, "Save changes").await.screen();
    decision.assert_shows("Use another OAuth application?");
    decision.assert_shows("1 account uses this integration.");
    decision.assert_shows("Users and their accounts stay. Their connections end");
    assert!(!decision.buttons().contains(&"Prove it with a test login".to_owned()));
    app.world.facts().refusal = Some(Refusal::new("Nobody could log in.", "Make another user administrator first."));
    let refused = anna.press(&decision, "Use the other application").await.screen();
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.assert_shows("Nobody could log in. Make another user administrator first.");
    assert_eq!(refused.value("client_id"), "other-id");
    assert_eq!(app.of_acme().await[0], one);
    app.world.facts().refusal = None;
    assert_eq!(anna.press(&decision, "Use the other application").await.status, StatusCode::SEE_OTHER);
    assert!(app.world.facts().told.last().unwrap().starts_with("after Some(NewApplication)"));
}

/// The right ends while the check runs, or before the write.
#[tokio::test]
async fn a_right_that_has_ended_saves_nothing() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    app.world.facts().dismissed.push(ANNA.to_owned());
    let refused = anna.press(&screen, "Create integration").await.screen();
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.assert_shows("Nothing was saved.");
    assert_eq!(refused.value("client_id"), "the-id");
    assert!(app.of_acme().await.is_empty());
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

#[tokio::test]
async fn only_operators_see_and_set_the_api_url() {
    let Filled { app, mut anna, screen, gitlab } = stored().await;
    assert!(!screen.fields().contains(&"api_url"));
    let mut olga = app.browser(OLGA).await;
    let mut hers = olga.open(&edit_path(&app).await).await;
    assert_eq!(hers.label("api_url"), "API URL");
    hers.set("api_url", gitlab.base_url());
    hers.set("client_secret", SECRET);
    let decision = olga.press(&hers, "Save changes").await.screen();
    decision.assert_shows("API URL");
    assert_eq!(olga.press(&decision, "Move to another server").await.status, StatusCode::SEE_OTHER);
    // A tenant neither sees it, nor changes it with a field of their own making.
    let screen = anna.open(&edit_path(&app).await).await;
    let (action, mut fields) = screen.submission("Save changes");
    assert!(fields.iter().all(|(name, _)| name != "api_url"));
    fields.push(("api_url".to_owned(), "http://127.0.0.1:1".to_owned()));
    assert_eq!(anna.post(&action, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.of_acme().await[0].settings.api_url.as_deref(), Some(gitlab.base_url()));
}

/// A form is navigated by its headings, labels and legends.
#[tokio::test]
async fn a_screen_reader_finds_everything() {
    let Filled { screen, .. } = filled().await;
    let Filled { screen: edit, .. } = stored().await;
    for screen in [&screen, &edit] {
        assert_eq!(screen.all("h1").len(), 1);
        let steps: Vec<_> = screen.all("h2");
        assert_eq!(steps[0], "1 Which code host");
        assert_eq!(steps[1..3], ["2 Create the application there", "3 Paste ID and secret"]);
        assert!(steps.last().unwrap().starts_with("4 Check and"));
        for name in screen.fields() {
            let hidden = ["csrf_token", "version", "platform", "id", "signature"];
            if !hidden.contains(&name) || (name == "platform" && !screen.fields().contains(&"version")) {
                assert!(!screen.label(name).is_empty(), "{name}");
            }
        }
        assert!(screen.attributes("tabindex").iter().all(|index| *index == "-1"));
        for attribute in ["style", "onclick"] {
            assert!(screen.attributes(attribute).is_empty());
        }
        let classes = screen.attributes("class").into_iter().flat_map(str::split_whitespace);
        assert_eq!(classes.filter(|class| !class.starts_with("ch-")).collect::<Vec<_>>(), [""; 0]);
    }
}

/// A form that no browser sends.
#[tokio::test]
async fn odd_bodies_are_errors() {
    let Filled { app, mut anna, screen, gitlab: _gitlab } = filled().await;
    let (action, fields) = screen.submission("Create integration");
    for (name, value) in [
        ("name", "\u{0}"),
        ("name", &"x".repeat(5_000)),
        ("base_url", "javascript:alert(1)"),
        ("base_url", &"https://x.example/".repeat(500)),
        ("access", "scopes:"),
        ("access", "root"),
        ("client_id", "\u{202e}id\r\nx"),
        ("client_secret", "\u{7f}"),
        ("groups", "../.."),
        ("email_trust", "everybody"),
        ("platform", "<script>"),
        ("headers", "Host: evil.example"),
        ("client_certificate", "-----BEGIN NONSENSE-----"),
        ("root_certificates", "nonsense"),
        ("timeout", "99999999999999999999"),
    ] {
        let mut changed: Vec<_> = fields.iter().filter(|(known, _)| known != name && known != "who").cloned().collect();
        changed.push((name.to_owned(), value.to_owned()));
        changed.push(("who".to_owned(), if name == "groups" { "members" } else { "everybody" }.to_owned()));
        let shown = anna.post(&action, &changed).await;
        assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}={value:?}: {}", shown.body);
        assert!(!shown.body.contains("<script>"));
        assert!(app.of_acme().await.is_empty());
    }
    let shown = anna.send(http::Request::post(&action), "\u{fffd}%ff%00&=&&".to_owned()).await;
    assert_eq!(shown.status, StatusCode::FORBIDDEN);
    let shown = anna.send(http::Request::post(&action), "x".repeat(300_000)).await;
    assert_eq!(shown.status, StatusCode::BAD_REQUEST);
}
