//! Providers that misread the platform's responses, one mistake each: the conformance suite finds it.

use codehost_oauth::check::{CheckReport, CheckRequest, Finding};
use codehost_oauth::error::{Error, TokenError, TransportError};
use codehost_oauth::github::GitHub;
use codehost_oauth::gitlab::GitLab;
use codehost_oauth::provider::{ApiRequest, ProviderWrapper};
use codehost_oauth::testing::conformance::Conformance;
use codehost_oauth::transport::{Network, Transport};
use codehost_oauth::{
    AccessToken, AccountKey, BaseUrl, CallbackUrl, ClientCredentials, Email, EmailAuthority, EmailEvidence, Group,
    Membership, OAuthProvider, RefreshToken, Revocation, Scopes, TokenSet, User, UserState, VerifiedGrant,
};
use tokio::sync::Mutex;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    KeyIsTheUserName,
    OneKeyForAll,
    EveryAddressConfirmed,
    AddressesOfThePlatform,
    BlockedUserLetIn,
    SecretNotMapped,
    CodeNotMapped,
    RefreshTokenNotMapped,
    OneRequestAfterTheOther,
    ScopesNotSplit,
    ControlCharacters,
    RevokedAlthoughRefused,
    RevokesNothing,
    RevokesElsewhere,
    EveryoneIsAMember,
    GroupIgnored,
    NobodyIsAMember,
    EverySecretIsRight,
    EveryServerIsRight,
    SecretSentFirst,
}

use Mistake::{
    AddressesOfThePlatform, BlockedUserLetIn, CodeNotMapped, ControlCharacters, EveryAddressConfirmed,
    EverySecretIsRight, EveryServerIsRight, EveryoneIsAMember, GroupIgnored, KeyIsTheUserName, NobodyIsAMember,
    OneKeyForAll, OneRequestAfterTheOther, RefreshTokenNotMapped, RevokedAlthoughRefused, RevokesElsewhere,
    RevokesNothing, ScopesNotSplit, SecretNotMapped, SecretSentFirst,
};

const MISTAKES: [(Mistake, &[&str]); 21] = [
    (Mistake::None, &[]),
    (KeyIsTheUserName, &["scenarios"]),
    (OneKeyForAll, &["scenarios"]),
    (EveryAddressConfirmed, &["scenarios"]),
    (AddressesOfThePlatform, &["user_values"]),
    (BlockedUserLetIn, &["scenarios"]),
    (SecretNotMapped, &["scenarios"]),
    (CodeNotMapped, &["scenarios"]),
    (RefreshTokenNotMapped, &["refusals", "scenarios"]),
    (OneRequestAfterTheOther, &["round_trips"]),
    (ScopesNotSplit, &["granted_scopes"]),
    (ControlCharacters, &["user_values"]),
    (RevokedAlthoughRefused, &["scenarios"]),
    (RevokesNothing, &["scenarios"]),
    (RevokesElsewhere, &["scenarios"]),
    (EveryoneIsAMember, &["scenarios"]),
    (GroupIgnored, &["scenarios"]),
    (NobodyIsAMember, &["scenarios"]),
    (EverySecretIsRight, &["scenarios"]),
    (EveryServerIsRight, &["unknown_servers"]),
    (SecretSentFirst, &["unknown_servers"]),
];

const TOKENS: &str = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":7200}"#;

#[tokio::test]
async fn every_misread_response_is_found_at_a_gitlab() {
    for (mistake, expected) in MISTAKES {
        // It has one request, so nothing can be sent at once.
        if mistake == OneRequestAfterTheOther {
            continue;
        }
        let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
        let provider = Broken { inner: gitlab, mistake }.into_provider();
        let user = r#"{"id":42,"username":"jane","name":"Jane","state":"active","email":"j@example.com",
            "confirmed_at":"2024-01-01T00:00:00Z"}"#;
        let suite = Conformance::new(&provider, "/oauth/token", TOKENS).api("/api/v4/user", user);
        let suite = super::scenarios::add(suite, super::scenarios::gitlab("https://git.example.com", ""));
        assert_eq!(found(suite).await, expected, "{mistake:?}");
    }
}

