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
    let trusts = [EmailTrust::Platform, EmailTrust::ThisInstance, EmailTrust::WithoutVerification];
    let trusts = trusts.map(|one| (one.to_string(), trust(one)));
    let trusts: Vec<_> = trusts.iter().map(|(value, label)| (value.as_str(), *label)).collect();
    html! {
        details.ch-step.ch-more open[is_open(form)] {
            summary { h2 { (view.text("More settings")) } }
            p.ch-help.ch-caution { (view.text(LOCKED_OUT)) }
            (fields::text(form, Field::LeastRole, &draft.least_role,
                "The lowest accepted role in these groups, as the platform writes it, such as developer or owner. Leave it empty to accept every member.", &[("spellcheck", "false")]))
            (fields::check(form, "two_factor", draft.two_factor, "Only users with two-factor authentication",
                "Works only on platforms that tell the app whether a user has it."))
            (fields::check(form, "refuse_external", draft.refuse_external, "No external users", "Works only on platforms that have them."))
            (fields::check(form, "allow_bots", draft.allow_bots, "Accept bots", ""))
            (fields::text(form, Field::EmailDomains, &draft.email_domains,
                "Only users with a confirmed address at one of these domains may log in: example.com example.org. Leave it empty to allow all.",
                &[("spellcheck", "false"), ("autocapitalize", "none")]))
            (fields::area(form, Field::RootCertificates, &draft.root_certificates,
                "In PEM format. Needed only if your own authority has signed the certificate of the code host."))
            (fields::area(form, Field::ClientCertificate, "",
                if form.kept.client_certificate { "A client certificate is kept. Leave the field empty to use it." }
                else { "Certificate and key in PEM format. Needed only if the code host demands them." }))
            @if form.kept.client_certificate {
                (fields::check(form, REMOVE_CLIENT_CERTIFICATE, false, "Remove the client certificate", ""))
            }
            (fields::area(form, Field::Headers, "",
                if form.kept.headers { "Headers are kept. Leave the field empty to use them." }
                else { "One “Name: value” in each line. Needed only if an access gateway in front of the code host demands them." }))
            @if form.kept.headers { (fields::check(form, REMOVE_HEADERS, false, "Remove the headers", "")) }
            (fields::text(form, Field::Timeout, &draft.timeout,
                "The time limit of a request in seconds, 1 to 60. Leave it empty for the app's default.", &[("inputmode", "numeric")]))
            @if form.is_operator {
                (fields::select(form, Field::EmailTrust,
                    "The app may find its users by a trusted address. Only operators of the app see this field.",
                    &draft.email_trust, &trusts))
                (fields::text(form, Field::ApiUrl, &draft.api_url,
                    "The URL at which the app reaches the code host, if it is not the base URL. Only operators of the app see this field.",
                    &[("inputmode", "url"), ("spellcheck", "false")]))
            }
        }
    }
}

/// Which e-mail addresses the app trusts.
pub(in crate::admin) fn trust(trust: EmailTrust) -> &'static str {
    match trust {
        EmailTrust::Platform => "Only addresses that the platform's own public service has confirmed",
        EmailTrust::ThisInstance => "Also confirmed addresses of this server, if you trust its administrators",
        EmailTrust::WithoutVerification => "Also addresses that nobody has confirmed",
    }
}

/// What a rule for logins can lead to.
pub(super) const LOCKED_OUT: &str = "If a rule excludes you, you cannot log in with this integration again until an administrator who is still logged in, or the \
     operator of this app, changes it. Test the login after you have saved, before you log out.";

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
