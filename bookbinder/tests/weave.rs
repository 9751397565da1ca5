//! A small book woven by the real kernel. It is built first where it is not there: minutes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use bookbinder::notebook;
use bookbinder::weave::{Kernel, weave};
use common::Book;
use indicatif::ProgressBar;
use kernel_protocol::Output;

#[test]
fn cells_run_in_order_and_a_failing_chapter_stops_no_other() {
    let book = Book::new(
        "kernel",
        &[
            (
                "bad",
                "```rust\nlet secret = 7;\n```\n\n```rust\nsecret.nothing();\n```\n",
            ),
            (
                "good",
                "```rust\nuse candlelight::prelude::*;\nlet v = Var::new(3f32, &Device::Cpu)?;\n\
                 println!(\"made\");\n```\n\n\
                 ```rust\nlet y = (v.as_tensor() * v.as_tensor())?;\n\
                 let gradient = y.backward()?.get(&v).unwrap().to_scalar::<f32>()?;\ngradient\n```\n",
            ),
            ("clean", "```rust\nlet secret: u8 = 1;\nsecret\n```\n"),
        ],
    );
    let bar = ProgressBar::hidden();
    let chapters = book.project.chapters().unwrap();
    let mut kernel = Kernel::new(book.project.clone(), bar.clone()).unwrap();
    let mut done = Vec::new();
    let error = weave(
        &book.project,
        &chapters,
        false,
        &mut kernel,
        &bar,
        &mut |chapter, _| done.push(chapter.name.clone()),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("bad: cell-2 (line 5): ") && error.lines().count() == 1,
        "{error}"
    );
    assert!(error.contains("nothing"), "{error}");
    assert_eq!(done, ["good", "clean"], "{error}");
    assert!(!chapters[0].notebook.exists());

    let good = notebook::read(&chapters[1].notebook).unwrap().unwrap();
    let Output::Stream { name, text } = &good.cells["cell-1"].outputs[0] else {
        panic!("{:?}", good.cells["cell-1"]);
    };
    assert_eq!((name.as_str(), text.as_str()), ("stdout", "made\n"));
    let Output::ExecuteResult { data, .. } = &good.cells["cell-2"].outputs[0] else {
        panic!("{:?}", good.cells["cell-2"]);
    };
    assert_eq!(data["text/plain"], "6.0");
}
