//! What is true of every pair of tokens, and what must never happen.

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
    /// The how-manieth login of the connection it descends from.
    pub(crate) login: u32,
    /// How many refreshes ago that was.
    generation: u32,
    pub(crate) state: PairState,
    /// The access token's number, where the refresh token stays the same.
    pub(crate) serial: u32,
    pub(crate) issued_at: Duration,
    pub(crate) access_until: Duration,
    successor: Option<PairId>,
    refreshes: Vec<Refresh>,
    /// How often the code host has said that the refresh token is dead, and it was true.
    refusals: u32,
    last_refused: Option<(NodeId, Duration)>,
    pub(crate) fate: Fate,
    was_stored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PairState {
    Live,
    Spent,
    RevokedByUser,
    RevokedByApp,
}

/// What became of the response that it was in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    OnItsWay,
    /// Nobody could read it.
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
    /// How many imports are under way, or were cut off by a crash.
    pub(crate) importing: Vec<u32>,
    /// The newest login that is known to be stored.
    pub(crate) imported: Vec<u32>,
    deletions: Vec<u32>,
    /// When a connection was deleted, or somebody began to disconnect it.
    disconnected_at: Vec<Duration>,
    /// Connections that somebody is disconnecting, or has begun to.
    leaving: Vec<bool>,
    /// When a node's last call of the store about a connection failed or was slow.
    trouble: BTreeMap<(NodeId, usize), Duration>,
    /// From now on nothing goes wrong any more.
    pub(crate) healed: bool,
}

struct Current {
    stored: Stored,
    /// How long after the code host's refusal it was marked dead, if it was.
    dead_after: Option<Duration>,
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
            leaving: vec![false; connections],
            trouble: BTreeMap::new(),
            healed: false,
        }
    }

    /// A pair of a new login.
    pub(crate) fn log_in(
        &mut self,
        connection: usize,
        host: usize,
        node: NodeId,
        now: Duration,
        life: Duration,
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
            access_until: now + life,
            successor: None,
            refreshes: Vec::new(),
            refusals: 0,
            last_refused: None,
            fate: Fate::Delivered(node),
            was_stored: false,
        })
    }

    /// Spends a pair's refresh token, and gives the next pair.
    pub(crate) fn rotate(&mut self, of: PairId, now: Duration, life: Duration) -> PairId {
        let old = &mut self.pairs[of];
        old.state = PairState::Spent;
        let next = Pair {
            generation: old.generation + 1,
            state: PairState::Live,
            issued_at: now,
            access_until: now + life,
            refreshes: Vec::new(),
            refusals: 0,
            last_refused: None,
            successor: None,
            serial: 0,
            fate: Fate::OnItsWay,
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

    /// The user ends everything that this host has given for the connection.
    pub(crate) fn revoke_by_user(&mut self, connection: usize, host: usize) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.connection == connection && pair.host == host) {
            if pair.state == PairState::Live {
                pair.state = PairState::RevokedByUser;
            }
        }
    }

    /// The code host has said truly that the refresh token is dead.
    pub(crate) fn refused(&mut self, pair: PairId, node: NodeId, now: Duration) {
        self.pairs[pair].refusals += 1;
        self.pairs[pair].last_refused = Some((node, now));
    }

    pub(crate) fn refresh_ended(&mut self, pair: PairId, node: NodeId) {
        let refreshes = self.pairs[pair].refreshes.iter_mut();
        refreshes.filter(|refresh| refresh.node == node).for_each(|refresh| refresh.ended = true);
    }

    pub(crate) fn troubled(&mut self, node: NodeId, connection: usize, now: Duration) {
        self.trouble.insert((node, connection), now);
    }

    fn was_troubled(&self, node: NodeId, connection: usize, since: Duration) -> bool {
        self.trouble.get(&(node, connection)).is_some_and(|at| *at >= since)
    }

    pub(crate) fn deleted(&mut self, connection: usize, now: Duration) {
        self.deletions[connection] += 1;
        self.disconnected_at[connection] = now;
        self.current[connection] = None;
    }

    pub(crate) fn disconnects(&mut self, connection: usize, now: Duration) {
        self.leaving[connection] = true;
        self.disconnected_at[connection] = now;
    }

    pub(crate) fn comes_back(&mut self, connection: usize) {
        self.leaving[connection] = false;
    }

    pub(crate) fn deletions(&self, connection: usize) -> u32 {
        self.deletions[connection]
    }

    pub(crate) fn is_leaving(&self, connection: usize) -> bool {
        self.leaving[connection]
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

    /// Whether the platform has ever said, and truly, that a token of this connection is dead.
    pub(crate) fn was_refused(&self, connection: usize) -> bool {
        let mut of = self.pairs.iter().filter(|pair| pair.connection == connection);
        of.any(|pair| pair.refusals > 0 && pair.state != PairState::Live)
    }
}

