//! What the form does, for the pages and for the JSON.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::access::Caller;
use super::change::ChangeKind;
use super::fault::Fault;
use super::hook::Hook;
use super::visit::{View, Visit};
use crate::provider::check::{CheckReport, Verdict};
use crate::router::FailureCause;
use crate::settings::{
    Draft, DraftReading, Field, FieldError, FieldErrors, IntegrationEditor, IntegrationSecrets, IntegrationSettings,
    IntegrationsError, MoveKind, StoredIntegration,
};
use crate::values::email::EmailTrust;
use crate::values::integration_id::IntegrationId;

/// What was sent.
pub(super) struct Submission {
    pub(super) id: IntegrationId,
    pub(super) draft: Draft,
    pub(super) typed: TypedSecrets,
    pub(super) act: Act,
    /// The version that the form was filled from.
    pub(super) version: i64,
}

/// Secrets as they were typed. An empty client secret stands for the one that is kept or stored.
#[derive(Default)]
pub(super) struct TypedSecrets {
    pub(super) client_secret: Zeroizing<String>,
    /// `None` keeps what is stored; empty removes it.
    pub(super) client_certificate: Option<Zeroizing<String>>,
    pub(super) headers: Option<Zeroizing<String>>,
}

impl TypedSecrets {
    /// What to say at each field that was filled in, if they are too long together.
    fn not_kept(&self, reading: &DraftReading) -> FieldErrors {
        let labels = reading.guide.as_ref().and_then(|guide| guide.credentials.first());
        let length = |text: &Option<Zeroizing<String>>| text.as_ref().map_or(0, |text| text.len());
        let fields = [
            (length(&self.headers), Field::Headers, None),
            (length(&self.client_certificate), Field::ClientCertificate, None),
            (self.client_secret.len(), Field::ClientSecret, labels.map(|labels| labels.secret.as_str())),
        ];
        let longest = fields.iter().map(|(length, _, _)| *length).max().unwrap_or(0);
        let mut errors = FieldErrors::default();
        for (length, field, label) in fields.into_iter().filter(|(length, _, _)| *length > 0) {
            let message = if length == longest { TOO_LONG } else { OTHER_TOO_LONG };
            errors.push(FieldError::say(field, label, "not_kept", message, ENTER_AGAIN));
        }
        errors
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Only show what follows from the form so far.
    Guide,
    Check,
    /// Check, and save if nothing is wrong.
    Save,
    /// Save without a check, which could not tell.
    SaveAnyway,
    /// Save what leads to another server or OAuth application.
    Move,
    /// Keep it beside what is stored, until a test login has proved that the server is the same.
    Propose,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) reading: DraftReading,
    /// All that is wrong, also with the secrets. Empty if nothing is.
    pub(super) errors: FieldErrors,
    /// Which secrets are stored or kept, so that their fields can stay empty.
    pub(super) kept: Kept,
    /// If the secrets that were typed cannot be kept until the next page: what to do.
    pub(super) not_kept: FieldErrors,
    pub(super) report: Option<CheckReport>,
    /// If the change is a move, which first needs a decision.
    pub(super) is_move: Option<MoveKind>,
    /// What is stored now, if another administrator was faster: nothing if it was deleted.
    pub(super) stale: Option<Option<Box<StoredIntegration>>>,
    pub(super) saved: Option<StoredIntegration>,
}

/// Which secrets there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) client_secret: bool,
    pub(super) client_certificate: bool,
    pub(super) headers: bool,
}

impl Kept {
    fn of(secrets: Option<&IntegrationSecrets>) -> Self {
        let Some(secrets) = secrets else { return Self::default() };
        let [client_secret, client_certificate, headers] = secrets.parts();
        Self { client_secret, client_certificate, headers }
    }
}

/// The secrets to use.
#[derive(Default)]
pub(super) struct UsableSecrets {
    secrets: Option<IntegrationSecrets>,
    pub(super) kept: Kept,
    pub(super) not_kept: FieldErrors,
    /// Whether there are stored ones for another base URL.
    is_other_url: bool,
}

