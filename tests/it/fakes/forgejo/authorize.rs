use codehost_oauth::testing::FakeError;

use super::*;

#[tokio::test]
async fn errors_without_a_callback_are_pages_with_status_400() {
    let fake = start().await;
    for (name, value, text) in [
        ("client_id", "nobody", "Client ID not registered"),
        ("client_id", "", "Client ID not registered"),
        ("redirect_uri", "http://127.0.0.1:9000/callback/", "Unregistered Redirect URI"),
        ("redirect_uri", "HTTP://127.0.0.1:9000/callback", "Unregistered Redirect URI"),
        ("redirect_uri", "http://127.0.0.1:9000/callback?x=1", "Unregistered Redirect URI"),
        ("redirect_uri", "", "Unregistered Redirect URI"),
    ] {
        let url = page(&fake, &with(&REQUEST, name, value));
        let refused = Err(FakeError::Page(text.to_owned()));
        assert_eq!((fake.authorize(&url, "jane"), fake.deny(&url)), (refused.clone(), refused), "{name}={value}");
        let response = get(&url).await;
        assert_eq!(response.status, 400, "{name}={value}");
        assert!(response.body.contains("Authorization failed") && response.body.contains(text), "{}", response.body);
    }
    assert_eq!(fake.authorize("http://127.0.0.1:1/login/oauth/authorize", "jane"), Err(FakeError::Url));
    // An organization is an account that cannot log in.
    for name in ["nobody", "acme"] {
        assert_eq!(fake.authorize(&page(&fake, &REQUEST), name), Err(FakeError::UnknownUser(name.to_owned())));
    }
}

#[tokio::test]
async fn other_errors_are_sent_to_the_callback_with_status_303() {
    let fake = start().await;
    let public = with(&REQUEST, "client_id", "public");
    let no_pkce = |params: &[(&'static str, &'static str)]| {
        with(&with(params, "code_challenge", ""), "code_challenge_method", "")
    };
    let bad_method = "unsupported code challenge method";
    for (params, error, description) in [
        (with(&REQUEST, "response_type", ""), "unsupported_response_type", ""),
        (with(&REQUEST, "response_type", "token"), "unsupported_response_type", ""),
        (no_pkce(&public), "invalid_request", "PKCE is required for public clients"),
        (with(&REQUEST, "code_challenge_method", "S512"), "invalid_request", bad_method),
        (with(&REQUEST, "code_challenge_method", "plain"), "invalid_request", bad_method),
        (with(&REQUEST, "code_challenge_method", ""), "invalid_request", bad_method),
    ] {
        let url = page(&fake, &params);
        let response = get(&url).await;
        let location = response.header("location");
        assert_eq!((response.status, param(location, "error").as_str()), (303, error), "{params:?}");
        assert!(description.is_empty() || param(location, "error_description") == description, "{location}");
        assert_eq!(param(location, "state"), "st-123");
        assert_eq!(fake.authorize(&url, "jane").unwrap(), location);
    }
    let confidential = fake.authorize(&page(&fake, &no_pkce(&REQUEST)), "jane").unwrap();
    assert!(param(&confidential, "code").starts_with("gta_"));
}

#[tokio::test]
async fn internal_errors_are_server_error() {
    let fake = start().await;
    let url = page(&fake, &REQUEST);
    for text in ["A server error occurred", "cannot create grant for user"] {
        fake.fail_next_authorization(text);
        let callback = fake.authorize(&url, "jane").unwrap();
        assert_eq!(
            (param(&callback, "error").as_str(), param(&callback, "error_description")),
            ("server_error", text.into())
        );
    }
    assert!(fake.authorize(&url, "jane").unwrap().contains("code="));
    // Only a public client gets that far: the others are redirected before.
    let public = with(&REQUEST, "client_id", "public");
    fake.authorize(&page(&fake, &public), "jane").unwrap();
    let wider = fake.authorize(&page(&fake, &with(&public, "scope", "write:user")), "jane").unwrap();
    assert_eq!(param(&wider, "error_description"), "a grant exists with different scope");
}

