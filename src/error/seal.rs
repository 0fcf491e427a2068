use super::{Advice, advised};

/// Why a value cannot be sealed or opened.
///
/// ```
/// use codehost_oauth::error::{Audience, SealError};
///
/// assert_eq!(SealError::UnknownKey { id: 7 }.advice().audience, Audience::Operator);
/// assert_eq!(SealError::Expired.to_string(), "the sealed value has expired");
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
        /// The key's id.
        id: u32,
    },
    /// Two keys with the same id.
    #[error("the key ring has two keys with the id {id}")]
    DuplicateKey {
        /// The id.
        id: u32,
    },
    /// A text that is not a list of keys.
    #[error("the key ring must be written as id:key,id:key with keys of 32 bytes in base64")]
    KeyText,
    /// Sealed with a key that is not in the ring.
    #[error("the value was sealed with key {id}, which is not in the key ring")]
    UnknownKey {
        /// The key's id.
        id: u32,
    },
    /// Changed, cut off, sealed for another [`SealContext`](crate::seal::SealContext), or sealed with another key of the same id.
    #[error("the sealed value was changed, or was sealed for another place or with another key")]
    Rejected,
    /// Not the format of a sealed value.
    #[error("the value is not in the format that this version seals")]
    Malformed,
    /// Older than its lifetime.
    #[error("the sealed value has expired")]
    Expired,
    /// Too large.
    #[error("the value is too large to be sealed")]
    TooLarge,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
}

impl SealError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::NoKey => Advice::operator("seal_no_key", "Give the key ring at least one key."),
            Self::KeyLength { .. } => Advice::operator("seal_key_length", "Use 32 random bytes as a key."),
            Self::DuplicateKey { .. } => Advice::operator("seal_duplicate_key", "Give each key another ID."),
            Self::KeyText => Advice::operator("seal_key_text", "Write the key ring as 2:KEY,1:KEY, the newest first."),
            Self::UnknownKey { .. } => {
                Advice::operator("seal_unknown_key", "Put the key back into the key ring, after the newest one.")
            }
            Self::Rejected => Advice::operator(
                "seal_rejected",
                "Find out whether somebody changed or moved the row, or restored another key.",
            ),
            Self::Malformed => Advice::operator(
                "seal_malformed",
                "Update codehost-oauth on every node, and find out what wrote the value.",
            ),
            Self::Expired => Advice::user("seal_expired", "Start the login again."),
            Self::TooLarge => Advice::operator("seal_too_large", "Keep pending logins in a session instead."),
            Self::Random => Advice::operator("random", "Check the operating system's random number generator."),
        }
    }
}

advised!(SealError);
