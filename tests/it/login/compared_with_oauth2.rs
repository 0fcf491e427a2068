//! Compares requests and parsed responses with those of the `oauth2` crate. This crate makes its requests and parses responses
//! itself (docs/architecture.md).

use std::cell::RefCell;
use std::collections::BTreeSet;

use codehost_oauth::testing::{SentRequest, verify};
use codehost_oauth::{Access, Callback, Integration, IntegrationConfig};
use http::header::AUTHORIZATION;
use oauth2::basic::{BasicClient, BasicTokenType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, TokenResponse as _, TokenUrl,
};
use proptest::prelude::*;
use url::Url;

use crate::secrets::leak_check::LeakChecked as _;
use crate::support::scripted::Scripted;
use crate::support::stored;

/// A response that both can read: Bitbucket's has `scopes` too, which `oauth2` does not know.
const RESPONSE: &str = r#"{"access_token":"canary-access","token_type":"Bearer","expires_in":7200,
    "refresh_token":"canary-refresh","scope":"account email read_user"}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Id, secret and code of any visible characters.
    #[test]
    fn requests_and_tokens_are_the_same_as_of_oauth2(id in "[!-~]{1,40}", secret in "canary-[!-~]{1,40}", code in "canary-[!-~]{1,40}") {
        for scripted in [Scripted::gitlab("https://git.example.com/gitlab"), Scripted::bitbucket()] {
            exchange_and_refresh(&scripted, &id, &secret, &code);
        }
    }
}

fn exchange_and_refresh(scripted: &Scripted, id: &str, secret: &str, code: &str) {
    let integration = Integration::builder(
        std::sync::Arc::clone(&scripted.provider),
        scripted.http.clone(),
        IntegrationConfig {
            id: "demo".parse().unwrap(),
            name: "Demo".to_owned(),
            public_url: "https://packages.example.com".parse().unwrap(),
            client_id: id.to_owned(),
            client_secret: secret.to_owned(),
            access: Access::SignIn,
        },
    )
    .build()
    .unwrap();
    let start = integration.begin_login(None).leak_checked().unwrap();
    let (state, verifier) = (stored(&start.pending, "state"), stored(&start.pending, "verifier"));

    // The authorization URL.
    let verifier = || PkceCodeVerifier::new(verifier.clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier());
    let ours = Url::parse(start.redirect_to.as_str()).unwrap();
    let other = OtherClient::new(&ours, integration.callback_url().as_str(), id, secret);
    let scopes = scripted.provider.required_scopes(&Access::SignIn);
    let (theirs, _) = other
        .client
        .authorize_url(|| oauth2::CsrfToken::new(state.clone()))
        .add_scopes(scopes.iter().map(|scope| oauth2::Scope::new(scope.to_string())))
        .set_pkce_challenge(challenge)
        .url();
    let query = |url: &Url| url.query_pairs().into_owned().collect::<BTreeSet<_>>();
    assert_eq!(query(&ours), query(&theirs));
    assert_eq!(ours[..url::Position::AfterPath], theirs[..url::Position::AfterPath]);

    // The exchange and its tokens.
    scripted.token_json(RESPONSE).token_json(RESPONSE);
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs([("code", code), ("state", &state)]).finish();
    let path = Url::parse(integration.callback_url().as_str()).unwrap().path().to_owned();
    let callback = Callback::from_uri(&format!("{path}?{query}").parse().unwrap()).leak_checked().unwrap();
    let grant = verify(&integration, start.pending, callback, std::time::SystemTime::now()).leak_checked().unwrap();
    let client = codehost_oauth::ClientCredentials::new(scripted.provider.base_url(), id, secret).unwrap();
    let tokens = now(scripted.provider.exchange_code(&scripted.http, &client, grant)).leak_checked().unwrap();
    let theirs = other
        .client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .set_pkce_verifier(verifier())
        .request(&|request| other.respond(request))
        .unwrap();
    assert_same_request(scripted.http.requests().last().unwrap(), &other.last());
    let base = scripted.provider.base_url();
    assert_eq!(tokens.access_token.expose_for(base).unwrap(), theirs.access_token().secret());
    let refresh_token = tokens.refresh_token.as_ref().unwrap();
    assert_eq!(refresh_token.expose_for(base).unwrap(), theirs.refresh_token().unwrap().secret());
    assert_eq!((tokens.expires_in, &BasicTokenType::Bearer), (theirs.expires_in(), theirs.token_type()));
    let granted: Vec<&str> = tokens.scopes.as_ref().unwrap().iter().map(codehost_oauth::Scope::as_str).collect();
    assert_eq!(granted, theirs.scopes().unwrap().iter().map(|scope| scope.as_str()).collect::<Vec<_>>());

    // The refresh.
    now(scripted.provider.refresh(&scripted.http, &client, refresh_token, integration.callback_url()))
        .leak_checked()
        .unwrap();
    let theirs = RefreshToken::new("canary-refresh".to_owned());
    other.client.exchange_refresh_token(&theirs).request(&|request| other.respond(request)).unwrap();
    assert_same_request(scripted.http.requests().last().unwrap(), &other.last());
}

/// The client of the `oauth2` crate, with the requests that it sent.
struct OtherClient {
    client: BasicClient<
        oauth2::EndpointSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointNotSet,
        oauth2::EndpointSet,
    >,
    sent: RefCell<Vec<HttpRequest>>,
}

impl OtherClient {
    fn new(authorization_url: &Url, callback_url: &str, id: &str, secret: &str) -> Self {
        let at_bitbucket = authorization_url.host_str() == Some("bitbucket.org");
        let (path, authentication) = if at_bitbucket {
            ("/site/oauth2/access_token", AuthType::BasicAuth)
        } else {
            ("/gitlab/oauth/token", AuthType::RequestBody)
        };
        let page = authorization_url[..url::Position::AfterPath].to_owned();
        let mut token_url = authorization_url.clone();
        token_url.set_query(None);
        token_url.set_path(path);
        let client = BasicClient::new(ClientId::new(id.to_owned()))
            .set_client_secret(ClientSecret::new(secret.to_owned()))
            .set_auth_uri(AuthUrl::new(page).unwrap())
            .set_token_uri(TokenUrl::new(token_url.into()).unwrap())
            .set_redirect_uri(RedirectUrl::new(callback_url.to_owned()).unwrap())
            .set_auth_type(authentication);
        Self { client, sent: RefCell::default() }
    }

    fn respond(&self, request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
        self.sent.borrow_mut().push(request);
        let response = http::Response::builder().header("content-type", "application/json");
        Ok(response.body(RESPONSE.as_bytes().to_vec()).unwrap())
    }

    fn last(&self) -> HttpRequest {
        self.sent.borrow_mut().pop().unwrap()
    }
}

/// The order of the members of a form does not matter.
fn assert_same_request(ours: &SentRequest, theirs: &HttpRequest) {
    assert_eq!((&ours.method, ours.url.as_str()), (theirs.method(), theirs.uri().to_string().as_str()));
    let form = |pairs: Vec<(String, String)>| pairs.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(form(ours.form()), form(url::form_urlencoded::parse(theirs.body()).into_owned().collect()));
    let header = |name| theirs.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(ours.header("authorization"), header(AUTHORIZATION));
    assert_eq!(ours.header("content-type"), header(http::header::CONTENT_TYPE));
}

/// The result of a future that is ready at once.
fn now<T>(work: impl Future<Output = T>) -> T {
    use futures_util::FutureExt as _;
    work.now_or_never().expect("a scripted transport responds at once")
}
