//! Keeps tokens alive: one refresh for each connection, however many tasks and nodes ask.
//!
//! GitLab and Bitbucket Cloud hand out refresh tokens that work once. Whoever uses one a second time logs the user
//! out, and whoever loses the response loses the account. So all use of refresh tokens goes through a [`TokenKeeper`]:
//!
//! - Tasks of one process that ask for the same connection share one refresh, which runs to its end even if they all go
//!   away.
//! - Nodes take turns by a lease in the [`TokenStore`]; who comes second reads what the first one stored.
//! - New tokens are stored before anybody gets them, and an older pair is never written over a newer one.
//! - An outage is never a log-out: only the code host's own word that a refresh token is dead is one.

mod binding;
mod builder;
mod call_error;
mod client;
mod clock;
mod connection;
mod disconnect;
mod error;
mod event;
mod failure;
mod flight;
mod flights;
mod import;
mod inner;
mod login_reason;
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "the feature `testing` exports it"))]
pub(crate) mod outcome;
mod pauses;
mod record;
mod remembered;
mod shared_result;
mod store;
mod token_keeper;

pub use self::builder::TokenKeeperBuilder;
pub use self::call_error::CallError;
pub use self::clock::Clock;
pub use self::connection::ConnectionId;
pub use self::disconnect::Disconnected;
pub use self::error::{KeeperError, StoreError};
pub use self::event::KeeperEvent;
pub use self::login_reason::LoginReason;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::store::PostgresStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::store::RedisStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::store::SqliteStore;
pub use self::store::{LeaseOwner, MemoryStore, Revision, StoredTokens, TokenStore};
pub use self::token_keeper::TokenKeeper;
