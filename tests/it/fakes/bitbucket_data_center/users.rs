use codehost_oauth::testing::bitbucket_data_center::FakeUser;

use super::super::send;
use super::{anonymous, api, builder, client, code, exchange, log_in, outcome, refresh, start, token, values};

#[tokio::test]
async fn headers_name_the_user() {
    let fake = start().await;
    for (name, header, id) in [
        ("jdoe", "jdoe", "42"),
        ("ann.lee@example.com", "ann.lee%40example.com", "44"),
        ("CORP\\kim", "CORP%5Ckim", "45"),
        ("Åsa Lind", "%C3%85sa%20Lind", "46"),
        ("access-token-user/1/2", "access-token-user%2F1%2F2", "50"),
    ] {
        let access = log_in(&fake, name, "PUBLIC_REPOS").await;
        for call in ["application-properties", "users?limit=1", "nothing", "projects/NONE", "admin/groups"] {
            let response = api(&fake, call, &access).await;
            assert_eq!((response.header("x-ausername"), response.header("x-auserid")), (header, id), "{call}");
            assert!(response.header("set-cookie").starts_with("BITBUCKETSESSIONID="));
            assert!(!response.header("x-arequestid").is_empty());
        }
    }
    let fake = builder().user_id_header(false).form_encoded_user_name(true);
    let fake = fake.user(FakeUser::new(60, "~a b", "A B", "ab@example.com")).start().await.unwrap();
    let access = log_in(&fake, "~a b", "PUBLIC_REPOS").await;
    let response = api(&fake, "application-properties", &access).await;
    assert_eq!((response.header("x-ausername"), response.header("x-auserid")), ("%7Ea+b", ""));
}

#[tokio::test]
async fn a_bad_token_is_that_of_an_anonymous_caller() {
    let fake = start().await;
    let expired = log_in(&fake, "jdoe", "REPO_READ").await;
    fake.expire_all_tokens();
    for token in ["x", &expired] {
        assert_eq!(outcome(&api(&fake, "application-properties", token).await), (200, false));
        assert_eq!(outcome(&api(&fake, "users?limit=1", token).await), (401, false));
        assert_eq!(outcome(&api(&fake, "users/jdoe", token).await), (401, false));
        let memberships = api(&fake, "repos?projectkey=PROJ&permission=REPO_WRITE&limit=1", token).await;
        assert_eq!((outcome(&memberships), values(&memberships)), ((200, false), vec![]));
    }
    let good = log_in(&fake, "jdoe", "REPO_READ").await;
    assert_eq!(outcome(&anonymous(&fake, &format!("users?limit=1&access_token={good}")).await), (401, false));
    let url = format!("{}/rest/api/1.0/users?limit=1", fake.base_url());
    assert_eq!(send(client().get(&url).basic_auth("jdoe", Some(&good))).await.status, 401);
    assert_eq!(send(client().get(&url).bearer_auth(&good)).await.status, 200);

    let fake = builder().reject_bad_tokens(true).start().await.unwrap();
    assert_eq!(outcome(&api(&fake, "application-properties", "x").await), (401, false));
    assert_eq!(outcome(&anonymous(&fake, "application-properties").await), (200, false));
    let fake = builder().accept_access_tokens(false).start().await.unwrap();
    let access = log_in(&fake, "jdoe", "REPO_READ").await;
    assert_eq!(outcome(&api(&fake, "application-properties", &access).await), (200, false));
}

#[tokio::test]
async fn a_user_has_all_members_in_their_order() {
    let fake = start().await;
    let base = fake.base_url();
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    let jdoe = format!(
        "{{\"name\":\"jdoe\",\"emailAddress\":\"jdoe@example.com\",\"active\":true,\"displayName\":\"Jane Doe\",\"id\":42,\
         \"slug\":\"jdoe\",\"type\":\"NORMAL\",\"links\":{{\"self\":[{{\"href\":\"{base}/users/jdoe\"}}]}}}}"
    );
    assert_eq!(api(&fake, "users/jdoe", &access).await.body, jdoe);
    let page = api(&fake, "users?filter=jdoe@&limit=100", &access).await;
    let expected = format!(
        "{{\"values\":[{jdoe}],\"size\":1,\"limit\":100,\"isLastPage\":true,\"start\":0,\"nextPageStart\":null}}"
    );
    assert_eq!((&page.body, page.header("content-type")), (&expected, "application/json;charset=UTF-8"));
    let avatar = |user: serde_json::Value| user["avatarUrl"].as_str().map(str::to_owned);
    let own = api(&fake, "users/jdoe?avatarSize=64", &access).await.json();
    assert_eq!(avatar(own).as_deref(), Some("/bitbucket/users/jdoe/avatar.png?s=64"));
    let other = api(&fake, "users/_sa_lind?avatarSize=64", &access).await;
    assert!(avatar(other.json()).unwrap().starts_with("https://www.gravatar.com/"));
    assert_eq!(api(&fake, "users/nomail", &access).await.json().get("emailAddress"), None);
    assert_eq!(api(&fake, "users/emptymail", &access).await.text("emailAddress"), "");
    assert_eq!(api(&fake, "users/ina", &access).await.json()["active"], false);
}

