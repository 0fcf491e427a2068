//! Every text of the pages can be replaced, and docs/admin-texts.md lists them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use codehost_oauth::admin::{AdminPages, AdminRoutes};
use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
use codehost_oauth::settings::IntegrationSecrets;
use codehost_oauth::testing::FakeGitLab;
use codehost_oauth::{Access, FindIntegration as _, Group, Integration, Login, LoginEnd, LoginPolicy};
use http::StatusCode;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::admin::app::{ACME, ANNA, App, Browser, MIA, OLGA, PUBLIC_URL, Shown, log_in};
use crate::admin::detail::at_gitlab;
use crate::admin::screen::Screen;
use crate::support::programs::root;

/// An app in another language: each of its texts is in brackets.
struct Bracketed;

#[async_trait]
impl AdminPages for Bracketed {
    fn text(&self, text: &str) -> Option<Cow<'static, str>> {
        assert!(!text.contains('⟦'), "asked twice: {text}");
        Some(format!("⟦{text}⟧").into())
    }
}

struct Nobody;

#[async_trait]
impl LoginHandler for Nobody {
    async fn logged_in(&self, _: &mut RequestHead, _: &Integration, _: Login) -> Response {
        StatusCode::IM_A_TEAPOT.into_response()
    }

    async fn user_id(&self, request: &mut RequestHead) -> Result<Option<String>, codehost_oauth::error::AppError> {
        let session = request.extensions.get::<tower_sessions::Session>().unwrap();
        Ok(session.get("user").await?)
    }
}

fn bracketed() -> App {
    let app = App::start();
    let logins = LoginRoutes::in_session(app.integrations.clone(), Nobody, &PUBLIC_URL.parse().unwrap());
    let admin = AdminRoutes::new(&logins, &app.integrations, app.world.clone()).unwrap();
    let admin = admin.preset_access(Access::Read).pages(Bracketed);
    let router = Router::new()
        .merge(logins.router())
        .nest("/org/{owner}/integrations", admin.router())
        .route("/as/{user}", get(log_in))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_same_site(SameSite::Lax));
    App { router, ..app }
}

/// What nobody translates: names of platforms and services, their own labels, what administrators and users have typed.
const DATA: &str = "Anna Admin Olga Operator Our Alice Åström alice app-id the-id wrong-id acme owner UTC GitLab GitHub \
                    Bitbucket Cloud Data Center Server Enterprise Forgejo Gitea Codeberg Application ID Secret Redirect \
                    URI Name Confidential Trusted Client api Device authorization grant read gitlab other or";

/// The words of a page that are in no bracket and are no data.
fn without_brackets(page: &str) -> Vec<String> {
    let mut outside = String::new();
    for (position, part) in page.split('⟦').enumerate() {
        outside.push(' ');
        outside.push_str(if position == 0 { part } else { part.split_once('⟧').map_or("", |(_, after)| after) });
    }
    let is_data = |word: &str| {
        word.contains(['/', '.', '_', '@'])
            || word.chars().any(|c| c.is_ascii_digit())
            || DATA.split(' ').any(|known| known == word)
    };
    let words = outside.split_whitespace();
    let words = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
    words.filter(|word| !is_data(word)).map(str::to_owned).collect()
}

/// What was not in brackets, and where.
type Left = BTreeSet<(String, String)>;

fn check(left: &mut Left, name: &str, shown: &Shown) {
    let screen = shown.screen();
    assert!(screen.text().contains('⟦'), "{name}");
    let title = shown.body.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let attributes = ["aria-label", "placeholder", "data-ch-busy", "data-ch-copied", "data-ch-said"];
    let attributes = attributes.into_iter().flat_map(|attribute| screen.attributes(attribute));
    for text in [title, &screen.text()].into_iter().chain(attributes) {
        left.extend(without_brackets(text).into_iter().map(|word| (name.to_owned(), word)));
    }
}

fn button(text: &str) -> String {
    format!("⟦{text}⟧")
}

/// Presses a button and checks the page that answers.
async fn press(left: &mut Left, browser: &mut Browser, name: &str, screen: &Screen, text: &str) -> Screen {
    let shown = browser.press(screen, &button(text)).await;
    check(left, name, &shown);
    shown.screen()
}

async fn see(left: &mut Left, browser: &mut Browser, path: &str) -> Screen {
    let shown = browser.get(path).await;
    check(left, path, &shown);
    shown.screen()
}

