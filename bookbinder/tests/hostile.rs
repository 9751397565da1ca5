//! What no page of the book asks for, and what the server says to it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[allow(dead_code)]
mod pretend;

use std::sync::Arc;

use bookbinder::bench::page::Page;
use bookbinder::serve::Server;
use bookbinder::serve::access::Access;
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
        Self::start_at(book, [127, 0, 0, 1]).await
    }

    async fn start_at(book: &Book, ip: [u8; 4]) -> Self {
        let launcher = Arc::new(Pretended::default());
        let server = Server::bind_at(&book.project, launcher, (ip, 0).into());
        let server = server.await.unwrap();
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
        let (origin, _) = self.address.split_once("/?token=").unwrap();
        self.get_from(origin.strip_prefix("http://").unwrap(), path)
            .await
    }

    async fn get_from(&self, host: &str, path: &str) -> String {
        let (origin, token) = self.address.split_once("/?token=").unwrap();
        let port = origin.rsplit(':').next().unwrap();
        let own = format!("127.0.0.1:{port}");
        let mut stream = TcpStream::connect(own).await.unwrap();
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

#[tokio::test]
async fn beyond_this_machine_numbers_are_answered_and_names_are_not() {
    let book = book("host");
    let serving = Serving::start_at(&book, [0, 0, 0, 0]).await;
    assert!(
        serving.address.starts_with("http://127.0.0.1:"),
        "{}",
        serving.address
    );
    let port = serving.address.split(['/', ':']).nth(4).unwrap();
    for (host, is_good) in [
        (format!("127.0.0.1:{port}"), true),
        (format!("192.0.2.7:{port}"), true),
        (format!("[2001:db8::1]:{port}"), true),
        (format!("localhost:{port}"), true),
        (format!("evil.example:{port}"), false),
        ("192.0.2.7".to_owned(), false),
        ("192.0.2.7:1".to_owned(), false),
    ] {
        let answer = serving.get_from(&host, "/a/one.html").await;
        assert_eq!(
            answer.starts_with("HTTP/1.1 200"),
            is_good,
            "{host}: {answer}"
        );
        assert!(
            is_good || answer.contains("answers only at its numeric addresses"),
            "{answer}"
        );
    }
    let at = "192.0.2.7:0".parse().unwrap();
    let Err(error) = Server::bind_at(&book.project, Arc::new(Pretended::default()), at).await
    else {
        panic!("this machine has no such address");
    };
    assert!(
        format!("{error:#}").contains("no address 192.0.2.7; --host takes"),
        "{error:#}"
    );
}

#[test]
fn who_lets_other_machines_in_is_told_what_that_means() {
    let warning = |at: &str| Access::new(at.parse().unwrap()).unwrap().warning();
    assert_eq!(warning("127.0.0.1:3000"), None);
    let told = warning("0.0.0.0:3000").unwrap();
    assert!(
        told.contains("can run any code on this machine as you"),
        "{told}"
    );
    assert!(told.contains("ssh -L 3000:127.0.0.1:3000"), "{told}");
}