impl Visit {
    /// Does what was sent. `stored` is the integration that is edited.
    pub(super) async fn submit(
        &mut self,
        mut submission: Submission,
        stored: Option<&StoredIntegration>,
    ) -> Result<Outcome, Fault> {
        if !self.administrator.is_operator {
            // Only the operator may set them: where tokens go, and whether a tenant's server vouches for e-mail addresses.
            let stored = stored.map(|stored| Draft::of(&stored.settings)).unwrap_or_default();
            submission.draft.api_url = stored.api_url;
            submission.draft.email_trust = stored.email_trust;
        }
        let Submission { id, draft, typed, act, version } = submission;
        // Settings that the form would write in another way stay as they are if nothing was typed.
        let typed_settings = Draft { owner: String::new(), ..draft.clone() };
        let unchanged = stored.filter(|stored| typed_settings == Draft::of(&stored.settings));
        let reading = draft.read(self.integrations().config(), Some(&id));
        let UsableSecrets { secrets, kept, not_kept, is_other_url } =
            self.view.secrets(&self.administrator.user_id, &id, &reading, typed, stored).await?;
        let mut outcome = Outcome {
            errors: reading.settings.as_ref().err().cloned().unwrap_or_default(),
            kept,
            not_kept,
            reading,
            report: None,
            is_move: None,
            stale: None,
            saved: None,
        };
        if act == Act::Guide {
            return Ok(outcome);
        }
        if stored.is_some_and(|stored| stored.version != version) {
            outcome.stale = Some(stored.cloned().map(Box::new));
            return Ok(outcome);
        }
        let Some(secrets) = secrets.filter(|secrets| Kept::of(Some(secrets)).client_secret) else {
            outcome.errors.push_missing_secret(outcome.reading.guide.as_ref(), is_other_url);
            return Ok(outcome);
        };
        let Ok(settings) = outcome.reading.settings.clone() else { return Ok(outcome) };
        let settings = match unchanged {
            Some(stored) => stored.settings.clone(),
            None => complete(settings, &draft, stored, self.administrator.is_operator),
        };
        let integration = match self.integrations().build(&id, &settings, &secrets) {
            Ok(integration) => integration,
            Err(errors) => {
                outcome.errors = errors;
                return Ok(outcome);
            }
        };
        let _attempt = self.admin.0.attempts.begin(self.owner.as_deref(), &self.administrator.user_id)?;
        outcome.is_move = stored.and_then(|stored| MoveKind::of(&stored.settings, &settings));
        if matches!(act, Act::Check | Act::Save) {
            let report = integration.check().await;
            let is_fine = report.verdict() == Verdict::AllRight;
            outcome.report = Some(if self.administrator.is_operator { report } else { report.public() });
            // The check takes seconds.
            self.ask_again().await?;
            if act == Act::Check || !is_fine {
                return Ok(outcome);
            }
        } else {
            self.ask_again().await?;
        }
        let saved = self.write(&id, settings, &secrets, act, outcome.is_move, stored).await;
        match saved {
            Ok(saved) => {
                outcome.saved = saved;
                if outcome.saved.is_some() {
                    self.forget_secrets(&id).await?;
                }
            }
            Err(IntegrationsError::Stale { stored }) => outcome.stale = Some(Some(stored)),
            Err(IntegrationsError::Deleted) => outcome.stale = Some(None),
            Err(error) => return Err(error.into()),
        }
        Ok(outcome)
    }

    /// Returns `None` if the change is a move, and that was not asked for.
    async fn write(
        &self,
        id: &IntegrationId,
        settings: IntegrationSettings,
        secrets: &IntegrationSecrets,
        act: Act,
        is_move: Option<MoveKind>,
        stored: Option<&StoredIntegration>,
    ) -> Result<Option<StoredIntegration>, IntegrationsError> {
        let kind = match (stored, is_move, act) {
            (None, _, _) => ChangeKind::Created { others: 0 },
            (_, Some(kind), Act::Move) => ChangeKind::Moved(kind),
            (_, Some(_), Act::Propose) | (_, None, _) => ChangeKind::Edited,
            (_, Some(_), _) => return Ok(None),
        };
        let hook = self.hook(kind);
        let editor = self.editor(&hook);
        let saved = match (stored, kind) {
            (None, _) => editor.create(id, self.owner.as_deref(), settings, secrets).await?,
            (Some(old), ChangeKind::Moved(_)) => editor.move_to(old, settings, secrets).await?,
            (Some(old), _) if is_move.is_some() => editor.propose(old, settings, secrets).await?,
            (Some(old), _) => editor.save(old, settings, Some(secrets)).await?,
        };
        Ok(Some(saved))
    }

    /// Whether the administrator still may: a slow request may have taken longer than the right.
    pub(super) async fn ask_again(&mut self) -> Result<(), Fault> {
        let View { admin, head, owner, .. } = &mut self.view;
        let who = admin.0.access.who(head, owner.as_deref()).await.map_err(Fault::App)?;
        match who {
            // An operator's change must not be written by somebody who is none any more.
            Caller::Administrator(now)
                if now.user_id == self.administrator.user_id
                    && (now.is_operator || !self.administrator.is_operator) =>
            {
                Ok(())
            }
            Caller::LoggedOut => Err(Fault::LoggedOut),
            _ => Err(Fault::NoAccess),
        }
    }

    /// Writes in the administrator's name.
    pub(super) fn editor<'a>(&'a self, hook: &'a Hook) -> IntegrationEditor<'a> {
        let editor = self.integrations().by(&self.administrator.name).with_hook(hook);
        if self.administrator.is_operator { editor.operator() } else { editor }
    }

    /// What runs in the transaction of a write.
    pub(super) fn hook(&self, kind: ChangeKind) -> Hook {
        Hook::new(&self.admin.0.access, &self.administrator, self.owner.as_deref(), kind)
    }
}

