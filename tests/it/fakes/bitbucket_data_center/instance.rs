use std::time::Duration;

use codehost_oauth::testing::bitbucket_data_center::Maintenance;
use codehost_oauth::testing::{FakeBitbucketDataCenter, FakeError};

use super::super::{get, get_with_token};
use super::{REQUEST, anonymous, api, builder, exchange, log_in, outcome, page, start, token};

#[tokio::test]
async fn anybody_can_read_the_version() {
    let fake = start().await;
    let expected =
        r#"{"version":"9.4.0","buildNumber":"9004000","buildDate":"1730000000000","displayName":"Bitbucket"}"#;
    for api in ["latest", "1.0"] {
        let response = get(&format!("{}/rest/api/{api}/application-properties", fake.base_url())).await;
        assert_eq!((response.status, &*response.body), (200, expected));
    }
    assert_eq!(get(&format!("{}/rest/api/2.0/application-properties", fake.base_url())).await.status, 404);
    let client = get(&format!("{}/rest/oauth2/1.0/client", fake.base_url())).await;
    assert_eq!(outcome(&client), (401, false));
    let fake = builder().version("8.19.14").display_name("Code").numeric_build(true).start().await.unwrap();
    let expected = r#"{"version":"8.19.14","buildNumber":8019014,"buildDate":1730000000000,"displayName":"Code"}"#;
    assert_eq!(anonymous(&fake, "application-properties").await.body, expected);
}

#[tokio::test]
async fn versions_before_7_20_have_no_oauth2() {
    for (version, has_oauth2) in
        [("7.19.4", false), ("6.10.17", false), ("7.20.0", true), ("7.21", true), ("10.4.1", true)]
    {
        let fake = builder().version(version).start().await.unwrap();
        assert_eq!(anonymous(&fake, "application-properties").await.text("version"), version);
        let client = get(&format!("{}/rest/oauth2/1.0/client", fake.base_url())).await;
        assert_eq!(client.status, if has_oauth2 { 401 } else { 404 }, "{version}");
        assert_eq!(get(&page(&fake, &REQUEST)).await.status, if has_oauth2 { 200 } else { 404 }, "{version}");
        let probe = token(&fake, &exchange("made-up")).await;
        assert_eq!(probe.status, if has_oauth2 { 400 } else { 404 }, "{version}");
        let authorized = fake.authorize(&page(&fake, &REQUEST), "jdoe");
        assert_eq!(matches!(authorized, Err(FakeError::Page(_))), !has_oauth2, "{version}");
    }
}

#[tokio::test]
async fn the_context_path_is_part_of_every_url() {
    let fake = start().await;
    let (root, _) = fake.base_url().rsplit_once('/').unwrap();
    assert!(fake.base_url().ends_with("/bitbucket"));
    for path in ["", "/stash", "/bitbucketx", "/other/bitbucket"] {
        let response = get(&format!("{root}{path}/rest/api/latest/application-properties")).await;
        assert_eq!(response.status, 404, "{path}");
        assert!(response.header("content-type").starts_with("text/html"), "{path}");
    }
    let bare = FakeBitbucketDataCenter::builder().sub_path("").start().await.unwrap();
    assert_eq!(anonymous(&bare, "application-properties").await.status, 200);
    let stash = FakeBitbucketDataCenter::builder().sub_path("/stash/").start().await.unwrap();
    assert!(stash.base_url().ends_with("/stash"));
    assert_eq!(anonymous(&stash, "application-properties").await.status, 200);
}

