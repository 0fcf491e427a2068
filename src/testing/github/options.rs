use std::time::Duration;

/// Which GitHub a fake imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// github.com: the API has its own host, here its own port.
    GitHubCom,
    /// GitHub Enterprise Server: the API is below `/api/v3`.
    EnterpriseServer,
    /// GitHub Enterprise Cloud with data residency, `SUB.ghe.com`: the API has its own host, here its own port.
    GheCom,
}

/// The form of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFormat {
    /// `gho_`, `ghu_` and `ghr_`, since 2021.
    Prefixed,
    /// Hexadecimal digits without a prefix, as before 2021.
    Hex,
    /// About 520 characters, also `.`, `_` and `-`, as installation tokens have since April 2026.
    Long,
}

/// The switches of [`FakeGitHubBuilder`](super::FakeGitHubBuilder).
pub(super) struct Options {
    pub(super) kind: ServerKind,
    pub(super) version: String,
    pub(super) issuer: Issuer,
    /// `None` is the default of the kind and version.
    pub(super) token_lifetime: Option<Option<Duration>>,
    pub(super) token_format: TokenFormat,
    pub(super) numbers_as_text: bool,
    pub(super) pkce: bool,
    pub(super) wildcard_redirects: bool,
    pub(super) mismatch_callback: bool,
    pub(super) remember_consent: bool,
    pub(super) code_before_client: bool,
    pub(super) evict_oldest: bool,
    /// `None` is the default of the kind.
    pub(super) require_verified_email: Option<bool>,
    pub(super) override_verified: Option<bool>,
    pub(super) missing_scope_status: u16,
    pub(super) wrong_secret_status: u16,
    pub(super) keep_refresh_token: bool,
    /// `None` is the default of the kind.
    pub(super) rate_limit: Option<Option<u64>>,
    pub(super) rate_limit_status: u16,
    pub(super) failed_logins: Option<u32>,
    pub(super) private_mode: bool,
    pub(super) strip_headers: bool,
}

/// `iss` in callbacks.
pub(super) enum Issuer {
    /// `<base>/login/oauth`.
    Usual,
    Omitted,
    Other(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: ServerKind::GitHubCom,
            version: "3.19.0".to_owned(),
            issuer: Issuer::Usual,
            token_lifetime: None,
            token_format: TokenFormat::Prefixed,
            numbers_as_text: false,
            pkce: true,
            wildcard_redirects: false,
            mismatch_callback: false,
            remember_consent: false,
            code_before_client: false,
            evict_oldest: false,
            require_verified_email: None,
            override_verified: None,
            missing_scope_status: 404,
            wrong_secret_status: 404,
            keep_refresh_token: false,
            rate_limit: None,
            rate_limit_status: 403,
            failed_logins: None,
            private_mode: false,
            strip_headers: false,
        }
    }
}

impl Options {
    pub(super) fn is_server(&self) -> bool {
        self.kind == ServerKind::EnterpriseServer
    }

    /// Requests per user and hour. Off by default at an Enterprise Server.
    pub(super) fn rate_limit(&self) -> Option<u64> {
        self.rate_limit.unwrap_or(if self.is_server() { None } else { Some(5000) })
    }

    /// There is no verification at an Enterprise Server.
    pub(super) fn requires_verified_email(&self) -> bool {
        self.require_verified_email.unwrap_or(!self.is_server())
    }

    /// How long a new token lives. An Enterprise Server before 3.23 has no expiring tokens of OAuth Apps.
    pub(super) fn lifetime(&self, github_app: bool, offline_access: bool) -> Option<Duration> {
        if !github_app && self.is_server() && self.release() < (3, 23) {
            return None;
        }
        let lifetime = self.token_lifetime.unwrap_or(Some(EIGHT_HOURS));
        lifetime.or_else(|| offline_access.then_some(EIGHT_HOURS))
    }

    /// Major and minor version.
    pub(super) fn release(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

const EIGHT_HOURS: Duration = Duration::from_secs(8 * 60 * 60);
