use super::ConfigError;
use crate::error::Advice;

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
            Self::ProxyUrl => Advice::operator("proxy_url", "Write the proxy as http://proxy.example.com:3128."),
            Self::ProxyUser(_) => Advice::operator(
                "proxy_user",
                "Correct the user in the proxy's URL, and percent-encode characters such as @ and /.",
            ),
            Self::ProxyPassword(_) => Advice::operator(
                "proxy_password",
                "Correct the proxy's password. In a URL, percent-encode characters such as @, : and /.",
            ),
            Self::ProxySocksCredentials { .. } => Advice::operator(
                "proxy_socks_credentials",
                "Choose a shorter user or password for the proxy, or use it with `http` or `https`.",
            ),
            Self::HeaderName { .. } => Advice::administrator(
                "header_name",
                "Copy the name of the header from the access gateway's page again: it has no spaces and no colon.",
            ),
            Self::HeaderValue { .. } => Advice::administrator(
                "header_value",
                "Copy the value of the header from the access gateway's page again, and nothing else.",
            ),
            Self::HeaderReserved { .. } => Advice::administrator(
                "header_reserved",
                "Remove this header: the access gateway must accept another one.",
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
            Self::Group { hint } => Advice::administrator("group", *hint),
            Self::GroupCount => Advice::administrator("group_count", "Enter 1 to 20 groups."),
            Self::NoEmailDomains => {
                Advice::administrator("no_email_domains", "Enter a domain, or remove the rule about e-mail addresses.")
            }
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
            Self::SecretPlaceholder { button } => Advice::administrator(
                "secret_placeholder",
                format!(
                    "Choose \"{button}\" in the OAuth application, and copy the new secret before you leave the page."
                ),
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
