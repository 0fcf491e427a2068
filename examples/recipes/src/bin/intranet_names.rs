//! hickory-resolver as the resolver of the `HttpClient`, for names that only the intranet's name server knows.

#![allow(clippy::print_stdout, reason = "a program")]

use std::io;
use std::net::{IpAddr, SocketAddr};

use codehost_oauth::transport::{HttpClient, Network, Resolve, Transport as _};
use codehost_oauth::{BaseUrl, OAuthProvider as _, Platform};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use recipes::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let [server, url] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "give the address of a name server, such as 10.0.0.2:53, and the base URL of a GitLab")?;
    let http = client(Network::any(), server.parse()?)?;
    let gitlab = Platform::find("gitlab")?.provider(BaseUrl::parse(&url, http.network())?)?;
    let response = http.send(http::Request::head(gitlab.base_url().endpoint(&[])).body(Vec::new())?, 0).await?;
    println!("{url} responds with {}", response.status());
    Ok(())
}

/// Asks one name server, and no other: neither `/etc/resolv.conf` nor `/etc/hosts` is read.
#[derive(Debug)]
struct IntranetNames(TokioResolver);

impl IntranetNames {
    fn new(server: SocketAddr) -> Result<Self> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Ok(Self(builder.build()?))
    }
}

/// The client checks each address against its `Network`, and connects only to checked ones.
#[async_trait::async_trait]
impl Resolve for IntranetNames {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // With the dot at the end, no search domain is added.
        let found = self.0.lookup_ip(format!("{name}.")).await.map_err(io::Error::other)?;
        Ok(found.iter().collect())
    }
}

/// `network` is `Network::public_and` with the networks of the code hosts.
fn client(network: Network, server: SocketAddr) -> Result<HttpClient> {
    Ok(HttpClient::builder(network).resolver(IntranetNames::new(server)?).build()?)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use codehost_oauth::error::Error;
    use tokio::net::UdpSocket;

    use super::*;

    #[tokio::test]
    async fn a_user_logs_in_at_a_name_that_only_the_name_server_knows() {
        let server = NameServer::start("git.corp.test", [127, 0, 0, 1]).await;
        let demo = recipes::gitlab(client(development(), server.address).unwrap(), "git.corp.test").await.unwrap();
        assert_eq!(demo.login.user.username, Some("alice".to_owned()));
        assert!(server.names().contains(&"git.corp.test".to_owned()), "{:?}", server.names());
    }

    /// The name server's response is checked like any other.
    #[tokio::test]
    async fn an_address_outside_of_the_network_is_refused() {
        let server = NameServer::start("git.corp.test", [10, 0, 0, 7]).await;
        let error =
            recipes::gitlab(client(development(), server.address).unwrap(), "git.corp.test").await.err().unwrap();
        assert_eq!(error.downcast_ref::<Error>().unwrap().code(), "address_not_allowed");
    }

    #[tokio::test]
    async fn a_name_that_the_name_server_does_not_know_is_not_found() {
        let server = NameServer::start("git.corp.test", [127, 0, 0, 1]).await;
        let error =
            recipes::gitlab(client(development(), server.address).unwrap(), "other.corp.test").await.err().unwrap();
        assert_eq!(error.downcast_ref::<Error>().unwrap().code(), "name_not_found");
    }

    /// The fake is on this machine, and has no TLS.
    fn development() -> Network {
        Network::public_and(["127.0.0.1/32".parse().unwrap()]).danger_allow_http()
    }

    /// A name server for one IPv4 address. It stops when it is dropped.
    struct NameServer {
        address: SocketAddr,
        names: Arc<Mutex<Vec<String>>>,
        task: tokio::task::JoinHandle<()>,
    }

    impl NameServer {
        async fn start(known: &'static str, address: [u8; 4]) -> Self {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let names = Arc::<Mutex<Vec<String>>>::default();
            let (local, asked) = (socket.local_addr().unwrap(), Arc::clone(&names));
            let task = tokio::spawn(async move {
                let mut query = [0; 512];
                loop {
                    let (length, client) = socket.recv_from(&mut query).await.unwrap();
                    let (name, response) = respond(&query[..length], known, address);
                    asked.lock().unwrap().push(name);
                    socket.send_to(&response, client).await.unwrap();
                }
            });
            Self { address: local, names, task }
        }

        fn names(&self) -> Vec<String> {
            self.names.lock().unwrap().clone()
        }
    }

    impl Drop for NameServer {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    /// The name that was asked for, and the response (RFC 1035 section 4).
    #[allow(clippy::arithmetic_side_effects, reason = "positions in a query of at most 512 bytes")]
    fn respond(query: &[u8], known: &str, address: [u8; 4]) -> (String, Vec<u8>) {
        let (mut at, mut labels) = (12, Vec::new());
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8(query[at + 1..end].to_ascii_lowercase()).unwrap());
            at = end;
        }
        let (name, question, is_a) = (labels.join("."), &query[12..at + 5], query[at + 2] == 1);
        let is_known = name == known;
        let has_address = is_known && is_a;
        let mut response = query[..2].to_vec();
        // A response, with recursion desired and available; 3 is "no such name".
        response.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
        // One question, one answer or none.
        response.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
        response.extend(question);
        if has_address {
            // The name of the question, class IN, type A, for 60 seconds, 4 bytes.
            response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            response.extend(address);
        }
        (name, response)
    }
}
