mod authorize;
mod instance;
mod membership;
mod token;
mod users;

use codehost_oauth::testing::bitbucket_data_center::FakeBitbucketDataCenterBuilder;
use codehost_oauth::testing::{FakeApplication, FakeBitbucketDataCenter};

use super::{
    CALLBACK, CHALLENGE, ResponseSummary, VERIFIER, client, encoded, form, get, get_with_token, param, send, with,
};

const ID: &str = "0a1b2c3d";
const SECRET: &str = "canary-data-center-secret";

const REQUEST: [(&str, &str); 7] = [
    ("client_id", ID),
    ("redirect_uri", CALLBACK),
    ("response_type", "code"),
    ("scope", "REPO_READ"),
    ("state", "st-123"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];

/// With one link that allows `REPO_ADMIN` and what that implies.
fn builder() -> FakeBitbucketDataCenterBuilder {
    FakeBitbucketDataCenter::builder().application(FakeApplication::new(ID, SECRET, CALLBACK, "REPO_ADMIN"))
}

async fn start() -> FakeBitbucketDataCenter {
    builder().start().await.unwrap()
}

fn page(fake: &FakeBitbucketDataCenter, params: &[(&str, &str)]) -> String {
    format!("{}/rest/oauth2/latest/authorize?{}", fake.base_url(), encoded(params))
}

fn code(fake: &FakeBitbucketDataCenter, name: &str) -> String {
    param(&fake.authorize(&page(fake, &REQUEST), name).unwrap(), "code")
}

fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", ID),
        ("client_secret", SECRET),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

fn refresh(token: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "refresh_token"),
        ("client_id", ID),
        ("client_secret", SECRET),
        ("refresh_token", token),
        ("redirect_uri", CALLBACK),
    ]
}

async fn token(fake: &FakeBitbucketDataCenter, params: &[(&str, &str)]) -> ResponseSummary {
    send(form(&format!("{}/rest/oauth2/latest/token", fake.base_url()), params)).await
}

/// The access token of a login with this scope.
async fn log_in(fake: &FakeBitbucketDataCenter, name: &str, scope: &str) -> String {
    let callback = fake.authorize(&page(fake, &with(&REQUEST, "scope", scope)), name).unwrap();
    token(fake, &exchange(&param(&callback, "code"))).await.text("access_token")
}

async fn api(fake: &FakeBitbucketDataCenter, call: &str, token: &str) -> ResponseSummary {
    get_with_token(&format!("{}/rest/api/latest/{call}", fake.base_url()), token).await
}

async fn anonymous(fake: &FakeBitbucketDataCenter, call: &str) -> ResponseSummary {
    get(&format!("{}/rest/api/latest/{call}", fake.base_url())).await
}

/// Status, and whether the headers name a user.
fn outcome(response: &ResponseSummary) -> (u16, bool) {
    (response.status, !response.header("x-ausername").is_empty())
}

/// The names of the users or repositories on a page.
fn values(response: &ResponseSummary) -> Vec<String> {
    let json = response.json();
    let values = json["values"].as_array().unwrap_or_else(|| panic!("no values in {}", response.body));
    let name = |entry: &serde_json::Value| entry.get("name").unwrap_or(&entry["slug"]).as_str().unwrap().to_owned();
    values.iter().map(name).collect()
}
