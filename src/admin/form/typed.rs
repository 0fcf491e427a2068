//! What was typed into the form.

use maud::{Markup, html};
use zeroize::Zeroizing;

use crate::admin::actions::{Act, TypedSecrets};
use crate::admin::fault::Fault;
use crate::admin::posted::fields;
use crate::router::CsrfToken;
use crate::settings::{AppConfig, Draft, Field, FieldError, FieldErrors};

/// Every field of the form as it was sent.
#[derive(Clone, Default)]
pub(super) struct Typed {
    pub(super) csrf_token: String,
    act: String,
    /// The service whose button was pressed: platform and base URL.
    service: String,
    pub(super) version: i64,
    /// Of a new integration.
    pub(super) id: String,
    pub(super) signature: String,
    /// Its `groups` are what was typed, also if everybody may log in.
    pub(super) draft: Draft,
    pub(super) is_limited: bool,
    client_secret: Zeroizing<String>,
    client_certificate: Zeroizing<String>,
    headers: Zeroizing<String>,
    removes_client_certificate: bool,
    removes_headers: bool,
}

/// Which button was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Back to the form.
    Back,
    /// Show what follows from the form so far.
    Guide,
    Act(Act),
}

impl Typed {
    pub(super) fn parse(form: &[u8]) -> Result<Self, Fault> {
        let field = fields(form);
        // As browsers send the lines of a text area.
        let value = |name| field(name).map(|value| value.replace("\r\n", "\n"));
        let secret = |name| value(name).map(Zeroizing::new);
        let is_ticked = |name| value(name).map(|value| !value.is_empty());
        let draft = Draft {
            platform: value(Field::Platform.as_str())?,
            base_url: value(Field::BaseUrl.as_str())?,
            name: value(Field::Name.as_str())?,
            api_url: value(Field::ApiUrl.as_str())?,
            owner: value("owner")?,
            access: value(Field::Access.as_str())?,
            client_id: value(Field::ClientId.as_str())?,
            root_certificates: value(Field::RootCertificates.as_str())?,
            timeout: value(Field::Timeout.as_str())?,
            email_trust: value(Field::EmailTrust.as_str())?,
            groups: value(Field::Groups.as_str())?,
            least_role: value(Field::LeastRole.as_str())?,
            with_subgroups: is_ticked("with_subgroups")?,
            two_factor: is_ticked("two_factor")?,
            refuse_external: is_ticked("refuse_external")?,
            allow_bots: is_ticked("allow_bots")?,
            email_domains: value(Field::EmailDomains.as_str())?,
        };
        let mut typed = Self {
            csrf_token: value(CsrfToken::FIELD)?,
            act: value("act")?,
            service: value("service")?,
            version: value("version")?.parse().unwrap_or_default(),
            id: value("id")?,
            signature: value("signature")?,
            is_limited: value("who")? == MEMBERS,
            draft,
            client_secret: secret(Field::ClientSecret.as_str())?,
            client_certificate: secret(Field::ClientCertificate.as_str())?,
            headers: secret(Field::Headers.as_str())?,
            removes_client_certificate: is_ticked(REMOVE_CLIENT_CERTIFICATE)?,
            removes_headers: is_ticked(REMOVE_HEADERS)?,
        };
        if let Some((platform, base_url)) = typed.service.split_once(' ') {
            platform.clone_into(&mut typed.draft.platform);
            base_url.clone_into(&mut typed.draft.base_url);
        }
        Ok(typed)
    }

    /// The id that is in the address of a new form.
    pub(super) fn of_query(query: &str) -> Self {
        let given = Self::parse(query.as_bytes()).unwrap_or_default();
        Self { id: given.id, signature: given.signature, ..Self::with_draft(Draft::default(), 0) }
    }

    pub(super) fn with_draft(draft: Draft, version: i64) -> Self {
        let is_limited = !draft.groups.is_empty();
        Self { draft, version, is_limited, ..Self::default() }
    }

    pub(super) fn pressed(&self) -> Pressed {
        let has_credentials = !self.draft.client_id.trim().is_empty();
        match self.act.as_str() {
            _ if !self.service.is_empty() => Pressed::Guide,
            "guide" => Pressed::Guide,
            "back" => Pressed::Back,
            "check" => Pressed::Act(Act::Check),
            "save-anyway" => Pressed::Act(Act::SaveAnyway),
            "move" => Pressed::Act(Act::Move),
            "propose" => Pressed::Act(Act::Propose),
            "save" => Pressed::Act(Act::Save),
            // The enter key: whatever comes next.
            _ if has_credentials => Pressed::Act(Act::Save),
            _ => Pressed::Guide,
        }
    }

    /// If only the guide is wanted, and no base URL was typed: that of the platform's own service. Nothing is sent there.
    pub(super) fn with_service(mut self, app: &AppConfig) -> Self {
        if self.pressed() == Pressed::Guide && self.draft.base_url.trim().is_empty() {
            let platform = app.platform(&self.draft.platform).ok();
            if let Some(service) = platform.and_then(|platform| platform.services().first().copied()) {
                service.base_url.clone_into(&mut self.draft.base_url);
            }
        }
        self
    }

