//! A node in a process of its own: its start, and its memory.

use std::process::Command;
use std::time::{Duration, Instant};

use codehost_oauth::FindIntegration as _;
use codehost_oauth::keeper::PostgresTokens;
use futures_util::{StreamExt as _, stream};

use super::Sizes;
use super::database::Database;
use super::integrations;
use crate::support::connections::Connections;
use crate::support::measure::memory;
use crate::support::table::{Table, grouped};

/// The first argument of the process.
pub(crate) const NODE: &str = "node";

/// What the process prints.
const FIGURES: [&str; 8] = [
    "start: both stores are open, ms",
    "memory then, MiB",
    "each integration is read and built once, ms",
    "memory then, MiB",
    "each is asked for again after a second: a statement each, ms",
    "tokens remembered",
    "… in ms",
    "memory then, MiB",
];

pub(super) async fn measure(database: &Database, sizes: &Sizes) {
    let title = format!("A node with {} integrations", grouped(sizes.integrations as f64));
    let table = Table::new(&title, &["", "figure", "statements"]);
    let tokens = sizes.connections[1].min(REMEMBERED);
    let mut node = Command::new(std::env::current_exe().unwrap());
    node.args([NODE, &database.url, &sizes.integrations.to_string(), &tokens.to_string()]);
    let before = database.work().await;
    let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [statements, cpu, _] = database.work().await.since(&before, 1.0);
    let text = String::from_utf8(output.stdout).unwrap();
    for (name, figure) in FIGURES.iter().zip(text.split_whitespace()) {
        table.row(&[(*name).to_owned(), figure.to_owned(), String::new()]);
    }
    table.row(&["all of it".to_owned(), format!("{:.0} ms of CPU of the database", cpu / 1e3), grouped(statements)]);
}

/// The process: its arguments are the URL, the number of integrations, and that of tokens.
pub(crate) fn work(args: &[String]) {
    let [url, count, tokens] = args else { unreachable!("{args:?}") };
    let (count, tokens): (usize, usize) = (count.parse().unwrap(), tokens.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let figures = runtime.block_on(async {
        let begun = Instant::now();
        let store = PostgresTokens::connect(url).await.unwrap();
        let integrations = integrations::open(url).await;
        let start = millis(begun);
        let at_start = memory() / 1024.0;

        let ids = integrations::ids(count);
        let find_all = async || {
            let begun = Instant::now();
            let find = async |id| assert!(integrations.find(id).await.unwrap().is_some());
            stream::iter(&ids).for_each_concurrent(16, find).await;
            millis(begun)
        };
        let build = find_all().await;
        let with_integrations = memory() / 1024.0;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let polled = find_all().await;

        let connections = Connections::new();
        let keeper = connections.keeper(store).fresh_for(Duration::from_secs(60)).build();
        let begun = Instant::now();
        let read = async |n| drop(keeper.access_token(&Connections::id(n)).await.unwrap());
        stream::iter(0..tokens).for_each_concurrent(16, read).await;
        let remember = millis(begun);
        let with_tokens = memory() / 1024.0;
        [start, at_start, build, with_integrations, polled, tokens as f64, remember, with_tokens]
    });
    println!("{}", figures.map(grouped).join(" "));
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

/// As many as a keeper remembers.
const REMEMBERED: usize = 65_536;
