use super::group::FakeGroup;
use crate::testing::wire::json_string;

/// A user with an account at a fake GitLab.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeUser {
    /// The id, which never changes.
    pub id: u64,
    /// The user name, for [`FakeGitLab::authorize`](crate::testing::FakeGitLab::authorize).
    pub username: String,
    /// The display name.
    pub name: String,
    /// The primary e-mail address.
    pub email: String,
    /// When the primary e-mail address was confirmed; `None` if it was not.
    pub confirmed_at: Option<String>,
    /// The public e-mail address; a real GitLab sends both `""` and `null`.
    pub public_email: Option<String>,
    /// The secondary e-mail addresses, each with the time of its confirmation.
    pub secondary_emails: Vec<(String, Option<String>)>,
    /// The avatar's URL. `$BASE` is the fake's base URL.
    pub avatar_url: Option<String>,
    /// The user's web site.
    pub website_url: String,
    /// `active`. The API refuses most users with another state: see [`Refusal`].
    pub state: String,
    /// Whether the account is locked after failed sign-ins.
    pub locked: bool,
    /// Whether it is a bot or service account.
    pub bot: bool,
    /// Whether the user is an administrator. The response for an administrator has more members.
    pub admin: bool,
    /// Whether the user has two-factor authentication.
    pub two_factor: bool,
    /// Whether an administrator has marked the user as external.
    pub external: bool,
    /// Why the API refuses the user's tokens; `None` if it accepts them.
    pub refusal: Option<Refusal>,
    /// When the user last signed in.
    pub last_sign_in_at: String,
    /// The user's groups, including subgroups.
    pub groups: Vec<FakeGroup>,
}

/// Why GitLab's API refuses a user whose token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Blocked by an administrator.
    Blocked,
    /// Deactivated.
    Deactivated,
    /// Not approved yet.
    PendingApproval,
    /// The terms of service were not accepted.
    TermsNotAccepted,
    /// The primary address is not confirmed, and the instance requires that.
    Unconfirmed,
}

impl FakeUser {
    /// An active user with a confirmed address.
    pub fn new(id: u64, username: &str, name: &str, email: &str) -> Self {
        Self {
            id,
            username: username.to_owned(),
            name: name.to_owned(),
            email: email.to_owned(),
            confirmed_at: Some("2024-01-15T09:31:07.000Z".to_owned()),
            public_email: Some(String::new()),
            secondary_emails: Vec::new(),
            avatar_url: None,
            website_url: String::new(),
            state: "active".to_owned(),
            locked: false,
            bot: false,
            admin: false,
            two_factor: false,
            external: false,
            refusal: None,
            last_sign_in_at: "2026-11-21T23:28:16.000Z".to_owned(),
            groups: Vec::new(),
        }
    }

    /// `alice`, id 2: active, confirmed, with a public address, two secondary ones and letters outside ASCII.
    pub fn alice() -> Self {
        Self {
            public_email: Some("alice.public@example.com".to_owned()),
            secondary_emails: vec![
                ("alice.public@example.com".to_owned(), Some("2024-02-01T12:00:00.000Z".to_owned())),
                ("alice.pending@example.com".to_owned(), None),
            ],
            avatar_url: Some("$BASE/uploads/-/system/user/avatar/2/avatar.png".to_owned()),
            website_url: "https://alice.example.com".to_owned(),
            last_sign_in_at: "2026-11-21T23:28:15.168Z".to_owned(),
            ..Self::new(2, "alice", "Alice Åström", "alice@example.com")
        }
    }

    /// `root`, id 1: an administrator.
    pub fn root() -> Self {
        Self {
            admin: true,
            avatar_url: gravatar("258d8dc916db8cea2cafb6c3cd0cb0246efe061421dbd83ec3a350428cabda4f"),
            last_sign_in_at: "2026-11-21T23:28:16.772Z".to_owned(),
            ..Self::new(1, "root", "Administrator", "admin@example.com")
        }
    }

    /// `bob`, id 3: his address was never confirmed.
    pub fn bob() -> Self {
        Self {
            confirmed_at: None,
            public_email: None,
            avatar_url: gravatar("5ff860bf1190596c7188ab851db691f0f3169c453936e9e1eba2f9a47f7a0018"),
            last_sign_in_at: "2026-11-21T23:28:16.847Z".to_owned(),
            ..Self::new(3, "bob", "Bob Unconfirmed", "bob@example.com")
        }
    }

    /// `carol`, id 4: blocked after she authorized the application.
    pub fn carol() -> Self {
        Self { refusal: Some(Refusal::Blocked), ..Self::new(4, "carol", "Carol Blocked", "carol@example.com") }
    }

    /// `dave`, id 5: deactivated.
    pub fn deactivated() -> Self {
        Self { refusal: Some(Refusal::Deactivated), ..Self::new(5, "dave", "Dave Deactivated", "dave@example.com") }
    }

    /// `erin`, id 6: waits for an administrator's approval.
    pub fn pending_approval() -> Self {
        Self { refusal: Some(Refusal::PendingApproval), ..Self::new(6, "erin", "Erin Pending", "erin@example.com") }
    }

