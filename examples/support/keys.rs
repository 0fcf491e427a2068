//! The keys that seal what an example stores.

use codehost_oauth::error::SealError;
use codehost_oauth::seal::KeyRing;

use super::support::Failure;

/// Reads the keys in an environment variable. They are not a flag, since flags are shown in the list of processes.
/// `otherwise`: the keys if it is not set.
pub(crate) fn key_ring(variable: &str, otherwise: Option<&str>) -> Result<KeyRing, Failure> {
    let text = std::env::var(variable).ok().or(otherwise.map(str::to_owned)).ok_or_else(|| {
        let hint = format!("Set {variable} to 1: and 32 random bytes in base64: `echo 1:$(openssl rand -base64 32)`.");
        Failure::new("seal_keys_missing", format!("the environment variable {variable} is not set"), &hint)
    })?;
    text.parse()
        .map_err(|error: SealError| Failure::new(error.code(), format!("{variable}: {error}"), &error.advice().hint))
}
