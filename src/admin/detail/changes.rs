//! The small changes of one integration, for the pages and for the JSON.

use crate::admin::actions::{Act, Outcome, Submission, TypedSecrets};
use crate::admin::change::ChangeKind;
use crate::admin::fault::Fault;
use crate::admin::visit::Visit;
use crate::provider::check::Verdict;
use crate::settings::{Draft, Field, StoredIntegration};
use zeroize::Zeroizing;

/// A change that sends nothing to the code host.
pub(in crate::admin) enum Change {
    Disable,
    Enable,
    Rename(String),
    Delete,
}

impl Visit {
    /// Makes a change, if `version` is the one that is stored. Returns what is stored afterwards.
    pub(in crate::admin) async fn change(
        &mut self,
        id: Option<&str>,
        version: i64,
        change: Change,
    ) -> Result<Option<StoredIntegration>, Fault> {
        let stored = match (self.stored_as(id, version).await, &change) {
            (Err(Fault::Unreadable(one)), Change::Delete) if one.version == version => {
                self.count_attempt()?;
                self.ask_again().await?;
                self.editor(&self.hook(ChangeKind::Deleted)).delete_unreadable(&one).await?;
                return Ok(None);
            }
            (stored, _) => stored?,
        };
        self.count_attempt()?;
        self.ask_again().await?;
        let kind = match &change {
            Change::Disable => ChangeKind::Disabled,
            Change::Enable => ChangeKind::Enabled,
            Change::Rename(_) => ChangeKind::Edited,
            Change::Delete => ChangeKind::Deleted,
        };
        let hook = self.hook(kind);
        let editor = self.editor(&hook);
        let changed = match change {
            Change::Disable => editor.disable(&stored).await?,
            Change::Enable => editor.enable(&stored).await?,
            Change::Rename(name) => editor.rename(&stored, &name).await?,
            Change::Delete => {
                editor.delete(&stored).await?;
                return Ok(None);
            }
        };
        Ok(Some(changed))
    }

    /// Checks a new client secret, and stores it in place of the old one. An empty one stands for the one that was typed before and
    /// could not be checked.
    pub(in crate::admin) async fn replace_secret(
        &mut self,
        stored: &StoredIntegration,
        version: i64,
        client_secret: Zeroizing<String>,
        act: Act,
    ) -> Result<Outcome, Fault> {
        let is_empty = client_secret.trim().is_empty();
        let kept = self.kept_secrets(&self.administrator.user_id, &stored.id, &[&stored.settings.base_url]).await?;
        let submission = Submission {
            id: stored.id.clone(),
            draft: Draft::of(&stored.settings),
            typed: TypedSecrets { client_secret, ..TypedSecrets::default() },
            // Without a new secret, there is nothing to save.
            act: if is_empty && kept.is_none() { Act::Guide } else { act },
            version,
        };
        let mut outcome = self.submit(submission, Some(stored)).await?;
        if is_empty && kept.is_none() {
            outcome.errors.push_missing_secret(outcome.reading.guide.as_ref(), false);
        }
        outcome.errors.extend(outcome.not_kept.clone());
        // A secret that is wrong must not appear in the form of the other settings.
        let could_not_tell = outcome.report.as_ref().is_some_and(|report| report.verdict() == Verdict::CouldNotTell);
        let is_fine = outcome.errors.of(Field::ClientSecret).is_none();
        outcome.kept.client_secret = could_not_tell && is_fine && outcome.saved.is_none();
        if !outcome.kept.client_secret {
            self.forget_secrets(&stored.id).await?;
        }
        Ok(outcome)
    }

    fn count_attempt(&self) -> Result<(), Fault> {
        Ok(self.admin.0.attempts.count(self.owner.as_deref(), &self.administrator.user_id)?)
    }

    /// The stored integration, if it has this version.
    pub(in crate::admin) async fn stored_as(&self, id: Option<&str>, version: i64) -> Result<StoredIntegration, Fault> {
        let stored = self.stored(id).await?;
        if stored.version == version { Ok(stored) } else { Err(Fault::Stale(Some(Box::new(stored)))) }
    }
}
