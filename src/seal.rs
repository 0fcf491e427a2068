//! Encryption of stored values. A value that is sealed for one place can be opened only for that place.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce of 24 bytes. The associated data contains the
//! version, the key's id and the [`SealContext`], so a row that is moved to another connection, integration or column cannot
//! be opened.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::error::SealError;

/// The keys of an app. The first one seals, all of them open.
///
/// To change the key without downtime, add the new key at the end on every node, then move it to the front on every node.
/// Remove the old one when no value is left that it sealed (the keeper seals a row again at every refresh).
///
/// Cheap to clone: all clones share the keys, whose memory is wiped when the last one is dropped.
///
/// ```
/// use codehost_oauth::seal::{KeyRing, SealContext};
///
/// let old = KeyRing::new([(1, [7; 32].as_slice())])?;
/// let here = SealContext { purpose: "webhook-secret", integration: "demo", connection: "" };
/// let sealed = old.seal(&here, b"s3cr3t")?;
///
/// let rotated = KeyRing::new([(2, [8; 32].as_slice()), (1, [7; 32].as_slice())])?;
/// assert_eq!(rotated.open(&here, &sealed)?.as_slice(), b"s3cr3t");
/// assert!(rotated.open(&SealContext { integration: "other", ..here }, &sealed).is_err());
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<[Key]>,
}

impl KeyRing {
    /// Keys with their ids; the first one seals. A key is 32 random bytes. Do not use a password.
    ///
    /// # Errors
    ///
    /// [`SealError::NoKey`], [`SealError::KeyLength`] or [`SealError::DuplicateKey`].
    pub fn new<'a>(keys: impl IntoIterator<Item = (u32, &'a [u8])>) -> Result<Self, SealError> {
        let mut ring: Vec<Key> = Vec::new();
        for (id, bytes) in keys {
            if ring.iter().any(|key| key.id == id) {
                return Err(SealError::DuplicateKey { id });
            }
            let mut key = Key { id, bytes: Zeroizing::new([0; 32]) };
            if bytes.len() != key.bytes.len() {
                return Err(SealError::KeyLength { id });
            }
            key.bytes.copy_from_slice(bytes);
            ring.push(key);
        }
        if ring.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys: ring.into() }) }
    }

    /// Encrypts `plaintext` for one place. The result is a version byte, the key's id (4 bytes, big-endian), the nonce (24
    /// bytes), and the ciphertext with its tag.
    ///
    /// # Errors
    ///
    /// [`SealError::Random`] if the system gives no random bytes, [`SealError::TooLarge`] if the cipher refuses the length.
    pub fn seal(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0_u8; NONCE];
        crate::util::random::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let aad = context.associated_data(key.id);
        let ciphertext = key.cipher().encrypt((&nonce).into(), Payload { msg: plaintext, aad: &aad });
        let ciphertext = ciphertext.map_err(|_| SealError::TooLarge)?;
        Ok([&[VERSION], key.id.to_be_bytes().as_slice(), &nonce, &ciphertext].concat())
    }

    /// Decrypts a value that was sealed for this place with any key of the ring. The plaintext is wiped when it is dropped.
    ///
    /// # Errors
    ///
    /// [`SealError::Malformed`] if the bytes do not have the format of a sealed value, [`SealError::UnknownKey`], and
    /// [`SealError::Rejected`] if the value was changed, moved, or sealed with another key of this id.
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<Plaintext, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        let (id, rest) = rest.split_first_chunk::<4>().ok_or(SealError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Malformed)?;
        if *version != VERSION {
            return Err(SealError::Malformed);
        }
        let id = u32::from_be_bytes(*id);
        let key = self.keys.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey { id })?;
        let aad = context.associated_data(id);
        let plaintext = key.cipher().decrypt(nonce.into(), Payload { msg: ciphertext, aad: &aad });
        plaintext.map(|bytes| Plaintext(Zeroizing::new(bytes))).map_err(|_| SealError::Rejected)
    }
}

/// `2:KEY,1:KEY` with keys in base64 or base64url, for an environment variable. The first key seals.
///
/// ```
/// use codehost_oauth::seal::KeyRing;
///
/// let ring: KeyRing = "1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".parse()?;
/// assert_eq!(format!("{ring:?}"), "KeyRing([1])");
/// assert!("1:short".parse::<KeyRing>().is_err());
/// # Ok::<(), codehost_oauth::error::SealError>(())
/// ```
impl FromStr for KeyRing {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys = Vec::new();
        for entry in text.split(',') {
            let (id, key) = entry.trim().split_once(':').ok_or(SealError::KeyText)?;
            let key = key.trim_end_matches('=');
            let bytes = URL_SAFE_NO_PAD.decode(key).or_else(|_| STANDARD_NO_PAD.decode(key));
            let bytes = Zeroizing::new(bytes.map_err(|_| SealError::KeyText)?);
            keys.push((id.parse().map_err(|_| SealError::KeyText)?, bytes));
        }
        Self::new(keys.iter().map(|(id, bytes)| (*id, bytes.as_slice())))
    }
}

/// Shows the ids only.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|key| key.id).collect();
        write!(f, "KeyRing({ids:?})")
    }
}

