//! What a check has found.

use maud::{Markup, html};

use crate::admin::visit::View;
use crate::error::Audience;
use crate::provider::check::{CheckReport, Finding, Level, Verdict};
use crate::provider::setup::SetupGuide;
use crate::settings::{Field, FieldError};

/// What saving without a check can lead to.
pub(in crate::admin) const UNCHECKED: &str = "If ID or secret is wrong, nobody can log in with this integration until an administrator who is still logged in, or the \
     operator of this app, corrects it.";

pub(super) fn is_fine(report: &CheckReport) -> bool {
    report.verdict() == Verdict::AllRight
}

/// `has_focus`: whether it has the focus when the page opens.
pub(in crate::admin) fn report(view: &View, report: &CheckReport, has_focus: bool) -> Markup {
    let (class, title) = match report.verdict() {
        Verdict::AllRight => ("ch-ok", "Everything that can be checked without a login is correct."),
        Verdict::Wrong => ("ch-problem", "Something is wrong: logins would fail."),
        Verdict::CouldNotTell => ("ch-unknown", "The check could not find out whether logins would work."),
    };
    html! {
        div #ch-report.ch-report.(class) role="status" tabindex="-1" autofocus[has_focus] {
            p.ch-title { (view.text(title)) }
            ul.ch-findings {
                @for finding in report.findings() {
                    li data-code=(finding.code) {
                        strong.ch-level.(level(finding.level).0) { (view.text(level(finding.level).1)) } " "
                        (view.text(&finding.message))
                        @if let Some(fix) = &finding.fix {
                            p.ch-help {
                                @if let Some(audience) = finding.audience { (view.text(who_can_act(audience))) ": " }
                                (view.text(fix))
                            }
                        }
                    }
                }
            }
            @if !report.not_checked().is_empty() {
                details.ch-fold {
                    summary { (view.text("What only a login can show")) }
                    ul { @for row in report.not_checked() { li { (view.text(&row.message)) } } }
                }
            }
            @if let Some(connection) = report.connection() {
                details.ch-fold {
                    summary { (view.text("The connection, which only operators see")) }
                    ul { @for line in connection.to_string().lines() { li { (view.text(line)) } } }
                }
            }
        }
    }
}

/// The findings that are about a field of the form.
pub(in crate::admin) fn errors(report: &CheckReport, guide: Option<&SetupGuide>) -> Vec<FieldError> {
    let labels = guide.and_then(|guide| guide.credentials.first());
    let found = report.findings().iter().filter_map(|finding| Some((field(finding)?, finding)));
    let error = |(field, finding): (Field, &Finding)| {
        let label = labels.filter(|_| field == Field::ClientSecret).map(|labels| labels.secret.as_str());
        FieldError::say(field, label, finding.code, &finding.message, finding.fix.as_deref().unwrap_or_default())
    };
    found.map(error).collect()
}

fn field(finding: &Finding) -> Option<Field> {
    // An outage is no mistake in the form. The public report does not say whether it is one.
    if finding.level != Level::Problem && finding.code != "instance_unreachable" {
        return None;
    }
    Some(match finding.code {
        "client_rejected" => Field::ClientSecret,
        "scopes" => Field::Access,
        "tls_untrusted" => Field::RootCertificates,
        "client_certificate" => Field::ClientCertificate,
        "address_not_allowed"
        | "base_path"
        | "code_not_checked"
        | "html"
        | "http_on_tls_port"
        | "instance_unreachable"
        | "malformed"
        | "name_not_allowed"
        | "name_not_found"
        | "not_http"
        | "not_json"
        | "not_this_platform"
        | "plain_http"
        | "redirect"
        | "tls_wrong_name"
        | "unexpected_status"
        | "unreachable" => Field::BaseUrl,
        _ => return None,
    })
}

fn level(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Ok => ("ch-ok", "OK"),
        Level::Note => ("ch-note", "Note"),
        Level::Warning => ("ch-warning", "Warning"),
        Level::Problem => ("ch-problem", "Problem"),
        Level::Unknown => ("ch-unknown", "Unknown"),
    }
}

pub(in crate::admin) fn who_can_act(audience: Audience) -> &'static str {
    match audience {
        Audience::User => "What the user can do",
        Audience::Administrator => "What you can do",
        Audience::Operator => "What the operator of this app can do",
        Audience::CodeHost => "What the operator of the code host can do",
    }
}
