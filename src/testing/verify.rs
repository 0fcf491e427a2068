use std::time::SystemTime;

use crate::error::VerifyError;
use crate::integration::Integration;
use crate::login::{Callback, PendingLogin, Purpose};
use crate::provider::grant::VerifiedGrant;

/// Does the checks of [`Integration::finish_login`] before its first request, with `now` as the current time. The
/// result is needed to test [`OAuthProvider::exchange_code`](crate::OAuthProvider::exchange_code).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use codehost_oauth::testing::{ScriptedTransport, verify};
/// use codehost_oauth::transport::Network;
/// use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, Platform};
///
/// let base_url = BaseUrl::parse("https://git.example.com", &Network::public_only())?;
/// let config = IntegrationConfig {
///     id: "demo".parse()?,
///     name: "Our GitLab".to_owned(),
///     public_url: "https://packages.example.com".parse()?,
///     client_id: "id".to_owned(),
///     client_secret: "secret".to_owned(),
///     access: Access::SignIn,
/// };
/// let provider = Platform::find("gitlab")?.provider(base_url)?;
/// let integration = Integration::builder(provider, ScriptedTransport::new(), config).build()?;
///
/// let pending = integration.begin_login(None)?.pending;
/// let callback = Callback::parse("/oauth/callback/gitlab/demo?code=x&state=y")?;
/// let in_two_hours = SystemTime::now() + Duration::from_secs(7200);
/// assert_eq!(verify(&integration, pending, callback, in_two_hours).unwrap_err().code(), "state_unknown");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(
    integration: &Integration,
    pending: PendingLogin,
    callback: Callback,
    now: SystemTime,
) -> Result<VerifiedGrant, VerifyError> {
    pending.verify(callback, &integration.expected(Purpose::LogIn), now)
}
