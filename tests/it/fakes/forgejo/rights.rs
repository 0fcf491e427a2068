use codehost_oauth::testing::forgejo::TokenRights;

use super::*;

fn scopes(names: &[&str]) -> TokenRights {
    TokenRights::Scopes(names.iter().map(|&name| name.to_owned()).collect())
}

async fn rights(builder: FakeForgejoBuilder, scope: &str) -> TokenRights {
    let fake = builder.start().await.unwrap();
    let (access, _) = log_in(&fake, "jane", scope).await;
    fake.token_rights(&access).unwrap()
}

#[tokio::test]
async fn a_token_without_a_known_api_scope_may_do_everything() {
    for (scope, forgejo_rights, gitea_rights) in [
        ("read:user", scopes(&["read:user"]), scopes(&["read:user"])),
        ("openid read:user", scopes(&["read:user"]), scopes(&["read:user"])),
        ("", TokenRights::Full, TokenRights::Full),
        ("openid profile email groups", TokenRights::Full, TokenRights::Full),
        ("read_user", TokenRights::Full, TokenRights::Full),
        ("read:user sudo", scopes(&["read:user"]), TokenRights::Full),
        ("read:user,read:organization", TokenRights::Full, scopes(&["read:user", "read:organization"])),
        ("openid,read:user", TokenRights::Full, TokenRights::Full),
        (
            "write:package public-only all",
            scopes(&["write:package", "public-only", "all"]),
            scopes(&["write:package", "public-only", "all"]),
        ),
    ] {
        assert_eq!(rights(forgejo(), scope).await, forgejo_rights, "Forgejo: {scope}");
        assert_eq!(rights(forgejo().gitea(), scope).await, gitea_rights, "Gitea: {scope}");
    }
    for old in [forgejo().version("8.0.3+gitea-1.22.0"), forgejo().gitea().version("1.22.6")] {
        assert_eq!(rights(old, "read:user").await, TokenRights::Full);
    }
    assert_eq!(rights(forgejo().gitea().empty_scope_denies(true), "").await, scopes(&[]));
}

#[tokio::test]
async fn an_earlier_consent_keeps_its_scopes() {
    let fake = start().await;
    let (old, _) = log_in(&fake, "jane", "openid").await;
    let (narrower, refresh_token) = log_in(&fake, "jane", "read:user").await;
    assert_eq!(fake.token_rights(&narrower), Some(TokenRights::Full));
    let renewed = token(&fake, &with(&refresh(&refresh_token), "scope", "read:user")).await;
    assert_eq!(fake.token_rights(&renewed.text("access_token")), Some(TokenRights::Full));
    // Another user and another application have grants of their own.
    let (bob, _) = log_in(&fake, "bob", "read:user").await;
    assert_eq!(fake.token_rights(&bob), Some(scopes(&["read:user"])));
    fake.revoke("jane");
    assert_eq!(fake.token_rights(&old), None);
    let (new, _) = log_in(&fake, "jane", "read:user").await;
    assert_eq!(fake.token_rights(&new), Some(scopes(&["read:user"])));
}

#[tokio::test]
async fn a_newer_gitea_asks_again() {
    let fake = forgejo().gitea().asks_again(true).start().await.unwrap();
    log_in(&fake, "jane", "read:user").await;
    let (wider, _) = log_in(&fake, "jane", "read:user read:organization").await;
    assert_eq!(fake.token_rights(&wider), Some(scopes(&["read:user", "read:organization"])));
}

#[tokio::test]
async fn calls_need_their_scopes() {
    let member = "/orgs/acme/members/jane";
    let permissions = "/users/jane/orgs/acme/permissions";
    let both = "read:user read:organization";
    for (scope, call, status, required) in [
        ("read:user", "/user", 200, ""),
        ("write:user", "/user", 200, ""),
        ("all", "/user", 200, ""),
        ("read:user", "/user/emails", 200, ""),
        ("read:user", "/user/teams", 200, ""),
        ("read:repository", "/user", 403, "read:user"),
        ("read:organization", "/user/teams", 403, "read:user"),
        ("read:user", "/user/orgs", 403, both),
        ("read:organization", "/user/orgs", 403, both),
        (both, "/user/orgs", 200, ""),
        ("read:user", member, 403, "read:organization"),
        ("read:organization", member, 204, ""),
        ("read:organization", permissions, 403, both),
        (both, permissions, 200, ""),
        ("read:user", "/teams/31/members/jane", 403, "read:organization"),
        ("public-only", "/user", 403, "read:user"),
        ("read:user public-only", "/user", 200, ""),
    ] {
        for (builder, gitea) in [(forgejo(), false), (forgejo().gitea(), true)] {
            let fake = builder.start().await.unwrap();
            let (access, _) = log_in(&fake, "jane", scope).await;
            let response = api(&fake, call, &access).await;
            assert_eq!(response.status, status, "{scope} {call}");
            if status == 403 {
                let granted = scope.replace(' ', ",");
                let text = "token does not have at least one of required scope(s)";
                let message = match gitea {
                    true => format!("{text}, required=[{required}], token scope={granted}"),
                    false => format!("{text}: [{required}]"),
                };
                assert_message(&response, 403, &message);
            }
        }
    }
    let fake = start().await;
    let (heidi, _) = log_in(&fake, "heidi", "read:user public-only").await;
    assert_message(&api(&fake, "/user", &heidi).await, 403, "token scope is limited to public users");
    let (jane, _) = log_in(&fake, "jane", "read:user read:organization public-only").await;
    assert_eq!(api(&fake, "/user/teams", &jane).await.json().as_array().unwrap().len(), 1);
    assert_eq!(api(&fake, "/orgs/acme/members/jane", &jane).await.status, 204);
    let private = api(&fake, "/orgs/tools/members/jane", &jane).await;
    assert_message(&private, 403, "token scope is limited to public orgs");
}
