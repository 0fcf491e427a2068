//! Percent-encoding (RFC 3986 section 2.1).

/// Bytes that may stand as they are.
pub(crate) struct Plain([bool; 256]);

impl Plain {
    /// Letters, digits and `others`.
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "for statics: what is out of bounds does not compile"
    )]
    pub(crate) const fn new(others: &[u8]) -> Self {
        let mut plain = [false; 256];
        let mut byte = 0_u8;
        while byte < u8::MAX {
            plain[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            plain[others[at] as usize] = true;
            at += 1;
        }
        Self(plain)
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)) == Some(&true)
    }
}

/// Appends `text`, with `%XX` for each byte that is not `plain`.
pub(crate) fn push_encoded(to: &mut Vec<u8>, text: &str, plain: &Plain) {
    // Most texts are plain as a whole.
    if text.bytes().fold(true, |all, byte| all & plain.has(byte)) {
        to.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        if plain.has(byte) {
            to.push(byte);
        } else {
            to.extend([b'%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

fn digit(nibble: u8) -> u8 {
    b"0123456789ABCDEF".get(usize::from(nibble)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986 section 2.3, and nothing beside it.
    #[test]
    fn letters_digits_and_the_others_are_plain() {
        let unreserved = Plain::new(b"-._~");
        for byte in 0..=u8::MAX {
            let plain = matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~');
            assert_eq!(unreserved.has(byte), plain, "{byte}");
        }
    }

    #[test]
    fn what_is_not_plain_is_two_digits() {
        let mut to = b"x=".to_vec();
        push_encoded(&mut to, "aZ09-/ \u{e4}\n", &Plain::new(b"-"));
        assert_eq!(to, b"x=aZ09-%2F%20%C3%A4%0A");
    }
}
