//! Servers that send at full bandwidth: row N1 of the threat model.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::{get, http};

const CAP: usize = 256 * 1024;
const DEADLINE: Duration = Duration::from_secs(3);

/// What a server sends first, and what it then repeats endlessly.
const FLOODS: [(&str, &str); 4] = [
    ("", "HTTP/1.1 103\r\n\r\n"),
    ("", "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;extension=abcdefghijklmnopqrstuvwxyz\r\na\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Trailer: abcdefghijklmnopqrstuvwxyz\r\n"),
];

/// A server with a thread for each connection that writes as fast as it can. Returns its URL and the number of sent bytes.
fn saturating(head: &'static str, repeated: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let block = repeated.repeat((1 << 18) / repeated.len());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter, block) = (stream.unwrap(), Arc::clone(&counter), block.clone());
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(head.as_bytes());
                while let Ok(count @ 1..) = stream.write(block.as_bytes()) {
                    counter.fetch_add(count, Ordering::SeqCst);
                }
            });
        }
    });
    (url, sent)
}

/// The longest time between two polls of a task that only sleeps, in microseconds.
async fn longest_pause(stop: Arc<AtomicBool>, longest: Arc<AtomicU64>) {
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        longest.fetch_max(u64::try_from(begun.elapsed().as_micros()).unwrap(), Ordering::SeqCst);
    }
}

async fn four_servers_saturate(workers: &str) {
    let servers: Vec<_> = FLOODS.iter().map(|(head, repeated)| saturating(head, repeated)).collect();
    let http = http().with_timeout(Some(DEADLINE));
    let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let ticking = tokio::spawn(longest_pause(Arc::clone(&stop), Arc::clone(&longest)));
    let begun = Instant::now();
    let requests = servers.iter().map(|(url, _)| {
        let (http, url) = (http.clone(), url.clone());
        tokio::spawn(async move { get(&http, &url, CAP).await.unwrap_err().code() })
    });
    let codes: Vec<_> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    // A flood of chunk heads or trailers may be refused as malformed before it is refused as too long.
    assert_eq!(codes[..2], ["too_large"; 2], "{codes:?}");
    assert!(codes.iter().all(|code| matches!(*code, "too_large" | "not_http" | "interrupted")), "{codes:?}");
    let took = begun.elapsed();
    stop.store(true, Ordering::SeqCst);
    ticking.await.unwrap();
    let paused = Duration::from_micros(longest.load(Ordering::SeqCst));
    let sent: Vec<_> = servers.iter().map(|(_, sent)| sent.load(Ordering::SeqCst)).collect();
    println!("{workers}: took {took:?}, longest pause {paused:?}, sent {sent:?}");
    assert!(took < DEADLINE + Duration::from_secs(1), "{took:?}");
    // The read bytes, and those in the buffers of two sockets. Without the limit it was 133 MB.
    assert!(sent.iter().all(|sent| *sent < 16 << 20), "{sent:?}");
    // A wide margin, because other processes may have the processor. Without the limit it was five seconds.
    assert!(paused < Duration::from_secs(1), "{paused:?}");
}

#[tokio::test]
async fn four_saturating_servers_block_nothing_on_one_worker() {
    four_servers_saturate("one worker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_saturating_servers_block_nothing_on_two_workers() {
    four_servers_saturate("two workers").await;
}
