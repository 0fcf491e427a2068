//! For apps that already have an HTTP client or OAuth code: [`ReqwestTransport`] sends the requests of this crate with the app's
//! own `reqwest` client (feature `reqwest`). With the feature `oauth2`, [`HttpClient`](crate::transport::HttpClient) sends those
//! of the crates `oauth2` and `openidconnect`; integrations, scopes and tokens are converted by
//! [`Integration`](crate::Integration) and [`TokenSet`](crate::TokenSet).

#[cfg(feature = "oauth2")]
mod oauth2;
#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub use self::reqwest::ReqwestTransport;
