//! The repository's folder, and the programs of `examples/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// An example of the crate. All programs are built first, once for each run of the tests, because `cargo test --test it`
/// alone would find no programs or old ones.
pub(crate) fn example(name: &str) -> PathBuf {
    folder().join("examples").join(name)
}

/// The program of a package of the workspace.
pub(crate) fn package(name: &str) -> PathBuf {
    folder().join(name)
}

/// The folder that cargo builds them into: `debug` or `release` that this test was built in.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root()).args(["build", "--quiet", "--locked", "--workspace", "--bins", "--examples"]);
        build.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "run: cargo build --workspace --bins --examples");
        folder.to_owned()
    })
}
