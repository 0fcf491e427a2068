//! The state that all requests share, and who may do what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use codehost_oauth::error::AppError;
use codehost_oauth::{EmailTrust, FindIntegration, Integration, IntegrationConfig, IntegrationId, PublicUrl};
use subtle::ConstantTimeEq as _;
use tower_sessions::Session;

use crate::code_hosts::CodeHosts;
use crate::demo::Demo;
use crate::store::{FIRST, IntegrationRow, Organization, Person, Result, Store};
use crate::support::Failure;

pub(crate) struct App {
    pub(crate) public_url: PublicUrl,
    pub(crate) store: Store,
    pub(crate) demo: Option<Demo>,
    pub(crate) code_hosts: CodeHosts,
    /// Integrations that are built already; a change of the row removes it.
    built: Mutex<HashMap<IntegrationId, Arc<Integration>>>,
    /// `None` once it has been used.
    setup_token: Mutex<Option<String>>,
    shown_token: String,
}

/// Why a browser may manage an organization. The right comes from the one-time token or from somebody who has it, never
/// from being the first to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// An administrator of the organization is logged in.
    Administrator,
    /// An administrator of the first organization is logged in, and this one has no administrator who can log in.
    MainAdministrator,
    /// The one-time token was entered in this browser.
    Operator,
}

/// Keys in the session.
pub(crate) const USER: &str = "user";
pub(crate) const OPERATOR: &str = "operator";

impl App {
    pub(crate) fn new(
        public_url: PublicUrl,
        store: Store,
        demo: Option<Demo>,
        code_hosts: CodeHosts,
    ) -> std::result::Result<Self, Failure> {
        let token = IntegrationId::random()?.to_string();
        Ok(Self {
            public_url,
            store,
            demo,
            code_hosts,
            built: Mutex::default(),
            setup_token: Mutex::new(Some(token.clone())),
            shown_token: token,
        })
    }

    /// The token that is printed at the start.
    pub(crate) fn setup_token(&self) -> &str {
        &self.shown_token
    }

    /// Accepts the one-time token once. The error is what to tell the user.
    pub(crate) fn take_setup_token(&self, given: &str) -> std::result::Result<(), &'static str> {
        let mut token = self.setup_token.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(expected) = token.as_ref() else {
            return Err("The token has already been used. Restart the app to get a new one.");
        };
        if !bool::from(expected.as_bytes().ct_eq(given.trim().as_bytes())) {
            return Err("The token is wrong. Copy it again from what the app printed when it was last started.");
        }
        *token = None;
        Ok(())
    }

    /// Builds the integration of a row, with this secret.
    pub(crate) fn build(
        &self,
        row: &IntegrationRow,
        secret: &str,
    ) -> std::result::Result<Integration, codehost_oauth::error::Error> {
        let provider = self.code_hosts.provider(&row.platform, &row.base_url)?;
        let mut http = self.code_hosts.http(provider.base_url())?;
        if let Some(pem) = &row.ca_pem {
            http = http.with_root_certificates(pem)?;
        }
        http = match row.timeout.map(u64::try_from) {
            None => http,
            Some(seconds) => http.with_timeout(Some(Duration::from_secs(seconds.unwrap_or(1)))),
        };
        let trust = if row.trust_emails { EmailTrust::WithoutVerification } else { EmailTrust::Platform };
        let access = row.access.parse()?;
        let integration = Integration::builder(
            provider,
            http,
            IntegrationConfig {
                id: row.id.clone(),
                name: row.name.clone(),
                public_url: self.public_url.clone(),
                client_id: row.client_id.clone(),
                client_secret: secret.to_owned(),
                access,
            },
        )
        .email_trust(trust);
        Ok(integration.build()?)
    }

    /// Why the integration of a row cannot be used, for its administrator.
    pub(crate) fn why_unusable(&self, row: &IntegrationRow) -> String {
        let Ok(secret) = self.store.open_secret(row) else {
            return "The app no longer has the key that encrypted its secret. Edit it and enter the secret again."
                .to_owned();
        };
        match self.build(row, &secret) {
            Err(error) => format!("Its settings are refused: {error}. {}", error.advice().hint),
            Ok(_) => "Reload this page.".to_owned(),
        }
    }

    /// Call this after every change of a row.
    pub(crate) fn forget(&self, id: &IntegrationId) {
        self.built().remove(id);
    }

    /// The user who is logged in.
    pub(crate) async fn person(&self, session: &Session) -> Result<Option<Person>> {
        match session.get::<String>(USER).await? {
            Some(id) => self.store.person(&id).await,
            None => Ok(None),
        }
    }

    /// Why this browser may manage the organization, if it may.
    pub(crate) async fn right(&self, organization: &Organization, session: &Session) -> Result<Option<Right>> {
        if self.has_token(session).await? {
            return Ok(Some(Right::Operator));
        }
        let Some(person) = self.person(session).await?.filter(|person| person.admin) else {
            return Ok(None);
        };
        if person.organization == organization.slug {
            return Ok(Some(Right::Administrator));
        }
        let orphaned = person.organization == FIRST && !self.store.has_administrator(&organization.slug).await?;
        Ok(orphaned.then_some(Right::MainAdministrator))
    }

    /// Whether this browser has entered the one-time token.
    pub(crate) async fn has_token(&self, session: &Session) -> Result<bool> {
        Ok(session.get::<bool>(OPERATOR).await? == Some(true))
    }

    /// Whether this browser may see causes that reveal the network behind the app.
    pub(crate) async fn is_operator(&self, session: &Session) -> Result<bool> {
        let first = self.store.organization(FIRST).await?;
        Ok(match first {
            Some(first) => self.right(&first, session).await?.is_some(),
            None => false,
        })
    }

    /// The origins of an organization's code hosts, for the pages whose buttons lead there.
    pub(crate) async fn code_hosts(&self, organization: &str) -> Result<Vec<String>> {
        let rows = self.store.integrations(organization).await?;
        Ok(rows.iter().filter_map(|row| origin(&row.base_url)).collect())
    }

    fn built(&self) -> std::sync::MutexGuard<'_, HashMap<IntegrationId, Arc<Integration>>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table of integrations, and what was built from its rows.
#[async_trait]
impl FindIntegration for App {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>> {
        if let Some(built) = self.built().get(id) {
            return Ok(Some(Arc::clone(built)));
        }
        let Some(row) = self.store.integration(id).await? else {
            return Ok(None);
        };
        let built = Arc::new(self.build(&row, &self.store.open_secret(&row)?)?);
        self.built().insert(id.clone(), Arc::clone(&built));
        Ok(Some(built))
    }
}

/// Scheme, host and port of a base URL.
pub(crate) fn origin(base_url: &str) -> Option<String> {
    url::Url::parse(base_url).ok().map(|url| url.origin().ascii_serialization())
}

/// An error with this text.
pub(crate) fn error(text: &str) -> AppError {
    text.into()
}
