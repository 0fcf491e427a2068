//! What the script adds, in headless Chromium.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use fantoccini::Locator;
use fantoccini::key::Key;

use crate::admin::app::{ACME, ANNA, App};
use crate::admin::form::SECRET;
use crate::example_app::browser::Browser;

/// The bodies of the script's own requests.
type Fetched = Arc<Mutex<Vec<String>>>;

/// Serves the app. Returns its URL.
async fn serve(app: &App, fetched: &Fetched) -> String {
    let router = app.router.clone().layer(from_fn_with_state(Arc::clone(fetched), record));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    // A browser keeps the secure cookie of this name without HTTPS too.
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn record(State(fetched): State<Fetched>, request: Request, next: Next) -> Response {
    if request.headers().get("x-fragment").is_none() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    fetched.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
    next.run(Request::from_parts(head, Body::from(body))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_shows_the_guide_copies_locks_and_remembers() {
    let (app, fetched) = (App::start(), Fetched::default());
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let url = serve(&app, &fetched).await;
    let browser = Browser::start("admin_form", true, false).await;
    browser.open(&format!("{url}/as/{ANNA}")).await;
    browser.open(&format!("{url}{ACME}/new")).await;
    browser.wait_for_text("The setup link, the callback URL and the scopes then appear here.").await;
    assert!(!browser.text().await.contains("Show setup link"), "only without the script");

    // A service fills in platform and base URL, and the guide appears.
    browser.click("Codeberg").await;
    browser.wait_for_text("https://codeberg.org/").await;
    assert_eq!(browser.value("#base_url").await, "https://codeberg.org");
    // The secret is typed first, and not sent with what follows.
    browser.fill("client_secret", SECRET).await;
    check(&browser, "input[name=platform][value=gitlab]").await;
    browser.until("GitLab.com", async || browser.value("#base_url").await == "https://gitlab.com").await;
    browser.fill("base_url", gitlab.base_url()).await;
    browser.fill("owner", "acme/tools").await;
    browser.wait_for_text(&format!("{}/groups/acme/tools/-/settings/applications", gitlab.base_url())).await;
    let label = script(&browser, "return document.querySelector('label[for=client_id]').textContent").await;
    assert_eq!(label, "Application ID");
    browser.until("said", async || live(&browser).await == "The setup link is ready.").await;
    browser.check_page("guide").await;
    let sent = fetched.lock().unwrap().clone();
    assert!(sent.len() > 1 && sent.iter().all(|body| !body.contains(SECRET) && !body.contains("client_secret")));

    // Copied, and said.
    let callback =
        script(&browser, "return document.querySelector('#ch-guide [data-ch-copy*=callback]').dataset.chCopy").await;
    let copy = browser.client.find(Locator::Css("#ch-guide [data-ch-copy*=callback]")).await.unwrap();
    copy.click().await.unwrap();
    browser.until("copied", async || live(&browser).await == "Copied: Redirect URI").await;

    // The back button brings back what was typed, but no secret.
    browser.fill("name", "שלום").await;
    browser.fill("client_id", "the-id").await;
    assert!(!script(&browser, "return JSON.stringify(sessionStorage)").await.contains(SECRET));
    browser.open(&format!("{url}/as/{ANNA}")).await;
    browser.client.back().await.unwrap();
    browser.until("what was typed", async || browser.value("#name").await == "שלום").await;
    browser.until("the guide", async || !browser.text().await.contains("then appear here")).await;
    assert_eq!(browser.value("#base_url").await, gitlab.base_url());
    assert_eq!(browser.value("#client_secret").await, "");
    let same =
        script(&browser, "return document.querySelector('#ch-guide [data-ch-copy*=callback]').dataset.chCopy").await;
    assert_eq!(same, callback, "the callback URL that is registered already");

    // The buttons are locked while the app checks, so that a second press sends nothing.
    let scopes = "read_user read_api";
    gitlab.add_application(FakeApplication::new("the-id", SECRET, &callback, scopes));
    gitlab.set_latency(Duration::from_millis(700));
    browser.fill("client_secret", SECRET).await;
    // The driver waits for the next page, so the page notes by itself how it looks meanwhile.
    let presses = "const save = document.querySelector('button[value=save]'); save.click(); save.click(); \
        setTimeout(() => sessionStorage.setItem('seen', save.ariaDisabled + save.textContent), 100); return '';";
    script(&browser, presses).await;
    browser.until("created", async || app.of_acme().await.len() == 1).await;
    browser.until("left", async || !browser.client.current_url().await.unwrap().path().ends_with("/new")).await;
    let exchanges = gitlab.requests().iter().filter(|request| request.path.ends_with("/oauth/token")).count();
    assert_eq!(exchanges, 1, "checked once");
    assert_eq!(script(&browser, "return sessionStorage.getItem('seen')").await, "trueChecking and saving …");
    browser.end().await;
}

/// An error is at its field as soon as that is left, and a screen reader is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_script_says_what_is_wrong_at_its_field() {
    let (app, fetched) = (App::start(), Fetched::default());
    let url = serve(&app, &fetched).await;
    let browser = Browser::start("admin_form_errors", true, false).await;
    browser.open(&format!("{url}/as/{ANNA}")).await;
    browser.open(&format!("{url}{ACME}/new")).await;
    check(&browser, "input[name=platform][value=gitlab]").await;
    browser.until("GitLab.com", async || live(&browser).await == "The setup link is ready.").await;
    browser.fill("base_url", "git.example").await;
    browser.until("an error", async || state(&browser, "base_url").await.starts_with("true base_url-error ")).await;
    browser.until("said", async || live(&browser).await.starts_with("Base URL: ")).await;
    browser.check_page("error").await;
    let text = script(&browser, "return document.getElementById('base_url-error').textContent").await;
    assert!(live(&browser).await.ends_with(&text), "{text}");
    let is_marked = "return String(document.getElementById('base_url').closest('.ch-field').matches('.ch-invalid'))";
    assert_eq!(script(&browser, is_marked).await, "true");

    browser.fill("base_url", "https://git.example.com").await;
    browser.until("no error", async || state(&browser, "base_url").await == "null base_url-help").await;
    browser.until("the guide", async || live(&browser).await == "The setup link is ready.").await;
    assert_eq!(script(&browser, is_marked).await, "false");

    // A field without a help text, in another section; the guide stays.
    script(&browser, "document.querySelector('.ch-more').open = true; return ''").await;
    browser.fill("timeout", "90").await;
    browser.until("an error", async || state(&browser, "timeout").await.starts_with("true timeout-error")).await;
    browser.until("said", async || live(&browser).await.starts_with("Time-out: ")).await;
    assert!(browser.text().await.contains("https://git.example.com/-/user_settings/applications"));
    browser.fill("timeout", "9").await;
    browser.until("nothing said", async || live(&browser).await.is_empty()).await;
    browser.end().await;
}

/// `aria-invalid` and `aria-describedby` of a field.
async fn state(browser: &Browser, id: &str) -> String {
    let attributes = "['aria-invalid', 'aria-describedby']";
    let get = format!("{attributes}.map((name) => document.getElementById('{id}').getAttribute(name)).join(' ')");
    script(browser, &format!("return {}", get.replace("getAttribute(name)", "getAttribute(name) || 'null'"))).await
}

/// By keyboard, without the script: the first error has the focus.
#[tokio::test(flavor = "multi_thread")]
async fn the_form_works_by_keyboard_without_the_script() {
    let (app, fetched) = (App::start(), Fetched::default());
    let url = serve(&app, &fetched).await;
    let browser = Browser::start("admin_form_plain", false, true).await;
    browser.open(&format!("{url}/as/{ANNA}")).await;
    browser.open(&format!("{url}{ACME}/new")).await;
    check(&browser, "input[name=platform][value=gitlab]").await;
    browser.fill("base_url", "git.example").await;
    let field = browser.client.find(Locator::Id("base_url")).await.unwrap();
    field.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.wait_for_text("Nothing was saved: something is wrong").await;
    let focused = browser.client.active_element().await.unwrap();
    assert_eq!(focused.attr("id").await.unwrap().as_deref(), Some("base_url"));
    browser.check_page("error").await;
    browser.fill("base_url", "https://git.example.com").await;
    let field = browser.client.find(Locator::Id("base_url")).await.unwrap();
    field.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.wait_for_text("https://git.example.com/-/user_settings/applications").await;
    browser.check_page("guide").await;
    assert!(fetched.lock().unwrap().is_empty());
    browser.end().await;
}

async fn check(browser: &Browser, css: &str) {
    browser.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
}

async fn script(browser: &Browser, script: &str) -> String {
    let value = browser.client.execute(script, Vec::new()).await.unwrap();
    value.as_str().unwrap_or_default().to_owned()
}

/// What a screen reader was told last.
async fn live(browser: &Browser) -> String {
    script(browser, "return document.getElementById('ch-live').textContent").await
}
