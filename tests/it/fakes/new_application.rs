//! The page at which an OAuth application is created: where the setup links lead.

use std::collections::BTreeSet;

use codehost_oauth::setup::{AppOwner, LinkAddress, SetupGuide, SetupRequest};
use codehost_oauth::testing::github::ServerKind;
use codehost_oauth::testing::{
    FakeApplication, FakeBitbucket, FakeBitbucketDataCenter, FakeError, FakeForgejo, FakeGitHub, FakeGitLab,
};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, Platform};

use super::{CALLBACK, client};
use crate::support::canned_http;

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

/// Whoever follows the guide can log in; whoever forgets a box is refused as the platform refuses it. The other platforms have no
/// boxes.
#[tokio::test]
async fn the_boxes_of_the_guide_are_enough_and_each_is_needed() {
    let bitbucket = FakeBitbucket::builder().start().await.unwrap();
    let data_center = FakeBitbucketDataCenter::builder().start().await.unwrap();
    let gitlab = FakeGitLab::builder().start().await.unwrap();
    let fakes: [(&str, &str, &Authorize, &str); 3] = [
        ("bitbucket-cloud", bitbucket.base_url(), &|url| bitbucket.authorize(url, "jane"), "error=invalid_scope"),
        ("bitbucket-data-center", data_center.base_url(), &|url| data_center.authorize(url, "jdoe"), "invalid_scope"),
        ("gitlab", gitlab.base_url(), &|url| gitlab.authorize(url, "alice"), "The requested scope is invalid"),
    ];
    for (platform, base_url, authorize, refusal) in fakes {
        for access in [Access::SignIn, Access::Read, Access::Write] {
            let guide = guide(platform, base_url, access.clone());
            let page = guide.links[0].url().unwrap().to_string();
            let boxes = boxes(&page).await;
            // What every link has is no box.
            let told = guide.scopes.iter().filter(|scope| scope.must_tick() && !scope.description.never_listed);
            let told: Vec<_> = told.map(|scope| scope.description.scope.to_string()).collect();
            assert!(told.iter().all(|scope| boxes.contains(scope)), "{told:?} of {boxes:?}");
            let log_in = async |ticked: &[&String]| {
                let [id, secret] = create(&page, guide.callback_url.as_str(), ticked).await;
                let integration = canned_http::builder(platform, base_url, &secret).access(access.clone());
                let integration = integration.credentials(&id, &secret).build().unwrap();
                match authorize(integration.begin_login(None).unwrap().redirect_to.as_str()) {
                    Ok(callback) => callback,
                    Err(error) => error.to_string(),
                }
            };
            let all: Vec<_> = told.iter().collect();
            let callback = log_in(&all).await;
            assert!(callback.starts_with(guide.callback_url.as_str()) && callback.contains("code="), "{callback}");
            for missing in &told {
                let others: Vec<_> = told.iter().filter(|scope| *scope != missing).collect();
                let refused = log_in(&others).await;
                assert!(refused.contains(refusal), "{platform}, {access:?} without {missing}: {refused}");
            }
        }
    }
}

/// The fake has a list of its own. It grants what the guide calls included, and nothing else.
#[tokio::test]
async fn bitbucket_and_its_fake_agree_which_scope_includes_which() {
    let bitbucket = FakeBitbucket::builder().start().await.unwrap();
    let page = guide("bitbucket-cloud", bitbucket.base_url(), Access::SignIn).links[0].url().unwrap().to_string();
    let boxes = boxes(&page).await;
    assert!(boxes.len() > 15 && boxes.contains("repository:write"), "{boxes:?}");
    let callback = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect::<String>();
    for ticked in &boxes {
        bitbucket.add_application(FakeApplication::new(ticked, "canary-box-secret", CALLBACK, ticked));
        let is_granted = |scope: &&String| {
            let url = format!(
                "{}/site/oauth2/authorize?client_id={ticked}&response_type=code&scope={scope}&redirect_uri={callback}",
                bitbucket.base_url()
            );
            bitbucket.authorize(&url, "jane").unwrap().contains("code=")
        };
        let granted: BTreeSet<_> = boxes.iter().filter(is_granted).cloned().collect();
        let access = Access::Custom(ticked.parse().unwrap());
        let guide = guide("bitbucket-cloud", bitbucket.base_url(), access);
        let included: BTreeSet<_> = guide.scopes.iter().map(|scope| scope.description.scope.to_string()).collect();
        assert_eq!(granted, included, "{ticked}");
    }
}

type Authorize<'a> = dyn Fn(&str) -> Result<String, FakeError> + 'a;

/// The setup guide of the integration `demo`, with links that are URLs.
fn guide(platform: &str, base_url: &str, access: Access) -> SetupGuide {
    let network = Network::public_only().allow_loopback_http();
    let provider = Platform::find(platform).unwrap().provider(BaseUrl::parse(base_url, &network).unwrap()).unwrap();
    let public_url = "http://127.0.0.1:9000".parse().unwrap();
    let request = SetupRequest::new(public_url, "demo".parse().unwrap(), "Demo", access).unwrap();
    provider.setup_guide(&request.owner(AppOwner::Group("acme".to_owned())))
}

/// The scopes on the page, none of which is ticked.
async fn boxes(page: &str) -> BTreeSet<String> {
    let html = client().get(page).send().await.unwrap().text().await.unwrap();
    let boxes: Vec<_> =
        html.split("<input type=\"checkbox\"").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    assert!(boxes.iter().all(|one| !one.contains("checked")), "{boxes:?}");
    boxes.iter().map(|one| one.split("value=\"").nth(1).unwrap().trim_end_matches('"').to_owned()).collect()
}

/// Creates an application on the page. Returns its id and its secret.
async fn create(page: &str, callback: &str, ticked: &[&String]) -> [String; 2] {
    let scopes = ticked.iter().map(|scope| ("scope", scope.as_str()));
    let fields = [("name", "Demo"), ("callback", callback)].into_iter().chain(scopes);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = client().post(page).header("content-type", "application/x-www-form-urlencoded").body(body);
    let made = request.send().await.unwrap().text().await.unwrap();
    let values: Vec<_> =
        made.split("value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    values.try_into().unwrap()
}
