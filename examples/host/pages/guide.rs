//! The setup guide and the check report: the parts of the form that change while it is filled in.

use codehost_oauth::check::CheckReport;
use codehost_oauth::setup::{SetupField, SetupGuide, SetupLink};
use maud::{Markup, html};

use super::copyable;
use crate::form::Draft;
use crate::report::{Verdict, level, who};

/// The setup guide, or what is still missing for it. `demo`: the page that creates the application at a fake code host.
pub(crate) fn guide(draft: &Draft, demo: Option<&str>) -> Markup {
    let Some(guide) = &draft.guide else {
        return html! {
            h2 { "Setup guide" }
            p.muted { "Fill in the platform, the name and the base URL. The setup link, the callback URL and the scopes then appear here." }
            @for complaint in draft.complaints.iter().filter(|complaint| matches!(complaint.field, "name" | "base_url")) {
                p.muted { (complaint.message) " " (complaint.hint) }
            }
        };
    };
    let (copied, set): (Vec<&SetupField>, Vec<&SetupField>) = guide.fields.iter().partition(|field| field.copy);
    let (id, secret) = credential_names(Some(guide));
    html! {
        h2 { (guide.title) }
        // The script takes the labels of the credentials from here.
        span #credential-names hidden data-id=(id) data-secret=(secret) {}
        @if let Some(demo) = demo {
            p.demo {
                "The demo code host has no page for OAuth applications. "
                a href=(demo) target="_blank" rel="noopener" { "Create the demo application" }
                ", then copy the two values that it shows into the form."
            }
        }
        h3 { "1. Open the setup link" }
        ul.links { @for row in &guide.links { li { (link(row)) } } }
        h3 { "2. Copy these values" }
        dl.fields { @for field in copied { dt { (field.label) } dd { (copyable(&field.label, &field.value)) (note(field.note.as_deref())) } } }
        h3 { "3. Tick these scopes" }
        ul.scopes {
            @for scope in &guide.scopes {
                li.implied[!scope.must_tick()] {
                    span.tick aria-hidden="true" { @if scope.must_tick() { "☑" } @else { "↳" } }
                    span {
                        strong { (scope.description.label) }
                        @if scope.description.label != scope.description.scope.as_str() { " " code { (scope.description.scope) } }
                        br;
                        small { (scope.description.reason) @if !scope.must_tick() { " Included automatically." } }
                    }
                }
            }
        }
        @if !set.is_empty() {
            h3 { "4. Set the other fields like this" }
            dl.rest { @for field in set { dt { (field.label) } dd { (field.value) (note(field.note.as_deref())) } } }
        }
        details {
            summary { "Step by step" }
            ol { @for step in &guide.steps { li { (step) } } }
        }
        details {
            summary { "Common mistakes" }
            ul { @for warning in &guide.warnings { li { (warning) } } }
        }
    }
}

/// The check report.
pub(crate) fn report(report: &CheckReport) -> Markup {
    let (class, title) = match report.verdict() {
        Verdict::AllRight => ("ok", "Everything that can be checked without a login is correct"),
        Verdict::Wrong => ("problem", "Users cannot log in with these settings"),
        _ => ("unknown", "Not everything could be checked"),
    };
    html! {
        section class={ "report " (class) } role="status" aria-label="Result of the check" {
            h2 { (title) }
            ul.findings {
                @for row in report.findings() {
                    li class=(level(row.level)) data-code=(row.code) {
                        span.level { (level(row.level)) }
                        span {
                            (row.message)
                            @if let Some(fix) = &row.fix {
                                br;
                                small { @if let Some(audience) = row.audience { strong { (who(audience)) ": " } } (fix) }
                            }
                        }
                    }
                }
            }
            @if !report.not_checked().is_empty() {
                details {
                    summary { "What only a login can show" }
                    ul { @for row in report.not_checked() { li { (row.message) } } }
                }
            }
            @if let Some(connection) = report.connection() {
                details {
                    summary { "The connection, which only the operator sees" }
                    ul { @for line in connection.to_string().lines() { li { (line) } } }
                }
            }
        }
    }
}

/// The platform's names for the client ID and the secret, as labels of the form; those of its newer page if it has two.
pub(crate) fn credential_names(guide: Option<&SetupGuide>) -> (String, String) {
    let names = guide.and_then(|guide| guide.credentials.first());
    names.map_or_else(
        || ("Client ID".to_owned(), "Client secret".to_owned()),
        |row| (row.id.clone(), row.secret.clone()),
    )
}

fn link(row: &SetupLink) -> Markup {
    html! {
        @match row.url() {
            Some(url) => a href=(url) target="_blank" rel="noopener noreferrer" { (url) },
            None => code { (row.address.as_str()) },
        }
        br;
        small { (row.label) ", for " (row.who) ". " @if let Some(text) = &row.note { (text) } }
    }
}

fn note(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { small { (text) } } }
}
