//! The pages. The template escapes every value, and every page works without JavaScript.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use codehost_oauth::admin::{AdminPage, AdminPages};
use codehost_oauth::router::{CsrfToken, LoginRoutes, RequestHead};
use codehost_oauth::settings::StoredIntegration;
use codehost_oauth::{LoginLink, User};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::app::{App, FOUNDER, session};
use crate::demo::Demo;
use crate::logins::FailureNote;
use crate::store::{Account, FIRST, Organization, Person};

/// Who a page is shown to.
#[derive(Default)]
pub(crate) struct Viewer {
    pub(crate) person: Option<Person>,
    /// The CSRF token for forms; without it, there is no form to log out.
    pub(crate) token: String,
    cookie: Option<CsrfToken>,
    is_setup: bool,
    is_demo: bool,
}

impl Viewer {
    pub(crate) async fn without_forms(app: &App, request: &RequestHead) -> Self {
        // A page about a failure must be shown also if the database fails.
        let person = app.person(request).await.unwrap_or_default();
        let mark = match session(request) {
            Ok(session) => session.get::<String>(FOUNDER).await.ok().flatten(),
            Err(_) => None,
        };
        let is_setup = match mark.filter(|_| person.is_none()) {
            Some(mark) => app.store.may_manage(&mark, FIRST).await.unwrap_or_default(),
            None => false,
        };
        Self { person, is_setup, is_demo: app.demo.is_some(), ..Self::default() }
    }

    pub(crate) async fn of(app: &App, logins: &LoginRoutes, request: &RequestHead) -> Self {
        let token = logins.csrf_token(request).await.ok();
        let text = token.as_ref().map(|token| token.as_str().to_owned()).unwrap_or_default();
        Self { token: text, cookie: token, ..Self::without_forms(app, request).await }
    }
}

/// The pages of the integrations in the layout of the app.
pub(crate) struct Layout {
    pub(crate) app: Arc<App>,
    pub(crate) logins: LoginRoutes,
}

#[async_trait]
impl AdminPages for Layout {
    async fn layout(&self, request: &mut RequestHead, page: AdminPage) -> Response {
        let mut viewer = Viewer::without_forms(&self.app, request).await;
        if viewer.person.is_some() {
            viewer = Viewer::of(&self.app, &self.logins, request).await;
        }
        let is_form = request.uri.path() == "/new" || request.uri.path().ends_with("/edit");
        let body = html! {
            @if let (Some(demo), true, true) = (&self.app.demo, is_form, page.status != StatusCode::UNAUTHORIZED) { (fakes(demo)) }
            (PreEscaped(page.body))
        };
        let html = layout(&viewer, &page.title, &PreEscaped(page.head), &body);
        (viewer.cookie, html).into_response()
    }
}

/// Shows a page. `targets`: base URLs of code hosts to which its forms lead.
fn show(viewer: &Viewer, status: StatusCode, title: &str, body: &Markup, targets: &[&str]) -> Response {
    let mut policy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        .to_owned();
    for url in targets.iter().filter_map(|url| url::Url::parse(url).ok()) {
        // The code host may redirect to a single sign-on, and browsers apply `form-action` to each redirect.
        policy.push_str(&format!(" {} https:", url.origin().ascii_serialization()));
    }
    let mut response = (status, layout(viewer, title, &html! {}, body)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Viewer {
    /// A page with forms: sets the cookie of their token.
    pub(crate) fn show(mut self, title: &str, body: &Markup, targets: &[&str]) -> Response {
        let cookie = self.cookie.take();
        (cookie, show(&self, StatusCode::OK, title, body, targets)).into_response()
    }

    /// A page that only says something.
    pub(crate) fn say(&self, status: StatusCode, title: &str, text: &str) -> Response {
        let body = html! { div.narrow { h1 { (title) } p { (text) } p { a href="/" { "Back to the home page" } } } };
        show(self, status, title, &body, &[])
    }

    pub(crate) fn csrf(&self) -> Markup {
        html! { input type="hidden" name="csrf_token" value=(self.token); }
    }
}

fn layout(viewer: &Viewer, title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Depot" }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" href="data:,";
                (head)
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.bar {
                    a.brand href="/" { "Depot" }
                    @if viewer.is_demo { span.badge { "Demo" } }
                    @if viewer.is_setup { span.badge { "Setup mode" } }
                    nav aria-label="Main" {
                        @match &viewer.person {
                            Some(person) => {
                                @if person.is_admin {
                                    a href={ "/org/" (person.organization) "/integrations" } { "Integrations" }
                                    a href={ "/org/" (person.organization) "/people" } { "Users" }
                                }
                                a href="/account" dir="auto" { (person.name) }
                                @if !viewer.token.is_empty() {
                                    form method="post" action="/logout" { (viewer.csrf()) button.quiet type="submit" { "Log out" } }
                                }
                            }
                            None => {
                                @if viewer.is_setup { a href={ "/org/" (FIRST) "/integrations" } { "Integrations" } }
                                a href="/login" { "Log in" }
                            }
                        }
                    }
                }
                main #main tabindex="-1" { (body) }
                footer { "Example app of the crate codehost-oauth" }
            }
        }
    }
}

