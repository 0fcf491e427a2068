//! One node: fresh tokens and refreshes, by the number of rows; and what becomes of a table that is updated for long.

use std::time::Duration;

use codehost_oauth::keeper::{ConnectionId, TokenKeeper};

use super::Sizes;
use super::database::{Database, Work};
use crate::keeper::{fresh, refreshes};
use crate::servers::open;
use crate::support::connections::{Connections, LIFETIME};
use crate::support::measure::cpu;
use crate::support::table::{Table, grouped};

pub(super) async fn measure(database: &Database, connections: &Connections, rows: usize, sizes: &Sizes) {
    let columns = [
        "one node",
        "each second",
        "statements for each",
        "CPU of the node, µs",
        "CPU of the database, µs",
        "bytes of its log",
    ];
    let table = Table::new(&format!("{} connections in PostgreSQL", grouped(rows as f64)), &columns);
    let keeper = keeper(database, connections).await;
    let ids = scattered(rows);
    // Opens the pool's connections and prepares their statements.
    fresh(&keeper, &ids, sizes.for_each / 20).await;
    // What the rows before have left to write is no part of the figures.
    sqlx::query("CHECKPOINT").execute(database.pool()).await.unwrap();

    let (before, cpu_before) = (database.work().await, cpu());
    let [each_second, _, count] = fresh(&keeper, &ids, sizes.for_each).await;
    row(database, &table, "fresh tokens", each_second, count, before, cpu_before).await;

    connections.clock.advance(LIFETIME);
    let (before, cpu_before) = (database.work().await, cpu());
    let [each_second, count] = refreshes(&keeper, &ids, sizes.for_each).await;
    row(database, &table, "refreshes, four at once", each_second, count, before, cpu_before).await;
}

/// The same connections are refreshed again and again.
pub(super) async fn measure_growth(database: &Database, connections: &Connections, sizes: &Sizes) {
    database.tables().await;
    let keeper = keeper(database, connections).await;
    let ids = scattered(sizes.connections[1]);
    let ids = &ids[..sizes.updated];
    for _ in 0..sizes.rounds {
        connections.clock.advance(LIFETIME);
        refreshes(&keeper, ids, sizes.for_each * 1000).await;
    }
    drop(keeper);
    println!("\n{} connections were refreshed {} times each:", grouped(ids.len() as f64), sizes.rounds);
    database.tables().await;
}

async fn row(
    database: &Database,
    table: &Table,
    name: &str,
    each_second: f64,
    count: f64,
    before: Work,
    cpu_before: Duration,
) {
    let of_node = (cpu() - cpu_before).as_secs_f64() * 1e6 / count;
    let [statements, of_database, log] = database.work().await.since(&before, count);
    table.row(&[
        name.to_owned(),
        grouped(each_second),
        format!("{statements:.2}"),
        grouped(of_node),
        grouped(of_database),
        grouped(log),
    ]);
}

/// A keeper of another node.
pub(super) async fn keeper(database: &Database, connections: &Connections) -> TokenKeeper {
    connections.keeper(open(&database.url).await.unwrap()).build()
}

/// The ids of the first `count` connections, in an order in which the next one is not beside the one before.
pub(super) fn scattered(count: usize) -> Vec<ConnectionId> {
    (0..count).map(|n| Connections::id(n * 7919 % count)).collect()
}
