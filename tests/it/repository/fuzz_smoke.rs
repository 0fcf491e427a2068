//! The fuzz targets as property tests: with their seeds, with changed seeds, and with random bytes.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::repository::fuzz_targets::ALL;
use crate::support::programs::root;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/seeds").join(target);
    // A published package has no `fuzz/`.
    let Ok(files) = fs::read_dir(folder) else { return vec![b"{}".to_vec()] };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A seed with a few bytes changed, put in or taken out.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0_u8..3, any::<u8>());
    (prop::sample::select(seeds), prop::collection::vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
        for (at, what, byte) in changes {
            let at = at.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

#[test]
fn every_target_accepts_its_seeds_and_random_bytes() {
    for (name, target) in ALL {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| target(seed));
        let inputs = prop_oneof![
            2 => mutated(seeds),
            1 => prop::collection::vec(any::<u8>(), 0..64),
            1 => prop::collection::vec(any::<u8>(), 4),
            1 => prop::collection::vec(any::<u8>(), 16),
            1 => any::<String>().prop_map(String::into_bytes),
        ];
        let mut runner =
            TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) });
        let outcome = runner.run(&inputs, |bytes| {
            target(&bytes);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// `cargo fuzz` runs only what is a binary in `fuzz/Cargo.toml`.
#[test]
fn every_target_has_a_binary_and_seeds() {
    let fuzz = root().join("fuzz");
    let Ok(manifest) = fs::read_to_string(fuzz.join("Cargo.toml")) else { return };
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
        assert!(seeds(name).len() >= 5, "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), ALL.len());
}
