//! The page of the report.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::kept::{KeptReport, Proof};
use super::tested;
use crate::admin::detail::members_of;
use crate::admin::form::who_can_act;
use crate::admin::list::problem;
use crate::admin::overview::Problem;
use crate::admin::pages::MORE_RULES;
use crate::admin::time::time;
use crate::admin::visit::Visit;
use crate::login::{LoginReport, ReportedError, ReportedGroup, ReportedUser};
use crate::settings::StoredIntegration;
use crate::util::text::sentence;
use crate::values::email::{EmailAuthority, EmailEvidence};
use crate::values::user::{EmailList, UserState};

pub(super) fn page(visit: &Visit, stored: &StoredIntegration, kept: Option<&KeptReport>) -> Markup {
    let path = visit.path(&format!("/{}", stored.id));
    let id = stored.settings.platform.as_str();
    let platform = visit.platform(id).map_or(id, |platform| platform.name());
    let built = tested(visit.integrations(), stored).map_err(Problem::from);
    html! {
        (visit.crumbs(Some((&stored.id, &stored.settings.name))))
        h1 { (visit.text("Test login")) }
        @match kept {
            Some(kept) => (report(visit, platform, kept)),
            None => p { (visit.text("There is no report in this browser. A report is kept for an hour.")) }
        }
        @if let Err(found) = &built {
            (problem(visit, "This integration cannot be used.", found))
            p.ch-actions { a href={ (path) "/edit" } { (visit.text("Edit settings")) } }
        } @else {
            form method="post" action={ (path) "/test" } {
                (visit.hidden_fields(stored.version))
                p.ch-actions {
                    button.ch-button type="submit" {
                        @if kept.is_some() { (visit.text("Test again")) } @else { (visit.text("Test login")) }
                    }
                    a href=(path) { (visit.text("Back to the integration")) }
                }
            }
        }
    }
}

fn report(visit: &Visit, platform: &str, kept: &KeptReport) -> Markup {
    let report = &kept.report;
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(kept.at));
    html! {
        section.ch-section.ch-verdict role="status" aria-labelledby="result" {
            h2 id="result" {
                @match (&report.refusal, &report.user) {
                    (None, _) => (visit.text("The integration accepts this user")),
                    (Some(_), Some(_)) => (visit.text("The integration refuses this user")),
                    (Some(_), None) => (visit.text("Login failed")),
                }
            }
            p { span.ch-mono dir="ltr" { (kept.base_url) } @if let Some(at) = at { ", " (time(at)) } }
            @if let Some(refusal) = &report.refusal { (error(visit, refusal)) } @else { p { (visit.text(MORE_RULES)) } }
        }
        @if let Some(proof) = &kept.proof { (proved(visit, proof)) }
        @if let Some(user) = &report.user { (who(visit, user)) (emails(visit, platform, user)) }
        @if report.user.is_some() || report.has_refresh_token || !report.requested_scopes.is_empty() {
            (scopes(visit, report, kept.is_shortened))
            (groups(visit, report))
            (tokens(visit, report))
        }
        @if kept.is_shortened { p.ch-help { (visit.text("The report was too long to be kept: addresses other than the primary one, and perhaps more, are left out.")) } }
    }
}

/// An error in the words of an administrator, and who must act.
fn error(visit: &Visit, error: &ReportedError) -> Markup {
    html! {
        p.ch-error data-code=(error.code) { (visit.text(&sentence(&error.message))) }
        p { strong { (visit.text(who_can_act(error.audience))) ":" } " " (visit.text(&error.hint)) }
    }
}

fn proved(visit: &Visit, proof: &Proof) -> Markup {
    html! {
        section.ch-section aria-labelledby="proof" {
            h2 id="proof" { (visit.text("New base URL")) }
            p.ch-error[!proof.is_accepted] role=(if proof.is_accepted { "status" } else { "alert" }) data-code=(proof.code) { (visit.text(&proof.message)) }
            @if !proof.hint.is_empty() { p { (visit.text(&proof.hint)) } }
        }
    }
}

fn who(visit: &Visit, user: &ReportedUser) -> Markup {
    html! {
        section.ch-section aria-labelledby="who" {
            h2 id="who" { (visit.text("User")) }
            dl.ch-facts {
                @if let Some(name) = &user.display_name { (fact(visit, "Name", html! { bdi { (name) } })) }
                @if let Some(name) = &user.username { (fact(visit, "User name", html! { bdi { (name) } })) }
                (fact(visit, "Account key", html! { span.ch-mono dir="ltr" { (user.key) } }))
                (fact(visit, "State", html! { (state(visit, user.state)) }))
                @if user.is_bot { (fact(visit, "Bot", html! { (visit.text("yes")) })) }
                (fact(visit, "Two-factor authentication", yes_no(visit, user.two_factor)))
                (fact(visit, "External user", yes_no(visit, user.is_external)))
            }
        }
    }
}

