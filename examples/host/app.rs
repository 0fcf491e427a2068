//! The state that all requests share, and who may manage integrations.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use codehost_oauth::admin::{AdminAccess, AdminChange, Administrator, Caller, ChangeKind, MAX_INTEGRATIONS, Refusal};
use codehost_oauth::error::AppError;
use codehost_oauth::keeper::TokenKeeper;
use codehost_oauth::router::RequestHead;
use codehost_oauth::settings::{Integrations, MoveKind, StoreTransaction, StoredIntegration};
use codehost_oauth::{Integration, IntegrationId, LoginLink, User};
use subtle::ConstantTimeEq as _;
use tower_sessions::Session;

use crate::demo::Demo;
use crate::store::{self, FIRST, Person, Profile, Result, Store};

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) integrations: Integrations,
    pub(crate) keeper: TokenKeeper,
    pub(crate) demo: Option<Demo>,
    /// `None` once it has been used.
    setup_token: Mutex<Option<String>>,
}

/// Key in the session: the account with which the user logged in. The session ends with it.
pub(crate) const ACCOUNT: &str = "account";
/// Key in the session: the mark of the browser that sets up the app.
pub(crate) const FOUNDER: &str = "founder";

impl App {
    pub(crate) fn new(
        store: Store,
        integrations: Integrations,
        keeper: TokenKeeper,
        demo: Option<Demo>,
        setup_token: String,
    ) -> Self {
        Self { store, integrations, keeper, demo, setup_token: Mutex::new(Some(setup_token)) }
    }

    /// Whether it is the one-time token, and was not used yet.
    pub(crate) fn is_setup_token(&self, given: &str) -> bool {
        let token = self.setup_token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().is_some_and(|token| bool::from(token.as_bytes().ct_eq(given.as_bytes())))
    }

    /// The same, and nobody can use it again.
    pub(crate) fn take_setup_token(&self, given: &str) -> bool {
        let is_it = self.is_setup_token(given);
        is_it && self.setup_token.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// The user who is logged in.
    pub(crate) async fn person(&self, request: &RequestHead) -> Result<Option<Person>> {
        let session = session(request)?;
        // As it is stored now: a check takes seconds, and the user may have logged out meanwhile.
        if session.id().is_some() {
            session.load().await?;
        }
        let Some((key, id)) = session.get::<(String, String)>(ACCOUNT).await? else { return Ok(None) };
        // After a move to another server, the same key is somebody else's.
        Ok(self.store.person(&key).await?.filter(|person| person.id == id))
    }

    /// Who is asking, and whether they may manage this organization. The right comes from the one-time token or from somebody who
    /// has it, never from being the first to log in.
    pub(crate) async fn asking(&self, request: &RequestHead, organization: &str) -> Result<Caller> {
        let person = self.person(request).await?;
        let (id, name, is_operator) = match (&person, session(request)?.get::<String>(FOUNDER).await?) {
            (Some(person), _) => (person.id.clone(), &*person.name, person.is_admin && person.organization == FIRST),
            (None, Some(mark)) => (mark, "Setup", true),
            (None, None) => return Ok(Caller::LoggedOut),
        };
        let administrator = Administrator::new(&id, name);
        Ok(match (self.store.may_manage(&id, organization).await?, is_operator) {
            (true, true) => Caller::Administrator(administrator.operator()),
            (true, false) => Caller::Administrator(administrator),
            (false, _) if person.is_some() => Caller::Other,
            (false, _) => Caller::LoggedOut,
        })
    }

    /// The stored integration, if the built one was made of it.
    pub(crate) async fn stored(&self, integration: &Integration) -> Result<Option<StoredIntegration>> {
        let stored = self.integrations.load(integration.id()).await?;
        let is_current = |stored: &StoredIntegration| {
            self.integrations.build_stored(stored).is_ok_and(|now| now.is_bound_like(integration))
        };
        Ok(stored.filter(is_current))
    }

    /// The integrations with which users of an organization can log in, with their links. One that cannot be used is shown to
    /// administrators only.
    pub(crate) async fn usable(&self, organization: &str) -> Result<Vec<(StoredIntegration, LoginLink)>> {
        let all = self.integrations.list(Some(organization)).await?;
        let usable = all.into_iter().flatten().filter(|stored| !stored.is_disabled).filter_map(|stored| {
            let link = self.integrations.build_stored(&stored).ok()?.login_link();
            Some((stored, link))
        });
        Ok(usable.collect())
    }
}

pub(crate) fn session(request: &RequestHead) -> Result<&Session> {
    request.extensions.get::<Session>().ok_or_else(|| "no session layer".into())
}

/// What the integrations page asks the app.
pub(crate) struct Access(pub(crate) Arc<App>);

#[async_trait]
impl AdminAccess for Access {
    async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller> {
        self.0.asking(request, owner.unwrap_or_default()).await
    }

    async fn may_still_manage(
        &self,
        administrator: &Administrator,
        owner: Option<&str>,
        transaction: &mut StoreTransaction<'_>,
    ) -> Result<bool> {
        let StoreTransaction::Sqlite(database) = transaction else { return Err(NOT_SQLITE.into()) };
        store::may_manage(database, &administrator.user_id, owner.unwrap_or_default()).await
    }

    async fn accounts(&self, id: &IntegrationId) -> Result<Option<u64>> {
        Ok(self.0.store.count_accounts(id).await?.and_then(|count| count.try_into().ok()))
    }

    async fn is_known(&self, user: &User) -> Result<bool> {
        let account = self.0.store.account(&user.key.to_string()).await?;
        Ok(account.is_some_and(|account| account.profile.is_same_person(&Profile::of(user))))
    }

    async fn before_change(
        &self,
        change: &AdminChange<'_>,
        transaction: &mut StoreTransaction<'_>,
    ) -> std::result::Result<(), AppError> {
        change.ensure_at_most(MAX_INTEGRATIONS)?;
        let StoreTransaction::Sqlite(database) = transaction else { return Err(NOT_SQLITE.into()) };
        let organization = change.owner.unwrap_or_default();
        let had_administrator = store::has_administrator(database, organization).await?;
        match change.kind {
            ChangeKind::Moved(MoveKind::NewApplication) => store::forget(database, change.id, false).await?,
            // The same user ids are other people there.
            ChangeKind::Moved(MoveKind::NewServer) | ChangeKind::Deleted => {
                store::forget(database, change.id, true).await?;
            }
            _ => {}
        }
        if had_administrator && !store::has_administrator(database, organization).await? {
            return Err(Refusal::new(
                "No administrator of this organization could log in any more. Nothing was changed.",
                "Add the other code host as another integration, and connect your account there on the page of your account. \
                 Then repeat this.",
            )
            .into());
        }
        Ok(())
    }

    fn login_path(&self) -> &str {
        "/login"
    }
}

const NOT_SQLITE: &str = "the integrations are not in the database of this app";
