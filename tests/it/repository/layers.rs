//! Checks the layers of docs/architecture.md: a folder of `src/` uses only folders above it in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::programs::root;

/// Lowest first, as in docs/architecture.md.
const LAYERS: [&str; 18] = [
    "util",
    "error",
    "values",
    "transport",
    "provider",
    "platforms",
    "observe",
    "seal",
    "sql",
    "login",
    "integration",
    "interop",
    "keeper",
    "settings",
    "router",
    "admin",
    "testing",
    "guide",
];

/// The files that may use a higher layer, each with the reason.
const EXCEPTIONS: [(&str, &str, &str); 1] =
    [("error/transport.rs", "values", "a refused connection names the address and why it is refused")];

#[test]
fn no_layer_uses_a_higher_one() {
    let mut upwards = BTreeSet::new();
    for file in source_files() {
        let from = layer_of(&file);
        for to in crate_paths(&code(&file)) {
            assert!(LAYERS.contains(&to.as_str()), "src/{file}: `crate::{to}`: name the module, not a re-export");
            if rank(&to) > rank(from) {
                upwards.insert((file.clone(), to));
            }
        }
    }
    let allowed: BTreeSet<_> = EXCEPTIONS.iter().map(|(file, to, _)| ((*file).to_owned(), (*to).to_owned())).collect();
    let wrong: Vec<_> = upwards.difference(&allowed).map(|(file, to)| format!("src/{file} uses {to}")).collect();
    assert!(wrong.is_empty(), "a lower layer uses a higher one:\n{}", wrong.join("\n"));
    let gone: Vec<_> = allowed.difference(&upwards).collect();
    assert!(gone.is_empty(), "no longer needed in EXCEPTIONS: {gone:?}");
}

/// A file of the keeper uses those below it; no two files need each other.
#[test]
fn the_files_of_the_keeper_have_no_circle() {
    let files = source_files();
    let modules = files.iter().filter_map(|file| file.strip_prefix("keeper/")?.strip_suffix(".rs"));
    let modules: Vec<&str> = modules.filter(|module| !module.contains('/') && *module != "mod").collect();
    assert!(modules.len() > 15, "{modules:?}");
    let uses = |module: &str| -> BTreeSet<String> {
        let code = code(&format!("keeper/{module}.rs"));
        let names = code.match_indices("super::").map(|(at, start)| first_name(&code[at + start.len()..]));
        names.filter(|name| modules.contains(&name.as_str())).collect()
    };
    let mut left: BTreeMap<&str, BTreeSet<String>> = modules.iter().map(|module| (*module, uses(module))).collect();
    assert!(left["builder"].contains("token_keeper") && left["refresh"].contains("inner"), "{left:?}");
    loop {
        let done: Vec<&str> = left.iter().filter(|(_, uses)| uses.is_empty()).map(|(module, _)| *module).collect();
        if done.is_empty() {
            break;
        }
        left.retain(|module, _| !done.contains(module));
        left.values_mut().for_each(|uses| uses.retain(|used| !done.contains(&used.as_str())));
    }
    assert!(left.is_empty(), "these files need each other: {left:?}");
}

/// A provider makes guides and reports; they are data, and do not know it.
#[test]
fn guides_and_reports_do_not_use_the_provider() {
    for file in source_files() {
        if file.starts_with("provider/check/") || file.starts_with("provider/setup/") {
            let code = code(&file);
            assert!(!code.contains("OAuthProvider") && !code.contains("Platform"), "src/{file}");
        }
    }
}

/// Every layer is in the table of docs/architecture.md, in this order.
#[test]
fn the_documented_layers_are_the_checked_layers() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = page.split_once("| layer | what is in it |").unwrap().1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap().trim_end_matches('/')).collect();
    assert_eq!(names, LAYERS);
}

/// The files below `src/` but `lib.rs`, relative to it, with `/` between folders.
/// Tests may use every layer.
fn source_files() -> Vec<String> {
    let src = root().join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path != src.join("lib.rs")
                && !path.ends_with("tests.rs")
            {
                found.push(path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    assert!(found.len() > 50, "{found:?}");
    found
}

fn layer_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

fn rank(layer: &str) -> usize {
    LAYERS.iter().position(|one| *one == layer).unwrap_or_else(|| panic!("src/{layer} is in no layer"))
}

/// The file without its comments and its unit tests, which may use every layer.
fn code(file: &str) -> String {
    let text = fs::read_to_string(root().join("src").join(Path::new(file))).unwrap();
    let code = text.split_once("\nmod tests {").map_or(text.as_str(), |(code, _)| code);
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The first name of each path that begins with `crate::`, and of each path in `crate::{…}`.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1_usize;
            let end = list.find(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let mut depth = 0_usize;
            let paths = list[..end.unwrap()].split(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                c == ',' && depth == 0
            });
            names.extend(paths.map(first_name).filter(|name| !name.is_empty()));
        } else {
            names.insert(first_name(rest));
        }
    }
    names
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn all_forms_of_crate_paths_are_found() {
    let names = |code: &str| crate_paths(code).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("use crate::error::Error;\nlet x = crate::seal::open();"), "error seal");
    assert_eq!(names("use crate::{error::{A, b::C}, values::token::D, Top};"), "Top error values");
    assert_eq!(names("pub(crate) use self::x; pub(in crate::keeper) fn f()"), "keeper");
}
