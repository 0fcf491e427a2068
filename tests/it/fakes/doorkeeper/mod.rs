//! The fake of GitLab and a real Doorkeeper, GitLab's OAuth server, are sent the same requests and must answer the same: status, body
//! and the headers that matter.
//!
//! Debian's Doorkeeper is 5.5, and the fake follows the versions of a current GitLab where they differ. So two things are not compared,
//! both of 5.8.1: the refresh token ends the grant also if the access token has expired, and an access token with the hint
//! `refresh_token` is not revoked.

mod both;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;

use self::both::{Both, ID, REQUEST, SECRET, Server, as_other, without_client};
use super::{CHALLENGE, client, send, with};

#[tokio::test]
async fn codes_are_exchanged_as_by_doorkeeper() {
    let mut both = Both::start().await;
    both.new_codes(&REQUEST).await;
    for (name, value) in [
        ("client_secret", "wrong"),
        ("client_secret", ""),
        ("client_id", "nobody"),
        ("client_id", "FIRST-CLIENT-ID"),
        ("client_id", ""),
        ("redirect_uri", "http://127.0.0.1:9000/callback/"),
        ("redirect_uri", "https://127.0.0.1:9000/callback"),
        ("redirect_uri", "http://localhost:9000/callback"),
        ("redirect_uri", "no URL"),
        ("redirect_uri", ""),
        ("code_verifier", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"),
        ("code_verifier", "short"),
        ("code_verifier", CHALLENGE),
        ("code_verifier", ""),
        ("code", "0000"),
        ("code", "é"),
        ("code", ""),
        ("grant_type", "nonsense"),
        ("grant_type", "implicit"),
        ("grant_type", ""),
    ] {
        both.compare(&format!("{name}={value}"), |server| server.token(&with(&server.exchange(), name, value))).await;
    }
    both.compare("another client's code", |server| server.token(&as_other(&server.exchange()))).await;
    both.compare("two faults", |server| {
        server.token(&with(&with(&server.exchange(), "code", "0000"), "client_secret", "wrong"))
    })
    .await;
    both.compare("a code twice, the second empty", |server| {
        server.token(&[server.exchange(), vec![("code", "")]].concat())
    })
    .await;
    both.compare("a wrong secret by Basic", |server| {
        server.token(&without_client(&server.exchange())).basic_auth(ID, Some("wrong"))
    })
    .await;
    both.compare("Basic in lower case", |server| {
        let credentials = format!("basic {}", STANDARD.encode(format!("{ID}:{SECRET}")));
        server.token(&without_client(&server.exchange())).header("Authorization", credentials)
    })
    .await;
    both.compare("Basic without a colon", |server| {
        server.token(&without_client(&server.exchange())).header("Authorization", "Basic bm9ib2R5")
    })
    .await;
    both.compare("GET", |server| client().get(format!("{}/oauth/token", server.base_url))).await;

    // None of this has used up the code. Used twice, it is refused, and its tokens stay valid.
    both.compare("the right request", |server| server.token(&server.exchange())).await;
    both.compare("a code that was used", |server| server.token(&server.exchange())).await;

    both.new_codes(&REQUEST).await;
    both.compare("Basic", |server| server.token(&without_client(&server.exchange())).basic_auth(ID, Some(SECRET)))
        .await;
    both.new_codes(&REQUEST).await;
    both.compare("Basic, and the id in the form too", |server| {
        server.token(&with(&server.exchange(), "client_secret", "")).basic_auth(ID, Some(SECRET))
    })
    .await;
    both.new_codes(&with(&with(&REQUEST, "code_challenge", ""), "code_challenge_method", "")).await;
    both.compare("a verifier without a challenge", |server| server.token(&server.exchange())).await;
    both.compare("no PKCE", |server| server.token(&with(&server.exchange(), "code_verifier", ""))).await;
    for scopes in ["api read_user", "read_user api", "read_user  read_user", " api", "  "] {
        both.new_codes(&with(&REQUEST, "scope", scopes)).await;
        both.compare(scopes, |server| server.token(&server.exchange())).await;
    }
    both.end();
}

#[tokio::test]
async fn tokens_are_renewed_and_revoked_as_by_doorkeeper() {
    let mut both = Both::start().await;
    both.log_in("read_user api").await;
    for (name, value) in [
        ("client_secret", "wrong"),
        ("client_secret", ""),
        ("client_id", "nobody"),
        ("client_id", ""),
        ("refresh_token", "0000"),
        ("refresh_token", ""),
        ("scope", "sudo"),
        ("scope", "read_user sudo"),
        ("scope", "no_scope"),
    ] {
        both.compare(&format!("{name}={value}"), |server| server.token(&with(&server.refresh(), name, value))).await;
    }
    both.compare("no credentials", |server| server.token(&without_client(&server.refresh()))).await;
    both.compare("another client's refresh token", |server| server.token(&as_other(&server.refresh()))).await;
    both.compare("an unknown token and a wrong secret", |server| {
        server.token(&with(&with(&server.refresh(), "refresh_token", "0000"), "client_secret", "wrong"))
    })
    .await;
    both.compare("an access token in place of the refresh token", |server| {
        server.token(&with(&server.refresh(), "refresh_token", &server.access))
    })
    .await;
    both.compare("a refresh", |server| server.token(&server.refresh())).await;
    both.compare("a refresh token that was used", |server| server.token(&server.refresh())).await;

    both.log_in("read_user api").await;
    both.compare("fewer scopes", |server| server.token(&with(&server.refresh(), "scope", "read_user"))).await;
    both.log_in("read_user api").await;
    both.compare("the same scopes in another order", |server| {
        server.token(&with(&server.refresh(), "scope", "api read_user"))
    })
    .await;

    for scopes in ["read_user\tread_user", "read_user  read_user ", "  ", "READ_USER", "read_user,api"] {
        both.log_in("read_user api").await;
        both.compare(scopes, |server| server.token(&with(&server.refresh(), "scope", scopes))).await;
    }

    both.log_in("read_user").await;
    for (name, value) in [("client_secret", "wrong"), ("client_secret", ""), ("client_id", "nobody")] {
        both.compare(&format!("revoke, {name}={value}"), |server| {
            server.revoke(&with(&server.revocation(&server.access), name, value))
        })
        .await;
    }
    both.compare("revoke by nobody", |server| server.revoke(&[("token", &server.access)])).await;
    both.compare("revoke by another client", |server| server.revoke(&as_other(&server.revocation(&server.access))))
        .await;
    both.compare("revoke another client's refresh token", |server| {
        server.revoke(&as_other(&server.revocation(&server.refresh)))
    })
    .await;
    both.compare("revoke an unknown token", |server| server.revoke(&server.revocation("0000"))).await;
    both.compare("revoke an unknown token by another client", |server| {
        server.revoke(&as_other(&server.revocation("0000")))
    })
    .await;
    both.compare("revoke nothing", |server| server.revoke(&server.revocation(""))).await;
    both.compare("revoke by Basic with a wrong secret", |server| {
        server.revoke(&[("token", &server.access)]).basic_auth(ID, Some("wrong"))
    })
    .await;
    both.compare("nothing was revoked", Server::user).await;
    both.compare("revoke", |server| server.revoke(&server.revocation(&server.access))).await;
    both.compare("the token was revoked", Server::user).await;
    both.compare("its refresh token too", |server| server.token(&server.refresh())).await;
    both.compare("revoke it again", |server| server.revoke(&server.revocation(&server.access))).await;

    both.log_in("read_user").await;
    both.compare("revoke by the refresh token", |server| {
        let hint = ("token_type_hint", "refresh_token");
        server.revoke(&[server.revocation(&server.refresh), vec![hint]].concat())
    })
    .await;
    both.compare("the access token is revoked with it", Server::user).await;
    both.log_in("read_user").await;
    both.compare("revoke by Basic", |server| {
        server.revoke(&[("token", &server.refresh), ("token_type_hint", "refresh_token")]).basic_auth(ID, Some(SECRET))
    })
    .await;
    both.compare("the access token is revoked", Server::user).await;
    both.end();
}

#[tokio::test]
async fn the_authorization_page_answers_as_that_of_doorkeeper() {
    let mut both = Both::start().await;
    for (name, value) in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "http://127.0.0.1:9000/callback/"),
        ("redirect_uri", "https://127.0.0.1:9000/callback"),
        ("redirect_uri", "http://localhost:9000/callback"),
        ("redirect_uri", ""),
        ("response_type", "token"),
        ("response_type", "CODE"),
        ("response_type", ""),
        ("scope", "read_user sudo"),
        ("scope", "read_user,api"),
        ("scope", "READ_USER"),
        ("scope", "read_user\tapi"),
        ("scope", "nonsense"),
        ("code_challenge_method", "S512"),
        ("code_challenge_method", "s256"),
        ("code_challenge_method", ""),
    ] {
        both.compare_pages(&format!("{name}={value}"), &with(&REQUEST, name, value)).await;
    }
    // The first fault is named.
    let mut wrong = REQUEST.to_vec();
    for (name, value) in [("code_challenge_method", "S512"), ("scope", "sudo"), ("response_type", "token")] {
        wrong = with(&wrong, name, value);
        both.compare_pages(&format!("{name}={value} and more"), &wrong).await;
    }
    for (name, value) in [("redirect_uri", "http://127.0.0.1:9000/other"), ("client_id", "nobody")] {
        wrong = with(&wrong, name, value);
        both.compare_pages(&format!("{name}={value} and more"), &wrong).await;
    }
    for state in ["st-123", "", "a b+c&d=é\"<>'%41/~*!()", "null"] {
        for button in ["Authorize", "Deny"] {
            both.compare_buttons(button, &with(&REQUEST, "state", state)).await;
        }
    }
    both.compare_buttons("Authorize", &with(&REQUEST, "scope", "")).await;
    both.compare_buttons("Authorize", &with(&REQUEST, "scope", "sudo")).await;

    // The page is skipped if there is a token with the same scopes.
    both.log_in("read_user api").await;
    for scopes in
        ["read_user api", "api read_user", " api read_user  api", "read_user", "api", "read_user api read_api"]
    {
        both.compare_skipped_page(scopes).await;
    }
    both.compare("revoke", |server| server.revoke(&server.revocation(&server.refresh))).await;
    both.compare_skipped_page("read_user api").await;
    both.end();
}

