//! Free ports for servers that need one as a setting.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that no server listens on and that no other test gets: it is below those that the system assigns by itself
/// (32768 and up on Linux), and each process starts at another number.
pub(crate) fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    loop {
        let port = 10_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
