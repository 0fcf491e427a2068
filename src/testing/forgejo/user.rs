use super::state::State;
use super::team::{FakeOrganization, FakeTeam, TeamPermission};
use super::wire::go_json;

/// A user with an account at a fake Forgejo.
///
/// A user who may not sign in can authorize an application nevertheless, as one who was locked a moment later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeUser {
    /// The id, which never changes.
    pub id: u64,
    /// The user name, for [`FakeForgejo::authorize`](crate::testing::FakeForgejo::authorize).
    pub username: String,
    /// The display name.
    pub full_name: String,
    /// The e-mail addresses, the primary one first.
    pub emails: Vec<FakeEmail>,
    /// Whether other users see an address of the server instead of the user's own.
    pub hidden_email: bool,
    /// The avatar's URL. `$BASE` is the server's URL.
    pub avatar_url: String,
    /// Whether the user is a site administrator.
    pub admin: bool,
    /// Whether the account is activated. The API refuses one that is not.
    pub active: bool,
    /// Whether an administrator has locked the account. The API refuses it.
    pub prohibit_login: bool,
    /// Whether the user must change the password first. The API refuses such a user.
    pub must_change_password: bool,
    /// Whether the server requires a second factor that the user does not have. Forgejo 13 and later refuse such a user in
    /// the API, Gitea 1.27.1 and later on the authorization page.
    pub must_enroll_second_factor: bool,
    /// Whether the user sees only what was given to them.
    pub restricted: bool,
    /// `public`, `limited` or `private`.
    pub visibility: String,
    /// The user's teams, and so the organizations.
    pub teams: Vec<FakeTeam>,
}

/// An e-mail address of a [`FakeUser`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeEmail {
    /// The address.
    pub address: String,
    /// Whether it is activated. That of the primary address usually follows the account.
    pub verified: bool,
    /// Whether it is the primary one.
    pub primary: bool,
}

impl FakeEmail {
    /// An address that is not the primary one.
    pub fn secondary(address: &str, verified: bool) -> Self {
        Self { address: address.to_owned(), verified, primary: false }
    }
}

impl FakeUser {
    /// An active user with a verified address and no teams.
    pub fn new(id: u64, username: &str, full_name: &str, email: &str) -> Self {
        Self {
            id,
            username: username.to_owned(),
            full_name: full_name.to_owned(),
            emails: vec![FakeEmail { address: email.to_owned(), verified: true, primary: true }],
            hidden_email: false,
            avatar_url: format!("$BASE/avatars/{id}"),
            admin: false,
            active: true,
            prohibit_login: false,
            must_change_password: false,
            must_enroll_second_factor: false,
            restricted: false,
            visibility: "public".to_owned(),
            teams: Vec::new(),
        }
    }

    /// `jane`, id 7: writes in `acme/developers`, owns the private organization `tools`, and has two secondary addresses, of
    /// which one is verified.
    pub fn jane() -> Self {
        let tools = FakeOrganization { visibility: "private".to_owned(), ..FakeOrganization::new(21, "tools") };
        let mut user = Self::new(7, "jane", "Jane Doe", "jane@example.com");
        user.emails.push(FakeEmail::secondary("jane.work@example.com", true));
        user.emails.push(FakeEmail::secondary("jane.pending@example.com", false));
        let developers = FakeTeam::new(31, acme(), "developers", TeamPermission::Write);
        user.teams = vec![FakeTeam { public: true, ..developers }];
        user.teams.push(FakeTeam::new(33, tools, "Owners", TeamPermission::Owner));
        user
    }

    /// `root`, id 1: a site administrator who owns `acme`.
    pub fn admin() -> Self {
        let owners = FakeTeam::new(30, acme(), "Owners", TeamPermission::Owner);
        Self { admin: true, teams: vec![owners], ..Self::new(1, "root", "", "root@example.com") }
    }

    /// `bob`, id 8: the account is active, but the only address is not verified. No team.
    pub fn unverified() -> Self {
        let mut user = Self::new(8, "bob", "Bob Unverified", "bob@example.com");
        user.emails.iter_mut().for_each(|email| email.verified = false);
        user
    }

    /// `carol`, id 9: an administrator has locked the account.
    pub fn prohibited() -> Self {
        Self { prohibit_login: true, ..Self::new(9, "carol", "Carol Prohibited", "carol@example.com") }
    }

    /// `dave`, id 10: the account is not activated, because its address was never confirmed.
    pub fn inactive() -> Self {
        let mut user = Self::new(10, "dave", "Dave Inactive", "dave@example.com");
        user.active = false;
        user.emails.iter_mut().for_each(|email| email.verified = false);
        user
    }

    /// `erin`, id 11: must change the password.
    pub fn must_change_password() -> Self {
        Self { must_change_password: true, ..Self::new(11, "erin", "Erin Password", "erin@example.com") }
    }

