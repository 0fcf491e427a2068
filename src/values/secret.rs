use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::ConfigError;
use crate::util::random;

/// Text that must stay secret: zeroized when dropped, shown as `[redacted]`, and without `Display`, `PartialEq`, `Clone` and
/// `Serialize`. Only `expose` returns it.
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Visible ASCII only (RFC 6749 appendix A: VSCHAR without the space), so that no secret can end a header line.
    /// `None` if the text is empty, longer than `max` bytes, or holds anything else.
    pub(crate) fn parse(mut text: String, max: usize) -> Option<Self> {
        let valid = !text.is_empty() && text.len() <= max && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !valid {
            text.zeroize();
            return None;
        }
        Some(Self(Zeroizing::new(text)))
    }

    /// A secret whose characters were not checked here; see [`checked`](Self::checked).
    pub(crate) fn unchecked(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The same text, if [`parse`](Self::parse) would take it.
    pub(crate) fn checked(mut self, max: usize) -> Option<Self> {
        Self::parse(std::mem::take(&mut *self.0), max)
    }

    /// Secrets of 32 random bytes each, as 43 characters of base64url. All bytes come from one call of the system, which is the
    /// slowest part.
    pub(crate) fn random<const N: usize>() -> Result<[Self; N], ConfigError> {
        let mut bytes = Zeroizing::new([[0_u8; 32]; N]);
        random::fill(bytes.as_flattened_mut()).map_err(|_| ConfigError::Random)?;
        Ok(bytes.each_ref().map(|bytes| Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))))
    }

    /// Reads a text that [`random`](Self::random) made; `None` if it has another length.
    pub(crate) fn parse_random(text: String) -> Option<Self> {
        Self::parse(text, RANDOM_LENGTH).filter(|secret| secret.expose().len() == RANDOM_LENGTH)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// A second copy, where one value must outlive another.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// 32 bytes in base64url.
const RANDOM_LENGTH: usize = 43;

/// A value with secrets as JSON: wiped, and written to where there is room for all of it, so that nothing moves and leaves a
/// copy behind. It is written twice, the first time to know its length.
#[cfg(feature = "seal")]
pub(crate) fn to_zeroizing_json(value: &impl serde::Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    let mut json = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *json, value)?;
    Ok(json)
}

#[cfg(feature = "seal")]
struct Length(usize);

#[cfg(feature = "seal")]
impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{RANDOM_LENGTH, Secret};

    /// Growing would leave a copy behind that is not wiped.
    #[cfg(feature = "seal")]
    #[test]
    fn json_is_written_without_growing() {
        for length in [0, 1, 127, 128, 129, 1000, 20_000] {
            let text = "a\"\\".repeat(length);
            let json = super::to_zeroizing_json(&(&text, length)).unwrap();
            assert_eq!(json.capacity(), json.len());
            assert_eq!(*json, serde_json::to_vec(&(&text, length)).unwrap());
        }
    }

    /// States and verifiers are such. The first 96 of their 256 bits are enough to tell them apart.
    #[test]
    fn a_million_random_secrets_differ() {
        let mut seen = HashSet::with_capacity(1_000_000);
        for round in 0..1_000_000 {
            let [secret, other] = Secret::random().unwrap();
            assert_ne!(secret.expose(), other.expose());
            assert_eq!(secret.expose().len(), RANDOM_LENGTH);
            let head: [u8; 16] = secret.expose().as_bytes()[..16].try_into().unwrap();
            assert!(seen.insert(head), "{round}");
        }
    }
}
