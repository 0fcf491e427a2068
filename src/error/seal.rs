use super::{Advice, advised};

/// Why something cannot be sealed or opened.
///
/// ```
/// use codehost_oauth::error::{Audience, SealError};
///
/// assert_eq!(SealError::UnknownKey { id: 7 }.audience(), Audience::Operator);
/// assert_eq!(SealError::Expired.to_string(), "what was sealed has expired");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A key ring without a key.
    #[error("the key ring has no key")]
    NoKey,
    /// A key that is not 32 bytes.
    #[error("key {id} of the key ring is not 32 bytes")]
    KeyLength {
        /// Which one.
        id: u32,
    },
    /// Two keys with one id.
    #[error("the key ring has two keys with the id {id}")]
    DuplicateKey {
        /// The id.
        id: u32,
    },
    /// A text that is not a list of keys.
    #[error("the key ring is not written as id:key,id:key with keys of 32 bytes in base64")]
    KeyText,
    /// Sealed with a key that is not in the ring.
    #[error("key {id}, which sealed this, is not in the key ring")]
    UnknownKey {
        /// Its id.
        id: u32,
    },
    /// Changed, cut off, moved here from another place, or sealed with another key of the same id.
    #[error("what was sealed has been changed, or belongs to another place")]
    Rejected,
    /// Nothing that this version has sealed.
    #[error("the bytes are nothing that this version has sealed")]
    Malformed,
    /// Past its time.
    #[error("what was sealed has expired")]
    Expired,
    /// More than fits.
    #[error("what is to be sealed is too large")]
    TooLarge,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
}

impl SealError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::NoKey => Advice::operator("seal_no_key", "Give the key ring at least one key."),
            Self::KeyLength { .. } => Advice::operator("seal_key_length", "Use 32 random bytes as a key."),
            Self::DuplicateKey { .. } => Advice::operator("seal_duplicate_key", "Give every key an id of its own."),
            Self::KeyText => Advice::operator("seal_key_text", "Write the key ring as 2:KEY,1:KEY, the newest first."),
            Self::UnknownKey { .. } => {
                Advice::operator("seal_unknown_key", "Put the key back into the key ring, after the newest one.")
            }
            Self::Rejected => {
                Advice::operator("seal_rejected", "Find out who changed or moved the row, or restored another key.")
            }
            Self::Malformed => Advice::operator("seal_malformed", "Find out who wrote it; update every node."),
            Self::Expired => Advice::user("seal_expired", "Start the login again."),
            Self::TooLarge => Advice::operator("seal_too_large", "Keep pending logins in a session store instead."),
            Self::Random => Advice::operator("random", "Look into the operating system's random number generator."),
        }
    }
}

advised!(SealError);
