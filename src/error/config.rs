use super::{Advice, advised};

/// Why a text is not the base URL of a code host.
///
/// ```
/// use codehost_oauth::{error::BaseUrlError, transport::Network, BaseUrl};
///
/// let error = BaseUrl::parse("http://git.example.com", &Network::public_only()).unwrap_err();
/// assert_eq!(error.code(), "base_url_plain_http");
/// assert_eq!(error.hint(), "Use the https:// address of the code host.");
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
    /// A letter outside ASCII; holds the host name as a browser would send it, if there is one.
    #[error("the URL holds letters outside ASCII{}", read_as.as_ref().map(|host| format!("; its host is read as {host}")).unwrap_or_default())]
    NotAscii {
        /// The host in ASCII, `xn--…`.
        read_as: Option<String>,
    },
    /// A character that does not belong into a base URL.
    #[error("the URL holds the character {found:?}, which a base URL cannot have")]
    Character {
        /// The first such character.
        found: char,
    },
    /// `user:password@`.
    #[error("the URL holds a user name or password before an @")]
    UserInfo,
    /// `?…` or `#…`.
    #[error("the URL has a query or a fragment")]
    QueryOrFragment,
    /// No host, or none that can exist.
    #[error("the URL has no valid host name")]
    Host,
    /// A spelling that parsers read as another host.
    #[error("the URL's host is not written as it is read, which is {read_as}")]
    HostSpelling {
        /// How a URL parser reads it.
        read_as: String,
    },
    /// `host.`
    #[error("the URL's host ends with a dot")]
    TrailingDot,
    /// A name that exists inside a network only.
    #[error("the URL's host is a name of a private network")]
    LocalName,
    /// An address that the network policy refuses.
    #[error("the URL's host is an address that is not allowed")]
    AddressNotAllowed,
    /// A port that is no number, 0, or one that browsers refuse to open.
    #[error("the URL's port is not one of a web server")]
    Port,
    /// `//`, `.` or `..` in the path.
    #[error("the URL's path has an empty, `.` or `..` segment")]
    Path,
    /// A valid URL, of something else than the chosen platform.
    #[error("{reason}")]
    OtherPlatform {
        /// What it is, in a sentence.
        reason: &'static str,
        /// What to enter instead.
        hint: &'static str,
    },
}

impl BaseUrlError {
    pub(crate) fn advice(&self) -> Advice {
        let (code, hint) = match self {
            Self::Empty => ("base_url_empty", "Enter the address of the code host, such as https://git.example.com."),
            Self::TooLong => ("base_url_too_long", "Enter the address of the code host's start page."),
            Self::NoScheme => ("base_url_no_scheme", "Put https:// in front of it."),
            Self::Scheme => ("base_url_scheme", "Enter an address that begins with https://."),
            Self::PlainHttp => ("base_url_plain_http", "Use the https:// address of the code host."),
            Self::NotAscii { .. } => (
                "base_url_not_ascii",
                "Compare the host name with the one that you expect, and enter it in its xn-- form.",
            ),
            Self::Character { .. } => ("base_url_character", "Copy the address from the browser once more."),
            Self::UserInfo => (
                "base_url_user_info",
                "Remove everything before the @. If it was a password, change it: it has been entered in a form.",
            ),
            Self::QueryOrFragment => ("base_url_query", "Remove everything from the ? or # on."),
            Self::Host => ("base_url_host", "Check the spelling of the host name."),
            Self::HostSpelling { .. } => {
                ("base_url_host_spelling", "Write the host name or address in its plain form.")
            }
            Self::TrailingDot => ("base_url_trailing_dot", "Remove the dot at the end of the host name."),
            Self::LocalName => (
                "base_url_local_name",
                "Enter a public host name, or let the operator allow the private network that the code host is in (for \
                 development, loopback).",
            ),
            Self::AddressNotAllowed => (
                "base_url_address",
                "Enter a public host name, or let the operator allow the private network that the code host is in (for \
                 development, loopback).",
            ),
            Self::Port => ("base_url_port", "Enter the port at which a browser opens the code host, or none."),
            Self::Path => ("base_url_path", "Enter the address of the code host's start page."),
            Self::OtherPlatform { hint, .. } => ("base_url_other_platform", *hint),
        };
        Advice::administrator(code, hint).public("This address cannot be used as the base URL of a code host.")
    }
}

