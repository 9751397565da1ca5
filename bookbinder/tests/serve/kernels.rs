//! Which chapter has a kernel, and for how long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bookbinder::serve::message::{FromPage, ToPage};
use bookbinder::serve::pool::{MOST, Pool};
use bookbinder::serve::session::Session;

use crate::page::Page;
use crate::pretend::Pretended;

#[tokio::test]
async fn a_kernel_that_dies_is_replaced_and_others_do_not_notice() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let mut one = Page::open(&Session::spawn("one", &pool));
    let mut two = Page::open(&Session::spawn("two", &pool));
    two.run("cell-1", "let x");
    assert!(two.done("cell-1").await.1);
    one.run("cell-1", "die");
    let (html, ok) = one.done("cell-1").await;
    assert!(!ok && html.contains("the kernel ended by itself"), "{html}");
    one.gone().await;
    one.run("cell-1", "print again");
    assert!(one.done("cell-1").await.1);
    two.run("cell-2", "use x");
    assert!(two.done("cell-2").await.1);
}

#[tokio::test]
async fn the_chapter_idle_longest_makes_room_and_busy_ones_do_not() {
    let launcher = Arc::new(Pretended::default());
    let pool = Pool::new(Arc::clone(&launcher) as _);
    pool.warm().await;
    let alive = || launcher.alive.load(Ordering::SeqCst);
    assert_eq!(alive(), 1, "one in reserve");
    let mut pages: Vec<_> = (0..=MOST)
        .map(|number| Page::open(&Session::spawn(&format!("{number}"), &pool)))
        .collect();
    for (number, page) in pages.iter_mut().enumerate().take(MOST) {
        // The first one is busy and so stays, though it is the oldest.
        page.run("cell-1", if number == 0 { "loop" } else { "let x" });
        if number == 0 {
            page.until(|message| matches!(message, ToPage::Began { .. }))
                .await;
        } else {
            assert!(page.done("cell-1").await.1);
        }
        assert!(alive() <= MOST);
    }
    pages[MOST].run("cell-1", "print five");
    assert!(pages[MOST].done("cell-1").await.1);
    assert!(pages[1].gone().await.contains("made room"));
    assert_eq!(alive(), MOST);
    // It comes back with a new kernel, without its variables.
    pages[1].run("cell-2", "use x");
    assert!(!pages[1].done("cell-2").await.1);
    assert!(pages[2].gone().await.contains("made room"));
    // Those that nobody uses are let go, in the end the one in reserve too, and come back with the next cell.
    pool.let_go(Duration::from_secs(3600));
    assert_eq!(alive(), MOST);
    pool.let_go(Duration::ZERO);
    assert!(pages[3].gone().await.contains("let go"));
    pages[0].ask(FromPage::Interrupt {});
    assert!(!pages[0].done("cell-1").await.1);
    pool.let_go(Duration::ZERO);
    let let_go =
        |message: &ToPage| matches!(message, ToPage::Gone { gone } if gone.contains("let go"));
    pages[0].until(let_go).await;
    assert_eq!(alive(), 0);
    pages[3].run("cell-1", "print back");
    assert!(pages[3].done("cell-1").await.1);
    pool.close().await;
    assert_eq!(alive(), 0);
}

#[tokio::test]
async fn eight_pages_run_cells_at_once() {
    let pool = Pool::new(Arc::new(Pretended::default()));
    let mut pages: Vec<_> = (0..8)
        .map(|number| Page::open(&Session::spawn(&format!("{number}"), &pool)))
        .collect();
    for (number, page) in pages.iter().enumerate() {
        page.run("cell-1", &format!("progress\nprint page {number}"));
    }
    for (number, page) in pages.iter_mut().enumerate() {
        let (html, ok) = page.done("cell-1").await;
        assert!(ok && html.contains(&format!("page {number}")), "{html}");
    }
}
