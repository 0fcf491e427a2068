use codehost_oauth::testing::bitbucket_data_center::Licence;
use codehost_oauth::testing::{FakeApplication, FakeBitbucketDataCenter, FakeError};

use super::super::{CALLBACK, client, encoded, form, get, param, send, with};
use super::{ID, REQUEST, SECRET, builder, code, exchange, page, start, token};

#[tokio::test]
async fn a_browser_can_allow_and_deny() {
    let fake = start().await;
    let consent = get(&page(&fake, &with(&REQUEST, "state", "a\"<&é"))).await;
    assert!(consent.body.contains("name=\"state\" value=\"a&quot;&lt;&amp;é\""), "{}", consent.body);
    assert_eq!(consent.body.matches("<form method=\"post\"").count(), 2);

    let url = format!("{}/rest/oauth2/1.0/authorize", fake.base_url());
    let allowed = send(form(&url, &with(&REQUEST, "user", "jdoe"))).await;
    let code = param(allowed.header("location"), "code");
    assert_eq!((allowed.status, allowed.header("location")), (302, &*format!("{CALLBACK}?code={code}&state=st-123")));
    assert_eq!(token(&fake, &exchange(&code)).await.status, 200);

    let denied = send(form(&url, &with(&REQUEST, "action", "deny"))).await;
    assert_eq!(param(denied.header("location"), "error"), "access_denied");
    assert_eq!(param(denied.header("location"), "state"), "st-123");
    assert_eq!(fake.deny(&page(&fake, &REQUEST)).unwrap(), denied.header("location"));
}

#[tokio::test]
async fn wrong_clients_and_redirect_urls_get_a_page() {
    let fake = start().await;
    for (name, value) in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "http://127.0.0.1:9000/callback/"),
        ("redirect_uri", "http://127.0.0.1:9000/Callback"),
        ("redirect_uri", "http://127.0.0.1:9001/callback"),
        ("redirect_uri", ""),
    ] {
        let url = page(&fake, &with(&REQUEST, name, value));
        assert!(matches!(fake.authorize(&url, "jdoe"), Err(FakeError::Page(_))), "{name}={value}");
        assert!(matches!(fake.deny(&url), Err(FakeError::Page(_))), "{name}={value}");
        let shown = get(&url).await;
        assert_eq!((shown.status, shown.header("location")), (400, ""), "{name}={value}");
        assert!(shown.header("content-type").starts_with("text/html"));
    }
    let elsewhere = format!("{}/rest/oauth2/latest/token?{}", fake.base_url(), encoded(&REQUEST));
    assert_eq!(fake.authorize(&elsewhere, "jdoe"), Err(FakeError::Url));
    let nobody = fake.authorize(&page(&fake, &REQUEST), "nobody");
    assert_eq!(nobody, Err(FakeError::UnknownUser("nobody".to_owned())));
}

#[tokio::test]
async fn a_link_has_one_redirect_url_unless_a_switch_says_more() {
    let second = "http://127.0.0.1:9000/second";
    let both = format!("{CALLBACK},{second}");
    for (several, status) in [(false, 400), (true, 200)] {
        let app = FakeApplication::new(ID, SECRET, &both, "REPO_READ");
        let fake = FakeBitbucketDataCenter::builder().several_redirect_urls(several).application(app);
        let fake = fake.start().await.unwrap();
        for url in [CALLBACK, second] {
            assert_eq!(get(&page(&fake, &with(&REQUEST, "redirect_uri", url))).await.status, status, "{several} {url}");
        }
    }
    let mut app = FakeApplication::new(ID, SECRET, CALLBACK, "REPO_READ");
    app.redirect_uris.push(second.to_owned());
    let fake = FakeBitbucketDataCenter::builder().application(app).start().await.unwrap();
    assert_eq!(get(&page(&fake, &with(&REQUEST, "redirect_uri", second))).await.status, 400);
}

