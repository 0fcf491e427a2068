//! Several nodes on one database, each with a pool of its own: when nothing happens, when all refresh, and when all want the same.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use codehost_oauth::keeper::{ConnectionId, TokenKeeper};
use codehost_oauth::testing::Outcome;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};

use super::Sizes;
use super::database::Database;
use super::tokens::{keeper, scattered};
use crate::keeper::refreshes;
use crate::support::connections::{Connections, LIFETIME};
use crate::support::measure::quantile;
use crate::support::table::{Table, grouped};

pub(super) async fn measure(database: &Database, connections: &Connections, sizes: &Sizes) {
    let title =
        format!("{} nodes, each with its own pool, and {} rows", sizes.nodes, grouped(sizes.connections[1] as f64));
    let table = Table::new(&title, &["", "figure"]);
    let row = |name: &str, figure: String| table.row(&[name.to_owned(), figure]);
    let nodes = join_all((0..sizes.nodes).map(|_| keeper(database, connections))).await;
    let ids = scattered(sizes.connections[1]);
    let parts: Vec<_> = ids.chunks(ids.len() / nodes.len()).collect();

    connections.clock.advance(LIFETIME);
    let before = database.work().await;
    let all = nodes.iter().zip(&parts).map(|(node, ids)| refreshes(node, ids, sizes.for_each));
    let all = join_all(all).await;
    let [each_second, count] = [0, 1].map(|index| all.iter().map(|figures| figures[index]).sum::<f64>());
    let [statements, cpu, log] = database.work().await.since(&before, count);
    row("refreshes of all nodes, each second", grouped(each_second));
    row("statements for each refresh", format!("{statements:.2}"));
    row("CPU of the database for each refresh, µs", grouped(cpu));
    row("bytes of the database's log for each refresh", grouped(log));
    row("connections to the database", grouped(sessions(database).await));

    let before = database.work().await;
    tokio::time::sleep(sizes.for_each).await;
    let idle = database.work().await.since(&before, sizes.for_each.as_secs_f64());
    row("statements each second when nothing happens", format!("{:.2}", idle[0]));
    drop(nodes);

    for delay in [0, 100] {
        let slow = Connections::with_delay(Duration::from_millis(delay));
        let slow = Connections { clock: connections.clock.clone(), ..slow };
        let nodes = join_all((0..sizes.nodes).map(|_| keeper(database, &slow))).await;
        // Opens their sessions.
        join_all(nodes.iter().map(|node| want(node, &ids[..1]))).await;
        slow.clock.advance(LIFETIME);
        let before = database.work().await;
        let all = join_all(nodes.iter().map(|node| want(node, &ids[..sizes.wanted]))).await;
        let renewed: usize = all.iter().map(|wanted| wanted.renewed).sum();
        assert_eq!(renewed, sizes.wanted, "each token is renewed by one node");
        let waits: Vec<f64> = all.iter().flat_map(|wanted| wanted.waits.iter().copied()).collect();
        let [statements, ..] = database.work().await.since(&before, sizes.wanted as f64);
        let name = format!("{} tokens wanted by all nodes, code host takes {delay} ms", sizes.wanted);
        row(&format!("{name}: refreshes for each token"), "1".to_owned());
        row(&format!("{name}: statements for each token and node"), format!("{:.1}", statements / nodes.len() as f64));
        row(&format!("{name}: a caller waits, median, ms"), grouped(quantile(waits.clone(), 0.5)));
        row(&format!("{name}: a caller waits, the slowest in a hundred, ms"), grouped(quantile(waits, 0.99)));
    }
}

/// What came of the calls of one node.
struct Wanted {
    renewed: usize,
    /// Milliseconds.
    waits: Vec<f64>,
}

async fn want(node: &TokenKeeper, ids: &[ConnectionId]) -> Wanted {
    let (renewed, waits) = (Cell::new(0), RefCell::new(Vec::new()));
    let call = async |id| {
        let begun = Instant::now();
        match node.ask(id).await.unwrap() {
            Outcome::Renewed(_) => renewed.set(renewed.get() + 1),
            Outcome::RenewedElsewhere(_) | Outcome::StillValid(_) => {}
            other => panic!("{other:?}"),
        }
        waits.borrow_mut().push(begun.elapsed().as_secs_f64() * 1e3);
    };
    stream::iter(ids).for_each_concurrent(16, call).await;
    Wanted { renewed: renewed.get(), waits: waits.into_inner() }
}

async fn sessions(database: &Database) -> f64 {
    // Without that of this bench.
    database.number("SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'").await
}
