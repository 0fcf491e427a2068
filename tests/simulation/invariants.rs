//! The state of every pair of tokens, and the invariants.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use codehost_oauth::keeper::{ConnectionId, StoredTokens};
use codehost_oauth::seal::{KeyRing, SealContext};

use crate::world::{NodeId, State};

pub(crate) type PairId = usize;

/// An access token and its refresh token, as the code host knows them.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) connection: usize,
    /// Which integration at which base URL.
    pub(crate) host: usize,
    /// The number of the login of the connection that it descends from.
    pub(crate) login: u32,
    /// The number of refreshes since that login.
    generation: u32,
    pub(crate) state: PairState,
    /// The number of the access token, if the refresh token stays the same.
    pub(crate) serial: u32,
    pub(crate) issued_at: Duration,
    pub(crate) access_until: Duration,
    successor: Option<PairId>,
    refreshes: Vec<Refresh>,
    /// How often the code host has rightly refused the refresh token.
    refusals: u32,
    last_refused: Option<(NodeId, Duration)>,
    pub(crate) delivery: Delivery,
    was_stored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PairState {
    Live,
    UsedUp,
    RevokedByUser,
    RevokedByApp,
}

/// Whether the response with the pair arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delivery {
    InTransit,
    /// No node could read it.
    Lost,
    Delivered(NodeId),
}

/// One use of a refresh token.
#[derive(Debug)]
struct Refresh {
    node: NodeId,
    sent: Duration,
    ended: bool,
}

pub(crate) struct Ledger {
    pub(crate) pairs: Vec<Pair>,
    current: Vec<Option<Current>>,
    logins: Vec<u32>,
    /// The number of imports in flight, or cut off by a crash.
    pub(crate) importing: Vec<u32>,
    /// The newest login that is known to be stored.
    pub(crate) imported: Vec<u32>,
    deletions: Vec<u32>,
    /// When a connection was deleted, or a disconnect began.
    disconnected_at: Vec<Duration>,
    /// Connections whose disconnect has begun.
    being_disconnected: Vec<bool>,
    /// The number of disconnects in flight, or cut off by a crash. One that waits for a lease revokes the pair that it then finds,
    /// also that of a later login.
    disconnecting: Vec<u32>,
    /// When a node's last call of the store about a connection failed or was slow.
    fault_times: BTreeMap<(NodeId, usize), Duration>,
    /// No faults happen any more.
    pub(crate) faults_ended: bool,
}

struct Current {
    stored: Stored,
    /// How long after the code host's refusal it was marked as needing a login.
    marked_after: Option<Duration>,
}

