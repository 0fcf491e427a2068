//! Login pages under load: what one core does, and how long a browser waits at a given rate.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use codehost_oauth::IntegrationId;
use codehost_oauth::router::{CsrfToken, LoginRoutes, SqliteSessions};
use tower::ServiceExt as _;
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use super::Sizes;
use super::database::Database;
use super::integrations::{self, App};
use crate::servers::Server;
use crate::support::connections::ring;
use crate::support::measure::{cpu, memory, quantile};
use crate::support::table::{Table, grouped};

pub(super) async fn measure(database: &Database, sizes: &Sizes) {
    let rate = format!("at {} a second: reached", grouped(sizes.begins_per_second as f64));
    let columns = [
        "a login page, and the button on it",
        "each second",
        "CPU of the node, µs",
        "statements for each",
        &rate,
        "refused",
        "median, ms",
        "the slowest in a hundred, ms",
        "memory it took, MiB",
    ];
    let table = Table::new("Login pages", &columns);
    let integrations = integrations::open(&database.url).await;
    let public_url = integrations.config().public_url().clone();
    let file = Server::sqlite().unwrap();
    let path = file.url.strip_prefix("sqlite:").unwrap();
    let in_session = || LoginRoutes::in_session(integrations.clone(), App, &public_url).router();
    let lax = SameSite::Lax;
    let in_sqlite = SessionManagerLayer::new(SqliteSessions::open(path).await.unwrap()).with_same_site(lax);
    let in_memory = SessionManagerLayer::new(MemoryStore::default()).with_same_site(lax);
    let cookies = LoginRoutes::in_cookie(integrations.clone(), App, &public_url, ring()).router();
    let (one, all) = (integrations::ids(1), integrations::ids(sizes.integrations));
    let ways = [
        ("cookies, one integration", cookies.clone(), &one),
        ("cookies, a different integration each time", cookies, &all),
        ("sessions in memory", in_session().layer(in_memory), &all),
        ("sessions in SQLite", in_session().layer(in_sqlite), &all),
    ];
    for (name, router, ids) in ways {
        assert!(begin(&router, &ids[0]).await, "{name}");
        let before = database.work().await;
        let (at_once, of_node, count) = as_many_as_possible(&router, ids, sizes.for_each / 3).await;
        let [statements, ..] = database.work().await.since(&before, count);
        let memory_before = memory();
        let (reached, refused, waits) = at_rate(&router, ids, sizes).await;
        table.row(&[
            name.to_owned(),
            grouped(at_once),
            grouped(of_node),
            format!("{statements:.2}"),
            grouped(reached),
            grouped(refused),
            format!("{:.1}", quantile(waits.clone(), 0.5)),
            format!("{:.1}", quantile(waits, 0.99)),
            grouped((memory() - memory_before) / 1024.0),
        ]);
    }
}

/// Browsers that come one after the other, 16 at the same time: how many each second, the CPU of each, and how many.
async fn as_many_as_possible(router: &Router, ids: &[IntegrationId], for_each: Duration) -> (f64, f64, f64) {
    let (begun, cpu_before, next) = (Instant::now(), cpu(), std::cell::Cell::new(0));
    let browsers = (0..16).map(async |_| {
        while begun.elapsed() < for_each {
            next.set(next.get() + 1);
            assert!(begin(router, &ids[next.get() * 7919 % ids.len()]).await);
        }
    });
    futures_util::future::join_all(browsers).await;
    let count = next.get() as f64;
    (count / begun.elapsed().as_secs_f64(), (cpu() - cpu_before).as_secs_f64() * 1e6 / count, count)
}

/// Browsers that come at a rate, however long the others wait: the rate at which they were served, how many were refused, and how
/// long each waited in milliseconds.
async fn at_rate(router: &Router, ids: &[IntegrationId], sizes: &Sizes) -> (f64, f64, Vec<f64>) {
    let count = (sizes.begins_per_second as f64 * sizes.for_each.as_secs_f64()) as usize;
    let begun = tokio::time::Instant::now();
    let mut browsers = Vec::new();
    for n in 0..count {
        let comes = begun + Duration::from_secs_f64(n as f64 / sizes.begins_per_second as f64);
        tokio::time::sleep_until(comes).await;
        let (router, id) = (router.clone(), ids[n * 7919 % ids.len()].clone());
        browsers.push(tokio::spawn(async move {
            let is_served = begin(&router, &id).await;
            (is_served, comes.elapsed().as_secs_f64() * 1e3)
        }));
    }
    let (mut served, mut waits) = (0.0, Vec::new());
    for browser in browsers {
        let (is_served, wait) = browser.await.unwrap();
        served += f64::from(u8::from(is_served));
        waits.push(wait);
    }
    (served / begun.elapsed().as_secs_f64(), count as f64 - served, waits)
}

/// A new browser opens the login page and presses the button. `false` if the database or the session store took too long.
async fn begin(router: &Router, id: &IntegrationId) -> bool {
    let path = format!("/login/{id}");
    let response = router.clone().oneshot(Request::get(&path).body(Body::empty()).unwrap()).await.unwrap();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        return false;
    }
    let cookies = cookies(response.headers());
    let page = text(response).await;
    let (_, field) = page.split_once(&format!("name=\"{}\" value=\"", CsrfToken::FIELD)).unwrap();
    let token = field.split('"').next().unwrap();
    let form = Request::post(&path).header(COOKIE, cookies).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = form.body(Body::from(format!("{}={token}", CsrfToken::FIELD))).unwrap();
    let response = router.clone().oneshot(form).await.unwrap();
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        return false;
    }
    let location = response.headers().get(LOCATION).unwrap_or_else(|| panic!("{}", response.status()));
    assert!(location.to_str().unwrap().starts_with("https://gitlab.tenant-"), "{location:?}");
    true
}

fn cookies(headers: &HeaderMap) -> String {
    let cookies = headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    cookies.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}
