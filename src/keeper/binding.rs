//! With whom a refresh talks, and as whom.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::error::KeeperError;
use crate::integration::Integration;

/// An integration as it is set at the moment: id, base URL, client id and secret. What is known of one is not known of
/// the other after somebody has changed the settings. A digest, so that no secret lies about in a map.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Binding([u8; 32]);

impl Binding {
    pub(super) fn of(integration: &Integration) -> Result<Self, KeeperError> {
        let (base_url, client) = (integration.provider().base_url(), integration.client());
        let parts = [
            integration.provider().platform().id(),
            integration.id().as_str(),
            base_url.as_str(),
            client.client_id(),
            client.secret_for(base_url)?,
        ];
        Ok(Self(digest(&parts)))
    }

    #[cfg(test)]
    pub(super) const fn test(number: u8) -> Self {
        Self([number; 32])
    }
}

/// Stands for a client id in what is stored.
pub(super) fn client_mark(client_id: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(digest(&[client_id]));
    text.truncate(22);
    text
}

/// Of the parts with their lengths, so that none can be moved into its neighbour.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