    /// Without the groups if everybody may log in.
    pub(super) fn draft(&self) -> Draft {
        let mut draft = self.draft.clone();
        if !self.is_limited {
            draft.groups.clear();
        }
        draft
    }

    /// Without those of fields that are still empty, and of secrets, which the script does not send.
    pub(super) fn errors_so_far(&self, errors: &FieldErrors) -> FieldErrors {
        let mut so_far = FieldErrors::default();
        errors.iter().filter(|error| self.is_filled(error.field)).for_each(|error| so_far.push(error.clone()));
        so_far
    }

    fn is_filled(&self, field: Field) -> bool {
        let draft = &self.draft;
        let text = match field {
            Field::Platform => &draft.platform,
            Field::BaseUrl => &draft.base_url,
            Field::Name => &draft.name,
            Field::ApiUrl => &draft.api_url,
            Field::Access => &draft.access,
            Field::ClientId => &draft.client_id,
            Field::RootCertificates => &draft.root_certificates,
            Field::Timeout => &draft.timeout,
            Field::EmailTrust => &draft.email_trust,
            Field::Groups => &draft.groups,
            Field::LeastRole => &draft.least_role,
            Field::EmailDomains => &draft.email_domains,
            Field::ClientSecret | Field::ClientCertificate | Field::Headers => return false,
        };
        !text.trim().is_empty()
    }

    /// Only members may log in, and it is not said of what.
    pub(super) fn lacks_groups(&self) -> bool {
        self.is_limited && self.draft.groups.trim().is_empty()
    }

    pub(super) fn secrets(&self) -> TypedSecrets {
        let changed = |typed: &Zeroizing<String>, is_removed| match is_removed {
            true => Some(Zeroizing::default()),
            false => Some(typed.clone()).filter(|typed| !typed.trim().is_empty()),
        };
        TypedSecrets {
            client_secret: self.client_secret.clone(),
            client_certificate: changed(&self.client_certificate, self.removes_client_certificate),
            headers: changed(&self.headers, self.removes_headers),
        }
    }

    /// Whether another client secret is to be stored.
    pub(super) fn has_new_secret(&self) -> bool {
        !self.client_secret.trim().is_empty()
    }

    /// Whether something was typed that no page shows.
    pub(super) fn has_any_secret(&self) -> bool {
        [&self.client_secret, &self.client_certificate, &self.headers].iter().any(|text| !text.trim().is_empty())
    }

    /// All of it but the secrets, for a page between two forms.
    pub(super) fn hidden(&self, csrf_token: &str) -> Markup {
        let Draft { platform, base_url, name, api_url, owner, access, client_id, root_certificates, .. } = &self.draft;
        let Draft { timeout, email_trust, groups, least_role, email_domains, .. } = &self.draft;
        let version = self.version.to_string();
        let texts: [(&str, &str); 18] = [
            ("csrf_token", csrf_token),
            ("version", &version),
            ("id", &self.id),
            ("signature", &self.signature),
            ("who", if self.is_limited { MEMBERS } else { EVERYBODY }),
            ("owner", owner),
            (Field::Platform.as_str(), platform),
            (Field::BaseUrl.as_str(), base_url),
            (Field::Name.as_str(), name),
            (Field::ApiUrl.as_str(), api_url),
            (Field::Access.as_str(), access),
            (Field::ClientId.as_str(), client_id),
            (Field::RootCertificates.as_str(), root_certificates),
            (Field::Timeout.as_str(), timeout),
            (Field::EmailTrust.as_str(), email_trust),
            (Field::Groups.as_str(), groups),
            (Field::LeastRole.as_str(), least_role),
            (Field::EmailDomains.as_str(), email_domains),
        ];
        let ticked = [
            ("with_subgroups", self.draft.with_subgroups),
            ("two_factor", self.draft.two_factor),
            ("refuse_external", self.draft.refuse_external),
            ("allow_bots", self.draft.allow_bots),
        ];
        html! {
            @for (name, value) in texts {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            @for (name, _) in ticked.into_iter().filter(|(_, is_ticked)| *is_ticked) {
                input type="hidden" name=(name) value="on";
            }
        }
    }
}

/// What "Accepted users" can be.
pub(super) const EVERYBODY: &str = "everybody";
pub(super) const MEMBERS: &str = "members";

pub(super) const REMOVE_CLIENT_CERTIFICATE: &str = "remove_client_certificate";
pub(super) const REMOVE_HEADERS: &str = "remove_headers";

pub(super) fn no_groups() -> FieldError {
    let hint = "Enter at least one, or accept all users of the code host.";
    FieldError::say(Field::Groups, None, "groups_missing", "No group or workspace is entered.", hint)
}
