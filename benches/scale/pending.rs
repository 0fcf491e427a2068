//! Pending logins in cookies, which use no memory of the app.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use codehost_oauth::PendingLogins;

use crate::support::connections::{Connections, ring};
use crate::support::measure::median;
use crate::support::table::{Table, grouped};

pub(crate) fn measure(quick: bool) {
    let table = Table::new("Pending logins in cookies", &["at once", "seal, ns", "open, ns", "bytes of the cookie"]);
    let sizes: &[usize] = if quick { &[1, 1000] } else { &[1, 1000, 100_000] };
    let (integration, ring) = (Connections::new().integration, ring());
    for size in sizes {
        let rounds = (1000 / size).max(1);
        let (mut seal, mut open, mut cookies) = (Vec::new(), Vec::new(), Vec::with_capacity(*size));
        for _ in 0..rounds {
            cookies.clear();
            for _ in 0..*size {
                let mut pending = PendingLogins::default();
                pending.insert(integration.begin_login(None).unwrap().pending);
                let begun = Instant::now();
                cookies.push(pending.seal(&ring, SystemTime::now()).unwrap());
                seal.push(begun.elapsed().as_nanos() as f64);
            }
            for cookie in &cookies {
                let begun = Instant::now();
                let pending = black_box(PendingLogins::open(cookie, &ring, SystemTime::now()).unwrap());
                open.push(begun.elapsed().as_nanos() as f64);
                assert_eq!(pending.len(), 1);
            }
        }
        let bytes = cookies.iter().map(String::len).sum::<usize>() as f64 / *size as f64;
        table.row(&[grouped(*size as f64), grouped(median(seal)), grouped(median(open)), grouped(bytes)]);
    }
}
