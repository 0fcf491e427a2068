//! Rows of connections, sealed by a real keeper and written many at once.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use codehost_oauth::error::StoreError;
use codehost_oauth::keeper::{ConnectionId, LeaseOwner, Revision, StoredTokens, TokenStore};

use super::database::Database;
use crate::support::connections::Connections;
use crate::support::table::grouped;

pub(super) async fn fill(database: &Database, connections: &Connections, numbers: Range<usize>) {
    let (begun, count) = (Instant::now(), numbers.len());
    let collected = Arc::new(Collected::default());
    let keeper = connections.keeper(Arc::clone(&collected)).build();
    for n in numbers {
        keeper.import(&Connections::id(n), connections.tokens(n)).await.unwrap();
        if collected.len() == AT_ONCE {
            collected.write(database).await;
        }
    }
    collected.write(database).await;
    println!("\n{} connections were stored in {:.1} s.", grouped(count as f64), begun.elapsed().as_secs_f64());
}

/// Keeps what a keeper stores, until it is written.
#[derive(Debug, Default)]
struct Collected(Mutex<Vec<(String, StoredTokens)>>);

impl Collected {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn write(&self, database: &Database) {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        let (mut ids, mut revisions, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (id, stored) in all {
            ids.push(id);
            revisions.push(stored.revision.to_i64());
            sealed.push(stored.sealed);
        }
        let insert = "INSERT INTO codehost_oauth_tokens (connection, revision, sealed) \
                      SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])";
        sqlx::query(insert).bind(ids).bind(revisions).bind(sealed).execute(database.pool()).await.unwrap();
    }
}

#[async_trait]
impl TokenStore for Collected {
    async fn load(&self, _: &ConnectionId) -> Result<Option<StoredTokens>, StoreError> {
        Ok(None)
    }

    async fn compare_and_swap(
        &self,
        connection: &ConnectionId,
        _: Option<Revision>,
        new: &StoredTokens,
    ) -> Result<bool, StoreError> {
        self.0.lock().unwrap().push((connection.as_str().to_owned(), new.clone()));
        Ok(true)
    }

    async fn lease(&self, _: &ConnectionId, _: &LeaseOwner, _: Duration) -> Result<bool, StoreError> {
        unreachable!("nothing is refreshed")
    }

    async fn release(&self, _: &ConnectionId, _: &LeaseOwner) -> Result<(), StoreError> {
        unreachable!("nothing is refreshed")
    }

    async fn delete(&self, _: &ConnectionId) -> Result<bool, StoreError> {
        unreachable!("nothing is deleted")
    }
}

const AT_ONCE: usize = 10_000;
