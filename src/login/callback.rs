use std::borrow::Cow;
use std::fmt;

use crate::error::{CallbackError, UntrustedText};
use crate::util::text::has_control;
use crate::values::secret::Secret;

/// The request with which the browser comes back: an authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1).
///
/// It is parsed from the raw query, once and strictly. Its values cannot be read: only
/// [`Integration::finish_login`](crate::Integration::finish_login) uses them, after it has found the pending login that the
/// callback belongs to.
///
/// ```
/// use codehost_oauth::Callback;
///
/// let uri = "/oauth/callback/gitlab/demo?code=abc&state=xyz".parse()?;
/// let callback = Callback::from_uri(&uri)?;
/// assert_eq!(callback.path(), Some("/oauth/callback/gitlab/demo"));
/// assert!(!format!("{callback:?}").contains("abc"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Example: refused
///
/// ```
/// use codehost_oauth::{error::CallbackError, Callback};
///
/// let uri = "/oauth/callback/gitlab/demo?code=%FF&state=xyz".parse()?;
/// assert_eq!(Callback::from_uri(&uri).unwrap_err(), CallbackError::Encoding);
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
pub struct Callback {
    /// None if the app's own page has passed the parameters on.
    path: Option<Box<str>>,
    pub(super) state: Option<Secret>,
    pub(super) issuer: Option<String>,
    pub(super) outcome: Outcome,
}

/// What the code host decided.
pub(super) enum Outcome {
    Code(Secret),
    Error { error: UntrustedText, description: Option<UntrustedText> },
    Nothing,
}

impl Callback {
    /// Parses a request's URI: its path and query, as the server received them.
    ///
    /// # Errors
    ///
    /// [`CallbackError`] if the query is longer than 16 KiB, repeats a parameter, is not UTF-8, holds control
    /// characters, or belongs to another flow than the code flow.
    pub fn from_uri(uri: &http::Uri) -> Result<Self, CallbackError> {
        Self::read(Some(uri.path()), uri.query().unwrap_or_default())
    }

    /// The same from a text: a whole URL, or its path and query.
    ///
    /// ```
    /// use codehost_oauth::Callback;
    ///
    /// let callback = Callback::parse("https://packages.example.com/oauth/callback/gitlab/demo?code=abc&state=xyz")?;
    /// assert_eq!(callback.path(), Some("/oauth/callback/gitlab/demo"));
    /// assert_eq!(Callback::parse("not a URL").unwrap_err().code(), "callback_encoding");
    /// # Ok::<(), codehost_oauth::error::CallbackError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_uri`](Self::from_uri), and [`CallbackError::Encoding`] if the text is not a URL.
    pub fn parse(text: &str) -> Result<Self, CallbackError> {
        Self::from_uri(&text.parse().map_err(|_| CallbackError::Encoding)?)
    }

    /// The parameters of a callback that arrived at a page of the app's own front end, which has passed them on. The page's
    /// URL is the integration's [callback URL](crate::Integration::callback_url), so the path is not compared again.
    ///
    /// ```
    /// use codehost_oauth::Callback;
    ///
    /// // What the front end has posted: {"code": "abc", "state": "xyz"}.
    /// let callback = Callback::from_parameters([("code", "abc"), ("state", "xyz")])?;
    /// assert_eq!(callback.path(), None);
    /// # Ok::<(), codehost_oauth::error::CallbackError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_uri`](Self::from_uri).
    pub fn from_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CallbackError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        Self::read(None, &query)
    }

    fn read(path: Option<&str>, query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY {
            return Err(CallbackError::TooLong);
        }
        let mut known: [Option<String>; NAMES.len()] = Default::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let slots = NAMES.iter().zip(known.iter_mut());
            if let Some((name, slot)) = slots.into_iter().find(|(known, _)| **known == name) {
                if slot.replace(value.into_owned()).is_some() {
                    return Err(CallbackError::Repeated { name });
                }
            }
        }
        let [state, code, issuer, error, description, access_token, id_token] = known;
        if access_token.is_some() || id_token.is_some() {
            return Err(CallbackError::Implicit);
        }
        let outcome = match (code, error) {
            (Some(_), Some(_)) => return Err(CallbackError::CodeAndError),
            (Some(code), None) => Outcome::Code(Secret::unchecked(code)),
            (None, Some(error)) => Outcome::Error {
                error: UntrustedText::new(&error),
                description: description.as_deref().map(UntrustedText::new),
            },
            (None, None) => Outcome::Nothing,
        };
        let state = state.filter(|state| !state.is_empty()).map(Secret::unchecked);
        Ok(Self { path: path.map(Into::into), state, issuer, outcome })
    }

    /// The parameter `state`, if there was one.
    #[cfg(feature = "axum")]
    pub(crate) fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }

    /// The path at which the request arrived, if it arrived at the callback URL itself.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

/// Shows no value: the browser wrote all of them, the path too.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}

const MAX_QUERY: usize = 16 * 1024;

/// The known parameters, in the order in which `read` destructures them.
const NAMES: [&str; 7] = ["state", "code", "iss", "error", "error_description", "access_token", "id_token"];

/// Form-decodes strictly: a lenient decoder turns bytes that are not UTF-8 into a replacement character, so that two
/// different texts look the same.
fn decode(text: &str) -> Result<Cow<'_, str>, CallbackError> {
    if !text.contains(['+', '%']) {
        return printable(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => (high << 4) | low,
                _ => return Err(CallbackError::Encoding),
            },
            _ => byte,
        });
    }
    printable(Cow::Owned(String::from_utf8(bytes).map_err(|_| CallbackError::Encoding)?))
}

fn printable(text: Cow<'_, str>) -> Result<Cow<'_, str>, CallbackError> {
    if has_control(&text) { Err(CallbackError::Encoding) } else { Ok(text) }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
