//! The page with the form: one column, in the order of what the administrator does.

use std::borrow::Cow;

use maud::{Markup, html};

use super::report::{UNCHECKED, report};
use super::typed::{EVERYBODY, MEMBERS, Typed};
use super::{fields, guide, settings};
use crate::admin::actions::Kept;
use crate::admin::marks::mark;
use crate::admin::overview::Problem;
use crate::admin::pages::MORE_RULES;
use crate::admin::visit::View;
use crate::provider::check::{CheckReport, Verdict};
use crate::settings::{DraftReading, Field, FieldError, FieldErrors, Proposal, StoredIntegration};
use crate::values::access::Access;
use crate::values::integration_id::IntegrationId;

/// Everything that the form shows.
pub(super) struct Form<'a> {
    pub(super) view: &'a View,
    pub(super) typed: &'a Typed,
    pub(super) id: &'a IntegrationId,
    /// The integration that is edited. Nothing is shown of it to somebody who is not logged in.
    pub(super) stored: Option<&'a StoredIntegration>,
    pub(super) is_edit: bool,
    pub(super) is_operator: bool,
    pub(super) reading: &'a DraftReading,
    /// Those to show.
    pub(super) errors: FieldErrors,
    pub(super) kept: Kept,
    pub(super) report: Option<&'a CheckReport>,
    pub(super) notice: Option<Notice>,
}

/// Why the form is shown once more.
pub(super) struct Notice {
    pub(super) message: String,
    pub(super) hint: String,
    /// Where to log in.
    pub(super) login_path: Option<String>,
}

