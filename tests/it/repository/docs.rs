//! Checks the security page and the register of platform changes: every test that they name exists, and no row is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Command;

use crate::support::programs::root;

const PAGES: [&str; 2] = ["docs/security.md", "docs/platform-changes.md"];

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The texts between backticks that look like the path of a test.
fn named_tests(page: &str) -> BTreeSet<String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let codes = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    codes.filter(|code| code.contains("::") && code.split("::").all(is_word)).map(str::to_owned).collect()
}

/// The files that a module may be in.
fn files(modules: &[&str]) -> [PathBuf; 3] {
    let folder = match modules {
        ["src", rest @ ..] => rest.iter().fold(root().join("src"), |path, part| path.join(part)),
        _ => modules.iter().fold(root().join("tests/it"), |path, part| path.join(part)),
    };
    [folder.with_extension("rs"), folder.join("mod.rs"), folder.join("tests.rs")]
}

/// The text of a module, with its tests if they have a file of their own.
fn source(modules: &[&str]) -> String {
    files(modules).into_iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

#[test]
fn every_named_test_exists() {
    let mut count = 0;
    for name in PAGES {
        for path in named_tests(&page(name)) {
            let parts: Vec<&str> = path.split("::").collect();
            let (test, modules) = parts.split_last().unwrap();
            let text = source(modules);
            let declared = format!("fn {test}(");
            let at = text.find(&declared).unwrap_or_else(|| panic!("{name}: there is no {path}"));
            // The attributes stand between the end of the item before and the function.
            let before = &text[..at];
            let attributes = &before[before.rfind(['}', ';', '{']).map_or(0, |at| at + 1)..];
            assert!(attributes.contains("test"), "{name}: {path} is not a test");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn no_row_is_missing() {
    let page = page(PAGES[0]);
    let rows = [("F", 17), ("C", 10), ("S", 20), ("R", 16), ("T", 14), ("K", 12), ("I", 10), ("O", 6), ("N", 13)];
    for (letter, last) in rows {
        for number in 1..=last {
            let start = format!("| {letter}{number} | ");
            let row: Vec<&str> = page.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(row.len(), 1, "{letter}{number}");
            let test = row[0].trim_end_matches('|').rsplit(" | ").next().unwrap().trim();
            assert!(test.len() > 5, "{letter}{number} names no test and no reason");
        }
    }
    for number in 1..=30 {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {number} | "))).count();
        assert_eq!(rows, 1, "test {number}");
    }
}

/// The pages that people read, by their paths in the repository.
fn pages() -> Vec<String> {
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    docs.chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned)).chain(guide()).collect()
}

/// The pages of the guide. `links.md` is no page: it has the links of all of them for rustdoc.
fn guide() -> Vec<String> {
    let files = fs::read_dir(root().join("src/guide")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter(|name| name.ends_with(".md") && name != "links.md");
    pages.map(|name| format!("src/guide/{name}")).collect()
}

/// The lines that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split("\n```").step_by(2);
    parts.flat_map(str::lines)
}

/// What a link to each heading ends with, as GitHub and GitLab make it.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    for name in pages() {
        let text = page(&name);
        let folder = root().join(&name).parent().unwrap().to_owned();
        let links = prose(&text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
        let links = links.chain(definitions(&text).into_values());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root().join(&name) } else { folder.join(file) };
            assert!(path.exists(), "{name}: {link}");
            if !anchor.is_empty() {
                assert!(anchors(&fs::read_to_string(path).unwrap()).contains(anchor), "{name}: {link}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// What stands in `[name]: link`, as a line of its own.
fn definitions(page: &str) -> BTreeMap<&str, &str> {
    let lines = prose(page).filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.collect()
}

/// A page of the guide defines its links as files, at its end. `links.md` defines the same ones for rustdoc.
#[test]
fn every_link_of_the_guide_has_both_definitions() {
    let links = page("src/guide/links.md");
    let of_rustdoc = definitions(&links);
    let mut used = BTreeSet::new();
    for name in guide() {
        let text = page(&name);
        let defined = definitions(&text);
        let names = prose(&text).flat_map(|line| line.split("][").skip(1)).filter_map(|rest| rest.split(']').next());
        for link in names.chain(defined.keys().copied()) {
            let file = defined.get(link).unwrap_or_else(|| panic!("{name}: {link}"));
            let target = of_rustdoc.get(link).unwrap_or_else(|| panic!("links.md: {link}"));
            let (file, anchor) = file.split_once('#').unwrap_or((file, ""));
            let expected = match file.strip_prefix("../../") {
                // docs.rs shows it too, but cannot follow its links to files.
                Some("README.md") => "https://crates.io/crates/codehost-oauth".to_owned(),
                Some(path) => format!("https://docs.rs/crate/codehost-oauth/latest/source/{path}"),
                None if anchor.is_empty() => format!("crate::guide::{}", file.trim_end_matches(".md")),
                None => format!("crate::guide::{}#{anchor}", file.trim_end_matches(".md")),
            };
            assert_eq!(*target, expected, "links.md: {link}");
            used.insert(link.to_owned());
        }
        let inline = prose(&text).find(|line| line.contains("]("));
        assert_eq!(inline, None, "{name}: a link that only one of the two can follow");
    }
    let unused: Vec<_> = of_rustdoc.keys().filter(|link| !used.contains(**link)).collect();
    assert!(unused.is_empty() && used.len() > 20, "{unused:?}");
}

/// Each page is a module of the guide, and on its front page.
#[test]
fn every_page_of_the_guide_is_in_it() {
    let module = page("src/guide/mod.rs");
    for name in guide() {
        let name = name.trim_start_matches("src/guide/").trim_end_matches(".md");
        assert!(module.contains(&format!("#[doc = include_str!(\"{name}.md\")]\npub mod {name} {{}}")), "{name}");
        let front = module.lines().filter(|line| line.starts_with("//! |"));
        assert_eq!(front.filter(|line| line.contains(&format!("{name})"))).count(), 1, "{name}");
    }
}

/// Two screens for a page of the guide; and what somebody reads who has ten minutes.
#[test]
fn no_page_is_too_long() {
    for (names, limit) in [(guide(), 110), (vec!["README.md".to_owned()], 250)] {
        for name in names {
            let text = page(&name);
            let lines = text.lines().filter(|line| !line.starts_with('[')).count();
            assert!(lines <= limit, "{name}: {lines} lines");
            let prose = prose(&text).filter(|line| !line.starts_with('|') && !line.contains("]: "));
            let long = prose.map(|line| line.chars().count()).max();
            assert!(long <= Some(150), "{name}: {long:?} characters in a line");
        }
    }
    // The whole app with the integrations page.
    let readme = page("README.md");
    let programs: Vec<&str> =
        readme.split("\n```").skip(1).step_by(2).filter(|block| block.starts_with("rust")).collect();
    let app = programs.iter().find(|program| program.contains("AdminRoutes::new")).unwrap();
    assert!(app.lines().count() <= 81, "{}", app.lines().count());
}

/// The programs of the README are shown whole: what begins with `# ` is hidden on docs.rs, and wrong in a file.
#[test]
fn no_line_of_a_program_is_hidden() {
    for name in pages() {
        for block in page(&name).split("\n```").skip(1).step_by(2).filter(|block| block.starts_with("rust")) {
            let hidden = block.lines().find(|line| *line == "#" || line.starts_with("# "));
            assert_eq!(hidden, None, "{name}");
        }
    }
}

/// `scripts/threat` finds at least one test of this binary or of the library for each, or the page says why there is none.
/// On Linux only: elsewhere bash may be too old for the scripts.
#[cfg(target_os = "linux")]
#[test]
fn every_number_and_row_has_tests() {
    let output_of = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let own = output_of(Command::new(std::env::current_exe().unwrap()).arg("--list"));
    let own: BTreeSet<&str> = own.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let threat = root().join("scripts/threat");
    let list = output_of(Command::new(&threat).arg("--list"));
    let mut with_tests = BTreeSet::new();
    let mut without = Vec::new();
    for line in list.lines() {
        let (of, what) = line.split_once(' ').unwrap();
        match (what.strip_prefix("src::"), what.strip_prefix("no test: ")) {
            (Some(unit), _) => {
                let (file, test) = unit.rsplit_once("::").unwrap();
                let modules: Vec<&str> = std::iter::once("src").chain(file.split("::")).collect();
                let text = source(&modules);
                let tests = text.split_once("\nmod tests").unwrap_or_else(|| panic!("{unit} is in no `mod tests`")).1;
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
    assert_eq!(with_tests.len() + without.len(), 30 + 123);
    let reasons =
        ["does not apply", "by type", "secrets have no `PartialEq`", "`cargo deny check advisories` every week"];
    for (of, reason) in without {
        assert!(reasons.iter().any(|start| reason.starts_with(start)), "{of}: {reason}");
    }
    for unknown in ["31", "S99", "X1", "tests", ""] {
        assert!(!Command::new(&threat).args(["--list", unknown]).output().unwrap().status.success(), "{unknown}");
    }
}

/// The operations of spans are named where `Integration` runs them.
#[test]
fn every_operation_of_a_span_is_documented() {
    let page = page("src/guide/operate.md");
    let (_, table) = page.split_once("| `operation` | when |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let first_cells = table.lines().filter_map(|line| line.split(" | ").next());
    let documented: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let sources = ["mod", "api", "test_login", "tokens"]
        .map(|file| fs::read_to_string(root().join(format!("src/integration/{file}.rs"))).unwrap());
    let named =
        sources.iter().flat_map(|text| text.split(".observe(").skip(1)).filter_map(|rest| rest.split('"').nth(1));
    let named: BTreeSet<&str> = named.collect();
    assert!(named.contains("finish_login") && named.contains("api"), "{named:?}");
    assert_eq!(documented, named);
}

/// The lines of the recipes' page are those of the programs.
#[test]
fn the_lines_of_the_recipes_are_in_the_programs() {
    let folder = root().join("examples/recipes/src/bin");
    let programs = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let programs: String = programs.collect();
    let page = page("src/guide/other_crates.md");
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("rust,ignore\n"));
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() > 4, "{lines:?}");
    for line in lines {
        assert!(programs.contains(line), "src/guide/other_crates.md: {line}");
    }
}
