//! The page of one integration.

use maud::{Markup, html};
use url::Url;

use crate::admin::form::trust;
use crate::admin::list::{activity, code_host, problem, stamps, state};
use crate::admin::overview::{Overview, Problem};
use crate::admin::pages::MORE_RULES;
use crate::admin::time::time;
use crate::admin::visit::Visit;
use crate::integration::{Integration, LoginPolicy};
use crate::provider::membership::Group;
use crate::settings::{Field, FieldErrors, Proposal};

/// What is shown beside the integration.
#[derive(Default)]
pub(super) struct Page {
    pub(super) notice: Option<Notice>,
    /// Whether the change has dropped a proposed base URL.
    pub(super) is_proposal_dropped: bool,
    /// Whether this administrator has a report of a test login in this browser.
    pub(super) has_report: bool,
    /// The name that was typed, and what is wrong with it.
    pub(super) wrong_name: Option<(String, FieldErrors)>,
}

/// What has just happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    Created,
    Changed,
    Disabled,
    Enabled,
    Secret,
    Stale,
}

impl Notice {
    /// What `saved=…` in the query of the page stands for.
    fn of(saved: &str) -> Option<Self> {
        match saved {
            "created" => Some(Self::Created),
            "changed" => Some(Self::Changed),
            "disabled" => Some(Self::Disabled),
            "enabled" => Some(Self::Enabled),
            "secret" => Some(Self::Secret),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Created => "The integration was created. Next, test the login, then share the login link.",
            Self::Changed => "The changes were saved.",
            Self::Disabled => "The integration is disabled. Nobody can log in with it.",
            Self::Enabled => "The integration is enabled.",
            Self::Secret => "The new secret works and was saved.",
            Self::Stale => {
                "Nothing was saved: the integration was changed in the meantime. Below is what is stored now. Repeat your \
                 change if it is still needed."
            }
        }
    }
}

impl Page {
    /// The page after a change: `saved=…` and `proposal=dropped` in its query.
    pub(super) fn of(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default().as_bytes();
        let value = |wanted| form_urlencoded::parse(query).find(|(name, _)| name == wanted).map(|(_, value)| value);
        Self {
            notice: value("saved").and_then(|saved| Notice::of(&saved)),
            is_proposal_dropped: value("proposal").is_some_and(|what| what == "dropped"),
            ..Self::default()
        }
    }

    pub(super) fn show(&self, visit: &Visit, one: &Overview) -> Markup {
        let stored = &one.stored;
        let is_new = self.notice == Some(Notice::Created);
        html! {
            (visit.crumbs(None))
            h1 { bdi { (stored.settings.name) } }
            p.ch-host { (code_host(visit, one)) }
            @if let Some(notice) = self.notice {
                p.ch-notice role=(if notice == Notice::Stale { "alert" } else { "status" }) {
                    (visit.text(notice.text()))
                    @if self.is_proposal_dropped { " " (visit.text("The proposed base URL was dropped. Propose it again if it is still needed.")) }
                    @if notice == Notice::Stale {
                        " " (visit.text("Changed by")) " " bdi { (stored.changed.by) } ", " (time(stored.changed.at)) "."
                    } @else {
                        " " a href=(visit.path("")) { (visit.text("All integrations")) }
                    }
                }
            }
            (state(visit, one))
            @if let Some(proposal) = &stored.proposed { (proposed(visit, one, proposal, self.has_report)) }
            @else if one.built.is_ok() { (test(visit, one, is_new, self.has_report)) }
            @if let Some(link) = one.login_link() {
                section.ch-section aria-labelledby="login-link" {
                    h2 id="login-link" { (visit.text("Login link")) }
                    p { (visit.text("Users log in with this link.")) " " (visit.text(MORE_RULES)) }
                    (visit.copyable(&visit.text("login link"), link.url.as_str()))
                }
            }
            section.ch-section aria-labelledby="activity" {
                h2 id="activity" { (visit.text("Activity")) }
                dl.ch-facts { (activity(visit, one)) (stamps(visit, &stored.created, &stored.changed)) }
            }
            (settings(visit, one))
            (self.actions(visit, one))
        }
    }

