//! Connections in a `TokenKeeper`, on each store.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codehost_oauth::keeper::{ConnectionId, MemoryStore, TokenKeeper, TokenStore};
use codehost_oauth::testing::Outcome;
use futures_util::future::ready;
use futures_util::{StreamExt as _, stream};
use stats_alloc::Region;

use crate::scenario::Result;
use crate::servers::{Server, open};
use crate::support::connections::{Connections, LIFETIME};
use crate::support::measure::cpu;
use crate::support::plot::{Curve, Panel};
use crate::support::table::{Table, grouped};
use crate::{ALLOCATOR, allocated};

const STORES: [&str; 4] = ["memory", "SQLite", "PostgreSQL", "Redis"];
/// Tasks that ask at the same time, on one thread.
const AT_ONCE: usize = 64;

pub(crate) fn measure(quick: bool) -> Panel {
    let columns = [
        "",
        "fresh tokens/s",
        "remembered/s",
        "… per CPU second",
        "refreshes/s",
        "bytes each here",
        "… if remembered",
        "bytes each in the store",
    ];
    let table = Table::new("Connections in a TokenKeeper", &columns);
    let sizes: &[usize] = if quick { &[100] } else { &[100, 1000, 10_000] };
    let for_each = if quick { Duration::from_millis(100) } else { Duration::from_secs(1) };
    let mut curves = Vec::new();
    let mut remembered = Vec::new();
    for name in STORES {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = match runtime.block_on(start(name)) {
            Ok(server) => server,
            // The error has the command that installs it.
            Err(error) if quick => {
                println!("| {name}: left out, {error} |{}", " |".repeat(columns.len() - 1));
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let mut points = Vec::new();
        let figures = runtime.block_on(one_store(server.as_ref(), sizes, for_each));
        for (size, figures) in sizes.iter().zip(figures) {
            let number = *size as f64;
            let mut row = vec![format!("{name}, {}", grouped(number))];
            row.extend(figures.map(|figure| if figure.is_nan() { "-".to_owned() } else { grouped(figure) }));
            table.row(&row);
            points.push((number, 1e9 / figures[0]));
            if name == "memory" {
                remembered.push((number, 1e9 / figures[2]));
            }
        }
        curves.push(Curve { name: name.to_owned(), points });
    }
    curves.push(Curve { name: "remembered".to_owned(), points: remembered });
    Panel { title: "A fresh token", x: "connections", y: "time for each, 64 at once", curves }
}

/// `None`: no server is needed.
async fn start(name: &str) -> Result<Option<Server>> {
    Ok(match name {
        "SQLite" => Some(Server::sqlite()?),
        "PostgreSQL" => Some(Server::postgres().await?),
        "Redis" => Some(Server::redis().await?),
        _ => None,
    })
}

/// For each size, the figures of the table.
async fn one_store(server: Option<&Server>, sizes: &[usize], for_each: Duration) -> Vec<[f64; 7]> {
    let connections = Connections::new();
    let store: Arc<dyn TokenStore> = match server {
        Some(server) => open(&server.url).await.unwrap(),
        None => Arc::new(MemoryStore::default()),
    };
    let keeper = connections.keeper(Arc::clone(&store)).build();
    let ids: Vec<ConnectionId> = (0..sizes.iter().copied().max().unwrap()).map(Connections::id).collect();
    // Opens the pool's connections and prepares its statements before the measurement.
    import(&keeper, &connections, &ids[..1]).await;
    fresh(&keeper, &ids[..1], Duration::from_millis(50)).await;

    let region = Region::new(ALLOCATOR);
    let mut figures = Vec::new();
    for size in sizes {
        let ids = &ids[..*size];
        import(&keeper, &connections, ids).await;
        let here = allocated(&region) / *size as f64;
        let there = match server {
            Some(server) => stored(server).await / *size as f64,
            None => f64::NAN,
        };
        let [read, ..] = fresh(&keeper, ids, for_each).await;
        let before = allocated(&region);
        let remembering = connections.keeper(Arc::clone(&store)).fresh_for(Duration::from_secs(60)).build();
        stream::iter(ids).for_each_concurrent(AT_ONCE, async |id| drop(remembering.ask(id).await.unwrap())).await;
        let more = (allocated(&region) - before) / *size as f64;
        // There is nothing to wait for, so the CPU time shows what one core does, independent of other load.
        let [again, per_cpu, _] = fresh(&remembering, ids, for_each).await;
        drop(remembering);
        connections.clock.advance(LIFETIME);
        let [refreshes, _] = refreshes(&keeper, ids, for_each).await;
        figures.push([read, again, per_cpu, refreshes, here, here + more, there]);
    }
    figures
}

async fn import(keeper: &TokenKeeper, connections: &Connections, ids: &[ConnectionId]) {
    let import = async |(n, id)| keeper.import(id, connections.tokens(n)).await.unwrap();
    stream::iter(ids.iter().enumerate()).for_each_concurrent(AT_ONCE, import).await;
}

/// Fresh tokens for each second, for each second of CPU, and how many.
pub(crate) async fn fresh(keeper: &TokenKeeper, ids: &[ConnectionId], for_each: Duration) -> [f64; 3] {
    let before = cpu();
    let (begun, next, count) = (Instant::now(), Cell::new(0), Cell::new(0_u32));
    let task = async |_| {
        while begun.elapsed() < for_each {
            for _ in 0..16 {
                // Far from the previous one, so that it is not in a cache.
                next.set((next.get() + 7919) % ids.len());
                black_box(keeper.access_token(&ids[next.get()]).await.unwrap());
            }
            count.set(count.get() + 16);
        }
    };
    stream::iter(0..AT_ONCE).for_each_concurrent(None, task).await;
    let count = f64::from(count.get());
    [count / begun.elapsed().as_secs_f64(), count / (cpu() - before).as_secs_f64(), count]
}

/// Refreshes for each second, and how many: of connections that are all due; at most one of each.
pub(crate) async fn refreshes(keeper: &TokenKeeper, ids: &[ConnectionId], for_each: Duration) -> [f64; 2] {
    let (begun, count) = (Instant::now(), Cell::new(0_u32));
    let due = stream::iter(ids).take_while(|_| ready(begun.elapsed() < for_each));
    let refresh = async |id| {
        let outcome = keeper.ask(id).await.unwrap();
        assert!(matches!(outcome, Outcome::Renewed(_)), "{outcome:?}");
        count.set(count.get() + 1);
    };
    due.for_each_concurrent(AT_ONCE, refresh).await;
    let count = f64::from(count.get());
    [count / begun.elapsed().as_secs_f64(), count]
}

/// The bytes that the store holds, with its index.
async fn stored(server: &Server) -> f64 {
    if let Some(path) = server.url.strip_prefix("sqlite:") {
        let bytes = |end: &str| std::fs::metadata(format!("{path}{end}")).map_or(0, |file| file.len());
        return (bytes("") + bytes("-wal")) as f64;
    }
    if let Some(address) = server.url.strip_prefix("redis://") {
        let mut redis = std::net::TcpStream::connect(address).unwrap();
        redis.write_all(b"INFO memory\r\nQUIT\r\n").unwrap();
        let mut text = String::new();
        redis.read_to_string(&mut text).unwrap();
        let line =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<f64>().unwrap();
        return line("used_memory_dataset:");
    }
    let pool = sqlx::PgPool::connect(&server.url).await.unwrap();
    let query = sqlx::query_scalar::<_, i64>("SELECT pg_total_relation_size('codehost_oauth_tokens')");
    let bytes = query.fetch_one(&pool).await.unwrap();
    pool.close().await;
    bytes as f64
}
