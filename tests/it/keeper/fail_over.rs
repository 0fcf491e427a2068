//! Two real servers that swap their roles behind one address.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::{LeaseOwner, Revision, StoredTokens, TokenStore};
use codehost_oauth::testing::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::scenario::{Result, Scenario};
use super::servers::{Server, open};
use crate::secrets::leak_check::LeakChecked as _;

/// An address that forwards to one of two servers. Open connections stay at their server.
struct Address {
    port: u16,
    target: Arc<Mutex<u16>>,
    task: tokio::task::JoinHandle<()>,
}

impl Address {
    async fn of(target: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = *current.lock().unwrap();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Ok(Self { port, target, task })
    }

    fn forward_to(&self, port: u16) {
        *self.target.lock().unwrap() = port;
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A primary and its replica behind one address.
pub(crate) struct Pair {
    primary: Server,
    replica: Server,
    address: Address,
    /// The URL of the address.
    pub(crate) url: String,
}

impl Pair {
    async fn redis() -> Result<Self> {
        let (primary, replica) = tokio::try_join!(Server::redis(), Server::redis())?;
        redis(replica.port(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).await?;
        wait_until("the replica follows", async || {
            Ok(redis(replica.port(), "INFO replication").await?.contains("master_link_status:up"))
        })
        .await?;
        let address = Address::of(primary.port()).await?;
        let url = format!("redis://127.0.0.1:{}", address.port);
        Ok(Self { primary, replica, address, url })
    }

    pub(crate) async fn postgres() -> Result<Self> {
        let primary = Server::postgres().await?;
        let replica = primary.standby().await?;
        let address = Address::of(primary.port()).await?;
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", address.port);
        Ok(Self { primary, replica, address, url })
    }

    /// Waits until the replica has all writes.
    async fn wait_for_replica(&self) -> Result {
        if self.url.starts_with("redis") {
            return wait_until("the replica has all writes", async || {
                let [ours, theirs] =
                    [self.primary.port(), self.replica.port()].map(|port| redis(port, "INFO replication"));
                let offset = |text: String, name: &str| {
                    let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
                    line.and_then(|line| line.split(':').nth(1).map(|value| value.trim().to_owned()))
                };
                let (ours, theirs) = (ours.await?, theirs.await?);
                Ok(offset(ours, "master_repl_offset").is_some_and(|at| offset(theirs, "slave_repl_offset") == Some(at)))
            })
            .await;
        }
        let at: String =
            sqlx::query_scalar("SELECT pg_current_wal_lsn()::text").fetch_one(&self.pool(true).await?).await?;
        let replica = self.pool(false).await?;
        wait_until("the replica has all writes", async || {
            let caught_up = sqlx::query_scalar("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn").bind(&at);
            Ok(caught_up.fetch_one(&replica).await?)
        })
        .await
    }

    /// The replica becomes the primary, and the old primary read-only. Its connections stay open.
    pub(crate) async fn swap(&self) -> Result {
        self.wait_for_replica().await?;
        if self.url.starts_with("redis") {
            redis(self.replica.port(), "REPLICAOF NO ONE").await?;
            redis(self.primary.port(), &format!("REPLICAOF 127.0.0.1 {}", self.replica.port())).await?;
        } else {
            let old = self.pool(true).await?;
            for statement in ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"] {
                sqlx::query(statement).execute(&old).await?;
            }
            sqlx::query("SELECT pg_promote()").execute(&self.pool(false).await?).await?;
        }
        self.address.forward_to(self.replica.port());
        Ok(())
    }

    async fn pool(&self, primary: bool) -> Result<sqlx::PgPool> {
        Ok(sqlx::PgPool::connect(if primary { &self.primary.url } else { &self.replica.url }).await?)
    }
}

/// The response of a Redis to one command.
async fn redis(port: u16, command: &str) -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut response = String::new();
    socket.read_to_string(&mut response).await?;
    assert!(!response.starts_with('-'), "{command}: {response}");
    Ok(response)
}

async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result {
    for _ in 0..300 {
        if is_so().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within 30 s: {what}");
}

async fn every_call_uses_the_new_primary(pair: Pair) -> Result {
    let connection = "gitlab:demo:1".parse()?;
    let [one, two, three] = [1, 2, 3].map(|n| StoredTokens::new(Revision::from_i64(n), vec![7; 400]));
    // Each kind of call is the first one after the swap, each on its own store with several connections.
    let mut stores = Vec::new();
    for _ in 0..5 {
        let store = open(&pair.url).await?;
        futures_util::future::try_join_all((0..8).map(|_| store.load(&connection))).await?;
        stores.push(store);
    }
    assert!(stores[0].compare_and_swap(&connection, None, &one).await?);
    pair.swap().await?;
    assert_eq!(stores[0].load(&connection).await?, Some(one.clone()));
    assert!(stores[1].compare_and_swap(&connection, Some(one.revision), &two).await?);
    let owner = LeaseOwner::random()?;
    assert!(stores[2].lease(&connection, &owner, Duration::from_secs(45)).await?);
    stores[3].release(&connection, &owner).await?;
    // A replica would return old data.
    assert_eq!(stores[3].load(&connection).await?, Some(two.clone()));
    assert!(stores[4].delete(&connection).await?);
    for store in &stores {
        assert_eq!(store.load(&connection).await?, None);
    }
    assert!(stores[0].compare_and_swap(&connection, None, &three).await?);
    Ok(())
}

/// The swap happens before a refresh, or during it, before its pair is stored.
async fn no_connection_is_lost(pair: Pair, during: bool) -> Result {
    let mut scenario = Scenario::start().await?;
    let tokens = scenario.log_in().await?;
    let store = open(&pair.url).await?;
    let (keeper, other) = (scenario.keeper(Arc::clone(&store)), scenario.keeper(store));
    keeper.import(&scenario.connection, tokens).await.leak_checked()?;
    scenario.expire();
    if during {
        scenario.gitlab.set_latency(Duration::from_secs(3));
        let (keeper_of_call, connection) = (keeper.clone(), scenario.connection.clone());
        let asking = tokio::spawn(async move { keeper_of_call.ask(&connection).await });
        wait_until("the refresh is in flight", async || Ok(scenario.refresh_tokens_sent().len() == 1)).await?;
        pair.swap().await?;
        assert!(matches!(asking.await?.leak_checked()?, Outcome::Renewed(_)));
        scenario.gitlab.set_latency(Duration::ZERO);
    } else {
        pair.swap().await?;
        let begun = Instant::now();
        let outcome = keeper.ask(&scenario.connection).await.leak_checked()?;
        assert!(matches!(outcome, Outcome::Renewed(_)), "{outcome:?} after {:?}", begun.elapsed());
    }
    scenario.assert_refreshes(1);
    for keeper in [&keeper, &other] {
        let token = keeper.access_token(&scenario.connection).await.leak_checked()?;
        assert!(scenario.integration.user(&token).await.leak_checked().is_ok());
    }
    // Further refreshes work.
    scenario.expire();
    assert!(matches!(other.ask(&scenario.connection).await.leak_checked()?, Outcome::Renewed(_)));
    scenario.assert_refreshes(2);
    Ok(())
}

#[tokio::test]
async fn after_a_fail_over_of_redis_every_call_uses_the_new_primary() -> Result {
    every_call_uses_the_new_primary(Pair::redis().await?).await
}

#[tokio::test]
async fn after_a_fail_over_of_postgres_every_call_uses_the_new_primary() -> Result {
    every_call_uses_the_new_primary(Pair::postgres().await?).await
}

#[tokio::test]
async fn a_fail_over_of_redis_loses_no_connection() -> Result {
    for during in [false, true] {
        no_connection_is_lost(Pair::redis().await?, during).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_fail_over_of_postgres_loses_no_connection() -> Result {
    for during in [false, true] {
        no_connection_is_lost(Pair::postgres().await?, during).await?;
    }
    Ok(())
}

/// A replica would return old data, so the store must refuse it.
#[tokio::test]
async fn a_replica_is_refused_as_a_store() -> Result {
    for pair in [Pair::redis().await?, Pair::postgres().await?] {
        let connection = "gitlab:demo:1".parse()?;
        let store = open(&pair.url).await?;
        let one = StoredTokens::new(Revision::from_i64(1), vec![7]);
        assert!(store.compare_and_swap(&connection, None, &one).await?);
        pair.wait_for_replica().await?;
        // Only the address changes: it forwards new connections to the replica.
        pair.address.forward_to(pair.replica.port());
        let replica: Arc<dyn TokenStore> = match pair.url.starts_with("redis") {
            true => open(&pair.replica.url).await?,
            false => Arc::new(codehost_oauth::keeper::PostgresTokens::connect(&pair.replica.url).await?),
        };
        for _ in 0..2 {
            let responses = [
                replica.load(&connection).await.map(drop),
                replica.lease(&connection, &LeaseOwner::random()?, Duration::from_secs(1)).await.map(drop),
                replica.compare_and_swap(&connection, Some(one.revision), &one).await.map(drop),
                replica.delete(&connection).await.map(drop),
            ];
            for response in responses {
                let error = response.unwrap_err();
                assert!(matches!(error, StoreError::NotPrimary { .. }) && error.advice().is_transient, "{error:?}");
            }
        }
        assert_eq!(store.load(&connection).await?, Some(one));
    }
    Ok(())
}

/// During maintenance there is no newer server, so valid tokens can be read.
#[tokio::test]
async fn a_read_only_primary_can_be_read() -> Result {
    let server = Server::postgres().await?;
    let store = open(&server.url).await?;
    let connection = "gitlab:demo:1".parse()?;
    let one = StoredTokens::new(Revision::from_i64(1), vec![7]);
    assert!(store.compare_and_swap(&connection, None, &one).await?);
    let administrator = sqlx::PgPool::connect(&server.url).await?;
    for statement in ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"] {
        sqlx::query(statement).execute(&administrator).await?;
    }
    wait_until("it is read-only", async || match store.compare_and_swap(&connection, Some(one.revision), &one).await {
        Ok(_) => Ok(false),
        Err(error) => {
            assert!(matches!(error, StoreError::NotPrimary { .. }), "{error:?}");
            Ok(true)
        }
    })
    .await?;
    for _ in 0..5 {
        assert_eq!(store.load(&connection).await?, Some(one.clone()));
    }
    Ok(())
}

/// PostgreSQL ends its sessions when it stops (57P01), and refuses new ones while it starts (57P03); Redis says `LOADING`.
#[tokio::test]
async fn a_restarted_server_is_used_again() -> Result {
    for mut server in [Server::postgres().await?, Server::redis().await?] {
        let store = open(&server.url).await?;
        let connection = "gitlab:demo:1".parse()?;
        futures_util::future::try_join_all((0..8).map(|_| store.load(&connection))).await?;
        let one = StoredTokens::new(Revision::from_i64(1), vec![7]);
        assert!(store.compare_and_swap(&connection, None, &one).await?);
        server.restart().await?;
        wait_until("the store is back", async || match store.load(&connection).await {
            Ok(found) => {
                assert_eq!(found, Some(one.clone()));
                Ok(true)
            }
            Err(error) => {
                assert!(error.advice().is_transient, "{error:?}");
                Ok(false)
            }
        })
        .await?;
    }
    Ok(())
}
