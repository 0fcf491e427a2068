//! Texts of forms that cannot be saved yet: what was typed survives an error and a reload, and is never in a page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::{Failure, FailureCause, LoginRoutes, RequestHead};

impl LoginRoutes {
    /// Keeps a text for this browser, for an hour or until its log-out; a login keeps it. `name` is that of a form and integration:
    /// a text with the same name is replaced, and of more than four, or of more than a session or the cookies should hold, the
    /// oldest are dropped. The returned cookies are to be set.
    ///
    /// `value` must be sealed, and written as base64url.
    ///
    /// # Errors
    ///
    /// [`FailureCause::TooLongToKeep`]; otherwise as [`csrf_token`](Self::csrf_token).
    pub(crate) async fn keep(
        &self,
        request: &RequestHead,
        name: &str,
        value: &str,
    ) -> Result<Vec<HeaderValue>, Failure> {
        if value.len() > MAX_VALUE {
            return Err(FailureCause::TooLongToKeep.into());
        }
        // Unsealed text is most likely not base64url, and is refused.
        URL_SAFE_NO_PAD.decode(value).map_err(|error| FailureCause::Session(error.into()))?;
        self.0.backend.keep(request, name, value).await
    }

    /// The text that this browser keeps under this name.
    ///
    /// # Errors
    ///
    /// As [`csrf_token`](Self::csrf_token).
    pub(crate) async fn kept(&self, request: &RequestHead, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        Ok(self.0.backend.kept(request, name).await?.map(Zeroizing::new))
    }

    /// Removes the text that this browser keeps under this name. The returned cookies are to be set.
    ///
    /// # Errors
    ///
    /// As [`csrf_token`](Self::csrf_token).
    pub(crate) async fn forget_kept(&self, request: &RequestHead, name: &str) -> Result<Vec<HeaderValue>, Failure> {
        self.0.backend.forget_kept(request, name).await
    }
}

