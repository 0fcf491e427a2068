//! The setup guides of all platforms, byte for byte, and rules for every guide.

use codehost_oauth::setup::{AppOwner, SetupGuide, SetupRequest};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, IntegrationId, Platform};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const GITLAB: (&str, &str) = ("gitlab", "https://git.example.com/gitlab");
const GITLAB_COM: (&str, &str) = ("gitlab", "https://gitlab.com");
const BITBUCKET: (&str, &str) = ("bitbucket-cloud", "https://bitbucket.org");
const GITHUB: (&str, &str) = ("github", "https://github.com");
const FORGEJO: (&str, &str) = ("forgejo", "https://git.example.com/forgejo");
const DATA_CENTER: (&str, &str) = ("bitbucket-data-center", "https://git.example.com/bitbucket");

fn guide((platform, base_url): (&str, &str), owner: AppOwner, access: Access) -> Result<SetupGuide> {
    named((platform, base_url), owner, access, "On-premise Git", "https://packages.example.com")
}

fn named(at: (&str, &str), owner: AppOwner, access: Access, name: &str, public_url: &str) -> Result<SetupGuide> {
    let base_url = BaseUrl::parse(at.1, &Network::public_only().allow_loopback_http())?;
    let provider = Platform::find(at.0)?.provider(base_url)?;
    let id = IntegrationId::from_name("On-premise Git")?;
    let request = SetupRequest::new(public_url.parse()?, id, name, access)?.owner(owner);
    Ok(provider.setup_guide(&request))
}

fn group(path: &str) -> AppOwner {
    AppOwner::Group(path.to_owned())
}

/// Compares with a fixture, or writes it if `UPDATE_FIXTURES` is set.
fn assert_fixture(name: &str, actual: &str) -> Result {
    let path = crate::support::programs::root().join("tests/fixtures/setup").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, actual)?;
    }
    assert_eq!(std::fs::read_to_string(&path)?, actual, "{name}");
    Ok(())
}

#[test]
fn text_guides_match_the_fixtures() -> Result {
    for (name, at, owner, access) in [
        ("gitlab-user-sign-in.txt", GITLAB, AppOwner::User, Access::SignIn),
        ("gitlab-group-read.txt", GITLAB, group("acme/tools"), Access::Read),
        ("gitlab-instance-write.txt", GITLAB, AppOwner::Instance, Access::Write),
        ("gitlab-com-user-read.txt", GITLAB_COM, AppOwner::User, Access::Read),
        ("bitbucket-unknown-sign-in.txt", BITBUCKET, AppOwner::User, Access::SignIn),
        ("bitbucket-workspace-read.txt", BITBUCKET, group("acme"), Access::Read),
        ("bitbucket-workspace-write.txt", BITBUCKET, group("acme"), Access::Write),
        ("github-user-sign-in.txt", GITHUB, AppOwner::User, Access::SignIn),
        ("github-organization-read.txt", GITHUB, group("acme"), Access::Read),
        ("forgejo-user-sign-in.txt", FORGEJO, AppOwner::User, Access::SignIn),
        ("forgejo-organization-write.txt", FORGEJO, group("acme"), Access::Write),
        ("data-center-sign-in.txt", DATA_CENTER, AppOwner::Instance, Access::SignIn),
        ("data-center-read.txt", DATA_CENTER, AppOwner::Instance, Access::Read),
        ("bitbucket-custom.txt", BITBUCKET, group("acme"), Access::Custom("account snippet:write".parse()?)),
    ] {
        assert_fixture(name, &guide(at, owner, access)?.to_string())?;
    }
    Ok(())
}

#[test]
fn markdown_html_and_json_guides_match_the_fixtures() -> Result {
    for (name, at) in [
        ("gitlab", GITLAB),
        ("bitbucket", BITBUCKET),
        ("github", GITHUB),
        ("forgejo", FORGEJO),
        ("data-center", DATA_CENTER),
    ] {
        let guide = guide(at, AppOwner::User, Access::Write)?;
        assert_fixture(&format!("{name}-user-write.md"), &guide.to_markdown())?;
        assert_fixture(&format!("{name}-user-write.html"), &guide.to_html())?;
        let json = serde_json::to_string_pretty(&guide)?;
        assert_fixture(&format!("{name}-user-write.json"), &format!("{json}\n"))?;
    }
    Ok(())
}

