use super::options::TokenFormat;
use crate::testing::wire::{random, random_hex};

/// A new access token.
pub(super) fn access_token(format: TokenFormat, github_app: bool) -> String {
    let prefix = if github_app { "ghu_" } else { "gho_" };
    match format {
        TokenFormat::Prefixed => format!("{prefix}{}", alphanumeric(36)),
        TokenFormat::Hex => random_hex(20),
        TokenFormat::Long => format!("{prefix}{}.{}_-{}", alphanumeric(120), alphanumeric(300), alphanumeric(93)),
    }
}

/// A new refresh token.
pub(super) fn refresh_token(format: TokenFormat) -> String {
    match format {
        TokenFormat::Hex => random_hex(40),
        _ => format!("ghr_{}", alphanumeric(76)),
    }
}

fn alphanumeric(count: usize) -> String {
    let letters = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').map(char::from);
    let letter = |byte: u8| letters.clone().nth(usize::from(byte) % 62).unwrap_or('0');
    random(count).into_iter().map(letter).collect()
}
