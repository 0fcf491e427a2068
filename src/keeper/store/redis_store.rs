use std::fmt;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, ErrorKind, RedisError, Script};
use async_trait::async_trait;

use super::{LeaseOwner, MAX_LEASE, Revision, StoredTokens, TokenStore};
use crate::error::{StoreError, UntrustedText};
use crate::keeper::ConnectionId;

/// Keeps tokens in Redis or Valkey, for any number of nodes. What the server forgets are logins: it needs
/// `appendonly yes` with `appendfsync always` (or `everysec`, if a second of refreshes may be lost in a power cut), and
/// `maxmemory-policy noeviction`. A fail-over to a replica loses what was not copied yet.
///
/// One connection that is shared by all tasks and comes back by itself. `rediss://` is TLS and needs the feature `rustls`, or
/// a crypto provider that the host has installed. Both keys of a connection have one hash tag, so a cluster's proxy
/// finds them on one node.
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
    redis: ConnectionManager,
    scripts: Scripts,
}

/// Each script is one atomic step.
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
        // An address can hold a password, so nothing is said about it.
        let client =
            Client::open(url).map_err(|_| StoreError::Address { detail: UntrustedText::new("it cannot be parsed") })?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(2)
            .set_connection_timeout(Some(Duration::from_secs(4)))
            .set_response_timeout(Some(Duration::from_secs(4)));
        let redis = ConnectionManager::new_with_config(client, config).await.map_err(failed)?;
        let scripts = Scripts {
            load: Script::new(LOAD),
            compare_and_swap: Script::new(COMPARE_AND_SWAP),
            lease: Script::new(LEASE),
            release: Script::new(RELEASE),
            delete: Script::new(DELETE),
        };
        Ok(Self { redis, scripts })
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn load(&self, connection: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        let mut redis = self.redis.clone();
        let call = self.scripts.load.key(tokens_key(connection)).invoke_async(&mut redis).await;
        let fields: Vec<Option<Vec<u8>>> = call.map_err(failed)?;
        let mut fields = fields.into_iter();
        let (Some(Some(revision)), Some(Some(sealed))) = (fields.next(), fields.next()) else {
            return Ok(None);
        };
        let revision = std::str::from_utf8(&revision).ok().and_then(|text| text.parse().ok());
        let revision = revision.ok_or_else(|| StoreError::Refused { detail: UntrustedText::new("a foreign value") })?;
        Ok(Some(StoredTokens::new(Revision::from_i64(revision), sealed)))
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        expected: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        let mut redis = self.redis.clone();
        let expected = expected.map(|revision| revision.to_i64().to_string()).unwrap_or_default();
        let mut call = self.scripts.compare_and_swap.key(tokens_key(connection));
        call.arg(expected).arg(new.revision.to_i64().to_string()).arg(new.sealed.as_slice());
        call.invoke_async(&mut redis).await.map_err(failed)
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        owner: &LeaseOwner,
        duration: Duration,
    ) -> Result<bool, StoreError> {
        let mut redis = self.redis.clone();
        let millis = u64::try_from(duration.min(MAX_LEASE).as_millis()).unwrap_or(u64::MAX).max(1);
        let mut call = self.scripts.lease.key(tokens_key(connection));
        call.key(lease_key(connection)).arg(owner.as_str()).arg(millis);
        call.invoke_async(&mut redis).await.map_err(failed)
    }

    async fn release(&self, connection: &ConnectionId, owner: &LeaseOwner) -> Result<(), StoreError> {
        let mut redis = self.redis.clone();
        let mut call = self.scripts.release.key(lease_key(connection));
        call.arg(owner.as_str()).invoke_async::<()>(&mut redis).await.map_err(failed)
    }

    async fn delete(&self, connection: &ConnectionId) -> Result<bool, StoreError> {
        let mut redis = self.redis.clone();
        let mut call = self.scripts.delete.key(tokens_key(connection));
        call.key(lease_key(connection)).invoke_async(&mut redis).await.map_err(failed)
    }
}

/// Without the address.
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
    if error.is_timeout() {
        StoreError::TimedOut
    } else if error.is_io_error() || error.is_connection_dropped() {
        StoreError::Unreachable { detail }
    } else if error.kind() == ErrorKind::InvalidClientConfig {
        StoreError::Address { detail }
    } else {
        StoreError::Refused { detail }
    }
}

const LOAD: &str = "return redis.call('HMGET', KEYS[1], 'r', 'd')";

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
