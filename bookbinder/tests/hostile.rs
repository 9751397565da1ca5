//! What no page of the book asks for, and what the server says to it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[allow(dead_code)]
mod pretend;

use std::sync::Arc;

use bookbinder::bench::page::Page;
use bookbinder::serve::Server;
use common::Book;
use pretend::Pretended;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

struct Serving {
    address: String,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Serving {
    async fn start(book: &Book) -> Self {
        let launcher = Arc::new(Pretended::default());
        let server = Server::bind(&book.project, launcher, 0).await.unwrap();
        Self {
            address: server.address().to_owned(),
            task: tokio::spawn(server.run(std::future::pending())),
        }
    }

    async fn page(&self) -> Page {
        Page::open(&self.address, "a/one").await.unwrap()
    }

    /// What the browser that opened the address gets for a path, sent as it is.
    async fn get(&self, path: &str) -> String {
        let (origin, token) = self.address.split_once("/?token=").unwrap();
        let host = origin.strip_prefix("http://").unwrap();
        let port = host.split(':').nth(1).unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Cookie: candlelight-{port}={token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn book(name: &str) -> Book {
    let book = Book::new(name, &[("a/one", "# One\n\n```rust\nprint 1\n```\n")]);
    std::fs::create_dir_all(book.project.notebooks()).unwrap();
    book
}

#[tokio::test]
async fn what_is_no_cell_or_too_long_for_one_is_not_run() {
    let book = book("no-cell");
    let serving = Serving::start(&book).await;
    let mut page = serving.page().await;
    let ran = page.run_as("cell-2", "print two").await.unwrap();
    assert!(!ran.done.ok && !ran.done.lost);
    assert!(ran.html.contains("a/one has no cell `cell-2`"), "{ran:?}");
    assert!(!ran.html.contains("two"));
    let long = format!("print {}", "x".repeat(10_000_000));
    let ran = page.run(&long).await.unwrap();
    assert!(!ran.done.ok && !ran.done.lost);
    assert!(ran.html.contains("this cell has 10.0 MB"), "{}", ran.html);
    // The connection is as good as before.
    let ran = page.run("print one").await.unwrap();
    assert!(ran.done.ok && ran.html.contains("one"), "{ran:?}");
    // Beyond that it is closed, and another may come.
    assert!(page.run(&"x".repeat(40_000_000)).await.is_err());
    let ran = serving.page().await.run("print again").await.unwrap();
    assert!(ran.done.ok, "{ran:?}");
    assert!(Page::open(&serving.address, "b").await.is_err());
}

#[tokio::test]
async fn no_path_leads_out_of_the_book() {
    let book = book("path");
    std::fs::write(book.project.root.join("secret"), "secret").unwrap();
    let serving = Serving::start(&book).await;
    assert!(serving.get("/a/one.html").await.starts_with("HTTP/1.1 200"));
    for path in [
        "/../../secret",
        "/a/../../../secret",
        "/%2e%2e/%2e%2e/secret",
        "/..%2f..%2fsecret",
        "//secret",
        "/%2fetc/hostname",
        "/a/one.html%00",
        "/../book.toml",
    ] {
        let answer = serving.get(path).await;
        let status = answer.lines().next().unwrap_or_default();
        assert!(status.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(
            !answer.contains("secret\n") && !answer.ends_with("secret"),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn two_servers_on_one_checkout_do_not_disturb_each_other() {
    let book = book("two-servers");
    let (one, two) = (Serving::start(&book).await, Serving::start(&book).await);
    assert_ne!(one.address, two.address);
    let (mut first, mut second) = (one.page().await, two.page().await);
    assert!(first.run("let x").await.unwrap().done.ok);
    assert!(!second.run("use x").await.unwrap().done.ok);
    drop(one);
    assert!(second.run("print still here").await.unwrap().done.ok);
    // The token of one opens no other.
    let (_, token) = two.address.split_once("token=").unwrap();
    let third = Serving::start(&book).await;
    let (origin, _) = third.address.split_once("/?token=").unwrap();
    assert!(
        Page::open(&format!("{origin}/?token={token}"), "a/one")
            .await
            .is_err()
    );
}
