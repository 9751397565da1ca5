//! Who may speak to the server, and over which port.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookbinder::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::Book;
use crate::pretend::Pretended;

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
