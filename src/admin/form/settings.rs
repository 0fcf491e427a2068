//! The settings that few integrations need.

use maud::{Markup, html};

use super::fields;
use super::page::Form;
use super::typed::{REMOVE_CLIENT_CERTIFICATE, REMOVE_HEADERS};
use crate::settings::{Draft, Field};
use crate::values::email::EmailTrust;

/// Folded, unless something in it is set or wrong.
pub(super) fn more(form: &Form<'_>) -> Markup {
    let (view, draft) = (form.view, &form.typed.draft);
    let [platform, this_instance, without] =
        [EmailTrust::Platform, EmailTrust::ThisInstance, EmailTrust::WithoutVerification]
            .map(|trust| trust.to_string());
    let trust = [
        (platform.as_str(), "Only confirmed addresses of the platform's own service, such as GitLab.com"),
        (this_instance.as_str(), "Also confirmed addresses of this server, if you trust its administrators"),
        (without.as_str(), "Also addresses that nobody has confirmed"),
    ];
    html! {
        details.ch-step.ch-more open[is_open(form)] {
            summary { h2 { (view.text("More settings")) } }
            (fields::text(form, Field::LeastRole, &draft.least_role,
                "Of a member of these groups, as the platform calls it, such as developer or owner. Empty: every member.", &[("spellcheck", "false")]))
            (fields::check(form, "two_factor", draft.two_factor, "Only users with two-factor authentication",
                "Where the platform tells."))
            (fields::check(form, "refuse_external", draft.refuse_external, "No external users", "Where the platform has them."))
            (fields::check(form, "allow_bots", draft.allow_bots, "Bots may log in", ""))
            (fields::text(form, Field::EmailDomains, &draft.email_domains,
                "Only users with a confirmed address at one of them may log in: example.com example.org. Empty: all.",
                &[("spellcheck", "false"), ("autocapitalize", "none")]))
            (fields::area(form, Field::RootCertificates, &draft.root_certificates,
                "In PEM format. Only if your own authority has signed the certificate of the code host."))
            (fields::area(form, Field::ClientCertificate, "",
                if form.kept.client_certificate { "A client certificate is kept. Leave the field empty to use it." }
                else { "Certificate and key in PEM format. Only if the code host demands one." }))
            @if form.kept.client_certificate {
                (fields::check(form, REMOVE_CLIENT_CERTIFICATE, false, "Remove the client certificate", ""))
            }
            (fields::area(form, Field::Headers, "",
                if form.kept.headers { "Headers are kept. Leave the field empty to use them." }
                else { "One “Name: value” in each line. Only if an access gateway in front of the code host demands them." }))
            @if form.kept.headers { (fields::check(form, REMOVE_HEADERS, false, "Remove the headers", "")) }
            (fields::text(form, Field::Timeout, &draft.timeout,
                "The time limit of a request in seconds, 1 to 60. Empty: the app's own.", &[("inputmode", "numeric")]))
            @if form.is_operator {
                (fields::select(form, Field::EmailTrust,
                    "Which to trust: the app may find its users by such an address. Only operators of the app see this.",
                    &draft.email_trust, &trust))
                (fields::text(form, Field::ApiUrl, &draft.api_url,
                    "Where the app reaches the code host, if not at the base URL. Only operators of the app see this.",
                    &[("inputmode", "url"), ("spellcheck", "false")]))
            }
        }
    }
}

fn is_open(form: &Form<'_>) -> bool {
    let draft = &form.typed.draft;
    let plain = Draft {
        platform: draft.platform.clone(),
        base_url: draft.base_url.clone(),
        name: draft.name.clone(),
        owner: draft.owner.clone(),
        access: draft.access.clone(),
        client_id: draft.client_id.clone(),
        groups: draft.groups.clone(),
        with_subgroups: draft.with_subgroups,
        email_trust: match draft.email_trust.as_str() {
            "" => String::new(),
            hidden if !form.is_operator => hidden.to_owned(),
            _ => EmailTrust::default().to_string(),
        },
        api_url: if form.is_operator { String::new() } else { draft.api_url.clone() },
        ..Draft::default()
    };
    let is_wrong = form.errors.iter().any(|error| HERE.contains(&error.field));
    is_wrong || form.kept.client_certificate || form.kept.headers || *draft != plain
}

const HERE: [Field; 8] = [
    Field::LeastRole,
    Field::EmailDomains,
    Field::EmailTrust,
    Field::RootCertificates,
    Field::ClientCertificate,
    Field::Headers,
    Field::Timeout,
    Field::ApiUrl,
];