#[tokio::test]
async fn a_browser_can_authorize_and_cancel() {
    let fake = start().await;
    let consent = get(&page(&fake, &with(&REQUEST, "state", "a\"<&é"))).await;
    assert!(consent.body.contains("name=\"state\" value=\"a&quot;&lt;&amp;é\""), "{}", consent.body);
    assert_eq!(consent.body.matches("<form method=\"post\"").count(), 2);

    let url = format!("{}/login/oauth/authorize", fake.base_url());
    let allowed = send(form(&url, &with(&REQUEST, "user", "jane"))).await;
    assert_eq!(allowed.status, 303);
    let code = param(allowed.header("location"), "code");
    assert_eq!(allowed.header("location"), format!("{CALLBACK}?code={code}&state=st-123"));
    let base32 = code.strip_prefix("gta_").unwrap();
    assert!(base32.len() == 52 && base32.chars().all(|c| matches!(c, 'a'..='z' | '2'..='7')), "{code}");
    assert_eq!(token(&fake, &exchange(&code)).await.status, 200);

    let denied = send(form(&url, &with(&REQUEST, "granted", "false"))).await;
    let query = "error=access_denied&error_description=the+request+is+denied&state=st-123";
    assert_eq!((denied.status, denied.header("location")), (303, format!("{CALLBACK}?{query}").as_str()));
    assert_eq!(fake.deny(&page(&fake, &REQUEST)).unwrap(), denied.header("location"));
}

#[tokio::test]
async fn a_second_tab_breaks_the_first() {
    let fake = start().await;
    let first = get(&page(&fake, &REQUEST)).await;
    let session = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let tab = |state| with(&REQUEST, "state", state);
    send(client().get(page(&fake, &tab("second"))).header("Cookie", &session)).await;
    let url = format!("{}/login/oauth/authorize", fake.base_url());
    let press = |state| form(&url, &with(&tab(state), "user", "jane")).header("Cookie", &session);
    let second = send(press("second")).await;
    assert_eq!((second.status, param(second.header("location"), "state")), (303, "second".to_owned()));
    let first = send(press("st-123")).await;
    assert_eq!((first.status, first.body.as_str()), (400, "Bad Request\n"));
}

#[tokio::test]
async fn consent_can_be_remembered() {
    let fake = forgejo().remember_consent(true).start().await.unwrap();
    let browser = |scope| {
        let url = page(&fake, &with(&REQUEST, "scope", scope));
        client().get(url).header("Cookie", "_fake_forgejo_user=jane")
    };
    assert!(send(browser("read:user")).await.body.contains("<select"));
    log_in(&fake, "jane", "read:user").await;
    for scope in ["read:user", "read:user write:repository"] {
        assert_eq!(send(browser(scope)).await.status, 303, "{scope}");
    }
    fake.revoke("jane");
    assert!(send(browser("read:user")).await.body.contains("<select"));

    let fake = forgejo().gitea().asks_again(true).remember_consent(true).start().await.unwrap();
    log_in(&fake, "jane", "read:user").await;
    let url = page(&fake, &with(&REQUEST, "scope", "read:user write:repository"));
    let wider = send(client().get(url).header("Cookie", "_fake_forgejo_user=jane")).await;
    assert!(wider.body.contains("<select") && wider.body.contains("Fake Gitea"));
}

#[tokio::test]
async fn a_new_gitea_wants_the_second_factor_before_it_asks() {
    let fake = forgejo().gitea().start().await.unwrap();
    assert!(matches!(fake.authorize(&page(&fake, &REQUEST), "frank"), Err(FakeError::Page(_))));
    let url = format!("{}/login/oauth/authorize", fake.base_url());
    let pressed = send(form(&url, &with(&REQUEST, "user", "frank"))).await;
    let settings = format!("{}/user/settings/security", fake.base_url());
    assert_eq!((pressed.status, pressed.header("location")), (303, settings.as_str()));
    let fake = forgejo().gitea().version("1.27.0").start().await.unwrap();
    assert!(fake.authorize(&page(&fake, &REQUEST), "frank").unwrap().contains("code="));
}

#[tokio::test]
async fn without_oauth_every_page_is_forbidden() {
    let fake = forgejo().oauth(false).start().await.unwrap();
    let url = page(&fake, &REQUEST);
    assert_eq!(fake.authorize(&url, "jane"), Err(FakeError::Page("Forbidden".to_owned())));
    assert_eq!(get(&url).await.status, 403);
    assert_eq!(token(&fake, &exchange("gta_x")).await.status, 403);
    let introspect = form(&format!("{}/login/oauth/introspect", fake.base_url()), &[("token", "x")]);
    assert_eq!(send(introspect.basic_auth(ID, Some(SECRET))).await.status, 403);
}