impl Ledger {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            pairs: Vec::new(),
            current: (0..connections).map(|_| None).collect(),
            logins: vec![0; connections],
            importing: vec![0; connections],
            imported: vec![0; connections],
            deletions: vec![0; connections],
            disconnected_at: vec![Duration::ZERO; connections],
            being_disconnected: vec![false; connections],
            disconnecting: vec![0; connections],
            fault_times: BTreeMap::new(),
            faults_ended: false,
        }
    }

    /// A pair of a new login.
    pub(crate) fn log_in(
        &mut self,
        connection: usize,
        host: usize,
        node: NodeId,
        now: Duration,
        lifetime: Duration,
    ) -> PairId {
        self.logins[connection] += 1;
        let login = self.logins[connection];
        self.issue(Pair {
            connection,
            host,
            login,
            generation: 0,
            state: PairState::Live,
            serial: 0,
            issued_at: now,
            access_until: now + lifetime,
            successor: None,
            refreshes: Vec::new(),
            refusals: 0,
            last_refused: None,
            delivery: Delivery::Delivered(node),
            was_stored: false,
        })
    }

    /// Uses up a pair's refresh token, and returns the next pair.
    pub(crate) fn rotate(&mut self, of: PairId, now: Duration, lifetime: Duration) -> PairId {
        let old = &mut self.pairs[of];
        old.state = PairState::UsedUp;
        let next = Pair {
            generation: old.generation + 1,
            state: PairState::Live,
            issued_at: now,
            access_until: now + lifetime,
            refreshes: Vec::new(),
            refusals: 0,
            last_refused: None,
            successor: None,
            serial: 0,
            delivery: Delivery::InTransit,
            was_stored: false,
            ..*old
        };
        let next = self.issue(next);
        self.pairs[of].successor = Some(next);
        next
    }

    fn issue(&mut self, pair: Pair) -> PairId {
        self.pairs.push(pair);
        self.pairs.len() - 1
    }

    /// The user revokes all pairs of the connection.
    pub(crate) fn revoke_by_user(&mut self, connection: usize, host: usize) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.connection == connection && pair.host == host) {
            if pair.state == PairState::Live {
                pair.state = PairState::RevokedByUser;
            }
        }
    }

    /// The code host has rightly refused the refresh token.
    pub(crate) fn refused(&mut self, pair: PairId, node: NodeId, now: Duration) {
        self.pairs[pair].refusals += 1;
        self.pairs[pair].last_refused = Some((node, now));
    }

    pub(crate) fn refresh_ended(&mut self, pair: PairId, node: NodeId) {
        let refreshes = self.pairs[pair].refreshes.iter_mut();
        refreshes.filter(|refresh| refresh.node == node).for_each(|refresh| refresh.ended = true);
    }

    pub(crate) fn had_fault(&mut self, node: NodeId, connection: usize, now: Duration) {
        self.fault_times.insert((node, connection), now);
    }

    fn had_fault_since(&self, node: NodeId, connection: usize, since: Duration) -> bool {
        self.fault_times.get(&(node, connection)).is_some_and(|at| *at >= since)
    }

    pub(crate) fn deleted(&mut self, connection: usize, now: Duration) {
        self.deletions[connection] += 1;
        self.disconnected_at[connection] = now;
        self.current[connection] = None;
    }

    pub(crate) fn disconnects(&mut self, connection: usize, now: Duration) {
        self.being_disconnected[connection] = true;
        self.disconnecting[connection] += 1;
        self.disconnected_at[connection] = now;
    }

    pub(crate) fn has_disconnected(&mut self, connection: usize) {
        self.disconnecting[connection] -= 1;
    }

    pub(crate) fn is_disconnecting(&self, connection: usize) -> bool {
        self.disconnecting[connection] > 0
    }

    pub(crate) fn logs_in_again(&mut self, connection: usize) {
        self.being_disconnected[connection] = false;
    }

    pub(crate) fn deletions(&self, connection: usize) -> u32 {
        self.deletions[connection]
    }

    pub(crate) fn is_being_disconnected(&self, connection: usize) -> bool {
        self.being_disconnected[connection]
    }

    pub(crate) fn stored(&self, connection: usize) -> Option<&Stored> {
        self.current[connection].as_ref().map(|current| &current.stored)
    }

    /// The login that the stored pair descends from, 0 without one.
    pub(crate) fn stored_login(&self, connection: usize) -> u32 {
        self.stored(connection).map_or(0, |stored| self.pairs[stored.pair].login)
    }

    pub(crate) fn was_stored(&self, pair: PairId) -> bool {
        self.pairs[pair].was_stored
    }

    /// Whether the platform has ever rightly refused a token of this connection.
    pub(crate) fn was_refused(&self, connection: usize) -> bool {
        let mut of = self.pairs.iter().filter(|pair| pair.connection == connection);
        of.any(|pair| pair.refusals > 0 && pair.state != PairState::Live)
    }
}

/// A refresh token is sent to the code host: no other node may have got a new pair for it.
pub(crate) fn refresh_sent(state: &mut State, node: NodeId, pair: PairId) {
    let now = state.now();
    let known = &state.ledger.pairs[pair];
    let (connection, successor) = (known.connection, known.successor);
    let twice = known.refreshes.iter().find_map(|before| {
        let other = before.node;
        let excused = !state.nodes[other].alive
            || state.ledger.had_fault_since(other, connection, before.sent.saturating_sub(Duration::from_secs(30)));
        if excused {
            return None;
        }
        if !before.ended {
            return Some(format!("node {node} uses refresh token {pair} while node {other} is using it"));
        }
        let next = successor.map(|next| (next, state.ledger.pairs[next].delivery));
        match next {
            Some((next, Delivery::Delivered(holder))) if holder == other => {
                Some(format!("node {node} uses refresh token {pair} although node {other} got pair {next} for it"))
            }
            _ => None,
        }
    });
    state.ledger.pairs[pair].refreshes.push(Refresh { node, sent: now, ended: false });
    if let Some(twice) = twice {
        state.violate(format!("two refreshes with one token: {twice}, connection {connection}"));
    }
}

