use codehost_oauth::AccessToken;
use codehost_oauth::error::{ConfigError, Error};
use codehost_oauth::transport::{HttpClient, Transport as _};
use http::header::{AUTHORIZATION, HeaderValue};

/// The largest response that the recipes read, in bytes.
pub const MAX_BODY: usize = 10 * 1024 * 1024;

/// Sends a request of another crate by the app's `HttpClient`: with its network policy and its time-outs, without redirects, and
/// without proxies from the environment. Adds the token, and refuses every URL that is not below the API URL that the token
/// belongs to. So a link to a next page that names another server does not get it.
///
/// # Errors
///
/// [`ConfigError::OtherBinding`] for another server; [`Error::Transport`] if there is no response.
pub async fn send(
    http: &HttpClient,
    token: &AccessToken,
    mut request: http::Request<Vec<u8>>,
) -> Result<http::Response<Vec<u8>>, Error> {
    let api_url = token.binding().api_url();
    let refused = || ConfigError::OtherBinding { what: "access token" };
    let uri = request.uri().to_string();
    if !uri.strip_prefix(api_url.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Err(refused().into());
    }
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_for(api_url)?)).map_err(|_| refused())?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Ok(http.send(request, MAX_BODY).await?)
}

#[cfg(test)]
mod tests {
    use codehost_oauth::transport::Network;
    use codehost_oauth::{BaseUrl, TokenBinding};

    use super::*;

    #[tokio::test]
    async fn the_token_is_sent_below_its_api_url_only() {
        let network = Network::public_only();
        let http = HttpClient::builder(network.clone()).build().unwrap();
        let api_url = BaseUrl::parse("https://192.0.2.1/api", &Network::any()).unwrap();
        let base_url = BaseUrl::parse("https://git.example.com", &network).unwrap();
        let binding = TokenBinding::new("demo".parse().unwrap(), base_url).with_api_url(&api_url);
        let token = AccessToken::new("s3cr3t".to_owned(), &binding).unwrap();
        for (url, is_below) in [
            ("https://192.0.2.1/api/user?page=2", true),
            ("https://192.0.2.1/api2/user", false),
            ("https://192.0.2.1/api", false),
            ("http://192.0.2.1/api/user", false),
            ("https://192.0.2.1.evil.test/api/user", false),
            ("https://evil.test/?https://192.0.2.1/api/user", false),
            ("/api/user", false),
        ] {
            let request = http::Request::get(url).body(Vec::new()).unwrap();
            let error = send(&http, &token, request).await.unwrap_err();
            // Where this check lets it pass, the network policy refuses the address: the test sends nothing.
            assert_eq!(error.code(), if is_below { "address_not_allowed" } else { "other_binding" }, "{url}");
        }
    }
}