#[test]
fn every_guide_is_complete() -> Result {
    for at in [GITLAB, GITLAB_COM, BITBUCKET, GITHUB, FORGEJO, DATA_CENTER] {
        for owner in [AppOwner::User, group("acme"), AppOwner::Instance] {
            for access in [Access::SignIn, Access::Read, Access::Write] {
                let guide = guide(at, owner.clone(), access)?;
                let callback = format!("https://packages.example.com/oauth/callback/{}/onpremisegit", at.0);
                assert_eq!(guide.callback_url.as_str(), callback);
                assert_eq!(guide.platform_id, at.0);
                assert_eq!(guide.base_url.as_str(), at.1);
                assert_eq!(guide.fields.iter().filter(|field| field.copy && field.value == callback).count(), 1);
                assert!(guide.fields.iter().any(|field| field.copy && field.value == "On-premise Git"));
                assert!(guide.links.iter().all(|link| link.address.as_str().starts_with(at.1)));
                assert!(!guide.has_scope_boxes || guide.scopes.iter().any(|scope| scope.must_tick()));
                assert!(!guide.steps.is_empty() && !guide.warnings.is_empty() && !guide.credentials.is_empty());

                // A value to copy stands alone on its line. Only such lines may be longer than 80 characters.
                let text = guide.to_string();
                assert!(text.lines().any(|line| line.trim() == callback));
                let whole = |line: &str| !line.trim().contains(' ');
                assert!(text.lines().all(|line| line.chars().count() <= 80 || whole(line)), "{text}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_placeholder_is_not_a_link_in_any_rendering() -> Result {
    for at in [GITLAB, BITBUCKET, GITHUB, FORGEJO] {
        let guide = guide(at, AppOwner::User, Access::SignIn)?;
        assert!(guide.links.iter().any(|link| link.url().is_none()));
        assert!(!guide.to_html().lines().any(|line| line.contains("<a ") && line.contains("_NAME&gt;/")));
        assert!(!guide.to_html().contains("%3C"));
        assert!(!guide.to_markdown().contains("(https"));
        let links = |text: &str, start: &str| text.matches(start).count();
        let real = guide.links.iter().filter(|link| link.url().is_some()).count();
        assert_eq!(links(&guide.to_html(), "<a href=\""), real);
        assert_eq!(links(&guide.to_markdown(), "<https://"), real);
    }
    Ok(())
}

#[test]
fn hostile_names_and_owners_are_escaped() -> Result {
    for at in [GITLAB, BITBUCKET, GITHUB, FORGEJO, DATA_CENTER] {
        for hostile in ["<script>alert(1)</script>", "x\" onclick=\"y", "](javascript:alert(1))", "`</code>"] {
            let guide = named(at, group(hostile), Access::Read, hostile, "https://packages.example.com")?;
            let html = guide.to_html();
            assert!(["<script", "\" onclick", "`</code>"].iter().all(|opening| !html.contains(opening)));
            let markdown = guide.to_markdown();
            let title = markdown.lines().next().unwrap_or_default();
            assert!(["](", " <", " `"].iter().all(|opening| !title.contains(opening)), "{title}");
            for link in &guide.links {
                let Some(url) = link.url() else {
                    // The name cannot be that of an organization: the link has a placeholder.
                    assert!(link.address.as_str().contains("<ORGANIZATION>"), "{link:?}");
                    continue;
                };
                assert_eq!(url.host_str(), Some(at.1.split('/').nth(2).unwrap_or_default()));
            }
        }
    }
    Ok(())
}

#[test]
fn guides_warn_about_plain_http() -> Result {
    let local = ("gitlab", "http://127.0.0.1:8080");
    let guide = named(local, AppOwner::User, Access::SignIn, "Demo", "http://127.0.0.1:9000")?;
    assert_eq!(guide.warnings.iter().filter(|warning| warning.contains("http://")).count(), 2);
    assert!(!guide_warns(GITLAB)? && !guide_warns(BITBUCKET)?);
    Ok(())
}

fn guide_warns(at: (&str, &str)) -> Result<bool> {
    let guide = guide(at, AppOwner::User, Access::SignIn)?;
    Ok(guide.warnings.iter().any(|warning| warning.contains("http://")))
}