impl Form<'_> {
    pub(super) fn title(&self) -> Cow<'static, str> {
        self.view.text(if self.is_edit { "Edit integration" } else { "Add integration" })
    }

    pub(super) fn render(&self) -> Markup {
        let Self { view, id, is_edit, .. } = self;
        let action = if *is_edit { view.path(&format!("/{id}/edit")) } else { view.path("/new") };
        html! {
            (view.crumbs(self.name_now().map(|name| (*id, name))))
            h1 { (self.title()) @if let Some(name) = self.name_now() { " " bdi { (name) } } }
            @if let Some(notice) = &self.notice { (self.notice(notice)) }
            @if let Some(stored) = self.stored { (ends_proposal(view, stored)) }
            (self.summary())
            form.ch-form method="post" action=(action) novalidate autocomplete="off" data-ch-form={ (id) ":" (self.typed.version) }
                data-ch-fresh[self.is_fresh()] {
                // What the enter key presses.
                button.ch-default type="submit" name="act" value="" tabindex="-1" aria-hidden="true" { (view.text("Continue")) }
                (self.hidden())
                (self.code_host())
                (guide::step(self))
                (self.credentials())
                (settings::more(self))
                (self.actions())
            }
        }
    }

    pub(super) fn error(&self, field: Field) -> Option<&FieldError> {
        self.errors.of(field)
    }

    /// Whether the field has the focus when the page opens.
    pub(super) fn has_focus(&self, field: Field) -> bool {
        self.notice.is_none() && self.errors.iter().next().is_some_and(|first| first.field == field)
    }

    fn name_now(&self) -> Option<&str> {
        self.stored.map(|stored| stored.settings.name.as_str())
    }

    /// Whether nothing has been typed yet.
    fn is_fresh(&self) -> bool {
        self.notice.is_none() && self.errors.is_empty() && self.report.is_none()
    }

    fn hidden(&self) -> Markup {
        let Self { view, typed, .. } = self;
        html! {
            input type="hidden" name="csrf_token" value=(view.csrf_token) autocomplete="off";
            @if self.is_edit {
                input type="hidden" name="version" value=(typed.version) autocomplete="off";
                input type="hidden" name="platform" value=(typed.draft.platform) autocomplete="off";
            } @else {
                input type="hidden" name="id" value=(typed.id) autocomplete="off";
                input type="hidden" name="signature" value=(typed.signature) autocomplete="off";
            }
            // Whether an operator has typed them is not known if nobody is logged in.
            @if self.notice.is_some() && !self.is_operator {
                @for (field, value) in [(Field::ApiUrl, &typed.draft.api_url), (Field::EmailTrust, &typed.draft.email_trust)] {
                    @if !value.is_empty() { input type="hidden" name=(field) value=(value) autocomplete="off"; }
                }
            }
        }
    }

    fn notice(&self, notice: &Notice) -> Markup {
        html! {
            div #ch-notice.ch-notice role="alert" tabindex="-1" autofocus {
                p { strong { (notice.message) } }
                p { (notice.hint) }
                @if let Some(path) = &notice.login_path {
                    p { a href=(path) target="_blank" rel="noopener" { (self.view.text("Log in in another tab")) } }
                }
            }
        }
    }

    fn summary(&self) -> Markup {
        let view = self.view;
        html! {
            @if !self.errors.is_empty() {
                div.ch-summary role="alert" {
                    h2 { (view.text(if view.was_sent() { "Nothing was saved: something is wrong" } else { "Something is wrong" })) }
                    ul {
                        @for error in &self.errors {
                            li {
                                @if self.has_field(error.field) {
                                    a href={ "#" (error.field) } { (self.complaint(error)) }
                                } @else {
                                    (self.complaint(error))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn complaint(&self, error: &FieldError) -> Markup {
        let view = self.view;
        html! {
            // "The Application ID is empty."
            @if !error.message.contains(&error.label) { (view.text(&error.label)) ": " }
            (view.text(&error.message))
        }
    }

    /// Only operators see what only they may set.
    fn has_field(&self, field: Field) -> bool {
        self.is_operator || !matches!(field, Field::ApiUrl | Field::EmailTrust)
    }

    fn code_host(&self) -> Markup {
        let (view, draft) = (self.view, &self.typed.draft);
        html! {
            section.ch-step aria-labelledby="ch-step-1" {
                h2 #ch-step-1 { (fields::number(1)) (view.text("Which code host")) }
                @if self.is_edit { (self.fixed_platform()) } @else { (self.services()) (self.platforms()) }
                (fields::text(self, Field::BaseUrl, &draft.base_url,
                    "The address at which users open the code host, with its path if it has one: https://git.example.com.",
                    &[("inputmode", "url"), ("spellcheck", "false"), ("autocapitalize", "none"), ("list", "ch-services")]))
                datalist #ch-services {
                    @for (_, service) in self.all_services() { option value=(service.base_url) { (service.name) } }
                }
                (fields::plain(self, "owner", "Workspace, group or organization",
                    "Optional. It will own the OAuth application there, and is filled into the setup link.", &draft.owner))
                (self.name())
                (self.access())
                (self.who())
            }
        }
    }

    fn fixed_platform(&self) -> Markup {
        let view = self.view;
        let id = &self.typed.draft.platform;
        let name = view.integrations().config().platform(id).map_or("", |platform| platform.name());
        html! {
            div.ch-field {
                p.ch-label { (view.text("Platform")) }
                p #platform.ch-fixed { (mark(id)) " " (name) }
                p.ch-help { (view.text("Cannot be changed: it is part of the callback URL.")) }
            }
        }
    }

    /// Each fills in platform and base URL.
    fn services(&self) -> Markup {
        html! {
            @if self.all_services().next().is_some() {
                div.ch-field role="group" aria-labelledby="ch-public" {
                    p #ch-public.ch-label { (self.view.text("A public service")) }
                    div.ch-tiles {
                        @for (platform, service) in self.all_services() {
                            button.ch-tile type="submit" name="service" value={ (platform) " " (service.base_url) } {
                                (mark(platform)) span { (service.name) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn all_services(&self) -> impl Iterator<Item = (&'static str, &'static crate::provider::platform::Service)> {
        let platforms = self.view.integrations().config().platforms();
        platforms.iter().flat_map(|platform| platform.services().iter().map(|service| (platform.id(), service)))
    }

    fn platforms(&self) -> Markup {
        let view = self.view;
        let choices: Vec<_> = view
            .integrations()
            .config()
            .platforms()
            .iter()
            .map(|platform| {
                let label = html! { (mark(platform.id())) span { (platform.name()) } };
                (platform.id().to_owned(), label)
            })
            .collect();
        fields::radios(
            self,
            Field::Platform,
            "The software of your own server, or of the public service.",
            &self.typed.draft.platform,
            choices,
        )
    }

    fn name(&self) -> Markup {
        let draft = &self.typed.draft;
        let help = "Users see it on the login button. If it is empty, the proposed name is used. You can change it at any time.";
        html! {
            (fields::text(self, Field::Name, &draft.name, help, &[("maxlength", "200"), ("dir", "auto"),
                ("placeholder", &self.reading.name)]))
        }
    }

    fn access(&self) -> Markup {
        let view = self.view;
        let preset = view.admin.0.preset_access.to_string();
        let known = [
            (Access::SignIn.to_string(), "Only log users in"),
            (Access::Read.to_string(), "Also read projects, repositories and merge or pull requests"),
            (Access::Write.to_string(), "Also write webhooks and comments"),
        ];
        let chosen = &self.typed.draft.access;
        let others = [&preset, chosen].into_iter().filter(|text| known.iter().all(|(value, _)| value != *text));
        let mut others: Vec<String> = others.filter(|text| text.parse::<Access>().is_ok()).cloned().collect();
        others.dedup();
        let mut choices = Vec::new();
        for (value, label) in known {
            let is_preset = value == preset;
            choices.push((
                value,
                html! { span { (view.text(label)) @if is_preset { " (" (view.text("this app needs it")) ")" } } },
            ));
        }
        for value in others {
            let scopes = value.strip_prefix("scopes:").unwrap_or_default().to_owned();
            choices.push((value, html! { span { (view.text("Exactly these scopes:")) " " code { (scopes) } } }));
        }
        fields::radios(self, Field::Access, "What the app may do with its users' tokens.", chosen, choices)
    }

    fn who(&self) -> Markup {
        let (view, typed) = (self.view, self.typed);
        let choice = |value: &str, label: &str| {
            let is_limit = value == MEMBERS;
            html! {
                label.ch-choice {
                    input type="radio" name="who" value=(value) checked[is_limit == typed.is_limited]
                        aria-describedby=[is_limit.then_some("ch-locked-out")];
                    span { (view.text(label)) }
                }
            }
        };
        html! {
            fieldset.ch-field {
                legend { (view.text("Accepted users")) }
                (choice(EVERYBODY, "All users of the code host"))
                (choice(MEMBERS, "Only members of these groups, workspaces or organizations"))
                div.ch-nested {
                    (fields::area(self, Field::Groups, &typed.draft.groups,
                        "Groups, workspaces or organizations, one in each line as in its address: acme or acme/tools."))
                    (fields::check(self, "with_subgroups", typed.draft.with_subgroups, "Members of subgroups too",
                        "Works only on platforms that have subgroups."))
                    p #ch-locked-out.ch-help.ch-caution { (view.text(settings::LOCKED_OUT)) }
                }
                p.ch-help { (view.text(MORE_RULES)) }
            }
        }
    }

    fn credentials(&self) -> Markup {
        let (view, typed) = (self.view, self.typed);
        let labels = self.reading.guide.as_ref().and_then(|guide| guide.credentials.first());
        let (id, secret) = labels.map_or(("Client ID", "Client secret"), |labels| (&labels.id, &labels.secret));
        let others = self.reading.guide.iter().flat_map(|guide| guide.credentials.iter().skip(1));
        let same_url = self.stored.filter(|stored| stored.settings.base_url == typed.draft.base_url);
        let lost = same_url.and_then(|stored| view.integrations().secrets(stored).err()).map(Problem::from);
        let wrong = self.error(Field::ClientSecret).map(|error| error.code);
        let kept = match (self.kept.client_secret, &lost) {
            (true, _) if wrong.is_none() => vec!["The secret is kept. Leave the field empty to use it."],
            // Perhaps the ID is wrong.
            (true, _) if wrong == Some("client_rejected") => {
                vec!["The secret that was refused is kept. Leave the field empty to try it again with another ID."]
            }
            (true, _) => Vec::new(),
            // Nobody is logged in, so nothing was looked up.
            (false, _) if self.is_edit && self.stored.is_none() => {
                vec!["Leave the field empty to keep the stored secret."]
            }
            (false, Some(Problem { message, hint, .. })) => vec![message.as_str(), hint],
            (false, None) => Vec::new(),
        };
        html! {
            section.ch-step aria-labelledby="ch-step-3" {
                h2 #ch-step-3 { (fields::number(3)) (view.text("Paste ID and secret")) }
                (fields::named(self, Field::ClientId, id, &typed.draft.client_id, "",
                    &[("spellcheck", "false"), ("autocapitalize", "none")]))
                (fields::secret(self, Field::ClientSecret, secret, &kept))
                @for labels in others {
                    p.ch-help {
                        (view.text(&labels.note)) " " (view.text("There they are called")) " “" (labels.id) "” "
                        (view.text("and")) " “" (labels.secret) "”."
                    }
                }
            }
        }
    }

    /// What the button says that saves the form.
    pub(super) fn save_label(&self) -> Cow<'static, str> {
        self.view.text(if self.is_edit { "Save changes" } else { "Create integration" })
    }

    fn actions(&self) -> Markup {
        let view = self.view;
        let is_unknown = self.report.is_some_and(|report| report.verdict() == Verdict::CouldNotTell);
        html! {
            section.ch-step aria-labelledby="ch-step-4" {
                h2 #ch-step-4 {
                    (fields::number(4)) (view.text(if self.is_edit { "Check and save" } else { "Check and create" }))
                }
                @if let Some(found) = self.report { (report(view, found, self.errors.is_empty() && self.notice.is_none())) }
                p.ch-actions {
                    button.ch-button type="submit" name="act" value="save"
                        data-ch-busy=(view.text("Checking and saving …")) { (self.save_label()) }
                    button.ch-button.ch-secondary type="submit" name="act" value="check"
                        data-ch-busy=(view.text("Checking …")) { (view.text("Check")) }
                    @if is_unknown {
                        button.ch-button.ch-secondary type="submit" name="act" value="save-anyway"
                            aria-describedby="ch-unchecked" data-ch-busy=(view.text("Saving …")) { (view.text("Save anyway")) }
                    }
                    a href=(view.path("")) { (view.text("Cancel")) }
                }
                @if is_unknown { p #ch-unchecked.ch-help.ch-caution { (view.text(UNCHECKED)) } }
                p.ch-help { (view.text("The check asks the code host whether it accepts ID and secret. Nobody is logged in.")) }
            }
        }
    }
}

/// What another change of the settings ends.
pub(in crate::admin) fn ends_proposal(view: &View, stored: &StoredIntegration) -> Markup {
    let proposal = stored.proposed.as_ref().filter(|proposal| proposal.is_valid());
    html! {
        @if let Some(Proposal { settings, .. }) = proposal {
            div.ch-notice role="note" {
                p {
                    (view.text("A new base URL is proposed, and not confirmed yet:")) " " span.ch-mono dir="ltr" { (settings.base_url) } ". "
                    (view.text("If you save something else, the proposal is dropped. Confirm it first with a test login."))
                }
            }
        }
    }
}
