//! What all requests share, who a request is from, and what they may do.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;

use async_trait::async_trait;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse as _, Redirect, Response};
use codehost_oauth::admin::{
    AdminAccess, AdminChange, AdminPage, AdminPages, Administrator, Caller, ChangeKind, MAX_INTEGRATIONS, Refusal,
};
use codehost_oauth::keeper::TokenKeeper;
use codehost_oauth::router::{CsrfToken, LoginRoutes, RequestHead};
use codehost_oauth::settings::{Integrations, MoveKind, StoreTransaction};
use codehost_oauth::{Integration, IntegrationId, Revocation, User};
use maud::PreEscaped;
use tower_sessions::Session;

use crate::pages;
use crate::store::{self, FIRST, HAS_ADMINISTRATOR, MAY_MANAGE, Person, Result, Store, exists, rows, run};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) integrations: Integrations,
    pub(crate) keeper: TokenKeeper,
}

/// A request, and who it is from.
pub(crate) struct Visit {
    pub(crate) app: App,
    pub(crate) head: RequestHead,
    pub(crate) session: Session,
    pub(crate) person: Option<Person>,
    /// The mark of a browser that sets up the app.
    pub(crate) founder: Option<String>,
    /// Slug and name of the organization of the address, or else of the visitor, if they may manage it.
    pub(crate) organization: Option<(String, String)>,
    /// For forms, with its cookie; not on the pages of the crate, which have their own.
    pub(crate) csrf: Option<CsrfToken>,
}

/// Key in the session: the account with which the user logged in, and the user's id. The session ends with both.
pub(crate) const ACCOUNT: &str = "account";
/// Key in the session: the mark of the browser that sets up the app.
pub(crate) const FOUNDER: &str = "founder";
/// Key in the session: what to tell the user on the next page of their account.
pub(crate) const NOTICE: &str = "notice";

impl Visit {
    pub(crate) async fn of(app: &App, request: &RequestHead) -> Result<Self> {
        let session = request.extensions.get::<Session>().ok_or("no session layer")?.clone();
        // As it is stored now: a check takes seconds, and the user may have logged out meanwhile.
        if session.id().is_some() {
            session.load().await?;
        }
        let person: Option<Person> = match session.get::<(String, String)>(ACCOUNT).await? {
            // After a move to another server, the same key is somebody else's.
            Some((key, id)) => rows(&app.store.0, PERSON, &[&key, &id]).await?.pop(),
            None => None,
        };
        let founder = match session.get::<String>(FOUNDER).await? {
            Some(mark) if person.is_none() && exists(&app.store.0, MAY_MANAGE, &[&mark, FIRST]).await? => Some(mark),
            _ => None,
        };
        let path = request.extensions.get::<OriginalUri>().map_or(&request.uri, |original| &original.0).path();
        let here = path.strip_prefix("/org/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let own = person.as_ref().map_or(FIRST, |person| &*person.organization);
        let who = person.as_ref().map(|person| &*person.id).or(founder.as_deref()).unwrap_or_default();
        let organization = rows(&app.store.0, MANAGED, &[who, here, own]).await?.pop();
        Ok(Self { app: app.clone(), head: request.clone(), session, person, founder, organization, csrf: None })
    }

    /// Who is asking, and whether they may manage this organization. The right comes from the one-time token or from somebody who
    /// has it, never from being the first to log in.
    pub(crate) async fn caller(&self, organization: &str) -> Result<Caller> {
        let mut administrator = match (&self.person, &self.founder) {
            (Some(person), _) => Administrator::new(&person.id, &person.name),
            (None, Some(mark)) => Administrator::new(mark, "Setup"),
            (None, None) => return Ok(Caller::LoggedOut),
        };
        if self.person.as_ref().is_none_or(|person| person.is_admin && person.organization == FIRST) {
            administrator = administrator.operator();
        }
        Ok(match exists(&self.app.store.0, MAY_MANAGE, &[&administrator.user_id, organization]).await? {
            true => Caller::Administrator(administrator),
            false if self.person.is_some() => Caller::Other,
            false => Caller::LoggedOut,
        })
    }

    pub(crate) fn logins(&self) -> Result<&LoginRoutes> {
        self.head.extensions.get().ok_or_else(|| "no login routes".into())
    }

    /// Shows a text on the page of the account, once.
    pub(crate) async fn tell(&self, text: &str) -> Result<Response> {
        self.session.insert(NOTICE, text).await?;
        Ok(Redirect::to("/account").into_response())
    }
}

impl App {
    /// The integrations with which users of an organization can log in. One that cannot be used is shown to administrators only.
    pub(crate) async fn usable(&self, organization: &str) -> Result<Vec<Integration>> {
        let all = self.integrations.list(Some(organization)).await?;
        let enabled = all.iter().flatten().filter(|stored| !stored.is_disabled);
        Ok(enabled.filter_map(|stored| self.integrations.build_stored(stored).ok()).collect())
    }

