//! The PostgreSQL of this run, and what it says about itself.

use std::fs;
use std::time::Duration;

use sqlx::PgPool;

use crate::scenario::Result;
use crate::servers::{Server, open};
use crate::support::table::{Table, grouped};

pub(super) struct Database {
    pub(super) url: String,
    pool: PgPool,
    _server: Server,
}

/// What it has done so far.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) statements: f64,
    /// User and system time of all its processes.
    pub(super) cpu: Duration,
    /// Bytes of its write-ahead log.
    pub(super) log: f64,
}

impl Database {
    /// With the default settings of PostgreSQL, except for the number of connections, and a counter of statements.
    pub(super) async fn start() -> Result<Self> {
        let mut server = Server::postgres().await?;
        let pool = PgPool::connect(&server.url).await?;
        for setting in ["max_connections = 400", "shared_preload_libraries = 'pg_stat_statements'"] {
            sqlx::query(&format!("ALTER SYSTEM SET {setting}")).execute(&pool).await?;
        }
        pool.close().await;
        server.restart().await?;
        while open(&server.url).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // One connection, so that the others are those of the nodes.
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(&server.url).await?;
        sqlx::query("CREATE EXTENSION pg_stat_statements").execute(&pool).await?;
        Ok(Self { url: server.url.clone(), pool, _server: server })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn number(&self, sql: &str) -> f64 {
        sqlx::query_scalar(&format!("SELECT ({sql})::float8")).fetch_one(&self.pool).await.unwrap()
    }

    /// The work so far, without that of this function.
    pub(super) async fn work(&self) -> Work {
        let statements = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%codehost_oauth_%'";
        Work {
            statements: self.number(statements).await,
            cpu: self.cpu().await,
            log: self.number("pg_current_wal_lsn() - '0/0'").await,
        }
    }

    /// The CPU time of the server and its children, also of those that have ended.
    async fn cpu(&self) -> Duration {
        let backend = self.number("pg_backend_pid()").await;
        let Some(backend) = stat(&format!("{backend:.0}")) else { return Duration::ZERO };
        let server = backend.parent;
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let all = processes.filter_map(|id| Some((stat(&id)?, id)));
        let ticks: u64 = all
            .map(|(process, id)| match (id == server, process.parent == server) {
                (true, _) => process.own + process.of_ended_children,
                (false, true) => process.own,
                (false, false) => 0,
            })
            .sum();
        // A tick is 10 ms on Linux.
        Duration::from_millis(ticks * 10)
    }

    /// Sizes, and what became of updates. Call it when the sessions of the stores have ended: only then are all counters written.
    pub(super) async fn tables(&self) {
        while self.number("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'").await > 1.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let columns = [
            "",
            "rows",
            "table, MiB",
            "index, MiB",
            "bytes for each row",
            "updates",
            "… in their page (HOT), %",
            "dead rows",
            "scans of the whole table",
        ];
        let table = Table::new("Tables", &columns);
        for name in ["codehost_oauth_tokens", "codehost_oauth_integrations"] {
            let bytes = self.number(&format!("pg_table_size('{name}')")).await;
            let index = self.number(&format!("pg_indexes_size('{name}')")).await;
            let counter = async |column: &str| {
                self.number(&format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = '{name}'")).await
            };
            let (rows, updates) = (counter("n_live_tup").await, counter("n_tup_upd").await);
            table.row(&[
                name.to_owned(),
                grouped(rows),
                grouped(bytes / MIB),
                grouped(index / MIB),
                grouped((bytes + index) / rows),
                grouped(updates),
                format!("{:.1}", 100.0 * counter("n_tup_hot_upd").await / updates.max(1.0)),
                grouped(counter("n_dead_tup").await),
                // Each index has counted one when it was created.
                grouped(
                    counter("seq_scan").await - counter("(SELECT count(*) FROM pg_index WHERE indrelid = relid)").await,
                ),
            ]);
        }
    }
}

impl Work {
    /// Since `before`, for each of `count`: statements, microseconds of CPU, bytes of the log.
    pub(super) fn since(&self, before: &Self, count: f64) -> [f64; 3] {
        let cpu = (self.cpu - before.cpu).as_secs_f64() * 1e6;
        [self.statements - before.statements, cpu, self.log - before.log].map(|all| all / count)
    }
}

struct Stat {
    parent: String,
    own: u64,
    of_ended_children: u64,
}

/// What `/proc` says about a process, in ticks; `None` if it has ended or there is no `/proc`.
fn stat(id: &str) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it is in parentheses, and may contain spaces.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    Some(Stat { parent: fields[1].to_owned(), own: ticks(11) + ticks(12), of_ended_children: ticks(13) + ticks(14) })
}

const MIB: f64 = 1024.0 * 1024.0;