fn emails(visit: &Visit, platform: &str, user: &ReportedUser) -> Markup {
    let list = match user.email_list {
        EmailList::Complete => None,
        EmailList::Incomplete => Some("There may be more addresses: the code host did not give all of them."),
        EmailList::NotPermitted => Some("The scope for e-mail addresses was not granted."),
    };
    html! {
        section.ch-section aria-labelledby="emails" {
            h2 id="emails" { (visit.text("E-mail addresses")) }
            @match &user.trusted_email {
                Some(address) => p { (visit.text("Trusted by this app:")) " " bdi { (address) } },
                None => @if let Some(why) = &user.no_trusted_email {
                    p.ch-error { (visit.text("No address is trusted.")) " " (visit.text(&sentence(&why.message))) " " (visit.text(&why.hint)) }
                },
            }
            ul {
                @for email in &user.emails {
                    li {
                        bdi { (email.address) } ": "
                        @if email.primary { (visit.text("primary")) ", " }
                        (evidence(visit, platform, email.evidence)) ", " (visit.text(authority(email.authority)))
                    }
                }
            }
            @if let Some(list) = list { p { (visit.text(list)) } }
        }
    }
}

fn scopes(visit: &Visit, report: &LoginReport, is_shortened: bool) -> Markup {
    let names = |names: &[String]| html! { @for name in names { code { (name) } " " } };
    html! {
        section.ch-section aria-labelledby="scopes" {
            h2 id="scopes" { (visit.text("Scopes")) }
            dl.ch-facts {
                (fact(visit, "Requested", names(&report.requested_scopes)))
                @match &report.granted_scopes {
                    Some(granted) => (fact(visit, "Granted", names(granted))),
                    None if is_shortened => {},
                    None => (fact(visit, "Granted", html! { (visit.text("not known: the platform does not say")) })),
                }
                @if !report.missing_scopes.is_empty() {
                    (fact(visit, "Missing", html! {
                        ul { @for one in &report.missing_scopes { li { code { (one.scope) } ": " (visit.text(&one.label)) } } }
                        p { (visit.text("Tick these scopes in the OAuth application at the code host, then test again.")) }
                    }))
                }
            }
        }
    }
}

fn groups(visit: &Visit, report: &LoginReport) -> Markup {
    html! {
        @if !report.groups.is_empty() {
            section.ch-section aria-labelledby="groups" {
                h2 id="groups" { (visit.text("Groups")) }
                p { (visit.text("A user must be a member of one of them.")) }
                ul { @for group in &report.groups { li { (members_of(visit, &group.group)) ": " (membership(visit, group)) } } }
            }
        }
    }
}

fn membership(visit: &Visit, group: &ReportedGroup) -> Markup {
    html! {
        @match group.is_member {
            Some(true) => {
                (visit.text("member"))
                @if let Some(role) = &group.role { ", " (visit.text("role")) " " bdi { (role) } }
            }
            Some(false) => (visit.text("not a member")),
            None => {
                (visit.text("not known"))
                @if let Some(error) = &group.error { ". " (visit.text(&sentence(&error.message))) " " (visit.text(&error.hint)) }
            }
        }
    }
}

fn tokens(visit: &Visit, report: &LoginReport) -> Markup {
    let refresh = match report.has_refresh_token {
        true => visit.text("yes"),
        false => visit.text("no: users must log in again when the access token expires"),
    };
    let revoked = match report.are_tokens_revoked {
        true => visit.text("revoked"),
        false => visit.text("deleted by this app, but valid until they expire"),
    };
    html! {
        section.ch-section aria-labelledby="tokens" {
            h2 id="tokens" { (visit.text("Tokens")) }
            dl.ch-facts {
                (fact(visit, "Access token", html! {
                    @match report.access_token_seconds {
                        Some(seconds) => { (visit.text("valid for")) " " (seconds) " " (visit.text("seconds")) },
                        None => (visit.text("The platform does not say how long it is valid.")),
                    }
                }))
                (fact(visit, "Refresh token", html! { (refresh) }))
                (fact(visit, "After the test", html! { (revoked) }))
                @if !report.notes.is_empty() {
                    (fact(visit, "Problems in the response", html! { @for note in &report.notes { code { (note) } " " } }))
                }
            }
        }
    }
}

fn fact(visit: &Visit, label: &'static str, value: Markup) -> Markup {
    html! { div { dt { (visit.text(label)) } dd { (value) } } }
}

fn yes_no(visit: &Visit, value: Option<bool>) -> Markup {
    html! {
        @match value {
            Some(true) => (visit.text("yes")),
            Some(false) => (visit.text("no")),
            None => (visit.text("not known: the platform does not say")),
        }
    }
}

fn state(visit: &Visit, state: UserState) -> Cow<'static, str> {
    match state {
        UserState::Active => visit.text("active"),
        UserState::Blocked => visit.text("blocked"),
        UserState::Deactivated => visit.text("deactivated"),
        UserState::PendingApproval => visit.text("not approved yet"),
        UserState::Locked => visit.text("locked"),
        UserState::Other => visit.text("not active"),
        UserState::Unknown => visit.text("not known"),
    }
}

/// Who has confirmed an address. `platform` is the name of the platform.
fn evidence(visit: &Visit, platform: &str, evidence: EmailEvidence) -> Markup {
    html! {
        @match evidence {
            EmailEvidence::Confirmed => { (visit.text("confirmed by")) " " (platform) },
            EmailEvidence::Unconfirmed => (visit.text("not confirmed")),
            EmailEvidence::Unknown => { (platform) " " (visit.text("does not say whether it is confirmed")) },
        }
    }
}

fn authority(authority: EmailAuthority) -> &'static str {
    match authority {
        EmailAuthority::Platform => "from the platform's public service",
        EmailAuthority::SelfManaged => "from a self-managed server",
    }
}
