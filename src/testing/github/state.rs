use super::grants::Grants;
use super::limits::Limits;
use super::options::Options;
use super::organization::FakeOrganization;
use super::user::FakeUser;
use crate::testing::application::FakeApplication;

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) api_url: String,
    pub(super) options: Options,
    pub(super) applications: Vec<Registered>,
    pub(super) users: Vec<FakeUser>,
    pub(super) organizations: Vec<FakeOrganization>,
    pub(super) grants: Grants,
    pub(super) limits: Limits,
    pub(super) maintenance: bool,
}

/// An OAuth App or a GitHub App.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) application: FakeApplication,
    pub(super) github_app: bool,
    pub(super) suspended: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            base_url: String::new(),
            api_url: String::new(),
            options: Options::default(),
            applications: Vec::new(),
            users: FakeUser::presets(),
            organizations: FakeOrganization::presets(),
            grants: Grants::default(),
            limits: Limits::default(),
            maintenance: false,
        }
    }

    pub(super) fn add_application(&mut self, application: FakeApplication, github_app: bool) {
        self.applications.push(Registered { application, github_app, suspended: false });
    }

    pub(super) fn add_user(&mut self, user: FakeUser) {
        self.users.retain(|known| known.id != user.id);
        self.users.push(user);
    }

    pub(super) fn add_organization(&mut self, organization: FakeOrganization) {
        self.organizations.retain(|known| known.id != organization.id);
        self.organizations.push(organization);
    }

    pub(super) fn application(&self, client_id: &str) -> Option<&Registered> {
        self.applications.iter().find(|known| known.application.client_id == client_id)
    }

    pub(super) fn user_named(&self, login: &str) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn user_with_id(&self, id: u64) -> Option<&FakeUser> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn organization(&self, login: &str) -> Option<&FakeOrganization> {
        self.organizations.iter().find(|organization| organization.login.eq_ignore_ascii_case(login))
    }

    /// The URL of a page of the documentation.
    pub(super) fn docs(&self, page: &str) -> String {
        let (major, minor) = self.options.release();
        match self.options.is_server() {
            true => format!("https://docs.github.com/enterprise-server@{major}.{minor}/rest{page}"),
            false => format!("https://docs.github.com/rest{page}"),
        }
    }
}
