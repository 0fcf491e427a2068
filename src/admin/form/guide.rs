//! The second step: how to create the OAuth application at the code host.

use maud::{Markup, html};

use super::fields;
use super::page::Form;
use crate::admin::visit::View;
use crate::provider::setup::{LinkAddress, SetupField, SetupGuide, SetupLink, SetupScope};
use crate::settings::{Draft, Field};

/// The step. It is folded if the application exists already.
pub(super) fn step(form: &Form<'_>) -> Markup {
    let view = form.view;
    let heading = html! { h2 #ch-step-2 { (fields::number(2)) (view.text("Create the application there")) } };
    let body = html! {
        (guide(form))
        p.ch-actions.ch-noscript {
            button.ch-button.ch-secondary type="submit" name="act" value="guide" { (view.text("Show setup link")) }
        }
    };
    html! {
        @if form.is_edit {
            details.ch-step { summary { (heading) } (body) }
        } @else {
            section.ch-step aria-labelledby="ch-step-2" { (heading) (body) }
        }
    }
}

/// The guide as far as it is known. The script replaces it, and takes the labels of the credentials and the name from it.
pub(super) fn guide(form: &Form<'_>) -> Markup {
    let (view, reading) = (form.view, form.reading);
    let labels = reading.guide.as_ref().and_then(|guide| guide.credentials.first());
    html! {
        div #ch-guide data-ch-name=(reading.name) data-ch-id=[labels.map(|labels| &labels.id)]
            data-ch-secret=[labels.map(|labels| &labels.secret)]
            data-ch-said=[reading.guide.is_some().then(|| view.text("The setup link is ready."))] {
            @match &reading.guide {
                Some(guide) => (steps(form, guide)),
                None => (missing(form)),
            }
        }
    }
}

/// Whether there is no guide because of this field.
pub(super) fn is_in_the_way(field: Field) -> bool {
    matches!(field, Field::Platform | Field::BaseUrl | Field::Name | Field::ApiUrl | Field::Access)
}

fn missing(form: &Form<'_>) -> Markup {
    let view = form.view;
    let draft = &form.typed.draft;
    html! {
        @if draft.base_url.trim().is_empty() || draft.platform.is_empty() {
            p { (view.text("Choose the platform and enter the base URL. The setup link, the callback URL and the scopes then appear here.")) }
        } @else {
            p { (view.text("The setup link, the callback URL and the scopes appear here when the fields with errors are correct.")) }
        }
    }
}

fn steps(form: &Form<'_>, guide: &SetupGuide) -> Markup {
    let view = form.view;
    let (copied, set): (Vec<&SetupField>, Vec<&SetupField>) = guide.fields.iter().partition(|field| field.copy);
    let mut links = guide.links.iter();
    let first = links.next();
    let others: Vec<SetupLink> = links.cloned().chain(other_places(form, guide)).collect();
    html! {
        p {
            (view.text("Leave this page open, and open the setup link in another tab. When you have ID and secret, paste them below and choose"))
            " “" (form.save_label()) "”."
        }
        h3 { (view.text("Setup link")) }
        @if let Some(link) = first { (primary(view, link, guide.links.iter().any(|link| link.url().is_none()))) }
        @if !others.is_empty() {
            details.ch-fold {
                summary { (view.text("Other pages where you can create it")) }
                ul { @for link in &others { li { (address(link)) " " small { (about(view, link)) } } } }
            }
        }
        details.ch-fold {
            summary { (view.text("Step by step")) }
            ol { @for step in &guide.steps { li { (view.text(step)) } } }
        }
        h3 { (view.text("Copy these values")) }
        dl.ch-copies {
            @for (position, field) in copied.into_iter().enumerate() {
                (copyable(view, guide, field, position))
            }
        }
        h3 { (view.text(if guide.has_scope_boxes { "Tick these scopes" } else { "Scopes" })) }
        @if !guide.has_scope_boxes {
            p { (view.text("There is nothing to tick: each login asks for these scopes.")) }
        }
        ul.ch-scopes { @for scope in &guide.scopes { (tick(view, guide, scope)) } }
        @if !set.is_empty() {
            h3 { (view.text("Set the other fields like this")) }
            dl.ch-pairs {
                @for field in set {
                    dt { (field.label) }
                    dd { (view.text(&field.value)) @if let Some(note) = &field.note { " " small { (view.text(note)) } } }
                }
            }
        }
        details.ch-fold {
            summary { (view.text("Common mistakes")) }
            ul { @for warning in &guide.warnings { li { (view.text(warning)) } } }
        }
    }
}

/// A page for another owner of the application, if a workspace or group is filled in.
fn other_places(form: &Form<'_>, guide: &SetupGuide) -> Vec<SetupLink> {
    if form.typed.draft.owner.trim().is_empty() {
        return Vec::new();
    }
    let without_owner = Draft { owner: String::new(), ..form.typed.draft() };
    let links = without_owner.read(form.view.integrations().config(), Some(form.id)).links;
    let is_new = |link: &SetupLink| link.url().is_some() && guide.links.iter().all(|known| known.label != link.label);
    links.into_iter().filter(is_new).collect()
}

/// `needs_owner`: whether a page of a group is among the links, and the group is not known yet.
fn primary(view: &View, link: &SetupLink, needs_owner: bool) -> Markup {
    html! {
        p.ch-link {
            @match link.url() {
                Some(url) => a.ch-primary href=(url) target="_blank" rel="noopener noreferrer" { (url) },
                None => code { (link.address.as_str()) },
            }
        }
        p.ch-help { (about(view, link)) }
        @if needs_owner {
            p { a href="#owner" { (view.text("Enter the workspace, group or organization")) } " " (view.text("above to fill it into the link.")) }
        }
    }
}

fn address(link: &SetupLink) -> Markup {
    html! {
        @match &link.address {
            LinkAddress::Url(url) => a href=(url) target="_blank" rel="noopener noreferrer" { (url) },
            LinkAddress::Template(template) => code { (template) },
        }
    }
}

fn about(view: &View, link: &SetupLink) -> Markup {
    html! {
        (view.text(&link.label)) ", " (view.text("for")) " " (view.text(&link.who)) "."
        @if let Some(note) = &link.note { " " (view.text(note)) }
    }
}

fn copyable(view: &View, guide: &SetupGuide, field: &SetupField, position: usize) -> Markup {
    let id = format!("ch-copy-{position}");
    let is_callback = field.value == guide.callback_url.as_str() && !field.label.eq_ignore_ascii_case("callback URL");
    html! {
        dt { label for=(id) { (field.label) } @if is_callback { " " small { (view.text("(the callback URL)")) } } }
        dd {
            div.ch-copy-row {
                input.ch-input.ch-mono id=(id) type="text" readonly value=(field.value) dir="auto";
                (copy_button(view, &field.label, &field.value))
            }
            @if let Some(note) = &field.note { p.ch-help { (view.text(note)) } }
        }
    }
}

/// Hidden until the script can copy.
pub(in crate::admin) fn copy_button(view: &View, label: &str, value: &str) -> Markup {
    html! {
        button.ch-copy type="button" hidden data-ch-copy=(value) data-ch-copied=(view.text("Copied"))
            aria-label={ (view.text("Copy")) ": " (label) } { (view.text("Copy")) }
    }
}

fn tick(view: &View, guide: &SetupGuide, scope: &SetupScope) -> Markup {
    let description = &scope.description;
    html! {
        li.ch-implied[!scope.must_tick()] {
            strong { (description.label) }
            @if description.label != description.scope.as_str() { " " code { (description.scope) } }
            @if scope.must_tick() { " " (copy_button(view, description.scope.as_str(), description.scope.as_str())) }
            p.ch-help {
                (view.text(&description.reason))
                @if let Some(note) = guide.scope_note(scope) { " " (view.text(&note)) }
            }
        }
    }
}
