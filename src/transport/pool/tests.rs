use std::sync::mpsc;

use super::*;
use crate::transport::resolve::{Lookups, System};
use crate::values::network::Network;

/// Returns its connection to the pool when it is dropped, as a request does that ends with its runtime.
struct Returning(Arc<Pool>, Origin, Option<Connection>);

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(connection) = self.2.take() {
            self.0.add(&self.1, connection);
        }
    }
}

/// A runtime that is being shut down drops a new task at once, on the thread that spawns it.
#[test]
fn a_connection_that_comes_back_during_a_shutdown_does_not_block_it() {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
            let network = Network::public_only().allow_loopback_http();
            let lookups = Lookups::new(Arc::new(System));
            let connector = Connector::direct(network, lookups, Duration::from_secs(5));
            let (pool, origin) = (Arc::new(Pool::new(connector)), Origin::of(&uri).unwrap());
            let connection = pool.connect(&origin).await.unwrap();
            let returning = Returning(pool, origin, Some(connection));
            tokio::spawn(async move {
                let _returning = returning;
                future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
        drop(runtime);
        done.send(()).unwrap();
    });
    assert_eq!(ended.recv_timeout(Duration::from_secs(10)), Ok(()), "the shutdown does not end");
}
