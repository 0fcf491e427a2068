//! Finds secrets in text, in every form in which they may be written.

use std::collections::HashMap;

/// The least length of a secret in bytes; this many bytes are looked up at every position of a text.
pub(crate) const HEAD: usize = 7;

/// The secrets to look for. A text is read once for all of them.
#[derive(Clone, Default)]
pub(crate) struct SecretSet(HashMap<[u8; HEAD], Vec<(&'static str, Vec<u8>)>>);

impl SecretSet {
    /// Returns the forms of the secret that were not known yet.
    pub(crate) fn add(&mut self, what: &'static str, secret: &str) -> Vec<Vec<u8>> {
        let mut new = Vec::new();
        for form in forms(secret) {
            let known = self.0.entry(head(&form)).or_default();
            if !known.iter().any(|(_, other)| *other == form) {
                known.push((what, form.clone()));
                new.push(form);
            }
        }
        new
    }

    /// The secret that is in a text, which [`normalized`] must have normalized.
    pub(crate) fn find(&self, normalized: &[u8]) -> Option<&'static str> {
        normalized.windows(HEAD).enumerate().find_map(|(at, window)| {
            let known = self.0.get(window)?;
            known.iter().find(|(_, form)| normalized[at..].starts_with(form)).map(|(what, _)| *what)
        })
    }
}

/// A text without white space, since a list of bytes may be in one line or in many, and in lower case.
pub(crate) fn normalized(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| byte.to_ascii_lowercase()).collect()
}

pub(crate) fn head(form: &[u8]) -> [u8; HEAD] {
    form[..HEAD].try_into().unwrap()
}

/// Plain, form-encoded, escaped as in `Debug`, and as a list of bytes.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    assert!(secret.len() >= HEAD, "the secret is too short to look for");
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let bytes: Vec<String> = secret.bytes().take(8).map(|byte| byte.to_string()).collect();
    let mut forms: Vec<_> =
        [secret, &encoded, &secret.escape_debug().to_string(), &bytes.join(",")].map(normalized).into();
    forms.sort();
    forms.dedup();
    forms.retain(|form| form.len() >= HEAD);
    forms
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "s/e+c r%\"et-5e1f";
    let mut secrets = SecretSet::default();
    secrets.add("secret", secret);
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
        assert_eq!(secrets.find(&normalized(&text)), Some("secret"), "{text}");
    }
    for text in ["", "nothing", "s/e+c r%\"et-5e1", "115, 47, 101, 43, 99, 32, 114"] {
        assert_eq!(secrets.find(&normalized(text)), None, "{text}");
    }
}
