//! The form of an integration.

use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab,
};
use http::StatusCode;

use crate::admin::app::{ACME, ANNA, App, MIA, PUBLIC_URL};
use crate::admin::screen::Screen;

const SECRET: &str = "canary-admin-secret";

#[tokio::test]
async fn nobody_else_sees_the_form() {
    let app = App::start();
    let mut mia = app.browser(MIA).await;
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::FORBIDDEN);
    mia.cookies.clear();
    assert_eq!(mia.open(&format!("{ACME}/new")).await.status, StatusCode::UNAUTHORIZED);
}

/// A platform, its fake, and what the platform calls id and secret.
struct CodeHost {
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

async fn code_hosts() -> Vec<CodeHost> {
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

/// Both guides, for each platform: add, see link, callback URL and scopes while id and secret are empty, paste, create.
#[tokio::test]
async fn an_administrator_adds_an_integration_of_each_platform() {
    for code_host in code_hosts().await {
        let app = App::start();
        if let Some(api_url) = &code_host.api_url {
            app.world.facts().api_urls.insert(code_host.base_url.clone(), api_url.clone());
        }
        let mut anna = app.browser(ANNA).await;
        let mut screen = anna.open(&format!("{ACME}/new")).await;
        assert_eq!(screen.status, StatusCode::OK);
        screen.assert_shows("Choose the platform and enter the base URL.");
        screen.assert_hides("/oauth/callback/");

        screen.set("platform", code_host.platform);
        screen.set("base_url", &code_host.base_url);
        screen.set("owner", "acme");
        let mut screen = anna.press(&screen, "Show setup link").await.screen();
        assert_eq!(screen.status, StatusCode::OK);
        assert_eq!((screen.value("client_id"), screen.value("client_secret")), Default::default());
        assert_eq!(screen.focused(), None);
        let links = screen.attributes("href");
        let link = format!("{}{}", code_host.base_url, code_host.link);
        assert!(links.iter().any(|href| href.starts_with(&link)), "{link} is not in {links:?}");
        let callback = callback_url(&screen, code_host.platform);
        screen.assert_shows(&format!("{} (the callback URL)", code_host.callback));
        assert_eq!([screen.label("client_id"), screen.label("client_secret")], code_host.labels);
        assert_eq!(screen.value("name"), "");
        let scopes = scopes(&screen);
        assert!(!scopes.is_empty());

        // At the code host.
        (code_host.add)(FakeApplication::new("the-id", SECRET, &callback, &scopes.join(" ")));
        screen.set("client_id", " the-id ");
        screen.set("client_secret", SECRET);
        let created = anna.press(&screen, "Create integration").await;
        assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", Screen::new(created.status, &created.body).text());
        let [stored] = app.of_acme().await.try_into().unwrap();
        assert_eq!(created.location(), Some(&*format!("{ACME}/{}?saved=created", stored.id)));
        assert!(callback.ends_with(&format!("/{}", stored.id)), "{callback}");
        assert_eq!(stored.settings.client_id, "the-id");
        assert_eq!(stored.created.by, "Anna Admin");
        let host = code_host.base_url.split('/').nth(2).unwrap();
        assert!(stored.settings.name.ends_with(&format!("({host})")), "{}", stored.settings.name);
    }
}

/// The one text field that shows the callback URL to copy.
fn callback_url(screen: &Screen, platform: &str) -> String {
    let start = format!("{PUBLIC_URL}/oauth/callback/{platform}/");
    let found: Vec<_> = screen.attributes("value").into_iter().filter(|value| value.starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let copied = screen.attributes("data-ch-copy").into_iter().find(|value| value.starts_with(&start));
    assert_eq!(copied, Some(found[0]));
    found[0].to_owned()
}

/// The scopes that have a copy button.
fn scopes(screen: &Screen) -> Vec<String> {
    let is_scope = |value: &&str| !value.contains("://") && !value.contains([' ', '(']);
    screen.attributes("data-ch-copy").into_iter().filter(is_scope).map(str::to_owned).collect()
}
