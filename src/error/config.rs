use super::text_fault::TextFault;
use super::{Advice, BaseUrlError, advised};

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
    /// User or password of a proxy.
    #[error(
        "the proxy needs a user without a colon, and user and password of at most 255 bytes (with SOCKS 128 together) without control characters"
    )]
    ProxyCredentials,
    /// A header that is sent with each request of an integration.
    #[error("the header {header} cannot be sent with each request")]
    FixedHeader {
        /// Its name, if that is the mistake, or otherwise its position in the list.
        header: String,
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
    Group,
    /// A policy with no group to be a member of, or with too many.
    #[error("the policy must have 1 to 20 groups")]
    GroupCount,
    /// A domain of e-mail addresses, or no domain where at least one is needed.
    #[error("the domains of e-mail addresses must be one or more names such as example.com")]
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
    SecretPlaceholder,
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

impl ConfigError {
    pub(crate) fn advice_row(&self) -> Advice {
        match self {
            Self::PublicUrl(_) => Advice::operator(
                "public_url",
                "Set the public https:// URL at which browsers reach the app (http:// is accepted for loopback only).",
            ),
            Self::IntegrationId => Advice::administrator(
                "integration_id",
                "Use lower-case letters, digits and hyphens, such as the slug of the integration's name.",
            ),
            Self::AccountKeyText => Advice::operator("account_key_text", "Pass the text of the login's account key."),
            Self::NoSlug => Advice::administrator("no_slug", "Change the name, or enter an ID for the integration."),
            Self::Name(_) => {
                Advice::administrator("integration_name", "Give the integration a name of 1 to 200 characters.")
            }
            Self::Scope(_) => {
                Advice::administrator("scope", "Write scopes as the platform spells them, separated by spaces.")
            }
            Self::NoScopes => Advice::operator("no_scopes", "Choose an access level with at least one scope."),
            Self::ClientId(_) => Advice::administrator(
                "client_id",
                "Copy the client ID from the page of the OAuth application again, and nothing else. The setup guide says how the code \
                 host calls it.",
            ),
            Self::ClientSecret(_) => Advice::administrator(
                "client_secret",
                "Copy the secret from the page of the OAuth application again, and nothing else.",
            ),
            Self::OtherBinding { .. } => Advice::administrator(
                "other_binding",
                "Use the tokens and credentials of this integration. If its base URL was changed, enter the client secret again, and ask \
                 users to log in again.",
            ),
            Self::AccountKey => Advice::operator(
                "account_key",
                "Correct the provider: make the key from the token's integration and the user's immutable id.",
            ),
            Self::UserNeeded => Advice::operator(
                "user_needed",
                "Look up the user first, and pass it to `OAuthProvider::membership`. If the code host gives no user name, require another \
                 group.",
            ),
            Self::Platform { known } => Advice::administrator("platform", format!("Choose one of {known}.")),
            Self::Access => Advice::administrator("access", "Choose sign-in, read or write."),
            Self::EmailTrust => {
                Advice::administrator("email_trust", "Choose platform, this-instance or without-verification.")
            }
            Self::CallbackPath => Advice::operator("callback_path", "Write a path such as /auth/gitlab/callback."),
            Self::LoginPath => Advice::operator("login_path", "Write a path such as /auth/gitlab."),
            Self::Cidr => Advice::operator("network", "Write networks as 10.0.0.0/8 or fd00::/8."),
            Self::JsonBody => {
                Advice::operator("json_body", "Send a value that JSON has, such as a map whose keys are text.")
            }
            Self::AllowedName => Advice::operator(
                "allowed_name",
                "Write a host name such as git.corp.example, without a scheme and a port.",
            ),
            Self::ProxyUrl => Advice::operator("proxy_url", "Write it as http://proxy.example.com:3128."),
            Self::ProxyCredentials => Advice::operator(
                "proxy_credentials",
                "Correct user and password. In a URL, percent-encode characters such as @, : and /.",
            ),
            Self::FixedHeader { .. } => Advice::administrator(
                "fixed_header",
                "Enter name and value as the access gateway's page shows them. `Authorization`, `Host` and the headers of the \
                 body cannot be set.",
            ),
            Self::NoClientCertificate => Advice::administrator(
                "client_certificate_missing",
                "Paste the client certificate in PEM format, from the line with BEGIN CERTIFICATE to the line with END.",
            ),
            Self::InvalidClientCertificate => Advice::administrator(
                "client_certificate_invalid",
                "Copy the client certificate again, from the line with BEGIN CERTIFICATE to the line with END. If it is of version 1, \
                 create it anew with extensions (openssl x509 -extfile).",
            ),
            Self::ClientCertificateExpired => {
                Advice::administrator("client_certificate_expired", "Renew the client certificate.")
            }
            Self::ClientKey => Advice::administrator(
                "client_key",
                "Paste the key of the client certificate in PEM format (PKCS #8), from the line with BEGIN PRIVATE KEY to the \
                 line with END.",
            ),
            Self::ClientKeyEncrypted => Advice::administrator(
                "client_key_encrypted",
                "Enter the key's password too, or remove it: openssl pkey -in client.key -out client-plain.key",
            ),
            Self::ClientKeyPassword => {
                Advice::administrator("client_key_password", "Enter the password of the key again.")
            }
            Self::ClientKeyMismatch => Advice::administrator(
                "client_key_mismatch",
                "Paste the key that the client certificate was made for, and the client's certificate before those of its \
                 authorities.",
            ),
            Self::NoCertificate => Advice::administrator(
                "no_certificate",
                "Paste the certificate of the authority that signed the code host's certificate, in PEM format.",
            ),
            Self::InvalidCertificate => Advice::administrator(
                "invalid_certificate",
                "Copy the certificate of the authority again, from the line with BEGIN to the line with END.",
            ),
            Self::CertificatesNotSupported => Advice::operator(
                "certificates_not_supported",
                "Install the certificate of the authority in the operating system, or build the app with the feature `rustls`.",
            ),
            Self::HttpClient => Advice::operator(
                "http_client",
                "Use a client certificate and authorities that the TLS library of this build supports.",
            ),
            Self::CryptoProvider => Advice::operator(
                "crypto_provider",
                "Install a rustls `CryptoProvider` before the HTTP client is built, or choose the feature `rustls`.",
            ),
            Self::Random => Advice::operator("random", "Check the operating system's random number generator."),
            Self::Purpose => Advice::operator("purpose", "Store the purpose as this crate serializes it."),
            Self::UserId(_) => Advice::operator("user_id", "Pass the app's own ID of the logged-in user."),
            Self::Group => Advice::administrator(
                "group",
                "Enter the group's full path or its ID, as the code host shows it. A personal project (~NAME) has no members.",
            ),
            Self::GroupCount => Advice::administrator("group_count", "Enter 1 to 20 groups."),
            Self::EmailDomain => Advice::administrator(
                "email_domains",
                "Enter the part after the @, such as example.com; international names in their xn-- form.",
            ),
            Self::Role { known } => Advice::administrator("role", format!("Choose one of {known}, or no role.")),
            Self::UnknownScope { .. } => {
                Advice::operator("unknown_scope", "Correct the name of the scope, or remove it.")
            }
            Self::UnlimitedScopes { .. } => {
                Advice::operator("unlimited_scopes", "Add a scope for the API, such as the named one.")
            }
            Self::UserScope { .. } => Advice::operator("user_scope", "Add the named scope."),
            Self::SecretPlaceholder => Advice::administrator(
                "secret_placeholder",
                "Choose \"Regenerate secret\" in the OAuth application, and copy the new secret before you leave the page.",
            ),
            Self::GroupScope { .. } => Advice::operator(
                "group_scope",
                "Choose the access level read or write (`Access::Read`), or remove the required group.",
            ),
            Self::NoSubgroups => Advice::operator("no_subgroups", "Name each group, without `Group::with_subgroups`."),
            Self::NoGroups => Advice::operator("no_groups", "Remove the required group from this integration."),
            Self::ReturnTo => Advice::user("return_to", "Log in, then open the page that you want."),
            Self::ReqwestRedirects => Advice::operator(
                "reqwest_redirects",
                "Add `.redirect(reqwest::redirect::Policy::none())` to the builder of the reqwest client.",
            ),
            Self::ReqwestDecompression => Advice::operator(
                "reqwest_decompression",
                "Add `.no_gzip().no_brotli().no_deflate().no_zstd()` to the builder of the reqwest client.",
            ),
            Self::ReqwestCookies => Advice::operator(
                "reqwest_cookies",
                "Build a reqwest client of its own for the code hosts, without `.cookie_store(true)` and `.cookie_provider(…)`.",
            ),
            Self::SecondAdminRoutes => Advice::operator(
                "second_admin_routes",
                "Create `AdminRoutes` once, and mount its router at each path. To keep two of them, give each its own `LoginRoutes`.",
            ),
            Self::NoTokenRequest => Advice::operator(
                "no_token_request",
                "Send the token request first in the provider's `refresh`, for example with `TokenEndpoint`.",
            ),
        }
    }
}

advised!(ConfigError);
