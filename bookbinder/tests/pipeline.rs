//! Chapter to notebook to page, with a runner that stands in for the kernel.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use anyhow::Result;
use bookbinder::project::Chapter;
use bookbinder::weave::{Ran, Runner, Woven, weave};
use bookbinder::{build, preprocess};
use common::Book;
use indicatif::ProgressBar;
use kernel_protocol::Output;

/// Shows each cell's code as a picture; a cell with `fail` in it fails.
#[derive(Default)]
struct Pretended {
    ran: Vec<String>,
    resets: usize,
}

impl Runner for Pretended {
    fn reset(&mut self) -> Result<()> {
        self.resets += 1;
        Ok(())
    }

    fn run(&mut self, code: &str) -> Result<Ran> {
        self.ran.push(code.to_owned());
        if code.contains("fail") {
            let error = Output::Error {
                ename: "panic".into(),
                evalue: "it failed".into(),
                traceback: vec!["it failed".into()],
            };
            return Ok(Ran {
                outputs: vec![error],
                ok: false,
            });
        }
        let svg = format!(
            "<svg viewBox=\"0 0 9 9\">\n\n<clipPath id=\"a\"/><g>{}<rect x=\"1\"/></g>\
             <text>a</text><path d=\"M0 0\"/></svg>",
            code.len()
        );
        Ok(Ran {
            outputs: vec![
                Output::Stream {
                    name: "stdout".into(),
                    text: "one\n\ntwo < three\n".into(),
                },
                Output::DisplayData {
                    data: BTreeMap::from([("image/svg+xml".into(), svg)]),
                    metadata: serde_json::Map::new(),
                },
            ],
            ok: true,
        })
    }
}

fn run(book: &Book, all: bool, runner: &mut Pretended) -> Result<Vec<Woven>> {
    let chapters = book.project.chapters()?;
    let mut done = Vec::new();
    let bar = ProgressBar::hidden();
    let mut report = |_: &Chapter, woven| done.push(woven);
    weave(&book.project, &chapters, all, runner, &bar, &mut report)?;
    Ok(done)
}

const CHAPTER: &str = "# One\n\n- in a list\n\n  ```rust\n  let x = 1;\n\n  let y = 2;\n  ```\n\n\
                       <details><summary>S</summary>\n\n```rust\nx\n```\n\n</details>\n\n\
                       [its notebook](../../../notebooks/a-one.ipynb) and *more*\n";

#[test]
fn a_chapter_becomes_a_notebook_and_a_page_with_its_outputs() {
    let book = Book::new("pipeline", &[("a/one", CHAPTER)]);
    let mut runner = Pretended::default();
    assert_eq!(run(&book, false, &mut runner).unwrap(), [Woven::Ran]);
    assert_eq!(runner.ran, ["let x = 1;\n\nlet y = 2;\n", "x\n"]);

    let text = book.read("notebooks/a-one.ipynb");
    assert!(matches!(
        nbformat::parse_notebook(&text),
        Ok(nbformat::Notebook::V4(_))
    ));

    let folder = build::build(&book.project).unwrap();
    let page = std::fs::read_to_string(folder.join("a/one.html")).unwrap();
    assert!(
        page.contains("data-cell=\"cell-1\" data-chapter=\"a/one\""),
        "{page}"
    );
    assert!(page.contains("let x = 1;\n\nlet y = 2;"), "{page}");
    assert!(page.contains("two &lt; three"), "{page}");
    assert_eq!(page.matches("<svg viewbox").count(), 2, "{page}");
    assert!(
        !page.contains("data-stale") && page.contains("<em>more</em>"),
        "{page}"
    );
    assert!(page.contains("href=\"../notebooks/a-one.ipynb\""), "{page}");
    assert!(folder.join("notebooks/a-one.ipynb").is_file());
    // The list's item and the fold still hold their cells.
    let item = page
        .split("<li>")
        .nth(1)
        .unwrap()
        .split("</li>")
        .next()
        .unwrap();
    assert!(
        page.contains("</details>") && page.contains("in a list"),
        "{item}"
    );
}

#[test]
fn only_what_changed_runs_again() {
    let book = Book::new(
        "changed",
        &[("one", "```rust\n1\n```\n"), ("two", "```rust\n2\n```\n")],
    );
    let mut runner = Pretended::default();
    run(&book, false, &mut runner).unwrap();
    assert_eq!(runner.resets, 2);
    assert_eq!(
        run(&book, false, &mut runner).unwrap(),
        [Woven::Fresh, Woven::Fresh]
    );
    book.write("one", "More prose.\n\n```rust\n1\n```\n");
    assert_eq!(
        run(&book, false, &mut runner).unwrap(),
        [Woven::Prose, Woven::Fresh]
    );
    assert!(book.read("notebooks/one.ipynb").contains("two < three"));
    book.write("two", "```rust\n3\n```\n");
    assert_eq!(
        run(&book, false, &mut runner).unwrap(),
        [Woven::Fresh, Woven::Ran]
    );
    assert_eq!(runner.ran, ["1\n", "2\n", "3\n"]);
    assert_eq!(
        run(&book, true, &mut runner).unwrap(),
        [Woven::Ran, Woven::Ran]
    );
}

#[test]
fn a_failing_cell_is_named_and_the_old_notebook_stays() {
    let book = Book::new(
        "failing",
        &[("one", "```rust\n1\n```\n"), ("two", "```rust\n2\n```\n")],
    );
    run(&book, false, &mut Pretended::default()).unwrap();
    let before = book.read("notebooks/one.ipynb");
    book.write("one", "text\n\n```rust\n1\n```\n\n```rust\nfail\n```\n");
    book.write("two", "```rust\n3\n```\n");
    let error = run(&book, false, &mut Pretended::default()).unwrap_err();
    assert_eq!(error.to_string(), "one: cell-2 (line 7): panic: it failed");
    assert_eq!(book.read("notebooks/one.ipynb"), before);
    // The other chapter was written.
    assert_eq!(
        run(&book, false, &mut Pretended::default())
            .unwrap_err()
            .to_string(),
        error.to_string()
    );
    assert!(book.read("notebooks/two.ipynb").contains("\"3\""));
}

#[test]
fn a_changed_cell_shows_no_outputs_of_the_old_one() {
    let book = Book::new("stale", &[("one", "```rust\n1\n```\n\n```rust\n2\n```\n")]);
    run(&book, false, &mut Pretended::default()).unwrap();
    book.write("one", "```rust\n1\n```\n\n```rust\n20\n```\n");
    let chapter = &book.project.chapters().unwrap()[0];
    let page = preprocess::html(&book.project, chapter, &chapter.read().unwrap()).unwrap();
    assert_eq!(page.matches("output-display").count(), 1, "{page}");
    assert_eq!(page.matches("data-stale").count(), 1, "{page}");
}

#[test]
fn an_unclosed_fence_and_an_unknown_chapter_are_one_line() {
    let book = Book::new("unclosed", &[("a/one", "text\n\n```rust\n1\n")]);
    let expected =
        "a/one: line 3: this fence is never closed; end the block with a line of its own fence";
    let error = run(&book, false, &mut Pretended::default()).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = build::build(&book.project).unwrap_err();
    assert_eq!(format!("{error:#}"), expected);
    let error = book.project.select(&["no".into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown chapter `no`; the chapters are a/one"
    );
}
