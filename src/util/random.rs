//! The only source of random bytes, except in the fakes.

/// Fills `bytes` completely, or returns an error if the system has no random bytes.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandom> {
    #[cfg(all(test, feature = "seal", feature = "testing"))]
    tests::count()?;
    #[cfg(feature = "testing")]
    if seeded::fill(bytes) {
        return Ok(());
    }
    getrandom::fill(bytes).map_err(|_| NoRandom)
}

/// Bytes from a seed, so that a test can be repeated exactly. Off on every thread until a test asks for it.
#[cfg(feature = "testing")]
pub(crate) mod seeded {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Sets the seed of this thread, or none, and returns what was there before.
    pub(crate) fn replace(seed: Option<u64>) -> Option<u64> {
        STATE.replace(seed)
    }

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        let Some(mut state) = STATE.get() else { return false };
        for chunk in bytes.chunks_mut(8) {
            let (next, number) = splitmix(state);
            state = next;
            chunk.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, random)| *byte = random);
        }
        STATE.set(Some(state));
        true
    }

    /// SplitMix64, as Vigna published it: <https://prng.di.unimi.it/splitmix64.c>.
    fn splitmix(state: u64) -> (u64, u64) {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state, mixed ^ (mixed >> 31))
    }
}

/// The system's generator failed. Each phase has an error of its own for it.
#[derive(Debug)]
pub(crate) struct NoRandom;

#[cfg(all(feature = "seal", feature = "testing"))]
#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::NoRandom;
    use crate::error::{ConfigError, SealError};
    use crate::keeper::{ConnectionId, LeaseOwner, MemoryTokens, TokenKeeper};
    use crate::login::PendingLogins;
    use crate::seal::{KeyRing, SealContext};
    use crate::testing::ScriptedTransport;
    use crate::transport::Network;
    use crate::values::token::{AccessToken, RefreshToken, TokenSet};
    use crate::{Access, BaseUrl, Integration, IntegrationConfig, IntegrationId, Platform};

    thread_local! {
        /// How many more calls of this thread succeed; none: all.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    pub(super) fn count() -> Result<(), NoRandom> {
        match LEFT.get() {
            Some(0) => Err(NoRandom),
            left => {
                LEFT.set(left.map(|left| left.saturating_sub(1)));
                Ok(())
            }
        }
    }

    /// Lets the generator of this thread fail after so many calls.
    fn fail_after(calls: usize) -> Failing {
        LEFT.set(Some(calls));
        Failing
    }

    /// While it lives, the generator fails.
    struct Failing;

    impl Drop for Failing {
        fn drop(&mut self) {
            LEFT.set(None);
        }
    }

    fn integration(http: &ScriptedTransport, platform: &str, base_url: &str) -> Integration {
        let base_url = BaseUrl::parse(base_url, &Network::public_only()).unwrap();
        Integration::builder(
            Platform::find(platform).unwrap().provider(base_url).unwrap(),
            http.clone(),
            IntegrationConfig {
                id: "demo".parse().unwrap(),
                name: "Demo".to_owned(),
                public_url: "https://packages.example.com".parse().unwrap(),
                client_id: "id".to_owned(),
                client_secret: "secret".to_owned(),
                access: Access::SignIn,
            },
        )
        .build()
        .unwrap()
    }

    #[test]
    fn without_random_bytes_no_login_begins() {
        let http = ScriptedTransport::new();
        let integration = integration(&http, "gitlab", "https://git.example.com");
        let failing = fail_after(0);
        assert_eq!(integration.begin_login(None).unwrap_err(), ConfigError::Random);
        assert_eq!(integration.begin_connect("user-7", None).unwrap_err(), ConfigError::Random);
        drop(failing);
        assert!(http.requests().is_empty());
        assert!(integration.begin_login(None).is_ok());
    }

    #[test]
    fn without_random_bytes_nothing_is_named_or_sealed() {
        let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let integration = integration(&ScriptedTransport::new(), "gitlab", "https://git.example.com");
        let mut session = PendingLogins::default();
        session.insert(integration.begin_login(None).unwrap().pending);
        let _failing = fail_after(0);
        assert_eq!(IntegrationId::random().unwrap_err(), ConfigError::Random);
        assert_eq!(LeaseOwner::random().unwrap_err(), SealError::Random);
        assert_eq!(
            ring.seal(&SealContext { purpose: "test", integration: "demo", connection: "" }, b"text").unwrap_err(),
            SealError::Random
        );
        assert_eq!(session.seal(&ring, SystemTime::now()).unwrap_err(), SealError::Random);
    }

    #[tokio::test]
    async fn without_random_bytes_a_check_sends_no_secret() {
        for (platform, base_url) in
            [("gitlab", "https://git.example.com"), ("bitbucket-cloud", "https://bitbucket.org")]
        {
            let http = ScriptedTransport::new();
            let metadata = r#"{"issuer":"https://git.example.com","token_endpoint":"https://git.example.com/oauth/token",
                    "scopes_supported":["read_user"]}"#;
            let discovery = "/.well-known/openid-configuration";
            http.json(discovery, metadata).json(discovery, metadata).otherwise(404, &[], "");
            let integration = integration(&http, platform, base_url);
            let failing = fail_after(0);
            let report = integration.check().await;
            assert!(report.findings().iter().any(|finding| finding.code == "random"), "{report}");
            assert!(http.requests().iter().all(|request| request.method == http::Method::GET), "{platform}");
            drop(failing);
            let _ = integration.check().await;
            assert!(http.requests().iter().any(|request| request.method == http::Method::POST), "{platform}");
        }
    }

    #[tokio::test]
    async fn without_random_bytes_a_keeper_stores_and_renews_nothing() {
        let http = ScriptedTransport::new();
        let integration = Arc::new(integration(&http, "gitlab", "https://git.example.com"));
        let tokens = || {
            let mut tokens = TokenSet::new(AccessToken::new("access".to_owned(), integration.binding()).unwrap());
            tokens.refresh_token = RefreshToken::new("refresh".to_owned(), integration.binding());
            tokens.expires_in = Some(Duration::ZERO);
            tokens
        };
        let ring = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let keeper = TokenKeeper::builder(MemoryTokens::default(), ring, Arc::clone(&integration)).build();
        let connection: ConnectionId = "gitlab:demo:1".parse().unwrap();
        for calls in [0, 1] {
            let _failing = fail_after(calls);
            assert!(keeper.import(&connection, tokens()).await.is_err());
            assert!(keeper.access_token(&connection).await.unwrap_err().advice().needs_login, "nothing is stored");
        }
        keeper.import(&connection, tokens()).await.unwrap();
        let _failing = fail_after(0);
        let error = keeper.access_token(&connection).await.unwrap_err();
        assert_eq!(error.code(), "random");
        assert!(http.requests().is_empty());
    }
}