    fn actions(&self, visit: &Visit, one: &Overview) -> Markup {
        let stored = &one.stored;
        let path = visit.path(&format!("/{}", stored.id));
        let hidden = || visit.hidden_fields(stored.version);
        html! {
            section.ch-section aria-labelledby="actions" {
                h2 id="actions" { (visit.text("Change")) }
                p.ch-actions {
                    a.ch-button href={ (path) "/edit" } { (visit.text("Edit settings")) }
                    a href={ (path) "/secret" } { (visit.text("Replace the secret")) }
                }
                (self.rename(visit, one, &path))
                form.ch-inline method="post" action={ (path) @if stored.is_disabled { "/enable" } @else { "/disable" } } {
                    (hidden())
                    @if stored.is_disabled {
                        button.ch-button.ch-secondary type="submit" { (visit.text("Enable")) }
                    } @else {
                        button.ch-button.ch-secondary type="submit" aria-describedby="disable-help" { (visit.text("Disable")) }
                        p.ch-help id="disable-help" { (visit.text("Nobody can log in until an administrator who is still logged in, or the operator of this app, enables it again. Accounts and settings stay.")) }
                    }
                }
                p.ch-actions { a.ch-danger href={ (path) "/delete" } { (visit.text("Delete")) } }
            }
        }
    }

    fn rename(&self, visit: &Visit, one: &Overview, path: &str) -> Markup {
        let wrong = self.wrong_name.as_ref();
        let value = wrong.map_or(one.stored.settings.name.as_str(), |(typed, _)| typed);
        let error = wrong.and_then(|(_, errors)| errors.of(Field::Name));
        html! {
            details.ch-fold open[error.is_some()] {
                summary { (visit.text("Rename")) }
                form method="post" action={ (path) "/rename" } {
                    (visit.hidden_fields(one.stored.version))
                    div.ch-field {
                        label for="name" { (visit.text("Name")) }
                        input.ch-input id="name" name="name" type="text" dir="auto" required value=(value) autocomplete="off"
                            aria-describedby="name-help" aria-invalid=[error.map(|_| "true")] autofocus[error.is_some()];
                        div.ch-help id="name-help" {
                            @if let Some(error) = error { p.ch-error { (visit.text(&error.message)) " " (visit.text(&error.hint)) } }
                            (visit.text("Users see it on the login button."))
                        }
                    }
                    p.ch-actions { button.ch-button.ch-secondary type="submit" { (visit.text("Save name")) } }
                }
            }
        }
    }
}

/// Where the forms of the page may lead: the code host, and from there on to a single sign-on that only the code host knows. Browsers
/// apply `form-action` to every redirect.
pub(in crate::admin) fn form_targets(integration: &Integration) -> Vec<String> {
    let start = integration.begin_login(None).ok();
    let url = start.and_then(|start| Url::parse(start.redirect_to.as_str()).ok());
    url.map(|url| vec![url.origin().ascii_serialization(), "https:".to_owned()]).unwrap_or_default()
}

fn test(visit: &Visit, one: &Overview, is_first: bool, has_report: bool) -> Markup {
    let path = visit.path(&format!("/{}/test", one.stored.id));
    html! {
        section.ch-section id="test" aria-labelledby="test-login" {
            h2 id="test-login" { (visit.text("Test login")) }
            p { (visit.text("Log in at the code host with your own account. A report shows what this app gets: who you are, your e-mail addresses, scopes and groups. Nobody is logged in, and nothing is saved.")) }
            form method="post" action=(path) {
                (visit.hidden_fields(one.stored.version))
                p.ch-actions {
                    button.ch-button.ch-secondary type="submit" autofocus[is_first] { (visit.text("Test login")) }
                    @if has_report { a href=(path) { (visit.text("Last report")) } }
                }
            }
        }
    }
}

/// What becomes of the connections if this administrator confirms the proposal.
fn connections(visit: &Visit, proposal: &Proposal) -> &'static str {
    match (visit.administrator.is_operator, proposal.is_by_operator()) {
        (true, true) => "Their connections stay too.",
        (true, false) => {
            "Each user connects again with the next login, because no operator of this app has proposed it. To keep the connections, edit the settings and propose the new base URL yourself."
        }
        (false, _) => "Each user connects again with the next login.",
    }
}