/// A button for each integration. `intro` is a sentence before them.
pub(crate) fn login(
    viewer: Viewer,
    title: &str,
    intro: &str,
    links: &[(StoredIntegration, LoginLink)],
    return_to: Option<&str>,
) -> Response {
    let body = html! {
        div.narrow {
            h1 { (title) }
            @if !intro.is_empty() { p { (intro) } }
            @if links.is_empty() { p { "Nobody can log in here at the moment. Ask an administrator to check the integrations." } }
            @for (_, link) in links {
                form method="post" action=(link.url.path()) {
                    (viewer.csrf())
                    @if let Some(path) = return_to { input type="hidden" name="return_to" value=(path); }
                    button.wide type="submit" dir="auto" { (link.label) }
                    p.detail { (link.detail) }
                }
            }
            p.muted { "The code host asks whether you allow this app to access your account. This app never sees your password." }
        }
    };
    let targets: Vec<_> = links.iter().map(|(stored, _)| stored.settings.base_url.as_str()).collect();
    viewer.show(title, &body, &targets)
}

/// A login that failed.
pub(crate) fn failure(viewer: &Viewer, note: &FailureNote) -> Response {
    let body = html! {
        div.narrow {
            h1 { (note.title) }
            p { (note.message) }
            @if let Some((label, path)) = &note.again { p { a.button href=(path) dir="auto" { (label) } } }
            p { a href="/" { "Back to the home page" } }
            p.muted { "Error code: " code { (note.code) } }
        }
    };
    show(viewer, StatusCode::from_u16(note.status).unwrap_or_default(), &note.title, &body, &[])
}

/// The page of the user's account. `live`: what a code host says now, or why it does not.
pub(crate) fn account(
    viewer: Viewer,
    person: &Person,
    notice: Option<&str>,
    accounts: &[Account],
    usable: &[(StoredIntegration, LoginLink)],
    live: Option<&(String, Result<User, String>)>,
) -> Response {
    let name =
        |id: &str| usable.iter().find(|(stored, _)| stored.id.as_str() == id).map_or("", |(one, _)| &one.settings.name);
    let body = html! {
        @if let Some(notice) = notice { p.notice role="status" { (notice) } }
        h1 dir="auto" { (person.name) }
        p.muted { @if person.is_admin { "Administrator" } @else { "Member" } " of " (person.organization) }
        h2 { "Connected accounts" }
        @for account in accounts {
            article.card {
                h3 dir="auto" { (name(&account.integration)) }
                dl {
                    dt { "Name" } dd dir="auto" { (account.profile.name()) @if let Some(name) = &account.profile.username { " (" (name) ")" } }
                    dt { "Account key" } dd { code { (account.key) } }
                    dt { "E-mail addresses" } dd { @if account.profile.emails.is_empty() { "none reported" } (account.profile.emails.join(", ")) }
                }
                @if let Some((_, live)) = live.filter(|(key, _)| *key == account.key) { (who_now(live)) }
                form method="post" action="/account" {
                    (viewer.csrf())
                    input type="hidden" name="key" value=(account.key);
                    p.actions {
                        button.secondary type="submit" name="act" value="who" { "Who am I there?" }
                        @if accounts.len() > 1 { button.quiet type="submit" name="act" value="disconnect" { "Disconnect" } }
                    }
                }
                @if accounts.len() == 1 { p.muted { "This is your only account here. Connect another one before you disconnect it." } }
            }
        }
        @let more: Vec<_> = usable.iter().filter(|(one, _)| accounts.iter().all(|used| used.integration != one.id.as_str())).collect();
        @if !more.is_empty() {
            h2 { "Connect another account" }
            p.muted { "You can then log in with any of your accounts. Two accounts are never joined because they have the same e-mail address." }
            @for (stored, link) in more {
                form method="post" action={ "/connect/" (stored.id) } {
                    (viewer.csrf())
                    button.secondary type="submit" dir="auto" { "Connect " (stored.settings.name) }
                    p.detail { (link.detail) }
                }
            }
        }
    };
    let targets: Vec<_> = usable.iter().map(|(stored, _)| stored.settings.base_url.as_str()).collect();
    viewer.show("Account", &body, &targets)
}

fn who_now(live: &Result<User, String>) -> Markup {
    html! {
        @match live {
            Ok(user) => p.notice role="status" {
                "The code host says now: " strong dir="auto" { (user.display_name.as_deref().unwrap_or_default()) }
                " (" (user.username.as_deref().unwrap_or_default()) "), two-factor authentication "
                (match user.two_factor { Some(true) => "on", Some(false) => "off", None => "not reported" }) "."
            },
            Err(why) => p.error role="alert" { (why) },
        }
    }
}

