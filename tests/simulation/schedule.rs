//! One schedule, from its seed to its end.

use std::sync::Arc;
use std::time::Duration;

use codehost_oauth::testing::SeededRandom;
use tokio::task::JoinHandle;

use crate::invariants;
use crate::node::{Process, Saved};
use crate::operations::{AskResult, ConnectionAtNode};
use crate::settings::{Events, Settings, Weakness};
use crate::world::{World, is_crash, pause};

/// How a schedule ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) violation: Option<String>,
    pub(crate) log: Vec<String>,
}

/// Runs one schedule on this thread.
pub(crate) fn run(seed: u64, weakness: Option<Weakness>, logging: bool) -> Report {
    let _seeded = SeededRandom::on_this_thread(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed, Settings::new(seed, weakness), logging);
        world.log(|| format!("seed {seed}: {:#?}", world.settings));
        Schedule::start(&world).run().await;
        Report { violation: world.violation(), log: world.take_log() }
    })
}

struct Schedule {
    world: Arc<World>,
    /// The process of each machine.
    machines: Vec<Process>,
    /// What the administrators have saved.
    saved: Vec<Saved>,
    running: Vec<JoinHandle<()>>,
    /// No new outage of the store before this time, so that the nodes can recover.
    quiet_until: Duration,
}

impl Schedule {
    fn start(world: &Arc<World>) -> Self {
        let tenants = 0..world.settings.tenants.len();
        let saved: Vec<_> = tenants
            .map(|tenant| {
                let host = world.lock().hosts.hosts.iter().position(|host| host.tenant == tenant).unwrap();
                Saved { host, secret: 0 }
            })
            .collect();
        let machines = (0..world.settings.nodes).map(|_| {
            let clock_ahead = clock(world);
            Process::start(world, clock_ahead, &saved)
        });
        let machines = machines.collect();
        Self { world: Arc::clone(world), machines, saved, running: Vec::new(), quiet_until: Duration::ZERO }
    }

    async fn run(mut self) {
        for connection in 0..self.world.settings.connections {
            let at = self.at(connection);
            self.spawn(async move { _ = at.log_in().await });
        }
        for _ in 0..self.world.settings.steps {
            let wait = self.wait();
            pause(wait).await;
            self.restart();
            self.act();
            if self.world.violation().is_some() {
                return;
            }
        }
        self.end_all_faults().await;
        if self.world.violation().is_none() {
            self.check_all_connections().await;
        }
    }

    /// The time until the next event: often moments, sometimes most of a token's lifetime.
    fn wait(&self) -> Duration {
        let lifetime = self.world.settings.lifetime;
        let rng = &mut self.world.lock().rng;
        match rng.below(20) {
            0..8 => rng.millis(0..=300),
            8..13 => rng.millis(0..=10_000),
            13..17 => rng.seconds(5..=120),
            17 => rng.seconds(60..=1000),
            _ => lifetime.saturating_sub(rng.seconds(0..=130)),
        }
    }

    fn act(&mut self) {
        let Events { ask, call, drop_caller, crash, cut_off, fail_over, .. } = self.world.settings.events;
        let Events { lock_out, outage, revoke, secret, move_away, log_in, disconnect, clock, .. } =
            self.world.settings.events;
        let events: [(u64, Act<Self>); 14] = [
            (ask, Self::ask),
            (call, Self::call),
            (drop_caller, Self::drop_caller),
            (crash, Self::crash),
            (cut_off, Self::cut_off),
            (fail_over, Self::fail_over),
            (lock_out, Self::lock_out),
            (outage, Self::outage),
            (revoke, Self::revoke),
            (secret, Self::change_secret),
            (move_away, Self::move_away),
            (log_in, Self::log_in),
            (disconnect, Self::disconnect),
            (clock, Self::set_clock),
        ];
        let total = events.iter().map(|(weight, _)| weight).sum::<u64>();
        let mut chosen = self.world.lock().rng.within(0..=total - 1);
        for (weight, event) in events {
            if chosen < weight {
                return event(self);
            }
            chosen -= weight;
        }
    }

    /// Several calls at once, at different nodes, often for the same connection.
    fn ask(&mut self) {
        let all = self.world.lock().rng.per_mille(100);
        let connections = self.world.settings.connections;
        let count = if all { connections } else { self.world.lock().rng.within(1..=6) as usize };
        for number in 0..count {
            let connection = if all { number } else { self.connection() };
            let at = self.at(connection);
            self.spawn(async move { _ = at.ask().await });
        }
    }

    fn call(&mut self) {
        let at = self.at(self.connection());
        self.spawn(at.call());
    }

