//! The administrator's pages: the list of integrations, the form, the confirmation before deleting.

use axum::http::StatusCode;
use axum::response::Response;
use codehost_oauth::check::CheckReport;
use codehost_oauth::{LoginLink, Platform};

use crate::demo::Demo;
use maud::{Markup, html};

use super::guide::{credential_names, guide, report};
use super::{Page, Viewer, copyable, csrf};
use crate::app::Right;
use crate::form::{Draft, Typed};
use crate::report::Verdict;
use crate::store::{IntegrationRow, Organization};

/// The list. An integration that cannot be used has the reason in place of its link.
pub(crate) fn list(
    viewer: &Viewer,
    organization: &Organization,
    right: Right,
    rows: &[(IntegrationRow, Result<LoginLink, String>)],
    may_add_organizations: bool,
) -> Response {
    let body = html! {
        div.heading {
            h1 { "Integrations" }
            a.button href={ "/org/" (organization.slug) "/integrations/new" } { "Add integration" }
        }
        p.muted { "Users of the organization " strong { (organization.name) } " log in with these." }
        (standing(right))
        @if rows.is_empty() {
            div.empty {
                p { "There is no integration yet, so nobody can log in." }
                p.muted { "You need the URL of your code host. The form shows each step to take there." }
            }
        } @else {
            div.cards {
                @for (row, link) in rows {
                    article.card {
                        h2 { (row.name) }
                        p.muted { (platform_name(&row.platform)) " · " span.mono { (row.base_url) } }
                        @match link {
                            Ok(link) => {
                                h3 { "Login link" }
                                p.muted { "Send it to the users who should log in." }
                                (copyable("login link", link.url.as_str()))
                                p.actions {
                                    a.button.small href=(link.url.path()) { "Open login link" }
                                    a href={ "/org/" (organization.slug) "/integrations/" (row.id) "/edit" } { "Edit" }
                                    a.danger href={ "/org/" (organization.slug) "/integrations/" (row.id) "/delete" } { "Delete" }
                                }
                            }
                            Err(reason) => {
                                p.error { "This integration cannot be used. " (reason) }
                                p.actions {
                                    a href={ "/org/" (organization.slug) "/integrations/" (row.id) "/edit" } { "Edit" }
                                    a.danger href={ "/org/" (organization.slug) "/integrations/" (row.id) "/delete" } { "Delete" }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.below { a href={ "/org/" (organization.slug) "/people" } { "Users and administrators" } }
        @if may_add_organizations { p.below { a href="/organizations" { "Organizations" } } }
    };
    Page::new("Integrations", body).show(viewer)
}

/// Everything that the form shows.
pub(crate) struct Form<'a> {
    pub(crate) organization: &'a Organization,
    pub(crate) right: Right,
    pub(crate) typed: &'a Typed,
    pub(crate) draft: &'a Draft,
    /// The integration that is edited, if any, and how many accounts use it.
    pub(crate) existing: Option<(&'a IntegrationRow, i64)>,
    pub(crate) report: Option<&'a CheckReport>,
    /// Whether a secret is stored already, so that the field can stay empty.
    pub(crate) secret_kept: bool,
    /// The base URLs of the fakes, GitLab's first.
    pub(crate) demo: Option<&'a Demo>,
    pub(crate) demo_page: Option<&'a str>,
    /// Whether complaints are shown: not before the form is submitted.
    pub(crate) complain: bool,
}

/// The form, new or to edit.
pub(crate) fn form(viewer: &Viewer, form: &Form<'_>) -> Response {
    let Form { organization, typed, draft, .. } = form;
    let title = if form.existing.is_some() { "Edit integration" } else { "Add integration" };
    let (id_label, secret_label) = credential_names(draft.guide.as_ref());
    let locked = form.existing.is_some();
    let action = match form.existing {
        Some((row, _)) => format!("/org/{}/integrations/{}/edit", organization.slug, row.id),
        None => format!("/org/{}/integrations/new", organization.slug),
    };
    let body = html! {
        p.crumbs { a href={ "/org/" (organization.slug) "/integrations" } { "Integrations" } " / " (title) }
        h1 { (title) }
        (standing(form.right))
        form.integration method="post" action=(action) data-live novalidate autocomplete="off" {
            (csrf(viewer))
            div.columns {
                div.column {
                    (field(form, "platform", "Platform", html! {
                        @if locked {
                            input #platform type="text" value=(platform_name(&typed.platform)) disabled;
                        } @else {
                            select #platform name="platform" required aria-describedby="platform-help" {
                                @for platform in Platform::all() {
                                    option value=(platform.id()) selected[platform.id() == typed.platform] data-base-url=[default_base_url(form, platform.id())] { (platform.name()) }
                                }
                            }
                        }
                    }, if locked { "Cannot be changed: it is part of the callback URL." } else { "" }))
                    (field(form, "name", "Name", html! {
                        input #name type="text" name=[(!locked).then_some("name")] value=(typed.name) disabled[locked] required maxlength="60" aria-describedby="name-help" aria-invalid=[invalid(form, "name")];
                    }, if locked { "Cannot be changed: it is part of the callback URL." } else { "Users see it on the login button. It becomes part of the callback URL and cannot be changed later." }))
                    (field(form, "base_url", "Base URL", html! {
                        input #base_url.mono type="url" name="base_url" value=(typed.base_url) required inputmode="url" spellcheck="false" aria-describedby="base_url-help" aria-invalid=[invalid(form, "base_url")];
                    }, "The URL at which users open the code host, including its path if it has one."))
                    (field(form, "access", "Access", html! {
                        select #access name="access" aria-describedby="access-help" {
                            @for (value, label) in ACCESS { option value=(value) selected[value == typed.access] { (label) } }
                        }
                    }, "What this app may do with the users' tokens. Choose the lowest level that is enough."))
                    (field(form, "owner", "Workspace or group", html! {
                        input #owner type="text" name="owner" value=(typed.owner) spellcheck="false" aria-describedby="owner-help";
                    }, "Optional. The workspace or group that will own the OAuth application. It is filled into the setup link."))
                    details.more open[has_extras(form)] {
                        summary { "More settings" }
                        (field(form, "ca_pem", "Certificate authority (PEM)", html! {
                            textarea #ca_pem.mono name="ca_pem" rows="4" spellcheck="false" aria-describedby="ca_pem-help" aria-invalid=[invalid(form, "ca_pem")] { (typed.ca_pem) }
                        }, "Needed only if a private certificate authority has signed the code host's certificate."))
                        (field(form, "timeout", "Request time-out in seconds", html! {
                            input #timeout type="text" name="timeout" value=(typed.timeout) inputmode="numeric" aria-describedby="timeout-help" aria-invalid=[invalid(form, "timeout")];
                        }, "From 1 to 60; leave empty for the default."))
                        label.check {
                            input type="checkbox" name="trust_emails" checked[typed.trust_emails.is_some()];
                            span { "Trust e-mail addresses without verification" br; small { "Only for a code host where your own administrators create every account." } }
                        }
                    }
                    fieldset {
                        legend { "Credentials of the OAuth application" }
                        p.muted {
                            @if locked { "The secret is stored encrypted. Enter it again only if the secret or the base URL changes." }
                            @else { "Follow the setup guide first, then paste both values here. Nothing is saved until you press \"Create integration\"." }
                        }
                        (field(form, "client_id", &id_label, html! {
                            input #client_id.mono type="text" name="client_id" value=(typed.client_id) spellcheck="false" autocomplete="off" aria-describedby="client_id-help" aria-invalid=[invalid(form, "client_id")];
                        }, ""))
                        (field(form, "client_secret", &secret_label, html! {
                            input #client_secret.mono type="password" name="client_secret" value="" autocomplete="new-password" aria-describedby="client_secret-help" aria-invalid=[invalid(form, "client_secret")];
                        }, if form.secret_kept { "A secret is stored and never shown. Leave this field empty to keep it." } else { "" }))
                    }
                    @if let Some((row, count @ 1..)) = form.existing {
                        label.check {
                            input type="checkbox" name="keep_accounts" checked[typed.keep_accounts.is_some()];
                            span {
                                "If the base URL changes: this is the same " (platform_name(&row.platform)) " server under a new URL"
                                br;
                                small { (accounts(count)) ". On another server, the same user id belongs to another person. If the base URL changes and this box is not ticked, all accounts are therefore disconnected." }
                            }
                        }
                    }
                    div #report aria-live="polite" { @if let Some(found) = form.report { (report(found)) } }
                    p.actions {
                        button type="submit" name="act" value="save" { @if locked { "Save integration" } @else { "Create integration" } }
                        button.secondary type="submit" name="act" value="check" { "Check" }
                        @if form.report.is_some_and(|report| report.verdict() == Verdict::CouldNotTell) {
                            button.secondary type="submit" name="act" value="save-anyway" { "Save anyway" }
                        }
                        button.quiet.noscript type="submit" name="act" value="guide" { "Show setup guide" }
                    }
                }
                aside.column.guide #guide aria-live="polite" { (guide(draft, form.demo_page)) }
            }
        }
    };
    let mut page = Page::new(title, body);
    if form.complain && !draft.complaints.is_empty() {
        page.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    page.show(viewer)
}

/// The confirmation before deleting.
pub(crate) fn delete(viewer: &Viewer, organization: &Organization, row: &IntegrationRow, count: i64) -> Response {
    let list = format!("/org/{}/integrations", organization.slug);
    let body = html! {
        p.crumbs { a href=(list) { "Integrations" } " / Delete" }
        h1 { "Delete " (row.name) "?" }
        p { (accounts(count)) ". " @if count > 0 { "Its users cannot log in with it any more. Users without another account here cannot log in at all." } }
        p.muted { "The OAuth application at " (row.base_url) " is not deleted; delete it there. The name cannot be used again, because a new integration would get the same callback URL and account keys." }
        form method="post" action={ (list) "/" (row.id) "/delete" } {
            (csrf(viewer))
            p.actions { button.danger type="submit" { "Delete integration" } a href=(list) { "Cancel" } }
        }
    };
    Page::new("Delete integration", body).show(viewer)
}

const ACCESS: [(&str, &str); 3] = [
    ("sign-in", "Only log users in"),
    ("read", "Also read projects and merge or pull requests"),
    ("write", "Also write webhooks and comments"),
];

/// Why the viewer has access, unless they are an administrator of the organization.
fn standing(right: Right) -> Markup {
    html! {
        @match right {
            Right::Operator => p.mode { "You have entered the one-time token. The next user who logs in from this browser becomes the administrator of their organization, if it has none." },
            Right::MainAdministrator => p.mode { "This organization has no administrator who can log in. Until it has one, the administrators of the organization \"Main\" can manage it. When a user has logged in, make them its administrator under \"Users and administrators\"." },
            Right::Administrator => {}
        }
    }
}

fn field(form: &Form<'_>, name: &'static str, label: &str, input: Markup, help: &str) -> Markup {
    let complaint = form.draft.complaint(name).filter(|_| form.complain);
    html! {
        div.field.invalid[complaint.is_some()] {
            label for=(name) { (label) }
            (input)
            div.help id={ (name) "-help" } {
                @if let Some(complaint) = complaint { p.error { (complaint.message) " " (complaint.hint) } }
                @if !help.is_empty() { (help) }
            }
        }
    }
}

fn invalid(form: &Form<'_>, name: &str) -> Option<&'static str> {
    (form.complain && form.draft.complaint(name).is_some()).then_some("true")
}

fn has_extras(form: &Form<'_>) -> bool {
    let typed = form.typed;
    let set = !typed.ca_pem.is_empty() || !typed.timeout.is_empty() || typed.trust_emails.is_some();
    set || invalid(form, "ca_pem").or(invalid(form, "timeout")).is_some()
}

/// The base URL that the script fills in when the platform changes.
fn default_base_url<'a>(form: &Form<'a>, platform: &str) -> Option<&'a str> {
    let service = || Platform::find(platform).ok()?.services().first().map(|service| service.base_url);
    form.demo.map(|demo| demo.base_url(platform)).or_else(service)
}

fn platform_name(id: &str) -> &'static str {
    Platform::find(id).map_or("Unknown platform", |platform| platform.name())
}

fn accounts(count: i64) -> String {
    match count {
        0 => "No account uses this integration".to_owned(),
        1 => "1 account uses this integration".to_owned(),
        count => format!("{count} accounts use this integration"),
    }
}