const MAX_VALUE: usize = 8 * 1024;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use http::Request;
    use http::header::{COOKIE, SET_COOKIE};

    use super::super::memory_sessions::{MemorySessions, SessionBrowser};
    use super::*;
    use crate::login::Login;
    use crate::router::LoginHandler;
    use crate::seal::KeyRing;
    use crate::{FindIntegration, Integration};

    struct Nothing;

    #[async_trait::async_trait]
    impl FindIntegration for Nothing {
        async fn find(
            &self,
            _: &crate::IntegrationId,
        ) -> Result<Option<std::sync::Arc<Integration>>, crate::error::AppError> {
            Ok(None)
        }
    }

    #[async_trait::async_trait]
    impl LoginHandler for Nothing {
        async fn logged_in(&self, _: &mut RequestHead, _: &Integration, _: Login) -> axum::response::Response {
            unreachable!()
        }
    }

    /// A browser with its cookies, at an app that keeps texts in its sessions or in cookies.
    struct Browser {
        routes: LoginRoutes,
        session: SessionBrowser,
        cookies: Vec<(String, String)>,
    }

    impl Browser {
        fn both() -> [(Self, MemorySessions); 2] {
            let (sessions, public_url) = (MemorySessions::default(), "https://app.example.com".parse().unwrap());
            let keys = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
            let in_session = LoginRoutes::with(Nothing, Nothing, &public_url, sessions.clone());
            let in_cookie = LoginRoutes::in_cookie(Nothing, Nothing, &public_url, keys);
            [in_session, in_cookie].map(|routes| {
                let browser = Self { routes, session: SessionBrowser::default(), cookies: Vec::new() };
                (browser, sessions.clone())
            })
        }

        fn request(&self) -> RequestHead {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = Request::builder().header(COOKIE, cookies.join("; ")).extension(self.session.clone());
            request.body(()).unwrap().into_parts().0
        }

        fn set(&mut self, cookies: Vec<HeaderValue>) {
            let mut head = 0;
            for cookie in &cookies {
                let text = cookie.to_str().unwrap();
                head += SET_COOKIE.as_str().len() + text.len() + 4;
                assert!(text.contains("; Secure"), "{text}");
                let (name, rest) = text.split_once('=').unwrap();
                assert!(name.starts_with("__Host-codehost-"), "{text}");
                self.cookies.retain(|(known, _)| known != name);
                if !text.contains("Max-Age=0") {
                    assert!(text.contains("; HttpOnly; SameSite=Lax") && text.ends_with("Max-Age=3600"), "{text}");
                    self.cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
                }
            }
            assert!(head < 2900, "the head of the response: {head}");
        }

        async fn keep(&mut self, name: &str, text: &str) {
            let cookies = self.routes.keep(&self.request(), name, text).await.unwrap();
            self.set(cookies);
        }

        async fn kept(&self, name: &str) -> Option<String> {
            self.routes.kept(&self.request(), name).await.unwrap().map(|text| text.to_string())
        }
    }

    #[tokio::test]
    async fn a_text_is_kept_for_its_browser_and_name_until_it_is_forgotten() {
        for (mut browser, _) in Browser::both() {
            assert_eq!(browser.kept("form:a").await, None);
            browser.keep("form:a", "AAAA").await;
            browser.keep("form:b", "BBBB").await;
            browser.keep("form:a", "CCCC").await;
            assert_eq!(browser.kept("form:a").await.as_deref(), Some("CCCC"));
            assert_eq!(browser.kept("form:b").await.as_deref(), Some("BBBB"));
            assert_eq!(browser.kept("form:").await, None);
            let other = Browser { routes: browser.routes.clone(), session: SessionBrowser::default(), cookies: vec![] };
            assert_eq!(other.kept("form:a").await, None);

            let forgotten = browser.routes.forget_kept(&browser.request(), "form:a").await.unwrap();
            browser.set(forgotten);
            assert_eq!(browser.kept("form:a").await, None);
            assert_eq!(browser.kept("form:b").await.as_deref(), Some("BBBB"));
            assert_eq!(browser.routes.forget_kept(&browser.request(), "form:a").await.unwrap().len(), 0);
            assert!(!format!("{:?}", browser.cookies).contains("form"), "a cookie shows no name");
        }
    }

    #[tokio::test]
    async fn at_most_four_are_kept_and_the_oldest_is_dropped() {
        for (mut browser, _) in Browser::both() {
            for name in ["a", "b", "c", "d", "a", "e"] {
                browser.keep(name, "AAAA").await;
            }
            assert_eq!(browser.kept("b").await, None);
            for name in ["a", "c", "d", "e"] {
                assert_eq!(browser.kept(name).await.as_deref(), Some("AAAA"), "{name}");
            }
            assert!(browser.cookies.len() <= 4);
        }
    }

    #[tokio::test]
    async fn long_texts_drop_the_older_ones_or_are_refused() {
        let [(mut in_session, sessions), (mut in_cookie, _)] = Browser::both();
        let (long, longest) = ("L".repeat(4000), "M".repeat(8 * 1024));
        for name in ["a", "b", "c"] {
            in_session.keep(name, &long).await;
        }
        in_session.keep("d", &longest).await;
        assert_eq!(in_session.kept("d").await.as_deref(), Some(&*longest));
        assert_eq!(in_session.kept("b").await, None);
        assert_eq!(in_session.kept("c").await.as_deref(), Some(&*long));
        assert!(sessions.0.lock().unwrap().values().all(|text| text.len() < 13 * 1024));

        in_cookie.keep("a", &"A".repeat(1200)).await;
        in_cookie.keep("b", &"B".repeat(1300)).await;
        in_cookie.keep("c", &"C".repeat(600)).await;
        assert_eq!(in_cookie.kept("a").await, None, "the cookies would be too long together");
        assert_eq!(in_cookie.kept("b").await.map(|text| text.len()), Some(1300));
        assert!(in_cookie.cookies.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 3000);

        for (browser, text) in [(&in_session, 8 * 1024 + 1), (&in_cookie, 2000)] {
            let text = "A".repeat(text);
            let refused = browser.routes.keep(&browser.request(), "x", &text).await.unwrap_err();
            assert_eq!(refused.cause.code(), "too_long_to_keep");
            assert_eq!(browser.kept("x").await, None);
        }
    }

    #[tokio::test]
    async fn a_text_that_is_not_sealed_is_refused() {
        for (browser, sessions) in Browser::both() {
            for text in ["the client secret", "gloas-s3cr3t!", "ä"] {
                let refused = browser.routes.keep(&browser.request(), "x", text).await.unwrap_err();
                assert_eq!(refused.cause.code(), "session");
                assert!(!format!("{refused:?}").contains(text));
            }
            assert!(sessions.0.lock().unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_log_out_ends_them() {
        for (mut browser, _) in Browser::both() {
            browser.keep("a", "AAAA").await;
            browser.keep("b", "BBBB").await;
            let routes = browser.routes.clone();
            let ended = routes.0.backend.end(&browser.request(), &routes.0.callback_runs).await.unwrap();
            browser.set(ended);
            assert_eq!(browser.kept("a").await, None);
            assert_eq!(browser.cookies.len(), 0);
        }
    }

    #[tokio::test]
    async fn a_text_in_a_session_is_kept_for_an_hour() {
        let [(mut browser, sessions), _] = Browser::both();
        browser.keep("a", "AAAA").await;
        let make_older = |seconds: u64| {
            let mut sessions = sessions.0.lock().unwrap();
            let text = sessions.values_mut().next().unwrap();
            let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
            let kept_at = json["kept"][0]["kept_at"].as_u64().unwrap();
            json["kept"][0]["kept_at"] = (kept_at - seconds).into();
            *text = json.to_string();
        };
        make_older(3590);
        assert!(browser.kept("a").await.is_some());
        make_older(11);
        assert_eq!(browser.kept("a").await, None);
        // The next write removes it.
        browser.keep("b", "BBBB").await;
        assert!(!sessions.0.lock().unwrap().values().next().unwrap().contains("AAAA"));
    }
}
