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
        // A text that the caller has forgotten to seal is in all probability refused here.
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

    /// Forgets it. The returned cookies are to be set.
    ///
    /// # Errors
    ///
    /// As [`csrf_token`](Self::csrf_token).
    pub(crate) async fn forget_kept(&self, request: &RequestHead, name: &str) -> Result<Vec<HeaderValue>, Failure> {
        self.0.backend.forget_kept(request, name).await
    }
}

const MAX_VALUE: usize = 8 * 1024;
