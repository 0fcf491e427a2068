//! The form of an integration: what was typed, what is wrong with it, and the row to save.

use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::setup::{AppOwner, SetupGuide, SetupRequest};
use codehost_oauth::{BaseUrl, IntegrationId};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::store::{IntegrationRow, Organization, Result};

/// What was typed. Everything but the secret is shown again.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    pub(crate) csrf_token: String,
    /// Which button was pressed: `guide`, `check`, `save` or `save-anyway`.
    pub(crate) act: String,
    pub(crate) platform: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) owner: String,
    pub(crate) access: String,
    pub(crate) ca_pem: String,
    pub(crate) timeout: String,
    pub(crate) trust_emails: Option<String>,
    pub(crate) keep_accounts: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

/// What is wrong with a field.
pub(crate) struct Complaint {
    pub(crate) field: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What follows from the form as it is.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) guide: Option<SetupGuide>,
    pub(crate) id: Option<IntegrationId>,
    base_url: Option<BaseUrl>,
}

/// A secret from a form that is not saved yet: kept in the sealed session, for this integration at this base URL only, so
/// that no page ever shows it.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeptSecret {
    pub(crate) id: String,
    pub(crate) base_url: String,
    pub(crate) secret: String,
}

pub(crate) const KEPT_SECRET: &str = "kept-secret";

impl Typed {
    pub(crate) fn of(row: &IntegrationRow) -> Self {
        Self {
            platform: row.platform.clone(),
            name: row.name.clone(),
            base_url: row.base_url.clone(),
            access: row.access.clone(),
            ca_pem: row.ca_pem.clone().unwrap_or_default(),
            timeout: row.timeout.map(|seconds| seconds.to_string()).unwrap_or_default(),
            trust_emails: row.trust_emails.then(|| "on".to_owned()),
            client_id: row.client_id.clone(),
            ..Self::default()
        }
    }

    /// The guide and the id, as far as platform, URL and name allow. An `existing` row keeps its id.
    pub(crate) async fn draft(
        &self,
        app: &App,
        organization: &Organization,
        existing: Option<&IntegrationRow>,
    ) -> Result<Draft> {
        let mut draft = Draft::default();
        let provider = match app.code_hosts.provider(&self.platform, &self.base_url) {
            Ok(provider) => Some(provider),
            Err(error) => {
                let field =
                    if matches!(error, Error::Config(ConfigError::Platform { .. })) { "platform" } else { "base_url" };
                draft.complain(field, &error);
                None
            }
        };
        match existing {
            Some(row) => draft.id = Some(row.id.clone()),
            None => self.choose_id(app, organization, &mut draft).await?,
        }
        let Ok(access) = self.access.parse() else {
            draft.say("access", "No access level is chosen.", "Choose what the app may do with the tokens.");
            return Ok(draft);
        };
        if let (Some(provider), Some(id)) = (provider, draft.id.clone()) {
            let owner = match self.owner.trim() {
                "" => AppOwner::User,
                owner => AppOwner::Group(owner.to_owned()),
            };
            match SetupRequest::new(app.public_url.clone(), id, &self.name, access) {
                Ok(request) => draft.guide = Some(provider.setup_guide(&request.owner(owner))),
                Err(error) => draft.complain("name", &error.into()),
            }
            draft.base_url = Some(provider.base_url().clone());
        }
        Ok(draft)
    }

    /// The row to save and its secret. `kept`: the secret to use if none was typed.
    pub(crate) fn row(
        &self,
        app: &App,
        organization: &Organization,
        draft: &mut Draft,
        kept: Option<&str>,
    ) -> Result<Option<(IntegrationRow, String)>> {
        let timeout = match self.timeout.trim() {
            "" => None,
            text => match text.parse::<u32>() {
                Ok(seconds) if (1..=MAX_TIMEOUT).contains(&seconds) => Some(i64::from(seconds)),
                _ => {
                    draft.say(
                        "timeout",
                        "The time-out is not a number of seconds from 1 to 60.",
                        "Leave it empty for the default.",
                    );
                    None
                }
            },
        };
        let typed = self.client_secret.trim();
        let secret = if typed.is_empty() { kept.unwrap_or_default() } else { typed }.to_owned();
        let (Some(id), Some(base_url)) = (draft.id.clone(), draft.base_url.clone()) else {
            return Ok(None);
        };
        let ca_pem = Some(self.ca_pem.trim().to_owned()).filter(|pem| !pem.is_empty());
        let row = IntegrationRow {
            organization: organization.slug.clone(),
            platform: self.platform.clone(),
            name: self.name.trim().to_owned(),
            access: self.access.clone(),
            ca_pem,
            timeout,
            trust_emails: self.trust_emails.is_some(),
            client_id: self.client_id.trim().to_owned(),
            secret: app.store.seal_secret(&id, &base_url, &secret)?,
            base_url: base_url.as_str().to_owned(),
            id,
        };
        if let Err(error) = app.build(&row, &secret) {
            let field = match &error {
                Error::Config(ConfigError::ClientId(_)) => "client_id",
                Error::Config(ConfigError::ClientSecret(_)) => "client_secret",
                Error::Config(ConfigError::NoCertificate | ConfigError::InvalidCertificate) => "ca_pem",
                _ => "name",
            };
            draft.complain(field, &error);
        }
        Ok(draft.complaints.is_empty().then_some((row, secret)))
    }

    /// `{organization}-{slug of the name}`. No id may begin with another, because Bitbucket accepts every callback URL that
    /// begins with the registered one. Ids of two organizations never do: the slug of an organization has no hyphen.
    async fn choose_id(&self, app: &App, organization: &Organization, draft: &mut Draft) -> Result<()> {
        if self.name.trim().is_empty() {
            draft.say("name", "The integration has no name yet.", "Enter one. It becomes part of the callback URL.");
            return Ok(());
        }
        let id = IntegrationId::from_name(&self.name).and_then(|slug| format!("{}-{slug}", organization.slug).parse());
        let id: IntegrationId = match id {
            Ok(id) => id,
            Err(error) => {
                draft.complain("name", &error.into());
                return Ok(());
            }
        };
        let used = app.store.used_ids(&organization.slug).await?;
        if used.contains(&id) {
            let message = match app.store.integration(&id).await? {
                Some(_) => "Another integration has a name with the same letters and digits.",
                None => "A deleted integration had a name with the same letters and digits.",
            };
            draft.say("name", message, "Choose another name.");
        } else if let Some(other) = used.iter().find(|used| used.overlaps(&id)) {
            let message =
                format!("One of the callback URLs of this integration and of {other} would begin with the other.");
            draft.say("name", &message, "Choose a name that begins differently.");
        } else {
            draft.id = Some(id);
        }
        Ok(())
    }
}

impl Draft {
    pub(crate) fn complaint(&self, field: &str) -> Option<&Complaint> {
        self.complaints.iter().find(|complaint| complaint.field == field)
    }

    pub(crate) fn complain(&mut self, field: &'static str, error: &Error) {
        let mut message = error.to_string();
        message.push('.');
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.say(field, &message, &error.advice().hint);
    }

    pub(crate) fn say(&mut self, field: &'static str, message: &str, hint: &str) {
        self.complaints.push(Complaint { field, message: message.to_owned(), hint: hint.to_owned() });
    }

    pub(crate) fn base_url(&self) -> Option<&BaseUrl> {
        self.base_url.as_ref()
    }
}

/// The highest value that the HTTP client allows, in seconds.
const MAX_TIMEOUT: u32 = 60;
