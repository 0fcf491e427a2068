//! The security page and the vendors' register say what is true: every test that they name is there, and no row is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Command;

use crate::programs::root;

const PAGES: [&str; 2] = ["docs/security.md", "docs/vendor-changes.md"];

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What stands between backticks and looks like the path of a test.
fn named(page: &str) -> BTreeSet<String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let codes = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    codes.filter(|code| code.contains("::") && code.split("::").all(is_word)).map(str::to_owned).collect()
}

/// The files that a module may be in.
fn files(modules: &[&str]) -> [PathBuf; 2] {
    let folder = match modules {
        ["src", rest @ ..] => rest.iter().fold(root().join("src"), |path, part| path.join(part)),
        _ => modules.iter().fold(root().join("tests/it"), |path, part| path.join(part)),
    };
    [folder.with_extension("rs"), folder.join("mod.rs")]
}

#[test]
fn every_named_test_exists() {
    let mut count = 0;
    for name in PAGES {
        for path in named(&page(name)) {
            let parts: Vec<&str> = path.split("::").collect();
            let (test, modules) = parts.split_last().unwrap();
            let file = files(modules).into_iter().find(|file| file.exists());
            let text = file.map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
            let declared = format!("fn {test}(");
            let at = text.find(&declared).unwrap_or_else(|| panic!("{name}: there is no {path}"));
            // Between the end of what is before and the function there is its attribute.
            let before = &text[..at];
            let attributes = &before[before.rfind(['}', ';', '{']).map_or(0, |at| at + 1)..];
            assert!(attributes.contains("test"), "{name}: {path} is no test");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn no_row_is_left_out() {
    let page = page(PAGES[0]);
    let rows = [("F", 17), ("C", 10), ("S", 20), ("R", 16), ("T", 14), ("K", 12), ("I", 10), ("O", 6), ("N", 13)];
    for (letter, last) in rows {
        for number in 1..=last {
            let start = format!("| {letter}{number} | ");
            let row: Vec<&str> = page.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(row.len(), 1, "{letter}{number}");
            let test = row[0].trim_end_matches('|').rsplit(" | ").next().unwrap().trim();
            assert!(test.len() > 5, "{letter}{number} says nothing");
        }
    }
    for number in 1..=30 {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {number} | "))).count();
        assert_eq!(rows, 1, "test {number}");
    }
}

/// `scripts/threat` finds at least one test of this binary or of the library for each, or the page says why there is none.
/// Elsewhere bash may be too old for the scripts.
#[cfg(target_os = "linux")]
#[test]
fn every_number_and_row_has_its_tests() {
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let own = said(Command::new(std::env::current_exe().unwrap()).arg("--list"));
    let own: BTreeSet<&str> = own.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let threat = root().join("scripts/threat");
    let list = said(Command::new(&threat).arg("--list"));
    let mut with_tests = BTreeSet::new();
    let mut without = Vec::new();
    for line in list.lines() {
        let (of, what) = line.split_once(' ').unwrap();
        match (what.strip_prefix("src::"), what.strip_prefix("no test: ")) {
            (Some(unit), _) => {
                let (file, test) = unit.rsplit_once("::").unwrap();
                let modules: Vec<&str> = std::iter::once("src").chain(file.split("::")).collect();
                let file = files(&modules).into_iter().find(|file| file.exists()).unwrap();
                let text = fs::read_to_string(file).unwrap();
                let tests = text.split_once("\nmod tests {").unwrap_or_else(|| panic!("{unit} is in no `mod tests`")).1;
                assert!(tests.contains(&format!("fn {test}(")), "{unit}");
                with_tests.insert(of);
            }
            (None, Some(reason)) => without.push((of.trim_end_matches(':'), reason)),
            (None, None) => {
                assert!(own.contains(what), "{of}: there is no test {what}");
                with_tests.insert(of);
            }
        }
    }
    assert_eq!(with_tests.len() + without.len(), 30 + 118);
    let reasons = ["does not apply", "by type", "secrets have no `PartialEq`", "`cargo deny check advisories` by hand"];
    for (of, reason) in without {
        assert!(reasons.iter().any(|start| reason.starts_with(start)), "{of}: {reason}");
    }
    for unknown in ["31", "S99", "X1", "tests", ""] {
        assert!(!Command::new(&threat).args(["--list", unknown]).output().unwrap().status.success(), "{unknown}");
    }
}
