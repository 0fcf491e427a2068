//! Checks what every token store must do.

use std::sync::Arc;
use std::time::Duration;

use crate::keeper::StoreError;
use crate::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

/// A way in which a store differs from the contract of [`TokenStore`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Nonconformity {
    /// The part of the contract that the store breaks.
    #[error("{0}")]
    Broken(&'static str),
    /// A call that failed.
    #[error("a call failed: {0}")]
    Failed(StoreError),
}

/// Tests a store through two handles on the same data, for example two pools; pass the same handle twice if there can be
/// only one. It takes about two seconds. It uses connections of the integration `store-conformance` with random names and
/// deletes them at the end, so it can run on a store with other connections.
///
/// # Errors
///
/// The first [`Nonconformity`].
///
/// ```
/// use std::sync::Arc;
/// use codehost_oauth::{keeper::MemoryStore, testing::store_conformance};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// store_conformance(store.clone(), store).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub async fn store_conformance(here: Arc<dyn TokenStore>, there: Arc<dyn TokenStore>) -> Result<(), Nonconformity> {
    let suite = Suite { here, there };
    suite.writes().await?;
    suite.races().await?;
    suite.leases().await?;
    suite.lease_race().await?;
    suite.bytes().await
}

struct Suite {
    here: Arc<dyn TokenStore>,
    there: Arc<dyn TokenStore>,
}

impl Suite {
    async fn writes(&self) -> Result<(), Nonconformity> {
        let (a, b) = (connection()?, connection()?);
        let [one, two, three] = [tokens(1, b"one"), tokens(-2, b"two"), tokens(i64::MAX, b"three")];
        ensure(self.here.load(&a).await?.is_none(), "a connection that was never written is not there")?;
        ensure(!self.here.compare_and_swap(&a, Some(one.revision), &two).await?, "no row has no revision to replace")?;
        ensure(self.here.load(&a).await?.is_none(), "a refused write writes nothing")?;
        ensure(self.here.compare_and_swap(&a, None, &one).await?, "the first write succeeds")?;
        ensure(self.there.load(&a).await?.as_ref() == Some(&one), "a write is seen through the other handle")?;
        ensure(!self.there.compare_and_swap(&a, None, &two).await?, "a second first write is refused")?;
        ensure(self.there.compare_and_swap(&a, Some(one.revision), &two).await?, "the right revision is replaced")?;
        ensure(!self.here.compare_and_swap(&a, Some(one.revision), &three).await?, "a stale revision is refused")?;
        ensure(self.here.load(&a).await?.as_ref() == Some(&two), "a refused write changes nothing")?;
        ensure(self.here.load(&b).await?.is_none(), "connections are kept apart")?;
        ensure(self.here.compare_and_swap(&a, Some(two.revision), &three).await?, "any revision can be stored")?;
        ensure(self.there.load(&a).await?.as_ref() == Some(&three), "the largest revision comes back")?;
        ensure(self.here.delete(&a).await?, "a stored connection can be deleted")?;
        ensure(!self.there.delete(&a).await?, "a deleted connection is gone")?;
        ensure(!self.there.compare_and_swap(&a, Some(three.revision), &one).await?, "a delete ends the revision")?;
        ensure(self.there.load(&a).await?.is_none(), "what was deleted does not come back")
    }

    /// Sixteen writers of one revision: exactly one succeeds.
    async fn races(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        let mut current = None;
        for round in 0_i64..4 {
            let candidates: Vec<_> =
                (1..=16).map(|n| tokens(round.saturating_mul(100).saturating_add(n), b"x")).collect();
            let writes = candidates.iter().zip(0_usize..).map(|(new, n)| {
                let store = if n % 2 == 0 { &self.here } else { &self.there };
                store.compare_and_swap(&connection, current, new)
            });
            let written = futures_util::future::try_join_all(writes).await?;
            let winners: Vec<_> = candidates.iter().zip(written).filter(|(_, written)| *written).collect();
            let [(winner, _)] = winners.as_slice() else {
                return Err(Nonconformity::Broken("of several writes over one revision exactly one succeeds"));
            };
            ensure(self.here.load(&connection).await?.as_ref() == Some(*winner), "the winner's value is stored")?;
            current = Some(winner.revision);
        }
        self.here.delete(&connection).await?;
        Ok(())
    }

