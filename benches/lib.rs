//! Benches only; see `docs/performance.md`.
