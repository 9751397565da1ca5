//! The crates that compute are optimised in two places: in the workspace for tests, and in what cells depend on.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;

/// The crates that a text of Cargo's configuration optimises fully.
fn optimised(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_suffix(" = { opt-level = 3 }"))
        .collect()
}

#[test]
fn cells_compute_with_what_tests_do() {
    let root = common::workspace();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let template = fs::read_to_string(root.join("kernel/src/template.rs")).unwrap();
    let mut tests = optimised(&manifest);
    assert!(tests.contains("candlelight"), "{tests:?}");
    // Has only what links cells to the rest.
    tests.insert("candlelight-cells");
    assert_eq!(optimised(&template), tests);
}
