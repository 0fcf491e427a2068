//! A code host with the good responses of both platforms, in its own process. It uses as little CPU as possible, because it
//! shares the machine with the measured programs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::measure::Core;
use super::responses;

/// A running server. Dropping this value stops it.
pub struct Server {
    child: Child,
    pub endpoints: Endpoints,
}

/// Its URLs: two ports stand for the two host names of a platform.
#[derive(Clone)]
pub struct Endpoints {
    pub site: String,
    pub api: String,
    pub control: u16,
    pub ca: Option<PathBuf>,
}

impl Server {
    /// Starts this program again as a server.
    pub fn start(tls: bool, delay: Duration, core: Core) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", if tls { "tls" } else { "http" }, &delay.as_millis().to_string(), core.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, endpoints: Endpoints::from_args(&mut line.split_whitespace().map(str::to_owned)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Endpoints {
    pub fn from_args(args: &mut impl Iterator<Item = String>) -> Self {
        let mut next = || args.next().unwrap();
        let (site, api, control, ca) = (next(), next(), next().parse().unwrap(), next());
        Self { site, api, control, ca: (ca != "-").then(|| ca.into()) }
    }

    pub fn args(&self) -> [String; 4] {
        let ca = self.ca.as_deref().map_or("-", |path| path.to_str().unwrap());
        [self.site.clone(), self.api.clone(), self.control.to_string(), ca.to_owned()]
    }

    /// The numbers of connections and requests so far.
    pub fn counts(&self) -> (u64, u64) {
        let [connections, requests, ..] = self.counters();
        (connections, requests)
    }

    /// The measured time of a round trip in microseconds, because timers are coarse.
    pub fn round_trip(&self) -> f64 {
        let [.., round_trips, waited] = self.counters();
        waited as f64 / round_trips as f64
    }

    fn counters(&self) -> [u64; 4] {
        let mut text = String::new();
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.control)).unwrap().read_to_string(&mut text).unwrap();
        let all: Vec<u64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        all.try_into().unwrap()
    }
}

/// Serves until the standard input ends.
pub fn serve(mut args: impl Iterator<Item = String>) {
    let tls = args.next().unwrap() == "tls";
    let delay = Duration::from_millis(args.next().unwrap().parse().unwrap());
    Core::find(&args.next().unwrap()).pin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (acceptor, ca) = if tls { certificates() } else { (None, None) };
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        }
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let control = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let scheme = if tls { "https" } else { "http" };
        let endpoints = Endpoints {
            site: format!("{scheme}://localhost:{}", ports[0]),
            api: format!("{scheme}://localhost:{}", ports[1]),
            control: control.local_addr().unwrap().port(),
            ca,
        };
        let code_host = Arc::new(FakeCodeHost {
            gitlab_user: responses::GITLAB_USER.replace("$BASE", &endpoints.site).into(),
            acceptor,
            delay,
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        });
        for listener in listeners {
            tokio::spawn(Arc::clone(&code_host).listen(listener));
        }
        println!("{}", endpoints.args().join(" "));
        std::thread::spawn(move || {
            for stream in control.incoming() {
                let counters = [&code_host.connections, &code_host.requests, &code_host.round_trips, &code_host.waited];
                let text = counters.map(|counter| counter.load(Relaxed).to_string()).join(" ");
                stream.unwrap().write_all(text.as_bytes()).unwrap();
            }
        });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    });
}

struct FakeCodeHost {
    gitlab_user: Bytes,
    acceptor: Option<TlsAcceptor>,
    delay: Duration,
    connections: AtomicU64,
    requests: AtomicU64,
    round_trips: AtomicU64,
    /// Microseconds.
    waited: AtomicU64,
}

impl FakeCodeHost {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(Arc::clone(&self).connection(stream));
        }
    }

    async fn connection(self: Arc<Self>, stream: tokio::net::TcpStream) {
        self.connections.fetch_add(1, Relaxed);
        match &self.acceptor {
            Some(acceptor) => {
                // One round trip for TCP and one for TLS 1.3.
                self.wait(2).await;
                if let Ok(stream) = acceptor.accept(stream).await {
                    self.http(TokioIo::new(stream)).await;
                }
            }
            None => self.http(TokioIo::new(stream)).await,
        }
    }

    async fn http(&self, io: impl hyper::rt::Read + hyper::rt::Write + Unpin) {
        let service = hyper::service::service_fn(|request| self.respond(request));
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        self.requests.fetch_add(1, Relaxed);
        self.wait(1).await;
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let bearer = head.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
        let path = head.uri.path();
        let response = match (&head.method, path) {
            (&Method::POST, "/oauth/token") if granted(&body) => fixed(responses::GITLAB_TOKEN),
            (&Method::POST, "/site/oauth2/access_token") if granted(&body) => fixed(responses::BITBUCKET_TOKEN),
            (&Method::GET, "/api/v4/user") if bearer => Some(self.gitlab_user.clone()),
            (&Method::GET, "/2.0/user") if bearer => fixed(responses::BITBUCKET_USER),
            (&Method::GET, "/2.0/user/emails") if bearer => fixed(responses::BITBUCKET_EMAILS),
            (&Method::POST, "/login/oauth/access_token" | "/rest/oauth2/latest/token") if granted(&body) => {
                fixed(responses::OTHER_TOKEN)
            }
            (&Method::GET, "/api/v3/user" | "/api/v1/user") if bearer => fixed(responses::OTHER_USER),
            (&Method::GET, "/api/v3/user/emails" | "/api/v1/user/emails") if bearer => fixed(responses::OTHER_EMAILS),
            (&Method::GET, "/rest/api/latest/users") if bearer => fixed(responses::DATA_CENTER_USERS),
            _ => None,
        };
        let status = if response.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let mut response = Response::new(Full::new(response.unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in HEAD {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        if path == "/rest/api/latest/users" {
            headers.insert("x-auserid", http::HeaderValue::from_static("42"));
            headers.insert("x-ausername", http::HeaderValue::from_static("jdoe"));
        }
        Ok(response)
    }

    async fn wait(&self, round_trips: u32) {
        if !self.delay.is_zero() {
            let started = Instant::now();
            tokio::time::sleep(self.delay * round_trips).await;
            self.round_trips.fetch_add(u64::from(round_trips), Relaxed);
            self.waited.fetch_add(u64::try_from(started.elapsed().as_micros()).unwrap(), Relaxed);
        }
    }
}

fn fixed(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

/// As many headers as code hosts send.
const HEAD: [(&str, &str); 8] = [
    ("content-type", "application/json; charset=utf-8"),
    ("cache-control", "no-store"),
    ("vary", "Accept"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-request-id", "01JD7Z3R9S3V1Q6K8M0W2Y4X5B"),
    ("strict-transport-security", "max-age=63072000"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

fn granted(form: &[u8]) -> bool {
    let has = |name: &str| form.windows(name.len()).any(|window| window == name.as_bytes());
    has("grant_type=authorization_code") && has("code_verifier=") && has("code=made-up-code")
}

/// A certificate for `localhost`, and the file with the certificate of its authority.
fn certificates() -> (Option<TlsAcceptor>, Option<PathBuf>) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-ca-{}.pem", std::process::id()));
    std::fs::write(&path, ca.pem()).unwrap();
    (Some(TlsAcceptor::from(Arc::new(config))), Some(path))
}
