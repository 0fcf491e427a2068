//! The form of an integration.

mod adding;
mod edits;
mod errors;
mod in_browser;
mod moves;
mod secrets;
mod sessions;

use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, Browser, PUBLIC_URL};
use crate::admin::screen::Screen;

pub(super) const SECRET: &str = "canary-admin-secret";

/// A platform, its fake, and what the platform calls id and secret.
pub(super) struct CodeHost {
    platform: &'static str,
    base_url: String,
    api_url: Option<String>,
    labels: [&'static str; 2],
    /// The label of the callback URL there.
    callback: &'static str,
    /// The path of the setup link after the base URL, with the owner "acme".
    link: &'static str,
    add: Box<dyn Fn(FakeApplication) + Send + Sync>,
}

pub(super) async fn code_hosts() -> Vec<CodeHost> {
    let gitlab = FakeGitLab::builder().sub_path("/gitlab").start().await.unwrap();
    let github = FakeGitHub::builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    let bitbucket = FakeBitbucket::builder().start().await.unwrap();
    let forgejo = FakeForgejo::builder().start().await.unwrap();
    let data_center = FakeBitbucketDataCenter::builder().start().await.unwrap();
    vec![
        CodeHost {
            platform: "gitlab",
            base_url: gitlab.base_url().to_owned(),
            api_url: None,
            labels: ["Application ID", "Secret"],
            callback: "Redirect URI",
            link: "/groups/acme/-/settings/applications",
            add: Box::new(move |application| gitlab.add_application(application)),
        },
        CodeHost {
            platform: "github",
            base_url: github.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Authorization callback URL",
            link: "/organizations/acme/settings/applications/new",
            add: Box::new(move |application| github.add_application(application)),
        },
        CodeHost {
            platform: "bitbucket-cloud",
            base_url: "https://bitbucket.org".to_owned(),
            api_url: Some(bitbucket.base_url().to_owned()),
            labels: ["Client ID", "Secret"],
            callback: "Callback URL",
            link: "/acme/workspace/settings/oauth-clients",
            add: Box::new(move |application| bitbucket.add_application(application)),
        },
        CodeHost {
            platform: "forgejo",
            base_url: forgejo.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Redirect URIs",
            link: "/org/acme/settings/applications",
            add: Box::new(move |application| forgejo.add_application(application)),
        },
        CodeHost {
            platform: "bitbucket-data-center",
            base_url: data_center.base_url().to_owned(),
            api_url: None,
            labels: ["Client ID", "Client secret"],
            callback: "Redirect URL",
            link: "/plugins/servlet/applinks/listApplicationLinks",
            add: Box::new(move |application| data_center.add_application(application)),
        },
    ]
}

/// The one text field that shows the callback URL to copy.
pub(super) fn callback_url(screen: &Screen, platform: &str) -> String {
    let start = format!("{PUBLIC_URL}/oauth/callback/{platform}/");
    let found: Vec<_> = screen.attributes("value").into_iter().filter(|value| value.starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let copied = screen.attributes("data-ch-copy").into_iter().find(|value| value.starts_with(&start));
    assert_eq!(copied, Some(found[0]));
    found[0].to_owned()
}

/// The scopes that have a copy button.
pub(super) fn scopes(screen: &Screen) -> Vec<String> {
    let is_scope = |value: &&str| !value.contains("://") && !value.contains([' ', '(']);
    screen.attributes("data-ch-copy").into_iter().filter(is_scope).map(str::to_owned).collect()
}

/// A GitLab and a browser with a form that is filled in for it; the application exists.
pub(super) struct Filled {
    app: App,
    anna: Browser,
    gitlab: FakeGitLab,
    screen: Screen,
}

pub(super) async fn filled() -> Filled {
    filled_in(App::start()).await
}

pub(super) async fn filled_in(app: App) -> Filled {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let mut anna = app.browser(ANNA).await;
    let mut screen = anna.open(&format!("{ACME}/new")).await;
    screen.set("platform", "gitlab");
    screen.set("base_url", gitlab.base_url());
    let mut screen = anna.press(&screen, "Show setup link").await.screen();
    let callback = callback_url(&screen, "gitlab");
    gitlab.add_application(FakeApplication::new("the-id", SECRET, &callback, &scopes(&screen).join(" ")));
    screen.set("client_id", "the-id");
    screen.set("client_secret", SECRET);
    Filled { app, anna, gitlab, screen }
}

/// A stored integration, and its form.
pub(super) async fn stored() -> Filled {
    let Filled { app, mut anna, gitlab, screen } = filled().await;
    let created = anna.press(&screen, "Create integration").await;
    assert_eq!(created.status, StatusCode::SEE_OTHER);
    app.world.facts().told.clear();
    let screen = anna.open(&edit_path(&app).await).await;
    assert_eq!(screen.status, StatusCode::OK);
    Filled { app, anna, gitlab, screen }
}

pub(super) async fn edit_path(app: &App) -> String {
    format!("{ACME}/{}/edit", app.of_acme().await[0].id)
}