#[tokio::test]
async fn every_text_of_the_pages_can_be_replaced() {
    let (app, mut left) = (bracketed(), Left::new());
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut anna = app.browser(ANNA).await;
    see(&mut left, &mut anna, ACME).await;
    see(&mut left, &mut anna, &format!("{ACME}/nobody")).await;
    let mut stranger = app.browser(MIA).await;
    see(&mut left, &mut stranger, ACME).await;
    stranger.cookies.clear();
    see(&mut left, &mut stranger, ACME).await;

    let policy = LoginPolicy::members_of([Group::path("acme").unwrap().at_least("owner").with_subgroups()]);
    let policy = policy.require_two_factor().refuse_external().allow_bots().email_domains(["example.com"]).unwrap();
    let stored = at_gitlab(&app, &gitlab, policy).await;
    app.world.facts().accounts.insert(stored.id.clone(), 3);
    app.integrations.login_ended(&LoginEnd::success(&stored.id));
    app.integrations.login_ended(&LoginEnd::failure(&stored.id, "client_rejected"));
    app.integrations.write_notes().await;
    let page = format!("{ACME}/{}", stored.id);
    for path in [ACME.to_owned(), format!("{page}?saved=created"), format!("{page}/delete"), format!("{page}/test")] {
        see(&mut left, &mut anna, &path).await;
    }
    let mut detail = see(&mut left, &mut anna, &page).await;
    detail.set("name", " ");
    press(&mut left, &mut anna, "a wrong name", &detail, "Save name").await;

    // The form, and what can become of it.
    let new = anna.get(&format!("{ACME}/new")).await.location().unwrap().to_owned();
    let mut form = see(&mut left, &mut anna, &new).await;
    press(&mut left, &mut anna, "an empty form", &form, "Show setup link").await;
    form.set("platform", "gitlab");
    form.set("base_url", gitlab.base_url());
    let mut form = press(&mut left, &mut anna, "the guide", &form, "Show setup link").await;
    press(&mut left, &mut anna, "no credentials", &form, "Create integration").await;
    form.set("client_id", "wrong-id");
    form.set("client_secret", "canary-texts-secret");
    form.set("who", "members");
    press(&mut left, &mut anna, "no groups", &form, "Create integration").await;
    form.set("who", "everybody");
    press(&mut left, &mut anna, "a check", &form, "Check").await;
    let mut lost = anna.clone();
    lost.cookies.clear();
    press(&mut left, &mut lost, "a lost session", &form, "Create integration").await;
    lost.log_in(MIA).await;
    press(&mut left, &mut lost, "a lost right", &form, "Create integration").await;
    lost.log_in(ANNA).await;
    press(&mut left, &mut lost, "another session", &form, "Create integration").await;

    // A stored integration.
    let mut edit = see(&mut left, &mut anna, &format!("{page}/edit")).await;
    see(&mut left, &mut app.browser(OLGA).await, &format!("{page}/edit")).await;
    let mut secret = see(&mut left, &mut anna, &format!("{page}/secret")).await;
    secret.set("client_secret", "canary-texts-secret");
    press(&mut left, &mut anna, "a wrong secret", &secret, "Check and save").await;
    let mut moving = see(&mut left, &mut anna, &format!("{page}/edit")).await;
    moving.set("base_url", &gitlab.base_url().replace("127.0.0.1", "localhost"));
    moving.set("client_secret", "canary-detail-secret");
    press(&mut left, &mut anna, "a move", &moving, "Save changes").await;
    app.integrations.by("Olga Operator").disable(&stored).await.unwrap();
    edit.set("name", "Our other GitLab");
    edit.tick("two_factor", false);
    press(&mut left, &mut anna, "a stale edit", &edit, "Save changes").await;
    press(&mut left, &mut anna, "a stale page", &detail, "Disable").await;
    see(&mut left, &mut anna, ACME).await;
    let now = app.of_acme().await.remove(0);
    let now = app.integrations.by("Olga Operator").enable(&now).await.unwrap();

    // Test logins.
    let detail = see(&mut left, &mut anna, &page).await;
    report(&mut left, &mut anna, &gitlab, &detail, "Test login").await;
    let mut settings = now.settings.clone();
    settings.base_url = gitlab.base_url().replace("127.0.0.1", "localhost");
    let secrets = IntegrationSecrets::new("canary-detail-secret");
    app.integrations.by("Anna Admin").propose(&now, settings, &secrets).await.unwrap();
    let detail = see(&mut left, &mut anna, &page).await;
    report(&mut left, &mut anna, &gitlab, &detail, "Confirm with a test login").await;
    app.integrations.by("jane").delete(&app.of_acme().await.remove(0)).await.unwrap();
    press(&mut left, &mut anna, "a deleted integration", &edit, "Save changes").await;
    assert!(left.is_empty(), "{left:#?}");
}