/// The place that a sealed value belongs to. It is authenticated, but not stored.
///
/// ```
/// use codehost_oauth::seal::SealContext;
///
/// let here = SealContext { purpose: "tokens", integration: "demo", connection: "gitlab:demo:42" };
/// assert_eq!(SealContext { purpose: "webhook-secret", ..here }.connection, "gitlab:demo:42");
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "an app seals its own values with it; with another member, no old value could be opened"
)]
pub struct SealContext<'a> {
    /// The kind of value: the column or field.
    pub purpose: &'a str,
    /// The integration's id, or empty.
    pub integration: &'a str,
    /// The connection, row or user, or empty.
    pub connection: &'a str,
}

impl SealContext<'_> {
    /// Each part has its length before it, so that no two contexts give the same bytes.
    fn associated_data(&self, key: u32) -> Vec<u8> {
        let mut data = vec![VERSION];
        data.extend(key.to_be_bytes());
        for part in ["codehost-oauth", self.purpose, self.integration, self.connection] {
            data.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            data.extend(part.as_bytes());
        }
        data
    }
}

/// The result of [`KeyRing::open`]. Its memory is wiped when it is dropped.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// The decrypted bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Shows the length only.
impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

struct Key {
    id: u32,
    bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

const VERSION: u8 = 1;
const NONCE: usize = 24;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test data")]
mod tests {
    use super::*;

    const HERE: SealContext<'_> = SealContext { purpose: "tokens", integration: "demo", connection: "gitlab:demo:42" };

    fn ring() -> KeyRing {
        KeyRing::new([(2, [8; 32].as_slice()), (1, [7; 32].as_slice())]).unwrap()
    }

    /// Texts of every length around the cipher's blocks.
    fn plaintexts() -> impl Iterator<Item = Vec<u8>> {
        [0, 1, 15, 16, 17, 63, 64, 65, 200].into_iter().map(|length| (0..length).collect())
    }

    #[test]
    fn any_change_is_noticed() {
        for plaintext in plaintexts() {
            let sealed = ring().seal(&HERE, &plaintext).unwrap();
            assert_eq!(ring().open(&HERE, &sealed).unwrap().to_vec(), plaintext);
            for (at, bit) in (0..sealed.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(ring().open(&HERE, &changed).is_err(), "bit {bit} of byte {at} of {}", sealed.len());
            }
        }
    }

    #[test]
    fn any_cut_is_noticed() {
        for plaintext in plaintexts() {
            let sealed = ring().seal(&HERE, &plaintext).unwrap();
            for length in 0..sealed.len() {
                assert!(ring().open(&HERE, &sealed[..length]).is_err(), "{length} of {}", sealed.len());
            }
        }
    }

    /// All triples of a few texts that could give the same bytes when they are joined.
    #[test]
    fn no_two_contexts_have_the_same_associated_data() {
        let texts = ["", "a", "aa", "b", "ab", "ba", "\0", "a\0"];
        let mut distinct = std::collections::HashSet::new();
        for purpose in texts {
            for integration in texts {
                for connection in texts {
                    distinct.insert(SealContext { purpose, integration, connection }.associated_data(1));
                }
            }
        }
        assert_eq!(distinct.len(), texts.len().pow(3));
    }

    #[test]
    fn arbitrary_bytes_never_open() {
        for bytes in plaintexts() {
            assert!(ring().open(&HERE, &bytes).is_err());
            // The head of a sealed value is valid, so the rest must be refused.
            let head = ring().seal(&HERE, b"").unwrap()[..5].to_vec();
            assert!(ring().open(&HERE, &[head, bytes].concat()).is_err());
        }
    }

    #[test]
    fn a_moved_row_does_not_open() {
        let sealed = ring().seal(&HERE, b"tokens").unwrap();
        for elsewhere in [
            SealContext { purpose: "login", ..HERE },
            SealContext { integration: "other", ..HERE },
            SealContext { connection: "gitlab:demo:43", ..HERE },
            SealContext { integration: "demog", connection: "itlab:demo:42", ..HERE },
        ] {
            assert_eq!(ring().open(&elsewhere, &sealed).unwrap_err(), SealError::Rejected);
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = KeyRing::new([(1, [7; 32].as_slice())]).unwrap();
        let by_old = old.seal(&HERE, b"x").unwrap();
        assert!(ring().open(&HERE, &by_old).is_ok());
        let by_new = ring().seal(&HERE, b"x").unwrap();
        assert_eq!(by_new[1..5], [0, 0, 0, 2]);
        assert_eq!(old.open(&HERE, &by_new).unwrap_err(), SealError::UnknownKey { id: 2 });
        // Another key under a known id.
        let other = KeyRing::new([(1, [9; 32].as_slice())]).unwrap();
        assert_eq!(other.open(&HERE, &by_old).unwrap_err(), SealError::Rejected);
    }

    #[test]
    fn a_ring_that_would_not_protect_is_refused() {
        let key = [7; 33];
        assert_eq!(KeyRing::new([]).unwrap_err(), SealError::NoKey);
        for length in [0, 16, 31, 33] {
            assert_eq!(KeyRing::new([(1, &key[..length])]).unwrap_err(), SealError::KeyLength { id: 1 });
        }
        assert_eq!(KeyRing::new([(1, &key[..32]), (1, &key[..32])]).unwrap_err(), SealError::DuplicateKey { id: 1 });
        for text in ["", "1", "1:", "x:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "1:!!!!"] {
            assert!(text.parse::<KeyRing>().is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", ring()), "KeyRing([2, 1])");
    }

    #[test]
    fn nothing_is_sealed_the_same_twice() {
        assert_ne!(ring().seal(&HERE, b"x").unwrap(), ring().seal(&HERE, b"x").unwrap());
    }
}
