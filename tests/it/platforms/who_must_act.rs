//! Refusals that look alike: who must act, and whether a session may go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use codehost_oauth::bitbucket_data_center::BitbucketDataCenter;
use codehost_oauth::error::{Audience, Error};
use codehost_oauth::forgejo::Forgejo;
use codehost_oauth::github::GitHub;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::keeper::{CallError, ConnectionId, MemoryTokens, TokenKeeper};
use codehost_oauth::seal::KeyRing;
use codehost_oauth::testing::ScriptedTransport;
use codehost_oauth::transport::Network;
use codehost_oauth::{
    Access, AccessToken, AccountKey, BaseUrl, Callback, EmailTrust, Group, Integration, IntegrationBuilder,
    IntegrationConfig, Login, LoginPolicy, OAuthProvider, RefreshToken, Revocation, TokenSet,
};

use crate::secrets::leak_check::LeakChecked as _;

const JSON: (&str, &str) = ("content-type", "application/json");
const GITHUB_TOKENS: &str = r#"{"access_token":"canary-a","token_type":"bearer","scope":"read:org,user:email"}"#;
const GITHUB_USER: &str = r#"{"login":"janedoe","id":42,"type":"User"}"#;

fn base(url: &str) -> BaseUrl {
    BaseUrl::parse(url, &Network::public_only()).unwrap()
}

fn github(url: &str) -> Arc<dyn OAuthProvider> {
    Arc::new(GitHub::new(base(url)).unwrap())
}

fn forgejo() -> Arc<dyn OAuthProvider> {
    Arc::new(Forgejo::new(base("https://git.example.com")).unwrap())
}

fn bitbucket() -> Arc<dyn OAuthProvider> {
    Arc::new(BitbucketDataCenter::new(base("https://git.example.com")).unwrap())
}

fn builder(provider: Arc<dyn OAuthProvider>, http: &ScriptedTransport, access: Access) -> IntegrationBuilder {
    let config = IntegrationConfig {
        id: "demo".parse().unwrap(),
        name: "Demo".to_owned(),
        public_url: "https://app.example.com".parse().unwrap(),
        client_id: "my-id".to_owned(),
        client_secret: "canary-client-secret".to_owned(),
        access,
    };
    Integration::builder(provider, http.clone(), config)
}

fn access_token(integration: &Integration) -> AccessToken {
    AccessToken::new("canary-access".to_owned(), integration.binding()).unwrap()
}

/// Tokens of an hour ago that are due. Without a lifetime, they do not expire.
fn old_tokens(integration: &Integration, name: &str, lifetime: Option<u64>) -> TokenSet {
    let mut tokens = TokenSet::new(access_token(integration));
    tokens.expires_in = lifetime.map(Duration::from_secs);
    tokens.refresh_token =
        lifetime.and_then(|_| RefreshToken::new(format!("canary-refresh-{name}"), integration.binding()));
    tokens.received_at = SystemTime::now() - Duration::from_secs(3600);
    tokens
}

fn keeper(integration: &Integration) -> TokenKeeper {
    let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    TokenKeeper::builder(MemoryTokens::default(), ring, integration.clone()).verify_identity(true).build()
}

