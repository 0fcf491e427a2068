//! Looking for secrets in text, in whatever dress they come.

use std::collections::HashMap;

/// Of so many bytes every secret is at least; they are looked up at every place of a text.
pub(crate) const HEAD: usize = 7;

/// Secrets to look for. However many there are, a text is read once.
#[derive(Clone, Default)]
pub(crate) struct Needles(HashMap<[u8; HEAD], Vec<(&'static str, Vec<u8>)>>);

impl Needles {
    /// Returns the dresses in which the secret was not known yet.
    pub(crate) fn add(&mut self, what: &'static str, secret: &str) -> Vec<Vec<u8>> {
        let mut new = Vec::new();
        for dress in dresses(secret) {
            let known = self.0.entry(head(&dress)).or_default();
            if !known.iter().any(|(_, other)| *other == dress) {
                known.push((what, dress.clone()));
                new.push(dress);
            }
        }
        new
    }

    /// What stands in a text that [`plain`] has made.
    pub(crate) fn find(&self, plain: &[u8]) -> Option<&'static str> {
        plain.windows(HEAD).enumerate().find_map(|(at, window)| {
            let known = self.0.get(window)?;
            known.iter().find(|(_, dress)| plain[at..].starts_with(dress)).map(|(what, _)| *what)
        })
    }
}

/// A text without what differs between dresses: white space (a list of bytes may be in one line or in many) and case.
pub(crate) fn plain(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| byte.to_ascii_lowercase()).collect()
}

pub(crate) fn head(dress: &[u8]) -> [u8; HEAD] {
    dress[..HEAD].try_into().unwrap()
}

/// As it is, in a URL or a form, between quotes, and as a list of bytes.
fn dresses(secret: &str) -> Vec<Vec<u8>> {
    assert!(secret.len() >= HEAD, "a secret too short to look for");
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let bytes: Vec<String> = secret.bytes().take(8).map(|byte| byte.to_string()).collect();
    let mut dresses: Vec<_> =
        [secret, &encoded, &secret.escape_debug().to_string(), &bytes.join(",")].map(plain).into();
    dresses.sort();
    dresses.dedup();
    dresses.retain(|dress| dress.len() >= HEAD);
    dresses
}

#[test]
fn a_secret_is_found_in_every_dress() {
    let secret = "s/e+c r%\"et-5e1f";
    let mut needles = Needles::default();
    needles.add("secret", secret);
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for text in [
        format!("a {secret} b"),
        secret.to_uppercase(),
        format!("{secret:?}"),
        format!("x={encoded}&y"),
        encoded.to_lowercase(),
        format!("{:?}", secret.as_bytes()),
        format!("{:#?}", secret.as_bytes()),
    ] {
        assert_eq!(needles.find(&plain(&text)), Some("secret"), "{text}");
    }
    for text in ["", "nothing", "s/e+c r%\"et-5e1", "115, 47, 101, 43, 99, 32, 114"] {
        assert_eq!(needles.find(&plain(text)), None, "{text}");
    }
}