    /// Revokes and deletes the tokens of accounts that are gone. Returns whether the code hosts have revoked them.
    pub(crate) async fn end_tokens(&self) -> Result<bool> {
        let mut revoked = Vec::new();
        for (key,) in rows::<(String,)>(&self.store.0, store::LEFT_TOKENS, &[]).await? {
            let ended = self.keeper.disconnect(&key.parse()?).await?;
            revoked.push(matches!(ended.revocation, Some(Ok(Revocation::Revoked))));
        }
        Ok(!revoked.is_empty() && !revoked.contains(&false))
    }
}

#[async_trait]
impl AdminAccess for App {
    async fn who(&self, request: &mut RequestHead, owner: Option<&str>) -> Result<Caller> {
        Visit::of(self, request).await?.caller(owner.unwrap_or_default()).await
    }

    async fn may_still_manage(
        &self,
        by: &Administrator,
        of: Option<&str>,
        at: &mut StoreTransaction<'_>,
    ) -> Result<bool> {
        let StoreTransaction::Sqlite(database) = at else { return Err(NOT_SQLITE.into()) };
        exists(&mut **database, MAY_MANAGE, &[&by.user_id, of.unwrap_or_default()]).await
    }

    async fn accounts(&self, id: &IntegrationId) -> Result<Option<u64>> {
        let count = "SELECT count(*) FROM accounts WHERE integration = ?";
        let counts: Vec<(i64,)> = rows(&self.store.0, count, &[id.as_str()]).await?;
        Ok(counts.first().and_then(|(count,)| (*count).try_into().ok()))
    }

    async fn is_known(&self, user: &User) -> Result<bool> {
        // The display name may have changed.
        let known = "SELECT 1 FROM accounts WHERE key = ? AND profile = ?";
        let values = [&*user.key.to_string(), &store::profile(user)];
        Ok(user.username.is_some() && exists(&self.store.0, known, &values).await?)
    }

    async fn before_change(&self, change: &AdminChange<'_>, at: &mut StoreTransaction<'_>) -> Result<()> {
        change.ensure_at_most(MAX_INTEGRATIONS)?;
        let StoreTransaction::Sqlite(database) = at else { return Err(NOT_SQLITE.into()) };
        let organization = change.owner.unwrap_or_default();
        let is_elsewhere = matches!(change.kind, ChangeKind::Moved(MoveKind::NewServer) | ChangeKind::Deleted);
        let ends_tokens = is_elsewhere || change.kind == ChangeKind::Moved(MoveKind::NewApplication);
        // The credentials of another application may be wrong.
        if (ends_tokens || change.kind == ChangeKind::Disabled)
            && exists(&mut **database, HAS_ADMINISTRATOR, &[organization, ""]).await?
            && !exists(&mut **database, HAS_ADMINISTRATOR, &[organization, change.id.as_str()]).await?
        {
            return Err(Refusal::new(NO_ADMINISTRATOR, CONNECT_ANOTHER).into());
        }
        if ends_tokens {
            run(&mut **database, store::FORGET_TOKENS, &[change.id.as_str()]).await?;
        }
        // The same user ids belong to other users there.
        if is_elsewhere {
            run(&mut **database, store::FORGET_ACCOUNTS, &[change.id.as_str()]).await?;
        }
        Ok(())
    }

    async fn changed(&self, _: &AdminChange<'_>, at: &mut StoreTransaction<'_>) -> Result<()> {
        let StoreTransaction::Sqlite(database) = at else { return Err(NOT_SQLITE.into()) };
        // An administrator may be able to log in again.
        run(&mut **database, store::END_SETUP, &[]).await.map(drop)
    }
}

#[async_trait]
impl AdminPages for App {
    async fn layout(&self, request: &mut RequestHead, page: AdminPage) -> Response {
        let visit = Visit::of(self, request).await.ok();
        let (head, body) = (PreEscaped(page.head), PreEscaped(page.body));
        pages::layout(visit.as_ref(), &page.title, &head, &body).into_response()
    }

    fn text(&self, text: &str) -> Option<Cow<'static, str>> {
        (text == "This app may have more rules, such as an invitation.").then_some(INVITED_ONLY.into())
    }
}

/// For the operator. Never a secret: no error of the crate or of the store holds one.
pub(crate) fn log(error: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// A disabled integration may vouch for nobody, so the sessions that began there have no user.
const PERSON: &str = "SELECT people.* FROM usable JOIN people ON people.id = person WHERE key = ? AND person = ?";
const MANAGED: &str = "SELECT slug, name FROM rights JOIN organizations ON slug = rights.organization
     WHERE who = ?1 AND slug IN (?2, ?3) ORDER BY slug = ?2";
const INVITED_ONLY: &str = "A new user other than the first administrator needs an invitation, from the page “Users”.";
const NOT_SQLITE: &str = "the integrations are not in the database of this app";
const NO_ADMINISTRATOR: &str = "No administrator of this organization could log in any more. Nothing was changed.";
const CONNECT_ANOTHER: &str = "Add another integration, connect it on the page of your account, then repeat this.";