async fn finish(integration: &Integration, parameters: &str) -> Result<Login, Error> {
    let start = integration.begin_login(None).unwrap();
    let url = url::Url::parse(start.redirect_to.as_str()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let platform = integration.provider().platform().id();
    let callback = format!("/oauth/callback/{platform}/demo?{parameters}&state={state}");
    integration.finish_login(start.pending, Callback::parse(&callback).unwrap()).await.leak_checked()
}

/// Code, audience, and whether another attempt can help. `ok` of nobody for a success.
fn verdict<T>(outcome: &Result<T, Error>) -> (&'static str, Option<Audience>, bool) {
    let Err(error) = outcome else { return ("ok", None, false) };
    let advice = error.advice();
    (error.code(), Some(advice.audience), advice.is_transient)
}

#[tokio::test]
async fn a_rule_about_addresses_ends_no_session_while_they_cannot_be_read() {
    let address = r#"[{"email":"jane@acme.example","primary":true,"verified":true}]"#;
    let elsewhere = r#"[{"email":"jane@example.com","primary":true,"verified":true}]"#;
    let (public, own) = ("https://github.com", "https://git.example.com");
    for (status, body, url, trust, expected) in [
        (503, "", public, EmailTrust::Platform, ("emails_incomplete", Some(Audience::CodeHost), true)),
        (429, "", public, EmailTrust::Platform, ("emails_incomplete", Some(Audience::CodeHost), true)),
        (
            404,
            r#"{"message":"Not Found"}"#,
            public,
            EmailTrust::Platform,
            ("email_scope", Some(Audience::Administrator), false),
        ),
        (200, elsewhere, public, EmailTrust::Platform, ("email_domain", Some(Audience::User), false)),
        (200, address, public, EmailTrust::Platform, ("ok", None, false)),
        (200, address, own, EmailTrust::ThisInstance, ("email_evidence_unknown", Some(Audience::Operator), false)),
        (200, address, own, EmailTrust::WithoutVerification, ("ok", None, false)),
    ] {
        let prefix = if url == public { "" } else { "/api/v3" };
        for rechecks in [false, true] {
            let http = ScriptedTransport::new();
            http.json("/login/oauth/access_token", GITHUB_TOKENS);
            http.json(&format!("{prefix}/user"), GITHUB_USER);
            http.respond(&format!("{prefix}/user/emails"), status, &[JSON], body);
            let policy = LoginPolicy::everyone().email_domains(["acme.example"]).unwrap();
            let integration = builder(github(url), &http, Access::SignIn).policy(policy).email_trust(trust);
            let integration = integration.build().unwrap();
            let key = AccountKey::new("demo".parse().unwrap(), "github", "42");
            let outcome = match rechecks {
                true => integration.recheck(&access_token(&integration), &key).await.leak_checked(),
                false => finish(&integration, "code=abc").await.map(|login| login.user),
            };
            assert_eq!(verdict(&outcome), expected, "{status} {url} {trust:?} {rechecks}");
        }
    }
}

#[tokio::test]
async fn an_address_without_evidence_is_the_operators_to_trust() {
    let http = ScriptedTransport::new();
    http.json("/login/oauth/access_token", GITHUB_TOKENS);
    http.json("/api/v3/user", GITHUB_USER);
    http.json("/api/v3/user/emails", r#"[{"email":"jane@acme.example","primary":true,"verified":true}]"#);
    let integration = builder(github("https://git.example.com"), &http, Access::SignIn);
    let login = finish(&integration.email_trust(EmailTrust::ThisInstance).build().unwrap(), "code=abc").await.unwrap();
    assert_eq!(login.require_trusted_email().unwrap_err().code(), "email_evidence_unknown");
}

/// GitHub leaves out of a list what a token may not see.
#[tokio::test]
async fn a_list_for_a_token_without_the_scope_says_nothing() {
    for (scopes, expected) in [("repo, user:email", "membership_scope"), ("repo, read:org", "ok")] {
        let http = ScriptedTransport::new();
        http.respond("/user/memberships/orgs", 200, &[JSON, ("x-oauth-scopes", scopes)], "[]");
        let integration = builder(github("https://github.com"), &http, Access::Read).build().unwrap();
        let group = Group::id("87654321").unwrap();
        let outcome = integration.membership(&access_token(&integration), &group).await.leak_checked();
        assert_eq!(verdict(&outcome).0, expected, "{scopes}");
    }
}

#[tokio::test]
async fn too_many_failed_sign_ins_at_github_pass() {
    let http = ScriptedTransport::new();
    http.json("/login/oauth/access_token", GITHUB_TOKENS);
    let message = r#"{"message":"Maximum number of login attempts exceeded. Please try again later."}"#;
    http.otherwise(403, &[JSON], message);
    let integration = builder(github("https://github.com"), &http, Access::SignIn).build().unwrap();
    let (code, _, is_transient) = verdict(&finish(&integration, "code=abc").await);
    assert_eq!((code, is_transient), ("rate_limited", true));
}

/// GitHub deletes only tokens that are valid: this one is renewed for it, and then cannot be deleted.
#[tokio::test]
async fn a_token_that_github_does_not_delete_is_not_revoked() {
    for (status, expected) in [(200, "client_rejected"), (401, "ok")] {
        let http = ScriptedTransport::new();
        let path = "/applications/my-id/token";
        http.respond(path, 404, &[JSON], r#"{"message":"Not Found"}"#);
        let fresh = r#"{"access_token":"canary-fresh","token_type":"bearer","refresh_token":"canary-r","expires_in":28800,"scope":""}"#;
        http.json("/login/oauth/access_token", fresh);
        http.respond(path, 404, &[JSON], r#"{"message":"Not Found"}"#);
        http.respond("/user", status, &[JSON], GITHUB_USER);
        let integration = builder(github("https://github.com"), &http, Access::SignIn).build().unwrap();
        let outcome = integration.revoke(&old_tokens(&integration, "1", Some(60))).await.leak_checked();
        assert_eq!(verdict(&outcome).0, expected, "{status}");
        assert!(outcome.is_err() || matches!(outcome, Ok(Revocation::Revoked)));
        let asked = http.requests().into_iter().find(|request| request.url.path().ends_with("/user")).unwrap();
        assert_eq!(asked.headers["authorization"], "Bearer canary-fresh", "whether the new token still works");
    }
}

/// Without the headers that name a user, a 403 comes from a proxy.
#[tokio::test]
async fn a_proxys_refusal_is_not_the_users() {
    for (status, expected) in [(403, "forbidden"), (401, "token_rejected")] {
        let http = ScriptedTransport::new();
        http.otherwise(status, &[JSON], r#"{"message":"blocked"}"#);
        let integration = builder(bitbucket(), &http, Access::Read).build().unwrap();
        let token = access_token(&integration);
        let membership = integration.membership(&token, &Group::path("PROJ").unwrap()).await.leak_checked();
        assert_eq!(verdict(&integration.user(&token).await.leak_checked()).0, expected);
        assert_eq!(verdict(&membership).0, expected);
    }
}

/// Forgejo keeps the scopes of an earlier consent.
#[tokio::test]
async fn a_consent_with_other_scopes_must_be_revoked() {
    let integration = builder(forgejo(), &ScriptedTransport::new(), Access::Read).build().unwrap();
    for (description, expected) in [
        ("a+grant+exists+with+different+scope", ("consent_too_narrow", Some(Audience::User), false)),
        ("cannot+create+grant+for+user", ("authorization_unavailable", Some(Audience::CodeHost), true)),
    ] {
        let outcome = finish(&integration, &format!("error=server_error&error_description={description}")).await;
        assert_eq!(verdict(&outcome), expected);
    }
}

#[test]
fn forgejo_scopes_must_let_a_login_look_up_the_user() {
    for (scopes, expected) in [
        ("read:repository", "user_scope"),
        ("write:repository public-only", "user_scope"),
        ("read:user read:repository", "ok"),
        ("write:user", "ok"),
        ("all", "ok"),
    ] {
        let access = Access::Custom(scopes.parse().unwrap());
        let built = builder(forgejo(), &ScriptedTransport::new(), access).build();
        assert_eq!(built.map_or_else(|error| error.code(), |_| "ok"), expected, "{scopes}");
    }
}

/// A platform that never lists the scopes of a token still grants no more than what was asked for.
#[tokio::test]
async fn a_keeper_knows_that_an_older_login_asked_for_less() {
    let ring = || KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
    let gitlab: Arc<dyn OAuthProvider> = Arc::new(GitLab::new(base("https://git.example.com")).unwrap());
    for provider in [gitlab, forgejo()] {
        let platform = provider.platform().id();
        let connection: ConnectionId = format!("{platform}:demo:7").parse().unwrap();
        let [old, new] = [Access::SignIn, Access::Write]
            .map(|access| Arc::new(builder(Arc::clone(&provider), &ScriptedTransport::new(), access).build().unwrap()));
        let store = Arc::new(MemoryTokens::default());
        let keeper = TokenKeeper::builder(Arc::clone(&store), ring(), Arc::clone(&old)).build();
        keeper.import(&connection, TokenSet::new(access_token(&old))).await.unwrap();
        assert!(keeper.access_token(&connection).await.is_ok());
        let keeper = TokenKeeper::builder(store, ring(), Arc::clone(&new)).build();
        let error = keeper.access_token(&connection).await.unwrap_err();
        assert_eq!(error.code(), "scopes_missing", "{platform}");
        // The login that this asks for ends it, whatever was granted.
        keeper.import(&connection, TokenSet::new(access_token(&new))).await.unwrap();
        assert!(keeper.access_token(&connection).await.is_ok(), "{platform}");
    }
}

#[tokio::test]
async fn a_keeper_passes_on_who_must_act() {
    // The address is not confirmed: a refusal at the token endpoint that is about the account.
    let http = ScriptedTransport::new();
    http.json("/login/oauth/access_token", r#"{"error":"unverified_user_email"}"#);
    let integration = Arc::new(builder(github("https://github.com"), &http, Access::SignIn).build().unwrap());
    let unconfirmed = (integration, "github:demo:42", "account_unconfirmed");
    // The account is blocked: the look-up that follows the refresh says so.
    let http = ScriptedTransport::new();
    let tokens = r#"{"access_token":"canary-n","token_type":"bearer","refresh_token":"canary-r","expires_in":3600}"#;
    http.json("/login/oauth/access_token", tokens);
    http.otherwise(403, &[JSON], r#"{"message":"This account is prohibited from signing in."}"#);
    let integration = Arc::new(builder(forgejo(), &http, Access::SignIn).build().unwrap());
    let blocked = (integration, "forgejo:demo:5", "account_blocked");
    for (integration, connection, code) in [unconfirmed, blocked] {
        let connection: ConnectionId = connection.parse().unwrap();
        let keeper = keeper(&integration);
        keeper.import(&connection, old_tokens(&integration, "1", Some(60))).await.unwrap();
        for _ in 0..3 {
            let error = keeper.access_token(&connection).await.unwrap_err();
            let advice = error.advice();
            assert_eq!((error.code(), advice.audience, advice.needs_login), (code, Audience::User, false), "{error}");
        }
    }
}

/// One 401 of one node does not cost a user a login.
#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_tried_again() {
    let http = ScriptedTransport::new();
    let integration = Arc::new(builder(github("https://github.com"), &http, Access::SignIn).build().unwrap());
    for (refusals, expected) in [(1, "ok"), (2, "ok"), (3, "no_refresh_token")] {
        let keeper = keeper(&integration);
        let connection: ConnectionId = "github:demo:42".parse().unwrap();
        keeper.import(&connection, old_tokens(&integration, "1", None)).await.unwrap();
        let calls = AtomicUsize::new(0);
        let call = async |_| match calls.fetch_add(1, Ordering::SeqCst) {
            n if n < refusals => Err(CallError::<Error>::Unauthorized),
            _ => Ok(()),
        };
        let found = match keeper.with_token(&connection, call).await {
            Ok(()) => "ok",
            Err(CallError::Keeper(error)) => error.code(),
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(found, expected, "{refusals}");
    }
}

/// Each link of Bitbucket Data Center has `PUBLIC_REPOS`, and its form has no box for it.
#[tokio::test]
async fn a_scope_without_a_box_is_never_missing() {
    let http = ScriptedTransport::new();
    http.json("/rest/oauth2/latest/token", r#"{"access_token":"canary-a","token_type":"bearer","scope":""}"#);
    let named = [JSON, ("X-AUSERNAME", "li"), ("X-AUSERID", "5")];
    let page = r#"{"values":[{"name":"li","id":5,"active":true,"type":"NORMAL"}],"isLastPage":true}"#;
    for _ in 0..2 {
        http.respond("/rest/api/latest/users", 200, &named, page);
    }
    let integration = builder(bitbucket(), &http, Access::SignIn).build().unwrap();
    let login = finish(&integration, "code=abc").await.unwrap();
    assert!(login.missing_scopes.is_empty(), "{:?}", login.missing_scopes);
}