#[tokio::test]
async fn every_misread_response_is_found_at_a_github() {
    for (mistake, expected) in MISTAKES {
        let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap();
        let provider = Broken { inner: GitHub::new(base_url).unwrap(), mistake }.into_provider();
        let user = r#"{"login":"janedoe","id":12345678,"type":"User","name":"Jane"}"#;
        let emails = r#"[{"email":"jane@example.com","primary":true,"verified":true}]"#;
        let suite = Conformance::new(&provider, "/login/oauth/access_token", TOKENS)
            .api("/api/v3/user", user)
            .api("/api/v3/user/emails", emails);
        let suite = super::scenarios::add(suite, super::scenarios::github("/api/v3"));
        assert_eq!(found(suite).await, expected, "{mistake:?}");
    }
}

/// Without scenarios, the suite says which are needed.
#[tokio::test]
async fn missing_scenarios_are_named() {
    let gitlab = GitLab::new(BaseUrl::parse("https://git.example.com", &Network::public_only()).unwrap()).unwrap();
    let all = super::scenarios::gitlab("https://git.example.com", "");
    let run = async |scenarios: &[codehost_oauth::testing::conformance::Scenario]| {
        let suite =
            Conformance::new(&gitlab, "/oauth/token", TOKENS).api("/api/v4/user", r#"{"id":42,"username":"jane"}"#);
        let violations = super::scenarios::add(suite, scenarios.to_vec()).run().await;
        violations.first().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(run(&all).await, "");
    assert!(run(&[]).await.contains("there is no scenario for a wrong client secret"), "{}", run(&[]).await);
    // Each of the needed ones.
    for count in 0..all.len() {
        let some = &all[..count];
        assert!(
            count + 1 == all.len() || run(some).await.contains("there is no scenario"),
            "{count}: {}",
            run(some).await
        );
    }
    let silent =
        codehost_oauth::testing::conformance::Scenario::user("silent").respond("/api/v4/user", 200, r#"{"id":42}"#);
    assert!(run(&[silent]).await.contains("does not say what is expected"));
}

async fn found(suite: Conformance<'_>) -> Vec<&'static str> {
    suite.run().await.into_iter().map(|violation| violation.check).collect()
}

#[derive(Debug)]
struct Broken<P> {
    inner: P,
    mistake: Mistake,
}

impl<P: OAuthProvider> Broken<P> {
    fn key(&self, token: &AccessToken, subject: &str) -> AccountKey {
        AccountKey::new(token.binding().integration().clone(), self.inner.platform().id(), subject)
    }

    fn unmapped(&self, mistake: Mistake, error: Error) -> Error {
        match error {
            Error::Token { response, .. } if self.mistake == mistake => {
                Error::Token { cause: TokenError::Refused, response }
            }
            error => error,
        }
    }
}

#[async_trait::async_trait]
impl<P: OAuthProvider> ProviderWrapper for Broken<P> {
    type Inner = P;

    fn inner(&self) -> &P {
        &self.inner
    }

    async fn exchange_code(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        grant: VerifiedGrant,
    ) -> Result<TokenSet, Error> {
        self.inner.exchange_code(http, client, grant).await.map_err(|error| match &error {
            Error::Token { cause: TokenError::ClientRejected { .. }, .. } => self.unmapped(SecretNotMapped, error),
            Error::Token { cause: TokenError::CodeRejected, .. } => self.unmapped(CodeNotMapped, error),
            _ => error,
        })
    }

    async fn refresh(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        token: &RefreshToken,
        callback_url: &CallbackUrl,
    ) -> Result<TokenSet, Error> {
        let outcome = self.inner.refresh(http, client, token, callback_url).await;
        let mut tokens = outcome.map_err(|error| self.unmapped(RefreshTokenNotMapped, error))?;
        if self.mistake == ScopesNotSplit {
            tokens.scopes = tokens.scopes.map(|_| Scopes::default());
        }
        Ok(tokens)
    }

    async fn user(&self, http: &dyn Transport, token: &AccessToken) -> Result<User, Error> {
        let serial = OneByOne(http, Mutex::default());
        let http = if self.mistake == OneRequestAfterTheOther { &serial } else { http };
        let mut user = match self.inner.user(http, token).await {
            Err(Error::Account { .. }) if self.mistake == BlockedUserLetIn => User::new(self.key(token, "42")),
            user => user?,
        };
        match self.mistake {
            KeyIsTheUserName => user.key = self.key(token, user.username.as_deref().unwrap_or("none")),
            OneKeyForAll => user.key = self.key(token, "user"),
            BlockedUserLetIn => user.state = UserState::Active,
            EveryAddressConfirmed => {
                let confirmed = |email: &Email| {
                    Email::new(email.address(), EmailEvidence::Confirmed, email.authority, email.primary)
                };
                user.emails = user.emails.iter().filter_map(confirmed).collect();
            }
            AddressesOfThePlatform => {
                user.emails.iter_mut().for_each(|email| email.authority = EmailAuthority::Platform);
            }
            ControlCharacters => {
                let raw: serde_json::Value = serde_json::from_str(&user.raw).unwrap_or_default();
                user.display_name = raw["name"].as_str().map(str::to_owned);
            }
            _ => {}
        }
        Ok(user)
    }

    async fn membership(
        &self,
        http: &dyn Transport,
        token: &AccessToken,
        group: &Group,
        user: Option<&User>,
    ) -> Result<Membership, Error> {
        let member = Membership::Member { role: "member".to_owned() };
        match (self.mistake, self.inner.membership(http, token, group, user).await) {
            (EveryoneIsAMember, Ok(_)) | (GroupIgnored, Err(_)) => Ok(member),
            (NobodyIsAMember, Ok(_)) => Ok(Membership::NotMember),
            (_, outcome) => outcome,
        }
    }

    async fn revoke(
        &self,
        http: &dyn Transport,
        client: &ClientCredentials,
        tokens: &TokenSet,
    ) -> Result<Revocation, Error> {
        match self.mistake {
            RevokesNothing => Ok(Revocation::Revoked),
            RevokedAlthoughRefused => Ok(self.inner.revoke(http, client, tokens).await.unwrap_or(Revocation::Revoked)),
            RevokesElsewhere => {
                let uri = "https://other.example.com/revoke".parse().unwrap();
                let request = ApiRequest::post(&uri).bearer(&tokens.access_token, self.inner.base_url())?;
                let _ = request.send(http).await;
                self.inner.revoke(http, client, tokens).await
            }
            _ => self.inner.revoke(http, client, tokens).await,
        }
    }

    async fn check(&self, http: &dyn Transport, client: &ClientCredentials, request: &CheckRequest) -> CheckReport {
        let platform = self.inner.platform();
        let mut fine = CheckReport::new(platform.id(), platform.name(), self.inner.base_url());
        fine.push(Finding::ok("platform", "Everything is fine."));
        if self.mistake == SecretSentFirst {
            let uri = self.inner.base_url().endpoint(&["hello"]);
            if let Ok(request) = ApiRequest::post(&uri).basic(client, self.inner.base_url()) {
                let _ = request.send(http).await;
            }
        }
        let report = self.inner.check(http, client, request).await;
        let is_known = report.findings().iter().any(|finding| finding.code == "platform");
        match self.mistake {
            EverySecretIsRight if is_known => fine,
            EveryServerIsRight if !is_known => fine,
            _ => report,
        }
    }
}

/// Sends one request after the other.
#[derive(Debug)]
struct OneByOne<'a>(&'a dyn Transport, Mutex<()>);

#[async_trait::async_trait]
impl Transport for OneByOne<'_> {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        max_body: usize,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let _turn = self.1.lock().await;
        self.0.send(request, max_body).await
    }
}
