mod advice;

use super::text_fault::TextFault;
use super::{BaseUrlError, advised};

/// A setting, by the app or its administrator, that cannot be used.
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
    /// The app's public URL.
    #[error("the app's public URL cannot be used: {0}")]
    PublicUrl(#[source] BaseUrlError),
    /// An integration id outside the alphabet.
    #[error(
        "the integration ID must be 1 to 63 characters of a-z, 0-9 and -, and must begin and end with a letter or digit"
    )]
    IntegrationId,
    /// A text that is not an account key.
    #[error("the text must be an account key, such as gitlab:demo:42")]
    AccountKeyText,
    /// A name from which no integration id can be made.
    #[error("the name must have 1 to 63 ASCII letters or digits, which the integration's ID is made of")]
    NoSlug,
    /// The integration's name.
    #[error("the integration's name {0}")]
    Name(TextFault),
    /// A text that is not a scope (RFC 6749 section 3.3).
    #[error("the scope {0}")]
    Scope(TextFault),
    /// No scope at all.
    #[error("the access level asks for no scope")]
    NoScopes,
    /// The client id.
    #[error("the client ID {0}")]
    ClientId(TextFault),
    /// The client secret.
    #[error("the client secret {0}")]
    ClientSecret(TextFault),
    /// Credentials or tokens that were made for another integration or base URL.
    #[error("{what}: made for another integration or base URL")]
    OtherBinding {
        /// What was about to be sent.
        what: &'static str,
    },
    /// A provider returned a user of another integration or platform, or without an id.
    #[error("the provider returned an account key of another integration or platform, or one without an id")]
    AccountKey,
    /// A look-up of a membership without the user, or without the user name, where the platform asks by it.
    #[error("the membership can be looked up only with the user and the user name")]
    UserNeeded,
    /// A text that is not an access level.
    #[error("the access level must be sign-in, read, write, or scopes: followed by scopes")]
    Access,
    /// A text that is not an e-mail trust.
    #[error("the e-mail trust must be platform, this-instance or without-verification")]
    EmailTrust,
    /// The path of a callback URL.
    #[error(
        "the callback path must be one or more segments, each a slash followed by letters, digits, '-', '.', '_' or '~'"
    )]
    CallbackPath,
    /// The path of a login link.
    #[error(
        "the login path must be one or more segments, each a slash followed by letters, digits, '-', '.', '_' or '~'"
    )]
    LoginPath,
    /// The id of a platform that is not built in.
    #[error("the platform must be one of {known}")]
    Platform {
        /// The ids of the built-in platforms, separated by commas.
        known: String,
    },
    /// A range of addresses.
    #[error("the network must be an IP address, or a range such as 10.0.0.0/8 with no bits set after the prefix")]
    Cidr,
    /// A name that may have private addresses.
    #[error("the allowed name must be a host name such as git.corp.example")]
    AllowedName,
    /// The URL of a proxy.
    #[error(
        "the proxy must be a URL with http, https, socks5 or socks5h, a host name, and a port, such as http://proxy.example.com:3128"
    )]
    ProxyUrl,
    /// The user of a proxy. A colon is not allowed in it.
    #[error("the proxy's user {0}")]
    ProxyUser(TextFault),
    /// The password of a proxy.
    #[error("the proxy's password {0}")]
    ProxyPassword(TextFault),
    /// User and password for a SOCKS proxy.
    #[error("the user and the password of a SOCKS proxy are longer than {limit} bytes together")]
    ProxySocksCredentials {
        /// The longest that is allowed.
        limit: usize,
    },
    /// A text that is not the name of a header. The message does not show it: it may be the secret.
    #[error("the name of header number {position} is not valid in HTTP")]
    HeaderName {
        /// The position in the list; the first is 1.
        position: usize,
    },
    /// A value of a header with a character that HTTP does not allow.
    #[error("the value of header number {position} contains a character that is not allowed")]
    HeaderValue {
        /// The position in the list; the first is 1.
        position: usize,
    },
    /// A header that this crate or its HTTP client sets, such as `authorization`.
    #[error("the app sets the header {name} itself")]
    HeaderReserved {
        /// Its name, in lower case.
        name: String,
    },
    /// A text without a client certificate in PEM format.
    #[error("the text contains no client certificate in PEM format")]
    NoClientCertificate,
    /// A client certificate that cannot be read.
    #[error("the client certificate is not valid")]
    InvalidClientCertificate,
    /// A client certificate whose time is over.
    #[error("the client certificate has expired")]
    ClientCertificateExpired,
    /// A private key that cannot be read.
    #[error("the client certificate's key is not a private key in PEM format that this build can use")]
    ClientKey,
    /// A private key with a password.
    #[error("the client certificate's key is encrypted with a password")]
    ClientKeyEncrypted,
    /// A wrong password of a private key.
    #[error("the password of the client certificate's key is wrong")]
    ClientKeyPassword,
    /// A private key of another certificate.
    #[error("the key does not belong to the client certificate")]
    ClientKeyMismatch,
    /// A text without a certificate in PEM format.
    #[error("the text contains no certificate in PEM format")]
    NoCertificate,
    /// A certificate that cannot be read, or that cannot be the certificate of an authority.
    #[error("a certificate in the text is not valid")]
    InvalidCertificate,
    /// Certificates for an HTTP client that cannot use them: on Android, or without a feature for TLS.
    #[error("the HTTP client of this build cannot trust further certificates")]
    CertificatesNotSupported,
    /// The TLS library could not start.
    #[error("the HTTP client cannot be built: the TLS library refuses its settings")]
    HttpClient,
    /// With the feature `rustls-no-provider`: no crypto provider is installed.
    #[error("no rustls crypto provider is installed")]
    CryptoProvider,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
    /// A text that is not the purpose of a login.
    #[error("the purpose of a login must be log_in, or connect: followed by a user ID")]
    Purpose,
    /// The app's own id of a user.
    #[error("the app's user ID {0}")]
    UserId(TextFault),
    /// The path or id of a group.
    #[error("the group's path or ID is not valid on this platform")]
    Group {
        /// What to enter, as the platform calls it.
        hint: &'static str,
    },
    /// A policy with no group to be a member of, or with too many.
    #[error("the policy must have 1 to 20 groups")]
    GroupCount,
    /// A policy with an empty list of domains.
    #[error("the policy must have at least one domain of e-mail addresses")]
    NoEmailDomains,
    /// A text that is not a domain of e-mail addresses.
    #[error("a domain of e-mail addresses must be a name such as example.com")]
    EmailDomain,
    /// A role that the platform does not have.
    #[error("the role must be one of {known}")]
    Role {
        /// The roles that there are, lowest first.
        known: String,
    },
    /// A scope that the platform does not know.
    #[error("this platform does not know the scope {scope}")]
    UnknownScope {
        /// The scope.
        scope: String,
    },
    /// Scopes that do not limit what the token may do.
    #[error("without {needed}, these scopes would allow everything that the user may do")]
    UnlimitedScopes {
        /// A scope that limits it.
        needed: String,
    },
    /// Scopes that do not allow the request for the user.
    #[error("without {needed}, these scopes do not allow to look up who logs in")]
    UserScope {
        /// The scope that allows it.
        needed: String,
    },
    /// The text that the code host shows in place of the client secret.
    #[error("this is not the client secret, but what the code host shows in place of it")]
    SecretPlaceholder {
        /// The label of the button that creates a new secret.
        button: &'static str,
    },
    /// A group is required, but the access level lacks the scope to look up its members.
    #[error("the access level lacks the scope {scope}, which the required group needs")]
    GroupScope {
        /// The scope.
        scope: String,
    },
    /// Members of subgroups count, but the platform has no subgroups.
    #[error("this platform has no subgroups")]
    NoSubgroups,
    /// A group is required, but the platform's provider cannot look up memberships.
    #[error("this platform's provider cannot look up memberships of groups")]
    NoGroups,
    /// A path to return to that leads away from the app.
    #[error("the path to return to is not a path of this app")]
    ReturnTo,
    /// The app's `reqwest::Client` follows redirects, or does not show that it follows none.
    #[error("the app's reqwest client follows redirects")]
    ReqwestRedirects,
    /// The app's `reqwest::Client` decompresses responses, or does not show that it leaves them alone.
    #[error("the app's reqwest client decompresses responses")]
    ReqwestDecompression,
    /// The app's `reqwest::Client` has a cookie store: it would send the cookies of one user with the requests of another.
    #[error("the app's reqwest client stores cookies")]
    ReqwestCookies,
    /// The body of a request of the app.
    #[error("the body of the request cannot be written as JSON")]
    JsonBody,
    /// A second value of `AdminRoutes` for the same `LoginRoutes`.
    #[error("there are routes of an integrations page for these login routes already")]
    SecondAdminRoutes,
    /// A provider that sends no request to refresh tokens, or another one first.
    #[error("the provider's token endpoint is not known, because it sends no token request")]
    NoTokenRequest,
}

advised!(ConfigError);
