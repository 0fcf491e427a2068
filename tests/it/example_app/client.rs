//! A browser without a script, for the example app and the fakes.

use std::collections::BTreeMap;

use codehost_oauth::testing::{FakeApplication, FakeGitLab};
use http::StatusCode;
use http::header::{LOCATION, SET_COOKIE};

use super::{INTEGRATIONS, Program};
use crate::admin::screen::Screen;
use crate::secrets::leak_check;

#[derive(Clone)]
pub(super) struct HttpBrowser {
    http: reqwest::Client,
    pub(super) cookies: BTreeMap<String, String>,
    base: String,
}

pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl HttpBrowser {
    pub(super) fn of(program: &Program) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { http, cookies: BTreeMap::new(), base: program.url.clone() }
    }

    /// The browser that sets up the app.
    pub(super) async fn founder(program: &Program) -> Self {
        let mut browser = Self::of(program);
        let page = browser.get(&program.setup).await.screen();
        page.assert_shows("There is no administrator who can log in.");
        let begun = browser.press(&page, "Begin setup").await;
        assert_eq!(begun.location(), INTEGRATIONS);
        browser
    }

    /// A founder's browser whose user is the administrator "alice", at GitLab; and the integration's id.
    pub(super) async fn administrator(program: &Program) -> (Self, String) {
        let mut browser = Self::founder(program).await;
        let id = browser.add(program, "main", "gitlab", "Our GitLab").await;
        browser.log_in(&id, "alice").await.assert_text("You are the administrator from now on.");
        (browser, id)
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, at_app: bool) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if at_app { request.header("cookie", cookies.join("; ")) } else { request };
        let mut response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        if at_app {
            for cookie in headers.get_all(SET_COOKIE) {
                let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                let (value, attributes) = rest.split_once(';').unwrap();
                self.cookies.remove(name);
                if !attributes.contains("Max-Age=0") {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Page { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        let (url, at_app) = self.url(path);
        let page = self.send(self.http.get(url), at_app).await;
        if at_app {
            leak_check::response("a page of the example app", &page.headers, &page.body);
        }
        page
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let (url, at_app) = self.url(path);
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("sec-fetch-site", "same-origin").body(encoded(fields));
        let page = self.send(request, at_app).await;
        if at_app {
            leak_check::response("a page of the example app", &page.headers, &page.body);
        }
        page
    }

    /// Presses a button in a task of its own, so that the caller can do something else meanwhile.
    pub(super) fn press_in_background(
        &self,
        screen: &Screen,
        button: &str,
    ) -> tokio::task::JoinHandle<Option<(u16, String)>> {
        let (action, fields) = screen.submission(button);
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.post(self.url(&action).0).header("cookie", cookies.join("; "));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(encoded(&fields));
        tokio::spawn(async move {
            let response = request.send().await.ok()?;
            Some((response.status().as_u16(), response.text().await.ok()?))
        })
    }

    /// Follows redirects until there is a page.
    pub(super) async fn open(&mut self, path: &str) -> Page {
        let mut page = self.get(path).await;
        while page.status == 303 {
            page = self.get(page.location()).await;
        }
        page
    }

    pub(super) async fn press(&mut self, screen: &Screen, button: &str) -> Page {
        let (action, fields) = screen.submission(button);
        self.post(&action, &fields).await
    }

    /// Opens a page, presses a button on it, and follows the redirect.
    pub(super) async fn submit(&mut self, page: &str, button: &str) -> Page {
        let screen = self.open(page).await.screen();
        let shown = self.press(&screen, button).await;
        if shown.status == 303 { self.open(shown.location()).await } else { shown }
    }

    fn url(&self, path: &str) -> (String, bool) {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let at_app = url.starts_with(&format!("{}/", self.base));
        (url, at_app)
    }

    /// Adds an integration with a fake of the test's own process. Returns its id.
    pub(super) async fn add_gitlab(&mut self, gitlab: &FakeGitLab, name: &str, secret: &str) -> String {
        let mut form = self.begin_form("main", "gitlab", gitlab.base_url(), name).await;
        let callback = callback_url(&form);
        gitlab.add_application(FakeApplication::new("test-id", secret, &callback, "read_user read_api api"));
        form.set("client_id", "test-id");
        form.set("client_secret", secret);
        let created = self.press(&form, "Create integration").await;
        self.open(created.location()).await.assert_text("The integration was created.");
        callback.rsplit('/').next().unwrap().to_owned()
    }

    /// Sends the edit form with another base URL, up to the page that asks what it means.
    pub(super) async fn begin_move(&mut self, id: &str, to: &FakeGitLab, secret: &str) -> Screen {
        let callback = format!("{}/oauth/callback/gitlab/{id}", self.base);
        to.add_application(FakeApplication::new("test-id", secret, &callback, "read_user read_api api"));
        let mut form = self.open(&format!("{INTEGRATIONS}/{id}/edit")).await.screen();
        form.set("base_url", to.base_url());
        form.set("client_secret", secret);
        self.press(&form, "Save changes").await.screen()
    }

    /// Follows the setup link of the form to the fake, and creates an OAuth application there. Returns its id and secret.
    pub(super) async fn create_application(&mut self, form: &Screen) -> (String, String) {
        let base_url = form.value("base_url");
        let link = form.attributes("href").into_iter().find(|href| href.starts_with(&*base_url)).unwrap().to_owned();
        let mut page = self.get(&link).await.screen();
        page.set("callback", &callback_url(form));
        let (action, mut fields) = page.submission("Save application");
        let told = form.attributes("data-ch-copy");
        let is_told = |value: &&str| told.contains(value) && **value != *callback_url(form);
        fields.extend(
            page.attributes("value").into_iter().filter(is_told).map(|scope| ("scope".to_owned(), scope.to_owned())),
        );
        let page = self.post(&format!("{}{action}", origin(&link)), &fields).await.screen();
        page.assert_shows("Application created");
        let values: Vec<_> = page.attributes("value").into_iter().map(str::to_owned).collect();
        let [id, secret] = values.last_chunk().unwrap();
        leak_check::learn("client secret", secret);
        (id.clone(), secret.clone())
    }

    /// The form of a new integration after its first step: the callback URL is on it.
    pub(super) async fn begin_form(
        &mut self,
        organization: &str,
        platform: &str,
        base_url: &str,
        name: &str,
    ) -> Screen {
        let mut form = self.open(&format!("/org/{organization}/integrations/new")).await.screen();
        form.set("platform", platform);
        form.set("base_url", base_url);
        form.set("name", name);
        let mut form = self.press(&form, "Show setup link").await.screen();
        if platform != "bitbucket-cloud" {
            return form;
        }
        form.set("owner", "acme");
        self.press(&form, "Show setup link").await.screen()
    }

    /// Adds an integration as an administrator does. Returns its id.
    pub(super) async fn add(&mut self, program: &Program, organization: &str, platform: &str, name: &str) -> String {
        let mut form = self.begin_form(organization, platform, program.fake(platform), name).await;
        let callback = callback_url(&form);
        let (id, secret) = self.create_application(&form).await;
        form.set("client_id", &id);
        form.set("client_secret", &secret);
        let created = self.press(&form, "Create integration").await;
        let page = self.open(created.location()).await;
        page.assert_text("The integration was created.");
        callback.rsplit('/').next().unwrap().to_owned()
    }

    /// Presses the button of a login page, then "Authorize" as this user, or "Deny". Returns the callback URL.
    pub(super) async fn authorize(&mut self, page: &str, button: &str, username: Option<&str>) -> String {
        let screen = self.open(page).await.screen();
        let begun = self.press(&screen, button).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        self.authorize_at(begun.location(), username).await
    }

    /// The same, from the authorization URL on.
    pub(super) async fn authorize_at(&mut self, url: &str, username: Option<&str>) -> String {
        let consent = self.get(url).await;
        let form = consent.body.split("<form").nth(if username.is_some() { 1 } else { 2 }).unwrap();
        let mut fields: Vec<(String, String)> = form
            .split("type=\"hidden\" name=\"")
            .skip(1)
            .map(|rest| {
                let value = rest.split_once("value=\"").unwrap().1;
                (before(rest, "\"").to_owned(), before(value, "\"").replace("&amp;", "&"))
            })
            .collect();
        if let Some(username) = username {
            fields.push(("user".to_owned(), username.to_owned()));
        }
        let action = before(form.split_once("action=\"").unwrap().1, "\"").to_owned();
        let response = self.post(&action, &fields).await;
        leak_check::callback(response.location());
        response.location().to_owned()
    }

    /// A whole login with the login link.
    pub(super) async fn log_in(&mut self, id: &str, username: &str) -> Page {
        self.log_in_at(&format!("/login/{id}"), username).await
    }

    /// A whole login with the only button of a page: a login link, or an invitation.
    pub(super) async fn log_in_at(&mut self, page: &str, username: &str) -> Page {
        let button = self.open(page).await.screen().buttons().into_iter().find(|one| one.starts_with("Log in with"));
        let callback = self.authorize(page, &button.unwrap(), Some(username)).await;
        self.open(&callback).await
    }

    /// Invites a user: the path of the invitation link.
    pub(super) async fn invite(&mut self, organization: &str, button: &str) -> String {
        let page = self.submit(&format!("/org/{organization}/people"), button).await.screen();
        let link = page.attributes("value").into_iter().find(|value| value.contains("/invite/")).unwrap().to_owned();
        url::Url::parse(&link).unwrap().path().to_owned()
    }
}

impl Page {
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).unwrap_or_else(|| panic!("no redirect: {}", self.body)).to_str().unwrap()
    }

    pub(super) fn screen(&self) -> Screen {
        assert_ne!(self.status, 303, "{:?}", self.headers);
        Screen::new(StatusCode::from_u16(self.status).unwrap(), &self.body)
    }

    #[track_caller]
    pub(super) fn assert_text(&self, text: &str) {
        self.screen().assert_shows(text);
    }
}

/// The callback URL that the form of an integration shows.
pub(super) fn callback_url(form: &Screen) -> String {
    let found = form.attributes("value").into_iter().find(|value| value.contains("/oauth/callback/"));
    found.unwrap_or_else(|| panic!("no callback URL: {}", form.text())).to_owned()
}

fn origin(url: &str) -> String {
    url::Url::parse(url).unwrap().origin().ascii_serialization()
}

fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split(end).next().unwrap()
}

fn encoded(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
