use super::email::FakeEmail;
use super::membership::{FakeMembership, FakeTeamMembership};
use super::organization::node_id;
use super::state::State;
use crate::testing::wire::json_string;

/// An account at a fake GitHub.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeUser {
    /// The id, which never changes.
    pub id: u64,
    /// The user name, for [`FakeGitHub::authorize`](crate::testing::FakeGitHub::authorize).
    pub login: String,
    /// `User`, `Bot`, `Organization` or `Mannequin`.
    pub kind: String,
    /// The display name.
    pub name: Option<String>,
    /// The public e-mail address.
    pub public_email: Option<String>,
    /// All e-mail addresses.
    pub emails: Vec<FakeEmail>,
    /// Whether the user is an administrator of the server.
    pub site_admin: bool,
    /// The distinguished name in LDAP. Shown at an Enterprise Server only.
    pub ldap_dn: Option<String>,
    /// Whether the user has two-factor authentication. Shown to tokens with the scope `user` only.
    pub two_factor: bool,
    /// Whether the account is suspended: the API refuses its tokens.
    pub suspended: bool,
    /// The scopes that the user removes from the consent page.
    pub declined_scopes: Vec<String>,
    /// The organizations with SAML in which the user has a session when a token is made.
    pub saml_sessions: Vec<String>,
    /// The user's organizations.
    pub memberships: Vec<FakeMembership>,
    /// The user's teams.
    pub teams: Vec<FakeTeamMembership>,
}

impl FakeUser {
    /// An account of type `User` with a verified primary address.
    pub fn new(id: u64, login: &str, name: &str, email: &str) -> Self {
        Self {
            id,
            login: login.to_owned(),
            kind: "User".to_owned(),
            name: Some(name.to_owned()),
            public_email: None,
            emails: vec![FakeEmail::new(email, true, true)],
            site_admin: false,
            ldap_dn: None,
            two_factor: false,
            suspended: false,
            declined_scopes: Vec::new(),
            saml_sessions: Vec::new(),
            memberships: Vec::new(),
            teams: Vec::new(),
        }
    }

    pub(super) fn declines(&self, scope: &str) -> bool {
        self.declined_scopes.iter().any(|declined| declined == scope)
    }

    pub(super) fn primary(&self) -> Option<&FakeEmail> {
        self.emails.iter().find(|email| email.primary)
    }

    /// The response to `GET /user`, its members in GitHub's order.
    pub(super) fn json(&self, state: &State, private_profile: bool) -> String {
        let mut members = self.short_members(state);
        let text = json_string;
        let maybe = |value: &Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), json_string);
        members.push_str(&format!(
            ",\"user_view_type\":{view},\"site_admin\":{site_admin},\"name\":{name},\"company\":null,\"blog\":\"\",\
             \"location\":null,\"email\":{email},\"hireable\":null,\"bio\":null,\"twitter_username\":null,\
             \"notification_email\":{email},\"public_repos\":2,\"public_gists\":0,\"followers\":3,\"following\":0,\
             \"created_at\":\"2011-01-25T18:44:36Z\",\"updated_at\":\"2026-10-22T11:23:17Z\"",
            view = text(if private_profile { "private" } else { "public" }),
            site_admin = self.site_admin,
            name = maybe(&self.name),
            email = maybe(&self.public_email),
        ));
        if private_profile {
            members.push_str(&format!(
                ",\"private_gists\":0,\"total_private_repos\":1,\"owned_private_repos\":1,\"disk_usage\":14,\
                 \"collaborators\":0,\"two_factor_authentication\":{},\"plan\":{{\"name\":\"free\",\
                 \"space\":976562499,\"collaborators\":0,\"private_repos\":10000}}",
                self.two_factor
            ));
        }
        if let Some(name) = self.ldap_dn.as_deref().filter(|_| state.options.is_server()) {
            members.push_str(&format!(",\"ldap_dn\":{}", text(name)));
        }
        format!("{{{members}}}")
    }

    /// The account inside of other objects.
    pub(super) fn short_json(&self, state: &State) -> String {
        format!("{{{},\"site_admin\":{}}}", self.short_members(state), self.site_admin)
    }

    /// From `login` to `type`.
    fn short_members(&self, state: &State) -> String {
        let avatar = match state.options.is_server() {
            true => format!("{}/avatars/u/{}?v=4", state.base_url, self.id),
            false => format!("https://avatars.githubusercontent.com/u/{}?v=4", self.id),
        };
        let url = format!("{}/users/{}", state.api_url, self.login);
        let urls: String = URLS
            .iter()
            .map(|(member, end)| format!("\"{member}\":{},", json_string(&format!("{url}/{end}"))))
            .collect();
        format!(
            "\"login\":{login},\"id\":{id},\"node_id\":{node_id},\"avatar_url\":{avatar},\"gravatar_id\":\"\",\
             \"url\":{url},\"html_url\":{html_url},{urls}\"type\":{kind}",
            login = json_string(&self.login),
            id = self.id,
            node_id = json_string(&node_id("U", self.id)),
            avatar = json_string(&avatar),
            url = json_string(&url),
            html_url = json_string(&format!("{}/{}", state.base_url, self.login)),
            kind = json_string(&self.kind),
        )
    }

    /// The entries of the response to `GET /user/emails`.
    pub(super) fn email_entries(&self, override_verified: Option<bool>) -> Vec<String> {
        let entry = |email: &FakeEmail| {
            let visibility = email.visibility.as_deref().map_or_else(|| "null".to_owned(), json_string);
            let verified = override_verified.unwrap_or(email.verified);
            format!(
                "{{\"email\":{},\"primary\":{},\"verified\":{verified},\"visibility\":{visibility}}}",
                json_string(&email.address),
                email.primary
            )
        };
        self.emails.iter().map(entry).collect()
    }
}

const URLS: [(&str, &str); 9] = [
    ("followers_url", "followers"),
    ("following_url", "following{/other_user}"),
    ("gists_url", "gists{/gist_id}"),
    ("starred_url", "starred{/owner}{/repo}"),
    ("subscriptions_url", "subscriptions"),
    ("organizations_url", "orgs"),
    ("repos_url", "repos"),
    ("events_url", "events{/privacy}"),
    ("received_events_url", "received_events"),
];
