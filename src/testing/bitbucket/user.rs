use super::workspace::FakeWorkspace;
use crate::testing::wire::json_string;

/// A user with an account at a fake Bitbucket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeUser {
    /// The UUID in braces. It never changes.
    pub uuid: String,
    /// The user name, for [`FakeBitbucket::authorize`](crate::testing::FakeBitbucket::authorize).
    pub username: String,
    /// The display name.
    pub display_name: String,
    /// The id of the Atlassian account.
    pub account_id: String,
    /// `user`, or `app_user` for an app.
    pub kind: String,
    /// `active`, which is the only documented value.
    pub account_status: String,
    /// Whether the user has two-factor authentication; `None` if Bitbucket does not report it.
    pub has_2fa_enabled: Option<bool>,
    /// The e-mail addresses.
    pub emails: Vec<FakeEmail>,
    /// The number of addresses on one page of the response.
    pub emails_per_page: usize,
    /// The workspaces that the user can access.
    pub workspaces: Vec<FakeWorkspace>,
}

/// An address of a [`FakeUser`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeEmail {
    /// The address.
    pub address: String,
    /// Whether it is the primary address.
    pub is_primary: bool,
    /// Whether it was confirmed.
    pub is_confirmed: bool,
}

impl FakeEmail {
    /// An address, and whether it is primary and confirmed.
    pub fn new(address: &str, is_primary: bool, is_confirmed: bool) -> Self {
        Self { address: address.to_owned(), is_primary, is_confirmed }
    }
}

impl FakeUser {
    /// An active user. `uuid` is given without its braces.
    pub fn new(uuid: &str, username: &str, display_name: &str, emails: Vec<FakeEmail>) -> Self {
        Self {
            uuid: format!("{{{uuid}}}"),
            username: username.to_owned(),
            display_name: display_name.to_owned(),
            account_id: format!("557058:{uuid}"),
            kind: "user".to_owned(),
            account_status: "active".to_owned(),
            has_2fa_enabled: None,
            emails,
            emails_per_page: 10,
            workspaces: Vec::new(),
        }
    }

    /// `jane`: active, with a confirmed primary address; Bitbucket does not report whether she has two-factor
    /// authentication.
    pub fn jane() -> Self {
        let emails = vec![FakeEmail::new("jane@example.com", true, true)];
        Self {
            account_id: "aaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
            ..Self::new("11111111-2222-3333-4444-555555555555", "jane", "Jane Doe", emails)
        }
    }

    /// `many`: has this many addresses, each on its own page, the primary one last, and two-factor authentication.
    pub fn many_emails(pages: usize) -> Self {
        let last = pages.max(1);
        let emails = (1..=last)
            .map(|page| FakeEmail::new(&format!("many{page}@example.com"), page == last, page == last))
            .collect();
        Self {
            emails_per_page: 1,
            has_2fa_enabled: Some(true),
            ..Self::new("22222222-2222-3333-4444-555555555555", "many", "Many Addresses", emails)
        }
    }

    /// `una`: her primary address is not confirmed, another address is.
    pub fn unconfirmed() -> Self {
        let emails =
            vec![FakeEmail::new("una@example.com", true, false), FakeEmail::new("una.other@example.com", false, true)];
        Self::new("33333333-2222-3333-4444-555555555555", "una", "Una Confirmed", emails)
    }

    /// `nomail`: has no address.
    pub fn no_emails() -> Self {
        Self::new("44444444-2222-3333-4444-555555555555", "nomail", "No Mail", Vec::new())
    }

    /// `ina`: her account is not active.
    pub fn inactive() -> Self {
        let emails = vec![FakeEmail::new("ina@example.com", true, true)];
        Self {
            account_status: "inactive".to_owned(),
            ..Self::new("55555555-2222-3333-4444-555555555555", "ina", "Ina Ctive", emails)
        }
    }

    /// `app`: an app, not a user.
    pub fn app_user() -> Self {
        Self {
            kind: "app_user".to_owned(),
            ..Self::new("66666666-2222-3333-4444-555555555555", "app", "Some app", Vec::new())
        }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![
            Self::jane(),
            Self::many_emails(3),
            Self::unconfirmed(),
            Self::no_emails(),
            Self::inactive(),
            Self::app_user(),
        ]
    }

    /// The response to `GET /2.0/user`, its members in the order of a real one.
    pub(super) fn json(&self, api_url: &str, site_url: &str) -> String {
        let uuid = self.uuid.replace('{', "%7B").replace('}', "%7D");
        let api = |call: &str| json_string(&format!("{api_url}/2.0/{call}"));
        let users = |end: &str| api(&format!("users/{uuid}{end}"));
        format!(
            "{{\"username\": {username}, \"display_name\": {name}, \"has_2fa_enabled\": {two_factor}, \"links\": {{\
             \"hooks\": {{\"href\": {hooks}}}, \"self\": {{\"href\": {own}}}, \
             \"repositories\": {{\"href\": {repositories}}}, \"html\": {{\"href\": {html}}}, \
             \"avatar\": {{\"href\": {avatar}}}, \"snippets\": {{\"href\": {snippets}}}}}, \
             \"nickname\": {name}, \"account_id\": {account_id}, \
             \"created_on\": \"2019-02-19T10:36:46.361566-08:00\", \"is_staff\": false, \
             \"account_status\": {status}, \"type\": {kind}, \"uuid\": {uuid_text}}}",
            username = json_string(&self.username),
            name = json_string(&self.display_name),
            two_factor = self.has_2fa_enabled.map_or_else(|| "null".to_owned(), |enabled| enabled.to_string()),
            hooks = users("/hooks"),
            own = users(""),
            repositories = api(&format!("repositories/{uuid}")),
            html = json_string(&format!("{site_url}/{uuid}/")),
            avatar = json_string(&format!("{site_url}/account/{}/avatar/128", self.username)),
            snippets = api(&format!("snippets/{uuid}")),
            account_id = json_string(&self.account_id),
            status = json_string(&self.account_status),
            kind = json_string(&self.kind),
            uuid_text = json_string(&self.uuid),
        )
    }

    /// One page of the response to `GET /2.0/user/emails`; `None` if there is no such page. Pages count from 1.
    pub(super) fn emails_json(&self, api_url: &str, page: usize) -> Option<String> {
        let per_page = self.emails_per_page.max(1);
        let start = page.checked_sub(1)?.checked_mul(per_page)?;
        if start > 0 && start >= self.emails.len() {
            return None;
        }
        let entry = |email: &FakeEmail| {
            let link = json_string(&format!("{api_url}/2.0/user/emails/{}", email.address));
            format!(
                "{{\"is_primary\":{},\"links\":{{\"self\":{{\"href\":{link}}}}},\"type\":\"email\",\"email\":{},\
                 \"is_confirmed\":{}}}",
                email.is_primary,
                json_string(&email.address),
                email.is_confirmed
            )
        };
        let entries: Vec<String> = self.emails.iter().skip(start).take(per_page).map(entry).collect();
        let next = match start.saturating_add(per_page) < self.emails.len() {
            true => format!(",\"next\":\"{api_url}/2.0/user/emails?page={}\"", page.saturating_add(1)),
            false => String::new(),
        };
        Some(format!(
            "{{\"pagelen\":{per_page},\"values\":[{}],\"page\":{page},\"size\":{}{next}}}",
            entries.join(","),
            self.emails.len()
        ))
    }
}
