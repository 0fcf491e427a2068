//! One store for all nodes, each with its own connection. It keeps every confirmed write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::error::{StoreError, UntrustedText};
use codehost_oauth::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

use crate::invariants::Stored;
use crate::rng::Rng;
use crate::settings::Weakness;
use crate::world::{NodeId, State, World, pause};

/// What is stored, by the connection's number.
#[derive(Default)]
pub(crate) struct Rows {
    rows: BTreeMap<usize, Row>,
    /// No node reaches the store until then.
    pub(crate) down_until: Duration,
    /// It is read-only until then.
    pub(crate) read_only_until: Duration,
    /// What a node last read of a connection without its lease, for [`Weakness::ReRead`].
    read_before: BTreeMap<(NodeId, usize), StoredTokens>,
    holders: BTreeSet<(NodeId, usize)>,
}

struct Row {
    tokens: StoredTokens,
    lease: Option<(LeaseOwner, Duration)>,
}

/// The store as one node reaches it.
pub(crate) struct NodeStore {
    pub(crate) world: Arc<World>,
    pub(crate) node: NodeId,
}

/// The delays and the fault of one call.
struct CallPlan {
    before: Duration,
    after: Duration,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Error,
    LostResponse,
    Late,
}

impl NodeStore {
    /// Runs a call with its fault: `effect` is what it does at the store.
    async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        connection: usize,
        writes: bool,
        effect: impl FnOnce(&mut State) -> T + Send + 'static,
        show: impl FnOnce(&T) -> String,
    ) -> Result<T, StoreError> {
        let (world, node) = (&self.world, self.node);
        world.step(node);
        let begun = world.now();
        let result = self.attempt(name, connection, writes, effect).await;
        world.step(node);
        let mut state = world.lock();
        let now = state.now();
        if result.is_err() || now - begun > Duration::from_secs(1) {
            state.ledger.had_fault(node, connection, now);
        }
        state.log(|| {
            let result = match &result {
                Ok(value) => show(value),
                Err(error) => error.to_string(),
            };
            format!("node {node}: {name}, connection {connection}: {result}")
        });
        result
    }

    async fn attempt<T: Send + 'static>(
        &self,
        name: &'static str,
        connection: usize,
        writes: bool,
        effect: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (world, node) = (&self.world, self.node);
        let plan = self.plan(name, connection);
        pause(plan.before).await;
        let (unreachable, hangs, read_only) = {
            let mut state = world.lock();
            let now = state.now();
            let unreachable = now < state.rows.down_until || now < state.nodes[node].cut_off_until;
            let hangs = unreachable && state.rng.per_mille(200);
            if hangs {
                state.ledger.had_fault(node, connection, now);
            }
            (unreachable, hangs, writes && now < state.rows.read_only_until)
        };
        if hangs {
            pause(LONGER_THAN_THE_KEEPER_WAITS).await;
        }
        if unreachable {
            return Err(error("the store is down"));
        }
        if read_only {
            return Err(StoreError::NotPrimary { detail: UntrustedText::new("READONLY") });
        }
        match plan.fault {
            Some(Fault::Error) => return Err(error("nothing was done")),
            Some(Fault::Late) => {
                let world = Arc::clone(world);
                tokio::spawn(async move {
                    pause(LATE).await;
                    world.log(|| format!("late: {name} of node {node} takes effect"));
                    effect(&mut world.lock());
                });
                pause(LONGER_THAN_THE_KEEPER_WAITS).await;
                return Err(StoreError::TimedOut);
            }
            Some(Fault::LostResponse) | None => {}
        }
        // If the node has crashed meanwhile, the sent call may or may not arrive.
        if !world.is_alive(node) && world.lock().rng.per_mille(500) {
            world.step(node);
        }
        let done = effect(&mut world.lock());
        world.step(node);
        pause(plan.after).await;
        if plan.fault == Some(Fault::LostResponse) {
            world.log(|| format!("node {node}: {name}: done, and the response is lost"));
            return Err(error("the response was lost"));
        }
        Ok(done)
    }

    fn plan(&self, name: &str, connection: usize) -> CallPlan {
        let faults = &self.world.settings.store;
        let mut state = self.world.lock();
        let faults_ended = state.ledger.faults_ended;
        let rng = &mut state.rng;
        let delay = |rng: &mut Rng| {
            if !faults_ended && rng.per_mille(faults.slow) { rng.millis(1..=6000) } else { rng.millis(0..=4) }
        };
        let (before, after) = (delay(rng), delay(rng));
        let fault = if faults_ended {
            None
        } else if rng.per_mille(faults.error) {
            Some(Fault::Error)
        } else if rng.per_mille(faults.lost_response) {
            Some(Fault::LostResponse)
        // A delete has no revision, so a late one would delete later writes: no store does that.
        } else if name != "delete" && name != "load" && rng.per_mille(faults.late) {
            Some(Fault::Late)
        } else {
            None
        };
        // The keeper may time out meanwhile, so this is recorded now.
        if fault == Some(Fault::Late) || before + after > Duration::from_secs(1) {
            let now = state.now();
            state.ledger.had_fault(self.node, connection, now);
        }
        CallPlan { before, after, fault }
    }
}

