//! What pages hear of the cells that they run.

use std::collections::BTreeMap;
use std::sync::Arc;

use bookbinder::serve::message::{FromPage, ToPage};
use bookbinder::serve::pool::Pool;
use bookbinder::serve::session::Session;

use crate::page::Page;
use crate::pretend::Pretended;

#[tokio::test]
async fn variables_stay_after_a_panic_and_go_with_a_stop() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let mut page = Page::open(&Session::spawn("a", &pool));
    page.run("cell-1", "let x\nprint one\nsvg");
    let (html, ok) = page.done("cell-1").await;
    assert!(
        ok && html.contains("one") && html.contains("<svg"),
        "{html}"
    );
    // What waits behind a cell that fails is not run.
    page.run("cell-2", "panic");
    page.run("cell-3", "print never");
    let (html, ok) = page.done("cell-2").await;
    assert!(!ok && html.contains("output-error"), "{html}");
    page.until(
        |message| matches!(message, ToPage::Waits { cell, queued: false } if cell == "cell-3"),
    )
    .await;
    page.run("cell-3", "use x");
    assert!(page.done("cell-3").await.1);

    page.run("cell-4", "loop");
    page.until(|message| matches!(message, ToPage::Began { cell, .. } if cell == "cell-4"))
        .await;
    page.ask(FromPage::Interrupt {});
    assert!(!page.done("cell-4").await.1);
    page.gone().await;
    page.run("cell-3", "use x");
    let (html, ok) = page.done("cell-3").await;
    assert!(
        !ok && html.contains("ansi-red") && html.contains("cannot find value"),
        "{html}"
    );

    page.run("cell-1", "let x");
    page.ask(FromPage::Reset {});
    page.gone().await;
    page.run("cell-3", "use x");
    assert!(!page.done("cell-3").await.1);
}

#[tokio::test]
async fn a_picture_is_redrawn_in_its_place() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let session = Session::spawn("a", &pool);
    let mut page = Page::open(&session);
    page.run(
        "cell-1",
        "print one\nredraw a\nprint two\nredraw b\nredraw a",
    );
    let said = page
        .until(|message| matches!(message, ToPage::Done { .. }))
        .await;
    let mut shown = BTreeMap::new();
    let mut redrawn = 0;
    for message in said {
        if let ToPage::Output { at, html, .. } = message {
            redrawn += usize::from(shown.insert(at, html).is_some());
        }
    }
    let shown: Vec<String> = shown.into_values().collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    let words = ["one", "picture 2 of a", "two", "picture 2 of b"];
    for (html, word) in shown.iter().zip(words) {
        assert!(html.contains(word), "{word} in {shown:?}");
    }
    assert!(redrawn >= 6, "{redrawn}");
    let (html, _) = Page::open(&session).done("cell-1").await;
    assert_eq!(html, shown.concat());
}

#[tokio::test]
async fn a_second_page_sees_what_the_first_one_ran() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let session = Session::spawn("a", &pool);
    let mut first = Page::open(&session);
    first.run("cell-1", "progress");
    let mut html = String::new();
    for _ in 0..2 {
        let said = first
            .until(|message| matches!(message, ToPage::Output { at: 0, .. }))
            .await;
        if let Some(ToPage::Output { html: last, .. }) = said.last() {
            html.clone_from(last);
        }
    }
    assert_eq!(
        html.matches("step").count(),
        1,
        "a line that rewrites itself stays one line: {html}"
    );
    let mut second = Page::open(&session);
    let (html, ok) = second.done("cell-1").await;
    assert!(ok && html.contains("step 20/20"), "{html}");
    let (html, _) = Page::open(&session).done("cell-1").await;
    assert_eq!(html.matches("step").count(), 1, "{html}");
}

#[tokio::test]
async fn a_page_asks_about_a_place_and_hears_of_nothing_while_a_cell_runs() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let session = Session::spawn("a", &pool);
    let mut page = Page::open(&session);
    let mut asks = Page::open(&session);
    // It brings a kernel, too.
    asks.look(FromPage::Complete, "lét x", 4);
    let found = |message: &ToPage| matches!(message, ToPage::Completed { ask: 7, start: 0, end: 4, matches } if matches == &["lét_and_more"]);
    asks.until(found).await;
    asks.look(FromPage::Inspect, "Conv2d", 3);
    let found = |message: &ToPage| matches!(message, ToPage::Inspected { ask: 7, text } if text == "Conv2d");
    asks.until(found).await;
    // Not the beginning of a character.
    asks.look(FromPage::Complete, "lét x", 2);
    let nothing = |message: &ToPage| matches!(message, ToPage::Completed { matches, .. } if matches.is_empty());
    asks.until(nothing).await;
    page.run("cell-1", "loop");
    page.until(|message| matches!(message, ToPage::Began { .. }))
        .await;
    asks.look(FromPage::Complete, "x", 1);
    asks.until(nothing).await;
}

#[tokio::test]
async fn a_page_that_vanishes_stops_no_cell() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let session = Session::spawn("a", &pool);
    let mut page = Page::open(&session);
    page.run("cell-1", "let x\nprogress");
    page.until(|message| matches!(message, ToPage::Output { .. }))
        .await;
    drop(page);
    let mut back = Page::open(&session);
    let (html, ok) = back.done("cell-1").await;
    assert!(ok && html.contains("step 20/20"), "{html}");
    back.run("cell-2", "use x");
    assert!(back.done("cell-2").await.1);
}
