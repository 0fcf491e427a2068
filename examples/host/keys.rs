//! The key ring that seals client secrets and sessions.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codehost_oauth::seal::KeyRing;

use crate::support::Failure;

/// The keys of `CODEHOST_KEYS`. Without it, the key file beside the database, which the first start writes with a warning:
/// whoever has both files can read the secrets. Without a database file, a new key.
pub(crate) fn load(database: Option<&Path>) -> Result<KeyRing, Failure> {
    if let Ok(text) = std::env::var(VARIABLE) {
        return parse(&text, VARIABLE);
    }
    let Some(database) = database else {
        return parse(&fresh()?, "the new key");
    };
    let path = database.with_extension("key");
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(text.trim(), &path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = fresh()?;
            write(&path, &text).map_err(|error| failed(&path, &error))?;
            let warning = format!(
                "warning: {VARIABLE} is not set, so a new key was written to {}. Store it apart from the database and its backups.\n",
                path.display()
            );
            let _ = std::io::stderr().write_all(warning.as_bytes());
            parse(&text, VARIABLE)
        }
        Err(error) => Err(failed(&path, &error)),
    }
}

const VARIABLE: &str = "CODEHOST_KEYS";

fn parse(text: &str, place: &str) -> Result<KeyRing, Failure> {
    text.parse().map_err(|error: codehost_oauth::error::SealError| Failure {
        code: error.code().to_owned(),
        message: format!("{place}: {error}"),
        hint: error.advice().hint.into_owned(),
    })
}

fn fresh() -> Result<String, Failure> {
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|_| codehost_oauth::error::ConfigError::Random)?;
    Ok(format!("1:{}", URL_SAFE_NO_PAD.encode(key)))
}

/// Writes a new file that only its owner can read, and waits until it is on the disk: without the key, the secrets are
/// lost.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure {
        code: "key_file".to_owned(),
        message: format!("the key file {} cannot be used: {error}", path.display()),
        hint: format!("Set {VARIABLE}, or allow this program to read and create the file."),
    }
}