#[tokio::test]
async fn a_name_is_not_a_slug() {
    let fake = start().await;
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    for (name, slug) in [("ann.lee%40example.com", "ann.lee_example.com"), ("CORP%5Ckim", "corp_kim")] {
        let missing = api(&fake, &format!("users/{name}"), &access).await;
        let exception = missing.json()["errors"][0]["exceptionName"].clone();
        assert_eq!((missing.status, exception), (404, "com.atlassian.bitbucket.user.NoSuchUserException".into()));
        assert_eq!(api(&fake, &format!("users/{slug}"), &access).await.text("slug"), slug);
    }
    fake.rename("jdoe", "Jane.Doe@example.com");
    assert_eq!(api(&fake, "users/jdoe", &access).await.status, 404);
    let renamed = api(&fake, "users/jane.doe_example.com", &access).await;
    assert_eq!((renamed.header("x-ausername"), &renamed.json()["id"]), ("Jane.Doe%40example.com", &42.into()));
}

#[tokio::test]
async fn the_list_is_searched_and_has_pages() {
    let fake = start().await;
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    // In name, display name and address, in any case.
    assert_eq!(values(&api(&fake, "users?filter=JDOE", &access).await), ["jdoe2", "jdoe"]);
    assert_eq!(values(&api(&fake, "users?filter=ann%20l", &access).await), ["ann.lee@example.com"]);
    assert_eq!(values(&api(&fake, "users?filter=kim%40ex", &access).await), ["CORP\\kim"]);
    assert_eq!(values(&api(&fake, "users?filter=nobody", &access).await), [""; 0]);
    let (mut found, mut start, mut steps) = (Vec::new(), 0, Vec::new());
    loop {
        let page = api(&fake, &format!("users?filter=e&limit=3&start={start}"), &access).await;
        found.extend(values(&page));
        let json = page.json();
        assert_eq!(json["size"], json["values"].as_array().unwrap().len());
        let Some(next) = json["nextPageStart"].as_u64() else {
            assert_eq!(json["isLastPage"], true);
            break;
        };
        assert_eq!(json["isLastPage"], false);
        steps.push(next - start);
        start = next;
    }
    // Entries that the filter does not find have a position, too.
    assert!(found.len() > 6 && steps.iter().any(|step| *step != 3), "{found:?} {steps:?}");
    for call in ["users?limit=0", "users?limit=x", "users?start=-1"] {
        assert_eq!(api(&fake, call, &access).await.status, 400, "{call}");
    }
    let capped = builder().largest_page(2).start().await.unwrap();
    let access = log_in(&capped, "jdoe", "PUBLIC_REPOS").await;
    let page = api(&capped, "users?limit=100", &access).await;
    assert_eq!((values(&page).len(), &page.json()["limit"]), (2, &2.into()));
}

#[tokio::test]
async fn service_users_are_listed_only_with_the_switch() {
    for listed in [false, true] {
        let fake = builder().list_service_users(listed).start().await.unwrap();
        let access = log_in(&fake, "access-token-user/1/2", "PUBLIC_REPOS").await;
        let page = api(&fake, "users?filter=access-token-user/1/2", &access).await;
        assert_eq!((values(&page).len(), page.header("x-auserid")), (usize::from(listed), "50"));
        let one = api(&fake, "users/access-token-user_1_2", &access).await;
        assert_eq!(one.status, if listed { 200 } else { 404 });
        assert!(!listed || one.text("type") == "SERVICE");
    }
}

#[tokio::test]
async fn the_list_can_be_closed() {
    let fake = builder().closed_user_list(true).start().await.unwrap();
    let access = log_in(&fake, "jdoe", "PUBLIC_REPOS").await;
    assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (401, true));
    assert_eq!(outcome(&api(&fake, "users/jdoe", &access).await), (401, true));
    let access = log_in(&fake, "admin", "PUBLIC_REPOS").await;
    assert_eq!(outcome(&api(&fake, "users?limit=1", &access).await), (200, true));
}

#[tokio::test]
async fn deactivated_users_keep_their_tokens_or_lose_them() {
    for stop in [false, true] {
        let fake = builder().stop_inactive_users(stop).start().await.unwrap();
        let response = token(&fake, &exchange(&code(&fake, "jdoe"))).await;
        fake.block("jdoe");
        let own = api(&fake, "users/jdoe", &response.text("access_token")).await;
        assert_eq!(outcome(&own), if stop { (401, false) } else { (200, true) });
        assert!(stop || own.json()["active"] == false);
        let renewed = token(&fake, &refresh(&response.text("refresh_token"))).await;
        assert_eq!(renewed.status, if stop { 400 } else { 200 });
    }
}

#[tokio::test]
async fn a_captcha_is_required() {
    let fake = start().await;
    let mut user = FakeUser::captcha();
    for status in [401, 403] {
        user.captcha = Some(status);
        fake.add_user(user.clone());
        let access = log_in(&fake, "cap", "PUBLIC_REPOS").await;
        let response = api(&fake, "application-properties", &access).await;
        assert_eq!(outcome(&response), (status, false));
        let name = "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException";
        assert_eq!(response.json()["errors"][0]["exceptionName"], name);
        assert!(response.header("x-authentication-denied-reason").starts_with("CAPTCHA_CHALLENGE"));
    }
}
