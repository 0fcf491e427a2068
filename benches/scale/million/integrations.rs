//! 10,000 integrations in PostgreSQL: how they are stored, and the pages of their administrators.

use std::time::Instant;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::Response;
use codehost_oauth::admin::{AdminAccess, AdminRoutes, Administrator, Caller};
use codehost_oauth::error::AppError;
use codehost_oauth::router::{LoginHandler, LoginRoutes, RequestHead};
use codehost_oauth::settings::{
    AppConfig, IntegrationSecrets, IntegrationSettings, Integrations, PostgresIntegrations,
};
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, Integration, IntegrationId, Login};
use futures_util::{StreamExt as _, stream};
use tower::ServiceExt as _;

use super::Sizes;
use super::database::Database;
use crate::support::connections::ring;
use crate::support::measure::{cpu, median};
use crate::support::table::{Table, grouped};

pub(super) const PUBLIC_URL: &str = "https://packages.example.com";

/// The integrations in this database, as one more node of the app has them.
pub(super) async fn open(url: &str) -> Integrations {
    let http = HttpClient::builder(Network::public_only()).build().unwrap();
    let app = AppConfig::new(PUBLIC_URL.parse().unwrap(), http);
    Integrations::new(PostgresIntegrations::connect(url).await.unwrap(), app, ring())
}

pub(super) fn ids(count: usize) -> Vec<IntegrationId> {
    (0..count).map(|n| format!("tenant-{n}").parse().unwrap()).collect()
}

/// Each with its own transaction, as administrators save them.
pub(super) async fn fill(database: &Database, sizes: &Sizes) {
    let integrations = open(&database.url).await;
    let begun = Instant::now();
    let create = async |(n, id): (usize, IntegrationId)| {
        let base_url = format!("https://gitlab.tenant-{n}.example.com");
        let name = format!("GitLab of tenant {n}");
        let settings = IntegrationSettings::new("gitlab", &base_url, &name, &format!("{n:064x}"), Access::Read);
        let secrets = IntegrationSecrets::new(&format!("gloas-{n:064x}"));
        let owner = format!("organization-{}", n / sizes.of_owner);
        integrations.by("bench").create(&id, Some(&owner), settings, &secrets).await.unwrap();
    };
    stream::iter(ids(sizes.integrations).into_iter().enumerate()).for_each_concurrent(8, create).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("\n{} integrations were stored in {seconds:.1} s.", grouped(sizes.integrations as f64));
}

/// The list of one owner, and that of an owner who has all of them.
pub(super) async fn measure(database: &Database, sizes: &Sizes) {
    let columns = ["page of the list", "time, ms", "CPU of the node, ms", "statements", "size, KiB"];
    let table = Table::new("Pages of administrators", &columns);
    let integrations = open(&database.url).await;
    let logins = LoginRoutes::in_cookie(integrations.clone(), App, integrations.config().public_url(), ring());
    let admin = AdminRoutes::new(&logins, &integrations, App).unwrap();
    let router = Router::new().nest("/of/{owner}", admin.router()).nest("/of-nobody", admin.router());
    for (count, path, rounds) in [(sizes.of_owner, "/of/organization-0", 20), (sizes.integrations, "/of-nobody", 3)] {
        if path == "/of-nobody" {
            sqlx::query("UPDATE codehost_oauth_integrations SET owner = NULL").execute(database.pool()).await.unwrap();
        }
        list(&router, path, count).await;
        let (before, cpu_before) = (database.work().await, cpu());
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..rounds {
            let begun = Instant::now();
            bytes = list(&router, path, count).await;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let rounds = f64::from(rounds);
        let of_node = (cpu() - cpu_before).as_secs_f64() * 1e3 / rounds;
        let [statements, ..] = database.work().await.since(&before, rounds);
        table.row(&[
            format!("{} integrations", grouped(count as f64)),
            format!("{:.1}", median(times)),
            format!("{of_node:.1}"),
            format!("{statements:.1}"),
            grouped(bytes as f64 / 1024.0),
        ]);
    }
}

async fn list(router: &Router, path: &str, count: usize) -> usize {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let page = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = std::str::from_utf8(&page).unwrap();
    assert_eq!(text.matches("<article").count(), count);
    page.len()
}

/// An app whose visitors are all operators, and whose users are never logged in.
pub(super) struct App;

#[async_trait]
impl AdminAccess for App {
    async fn who(&self, _: &mut RequestHead, _: Option<&str>) -> Result<Caller, AppError> {
        Ok(Caller::Administrator(Administrator::new("olga", "Olga Operator").operator()))
    }
}

#[async_trait]
impl LoginHandler for App {
    async fn logged_in(&self, _: &mut RequestHead, _: &Integration, _: Login) -> Response {
        unreachable!("no login is finished")
    }
}