    /// `frank`, id 7: has not accepted the terms of service.
    pub fn terms_not_accepted() -> Self {
        Self { refusal: Some(Refusal::TermsNotAccepted), ..Self::new(7, "frank", "Frank Terms", "frank@example.com") }
    }

    /// `project_9_bot`, id 8: a bot.
    pub fn bot() -> Self {
        Self { bot: true, ..Self::new(8, "project_9_bot", "Deploy bot", "project_9_bot@noreply.example.com") }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![
            Self::alice(),
            Self::root(),
            Self::bob(),
            Self::carol(),
            Self::deactivated(),
            Self::pending_approval(),
            Self::terms_not_accepted(),
            Self::bot(),
        ]
    }

    /// The response to `GET /user`, its members in GitLab's order.
    pub(super) fn json(&self, base_url: &str) -> String {
        let text = |text: &str| rails_json(&text.replace("$BASE", base_url));
        let text_or_null = |value: &Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), text);
        let last_activity_on = self.last_sign_in_at.split('T').next().unwrap_or_default();
        let admin = if self.admin { ADMIN_MEMBERS } else { "" };
        format!(
            "{{\"id\":{id},\"username\":{username},\"public_email\":{public_email},\"name\":{name},\
             \"state\":{state},\"locked\":{locked},\"avatar_url\":{avatar_url},\"web_url\":{web_url},\
             \"created_at\":\"2024-01-15T09:30:00.000Z\",\"bio\":\"\",\"location\":\"\",\"linkedin\":\"\",\
             \"twitter\":\"\",\"discord\":\"\",\"website_url\":{website_url},\"github\":\"\",\"job_title\":\"\",\
             \"pronouns\":null,\"organization\":\"\",\"bot\":{bot},\"work_information\":null,\"local_time\":null,\
             \"last_sign_in_at\":{signed_in},\"confirmed_at\":{confirmed_at},\"last_activity_on\":{active_on},\
             \"email\":{email},\"theme_id\":3,\"color_scheme_id\":1,\"projects_limit\":100000,\
             \"current_sign_in_at\":{signed_in},\"identities\":[],\"can_create_group\":true,\
             \"can_create_project\":true,\"two_factor_enabled\":{two_factor},\"external\":{external},\
             \"private_profile\":false,\"commit_email\":{email},\"preferred_language\":\"en\"{admin}}}",
            id = self.id,
            username = text(&self.username),
            public_email = text_or_null(&self.public_email),
            name = text(&self.name),
            state = text(&self.state),
            locked = self.locked,
            avatar_url = text_or_null(&self.avatar_url),
            web_url = text(&format!("$BASE/{}", self.username)),
            website_url = text(&self.website_url),
            bot = self.bot,
            signed_in = text(&self.last_sign_in_at),
            confirmed_at = text_or_null(&self.confirmed_at),
            active_on = text(last_activity_on),
            email = text(&self.email),
            two_factor = self.two_factor,
            external = self.external,
        )
    }

    /// The response to `GET /user/emails`.
    pub(super) fn emails_json(&self) -> String {
        let entry = |(id, (address, confirmed_at)): (usize, &(String, Option<String>))| {
            let confirmed_at = confirmed_at.as_deref().map_or_else(|| "null".to_owned(), rails_json);
            let id = id.saturating_add(1);
            format!("{{\"id\":{id},\"email\":{},\"confirmed_at\":{confirmed_at}}}", rails_json(address))
        };
        let entries: Vec<String> = self.secondary_emails.iter().enumerate().map(entry).collect();
        format!("[{}]", entries.join(","))
    }

    /// The text of the API's 403, after `403 Forbidden - `.
    pub(super) fn refusal_text(&self, base_url: &str) -> Option<String> {
        Some(match self.refusal? {
            Refusal::Blocked => "Your account has been blocked.".to_owned(),
            Refusal::Deactivated => format!(
                "Your account has been deactivated by your administrator. \
                 Please log back in from a web browser to reactivate your account at {base_url}"
            ),
            Refusal::PendingApproval => {
                "Your account is pending approval from your administrator and hence blocked.".to_owned()
            }
            Refusal::TermsNotAccepted => format!(
                "You (@{}) must accept the Terms of Service in order to perform this action. \
                 To accept these terms, please access GitLab from a web browser at {base_url}.",
                self.username
            ),
            Refusal::Unconfirmed => format!(
                "Your primary email address is not confirmed. Please check your inbox for the confirmation \
                 instructions. In case the link is expired, you can request a new confirmation email at \
                 {base_url}/users/confirmation/new"
            ),
        })
    }
}

const ADMIN_MEMBERS: &str = ",\"is_admin\":true,\"note\":null,\"namespace_id\":1,\"created_by\":null";

fn gravatar(hash: &str) -> Option<String> {
    Some(format!("https://www.gravatar.com/avatar/{hash}?s=80&d=identicon"))
}

/// A JSON string with `&`, `<` and `>` escaped, as Rails writes it.
pub(super) fn rails_json(text: &str) -> String {
    json_string(text).replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}