    /// `frank`, id 12: must set up a second factor.
    pub fn must_enroll_second_factor() -> Self {
        Self { must_enroll_second_factor: true, ..Self::new(12, "frank", "Frank Factor", "frank@example.com") }
    }

    /// `grace`, id 13: restricted, and reads in `acme/guests`.
    pub fn restricted() -> Self {
        let guests = FakeTeam::new(32, acme(), "guests", TeamPermission::Read);
        Self { restricted: true, teams: vec![guests], ..Self::new(13, "grace", "Grace Guest", "grace@example.com") }
    }

    /// `heidi`, id 14: hides the address and the profile, administers `acme/ops`, and has rights by unit in `acme/triage`.
    pub fn hidden() -> Self {
        Self {
            hidden_email: true,
            visibility: "private".to_owned(),
            teams: vec![
                FakeTeam::new(34, acme(), "ops", TeamPermission::Admin),
                FakeTeam::new(35, acme(), "triage", TeamPermission::None),
            ],
            ..Self::new(14, "heidi", "Heidi <Hidden>", "heidi@example.com")
        }
    }

    /// `ivan`, id 15: has no address.
    pub fn no_email() -> Self {
        Self { emails: Vec::new(), ..Self::new(15, "ivan", "Ivan", "") }
    }

    /// `many`, id 100: in this many teams, each of another organization. Not a preset user.
    pub fn many_teams(count: u64) -> Self {
        let team = |index: u64| {
            let organization = FakeOrganization::new(index.saturating_add(1000), &format!("org-{index}"));
            FakeTeam::new(index.saturating_add(2000), organization, "developers", TeamPermission::Write)
        };
        Self { teams: (1..=count).map(team).collect(), ..Self::new(100, "many", "Many Teams", "many@example.com") }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![
            Self::jane(),
            Self::admin(),
            Self::unverified(),
            Self::prohibited(),
            Self::inactive(),
            Self::must_change_password(),
            Self::must_enroll_second_factor(),
            Self::restricted(),
            Self::hidden(),
            Self::no_email(),
        ]
    }

    /// The primary address, or an empty text.
    pub(super) fn email(&self) -> &str {
        self.emails.iter().find(|email| email.primary).map_or("", |email| &email.address)
    }

    /// The response to `GET /user`, its members in the server's order. Other users than the user's own see less.
    pub(super) fn json(&self, state: &State, own: bool) -> String {
        let email = match own || !self.hidden_email {
            true => self.email().to_owned(),
            false => format!("{}@noreply.example.com", self.username),
        };
        // Forgejo's own.
        let pronouns = if state.version.gitea { "" } else { ",\"pronouns\":\"\"" };
        format!(
            "{{\"id\":{id},\"login\":{login},\"login_name\":\"\",\"source_id\":0,\"full_name\":{full_name},\
             \"email\":{email},\"avatar_url\":{avatar_url},\"html_url\":{html_url},\"language\":\"{language}\",\
             \"is_admin\":{admin},\"last_login\":\"{last_login}\",\"created\":\"2024-01-02T03:04:05Z\",\
             \"restricted\":{restricted},\"active\":{active},\"prohibit_login\":{prohibit_login},\
             \"location\":\"\"{pronouns},\"website\":\"\",\"description\":\"\",\"visibility\":{visibility},\
             \"followers_count\":0,\"following_count\":0,\"starred_repos_count\":0,\"username\":{login}}}",
            id = self.id,
            login = go_json(&self.username),
            full_name = go_json(&self.full_name),
            email = go_json(&email),
            avatar_url = go_json(&self.avatar_url.replace("$BASE", &state.root_url)),
            html_url = go_json(&format!("{}/{}", state.root_url, self.username)),
            language = if own { "en-US" } else { "" },
            admin = own && self.admin,
            last_login = if own { "2026-11-20T08:00:00Z" } else { "0001-01-01T00:00:00Z" },
            restricted = own && self.restricted,
            active = own && self.active,
            prohibit_login = own && self.prohibit_login,
            visibility = go_json(&self.visibility),
        )
    }

    /// The response to `GET /user/emails`.
    pub(super) fn emails_json(&self) -> String {
        let entry = |email: &FakeEmail| {
            let address = go_json(&email.address);
            let (verified, primary) = (email.verified, email.primary);
            format!(
                "{{\"email\":{address},\"verified\":{verified},\"primary\":{primary},\"user_id\":0,\"username\":\"\"}}"
            )
        };
        let entries: Vec<String> = self.emails.iter().map(entry).collect();
        format!("[{}]", entries.join(","))
    }
}

fn acme() -> FakeOrganization {
    FakeOrganization::new(20, "acme")
}
