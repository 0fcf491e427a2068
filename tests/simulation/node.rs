//! A node: a real keeper with its own view of the store, the code hosts, the integrations and the time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codehost_oauth::error::AppError;
use codehost_oauth::keeper::{Clock, TokenKeeper};
use codehost_oauth::transport::Network as Policy;
use codehost_oauth::{Access, BaseUrl, FindIntegration, Integration, IntegrationConfig, IntegrationId, Platform};

use crate::code_host::{Network, client_id, secret};
use crate::invariants::ring;
use crate::store::NodeStore;
use crate::world::{Node, NodeId, World};

/// The saved settings of an integration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Saved {
    pub(crate) host: usize,
    pub(crate) secret: u32,
}

/// A process of the app.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) id: NodeId,
    pub(crate) keeper: TokenKeeper,
    world: Arc<World>,
    table: Arc<Table>,
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, clock_ahead: i64, saved: &[Saved]) -> Self {
        let id = {
            let mut state = world.lock();
            state.nodes.push(Node { alive: true, steps_until_crash: None, cut_off_until: Duration::ZERO, clock_ahead });
            state.nodes.len() - 1
        };
        world.log(|| format!("node {id} starts, its clock {clock_ahead} ms ahead"));
        let table = Arc::new(Table::default());
        let settings = &world.settings;
        let store = NodeStore { world: Arc::clone(world), node: id };
        let mut builder = TokenKeeper::builder(store, ring(), View(Arc::clone(&table)))
            .clock(NodeClock { world: Arc::clone(world), node: id })
            .lease(settings.lease)
            .patience(settings.patience)
            .fresh_for(settings.fresh_for)
            .max_in_flight(settings.in_flight);
        if let Some(verify) = settings.verify_identity {
            builder = builder.verify_identity(verify);
        }
        let process = Self { id, keeper: builder.build(), world: Arc::clone(world), table };
        saved.iter().enumerate().for_each(|(tenant, saved)| process.save(tenant, *saved));
        process
    }

    /// The time of its clock.
    pub(crate) fn now(&self) -> SystemTime {
        NodeClock { world: Arc::clone(&self.world), node: self.id }.now()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.world.is_alive(self.id)
    }

    /// The administrator's settings have arrived at this node.
    pub(crate) fn save(&self, tenant: usize, saved: Saved) {
        self.world.log(|| format!("node {}: integration {tenant} is {saved:?} from now on", self.id));
        let settings = &self.world.settings.tenants[tenant];
        let base_url = self.world.lock().hosts.hosts[saved.host].base_url;
        let platform = Platform::find(if settings.is_gitlab { "gitlab" } else { "bitbucket-cloud" }).unwrap();
        let base_url = BaseUrl::parse(base_url, &Policy::public_only()).unwrap();
        let integration = Integration::builder(
            platform.provider(base_url).unwrap(),
            Network { world: Arc::clone(&self.world), node: self.id },
            IntegrationConfig {
                id: settings.id.parse().unwrap(),
                name: settings.id.to_owned(),
                public_url: "https://app.example.com".parse().unwrap(),
                client_id: client_id(tenant),
                client_secret: secret(saved.host, saved.secret),
                access: Access::SignIn,
            },
        )
        .build()
        .unwrap();
        self.table.lock().insert(integration.id().clone(), (saved.host, integration));
    }

    pub(crate) fn integration(&self, tenant: usize) -> (usize, Integration) {
        let id: IntegrationId = self.world.settings.tenants[tenant].id.parse().unwrap();
        self.table.lock()[&id].clone()
    }
}

/// The app's table of integrations, as this node sees it.
#[derive(Default)]
pub(crate) struct Table(Mutex<HashMap<IntegrationId, (usize, Integration)>>);

impl Table {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IntegrationId, (usize, Integration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct View(Arc<Table>);

#[async_trait::async_trait]
impl FindIntegration for View {
    async fn find(&self, id: &IntegrationId) -> Result<Option<Integration>, AppError> {
        Ok(self.0.lock().get(id).map(|(_, integration)| integration.clone()))
    }
}

struct NodeClock {
    world: Arc<World>,
    node: NodeId,
}

impl Clock for NodeClock {
    fn now(&self) -> SystemTime {
        let state = self.world.lock();
        let ahead = state.nodes[self.node].clock_ahead;
        let now = UNIX_EPOCH + START + state.now();
        if ahead < 0 {
            now - Duration::from_millis(ahead.unsigned_abs())
        } else {
            now + Duration::from_millis(ahead as u64)
        }
    }
}

impl fmt::Debug for NodeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeClock({})", self.node)
    }
}

/// The start of every schedule: a day in 2027.
const START: Duration = Duration::from_secs(1_800_000_000);
