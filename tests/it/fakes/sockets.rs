use std::time::{Duration, Instant};

use codehost_oauth::testing::FakeGitLab;

use super::{client, form, get, send};
use crate::support::free_address;

#[tokio::test]
async fn requests_are_recorded_without_secrets_in_debug() {
    let fake = FakeGitLab::builder().start().await.unwrap();
    let url = format!("{}/oauth/token?q=query", fake.base_url());
    send(form(&url, &[("client_secret", "hidden")]).header("X-Test", "yes")).await;
    let requests = fake.requests();
    assert_eq!(requests[0].path, "/gitlab/oauth/token?q=query");
    assert_eq!(requests[0].header("x-test"), Some("yes"));
    assert_eq!(requests[0].form("client_secret").as_deref(), Some("hidden"));
    assert_eq!(format!("{:?}", requests[0]), "RecordedRequest(POST /gitlab/oauth/token)");
    assert_eq!((fake.count("/oauth/token"), fake.count("/user")), (1, 0));
    fake.clear_requests();
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn connections_are_reused() {
    let fake = FakeGitLab::builder().start().await.unwrap();
    let client = client();
    for _ in 0..5 {
        send(client.get(fake.base_url())).await;
    }
    assert_eq!((fake.requests().len(), fake.connections()), (5, 1));
}

#[tokio::test]
async fn responses_can_be_scripted_lost_and_delayed() {
    let fake = FakeGitLab::builder().start().await.unwrap();
    let url = format!("{}/api/v4/user", fake.base_url());
    fake.respond_next("/user", 429, &[("Retry-After", "7"), ("Content-Type", "text/plain")], "Retry later\n");
    fake.respond_next("/user", 502, &[], "<html>");
    fake.respond_next("/version", 503, &[], "");
    let limited = get(&url).await;
    assert_eq!((limited.status, limited.header("retry-after"), limited.body.as_str()), (429, "7", "Retry later\n"));
    assert_eq!(get(&url).await.status, 502);
    assert_eq!(get(&url).await.status, 401);

    fake.lose_next_response("/user");
    assert!(client().get(&url).send().await.is_err());
    assert_eq!(get(&url).await.status, 401);

    fake.set_latency(Duration::from_millis(80));
    let start = Instant::now();
    get(&url).await;
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_stopped_fake_frees_its_port() {
    let address = free_address();
    let fake = FakeGitLab::builder().sub_path("").listen(address).start().await.unwrap();
    assert_eq!(fake.base_url(), format!("http://{address}"));
    fake.stop().await;
    let again = FakeGitLab::builder().listen(address).start().await.unwrap();
    assert_eq!(again.base_url(), format!("http://{address}/gitlab"));
    let url = again.base_url().to_owned();
    drop(again);
    // A dropped fake stops when its task runs the next time.
    while client().get(&url).send().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
