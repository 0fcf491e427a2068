//! Every file is used: fixtures by tests, scripts and examples by a page that says what they are for.

use std::fs;
use std::path::Path;

use crate::support::programs::root;

/// The files below a folder of the repository, by their paths in it.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn texts(folder: &str, extension: &str) -> String {
    let files = files(folder).into_iter().filter(|file| file.ends_with(extension));
    files.map(|file| fs::read_to_string(root().join(file)).unwrap()).collect()
}

/// Its name is in a test; without the extension, which is often added there.
#[test]
fn every_fixture_is_used() {
    let tests = texts("tests/it", ".rs");
    let fixtures = files("tests/fixtures");
    assert!(fixtures.len() > 80, "{}", fixtures.len());
    for fixture in fixtures.iter().filter(|fixture| !fixture.ends_with("README.md")) {
        let name = Path::new(fixture).file_stem().unwrap().to_str().unwrap();
        // The guides of all platforms for one kind of access.
        let name = name.trim_end_matches("-user-write");
        assert!(tests.contains(name), "{fixture} is not used");
    }
}

#[test]
fn every_script_and_every_example_is_in_the_docs() {
    let mut pages = texts("docs", ".md") + &texts("src/guide", ".md");
    for page in ["README.md", "CONTRIBUTING.md"] {
        pages += &fs::read_to_string(root().join(page)).unwrap();
    }
    let scripts = files("scripts").into_iter().filter(|script| !script.contains('.'));
    let examples = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().file_name());
    let examples = examples.map(|name| name.to_str().unwrap().trim_end_matches(".rs").to_owned());
    let mut count = 0;
    for script in scripts {
        assert!(pages.contains(&script), "{script} is in no page");
        count += 1;
    }
    for example in examples.filter(|example| example != "support") {
        let names = [format!("--example {example}"), format!("examples/{example}"), format!("-p {example}")];
        assert!(names.iter().any(|name| pages.contains(name)), "examples/{example} is in no page");
        count += 1;
    }
    assert!(count > 25, "{count}");
}