/// Where the fake refuses what a Doorkeeper accepts: an app that needs it works with some versions of GitLab only, or not with
/// RFC 6749.
#[tokio::test]
async fn the_fake_is_stricter_on_purpose() {
    let mut both = Both::start().await;
    for (what, request) in stricter() {
        both.new_codes(&REQUEST).await;
        let [fake, real] = &both.servers;
        let [fake, real] = [send(request(fake)).await.status, send(request(real)).await.status];
        assert!((fake, real) == (400, 200), "{what}: {fake} and {real}");
    }
}

type Request = fn(&Server) -> RequestBuilder;

fn stricter() -> [(&'static str, Request); 4] {
    [
        ("the secret by Basic and in the form, which Doorkeeper 5.9.5 refuses", |server| {
            server.token(&server.exchange()).basic_auth(ID, Some(SECRET))
        }),
        ("another port of a loopback redirect URI, which is not the registered URI", |server| {
            server.token(&with(&server.exchange(), "redirect_uri", "http://127.0.0.1:9001/callback"))
        }),
        ("a redirect URI with a query, which Doorkeeper 6 refuses", |server| {
            server.token(&with(&server.exchange(), "redirect_uri", "http://127.0.0.1:9000/callback?a=1"))
        }),
        ("JSON, where RFC 6749 has a form", |server| {
            let body: serde_json::Map<_, _> =
                server.exchange().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let request = client().post(format!("{}/oauth/token", server.base_url));
            request.header("Content-Type", "application/json").body(serde_json::Value::Object(body).to_string())
        }),
    ]
}