/// A value that the host or its administrator set and that cannot be used.
///
/// ```
/// use codehost_oauth::{error::ConfigError, IntegrationId};
///
/// let error = "On premise".parse::<IntegrationId>().unwrap_err();
/// assert!(matches!(error, ConfigError::IntegrationId));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The host's public URL.
    #[error("the host's public URL cannot be used: {0}")]
    Host(#[source] BaseUrlError),
    /// An integration id outside the alphabet.
    #[error("the integration id is not 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")]
    IntegrationId,
    /// A text that names no connection.
    #[error("the connection id is not an account key such as gitlab:demo:42")]
    ConnectionId,
    /// A name that no id can be made from.
    #[error("the name has no letters or digits of ASCII to make an id from, or more than 63")]
    NoSlug,
    /// An integration without a name.
    #[error("the integration's name is empty, longer than 200 characters or holds control characters")]
    Name,
    /// A scope outside RFC 6749's alphabet.
    #[error("the scope is empty, longer than 256 bytes or holds a character that no scope has")]
    Scope,
    /// No scope at all.
    #[error("the access level asks for no scope")]
    NoScopes,
    /// An empty or unprintable client id.
    #[error("the client id is empty, too long or holds characters that no client id has")]
    ClientId,
    /// An empty or unprintable client secret.
    #[error("the client secret is empty, too long or holds characters that no secret has")]
    ClientSecret,
    /// Credentials or tokens that were made for another integration or base URL.
    #[error("the {what} belong to another integration or base URL")]
    OtherInstance {
        /// What was about to be sent there.
        what: &'static str,
    },
    /// A platform that is not built in.
    #[error("the platform is not known")]
    Platform,
    /// A part of the integration that was not given.
    #[error("the integration has no {what}")]
    Missing {
        /// The part.
        what: &'static str,
    },
    /// A range of addresses.
    #[error("the network is not an address or a range such as 10.0.0.0/8, with no bits set behind its prefix")]
    Cidr,
    /// Certificates that are not PEM.
    #[error("the certificates are not PEM, or there are none")]
    Certificates,
    /// The HTTP client could not start.
    #[error("the HTTP client cannot be built, most likely since the system has no trusted certificates")]
    HttpClient,
    /// With the feature `rustls-no-provider`: no provider of cryptography is installed.
    #[error("no rustls crypto provider is installed")]
    CryptoProvider,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
    /// A host's own user id that names nobody.
    #[error("the host's user id is empty or longer than 255 bytes")]
    UserId,
    /// The path or id of a group.
    #[error("the group is not one of this platform")]
    Group,
    /// A role that the platform does not have.
    #[error("the role is not one of this platform")]
    Role,
    /// A group is required, and the access level does not let the host ask who is in it.
    #[error("the access level lacks the scope {scope}, which the required group needs")]
    GroupScope {
        /// The scope.
        scope: String,
    },
    /// A group was required on a platform whose provider cannot look groups up.
    #[error("this platform's provider cannot tell who is in a group")]
    NoGroups,
    /// A path to return to that leads away from the host.
    #[error("the path to return to is not a path on this host")]
    ReturnTo,
}

impl ConfigError {
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::Host(_) => Advice::operator(
                "host_url",
                "Set the public https:// URL at which browsers reach the host (http:// is accepted for loopback only).",
            ),
            Self::IntegrationId => Advice::administrator(
                "integration_id",
                "Use lower-case letters, digits and hyphens, such as the slug of the integration's name.",
            ),
            Self::ConnectionId => Advice::operator("connection_id", "Pass the text of the login's account key."),
            Self::NoSlug => Advice::administrator("no_slug", "Give the integration an id of its own."),
            Self::Name => Advice::administrator("integration_name", "Give the integration a short name."),
            Self::Scope => {
                Advice::administrator("scope", "Write scopes as the platform spells them, separated by spaces.")
            }
            Self::NoScopes => Advice::operator("no_scopes", "Choose an access level with at least one scope."),
            Self::ClientId => {
                Advice::administrator("client_id", "Copy the client id from the OAuth application once more.")
            }
            Self::ClientSecret => {
                Advice::administrator("client_secret", "Copy the secret from the OAuth application once more.")
            }
            Self::OtherInstance { .. } => Advice::administrator(
                "other_instance",
                "Enter the client id and secret again for this base URL, and let people log in again.",
            ),
            Self::Platform => Advice::administrator("platform", "Choose one of the built-in platforms."),
            Self::Missing { .. } => {
                Advice::operator("missing_part", "Give the integration builder every required part.")
            }
            Self::Cidr => Advice::operator("network", "Write networks as 10.0.0.0/8 or fd00::/8."),
            Self::Certificates => Advice::administrator(
                "certificates",
                "Paste the certificate of the authority that signed the code host's certificate, as PEM.",
            ),
            Self::HttpClient => {
                Advice::operator("http_client", "Install the system's CA certificates, or name them explicitly.")
            }
            Self::CryptoProvider => Advice::operator(
                "crypto_provider",
                "Install a rustls `CryptoProvider` before the HTTP client is built, or choose the feature `rustls`.",
            ),
            Self::Random => Advice::operator("random", "Look into the operating system's random number generator."),
            Self::UserId => Advice::operator("user_id", "Pass the host's own id of the signed-in user."),
            Self::Group => Advice::administrator(
                "group",
                "Enter the group's full path, or its id, as the code host's own pages show them.",
            ),
            Self::Role => Advice::administrator("role", "Choose one of the platform's roles."),
            Self::GroupScope { .. } => Advice::operator(
                "group_scope",
                "Choose an access level that includes the scope, such as `Access::Read`, or require no group.",
            ),
            Self::NoGroups => Advice::operator("no_groups", "Require no group on this platform."),
            Self::ReturnTo => Advice::user("return_to", "Open the page that you wanted once you are logged in."),
        }
    }
}

advised!(BaseUrlError);
advised!(ConfigError);
