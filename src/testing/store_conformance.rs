//! Checks what every token store must do.

use std::sync::Arc;
use std::time::Duration;

use crate::error::StoreError;
use crate::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

/// Why a store does not fulfil the contract of its trait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Nonconformity {
    /// The requirement that the store does not fulfil.
    #[error("{0}")]
    Broken(&'static str),
    /// A call that failed.
    #[error("a call failed: {0}")]
    Failed(StoreError),
}

/// Tests a store through two handles on the same data, for example two pools; pass the same handle twice if there can
/// be only one. It takes about two seconds. It uses connections of the integration `store-conformance` with random
/// names and deletes them at the end, so it can run on a store with other connections.
///
/// # Errors
///
/// The first [`Nonconformity`].
///
/// ```
/// use std::sync::Arc;
/// use codehost_oauth::{keeper::MemoryTokens, testing::store_conformance};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryTokens::default());
/// store_conformance(store.clone(), store).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
pub async fn store_conformance(here: Arc<dyn TokenStore>, there: Arc<dyn TokenStore>) -> Result<(), Nonconformity> {
    let suite = Suite { here, there };
    suite.writes().await?;
    suite.concurrent_writes().await?;
    suite.leases().await?;
    suite.concurrent_leases().await?;
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
        ensure(
            self.here.load(&a).await?.is_none(),
            "`load` must return `None` for a connection that was never written",
        )?;
        ensure(
            !self.here.compare_and_swap(&a, Some(one.revision), &two).await?,
            "`compare_and_swap` with an expected revision must return `false` if the connection is not stored",
        )?;
        ensure(self.here.load(&a).await?.is_none(), "`compare_and_swap` must write nothing if it returns `false`")?;
        ensure(
            self.here.compare_and_swap(&a, None, &one).await?,
            "`compare_and_swap` without an expected revision must store a new connection",
        )?;
        ensure(self.there.load(&a).await?.as_ref() == Some(&one), "`load` must see a write through the other handle")?;
        ensure(
            !self.there.compare_and_swap(&a, None, &two).await?,
            "`compare_and_swap` without an expected revision must return `false` if the connection is stored",
        )?;
        ensure(
            self.there.compare_and_swap(&a, Some(one.revision), &two).await?,
            "`compare_and_swap` must write if the expected revision is the stored one",
        )?;
        ensure(
            !self.here.compare_and_swap(&a, Some(one.revision), &three).await?,
            "`compare_and_swap` must return `false` if the expected revision is an older one",
        )?;
        ensure(
            self.here.load(&a).await?.as_ref() == Some(&two),
            "`compare_and_swap` must change nothing if it returns `false`",
        )?;
        ensure(self.here.load(&b).await?.is_none(), "a write must not change another connection")?;
        ensure(
            self.here.compare_and_swap(&a, Some(two.revision), &three).await?,
            "every `i64` must be accepted as a revision",
        )?;
        ensure(
            self.there.load(&a).await?.as_ref() == Some(&three),
            "the revision `i64::MAX` must be loaded as it was stored",
        )?;
        ensure(self.here.delete(&a).await?, "`delete` must return `true` for a stored connection")?;
        ensure(!self.there.delete(&a).await?, "`delete` must return `false` for a deleted connection")?;
        ensure(
            !self.there.compare_and_swap(&a, Some(three.revision), &one).await?,
            "`compare_and_swap` with the revision of a deleted connection must return `false`",
        )?;
        ensure(self.there.load(&a).await?.is_none(), "`load` must return `None` for a deleted connection")
    }

    /// Sixteen writes at the same time that expect the same revision.
    async fn concurrent_writes(&self) -> Result<(), Nonconformity> {
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
                return Err(Nonconformity::Broken(
                    "if several calls of `compare_and_swap` expect the same revision, exactly one must succeed",
                ));
            };
            ensure(
                self.here.load(&connection).await?.as_ref() == Some(*winner),
                "the value of the call of `compare_and_swap` that returned `true` must be stored",
            )?;
            current = Some(winner.revision);
        }
        self.here.delete(&connection).await?;
        Ok(())
    }

    async fn leases(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        let [owner_a, owner_b] = [owner()?, owner()?];
        let one = tokens(1, b"one");
        ensure(
            !self.here.lease(&connection, &owner_a, LONG_LEASE).await?,
            "`lease` must return `false` for a connection that is not stored",
        )?;
        self.here.compare_and_swap(&connection, None, &one).await?;
        ensure(
            self.here.lease(&connection, &owner_a, LONG_LEASE).await?,
            "`lease` must return `true` if no owner has the lease",
        )?;
        ensure(
            !self.there.lease(&connection, &owner_b, LONG_LEASE).await?,
            "`lease` must return `false` while another owner has the lease",
        )?;
        ensure(
            self.there.lease(&connection, &owner_a, LONG_LEASE).await?,
            "`lease` must extend the lease for its owner, through either handle",
        )?;
        self.there.release(&connection, &owner_b).await?;
        ensure(
            !self.there.lease(&connection, &owner_b, LONG_LEASE).await?,
            "`release` must not end the lease of another owner",
        )?;

        let two = tokens(2, b"two");
        ensure(
            self.there.compare_and_swap(&connection, Some(one.revision), &two).await?,
            "`compare_and_swap` must work while a lease is held",
        )?;
        ensure(!self.there.lease(&connection, &owner_b, LONG_LEASE).await?, "`compare_and_swap` must not end a lease")?;
        self.here.release(&connection, &owner_a).await?;
        self.here.release(&connection, &owner_a).await?;
        ensure(
            self.there.lease(&connection, &owner_b, SHORT_LEASE).await?,
            "`lease` must return `true` after the owner has released the lease",
        )?;
        ensure(
            !self.here.lease(&connection, &owner_a, LONG_LEASE).await?,
            "a lease of 400 ms must not end before that time",
        )?;
        tokio::time::sleep(SHORT_LEASE.saturating_mul(2)).await;
        ensure(
            self.here.lease(&connection, &owner_a, LONG_LEASE).await?,
            "a lease must end when its duration has passed",
        )?;
        self.there.release(&connection, &owner_b).await?;
        ensure(
            !self.there.lease(&connection, &owner_b, LONG_LEASE).await?,
            "`release` by an earlier owner must not end the lease of the current one",
        )?;
        ensure(
            self.there.load(&connection).await?.as_ref() == Some(&two),
            "`lease` and `release` must not change the stored tokens",
        )?;

        ensure(self.there.delete(&connection).await?, "`delete` must work while a lease is held")?;
        self.there.compare_and_swap(&connection, None, &one).await?;
        ensure(self.there.lease(&connection, &owner_b, LONG_LEASE).await?, "`delete` must end the lease")?;
        self.there.delete(&connection).await?;
        Ok(())
    }

    /// Sixteen owners that ask for the lease at the same time.
    async fn concurrent_leases(&self) -> Result<(), Nonconformity> {
        let connection = connection()?;
        self.here.compare_and_swap(&connection, None, &tokens(1, b"one")).await?;
        let owners = (0..16).map(|_| owner()).collect::<Result<Vec<_>, _>>()?;
        let calls = owners.iter().zip(0_usize..).map(|(owner, n)| {
            let store = if n % 2 == 0 { &self.here } else { &self.there };
            store.lease(&connection, owner, LONG_LEASE)
        });
        let given = futures_util::future::try_join_all(calls).await?;
        ensure(
            given.into_iter().filter(|given| *given).count() == 1,
            "if several owners call `lease` at the same time, exactly one must get it",
        )?;
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
            ensure(
                self.here.compare_and_swap(&connection, current, &new).await?,
                "up to 64 KiB of bytes must be accepted",
            )?;
            ensure(
                self.there.load(&connection).await?.as_ref() == Some(&new),
                "`load` must return the same bytes that were stored",
            )?;
            current = Some(new.revision);
        }
        self.here.delete(&connection).await?;
        Ok(())
    }
}

const LONG_LEASE: Duration = Duration::from_secs(45);
const SHORT_LEASE: Duration = Duration::from_millis(400);

pub(super) fn ensure(fulfilled: bool, requirement: &'static str) -> Result<(), Nonconformity> {
    if fulfilled { Ok(()) } else { Err(Nonconformity::Broken(requirement)) }
}

fn tokens(revision: i64, sealed: &[u8]) -> StoredTokens {
    StoredTokens::new(Revision::from_i64(revision), sealed.to_vec())
}

fn owner() -> Result<LeaseOwner, Nonconformity> {
    LeaseOwner::random().map_err(|_| Nonconformity::Broken("the operating system must provide random bytes"))
}

fn connection() -> Result<ConnectionId, Nonconformity> {
    let name = format!("test:store-conformance:{}", owner()?.as_str());
    name.parse().map_err(|_| Nonconformity::Broken("the id of the test's connection must be valid"))
}

impl From<StoreError> for Nonconformity {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}