/// A record was written.
pub(crate) fn written(state: &mut State, node: NodeId, connection: usize, new: Stored) {
    let now = state.now();
    let ledger = &mut state.ledger;
    let pair = &mut ledger.pairs[new.pair];
    pair.was_stored = true;
    let mut violations = Vec::new();
    if pair.connection != connection {
        violations
            .push(format!("pair {} of connection {} is stored for connection {connection}", new.pair, pair.connection));
    }
    let mut marked_after = None;
    if let Some(reason) = &new.needs_login {
        marked_after = pair.last_refused.filter(|(by, _)| *by == node).map(|(_, at)| now - at);
        match reason.as_str() {
            "refresh_rejected" | "refresh_response_lost" if pair.state == PairState::Live => violations
                .push(format!("connection {connection} needs a login ({reason}), and its refresh token is alive")),
            "refresh_rejected" | "refresh_response_lost" if pair.refusals == 0 => violations
                .push(format!("connection {connection} needs a login ({reason}), and the platform never refused it")),
            "refresh_rejected" | "refresh_response_lost" => {}
            _ => violations.push(format!("connection {connection} needs a login ({reason}) for no reason")),
        }
    }
    if let Some(before) = &ledger.current[connection] {
        let [old, pair] = [before.stored.pair, new.pair].map(|pair| &ledger.pairs[pair]);
        // A login may overwrite any other login, also one that came during its import.
        let older = (pair.login, pair.generation) < (old.login, old.generation) && pair.generation > 0;
        if older || (pair.login == old.login && pair.generation < old.generation) {
            violations.push(format!("pair {} is stored over the newer pair {}", new.pair, before.stored.pair));
        }
        let too_early = before.marked_after.is_some_and(|after| after < SIBLING_PATIENCE);
        if too_early && old.successor == Some(new.pair) {
            violations.push(format!(
                "connection {connection} was marked as needing a login at once, while its new pair {} was being stored",
                new.pair
            ));
        }
        if before.stored.needs_login.is_some() && before.stored.pair == new.pair && new.needs_login.is_some() {
            marked_after = before.marked_after;
        }
    }
    ledger.current[connection] = Some(Current { stored: new, marked_after });
    violations.into_iter().for_each(|violation| state.violate(violation));
}

/// At the end: the stored pair must be the one that the platform expects, or must have ended for a valid reason.
pub(crate) fn check_not_lost(state: &State, connection: usize) -> Result<(), String> {
    let Some(stored) = state.ledger.stored(connection) else { return Ok(()) };
    let pair = &state.ledger.pairs[stored.pair];
    match pair.state {
        PairState::Live if stored.needs_login.is_some() => Err(format!("{stored} is alive")),
        PairState::Live | PairState::RevokedByUser => Ok(()),
        // A disconnect came later. Either this login was being imported at that time, or the node crashed between the
        // revocation and the deletion.
        PairState::RevokedByApp if state.ledger.disconnected_at[connection] > pair.issued_at => Ok(()),
        PairState::RevokedByApp => Err(format!("{stored} was revoked by the app")),
        PairState::UsedUp => {
            let next = pair.successor.expect("a used pair has a successor");
            match state.ledger.pairs[next].delivery {
                Delivery::Delivered(node) if state.nodes[node].alive => {
                    Err(format!("{stored} is used up, and pair {next}, which node {node} got for it, is not stored"))
                }
                Delivery::Delivered(_) | Delivery::InTransit | Delivery::Lost => Ok(()),
            }
        }
    }
}

/// The contents of a record.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) pair: PairId,
    pub(crate) needs_login: Option<String>,
    marked: bool,
    unverified: bool,
}

impl Stored {
    pub(crate) fn open(connection: &ConnectionId, tokens: &StoredTokens) -> Self {
        let integration = connection.integration().as_str();
        let context = SealContext { purpose: "tokens", integration, connection: connection.as_str() };
        let json = ring().open(&context, &tokens.sealed).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let refresh = json["refresh_token"].as_str().expect("no refresh token is stored");
        Self {
            pair: refresh.strip_prefix("refresh-").unwrap().parse().unwrap(),
            needs_login: json["needs_login"].as_str().map(str::to_owned),
            marked: json.get("refreshing_since").is_some(),
            unverified: json["unverified"] == true,
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pair {}", self.pair)?;
        if self.marked {
            f.write_str(", being refreshed")?;
        }
        if self.unverified {
            f.write_str(", not verified")?;
        }
        self.needs_login.as_ref().map_or(Ok(()), |reason| write!(f, ", needs login: {reason}"))
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

/// How long a node waits after a refusal for another node that may have the successor.
const SIBLING_PATIENCE: Duration = Duration::from_secs(5);
