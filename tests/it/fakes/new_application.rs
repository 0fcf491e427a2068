//! The page at which an OAuth application is created: where the setup links lead.

use codehost_oauth::setup::{AppOwner, LinkAddress, SetupRequest};
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{FakeBitbucket, FakeBitbucketDataCenter, FakeForgejo, FakeGitHub, FakeGitLab};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Platform};

use super::{CALLBACK, client};

/// Every setup link that is a URL shows the page, for each owner. The application that is created there has its callback URL, and
/// logins with it are allowed.
#[tokio::test]
async fn the_setup_links_lead_to_it() {
    let bitbucket = FakeBitbucket::builder().start().await.unwrap();
    let data_center = FakeBitbucketDataCenter::builder().start().await.unwrap();
    let forgejo = FakeForgejo::builder().start().await.unwrap();
    let github = FakeGitHub::builder().kind(ServerKind::EnterpriseServer).start().await.unwrap();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    for (platform, base_url) in [
        ("bitbucket-cloud", bitbucket.base_url()),
        ("bitbucket-data-center", data_center.base_url()),
        ("forgejo", forgejo.base_url()),
        ("github", github.base_url()),
        ("gitlab", gitlab.base_url()),
    ] {
        let network = Network::public_only().allow_loopback_http();
        let provider = Platform::find(platform).unwrap().provider(BaseUrl::parse(base_url, &network).unwrap()).unwrap();
        for owner in [AppOwner::User, AppOwner::Group("acme".to_owned()), AppOwner::Instance] {
            let public_url = "http://127.0.0.1:9000".parse().unwrap();
            let request = SetupRequest::new(public_url, "demo".parse().unwrap(), "Demo", Access::Write).unwrap();
            for link in provider.setup_guide(&request.owner(owner)).links {
                let LinkAddress::Url(url) = &link.address else { continue };
                // The list of workspaces has no such form.
                if url.as_str().ends_with("/account/workspaces/") {
                    continue;
                }
                let page = client().get(url.as_str()).send().await.unwrap();
                assert_eq!(page.status(), 200, "{url}");
                assert!(page.text().await.unwrap().contains("New OAuth application"), "{url}");
            }
        }
    }
}

#[tokio::test]
async fn it_creates_an_application_with_the_ticked_scopes() {
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let url = format!("{}/-/user_settings/applications", gitlab.base_url());
    let send = async |body: String| {
        let request = client().post(&url).header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap().text().await.unwrap()
    };
    // Without a callback URL, the form is shown again.
    assert!(send("name=Demo".to_owned()).await.contains("New OAuth application"));
    let callback = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    let made = send(format!("name=%3Cb%3EDemo&callback={callback}&scope=read_user")).await;
    let values: Vec<_> = made.split("value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let [id, secret] = values[..] else { panic!("{made}") };
    assert!(!secret.is_empty() && !made.contains("<b>"));
    let page = |scope: &str| {
        format!(
            "{}/oauth/authorize?client_id={id}&response_type=code&scope={scope}&state=s&redirect_uri={callback}",
            gitlab.base_url()
        )
    };
    assert!(gitlab.authorize(&page("read_user"), "alice").unwrap().starts_with(CALLBACK));
    assert!(gitlab.authorize(&page("api"), "alice").is_err(), "it is not ticked");
}