    /// A caller drops its call.
    fn drop_caller(&mut self) {
        let at = self.at(self.connection());
        let patience = self.world.lock().rng.millis(0..=2000);
        self.spawn(async move { _ = tokio::time::timeout(patience, at.ask()).await });
    }

    /// A node will crash after some more steps.
    fn crash(&mut self) {
        let at = self.at(self.connection());
        let mut state = self.world.lock();
        let steps_until_crash = state.rng.within(1..=30) as u32;
        state.log(|| format!("node {} will crash after {steps_until_crash} steps", at.process.id));
        state.nodes[at.process.id].steps_until_crash = Some(steps_until_crash);
        drop(state);
        self.spawn(async move { _ = at.ask().await });
    }

    /// A node cannot reach the store.
    fn cut_off(&mut self) {
        let Some(until) = self.store_fault(120) else { return };
        let node = self.at(0).process.id;
        self.world.log(|| format!("node {node} is cut off from the store until {until:?}"));
        self.world.lock().nodes[node].cut_off_until = until;
    }

    /// The store is down, then read-only, then normal.
    fn fail_over(&mut self) {
        let (Some(down), Some(read_only)) = (self.store_fault(120), self.store_fault(240)) else { return };
        self.world.log(|| format!("the store is down until {down:?}, and read-only until {read_only:?}"));
        let rows = &mut self.world.lock().rows;
        (rows.down_until, rows.read_only_until) = (down, read_only);
    }

    /// The end of a new fault of the store; `None` if there was one a short time ago.
    fn store_fault(&mut self, most: u64) -> Option<Duration> {
        let now = self.world.now();
        let until = now + self.world.lock().rng.seconds(1..=most);
        let quiet = now >= self.quiet_until;
        if quiet || self.quiet_until > now + RECOVERY {
            self.quiet_until = self.quiet_until.max(until + RECOVERY);
            return Some(until);
        }
        None
    }

    fn lock_out(&mut self) {
        let until = self.world.now() + self.world.lock().rng.seconds(60..=600);
        let mut state = self.world.lock();
        let count = state.hosts.hosts.len();
        let host = state.rng.below(count);
        let now = state.now();
        // There is time between two lock-outs, or a probe could not tell anything.
        if now > state.hosts.hosts[host].locked_until + Duration::from_secs(60) {
            state.hosts.hosts[host].locked_until = until;
            state.log(|| format!("code host {host} refuses its client until {until:?}"));
        }
    }

    fn outage(&mut self) {
        let mut state = self.world.lock();
        let until = state.now() + state.rng.seconds(1..=600);
        let (count, limited) = (state.hosts.hosts.len(), state.rng.per_mille(300));
        let number = state.rng.below(count);
        let host = &mut state.hosts.hosts[number];
        *(if limited { &mut host.limited_until } else { &mut host.down_until }) = until;
        state.log(|| format!("code host {number} is down until {until:?}, limited: {limited}"));
    }

    fn revoke(&mut self) {
        let at = self.at(self.connection());
        let host = at.process.integration(at.tenant()).0;
        let mut state = self.world.lock();
        state.log(|| format!("the user of connection {} revokes it at code host {host}", at.connection));
        state.ledger.revoke_by_user(at.connection, host);
    }

    /// The secret is changed at the code host, and the nodes learn it later.
    fn change_secret(&mut self) {
        let tenant = self.tenant();
        let host = self.saved[tenant].host;
        let secret = {
            let mut state = self.world.lock();
            let code_host = &mut state.hosts.hosts[host];
            code_host.secret += 1;
            code_host.secret
        };
        self.ask();
        self.save(tenant, Saved { host, secret });
    }

    /// The administrator gives the integration another base URL.
    fn move_away(&mut self) {
        let tenant = self.tenant();
        let mut state = self.world.lock();
        let others = state.hosts.hosts.iter().enumerate();
        let others = others.filter(|(host, known)| known.tenant == tenant && *host != self.saved[tenant].host);
        let others: Vec<_> = others.map(|(host, known)| Saved { host, secret: known.secret }).collect();
        if others.is_empty() {
            return;
        }
        let saved = *state.rng.pick(&others);
        drop(state);
        // Often in the middle of refreshes, and some users log in again at once.
        self.ask();
        self.save(tenant, saved);
        let logins = self.world.lock().rng.within(0..=3);
        for _ in 0..logins {
            let at = self.at(self.connection());
            let delay = self.world.lock().rng.millis(0..=20_000);
            self.spawn(async move {
                pause(delay).await;
                at.log_in().await;
            });
        }
    }

