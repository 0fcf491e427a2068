//! A GitLab of the fakes with one user, who is a member of two groups.

use codehost_oauth::testing::{FakeApplication, FakeGitLab, gitlab};
use codehost_oauth::{Group, LoginPolicy};

use crate::support::canned_http::{self, TestIntegration};

pub(super) async fn gitlab_with(user: gitlab::FakeUser) -> FakeGitLab {
    let callback = "http://127.0.0.1:9000/oauth/callback/gitlab/demo";
    let app = FakeApplication::new("my-id", "canary-right", callback, "read_api read_user");
    FakeGitLab::builder().application(app).user(user).start().await.unwrap()
}

pub(super) fn user() -> gitlab::FakeUser {
    let mut user = gitlab::FakeUser::new(77, "jane", "Jane", "jane@acme.example");
    user.groups = vec![gitlab::FakeGroup::new(11, "acme/tools/ci", 30), gitlab::FakeGroup::new(12, "ops", 20)];
    user
}

pub(super) fn at(fake: &FakeGitLab, policy: LoginPolicy) -> TestIntegration {
    canned_http::live("gitlab", fake.base_url(), "canary-right").policy(policy)
}

pub(super) fn group(path: &str) -> Group {
    Group::path(path).unwrap()
}
