//! What the app does with a keeper, and the checks of each result.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::keeper::{CallError, ConnectionId, LoginReason};
use codehost_oauth::testing::Outcome;
use codehost_oauth::{AccessToken, RefreshToken, TokenSet};

use crate::code_host::{accepts, access_numbers, access_token, refresh_token};
use crate::node::Process;
use crate::world::World;

/// One connection at one node.
#[derive(Clone)]
pub(crate) struct ConnectionAtNode {
    pub(crate) world: Arc<World>,
    pub(crate) process: Process,
    pub(crate) connection: usize,
}

/// The state when a call began.
struct Before {
    host: usize,
    imported: u32,
    deletions: u32,
    is_stored: bool,
}

/// How a call of `ask` ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AskResult {
    Token,
    NeedsLogin,
    Other,
}

impl ConnectionAtNode {
    fn id(&self) -> ConnectionId {
        let tenant = &self.world.settings.tenants[self.tenant()];
        let number = self.connection + 1;
        let text = if tenant.is_gitlab {
            format!("gitlab:{}:{number}", tenant.id)
        } else {
            format!("bitbucket-cloud:{}:00000000-0000-0000-0000-{number:012}", tenant.id)
        };
        text.parse().unwrap()
    }

    pub(crate) fn tenant(&self) -> usize {
        self.connection % self.world.settings.tenants.len()
    }

    fn before(&self) -> Before {
        let host = self.process.integration(self.tenant()).0;
        let state = self.world.lock();
        Before {
            host,
            imported: state.ledger.imported[self.connection],
            deletions: state.ledger.deletions(self.connection),
            is_stored: state.ledger.stored(self.connection).is_some(),
        }
    }

    /// Waits for `work` for at most `bound`. `None`: it took longer, or the node has crashed.
    async fn within<T>(&self, bound: Duration, what: &str, work: impl Future<Output = T>) -> Option<T> {
        let ended = tokio::time::timeout(bound, work).await.ok();
        if !self.process.is_alive() {
            return None;
        }
        if ended.is_none() {
            let node = self.process.id;
            self.world.violate(format!("{what} of connection {} at node {node} does not end", self.connection));
        }
        ended
    }

    pub(crate) async fn ask(self) -> AskResult {
        let before = self.before();
        let id = self.id();
        let bound = self.world.settings.patience + Duration::from_secs(15);
        let Some(outcome) = self.within(bound, "a call of `ask`", self.process.keeper.ask(&id)).await else {
            return AskResult::Other;
        };
        let (node, connection) = (self.process.id, self.connection);
        self.world.log(|| format!("node {node}: asked for connection {connection}: {}", describe(&outcome)));
        match outcome {
            Ok(Outcome::Renewed(token) | Outcome::RenewedElsewhere(token) | Outcome::StillValid(token)) => {
                self.check_token(&before, &token);
                AskResult::Token
            }
            Ok(Outcome::NeedsLogin(reason)) => {
                self.check_reason(&before, &reason);
                AskResult::NeedsLogin
            }
            _ => AskResult::Other,
        }
    }

    /// A token is of this connection, of the binding that the node knows, and not older than the last login.
    fn check_token(&self, before: &Before, token: &AccessToken) {
        let (host, integration) = self.process.integration(self.tenant());
        let binding = token.binding();
        let mut state = self.world.lock();
        let text = token.expose_for(binding.base_url()).unwrap().to_owned();
        let (pair, _) = access_numbers(&text).unwrap();
        let pair = &state.ledger.pairs[pair];
        let connection = self.connection;
        let issuer = &state.hosts.hosts[pair.host];
        let wrong = if pair.connection != connection {
            format!("connection {connection} gets the token of connection {}", pair.connection)
        } else if pair.host != before.host && pair.host != host {
            format!("connection {connection} gets a token of {}", issuer.base_url)
        } else if binding.base_url().as_str() != issuer.base_url || binding.integration() != integration.id() {
            format!("connection {connection} gets a token that is marked as one of another binding")
        } else if pair.login < before.imported && self.world.settings.fresh_for.is_zero() {
            format!("connection {connection} gets a token of login {} after login {}", pair.login, before.imported)
        } else {
            return;
        };
        state.violate(wrong);
    }

