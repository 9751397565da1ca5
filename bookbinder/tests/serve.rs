//! The server with a kernel that is none: who may speak, and what cells and pages hear.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod pretend;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bookbinder::serve::Server;
use bookbinder::serve::message::{FromPage, Place, ToPage};
use bookbinder::serve::pool::{MOST, Pool};
use bookbinder::serve::session::{Command, Session};
use common::Book;
use pretend::Pretended;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

fn book(name: &str) -> Book {
    let book = Book::new(
        name,
        &[
            ("a/one", "# One\n\n```rust\nprint 1\n```\n"),
            ("two", "# Two\n"),
        ],
    );
    std::fs::create_dir_all(book.project.notebooks()).unwrap();
    book
}

/// The status line, headers and body of an answer.
async fn ask(port: u16, path: &str, headers: &[(&str, &str)]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !headers.contains(&UPGRADE[0]) {
        request += "Connection: close\r\n";
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // A connection that stays open has no end.
    let pause = Duration::from_millis(300);
    while let Ok(Ok(length)) = tokio::time::timeout(pause, stream.read(&mut piece)).await {
        if length == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn only_the_browser_that_opened_the_printed_address_gets_in() {
    let book = book("access");
    let server = Server::bind(&book.project, Arc::new(Pretended::default()), 0)
        .await
        .unwrap();
    let address = server.address().to_owned();
    let (origin, token) = address.split_once("/?token=").unwrap();
    let host = origin.strip_prefix("http://").unwrap();
    let port: u16 = host.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    let serving = tokio::spawn(server.run(std::future::pending()));

    let refused = |answer: &str, why: &str| {
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains(why), "{answer}");
    };
    let ours = ("Host", host);
    refused(
        &ask(port, "/", &[ours]).await,
        "open the address that `cargo book` printed",
    );
    refused(&ask(port, "/live.css", &[ours]).await, "printed");
    refused(&ask(port, "/?token=0123", &[ours]).await, "printed");
    refused(
        &ask(port, "/", &[ours, ("Cookie", "candlelight=1")]).await,
        "printed",
    );
    let with_token = format!("/a/one.html?x=1&token={token}");
    for foreign in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        &format!("evil.example:{port}"),
    ] {
        refused(
            &ask(port, &with_token, &[("Host", foreign)]).await,
            "answers only at http://127.0.0.1:",
        );
    }
    refused(&ask(port, &with_token, &[]).await, "answers only at");

    let welcome = ask(port, &with_token, &[ours]).await;
    assert!(welcome.starts_with("HTTP/1.1 303"), "{welcome}");
    assert!(
        welcome.contains("\r\nlocation: /a/one.html?x=1\r\n"),
        "{welcome}"
    );
    let cookie = welcome.split("set-cookie: ").nth(1).unwrap();
    let cookie = cookie.lines().next().unwrap();
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    let elsewhere = ask(port, &format!("//evil.example/?token={token}"), &[ours]).await;
    assert!(
        elsewhere.contains("\r\nlocation: /evil.example/\r\n"),
        "{elsewhere}"
    );

    let known = ("Cookie", cookie.split(';').next().unwrap());
    let page = ask(port, "/a/one.html", &[ours, known]).await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("data-cell=\"cell-1\""),
        "{page}"
    );
    let localhost = format!("localhost:{port}");
    assert!(
        ask(port, "/", &[("Host", &localhost), known])
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        ask(port, "/none.html", &[ours, known])
            .await
            .starts_with("HTTP/1.1 404")
    );
    refused(
        &ask(port, "/", &[ours, known, ("Origin", "http://evil.example")]).await,
        "another site",
    );

    let socket = "/ws?chapter=a/one";
    let ws = |more: &[(&'static str, String)]| {
        let more = more.to_vec();
        async move {
            let mut headers = UPGRADE.to_vec();
            headers.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            ask(port, socket, &headers).await
        }
    };
    let (host, cookie) = (("Host", host.to_owned()), ("Cookie", known.1.to_owned()));
    let from = |origin: &str| ("Origin", origin.to_owned());
    refused(&ws(&[host.clone(), cookie.clone()]).await, "which page");
    refused(
        &ws(&[host.clone(), cookie.clone(), from("null")]).await,
        "another site",
    );
    refused(
        &ws(&[host.clone(), cookie.clone(), from("https://evil.example")]).await,
        "another site",
    );
    refused(&ws(&[host.clone(), from(origin)]).await, "printed");
    refused(
        &ws(&[
            ("Host", "evil.example".to_owned()),
            cookie.clone(),
            from(origin),
        ])
        .await,
        "answers only",
    );
    let open = ws(&[host, cookie, from(origin)]).await;
    assert!(open.starts_with("HTTP/1.1 101"), "{open}");
    serving.abort();
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_cure() {
    let book = book("taken");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let Err(error) = Server::bind(&book.project, Arc::new(Pretended::default()), port).await else {
        panic!("the port was taken");
    };
    let message = format!("{error:#}");
    assert!(
        message.starts_with(&format!("port {port} is taken;")),
        "{message}"
    );
    assert!(message.contains("`cargo book --port "), "{message}");
    assert_eq!(message.lines().count(), 1);
    assert!(!Path::new(&book.project.book().join("book")).exists());
}

#[tokio::test]
async fn a_chapter_that_changes_is_built_again_and_its_page_told() {
    let book = book("watch");
    let server = Server::bind(&book.project, Arc::new(Pretended::default()), 0)
        .await
        .unwrap();
    let address = server.address().to_owned();
    let (origin, token) = address.split_once("/?token=").unwrap();
    let host = origin.strip_prefix("http://").unwrap();
    let port = host.split(':').nth(1).unwrap();
    let serving = tokio::spawn(server.run(std::future::pending()));
    let mut socket = TcpStream::connect(host).await.unwrap();
    let headers: String = UPGRADE
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "GET /ws?chapter=two HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\
         Cookie: candlelight-{port}={token}\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    book.write("two", "# Two, changed\n");
    let (mut said, mut piece) = (String::new(), [0; 1024]);
    while !said.contains("{\"reload\":true}") {
        let reading = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut piece));
        let length = reading.await.unwrap().unwrap();
        assert!(length > 0, "{said}");
        said += &String::from_utf8_lossy(&piece[..length]);
    }
    assert!(book.read("book/book/two.html").contains("Two, changed"));
    serving.abort();
}

