use std::fmt;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, ErrorKind, FromRedisValue, RedisError, Script, ScriptInvocation};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::{StoreError, UntrustedText};
use crate::keeper::ConnectionId;

/// Keeps tokens in Redis or Valkey, for any number of nodes. If the server loses data, users must log in again, so it
/// needs `appendonly yes` with `appendfsync always` (or `everysec`, if the refreshes of one second may be lost in a
/// power cut), and `maxmemory-policy noeviction`. A fail-over loses the writes that were not yet copied to the replica.
///
/// All tasks share one connection. It reconnects by itself, also if the server has become a replica; the address must
/// then lead to the new primary. `rediss://` is TLS and needs the feature `rustls`, or a crypto provider that the app
/// has installed. Both keys of a connection have the same hash tag, so a proxy of a cluster finds them on the same
/// node.
///
/// ```no_run
/// use codehost_oauth::keeper::{RedisStore, TokenStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("rediss://app:password@redis.example.com").await?;
/// assert!(store.load(&"gitlab:demo:42".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    client: Client,
    current: Mutex<Current>,
    scripts: Scripts,
}

/// The current connection, with a number that increases with each reconnect.
struct Current {
    number: u64,
    redis: ConnectionManager,
}

/// Each script is one atomic operation.
struct Scripts {
    load: Script,
    compare_and_swap: Script,
    lease: Script,
    release: Script,
    delete: Script,
}

impl RedisStore {
    /// Connects to `redis://user:password@host:port/database`, or `rediss://` for TLS.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`] for an address that cannot be parsed; others if the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // Without the driver's message: the address can contain a password.
        let client =
            Client::open(url).map_err(|_| StoreError::Address { detail: UntrustedText::new("it cannot be parsed") })?;
        let redis = connect(&client).await?;
        let scripts = Scripts {
            load: Script::new(LOAD),
            compare_and_swap: Script::new(COMPARE_AND_SWAP),
            lease: Script::new(LEASE),
            release: Script::new(RELEASE),
            delete: Script::new(DELETE),
        };
        Ok(Self { client, current: Mutex::new(Current { number: 0, redis }), scripts })
    }

    /// Makes a call. If the server is no longer the primary, reconnects (after a fail-over the address leads to the new
    /// primary) and calls once more. If the response was lost with the connection, calls once more if `repeat`: the
    /// call may have been done, so this is only for calls that give the same result when done twice.
    async fn call<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>, repeat: bool) -> Result<T, StoreError> {
        let (number, mut redis) = {
            let current = self.current.lock().await;
            (current.number, current.redis.clone())
        };
        match call.invoke_async(&mut redis).await {
            Ok(value) => return Ok(value),
            Err(error) if is_not_primary(&error) => redis = self.reconnect(number).await?,
            Err(error) if repeat && is_lost(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        call.invoke_async(&mut redis).await.map_err(failed)
    }

    /// Replaces the connection with this number, unless another task has done so already.
    async fn reconnect(&self, number: u64) -> Result<ConnectionManager, StoreError> {
        let mut current = self.current.lock().await;
        if current.number == number {
            current.redis = connect(&self.client).await?;
            current.number = number.wrapping_add(1);
        }
        Ok(current.redis.clone())
    }
}

async fn connect(client: &Client) -> Result<ConnectionManager, StoreError> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(2)
        .set_connection_timeout(Some(Duration::from_secs(4)))
        .set_response_timeout(Some(Duration::from_secs(4)));
    ConnectionManager::new_with_config(client.clone(), config).await.map_err(failed)
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let fields: Vec<Option<Vec<u8>>> = self.call(&self.scripts.load.key(tokens_key(connection)), true).await?;
        let mut fields = fields.into_iter();
        let (Some(Some(revision)), Some(Some(sealed))) = (fields.next(), fields.next()) else {
            return Ok(None);
        };
        let revision = std::str::from_utf8(&revision).ok().and_then(|text| text.parse().ok());
        let revision = revision.ok_or_else(|| StoreError::Malformed { id: connection.to_string() })?;
        Ok(Some(StoredTokens::new(Revision::from_i64(revision), sealed)))
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let expected = expected.map(|revision| revision.to_i64().to_string()).unwrap_or_default();
        let mut call = self.scripts.compare_and_swap.key(tokens_key(connection));
        call.arg(expected).arg(new.revision.to_i64().to_string()).arg(new.sealed.as_slice());
        // If it is done twice, the second result is `false`, as the contract allows: the keeper then finds its own
        // revision.
        self.call(&call, true).await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let millis = u64::try_from(duration.min(MAX_LEASE).as_millis()).unwrap_or(u64::MAX).max(1);
        let mut call = self.scripts.lease.key(tokens_key(connection));
        call.key(lease_key(connection)).arg(owner.as_str()).arg(millis);
        self.call(&call, true).await
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        let mut call = self.scripts.release.key(lease_key(connection));
        call.arg(owner.as_str());
        self.call(&call, true).await
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let mut call = self.scripts.delete.key(tokens_key(connection));
        call.key(lease_key(connection));
        self.call(&call, false).await
    }
}

/// Without the address, which can contain a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisStore")
    }
}

fn tokens_key(connection: &ConnectionId) -> String {
    format!("codehost-oauth:1:{{{connection}}}:tokens")
}

fn lease_key(connection: &ConnectionId) -> String {
    format!("codehost-oauth:1:{{{connection}}}:lease")
}

fn failed(error: RedisError) -> StoreError {
    let detail = UntrustedText::new(&error.to_string());
    if is_not_primary(&error) {
        StoreError::NotPrimary { detail }
    } else if error.is_timeout() {
        StoreError::TimedOut
    } else if is_lost(&error) {
        StoreError::Unreachable { detail }
    } else if error.kind() == ErrorKind::InvalidClientConfig {
        StoreError::Address { detail }
    } else {
        StoreError::Refused { detail }
    }
}

/// Whether the connection broke before the response. A time-out does not count.
fn is_lost(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_io_error() || error.is_connection_dropped())
}

/// Whether the server refused the call, without any effect, because it accepts no writes or no commands at the moment.
/// Old servers put the error code of a command in a script into the message.
fn is_not_primary(error: &RedisError) -> bool {
    const CODES: [&str; 6] = ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"];
    let detail = error.detail().unwrap_or_default();
    let in_script = |code: &str| detail.split(['-', ' ']).any(|word| word == code) && detail.contains("script");
    CODES.iter().any(|code| error.code() == Some(code) || in_script(code))
}

/// Begins with a write that changes nothing: a replica refuses it, and would otherwise respond to the read with old
/// data. Other errors of that write, for example because of a full disk, do not prevent the read.
const LOAD: &str = "\
local write = redis.pcall('PERSIST', KEYS[1])
if type(write) == 'table' and write.err and string.find(write.err, 'READONLY', 1, true) then return write end
return redis.call('HMGET', KEYS[1], 'r', 'd')";

const COMPARE_AND_SWAP: &str = "\
local found = redis.call('HGET', KEYS[1], 'r') or ''
if found ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'r', ARGV[2], 'd', ARGV[3])
return 1";

const LEASE: &str = "\
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1";

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return redis.status_reply('OK')";

const DELETE: &str = "\
redis.call('DEL', KEYS[2])
return redis.call('DEL', KEYS[1])";
