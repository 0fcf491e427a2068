//! Tells apart the settings that an integration had at different times.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::error::KeeperError;
use crate::integration::Integration;

/// A digest of an integration's platform, id, base URL, client ID and client secret: the key for what is known about
/// the integration, which is no longer true after a change of these. Not the values themselves, so that no secret is in
/// a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SettingsDigest([u8; 32]);

impl SettingsDigest {
    pub(super) fn of(integration: &Integration) -> Result<Self, KeeperError> {
        let (base_url, client) = (integration.provider().base_url(), integration.client());
        let parts = [
            integration.provider().platform().id(),
            integration.id().as_str(),
            base_url.as_str(),
            client.client_id(),
            client.expose_for(base_url)?,
        ];
        Ok(Self(digest(&parts)))
    }

    #[cfg(test)]
    pub(super) const fn of_number(number: u8) -> Self {
        Self([number; 32])
    }
}

/// Identifies a client ID in a stored record.
pub(super) fn client_id_digest(client_id: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(digest(&[client_id]));
    text.truncate(22);
    text
}

/// Includes the length of each part, so that `["ab", "c"]` and `["a", "bc"]` have different digests.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
