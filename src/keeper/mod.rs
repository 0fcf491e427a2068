//! Stores tokens and renews them: one refresh at a time for each connection, for all tasks and nodes together
//! (single-flight refresh).
//!
//! GitLab and Bitbucket Cloud issue refresh tokens that work once. If one is used a second time, or if the response to
//! a refresh is lost, the user must log in again. Therefore use refresh tokens only through a [`TokenKeeper`]:
//!
//! - Tasks of one process that need the same connection share one refresh. It completes even if all of them are
//!   dropped.
//! - Nodes take turns by a lease in the [`TokenStore`]: the second node reads the tokens that the first one stored.
//! - New tokens are stored before they are given out, and never replaced by older ones.
//! - An outage never requires a new login. [`LoginReason`] lists what does.

mod builder;
mod call_error;
mod client_check;
mod clock;
mod connection;
mod disconnect;
mod error;
mod event;
mod failure;
mod import;
mod inner;
mod login_reason;
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "the feature `testing` exports it"))]
pub(crate) mod outcome;
mod pauses;
mod record;
mod refresh;
mod refresh_result;
mod refresh_task;
mod running_refreshes;
mod sealed_record;
mod settings_digest;
mod shared_result;
mod store;
mod token_cache;
mod token_keeper;

pub use self::builder::TokenKeeperBuilder;
pub use self::call_error::CallError;
pub use self::clock::Clock;
pub use self::connection::ConnectionId;
pub use self::disconnect::Disconnected;
pub use self::error::KeeperError;
pub use self::event::KeeperEvent;
pub use self::login_reason::LoginReason;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::store::PostgresTokens;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::store::RedisTokens;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::store::SqliteTokens;
pub use self::store::{LeaseOwner, MemoryTokens, Revision, StoredTokens, TokenStore};
pub use self::token_keeper::TokenKeeper;
