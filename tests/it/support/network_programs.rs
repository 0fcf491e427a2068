//! Programs that stand between an app and a code host: proxies and a web server. Each has its own folder and port on loopback,
//! and is stopped by its process id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::TcpStream;

/// A running program.
pub(crate) struct Program {
    pub(crate) port: u16,
    child: Child,
    folder: PathBuf,
}

/// User and password of a proxy.
pub(crate) type Credentials<'a> = Option<(&'a str, &'a str)>;

impl Program {
    /// An HTTP proxy that opens tunnels to every port.
    pub(crate) async fn tinyproxy(credentials: Credentials<'_>) -> Self {
        let auth = credentials.map(|(user, password)| format!("BasicAuth {user} {password}\n")).unwrap_or_default();
        let config =
            |port| format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nAllow 127.0.0.1\n{auth}");
        Self::start("tinyproxy", |folder, port| {
            let file = write(folder, "tinyproxy.conf", &config(port));
            command("tinyproxy", "tinyproxy").arg("-d").arg("-c").arg(file).spawn()
        })
        .await
    }

    /// Squid, which allows everything but the name `forbidden.example`. It has no name server.
    pub(crate) async fn squid() -> Self {
        Self::start("squid", |folder, port| {
            let config = format!(
                "http_port 127.0.0.1:{port}\npid_filename none\ncache_log /dev/null\naccess_log none\nnetdb_filename none\n\
                 coredump_dir {folder}\nshutdown_lifetime 0 seconds\ndns_nameservers 127.0.0.1\ndns_timeout 1 second\n\
                 acl forbidden dstdomain forbidden.example\nhttp_access deny forbidden\nhttp_access allow all\n",
                folder = folder.display(),
            );
            let file = write(folder, "squid.conf", &config);
            command("squid", "squid").arg("-N").arg("-f").arg(file).spawn()
        })
        .await
    }

    /// A SOCKS 5 proxy.
    pub(crate) async fn microsocks(credentials: Credentials<'_>) -> Self {
        Self::start("microsocks", |_, port| {
            let mut microsocks = command("microsocks", "microsocks");
            microsocks.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            if let Some((user, password)) = credentials {
                microsocks.args(["-u", user, "-P", password]);
            }
            microsocks.spawn()
        })
        .await
    }

    /// nginx that encrypts the connections to another port of this machine, as a proxy with TLS does.
    pub(crate) async fn nginx_in_front_of(port: u16, certificate: &Certificate) -> Self {
        Self::nginx(certificate, |folder, own| {
            let modules = if Path::new(STREAM_MODULE).exists() {
                format!("load_module {STREAM_MODULE};\n")
            } else {
                String::new()
            };
            let server = format!(
                "stream {{ server {{ listen 127.0.0.1:{own} ssl; {} proxy_pass 127.0.0.1:{port}; }} }}",
                tls(folder)
            );
            (modules, server)
        })
        .await
    }

    /// nginx in front of the code host at another port, with these lines in its `server` block.
    pub(crate) async fn nginx_gateway(port: u16, certificate: &Certificate, lines: &str) -> Self {
        Self::nginx(certificate, |folder, own| {
            let server = format!(
                "http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; \
                 fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
                 server {{ listen 127.0.0.1:{own} ssl; {tls}\n{lines}\n\
                 location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host 127.0.0.1:{port}; }} }} }}",
                folder = folder.display(),
                tls = tls(folder),
            );
            (String::new(), server)
        })
        .await
    }

    async fn nginx(certificate: &Certificate, blocks: impl Fn(&Path, u16) -> (String, String) + Send + Sync) -> Self {
        Self::start("nginx", |folder, port| {
            write(folder, "server.pem", &certificate.pem);
            write(folder, "server.key", &certificate.key);
            if let Some(clients) = &certificate.clients {
                write(folder, "clients.pem", clients);
            }
            let (modules, server) = blocks(folder, port);
            let config = format!("{modules}daemon off;\nmaster_process off;\npid {}/nginx.pid;\nerror_log stderr;\nevents {{}}\n{server}\n", folder.display());
            let file = write(folder, "nginx.conf", &config);
            command("nginx", "nginx libnginx-mod-stream").arg("-p").arg(folder).arg("-c").arg(file).spawn()
        })
        .await
    }

    async fn start(name: &str, spawn: impl FnOnce(&Path, u16) -> std::io::Result<Child>) -> Self {
        let port = crate::port::free();
        let folder = std::env::temp_dir().join(format!("codehost-oauth-{name}-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let child = spawn(&folder, port).unwrap();
        let program = Self { port, child, folder };
        program.ready().await
    }

    async fn ready(mut self) -> Self {
        for _ in 0..1200 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return self;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the program at {} has ended: {status}", self.folder.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program at {} did not start", self.folder.display());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An authority, and a certificate that it has signed.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM format, and for a server the authority of its clients.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) clients: Option<String>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Test authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `127.0.0.1` and `localhost`.
    pub(crate) fn server(&self) -> Certificate {
        self.sign("Test server", |_| {})
    }

    /// A certificate with changed parameters.
    pub(crate) fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certificate { pem: certificate.pem(), key: key.serialize_pem(), clients: None }
    }
}

fn command(program: &str, packages: &str) -> Command {
    // Debian does not put the programs of /usr/sbin into the path of every user.
    let mut folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.push("/usr/sbin".into());
    let found = folders.into_iter().map(|folder| folder.join(program)).find(|path| path.exists());
    let found = found.unwrap_or_else(|| panic!("{program} is missing; run: apt-get install -y {packages}"));
    let mut command = Command::new(found);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn tls(folder: &Path) -> String {
    format!("ssl_certificate {0}/server.pem; ssl_certificate_key {0}/server.key;", folder.display())
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Debian's nginx loads it; other builds have it built in.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
