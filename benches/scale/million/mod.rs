//! A million connections and 10,000 integrations in one PostgreSQL, 20 nodes, and login pages under load.

mod database;
mod integrations;
mod logins;
mod node;
mod nodes;
mod rows;
mod tokens;

use std::time::Duration;

use self::database::Database;
pub(crate) use self::node::{NODE, work};
use crate::support::connections::Connections;

/// How much of everything.
pub(crate) struct Sizes {
    /// Connections for comparison, and all of them.
    connections: [usize; 2],
    integrations: usize,
    /// Integrations of one owner.
    of_owner: usize,
    nodes: usize,
    /// Tokens that all nodes want at the same time.
    wanted: usize,
    /// Connections that are refreshed again and again, and how often, to see what becomes of the table.
    updated: usize,
    rounds: usize,
    /// How long each figure is measured.
    for_each: Duration,
    begins_per_second: usize,
    is_quick: bool,
}

pub(crate) const MILLION: Sizes = Sizes {
    connections: [10_000, 1_000_000],
    integrations: 10_000,
    of_owner: 100,
    nodes: 20,
    wanted: 200,
    updated: 1000,
    rounds: 20,
    for_each: Duration::from_secs(10),
    begins_per_second: 1000,
    is_quick: false,
};

pub(crate) const QUICK: Sizes = Sizes {
    connections: [50, 200],
    integrations: 40,
    of_owner: 20,
    nodes: 3,
    wanted: 5,
    updated: 10,
    rounds: 2,
    for_each: Duration::from_millis(100),
    begins_per_second: 50,
    is_quick: true,
};

pub(crate) fn measure(sizes: &Sizes) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = match Database::start().await {
            Ok(database) => database,
            // The error has the command that installs it.
            Err(error) if sizes.is_quick => return println!("\nA million connections: left out, {error}"),
            Err(error) => panic!("{error}"),
        };
        integrations::fill(&database, sizes).await;
        let connections = Connections::new();
        let [few, all] = sizes.connections;
        rows::fill(&database, &connections, 0..few).await;
        tokens::measure(&database, &connections, few, sizes).await;
        rows::fill(&database, &connections, few..all).await;
        node::measure(&database, sizes).await;
        tokens::measure(&database, &connections, all, sizes).await;
        nodes::measure(&database, &connections, sizes).await;
        logins::measure(&database, sizes).await;
        integrations::measure(&database, sizes).await;
        tokens::measure_growth(&database, &connections, sizes).await;
    });
}