/// Another base URL that is to be proved.
fn proposed(visit: &Visit, one: &Overview, proposal: &Proposal, has_report: bool) -> Markup {
    let path = visit.path(&format!("/{}", one.stored.id));
    let built = visit.integrations().build_proposed(&one.stored).map_err(Problem::from);
    html! {
        section.ch-section.ch-proposal id="test" aria-labelledby="proposal" {
            h2 id="proposal" { (visit.text("New base URL, not in use yet")) }
            p { span.ch-mono dir="ltr" { (one.stored.settings.base_url) } " → " span.ch-mono dir="ltr" { (proposal.settings.base_url) } }
            p { (visit.text("Proposed by")) " " bdi { (proposal.proposed.by) } ", " (time(proposal.proposed.at)) "." }
            @match &built {
                Ok(_) => {
                    p { (visit.text("Log in at the new base URL with an account that has logged in here before. If it is the same user, the server is the same, and the accounts of users stay.")) " " (visit.text(connections(visit, proposal))) }
                    @if let Some(until) = proposal.valid_until() { p { (visit.text("Valid until")) " " (time(until)) "." } }
                    form method="post" action={ (path) "/test" } {
                        (visit.hidden_fields(one.stored.version))
                        p.ch-actions {
                            button.ch-button.ch-secondary type="submit" { (visit.text("Confirm with a test login")) }
                            @if has_report { a href={ (path) "/test" } { (visit.text("Last report")) } }
                        }
                    }
                }
                Err(found) => {
                    (problem(visit, "The new base URL cannot be tried.", found))
                    p.ch-actions { a href={ (path) "/edit" } { (visit.text("Edit settings")) } }
                }
            }
        }
    }
}

fn settings(visit: &Visit, one: &Overview) -> Markup {
    let settings = &one.stored.settings;
    let guide = visit.guide(&one.stored);
    let id_label = guide.as_ref().and_then(|guide| guide.credentials.first()).map(|labels| labels.id.as_str());
    let fact = |label: &str, value: Markup| html! { div { dt { (label) } dd { (value) } } };
    let url = |url: &str| html! { span.ch-mono dir="ltr" { (url) } };
    html! {
        section.ch-section aria-labelledby="settings" {
            h2 id="settings" { (visit.text("Settings")) }
            dl.ch-facts {
                (fact(&visit.text("Base URL"), url(&settings.base_url)))
                @for former in &settings.former_base_urls { (fact(&visit.text("Former base URL"), url(former))) }
                @if let (Some(api_url), true) = (&settings.api_url, visit.administrator.is_operator) {
                    (fact(&visit.text("API URL"), url(api_url)))
                }
                (fact(&id_label.map_or_else(|| visit.text("Client ID"), |label| label.to_owned().into()), url(&settings.client_id)))
                @if let Some(guide) = &guide {
                    (fact(&visit.text("Callback URL"), visit.copyable(&visit.text("callback URL"), guide.callback_url.as_str())))
                    (fact(&visit.text("Scopes"), html! {
                        @for scope in guide.scopes.iter().filter(|scope| scope.requested) { code { (scope.description.scope) } " " }
                    }))
                }
                (fact(&visit.text("Accepted users"), accepted(visit, &settings.policy)))
                (fact(&visit.text("Trusted e-mail addresses"), html! { (visit.text(trust(settings.email_trust))) }))
                @if settings.root_certificates.is_some() {
                    (fact(&visit.text("Certificate authority"), html! { (visit.text("set for this integration")) }))
                }
                @if let Some(seconds) = settings.timeout_seconds {
                    (fact(&visit.text("Time-out"), html! { (seconds) " " (visit.text("seconds")) }))
                }
            }
        }
    }
}

fn accepted(visit: &Visit, policy: &LoginPolicy) -> Markup {
    let domains = policy.domains();
    html! {
        @if policy.groups().is_empty() {
            (visit.text("all users of the code host"))
        } @else {
            (visit.text("members of")) " "
            @for (position, group) in policy.groups().iter().enumerate() {
                @if position > 0 { ", " }
                (members_of(visit, group))
            }
        }
        @if policy.needs_two_factor() { br; (visit.text("only with two-factor authentication")) }
        @if policy.refuses_external() { br; (visit.text("no external users")) }
        @if policy.allows_bots() { br; (visit.text("also bots")) }
        @if !domains.is_empty() { br; (visit.text("only with an e-mail address at")) " " (domains.join(", ")) }
    }
}

/// A group, and which memberships count.
pub(in crate::admin) fn members_of(visit: &Visit, group: &Group) -> Markup {
    html! {
        span.ch-mono dir="ltr" { (group) }
        @if let Some(role) = group.least_role() { " (" (visit.text("at least")) " " (role) ")" }
        @if group.includes_subgroups() { " " (visit.text("and its subgroups")) }
    }
}