#[async_trait::async_trait]
impl TokenStore for NodeStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let number = number(connection);
        let (node, stale) = (self.node, self.world.settings.weakness == Some(Weakness::ReRead));
        let effect = move |state: &mut State| {
            let rows = &mut state.rows;
            let stored = rows.rows.get(&number).map(|row| row.tokens.clone())?;
            if stale && rows.holders.contains(&(node, number)) {
                return rows.read_before.get(&(node, number)).cloned().or(Some(stored));
            }
            rows.read_before.insert((node, number), stored.clone());
            Some(stored)
        };
        let show = |tokens: &Option<StoredTokens>| match tokens {
            Some(tokens) => Stored::open(connection, tokens).to_string(),
            None => "nothing".to_owned(),
        };
        self.call("load", number, false, effect, show).await
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let number = number(connection);
        let weakness = self.world.settings.weakness;
        let (node, id, tokens) = (self.node, connection.clone(), new.clone());
        let effect = move |state: &mut State| {
            let read_before = state.rows.read_before.get(&(node, number)).map(|tokens| tokens.revision);
            let any = match weakness {
                Some(Weakness::CompareAndSwap) => true,
                Some(Weakness::ReRead) => {
                    state.rows.holders.contains(&(node, number)) && expected.is_some() && expected == read_before
                }
                _ => false,
            };
            let row = state.rows.rows.get_mut(&number);
            let found = row.as_ref().map(|row| row.tokens.revision);
            if found != expected && !any {
                return false;
            }
            let stored = Stored::open(&id, &tokens);
            match row {
                Some(row) => row.tokens = tokens,
                None => _ = state.rows.rows.insert(number, Row { tokens, lease: None }),
            }
            crate::invariants::written(state, node, number, stored);
            true
        };
        let show = |done: &bool| {
            let what = Stored::open(connection, new);
            if *done { format!("writes {what}") } else { format!("does not write {what}: another revision is stored") }
        };
        self.call("write", number, true, effect, show).await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let number = number(connection);
        let all = self.world.settings.weakness == Some(Weakness::Lease);
        let node = self.node;
        let owner = owner.clone();
        let effect = move |state: &mut State| {
            let now = state.now();
            let Some(row) = state.rows.rows.get_mut(&number) else { return false };
            if row.lease.as_ref().is_some_and(|(holder, until)| *holder != owner && *until > now) {
                return all;
            }
            row.lease = Some((owner, now + duration));
            state.rows.holders.insert((node, number));
            true
        };
        self.call("lease", number, true, effect, |taken| if *taken { "taken" } else { "another has it" }.to_owned())
            .await
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        let number = number(connection);
        let (node, owner) = (self.node, owner.clone());
        let effect = move |state: &mut State| {
            state.rows.holders.remove(&(node, number));
            if let Some(row) = state.rows.rows.get_mut(&number) {
                row.lease.take_if(|(holder, _)| *holder == owner);
            }
        };
        self.call("release", number, true, effect, |()| "done".to_owned()).await
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let number = number(connection);
        let effect = move |state: &mut State| {
            let now = state.now();
            state.ledger.deleted(number, now);
            state.rows.rows.remove(&number).is_some()
        };
        self.call("delete", number, true, effect, |deleted| deleted.to_string()).await
    }
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeStore({})", self.node)
    }
}

/// The number behind the last `:` or `-`, from 1 on, is the connection's, from 0 on.
pub(crate) fn number(connection: &ConnectionId) -> usize {
    let digits = connection.as_str().rsplit([':', '-']).next().unwrap();
    digits.parse::<usize>().unwrap() - 1
}

fn error(detail: &str) -> StoreError {
    StoreError::Unreachable { detail: UntrustedText::new(detail) }
}

/// Longer than the keeper waits for any call.
const LONGER_THAN_THE_KEEPER_WAITS: Duration = Duration::from_secs(60);
const LATE: Duration = Duration::from_secs(7);
