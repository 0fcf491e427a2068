use std::time::{Duration, SystemTime};

use codehost_oauth::testing::github::ServerKind;

use super::*;

#[tokio::test]
async fn the_primary_limit_is_the_users() {
    let fake = start().await;
    let (token, other) = (access(&fake, "janedoe", "").await, access(&fake, "janedoe", "repo").await);
    let first = api(&fake, "/user", &token).await;
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("5000", "4999"));
    assert_eq!(api(&fake, "/user", &other).await.header("x-ratelimit-remaining"), "4998");
    assert_eq!(api(&fake, "/meta", "").await.header("x-ratelimit-limit"), "60");
    fake.exhaust_rate_limit("janedoe");
    let refused = api(&fake, "/user", &token).await;
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (403, "0"));
    assert!(refused.text("message").starts_with("API rate limit exceeded for user ID 12345678. "));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let reset: u64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert!((now + 3590..=now + 3600).contains(&reset), "{reset}");
    assert!(!refused.headers.contains_key("retry-after"));
    let owner = access(&fake, "owner", "").await;
    assert_eq!(api(&fake, "/user", &owner).await.status, 200);
    fake.advance(Duration::from_secs(3601));
    assert_eq!(api(&fake, "/user", &token).await.status, 200);

    let fake = builder().rate_limit(Some(2)).rate_limit_status(429).start().await.unwrap();
    let token = access(&fake, "janedoe", "").await;
    for status in [200, 200, 429, 429] {
        assert_eq!(api(&fake, "/user", &token).await.status, status);
    }
    let fake = builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    let token = access(&fake, "janedoe", "").await;
    fake.exhaust_rate_limit("janedoe");
    assert_eq!(api(&fake, "/user", &token).await.status, 200);
}

#[tokio::test]
async fn the_secondary_limit_has_its_own_text() {
    let fake = start().await;
    let token = access(&fake, "janedoe", "").await;
    fake.start_secondary_limit(Some(Duration::from_secs(30)));
    let response = api(&fake, "/user", &token).await;
    let text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    assert_refused(&response, 403, text);
    assert_eq!(members(&response.body), ["documentation_url", "message"]);
    assert_eq!(response.header("retry-after"), "30");
    assert_ne!(response.header("x-ratelimit-remaining"), "0");
    assert_refused(&super::token(&fake, &exchange("0")).await, 403, text);
    fake.advance(Duration::from_secs(31));
    assert_eq!(api(&fake, "/user", &token).await.status, 200);
    fake.start_secondary_limit(None);
    assert!(!api(&fake, "/user", &token).await.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn failed_logins_lock_good_credentials_out() {
    let fake = builder().failed_login_limit(3).start().await.unwrap();
    let token = access(&fake, "janedoe", "").await;
    for _ in 0..3 {
        assert_eq!(api(&fake, "/user", "gho_0").await.status, 401);
    }
    assert_eq!(api(&fake, "/user", &token).await.status, 403);
    fake.advance(Duration::from_secs(601));
    assert_eq!(api(&fake, "/user", &token).await.status, 200);
}
