//! Row C4 of the threat model: where a user is sent after the login is on the app itself.

use codehost_oauth::ReturnTo;
use proptest::prelude::*;
use url::Url;

const BASE: &str = "https://packages.example.com/app/login";

/// Each line is `take` or `refuse`, and a JSON string.
fn corpus() -> Vec<(bool, String)> {
    let path = crate::support::programs::root().join("tests/fixtures/login/return_to.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &str| {
        let (expected, text) = line.split_once(' ').unwrap();
        assert!(matches!(expected, "take" | "refuse"), "{line}");
        (expected == "take", serde_json::from_str(text).unwrap())
    };
    lines.map(entry).collect()
}

fn stays_at_app(text: &str) -> bool {
    let base = Url::parse(BASE).unwrap();
    base.join(text).is_ok_and(|url| url.origin() == base.origin())
}

#[test]
fn every_path_of_the_corpus_has_its_result() {
    let corpus = corpus();
    assert!(corpus.len() >= 500, "{}", corpus.len());
    for (take, text) in &corpus {
        assert_eq!(text.parse::<ReturnTo>().is_ok(), *take, "{text:?}");
        if *take {
            assert!(stays_at_app(text), "{text:?}");
        }
    }
    // The corpus has paths that leave the app, so it would find a parser that accepts everything.
    assert!(corpus.iter().filter(|(_, text)| !stays_at_app(text)).count() >= 50);
}

#[test]
fn the_length_is_bounded() {
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert!(path(2048).parse::<ReturnTo>().is_ok());
    assert!(path(2049).parse::<ReturnTo>().is_err());
}

#[test]
fn a_stored_path_is_checked_again_and_not_echoed() {
    let error = serde_json::from_str::<ReturnTo>(r#""//MARKER""#).unwrap_err();
    assert!(!error.to_string().contains("MARKER"));
    let stored = serde_json::from_str::<ReturnTo>(r#""/a?b#c""#).unwrap();
    assert_eq!((stored.as_str(), stored.to_string().as_str()), ("/a?b#c", "/a?b#c"));
    assert_eq!(serde_json::to_string(&stored).unwrap(), r#""/a?b#c""#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn an_accepted_path_stays_at_the_app(text in "[/\\\\.:@%?#a0\t\r\n \u{0}\u{ad}\u{ff0f}\u{2044}]{0,12}") {
        if text.parse::<ReturnTo>().is_ok() {
            prop_assert!(stays_at_app(&text), "{text:?}");
        }
    }

    #[test]
    fn no_text_makes_a_path_panic(text in any::<String>()) {
        let rooted = format!("/{text}");
        for text in [text, rooted] {
            if text.parse::<ReturnTo>().is_ok() {
                prop_assert!(stays_at_app(&text), "{text:?}");
            }
        }
    }
}