/// A refresh token is on its way to the code host: nobody else may hold what it gave before.
pub(crate) fn refresh_sent(state: &mut State, node: NodeId, pair: PairId) {
    let now = state.now();
    let known = &state.ledger.pairs[pair];
    let (connection, successor) = (known.connection, known.successor);
    let twice = known.refreshes.iter().find_map(|before| {
        let other = before.node;
        let excused = !state.nodes[other].alive
            || state.ledger.was_troubled(other, connection, before.sent.saturating_sub(Duration::from_secs(30)));
        if excused {
            return None;
        }
        if !before.ended {
            return Some(format!("node {node} uses refresh token {pair} while node {other} is using it"));
        }
        let next = successor.map(|next| (next, state.ledger.pairs[next].fate));
        match next {
            Some((next, Fate::Delivered(holder))) if holder == other => {
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
    let mut dead_after = None;
    if let Some(reason) = &new.dead {
        dead_after = pair.last_refused.filter(|(by, _)| *by == node).map(|(_, at)| now - at);
        match reason.as_str() {
            "refresh_rejected" | "refresh_answer_lost" if pair.state == PairState::Live => violations
                .push(format!("connection {connection} is marked dead ({reason}), and its refresh token is alive")),
            "refresh_rejected" | "refresh_answer_lost" if pair.refusals == 0 => violations
                .push(format!("connection {connection} is marked dead ({reason}), and the platform never said so")),
            "refresh_rejected" | "refresh_answer_lost" => {}
            _ => violations.push(format!("connection {connection} is marked dead ({reason}) for no reason")),
        }
    }
    if let Some(before) = &ledger.current[connection] {
        let [old, pair] = [before.stored.pair, new.pair].map(|pair| &ledger.pairs[pair]);
        // A login may be stored over any other, also over one that came while it was being stored.
        let older = (pair.login, pair.generation) < (old.login, old.generation) && pair.generation > 0;
        if older || (pair.login == old.login && pair.generation < old.generation) {
            violations.push(format!("pair {} is stored over the newer pair {}", new.pair, before.stored.pair));
        }
        let too_early = before.dead_after.is_some_and(|after| after < SIBLING_PATIENCE);
        if too_early && old.successor == Some(new.pair) {
            violations.push(format!(
                "connection {connection} was marked dead at once, while its new pair {} was being stored",
                new.pair
            ));
        }
        if before.stored.dead.is_some() && before.stored.pair == new.pair && new.dead.is_some() {
            dead_after = before.dead_after;
        }
    }
    ledger.current[connection] = Some(Current { stored: new, dead_after });
    violations.into_iter().for_each(|violation| state.violate(violation));
}

/// When all is over: whether the pair that is stored is the one that the platform expects, or has ended for a good reason.
pub(crate) fn nothing_is_lost(state: &State, connection: usize) -> Result<(), String> {
    let Some(stored) = state.ledger.stored(connection) else { return Ok(()) };
    let pair = &state.ledger.pairs[stored.pair];
    match pair.state {
        PairState::Live if stored.dead.is_some() => Err(format!("{stored} is alive")),
        PairState::Live | PairState::RevokedByUser => Ok(()),
        // Somebody has disconnected since. Either this login was being imported at that time, or the node crashed between
        // the revocation and the deletion.
        PairState::RevokedByApp if state.ledger.disconnected_at[connection] > pair.issued_at => Ok(()),
        PairState::RevokedByApp => Err(format!("{stored} was revoked by the app")),
        PairState::Spent => {
            let next = pair.successor.expect("what is spent has a successor");
            match state.ledger.pairs[next].fate {
                Fate::Delivered(node) if state.nodes[node].alive => {
                    Err(format!("{stored} is spent, and pair {next}, which node {node} got for it, is not stored"))
                }
                Fate::Delivered(_) | Fate::OnItsWay | Fate::Lost => Ok(()),
            }
        }
    }
}

/// What a record says.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) pair: PairId,
    pub(crate) dead: Option<String>,
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
            dead: json["dead"].as_str().map(str::to_owned),
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
        self.dead.as_ref().map_or(Ok(()), |reason| write!(f, ", dead: {reason}"))
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new([(1, [7; 32].as_slice())]).unwrap()
}

/// For so long whoever hears that a token is dead waits for somebody who may have its successor.
const SIBLING_PATIENCE: Duration = Duration::from_secs(5);
