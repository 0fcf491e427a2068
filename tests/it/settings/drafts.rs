//! What follows from a form that is not filled in yet.

use codehost_oauth::error::{BaseUrlError, ConfigError};
use codehost_oauth::settings::{AppConfig, Draft, Field, FieldErrors, IntegrationSettings};
use codehost_oauth::setup::LinkAddress;
use codehost_oauth::{Access, EmailTrust, Group, IntegrationId, LoginPolicy, Platform};
use proptest::prelude::*;

use super::app;

fn draft(platform: &str, base_url: &str) -> Draft {
    let mut draft = Draft::default();
    draft.platform = platform.to_owned();
    draft.base_url = base_url.to_owned();
    draft.access = "sign-in".to_owned();
    draft
}

fn errors(draft: &Draft) -> FieldErrors {
    draft.read(&app(), Some(&"demo".parse().unwrap())).settings.unwrap_err()
}

/// Each platform, with the label of its client ID.
const PLATFORMS: [(&str, &str, &str, &str); 5] = [
    ("bitbucket-cloud", "https://bitbucket.org", "Bitbucket Cloud", "Client ID"),
    (
        "bitbucket-data-center",
        "https://bitbucket.example.com",
        "Bitbucket Data Center (bitbucket.example.com)",
        "Client ID",
    ),
    ("forgejo", "https://codeberg.org", "Codeberg", "Client ID"),
    ("github", "https://github.com", "GitHub", "Client ID"),
    ("gitlab", "https://git.example.com:8443", "GitLab (git.example.com:8443)", "Application ID"),
];

#[test]
fn the_guide_needs_platform_base_url_and_id_only() {
    for (platform, base_url, name, label) in PLATFORMS {
        let id: IntegrationId = "demo".parse().unwrap();
        let read = draft(platform, base_url).read(&app(), Some(&id));
        let guide = read.guide.unwrap();
        let callback = format!("http://127.0.0.1:9000/oauth/callback/{platform}/demo");
        assert_eq!(guide.callback_url.as_str(), callback);
        assert_eq!((read.name.as_str(), read.links, read.scopes), (name, guide.links, guide.scopes));
        let errors = read.settings.unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.field, error.label.as_str(), error.code)).collect();
        assert_eq!(found, [(Field::ClientId, label, "client_id")], "{platform}");
    }
}

#[test]
fn without_an_id_links_and_scopes_are_known() {
    for (platform, base_url, ..) in PLATFORMS {
        let read = draft(platform, base_url).read(&app(), None);
        assert!(read.guide.is_none() && !read.links.is_empty(), "{platform}");
        assert!(!read.scopes.is_empty(), "{platform}");
        for link in read.links {
            let address = link.address.as_str();
            assert!(address.starts_with(base_url) && !address.contains("callback"), "{address}");
        }
    }
}

/// GitHub's form is filled in by its link, but not with a callback URL that is not known yet.
#[test]
fn a_link_fills_in_the_callback_url_as_soon_as_it_is_known() {
    let id: IntegrationId = "demo".parse().unwrap();
    let has_callback = |id: Option<&IntegrationId>| {
        let links = draft("github", "https://github.com").read(&app(), id).links;
        links.iter().any(|link| matches!(&link.address, LinkAddress::Url(url) if url.as_str().contains("callback")))
    };
    assert!(has_callback(Some(&id)));
    assert!(!has_callback(None));
}

#[test]
fn the_workspace_or_group_is_filled_into_the_setup_link() {
    for (platform, base_url, owner, part) in [
        ("bitbucket-cloud", "https://bitbucket.org", "acme", "/acme/"),
        ("gitlab", "https://git.example.com", "acme/tools", "/acme/tools/"),
        ("github", "https://github.com", "acme", "/acme/"),
    ] {
        let mut draft = draft(platform, base_url);
        draft.owner = format!(" {owner} ");
        let read = draft.read(&app(), Some(&"demo".parse().unwrap()));
        let first = read.links.first().unwrap().address.as_str();
        assert!(first.contains(part), "{first}");
    }
}