/// A page without a browser.
struct Page {
    session: UnboundedSender<Command>,
    own: UnboundedSender<ToPage>,
    messages: UnboundedReceiver<ToPage>,
}

impl Page {
    fn open(session: &UnboundedSender<Command>) -> Self {
        let (page, messages) = unbounded_channel();
        session.send(Command::Join(page.clone())).ok().unwrap();
        Self {
            own: page,
            session: session.clone(),
            messages,
        }
    }

    fn ask(&self, asked: FromPage) {
        self.session
            .send(Command::Page(asked, self.own.clone()))
            .ok()
            .unwrap();
    }

    fn look(&self, look: fn(Place) -> FromPage, code: &str, position: usize) {
        self.ask(look(Place {
            ask: 7,
            code: code.to_owned(),
            position,
        }));
    }

    fn run(&self, cell: &str, code: &str) {
        self.ask(FromPage::Run {
            cell: cell.to_owned(),
            code: code.to_owned(),
            source: String::new(),
        });
    }

    /// What was said up to the first message that fits.
    async fn until(&mut self, fits: impl Fn(&ToPage) -> bool) -> Vec<ToPage> {
        let mut said = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(5), self.messages.recv()).await;
            let Ok(Some(next)) = next else {
                panic!("not said after {said:#?}");
            };
            let is_last = fits(&next);
            said.push(next);
            if is_last {
                return said;
            }
        }
    }

    /// The outputs of a cell until it is done, and whether it ended well.
    async fn done(&mut self, wanted: &str) -> (String, bool) {
        let said = self
            .until(|message| matches!(message, ToPage::Done { cell, .. } if cell == wanted))
            .await;
        let ok = matches!(said.last(), Some(ToPage::Done { done, .. }) if done.ok);
        let html = said.into_iter().filter_map(|message| match message {
            ToPage::Output { cell, html, .. } if cell == wanted => Some(html),
            _ => None,
        });
        (html.collect(), ok)
    }

    async fn gone(&mut self) -> String {
        let said = self
            .until(|message| matches!(message, ToPage::Gone { .. }))
            .await;
        match said.into_iter().last() {
            Some(ToPage::Gone { gone }) => gone,
            _ => String::new(),
        }
    }
}

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
