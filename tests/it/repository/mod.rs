//! The repository itself: docs, examples, corpora, fuzz targets, layers.

mod corpora;
mod docs;
mod examples;
mod files;
mod fuzz_smoke;
mod fuzz_targets;
mod layers;
mod settings;