#[test]
fn each_error_is_at_its_field() {
    type Change = fn(&mut Draft);
    let cases: [(Change, Field, &str); 13] = [
        (|draft| draft.platform = "sourcehut".to_owned(), Field::Platform, "platform"),
        (|draft| draft.base_url = String::new(), Field::BaseUrl, BaseUrlError::Empty.code()),
        (|draft| draft.base_url = "ftp://git.example.com".to_owned(), Field::BaseUrl, "base_url_scheme"),
        (|draft| draft.base_url = "https://10.0.0.5".to_owned(), Field::BaseUrl, "base_url_address"),
        (|draft| draft.api_url = "x".to_owned(), Field::ApiUrl, "base_url_no_scheme"),
        (|draft| draft.name = "a\nb".to_owned(), Field::Name, "integration_name"),
        (|draft| draft.access = "all".to_owned(), Field::Access, ConfigError::Access.code()),
        (|draft| draft.access = "scopes:".to_owned(), Field::Access, "no_scopes"),
        (|draft| draft.email_trust = "all".to_owned(), Field::EmailTrust, "email_trust"),
        (|draft| draft.timeout = "61".to_owned(), Field::Timeout, "timeout"),
        (|draft| draft.timeout = "1 s".to_owned(), Field::Timeout, "timeout"),
        (|draft| draft.groups = "acme\n../x".to_owned(), Field::Groups, "group"),
        (|draft| draft.email_domains = "acme".to_owned(), Field::EmailDomains, "email_domains"),
    ];
    for (change, field, code) in cases {
        let mut draft = draft("gitlab", "https://git.example.com");
        draft.client_id = "app-id".to_owned();
        change(&mut draft);
        let errors = errors(&draft);
        let found: Vec<_> = errors.iter().map(|error| (error.field, error.code)).collect();
        assert_eq!(found, [(field, code)], "{errors}");
        let error = errors.of(field).unwrap();
        assert!(error.message.ends_with('.') && error.hint.ends_with('.'), "{error:?}");
        assert!(error.message.starts_with(char::is_uppercase), "{error:?}");
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_form() {
    let mut draft = draft("gitlab", "git.example");
    draft.name = "x".repeat(300);
    draft.timeout = "soon".to_owned();
    draft.groups = "..".to_owned();
    let fields: Vec<_> = errors(&draft).iter().map(|error| error.field).collect();
    assert_eq!(fields, [Field::BaseUrl, Field::Timeout, Field::Groups]);
}

/// A form is shown again with what was typed.
#[test]
fn settings_become_the_same_settings_again() {
    let mut settings = IntegrationSettings::new("gitlab", "https://git.example.com", Access::Read)
        .named("شركة \"GitLab\"")
        .with_client_id("app-id");
    let policy = LoginPolicy::members_of([
        Group::path("acme/tools").unwrap().at_least("developer").with_subgroups(),
        Group::id("42").unwrap().at_least("developer").with_subgroups(),
    ]);
    let domains =
        policy.require_two_factor().refuse_external().allow_bots().email_domains(["acme.example", "b.example"]);
    settings.policy = domains.unwrap();
    settings.email_trust = EmailTrust::ThisInstance;
    settings.timeout_seconds = Some(45);
    settings.root_certificates = Some("-----BEGIN CERTIFICATE-----".to_owned());
    let read = Draft::of(&settings).read(&app(), None);
    assert_eq!(read.settings.unwrap(), settings);

    for access in [Access::SignIn, Access::Write, Access::Custom("read_user openid".parse().unwrap())] {
        let settings = IntegrationSettings::new("gitlab", "https://git.example.com", access)
            .named("GitLab")
            .with_client_id("app-id");
        assert_eq!(Draft::of(&settings).read(&app(), None).settings.unwrap(), settings);
    }
}

#[test]
fn the_app_chooses_paths_and_platforms() {
    let app = app().callback_path("/auth/{platform}/{id}/back").unwrap().login_path("/in/{id}").unwrap();
    let read = draft("gitlab", "https://git.example.com").read(&app, Some(&"demo".parse().unwrap()));
    assert_eq!(read.guide.unwrap().callback_url.as_str(), "http://127.0.0.1:9000/auth/gitlab/demo/back");

    let only_gitlab = app.with_platforms([Platform::find("gitlab").unwrap()]);
    let errors = draft("github", "https://github.com").read(&only_gitlab, None).settings.unwrap_err();
    assert_eq!(errors.of(Field::Platform).unwrap().message, "The platform must be one of gitlab.");
    for path in ["", "x", "/a b/{id}", "/a?{id}"] {
        assert_eq!(app_with_callback(path).unwrap_err().code(), "callback_path", "{path}");
        assert_eq!(super::app().login_path(path).unwrap_err().code(), "login_path", "{path}");
    }
}

fn app_with_callback(path: &str) -> Result<AppConfig, ConfigError> {
    app().callback_path(path)
}

proptest! {
    /// Whatever was typed: nothing panics, and nothing typed is in an error.
    #[test]
    fn any_text_is_read(text in "\\PC{0,40}", secretish in "canary[a-z]{8}") {
        let mut draft = draft("gitlab", "https://git.example.com");
        for field in [
            &mut draft.name, &mut draft.base_url, &mut draft.api_url, &mut draft.owner, &mut draft.access,
            &mut draft.client_id, &mut draft.root_certificates, &mut draft.timeout, &mut draft.email_trust,
            &mut draft.groups, &mut draft.least_role, &mut draft.email_domains,
        ] {
            *field = format!("{text}{secretish}\u{0}");
        }
        let json = serde_json::to_string(&draft).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Draft>(&json).unwrap(), &draft);
        let errors = draft.read(&app(), Some(&"demo".parse().unwrap())).settings.unwrap_err();
        prop_assert!(!errors.to_string().contains(&secretish));
    }
}
