//! Tunnels through a proxy: `CONNECT` over HTTP/1.1, and SOCKS 5.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use futures_util::future::{self, Either};
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::super::meter::{Meter, Metered};
use super::super::origin::Origin;
use super::super::resolve::Lookups;
use super::super::socket::{Opened, Socket};
use super::super::{tcp, tls};
use super::{Credentials, Kind, Proxy};
use crate::error::{ConfigError, ProxyError, TransportError};
use crate::values::network::{Network, is_this_machine, without_dot};

/// A proxy with what is needed to connect to it.
pub(in crate::transport) struct Proxied {
    proxy: Proxy,
    lookups: Lookups,
    /// For an `https` proxy.
    tls: Option<tls::Layer>,
}

impl Proxied {
    pub(in crate::transport) fn new(
        proxy: Proxy,
        lookups: Lookups,
        reloads: &tls::Reloads,
    ) -> Result<Self, ConfigError> {
        let tls = match proxy.kind {
            Kind::Https if !tls::HAS_TLS => return Err(ConfigError::CertificatesNotSupported),
            Kind::Https => Some(tls::Layer::new(&proxy.certificates, None, reloads)?),
            Kind::Http | Kind::Socks5 | Kind::Socks5h => None,
        };
        Ok(Self { proxy, lookups, tls })
    }

    /// Whether a code host is reached through the proxy.
    pub(in crate::transport) fn is_for(&self, code_host: &Uri) -> bool {
        self.proxy.is_for(code_host)
    }

    /// Whether the proxy is on this machine.
    pub(in crate::transport) fn is_loopback(&self) -> bool {
        is_this_machine(&self.proxy.host)
    }

    /// Whether the app, not the proxy, looks up names.
    pub(in crate::transport) fn needs_addresses(&self) -> bool {
        self.proxy.kind == Kind::Socks5
    }

    pub(in crate::transport) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Opens a tunnel to a code host: to the first of its `addresses` that accepts the connection, if the app has looked them
    /// up; they share the time. `wire` counts the bytes that the proxy sends.
    pub(in crate::transport) async fn tunnel(
        &self,
        origin: &Origin,
        addresses: &[IpAddr],
        until: Instant,
        wire: &Meter,
    ) -> Result<Socket, TransportError> {
        let (name, port) = origin.host_and_port();
        if addresses.is_empty() {
            return Ok(self.tunnel_to(&format!("{name}:{port}"), until, wire).await?);
        }
        let mut last = ProxyError::CodeHostUnreachable;
        for (address, left) in addresses.iter().zip((1..=u32::try_from(addresses.len()).unwrap_or(u32::MAX)).rev()) {
            let time = until.saturating_duration_since(Instant::now()).checked_div(left).unwrap_or_default();
            let target = SocketAddr::new(*address, port).to_string();
            let tunnel = timeout(time, self.tunnel_to(&target, until, wire));
            match tunnel.await.unwrap_or(Err(ProxyError::TimedOut)) {
                Ok(socket) => return Ok(socket),
                Err(error @ (ProxyError::CodeHostUnreachable | ProxyError::TimedOut)) => last = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    /// Opens a tunnel to `target`, which is a host and a port.
    async fn tunnel_to(&self, target: &str, until: Instant, wire: &Meter) -> Result<Socket, ProxyError> {
        let socket = self.connect(until, wire).await?;
        let credentials = self.proxy.credentials.as_deref();
        match self.proxy.kind {
            Kind::Http | Kind::Https => connect(socket, target, credentials).await,
            Kind::Socks5 | Kind::Socks5h => socks(socket, target, credentials).await,
        }
    }

    /// A connection to the proxy. It is the operator's, so the network policy for code hosts does not apply.
    async fn connect(&self, until: Instant, wire: &Meter) -> Result<Socket, ProxyError> {
        let uri = self.proxy.uri().ok_or(ProxyError::NameNotFound)?;
        let addresses = match &self.proxy.host {
            url::Host::Domain(name) => {
                let found = self.lookups.lookup(without_dot(name)).await;
                found.map_err(|error| match error {
                    TransportError::NameLookupTimedOut => ProxyError::TimedOut,
                    _ => ProxyError::NameNotFound,
                })?
            }
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => Vec::new(),
        };
        let timeout = until.saturating_duration_since(Instant::now());
        let tcp = tcp::connect(&uri, addresses, &Network::any(), timeout).await.map_err(|_| ProxyError::Unreachable)?;
        let tcp: Socket = Box::new(Metered::new(tcp, wire.clone()));
        let Some(tls) = &self.tls else { return Ok(tcp) };
        match tls.connect(tcp, uri).await {
            Ok(encrypted) => Ok(encrypted),
            Err(error) if error.is_certificate() || error == TransportError::NoAuthorities => {
                Err(ProxyError::Certificate)
            }
            Err(_) => Err(ProxyError::Tls),
        }
    }
}

/// Asks an HTTP proxy for a tunnel to `target`, which is a host and a port (RFC 9110 section 9.3.6).
async fn connect(socket: Socket, target: &str, credentials: Option<&Credentials>) -> Result<Socket, ProxyError> {
    let mut request = Request::connect(target).body(Empty::<Bytes>::new()).map_err(|_| ProxyError::Protocol)?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(target).map_err(|_| ProxyError::Protocol)?);
    if let Some(credentials) = credentials {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.basic().ok_or(ProxyError::CredentialsRefused)?);
    }
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = http.handshake(socket).await.map_err(|_| ProxyError::Protocol)?;
    let tunnel = async {
        let response = sender.send_request(request).await.map_err(|_| ProxyError::Protocol)?;
        accepted(&response, credentials.is_some())?;
        hyper::upgrade::on(response).await.map_err(|_| ProxyError::Protocol)
    };
    // The connection is driven here, not in a task of its own, so that nothing is left when the time is over.
    let upgraded = match future::select(pin!(tunnel), pin!(connection.with_upgrades())).await {
        Either::Left((upgraded, _)) => upgraded?,
        Either::Right((_, tunnel)) => tunnel.await?,
    };
    Ok(Box::new(upgraded))
}

/// What the proxy's response to `CONNECT` means.
fn accepted(response: &Response<Incoming>, has_credentials: bool) -> Result<(), ProxyError> {
    match response.status() {
        status if status.is_success() => Ok(()),
        // Tinyproxy responds with 401 to a wrong password.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => Err(refused(has_credentials)),
        status if status.is_server_error() && is_name_error(response.headers()) => Err(ProxyError::CodeHostNotFound),
        status if status.is_server_error() => Err(ProxyError::CodeHostUnreachable),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            Err(ProxyError::Forbidden)
        }
        // Web servers that are no proxy respond with 400 or 404.
        _ => Err(ProxyError::Protocol),
    }
}

