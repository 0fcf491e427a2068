//! What every request shares, and who may do what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codehost_oauth::router::HostError;
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{BaseUrl, EmailTrust, Host, Integration, IntegrationId, OAuthProvider, Platform};
use subtle::ConstantTimeEq as _;
use tower_sessions::Session;

use crate::demo::Demo;
use crate::store::{FIRST, IntegrationRow, Organization, Person, Result, Store, parse_access};
use crate::support::Failure;

pub(crate) struct App {
    pub(crate) public_url: Host,
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) demo: Option<Demo>,
    http: HttpClient,
    /// Built once for each row; a change of the row takes it out.
    built: Mutex<HashMap<IntegrationId, Arc<Integration>>>,
    /// Until somebody has used it.
    setup_token: Mutex<Option<String>>,
    shown_token: String,
}

/// Why somebody may change an organization's integrations. A right comes from the one-time token or from somebody who has
/// it, never from being the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// They have logged in, and are one: they had entered the token, or another administrator has made them one.
    Administrator,
    /// They are an administrator of the first organization, and this one has none who could log in.
    Caretaker,
    /// This browser has entered the one-time token.
    Operator,
}

/// Keys of the session.
pub(crate) const USER: &str = "user";
pub(crate) const OPERATOR: &str = "operator";

impl App {
    pub(crate) fn new(
        public_url: Host,
        network: Network,
        store: Store,
        demo: Option<Demo>,
    ) -> std::result::Result<Self, Failure> {
        let token = IntegrationId::random()?.to_string();
        Ok(Self {
            public_url,
            http: HttpClient::builder(network.clone()).build()?,
            network,
            store,
            demo,
            built: Mutex::default(),
            setup_token: Mutex::new(Some(token.clone())),
            shown_token: token,
        })
    }

    /// What is printed at the start.
    pub(crate) fn setup_token(&self) -> &str {
        &self.shown_token
    }

    /// Whether this is the one-time token. It is gone afterwards.
    pub(crate) fn take_setup_token(&self, given: &str) -> bool {
        let mut token = self.setup_token.lock().unwrap_or_else(PoisonError::into_inner);
        let right = token.as_ref().is_some_and(|token| token.as_bytes().ct_eq(given.trim().as_bytes()).into());
        if right {
            *token = None;
        }
        right
    }

    /// The provider of a form or a row.
    pub(crate) fn provider(
        &self,
        platform: &str,
        base_url: &str,
    ) -> std::result::Result<Arc<dyn OAuthProvider>, codehost_oauth::error::Error> {
        let platform = Platform::find(platform)?;
        Ok(platform.at(BaseUrl::parse(base_url.trim(), &self.network)?)?)
    }

    /// The integration of a row, with this secret.
    pub(crate) fn build(
        &self,
        row: &IntegrationRow,
        secret: &str,
    ) -> std::result::Result<Integration, codehost_oauth::error::Error> {
        let mut http = self.http.clone();
        if let Some(pem) = &row.ca_pem {
            http = http.with_root_certificates(pem)?;
        }
        http = match row.timeout.map(u64::try_from) {
            None => http,
            Some(seconds) => http.with_timeout(Some(Duration::from_secs(seconds.unwrap_or(1)))),
        };
        let trust = if row.trust_emails { EmailTrust::WithoutVerification } else { EmailTrust::Vendor };
        let access = parse_access(&row.access).ok_or(codehost_oauth::error::ConfigError::NoScopes)?;
        let integration = Integration::builder(self.provider(&row.platform, &row.base_url)?)
            .id(row.id.clone())
            .name(&row.name)
            .host(self.public_url.clone())
            .client(&row.client_id, secret)
            .access(access)
            .transport(http)
            .email_trust(trust);
        Ok(integration.build()?)
    }

    /// The integration with this id, from the table.
    pub(crate) async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<Integration>>> {
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

    /// To be called after every change of a row.
    pub(crate) fn forget(&self, id: &IntegrationId) {
        self.built().remove(id);
    }

    /// Who is logged in.
    pub(crate) async fn person(&self, session: &Session) -> Result<Option<Person>> {
        match session.get::<String>(USER).await? {
            Some(id) => self.store.person(&id).await,
            None => Ok(None),
        }
    }

    /// Why this browser may change the organization's integrations, if it may.
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
        Ok(orphaned.then_some(Right::Caretaker))
    }

    /// Whether this browser has entered the one-time token.
    pub(crate) async fn has_token(&self, session: &Session) -> Result<bool> {
        Ok(session.get::<bool>(OPERATOR).await? == Some(true))
    }

    /// Whether this browser may see causes that tell about the network behind the host.
    pub(crate) async fn is_operator(&self, session: &Session) -> Result<bool> {
        let first = self.store.organization(FIRST).await?;
        Ok(match first {
            Some(first) => self.right(&first, session).await?.is_some(),
            None => false,
        })
    }

    /// The origins of an organization's code hosts, which a button may lead to.
    pub(crate) async fn code_hosts(&self, organization: &str) -> Result<Vec<String>> {
        let rows = self.store.integrations(organization).await?;
        Ok(rows.iter().filter_map(|row| origin(&row.base_url)).collect())
    }

    fn built(&self) -> std::sync::MutexGuard<'_, HashMap<IntegrationId, Arc<Integration>>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scheme, host and port of a base URL.
pub(crate) fn origin(base_url: &str) -> Option<String> {
    url::Url::parse(base_url).ok().map(|url| url.origin().ascii_serialization())
}

/// A plain error.
pub(crate) fn error(text: &str) -> HostError {
    text.into()
}
