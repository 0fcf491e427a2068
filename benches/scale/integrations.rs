//! Integrations: the memory of each, and whether any step of a login takes longer with their number.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use codehost_oauth::testing::verify;
use codehost_oauth::transport::{HttpClient, Network};
use codehost_oauth::{Access, BaseUrl, Callback, Integration, IntegrationConfig, IntegrationId, Platform, PublicUrl};
use stats_alloc::Region;

use crate::support::logins::{KINDS, Kind, browser};
use crate::support::measure::median;
use crate::support::plot::{Curve, Panel};
use crate::support::table::{Table, grouped};
use crate::{ALLOCATOR, allocated};

pub(crate) fn measure(quick: bool) -> Panel {
    let columns =
        ["", "bytes each", "after a begun login", "look-up, ns", "begin_login, ns", "callback and verify, ns"];
    let table = Table::new("Integrations in one process", &columns);
    let sizes: &[usize] = if quick { &[1, 1000] } else { &[1, 1000, 100_000] };
    let mut curves = Vec::new();
    for kind in KINDS {
        let mut steps =
            ["look-up", "begin_login", "verify"].map(|name| Curve { name: name.to_owned(), points: vec![] });
        for size in sizes {
            let figures = one_size(kind, *size);
            let mut row = vec![format!("{} {}", kind.name(), grouped(*size as f64))];
            row.extend(figures.map(grouped));
            table.row(&row);
            steps.iter_mut().zip(&figures[2..]).for_each(|(step, nanos)| step.points.push((*size as f64, *nanos)));
        }
        // The curves of both platforms are the same.
        if kind == Kind::GitLab {
            curves.extend(steps);
        }
    }
    Panel { title: "A GitLab login, without its network", x: "integrations", y: "time for each step", curves }
}

fn one_size(kind: Kind, size: usize) -> [f64; 5] {
    let network = Network::public_only();
    let http = HttpClient::builder(network.clone()).build().unwrap();
    let public_url: PublicUrl = "https://packages.example.com".parse().unwrap();
    let platform = Platform::find(if kind == Kind::GitLab { "gitlab" } else { "bitbucket-cloud" }).unwrap();
    let ids: Vec<IntegrationId> = (0..size).map(|n| format!("tenant-{n}").parse().unwrap()).collect();

    let region = Region::new(ALLOCATOR);
    let mut all = HashMap::with_capacity(size);
    for (n, id) in ids.iter().enumerate() {
        let base_url = match kind {
            Kind::GitLab => format!("https://gitlab.tenant-{n}.example.com"),
            _ => "https://bitbucket.org".to_owned(),
        };
        let base_url = BaseUrl::parse(&base_url, &network).unwrap();
        let integration = Integration::builder(
            platform.provider(base_url).unwrap(),
            http.clone(),
            IntegrationConfig {
                id: id.as_str().parse().unwrap(),
                name: format!("GitLab of tenant {n}"),
                public_url: public_url.clone(),
                client_id: format!("{n:064x}"),
                client_secret: format!("gloas-{n:064x}"),
                access: Access::Read,
            },
        )
        .build()
        .unwrap();
        all.insert(integration.id().clone(), Arc::new(integration));
    }
    let each = || allocated(&region) / size as f64;
    let idle = each();
    for integration in all.values() {
        drop(black_box(integration.begin_login(None).unwrap()));
    }
    let used = each();

    let mut samples = [const { Vec::new() }; 3];
    let mut next = 0;
    for _ in 0..20_000 {
        // Far from the previous one, so that it is not in a cache.
        next = (next + 7919) % size;
        let begun = Instant::now();
        let integration = black_box(all.get(&ids[next]).unwrap());
        let found = Instant::now();
        let start = black_box(integration.begin_login(None).unwrap());
        let started = Instant::now();
        let uri = browser(start.redirect_to.as_str(), integration.callback_url().as_str());
        let called_back = Instant::now();
        let callback = Callback::from_uri(&uri).unwrap();
        let grant = verify(integration, start.pending, callback, SystemTime::now());
        let verified = Instant::now();
        assert!(grant.is_ok());
        let times = [found - begun, started - found, verified - called_back];
        samples.iter_mut().zip(times).for_each(|(all, one)| all.push(one.as_nanos() as f64));
    }
    let [lookup, begin, verify] = samples.map(median);
    [idle, used, lookup, begin, verify]
}
