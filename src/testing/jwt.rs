//! Tokens that look like signed JSON Web Tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The same claims give the same token.
pub(crate) fn token(key: &[u8], claims: &str) -> String {
    let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(key));
    let header = format!("{{\"alg\":\"RS256\",\"kid\":\"{key_id}\",\"typ\":\"JWT\"}}");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    // As long as an RSA signature.
    let signature: Vec<u8> = (0..8_u8)
        .flat_map(|part| Sha256::new().chain_update(key).chain_update([part]).chain_update(&signed).finalize())
        .collect();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Whether a text has the form of a JSON Web Token.
pub(crate) fn is_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && URL_SAFE_NO_PAD.decode(part).is_ok())
}