    async fn leases(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        let [us, them] = [owner()?, owner()?];
        let one = tokens(1, b"one");
        ensure(!self.here.lease(&connection, &us, LONG).await?, "a connection that is not stored has no lease")?;
        self.here.compare_and_swap(&connection, None, &one).await?;
        ensure(self.here.lease(&connection, &us, LONG).await?, "a free lease is given")?;
        ensure(!self.there.lease(&connection, &them, LONG).await?, "a lease has one owner")?;
        ensure(self.there.lease(&connection, &us, LONG).await?, "the owner can extend it, through either handle")?;
        self.there.release(&connection, &them).await?;
        ensure(!self.there.lease(&connection, &them, LONG).await?, "only its owner gives it back")?;

        let two = tokens(2, b"two");
        ensure(self.there.compare_and_swap(&connection, Some(one.revision), &two).await?, "a lease forbids no write")?;
        ensure(!self.there.lease(&connection, &them, LONG).await?, "a write does not end a lease")?;
        self.here.release(&connection, &us).await?;
        self.here.release(&connection, &us).await?;
        ensure(self.there.lease(&connection, &them, SHORT).await?, "what was given back can be taken")?;
        ensure(!self.here.lease(&connection, &us, LONG).await?, "a short lease is a lease")?;
        tokio::time::sleep(SHORT.saturating_mul(2)).await;
        ensure(self.here.lease(&connection, &us, LONG).await?, "a lease ends by itself")?;
        self.there.release(&connection, &them).await?;
        ensure(!self.there.lease(&connection, &them, LONG).await?, "who lost a lease cannot give it back")?;
        ensure(self.there.load(&connection).await?.as_ref() == Some(&two), "leases change no tokens")?;

        ensure(self.there.delete(&connection).await?, "a lease forbids no delete")?;
        self.there.compare_and_swap(&connection, None, &one).await?;
        ensure(self.there.lease(&connection, &them, LONG).await?, "a delete ends the lease")?;
        self.there.delete(&connection).await?;
        Ok(())
    }

    /// Sixteen owners: exactly one gets the lease.
    async fn lease_race(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        self.here.compare_and_swap(&connection, None, &tokens(1, b"one")).await?;
        let owners = (0..16).map(|_| owner()).collect::<Result<Vec<_>, _>>()?;
        let calls = owners.iter().zip(0_usize..).map(|(owner, n)| {
            let store = if n % 2 == 0 { &self.here } else { &self.there };
            store.lease(&connection, owner, LONG)
        });
        let given = futures_util::future::try_join_all(calls).await?;
        ensure(given.into_iter().filter(|given| *given).count() == 1, "of several takers exactly one gets the lease")?;
        self.here.delete(&connection).await?;
        Ok(())
    }

    async fn bytes(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let large = all.repeat(256);
        let mut current = None;
        for (revision, sealed) in (1..).zip([Vec::new(), vec![0], all, large]) {
            let new = StoredTokens::new(Revision::from_i64(revision), sealed);
            ensure(self.here.compare_and_swap(&connection, current, &new).await?, "up to 64 KiB can be stored")?;
            ensure(self.there.load(&connection).await?.as_ref() == Some(&new), "bytes come back as they were")?;
            current = Some(new.revision);
        }
        self.here.delete(&connection).await?;
        Ok(())
    }
}

const LONG: Duration = Duration::from_secs(45);
const SHORT: Duration = Duration::from_millis(400);

fn ensure(kept: bool, promise: &'static str) -> Result<(), Nonconformity> {
    if kept { Ok(()) } else { Err(Nonconformity::Broken(promise)) }
}

fn tokens(revision: i64, sealed: &[u8]) -> StoredTokens {
    StoredTokens::new(Revision::from_i64(revision), sealed.to_vec())
}

fn owner() -> Result<LeaseOwner, Nonconformity> {
    LeaseOwner::random().map_err(|_| Nonconformity::Broken("the system gives random bytes"))
}

fn connection() -> Result<ConnectionId, Nonconformity> {
    let name = format!("test:store-conformance:{}", owner()?.as_str());
    name.parse().map_err(|_| Nonconformity::Broken("the name of a test's connection is valid"))
}

impl From<StoreError> for Nonconformity {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}
