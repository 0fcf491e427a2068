//! The fields of the form: label, input, help and error, tied together for screen readers.

use maud::{Markup, html};

use super::page::Form;
use crate::settings::{Field, FieldError, FieldErrors};

/// The number of a step.
pub(super) fn number(number: u8) -> Markup {
    html! { span.ch-number { (number) } " " }
}

/// A line of text. `attributes`: more of the input.
pub(super) fn text(form: &Form<'_>, field: Field, value: &str, help: &str, attributes: &[(&str, &str)]) -> Markup {
    named(form, field, field.label(), value, help, attributes)
}

/// The same with the platform's own label.
pub(super) fn named(
    form: &Form<'_>,
    field: Field,
    label: &str,
    value: &str,
    help: &str,
    attributes: &[(&str, &str)],
) -> Markup {
    let attribute = |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let input = html! {
        input.ch-input type="text" id=(field) name=(field) value=(value) autocomplete="off"
            inputmode=[attribute("inputmode")] spellcheck=[attribute("spellcheck")] list=[attribute("list")]
            autocapitalize=[attribute("autocapitalize")] maxlength=[attribute("maxlength")] dir=[attribute("dir")]
            placeholder=[attribute("placeholder").filter(|text| !text.is_empty())]
            aria-describedby=[described_by(form, field, &[help])] aria-invalid=[invalid(form, field)]
            autofocus[form.has_focus(field)];
    };
    labelled(form, field, label, &[help], input)
}

/// A secret, which is never in the page. `help`: sentences.
pub(super) fn secret(form: &Form<'_>, field: Field, label: &str, help: &[&str]) -> Markup {
    let input = html! {
        input.ch-input type="password" id=(field) name=(field) value="" autocomplete="new-password" spellcheck="false"
            aria-describedby=[described_by(form, field, help)] aria-invalid=[invalid(form, field)]
            autofocus[form.has_focus(field)];
    };
    labelled(form, field, label, help, input)
}

/// Several lines.
pub(super) fn area(form: &Form<'_>, field: Field, value: &str, help: &str) -> Markup {
    let input = html! {
        textarea.ch-input id=(field) name=(field) rows="3" autocomplete="off" spellcheck="false" autocapitalize="none"
            aria-describedby=[described_by(form, field, &[help])] aria-invalid=[invalid(form, field)]
            autofocus[form.has_focus(field)] {
            // A browser drops the first line break.
            "\n" (value)
        }
    };
    labelled(form, field, field.label(), &[help], input)
}

/// A choice. The first button has the field's name as id.
pub(super) fn radios(
    form: &Form<'_>,
    field: Field,
    help: &str,
    chosen: &str,
    choices: Vec<(String, Markup)>,
) -> Markup {
    let view = form.view;
    html! {
        fieldset.ch-field.ch-invalid[form.error(field).is_some()] {
            legend { (view.text(field.label())) }
            div.ch-choices {
                @for (position, (value, label)) in choices.iter().enumerate() {
                    label.ch-choice {
                        input type="radio" id=[(position == 0).then_some(field)] name=(field) value=(value)
                            checked[value == chosen] aria-describedby=[described_by(form, field, &[help])]
                            aria-invalid=[invalid(form, field)] autofocus[position == 0 && form.has_focus(field)];
                        (label)
                    }
                }
            }
            (texts(form, field, &[help]))
        }
    }
}

/// A check box.
pub(super) fn check(form: &Form<'_>, name: &str, is_ticked: bool, label: &str, help: &str) -> Markup {
    let view = form.view;
    html! {
        div.ch-field {
            label.ch-choice {
                input type="checkbox" name=(name) value="on" checked[is_ticked]
                    aria-describedby=[(!help.is_empty()).then(|| format!("{name}-help"))];
                span { (view.text(label)) }
            }
            @if !help.is_empty() { p.ch-help id={ (name) "-help" } { (view.text(help)) } }
        }
    }
}

/// A line of text that is no setting, and cannot be wrong.
pub(super) fn plain(form: &Form<'_>, name: &str, label: &str, help: &str, value: &str) -> Markup {
    html! {
        div.ch-field {
            label for=(name) { (form.view.text(label)) }
            input.ch-input type="text" id=(name) name=(name) value=(value) autocomplete="off" spellcheck="false"
                autocapitalize="none" aria-describedby={ (name) "-help" };
            p.ch-help id={ (name) "-help" } { (form.view.text(help)) }
        }
    }
}

/// A choice in a list.
pub(super) fn select(form: &Form<'_>, field: Field, help: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    let input = html! {
        select.ch-input id=(field) name=(field) aria-describedby=[described_by(form, field, &[help])]
            aria-invalid=[invalid(form, field)] autofocus[form.has_focus(field)] {
            @for (value, label) in options {
                option value=(value) selected[*value == chosen] { (form.view.text(label)) }
            }
        }
    };
    labelled(form, field, field.label(), &[help], input)
}

/// Errors alone, for the script to put at their fields.
pub(super) fn errors(form: &Form<'_>, errors: &FieldErrors) -> Markup {
    html! {
        @for one in errors {
            div data-ch-field=(one.field) data-ch-said={ (form.complaint(one)) " " (form.view.text(&one.hint)) } { (error(form, one)) }
        }
    }
}

fn labelled(form: &Form<'_>, field: Field, label: &str, help: &[&str], input: Markup) -> Markup {
    html! {
        div.ch-field.ch-invalid[form.error(field).is_some()] {
            label for=(field) { (form.view.text(label)) }
            (input)
            (texts(form, field, help))
        }
    }
}

fn texts(form: &Form<'_>, field: Field, help: &[&str]) -> Markup {
    let view = form.view;
    html! {
        @if let Some(found) = form.error(field) { (error(form, found)) }
        @if has_text(help) { p.ch-help id={ (field) "-help" } { @for help in help { (view.text(help)) " " } } }
    }
}

fn error(form: &Form<'_>, error: &FieldError) -> Markup {
    let view = form.view;
    html! { p.ch-error id={ (error.field) "-error" } { (view.text(&error.message)) " " (view.text(&error.hint)) } }
}

fn has_text(help: &[&str]) -> bool {
    help.iter().any(|text| !text.is_empty())
}

fn described_by(form: &Form<'_>, field: Field, help: &[&str]) -> Option<String> {
    let error = form.error(field).map(|_| format!("{field}-error"));
    let help = has_text(help).then(|| format!("{field}-help"));
    let ids: Vec<String> = error.into_iter().chain(help).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

fn invalid(form: &Form<'_>, field: Field) -> Option<&'static str> {
    form.error(field).map(|_| "true")
}
