//! What is known about an integration: for the list, its page and the JSON.

use url::Url;

use super::fault::Fault;
use super::visit::Visit;
use crate::integration::{Integration, LoginLink};
use crate::provider::platform::Platform;
use crate::provider::setup::SetupGuide;
use crate::settings::{Draft, Health, IntegrationsError, StoredIntegration, UnreadableIntegration, UnreadableSettings};

/// A stored integration, and what follows from it.
pub(super) struct Overview {
    pub(super) stored: StoredIntegration,
    /// Built, or why it cannot be used.
    pub(super) built: Result<Integration, Problem>,
    pub(super) health: Health,
    /// The number of users' accounts, if the app knows it.
    pub(super) accounts: Option<u64>,
}

/// Why an integration cannot be used.
#[derive(serde::Serialize)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Visit {
    /// All integrations of this owner. One that cannot be used or read is among them.
    pub(super) async fn overviews(&self) -> Result<Vec<Result<Overview, UnreadableIntegration>>, Fault> {
        let all = self.integrations().list(self.owner.as_deref()).await?;
        let ids: Vec<_> = all.iter().flatten().map(|stored| stored.id.clone()).collect();
        let mut health = self.integrations().health(&ids).await?.into_iter();
        let mut found = Vec::with_capacity(all.len());
        for one in all {
            found.push(match one {
                Ok(stored) => Ok(self.overview_with(stored, health.next().unwrap_or_default()).await?),
                Err(unreadable) => Err(unreadable),
            });
        }
        Ok(found)
    }

    pub(super) async fn overview(&self, stored: StoredIntegration) -> Result<Overview, Fault> {
        let mut health = self.integrations().health(std::slice::from_ref(&stored.id)).await?.into_iter();
        self.overview_with(stored, health.next().unwrap_or_default()).await
    }

    async fn overview_with(&self, stored: StoredIntegration, health: Health) -> Result<Overview, Fault> {
        let built = self.integrations().build_stored(&stored).map_err(Problem::from);
        let accounts = self.admin.0.access.accounts(&stored.id).await.map_err(Fault::App)?;
        Ok(Overview { stored, built, health, accounts })
    }

    /// The setup guide of a stored integration: the platform's labels, the scopes, the callback URL.
    pub(super) fn guide(&self, stored: &StoredIntegration) -> Option<SetupGuide> {
        Draft::of(&stored.settings).read(self.integrations().config(), Some(&stored.id)).guide
    }

    /// The platform, if the app still has it.
    pub(super) fn platform(&self, id: &str) -> Option<Platform> {
        self.integrations().config().platform(id).ok()
    }
}

impl Overview {
    /// The link to share with users.
    pub(super) fn login_link(&self) -> Option<LoginLink> {
        self.built.as_ref().ok().map(Integration::login_link)
    }
}

impl From<IntegrationsError> for Problem {
    fn from(error: IntegrationsError) -> Self {
        match error {
            IntegrationsError::Fields(errors) => {
                let hint = "Edit the integration and correct its settings.";
                Self { code: "settings", message: errors.to_string(), hint: hint.to_owned() }
            }
            error => {
                let (code, message, hint) = Fault::from(error).texts();
                Self { code, message, hint }
            }
        }
    }
}

impl From<&UnreadableIntegration> for Problem {
    fn from(unreadable: &UnreadableIntegration) -> Self {
        let message = match unreadable.why {
            UnreadableSettings::Version { .. } => "A newer version of this app has stored it.",
            UnreadableSettings::Malformed => "What is stored about it is damaged.",
        };
        let hint = "Ask the operator of this app to update the app or to repair it, or delete the integration.";
        Self { code: "unreadable", message: message.to_owned(), hint: hint.to_owned() }
    }
}

/// The host name with its port; the whole text if it is no URL.
pub(super) fn authority(base_url: &str) -> String {
    Url::parse(base_url).map_or_else(|_| base_url.to_owned(), |url| url.authority().to_owned())
}