#[tokio::test]
async fn other_errors_go_to_the_callback_url_or_stay_on_the_page() {
    let wrong = [
        ("scope", "REPO_READ read_user", "invalid_scope"),
        ("scope", "REPO_READ,REPO_WRITE", "invalid_scope"),
        ("scope", "PROJECT_ADMIN", "invalid_scope"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
    ];
    let fake = start().await;
    let stuck = builder().errors_on_page(true).start().await.unwrap();
    for (name, value, error) in wrong {
        let params = with(&REQUEST, name, value);
        // The page for consent never appears.
        let response = get(&page(&fake, &params)).await;
        assert_eq!((response.status, &*param(response.header("location"), "error")), (302, error), "{name}={value}");
        assert_eq!(fake.authorize(&page(&fake, &params), "jdoe").unwrap(), response.header("location"));
        assert_eq!(param(response.header("location"), "state"), "st-123");
        assert_eq!(get(&page(&stuck, &params)).await.status, 400, "{name}={value}");
    }
    assert_eq!(param(&stuck.deny(&page(&stuck, &REQUEST)).unwrap(), "error"), "access_denied");
}

#[tokio::test]
async fn scopes_have_a_ceiling_and_imply_others() {
    async fn granted(fake: &FakeBitbucketDataCenter, scope: &str) -> String {
        let callback = fake.authorize(&page(fake, &with(&REQUEST, "scope", scope)), "jdoe").unwrap();
        if callback.contains("error=") {
            return param(&callback, "error");
        }
        token(fake, &exchange(&param(&callback, "code"))).await.text("scope")
    }
    let link = |scopes: &str| {
        let app = FakeApplication::new(ID, SECRET, CALLBACK, scopes);
        FakeBitbucketDataCenter::builder().application(app)
    };
    // Nothing is ticked.
    let fake = link("").start().await.unwrap();
    assert_eq!(granted(&fake, "PUBLIC_REPOS").await, "PUBLIC_REPOS");
    assert_eq!(granted(&fake, "").await, "PUBLIC_REPOS");
    assert_eq!(granted(&fake, "REPO_READ").await, "invalid_scope");

    let fake = link("REPO_WRITE").start().await.unwrap();
    assert_eq!(granted(&fake, "").await, "PUBLIC_REPOS");
    assert_eq!(granted(&fake, "REPO_READ PUBLIC_REPOS REPO_READ").await, "REPO_READ PUBLIC_REPOS");
    assert_eq!(granted(&fake, "REPO_ADMIN").await, "invalid_scope");

    let fake = link("REPO_WRITE").narrow_scopes(true).missing_scope_takes_all(true).start().await.unwrap();
    assert_eq!(granted(&fake, "REPO_ADMIN").await, "REPO_WRITE");
    assert_eq!(granted(&fake, "ADMIN_WRITE").await, "PUBLIC_REPOS");
    assert_eq!(granted(&fake, "").await, "REPO_WRITE");
    assert_eq!(granted(&fake, "WRITE").await, "invalid_scope");

    let fake = link("PROJECT_ADMIN SYSTEM_ADMIN").wide_scopes(true).list_implied_scopes(true).start().await.unwrap();
    assert_eq!(granted(&fake, "REPO_WRITE").await, "PUBLIC_REPOS REPO_READ REPO_WRITE");
    assert_eq!(granted(&fake, "ADMIN_WRITE").await, "PUBLIC_REPOS ADMIN_WRITE");
    let fake = link("PROJECT_ADMIN SYSTEM_ADMIN").start().await.unwrap();
    assert_eq!(granted(&fake, "REPO_READ").await, "invalid_scope");
    assert_eq!(granted(&fake, "ADMIN_WRITE").await, "invalid_scope");
}

#[tokio::test]
async fn the_state_is_decoded_before_it_comes_back() {
    let fake = start().await;
    for (sent, back) in [("aZ09-._~", "aZ09-._~"), ("a%2Bb+c", "a+b c")] {
        let callback = fake.authorize(&page(&fake, &with(&REQUEST, "state", sent)), "jdoe").unwrap();
        assert_eq!(param(&callback, "state"), back);
    }
}

#[tokio::test]
async fn consent_can_be_remembered() {
    for (remember, status) in [(true, 302), (false, 200)] {
        let fake = builder().remember_consent(remember).start().await.unwrap();
        let url = page(&fake, &REQUEST);
        let action = format!("{}/rest/oauth2/latest/authorize", fake.base_url());
        let allowed = send(form(&action, &with(&REQUEST, "user", "Åsa Lind"))).await;
        let cookie = allowed.header("set-cookie").split(';').next().unwrap().to_owned();
        let browser = |url: &str| send(client().get(url).header("Cookie", &cookie));
        assert_eq!(browser(&url).await.status, 200, "no token yet");
        let response = token(&fake, &exchange(&param(allowed.header("location"), "code"))).await;
        let again = browser(&url).await;
        assert_eq!(again.status, status);
        if remember {
            let code = param(again.header("location"), "code");
            assert_eq!(token(&fake, &exchange(&code)).await.text("scope"), response.text("scope"));
        }
        assert_eq!(browser(&page(&fake, &with(&REQUEST, "scope", "REPO_WRITE"))).await.status, 200);
        fake.revoke_all();
        assert_eq!(browser(&url).await.status, 200);
    }
}

#[tokio::test]
async fn an_expired_licence_can_stop_logins() {
    let fake = builder().licence(Licence::Expired).start().await.unwrap();
    assert_eq!(token(&fake, &exchange(&code(&fake, "jdoe"))).await.status, 200);
    let fake = builder().licence(Licence::ExpiredWithoutLogin).start().await.unwrap();
    assert!(matches!(fake.authorize(&page(&fake, &REQUEST), "jdoe"), Err(FakeError::Page(_))));
    assert_eq!(get(&page(&fake, &REQUEST)).await.status, 400);
}
