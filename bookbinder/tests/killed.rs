//! The server is killed: nothing that it started lives on, and the next one starts as ever.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bookbinder::bench::page::Page;
use bookbinder::serve::message::{FromPage, ToPage};

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bookbinder"))
            .args(["--port", "0"])
            .current_dir(common::workspace())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { process, address }
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_alive(process: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat"));
    // Who has ended and waits to be noticed is no longer alive.
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[tokio::test]
async fn what_it_started_ends_with_it_and_another_starts_as_ever() {
    let mut server = Server::start();
    let mut page = Page::open(&server.address, "conv2d/stride").await.unwrap();
    page.ask(&FromPage::Run {
        cell: "cell-1".to_owned(),
        code: "let child = std::process::Command::new(\"sleep\").arg(\"1000\").spawn()?;\n\
               println!(\"{} {}.\", std::process::id(), child.id());\nloop {}"
            .to_owned(),
        source: String::new(),
    })
    .await
    .unwrap();
    let mut shown = String::new();
    while !shown.contains('.') {
        match page.hear().await.unwrap() {
            ToPage::Output { html, .. } => shown = html,
            ToPage::Done { .. } => panic!("{shown}"),
            _ => {}
        }
    }
    let numbers: Vec<_> = shown
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| digits.parse::<u32>().is_ok_and(|number| number > 100))
        .collect();
    let [cell, child] = numbers[..] else {
        panic!("{shown}");
    };
    assert!(is_alive(cell) && is_alive(child), "{shown}");
    server.kill();
    let killed = Instant::now();
    while is_alive(cell) || is_alive(child) {
        assert!(killed.elapsed() < Duration::from_secs(5), "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // At once, while the warm context of the first may still be there.
    let server = Server::start();
    let mut page = Page::open(&server.address, "conv2d/stride").await.unwrap();
    let ran = page.run("println!(\"{}\", 6 * 7);").await.unwrap();
    ran.shows("42").unwrap();
}