/// Whether a proxy says that it did not find the name: in `Proxy-Status` (RFC 9209 section 2.3), or as Squid does.
fn is_name_error(headers: &HeaderMap) -> bool {
    let has = |name: &str, words: &[&str]| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| words.iter().any(|word| value.contains(word)))
    };
    has("proxy-status", &["dns_error", "dns_timeout"]) || has("x-squid-error", &["ERR_DNS_FAIL"])
}

/// Asks a SOCKS 5 proxy for a tunnel to `target`, which is a host and a port.
async fn socks(socket: Socket, target: &str, credentials: Option<&Credentials>) -> Result<Socket, ProxyError> {
    let target = Uri::builder().scheme("socks5").authority(target).path_and_query("/").build();
    let target = target.map_err(|_| ProxyError::Protocol)?;
    let mut proxy = SocksV5::new(target.clone(), Opened::new(socket));
    if let Some(credentials) = credentials {
        proxy = proxy.with_auth(credentials.user.clone(), credentials.password.expose().to_owned());
    }
    proxy.call(target).await.map_err(|error| socks_error(&error, credentials.is_some()))
}

/// The errors of `hyper-util` have public variants, but no public names; the inner ones show only their text.
fn socks_error(error: &SocksError, has_credentials: bool) -> ProxyError {
    let SocksError::V5(error) = error else { return ProxyError::Protocol };
    match error.to_string().as_str() {
        "credentials not accepted" => ProxyError::CredentialsRefused,
        // It wants no credentials where there are some, or the other way round.
        "server does not support user/pass authentication" | "server implements authentication incorrectly" => {
            refused(has_credentials)
        }
        "connection not allowed" => ProxyError::Forbidden,
        // A proxy says the same of a name that it does not find.
        "general server failure"
        | "network unreachable"
        | "host unreachable"
        | "connection refused"
        | "ttl expired"
        | "address type not supported" => ProxyError::CodeHostUnreachable,
        _ => ProxyError::Protocol,
    }
}

type SocksError = <SocksV5<Opened> as Service<Uri>>::Error;

/// The error of a proxy that wants other credentials.
fn refused(has_credentials: bool) -> ProxyError {
    if has_credentials { ProxyError::CredentialsRefused } else { ProxyError::CredentialsMissing }
}

/// The longest head of a proxy's response, in bytes.
const MAX_HEAD: usize = 16 * 1024;
