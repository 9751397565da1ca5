//! What is optimised, and how far, stands in two places: in the workspace for tests, and in what cells depend on.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;

/// The lines that give a crate a level, of the first list in the text.
fn levels(text: &str) -> BTreeSet<&str> {
    let (_, list) = text.split_once("\n[profile.dev.package]\n").unwrap();
    list.lines()
        .take_while(|line| !line.is_empty() && !line.starts_with(['[', '"']))
        .filter(|line| line.contains("opt-level"))
        .collect()
}

#[test]
fn cells_compute_with_what_tests_do() {
    let root = common::workspace();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let template = fs::read_to_string(root.join("kernel/src/template.rs")).unwrap();
    let mut tests = levels(&manifest);
    assert!(
        tests.contains("candlelight = { opt-level = 3 }"),
        "{tests:?}"
    );
    // Has only what links cells to the rest.
    tests.insert("candlelight-cells = { opt-level = 3 }");
    assert_eq!(levels(&template), tests);
}