impl View {
    /// The secrets to use: typed, kept in this browser, or stored; each for its own base URL only. Typed ones are kept until the
    /// form is saved: without a valid base URL for the next one that is typed, since they were not sent anywhere. `user_id` is the
    /// administrator's: nobody else can use what they have typed.
    pub(super) async fn secrets(
        &mut self,
        user_id: &str,
        id: &IntegrationId,
        reading: &DraftReading,
        typed: TypedSecrets,
        stored: Option<&StoredIntegration>,
    ) -> Result<UsableSecrets, Fault> {
        let base_url = reading.guide.as_ref().map(|guide| guide.base_url.as_str().to_owned()).unwrap_or_default();
        let is_other_url = !base_url.is_empty() && stored.is_some_and(|stored| stored.settings.base_url != base_url);
        let kept = self.kept_secrets(user_id, id, &[base_url.as_str(), ""]).await?;
        let is_kept = kept.is_some();
        let of_stored = || {
            let same = stored.filter(|stored| stored.settings.base_url == base_url)?;
            self.integrations().secrets(same).ok()
        };
        let before = kept.or_else(of_stored);
        let is_secret_typed = !typed.client_secret.trim().is_empty();
        let is_typed = is_secret_typed || typed.client_certificate.is_some() || typed.headers.is_some();
        if before.is_none() && !is_typed {
            return Ok(UsableSecrets { is_other_url, ..UsableSecrets::default() });
        }
        let kept_before = Kept::of(before.as_ref());
        let mut secrets = before.unwrap_or(IntegrationSecrets::new(""));
        if is_secret_typed {
            secrets = secrets.with_client_secret(&typed.client_secret);
        }
        if let Some(pem) = &typed.client_certificate {
            secrets = secrets.client_certificate(pem);
        }
        if let Some(lines) = &typed.headers {
            secrets = secrets.headers(lines);
        }
        let (mut kept, mut not_kept) = (Kept::of(Some(&secrets)), FieldErrors::default());
        if is_typed || is_kept {
            match self.keep_secrets(user_id, id, &base_url, &secrets).await {
                // A client certificate does not fit into a cookie. It can be saved anyway, or typed again.
                Err(Fault::Login(failure)) if matches!(failure.cause, FailureCause::TooLongToKeep) => {
                    kept = kept_before;
                    not_kept = typed.not_kept(reading);
                }
                kept => kept?,
            }
        }
        Ok(UsableSecrets { secrets: Some(secrets), kept, not_kept, is_other_url })
    }

    /// Those that this administrator has typed for one of these base URLs. Of another one, or sealed with a key that is gone: they
    /// are typed again.
    pub(super) async fn kept_secrets(
        &self,
        user_id: &str,
        id: &IntegrationId,
        base_urls: &[&str],
    ) -> Result<Option<IntegrationSecrets>, Fault> {
        let Some(text) = self.admin.0.logins.kept(&self.head, &kept_name(id)).await? else { return Ok(None) };
        let sealed = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap_or_default();
        Ok(base_urls.iter().find_map(|base_url| self.integrations().open_typed(user_id, id, base_url, &sealed).ok()))
    }

    async fn keep_secrets(
        &mut self,
        user_id: &str,
        id: &IntegrationId,
        base_url: &str,
        secrets: &IntegrationSecrets,
    ) -> Result<(), Fault> {
        let sealed = self.integrations().seal_typed(user_id, id, base_url, secrets).map_err(IntegrationsError::from)?;
        let text = URL_SAFE_NO_PAD.encode(sealed);
        let cookies = self.admin.0.logins.keep(&self.head, &kept_name(id), &text).await?;
        self.cookies.extend(cookies);
        Ok(())
    }

    pub(super) async fn forget_secrets(&mut self, id: &IntegrationId) -> Result<(), Fault> {
        let cookies = self.admin.0.logins.forget_kept(&self.head, &kept_name(id)).await?;
        self.cookies.extend(cookies);
        Ok(())
    }
}

const TOO_LONG: &str = "It is too long to be kept in this browser until the next page.";
const OTHER_TOO_LONG: &str = "It was not kept in this browser, because another secret is too long.";
const ENTER_AGAIN: &str = "Enter it again each time before you press a button. If a page in between asks for a decision, ask the \
                           operator of this app to keep logins in sessions instead of cookies.";

/// The name under which secrets that are not saved yet are kept.
fn kept_name(id: &IntegrationId) -> String {
    format!("integration:{id}")
}

/// What is not in the form: the base URLs at which the server was before, and different roles in several groups. And an operator
/// has set API URL and trust for one server only, so a tenant's move to another one ends them.
fn complete(
    mut settings: IntegrationSettings,
    draft: &Draft,
    stored: Option<&StoredIntegration>,
    is_operator: bool,
) -> IntegrationSettings {
    if let Some(stored) = stored {
        settings.former_base_urls.clone_from(&stored.settings.former_base_urls);
        draft.keep_roles(&stored.settings, &mut settings);
        if !is_operator && stored.settings.base_url != settings.base_url {
            settings.api_url = None;
            settings.email_trust = EmailTrust::default();
        }
    }
    settings
}
