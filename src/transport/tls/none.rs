//! A build without TLS.

use std::convert::Infallible;
use std::error::Error as StdError;

use http::Uri;

use super::super::report::CertificateSummary;
use super::super::socket::{Opened, Socket};
use crate::error::{ConfigError, TransportError};

#[derive(Clone)]
pub(super) struct Authorities;

/// No certificates can be added.
pub(super) fn authorities(texts: &[Vec<u8>]) -> Result<Authorities, ConfigError> {
    if texts.is_empty() { Ok(Authorities) } else { Err(ConfigError::CertificatesNotSupported) }
}

/// There is none: an `https` origin is refused before.
#[derive(Clone)]
pub(super) struct Config(Infallible);

impl Config {
    pub(super) fn new(_: &Authorities, _: Option<&Identity>) -> Result<Option<Self>, ConfigError> {
        Ok(None)
    }

    pub(super) async fn connect(&self, _: Opened, _: Uri) -> Result<Socket, Box<dyn StdError + Send + Sync>> {
        match self.0 {}
    }

    pub(super) async fn inspect(&self, _: Opened, _: Uri) -> Option<CertificateSummary> {
        match self.0 {}
    }
}

#[derive(Clone)]
pub(super) struct Identity(Infallible);

impl Identity {
    pub(super) fn parse(_: &str, _: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::CertificatesNotSupported)
    }
}

pub(super) fn classify(_: &(dyn StdError + 'static)) -> Option<TransportError> {
    None
}
