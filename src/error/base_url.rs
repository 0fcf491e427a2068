use super::{Advice, advised};

/// Why a text cannot be the base URL of a code host.
///
/// ```
/// use codehost_oauth::{error::BaseUrlError, transport::Network, BaseUrl};
///
/// let error = BaseUrl::parse("http://git.example.com", &Network::public_only()).unwrap_err();
/// assert_eq!(error.code(), "base_url_plain_http");
/// assert_eq!(error.advice().hint, "Use the https:// address of the code host.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Nothing was typed.
    #[error("the URL is empty")]
    Empty,
    /// More than 2,048 bytes.
    #[error("the URL is longer than 2,048 bytes")]
    TooLong,
    /// A host name without `https://`.
    #[error("the URL does not begin with https://")]
    NoScheme,
    /// Neither `https` nor `http`.
    #[error("the URL's scheme is not https")]
    Scheme,
    /// `http`, which the network policy does not allow.
    #[error("the URL begins with http://, which is not encrypted")]
    PlainHttp,
    /// A letter outside ASCII.
    #[error("the URL contains letters outside ASCII{}", read_as.as_ref().map(|host| format!("; a browser reads its host name as {host}")).unwrap_or_default())]
    NotAscii {
        /// The host name as a browser sends it (`xn--…`), if the URL has one.
        read_as: Option<String>,
    },
    /// A character that is not allowed in a base URL.
    #[error("the URL contains the character {found:?}, which is not allowed in a base URL")]
    Character {
        /// The first such character.
        found: char,
    },
    /// `user:password@`.
    #[error("the URL contains a user name or password before an @")]
    UserInfo,
    /// `?…` or `#…`.
    #[error("the URL has a query or a fragment")]
    QueryOrFragment,
    /// No host: `https:///path`.
    #[error("the URL has no host name")]
    NoHost,
    /// A host that cannot exist, such as `a..b` or `256.1.1.1`.
    #[error("the URL's host name is not valid")]
    InvalidHost,
    /// A spelling that URL parsers read as another host.
    #[error("a browser reads the URL's host as {read_as}")]
    HostSpelling {
        /// The host as a URL parser reads it.
        read_as: String,
    },
    /// `host.`
    #[error("the URL's host ends with a dot")]
    TrailingDot,
    /// A name that exists only inside a private network.
    #[error("the URL's host name exists only inside a private network")]
    LocalName,
    /// An IP address that the network policy does not allow.
    #[error("the network policy does not allow the URL's IP address")]
    AddressNotAllowed,
    /// A port that is not a number, 0, or one that browsers do not open.
    #[error("the URL's port cannot be used")]
    Port,
    /// `//`, `.` or `..` in the path.
    #[error("the URL's path has an empty, `.` or `..` segment")]
    Path,
    /// A valid URL, but not of the chosen platform.
    #[error("{reason}")]
    OtherPlatform {
        /// What the URL is, in a sentence.
        reason: &'static str,
        /// What to enter instead.
        hint: &'static str,
    },
}

impl BaseUrlError {
    pub(crate) fn advice_row(&self) -> Advice {
        let (code, hint) = match self {
            Self::Empty => ("base_url_empty", "Enter the address of the code host, such as https://git.example.com."),
            Self::TooLong => ("base_url_too_long", "Enter the address of the code host's start page."),
            Self::NoScheme => ("base_url_no_scheme", "Put https:// in front of the host name."),
            Self::Scheme => ("base_url_scheme", "Enter an address that begins with https://."),
            Self::PlainHttp => ("base_url_plain_http", "Use the https:// address of the code host."),
            Self::NotAscii { .. } => (
                "base_url_not_ascii",
                "Check that the host name is the one that you expect, then enter it in its xn-- form.",
            ),
            Self::Character { .. } => ("base_url_character", "Copy the address from the browser again."),
            Self::UserInfo => (
                "base_url_user_info",
                "Remove everything before the @. If it was a password, change it: it has been entered in a form.",
            ),
            Self::QueryOrFragment => ("base_url_query", "Remove the first ? or # and everything after it."),
            Self::NoHost => ("base_url_no_host", "Enter the host name after https://."),
            Self::InvalidHost => ("base_url_invalid_host", "Check the spelling of the host name."),
            Self::HostSpelling { .. } => {
                ("base_url_host_spelling", "Enter the host as the browser reads it, if that is the code host.")
            }
            Self::TrailingDot => ("base_url_trailing_dot", "Remove the dot at the end of the host name."),
            Self::LocalName => ("base_url_local_name", USE_PUBLIC_NAME),
            Self::AddressNotAllowed => ("base_url_address", USE_PUBLIC_NAME),
            Self::Port => ("base_url_port", "Enter the port that a browser uses for the code host, or none."),
            Self::Path => ("base_url_path", "Enter the address of the code host's start page."),
            Self::OtherPlatform { hint, .. } => ("base_url_other_platform", *hint),
        };
        Advice::administrator(code, hint).public("This address cannot be used as the base URL of a code host.")
    }
}

const USE_PUBLIC_NAME: &str = "Enter a public host name, or ask the operator of this app to allow the code host's private \
     network (for development: loopback).";

advised!(BaseUrlError);