#[tokio::test]
async fn requests_are_limited_per_user() {
    let fake = builder().rate_limit(3, 2, Duration::from_secs(60)).start().await.unwrap();
    let jdoe = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    let other = log_in(&fake, "jdoe2", "PUBLIC_REPOS").await;
    for remaining in ["2", "1", "0"] {
        let response = api(&fake, "application-properties", &jdoe).await;
        assert_eq!((response.status, response.header("x-ratelimit-remaining")), (200, remaining));
        assert_eq!(response.header("retry-after"), "");
    }
    let limited = api(&fake, "users?limit=1", &jdoe).await;
    assert_eq!((outcome(&limited), &*limited.body), ((429, true), ""));
    let headers = ["limit", "remaining", "interval-seconds", "fillrate"];
    assert_eq!(headers.map(|name| limited.header(&format!("x-ratelimit-{name}"))), ["3", "0", "60", "2"]);
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(api(&fake, "application-properties", &other).await.status, 200);
    assert_eq!(outcome(&anonymous(&fake, "application-properties").await), (200, false));
    fake.advance(Duration::from_secs(wait));
    assert_eq!(api(&fake, "application-properties", &jdoe).await.header("x-ratelimit-remaining"), "1");
}

#[tokio::test]
async fn maintenance_has_three_forms() {
    let fake = start().await;
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    for (kind, status, media_type) in [
        (Maintenance::Json, 503, "application/json"),
        (Maintenance::Html, 503, "text/html"),
        (Maintenance::HtmlOk, 200, "text/html"),
    ] {
        fake.set_maintenance(Some(kind));
        let responses = [
            api(&fake, "application-properties", &access).await,
            token(&fake, &exchange("made-up")).await,
            get(&page(&fake, &REQUEST)).await,
        ];
        for response in responses {
            assert_eq!(outcome(&response), (status, false), "{kind:?}");
            assert!(response.header("content-type").starts_with(media_type), "{kind:?}");
        }
        assert!(matches!(fake.authorize(&page(&fake, &REQUEST), "jdoe"), Err(FakeError::Page(_))));
    }
    fake.set_maintenance(None);
    assert_eq!(outcome(&api(&fake, "application-properties", &access).await), (200, true));
    let fake = builder().maintenance(Some(Maintenance::Json)).start().await.unwrap();
    assert_eq!(anonymous(&fake, "application-properties").await.status, 503);
}

#[tokio::test]
async fn proxies_close_or_redirect() {
    let fake = builder().closed_to_anonymous(true).start().await.unwrap();
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    assert_eq!(outcome(&anonymous(&fake, "application-properties").await), (401, false));
    assert_eq!(outcome(&api(&fake, "application-properties", "x").await), (401, false));
    assert_eq!(outcome(&api(&fake, "application-properties", &access).await), (200, true));
    let fake = builder().login_redirect(true).start().await.unwrap();
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    let redirect = api(&fake, "application-properties", &access).await;
    let login = format!("{}/login?next=%2Frest%2Fapi%2Flatest%2Fapplication-properties", fake.base_url());
    assert_eq!((redirect.status, redirect.header("location")), (302, &*login));
}

#[tokio::test]
async fn errors_have_their_form() {
    let body = |message: &str, details: &str| {
        let name = r#""exceptionName":"com.atlassian.bitbucket.AuthorisationException""#;
        format!(r#"{{"errors":[{{"context":null,"message":{message},{name}{details}}}]}}"#)
    };
    let fake = start().await;
    let text = r#""You are not permitted to access this resource""#;
    assert_eq!(anonymous(&fake, "users?limit=1").await.body, body(text, r#","details":[]"#));
    let fake = builder().error_details(false).null_messages(true).start().await.unwrap();
    assert_eq!(anonymous(&fake, "users?limit=1").await.body, body("null", ""));
    let post = format!("{}/rest/api/latest/users", fake.base_url());
    assert_eq!(super::send(super::form(&post, &[])).await.status, 405);
}

#[tokio::test]
async fn whoami_is_empty_since_8_19_14() {
    for (version, name) in [("8.19.13", "ann.lee@example.com"), ("8.19.14", ""), ("9.0.0", "")] {
        let fake = builder().version(version).start().await.unwrap();
        let access = log_in(&fake, "ann.lee@example.com", "PUBLIC_REPOS").await;
        let url = format!("{}/plugins/servlet/applinks/whoami", fake.base_url());
        let response = get_with_token(&url, &access).await;
        assert_eq!((response.status, &*response.body), (200, name), "{version}");
    }
}