    /// Each node gets the settings a little later.
    fn save(&mut self, tenant: usize, saved: Saved) {
        self.saved[tenant] = saved;
        self.world.log(|| format!("the administrator saves {saved:?} for integration {tenant}"));
        let slow = self.world.lock().rng.per_mille(300);
        for process in self.machines.clone() {
            let delay = self.world.lock().rng.seconds(0..=if slow { 300 } else { 5 });
            self.spawn(async move {
                pause(delay).await;
                process.save(tenant, saved);
            });
        }
    }

    fn log_in(&mut self) {
        let at = self.at(self.connection());
        self.spawn(async move { _ = at.log_in().await });
    }

    fn disconnect(&mut self) {
        let at = self.at(self.connection());
        self.spawn(at.disconnect());
    }

    fn set_clock(&mut self) {
        let node = self.at(0).process.id;
        let ahead = clock(&self.world);
        self.world.log(|| format!("the clock of node {node} is {ahead} ms ahead from now on"));
        self.world.lock().nodes[node].clock_ahead = ahead;
    }

    /// Every node that has crashed is replaced.
    fn restart(&mut self) {
        for machine in &mut self.machines {
            if !machine.is_alive() {
                *machine = Process::start(&self.world, clock(&self.world), &self.saved);
            }
        }
    }

    /// Ends all faults, and waits for all tasks.
    async fn end_all_faults(&mut self) {
        {
            let mut state = self.world.lock();
            state.log(|| "no faults from now on".to_owned());
            let now = state.now();
            state.ledger.faults_ended = true;
            (state.rows.down_until, state.rows.read_only_until) = (now, now);
            for node in &mut state.nodes {
                (node.steps_until_crash, node.cut_off_until) = (None, now);
            }
            for host in &mut state.hosts.hosts {
                (host.down_until, host.locked_until, host.limited_until) = (now, now, now);
            }
        }
        self.restart();
        for ended in std::mem::take(&mut self.running) {
            if ended.await.is_err_and(|error| !is_crash(&*error.into_panic())) {
                self.world.violate("a task panicked");
            }
        }
        for process in &self.machines {
            let finished = tokio::time::timeout(Duration::from_secs(60), process.keeper.finish()).await;
            if finished.is_err() {
                self.world.violate(format!("a refresh at node {} does not end", process.id));
            }
        }
    }

    /// Asserts that every connection works that should.
    async fn check_all_connections(&mut self) {
        for (tenant, saved) in self.saved.iter().enumerate() {
            self.machines.iter().for_each(|process| process.save(tenant, *saved));
        }
        // The longest pause of a keeper.
        pause(Duration::from_secs(16 * 60)).await;
        for connection in 0..self.world.settings.connections {
            let at = self.at(connection);
            let mut ended = AskResult::Other;
            for _ in 0..4 {
                ended = at.clone().ask().await;
                if ended != AskResult::Other || !self.is_at_current_base_url(connection) {
                    break;
                }
                pause(Duration::from_secs(40)).await;
            }
            if ended == AskResult::Other && self.is_at_current_base_url(connection) {
                self.world.violate(format!("connection {connection} does not work again"));
            }
            let lost = invariants::check_not_lost(&self.world.lock(), connection);
            if let Err(lost) = lost {
                self.world.violate(format!("connection {connection} is lost: {lost}"));
            }
        }
    }

    /// Whether the stored tokens are of the current base URL of the integration.
    fn is_at_current_base_url(&self, connection: usize) -> bool {
        let state = self.world.lock();
        let stored = state.ledger.stored(connection);
        stored.is_some_and(|stored| {
            let host = state.ledger.pairs[stored.pair].host;
            host == self.saved[connection % self.saved.len()].host
        })
    }

    /// Some connection, often the first one.
    fn connection(&self) -> usize {
        let connections = self.world.settings.connections;
        let rng = &mut self.world.lock().rng;
        if rng.per_mille(500) { 0 } else { rng.below(connections) }
    }

    fn tenant(&self) -> usize {
        self.world.lock().rng.below(self.saved.len())
    }

    /// A connection at some node.
    fn at(&self, connection: usize) -> ConnectionAtNode {
        let machine = self.world.lock().rng.below(self.machines.len());
        ConnectionAtNode { world: Arc::clone(&self.world), process: self.machines[machine].clone(), connection }
    }

    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.running.push(tokio::spawn(work));
    }
}

/// How far a clock is ahead; two clocks differ by up to a minute.
fn clock(world: &World) -> i64 {
    let rng = &mut world.lock().rng;
    if rng.per_mille(300) { 0 } else { rng.within(0..=60_000) as i64 - 30_000 }
}

const RECOVERY: Duration = Duration::from_secs(60);

type Act<T> = fn(&mut T);