    fn check_reason(&self, before: &Before, reason: &LoginReason) {
        let connection = self.connection;
        let mut state = self.world.lock();
        let ledger = &state.ledger;
        let wrong = match reason {
            LoginReason::NotConnected => {
                before.is_stored
                    && ledger.deletions(connection) == before.deletions
                    && !ledger.is_being_disconnected(connection)
            }
            LoginReason::RefreshTokenRejected | LoginReason::ResponseLost => !ledger.was_refused(connection),
            // Nothing in the simulation can cause the other reasons.
            _ => true,
        };
        if wrong {
            state.violate(format!("connection {connection} needs a login for a wrong reason: {reason}"));
        }
    }

    /// A call of the API.
    pub(crate) async fn call(self) {
        let id = self.id();
        let replica = self.world.settings.host.replica;
        let api = async |token: AccessToken| {
            let text = token.expose_for(token.binding().base_url()).unwrap().to_owned();
            let accepted = accepts(&mut self.world.lock(), &text, replica);
            if accepted { Ok(()) } else { Err(CallError::<()>::Unauthorized) }
        };
        let bound = 2 * (self.world.settings.patience + Duration::from_secs(20));
        let ended = self.within(bound, "a call", self.process.keeper.with_token(&id, api)).await;
        let (node, connection) = (self.process.id, self.connection);
        self.world.log(|| {
            let ended = match &ended {
                Some(Ok(())) => "done".to_owned(),
                Some(Err(error)) => format!("{error:?}"),
                None => "timed out".to_owned(),
            };
            format!("node {node}: calls the API for connection {connection}: {ended}")
        });
    }

    /// The user logs in again, and the app imports the tokens.
    pub(crate) async fn log_in(self) -> bool {
        let (host, integration) = self.process.integration(self.tenant());
        let (now, lifetime, node) = (self.world.now(), self.world.settings.lifetime, self.process.id);
        let (pair, before) = {
            let mut state = self.world.lock();
            state.ledger.logs_in_again(self.connection);
            state.ledger.importing[self.connection] += 1;
            let before = state.ledger.stored_login(self.connection);
            (state.ledger.log_in(self.connection, host, node, now, lifetime), before)
        };
        let binding = integration.binding().clone();
        let mut tokens = TokenSet::new(AccessToken::new(access_token(pair, 0), &binding).unwrap());
        tokens.refresh_token = RefreshToken::new(refresh_token(pair), &binding);
        tokens.scopes = Some("read_user".parse().unwrap());
        tokens.expires_in = Some(lifetime);
        tokens.received_at = self.process.now();
        let connection = self.connection;
        self.world.log(|| format!("node {node}: login of connection {connection} gives pair {pair}"));
        let id = self.id();
        let import = self.process.keeper.import(&id, tokens);
        let Some(imported) = self.within(Duration::from_secs(150), "an import", import).await else { return false };
        self.world.log(|| format!("node {node}: import of pair {pair}: {imported:?}"));
        let mut state = self.world.lock();
        let ledger = &mut state.ledger;
        ledger.importing[connection] -= 1;
        if imported.is_ok() {
            // Of two imports at once, either can be the last.
            if ledger.importing[connection] == 0 {
                ledger.imported[connection] = ledger.stored_login(connection);
            }
            // It may have been replaced by another login at once.
            let other = state.ledger.stored_login(connection) != before;
            if !state.ledger.was_stored(pair) && !other {
                state.violate(format!("pair {pair} counts as imported and was never stored"));
            }
        }
        imported.is_ok()
    }

    pub(crate) async fn disconnect(self) {
        let (node, connection) = (self.process.id, self.connection);
        self.world.log(|| format!("node {node}: disconnects connection {connection}"));
        let now = self.world.now();
        self.world.lock().ledger.disconnects(connection, now);
        let id = self.id();
        let ended = self.within(Duration::from_secs(60), "a disconnect", self.process.keeper.disconnect(&id)).await;
        self.world.lock().ledger.has_disconnected(connection);
        let ended = ended.map(|ended| ended.map(|ended| ended.deleted));
        self.world.log(|| format!("node {node}: connection {connection} is disconnected: {ended:?}"));
    }
}

fn describe(outcome: &Result<Outcome, codehost_oauth::keeper::KeeperError>) -> String {
    match outcome {
        Ok(Outcome::Renewed(_)) => "renewed".to_owned(),
        Ok(Outcome::RenewedElsewhere(_)) => "renewed elsewhere".to_owned(),
        Ok(Outcome::StillValid(_)) => "still valid".to_owned(),
        Ok(Outcome::NeedsLogin(reason)) => format!("needs login: {reason}"),
        Ok(Outcome::Retry { after, cause }) => {
            format!("try again in {after:?}, {}", cause.as_ref().map_or("refresh_running", |cause| cause.code()))
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{}: {error}", error.code()),
    }
}
