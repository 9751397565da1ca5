//! What `cargo book check` finds, and that it names chapter and line.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, HashMap};

use bookbinder::check::check;
use bookbinder::notebook;
use common::Book;
use kernel_protocol::Output;

const MOVED: &str = "# M\n\n```rust\nlet a = 1;\na\n```\n";

#[test]
fn everything_wrong_is_listed_with_its_chapter_and_line() {
    let book = Book::new(
        "check",
        &[
            (
                "a/links",
                "# Links\n\n[ok](../code.md#x-y) [ok](#links)\n\n[gone](none.md)\n\n\
                 [anchor](../code.md#nowhere)\n\n![image](none.png)\n\n<a href=\"none.html\">x</a>\n",
            ),
            (
                "code",
                "# X: y\n\n```rust\nlet x = 1u8;\n```\n\ntext\n\n```rust\nlet y: String = x;\ny\n```\n",
            ),
            ("fence", "text\n\n```rust\n1\n"),
            ("moved", MOVED),
        ],
    );
    let chapters = book.project.chapters().unwrap();
    let moved = chapters.last().unwrap();
    let value = Output::ExecuteResult {
        execution_count: Some(1),
        data: BTreeMap::from([("text/plain".into(), "Figure(3 × 4, 5 bytes of SVG)".into())]),
        metadata: serde_json::Map::new(),
    };
    let outputs = HashMap::from([("cell-1".into(), vec![value])]);
    std::fs::create_dir_all(book.project.notebooks()).unwrap();
    let text = notebook::write(&book.project, moved, MOVED, &outputs, "").unwrap();
    std::fs::write(&moved.notebook, text).unwrap();
    let found: Vec<_> = check(&book.project)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let starts = [
        "a/links: it has no notebook; run `cargo book weave a/links`",
        "a/links: line 5: the link `none.md` is broken",
        "a/links: line 7: the link `../code.md#nowhere` is broken: that page has no `#nowhere`",
        "a/links: line 9: the link `none.png` is broken",
        "a/links: line 11: the link `none.html` is broken",
        "code: it has no notebook",
        "code: line 10: error[E0308]: mismatched types",
        "fence: it has no notebook",
        "fence: line 3: this fence is never closed",
        "moved: line 3: the picture shows as text",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found} / {start}");
    }
}