/// The users of an organization, their roles, and invitations. `link`: a new invitation. `others`: all organizations, for operators.
pub(crate) fn people(
    viewer: Viewer,
    organization: &Organization,
    rows: &[Person],
    others: &[Organization],
    notice: &str,
    link: Option<&str>,
) -> Response {
    let button = |id: &str, act: &str, label: &str, name: &str| {
        html! { button.quiet type="submit" name="act" value={ (act) " " (id) } aria-label={ (label) ": " (name) } { (label) } }
    };
    let body = html! {
        @if !notice.is_empty() { p.notice role="status" { (notice) } }
        h1 { "Users of " bdi { (organization.name) } }
        form method="post" action={ "/org/" (organization.slug) "/people" } {
            (viewer.csrf())
            @if rows.is_empty() { p { "Nobody has an account yet." } }
            ul {
                @for one in rows {
                    li {
                        bdi { (one.name) } @if one.is_admin { " (administrator) " } @else { " (member) " }
                        @if one.is_admin { (button(&one.id, "demote", "Make member", &one.name)) }
                        @else { (button(&one.id, "promote", "Make administrator", &one.name)) }
                        (button(&one.id, "remove", "Remove", &one.name))
                    }
                }
            }
            h2 { "Invite a user" }
            @if let Some(link) = link {
                label for="link" { "Invitation link" }
                input #link type="text" readonly value=(link);
                p { "Send it to the user. It works once and for a week, and is not shown again." }
            }
            p.actions {
                button type="submit" name="act" value="invite" { "Invite a member" }
                button.secondary type="submit" name="act" value="invite-admin" { "Invite an administrator" }
            }
            h2 { "Who may log in" }
            p {
                @if organization.is_open { "Everybody with an account at one of the code hosts below “Integrations” may log in, and is a member from then on. At a public code host, that is everybody." }
                @else { "Only users who were invited may log in." }
            }
            p.actions {
                @if organization.is_open { button.secondary type="submit" name="act" value="close" { "Only users who were invited" } }
                @else { button.secondary type="submit" name="act" value="open" { "Everybody with an account there" } }
            }
        }
        p { a href={ "/org/" (organization.slug) "/integrations" } { "Integrations of " bdi { (organization.name) } } }
        @if !others.is_empty() {
            h2 { "Organizations" }
            p.muted { "Each has its own integrations, login links, users and administrators. Until an administrator of its own can log in, those of the first one manage it." }
            ul { @for one in others { li { a href={ "/org/" (one.slug) "/people" } dir="auto" { (one.name) } } } }
            form method="post" action={ "/org/" (organization.slug) "/people" } {
                (viewer.csrf())
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="60";
                p.actions { button type="submit" name="act" value="add" { "Add organization" } }
            }
        }
    };
    viewer.show("Users", &body, &[])
}

/// The link with the one-time token was opened.
pub(crate) fn setup(viewer: Viewer, token: &str) -> Response {
    let body = html! {
        div.narrow {
            h1 { "Set up this app" }
            p { "There is no administrator who can log in. Press the button to add integrations in this browser. The first login in this browser makes its user the administrator." }
            form method="post" action={ "/setup/" (token) } { (viewer.csrf()) p.actions { button type="submit" { "Begin setup" } } }
        }
    };
    viewer.show("Setup", &body, &[])
}

/// The page of a code host on which an OAuth application is created.
pub(crate) fn demo_application(viewer: Viewer, demo: &Demo, chosen: &str, made: Option<&(String, String)>) -> Response {
    let body = html! {
        div.narrow {
            p.badge { "Demo page of a code host" }
            @match made {
                None => {
                    h1 { "Create an OAuth application" }
                    form method="post" action="/demo/application" {
                        (viewer.csrf())
                        label for="platform" { "Code host" }
                        select #platform name="platform" { @for (name, _, id) in demo.fakes() { option value=(id) selected[id == chosen] { (name) } } }
                        label for="callback" { "Callback URL" }
                        input #callback type="text" name="callback" required;
                        p.muted { "Every scope is ticked." }
                        p.actions { button type="submit" { "Save application" } }
                    }
                }
                Some((id, secret)) => {
                    h1 { "Application created" }
                    label for="id" { "ID" } input #id type="text" readonly value=(id);
                    label for="secret" { "Secret" } input #secret type="text" readonly value=(secret);
                    p.muted { "Paste both into the form in the other tab. The secret is not shown again." }
                }
            }
        }
    };
    viewer.show("OAuth application", &body, &[])
}

/// What to type into the form of an integration in the demo.
fn fakes(demo: &Demo) -> Markup {
    html! {
        details.demo open {
            summary { "Demo: code hosts to try" }
            p { "Enter one of these base URLs. Instead of following the setup link, create the application on the page beside it." }
            ul {
                @for (name, base_url, id) in demo.fakes() {
                    li { (name) ": " code { (base_url) } " " a href={ "/demo/application?platform=" (id) } target="_blank" { "Create an application at " (name) } }
                }
            }
        }
    }
}

/// For the operator. Never a secret: no error of the crate or of the store holds one.
pub(crate) fn log(error: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}
