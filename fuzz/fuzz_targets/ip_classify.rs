#![no_main]

#[path = "../../tests/it/repository/fuzz_targets.rs"]
#[allow(dead_code, reason = "each binary runs one of them")]
mod fuzz_targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::ip_classify(data));