async fn report(left: &mut Left, anna: &mut Browser, gitlab: &FakeGitLab, screen: &Screen, text: &str) {
    let begun = anna.press(screen, &button(text)).await;
    // The fake knows itself by its address only.
    let at_fake = begun.location().unwrap().replace("localhost", "127.0.0.1");
    let callback = gitlab.authorize(&at_fake, "alice").unwrap();
    let done = anna.get(callback.strip_prefix(PUBLIC_URL).unwrap()).await;
    see(left, anna, done.location().unwrap()).await;
}

/// A text that an app does not find in the list stays English for its users.
#[test]
fn the_list_of_texts_is_complete() {
    let mut found = BTreeSet::new();
    let fields = ["draft", "editor", "field", "integration_settings"].map(|name| format!("src/settings/{name}.rs"));
    for file in files(&root().join("src/admin")).into_iter().chain(fields.map(|name| root().join(name))) {
        let source = fs::read_to_string(&file).unwrap();
        // The names of months, and what is wrong with a body of JSON.
        let is_other = file.ends_with("admin/time.rs") || file.ends_with("json/body.rs");
        let texts = literals(&source).into_iter().filter(|(text, before)| is_text(text, before));
        found.extend(texts.filter(|(_, before)| !is_other || before.ends_with("text(")).map(|(text, _)| text));
    }
    let page = fs::read_to_string(root().join("docs/admin-texts.md")).unwrap();
    let list = page.split("\n```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let listed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let superfluous: Vec<_> = listed.difference(&found).collect();
    assert!(missing.is_empty() && superfluous.is_empty(), "add {missing:#?}, remove {superfluous:#?}");
    assert!(listed.len() > 200, "{}", listed.len());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.extension() {
            None => found.extend(files(&entry)),
            Some(extension) if extension == "rs" => found.push(entry),
            Some(_) => {}
        }
    }
    found
}

/// Whether a string of the source is a text for people: what is given to `text`, a sentence, or a word with a capital letter.
fn is_text(text: &str, before: &str) -> bool {
    if before.ends_with("text(") || before.ends_with("fact(visit,") {
        return true;
    }
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_capitalized = text == "OK" || text.len() > 1 && text.starts_with(char::is_uppercase) && is_word(&text[1..]);
    let is_sentence = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.trim_end().contains(' ');
    (is_capitalized || is_sentence) && !text.contains('{') && !NO_TEXTS.contains(&text)
}

const NO_TEXTS: [&str; 9] = [
    "what is stored about the integration is damaged",
    "it is an id",
    "noopener noreferrer",
    "text/css; charset=utf-8",
    "text/html; charset=utf-8",
    "text/javascript; charset=utf-8",
    "the routes of the integrations page are gone",
    "there is nothing in it",
    "width=device-width, initial-scale=1",
];

/// The strings of a source file, each with what is before it. Without those in comments and unit tests.
fn literals(source: &str) -> Vec<(String, String)> {
    let mut rest = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let (mut found, mut before) = (Vec::new(), String::new());
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if c == '\'' && rest.chars().nth(2) == Some('\'') {
            rest = rest.splitn(3, '\'').nth(2).unwrap();
        } else if rest.starts_with("r#\"") {
            rest = rest.split_once("\"#").unwrap().1;
        } else if c == '"' {
            let (text, after) = string(&rest[1..]);
            found.push((text, before.trim_end().to_owned()));
            before.clear();
            rest = after;
        } else {
            before.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// The string at the start, and what follows its closing quote.
fn string(source: &str) -> (String, &str) {
    let (mut text, mut rest) = (String::new(), source);
    loop {
        let c = rest.chars().next().unwrap();
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return (text, rest),
            // A line that goes on in the next one.
            '\\' if rest.starts_with('\n') => rest = rest.trim_start(),
            '\\' => {
                let escaped = rest.chars().next().unwrap();
                text.push(if escaped == 'n' { '\n' } else { escaped });
                rest = &rest[escaped.len_utf8()..];
            }
            c => text.push(c),
        }
    }
}
