//! A web server of the tests' own, on loopback, that misbehaves on request.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// The file, or the rest of it from where the request asks.
    Whole,
    /// The whole file, whatever part was asked for.
    NoRanges,
    /// The file without its length, ended by closing the connection.
    NoLength,
    /// So many bytes of what is asked for, then the connection ends.
    Cut(usize),
    /// As `Cut`, from a server that does not know ranges.
    CutNoRanges(usize),
    /// So many bytes, then nothing, with the connection open.
    Stall(usize),
    /// A byte every 20 ms.
    Drip,
    /// Nothing at all.
    Silent,
    /// As many bytes, but others.
    Wrong,
    /// A range that begins elsewhere.
    OtherRange,
    /// A file of a terabyte.
    Endless,
    Status(u16),
}

/// A request: its path, and the first byte that it asks for.
pub type Request = (String, Option<usize>);

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `file(path)`; `answer` gets each request's number and the request.
    pub fn start(
        file: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (requests.clone(), stop.clone());
        let (file, answer) = (Arc::new(file), Arc::new(answer));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (file, answer) = (file.clone(), answer.clone());
                let (seen, stopped) = (seen.clone(), stopped.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let Some(request) = read_request(&stream) else {
                        return;
                    };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let answer = answer(number, &request);
                    // A client that went away is no error of the server.
                    respond(stream, &file(&request.0), request.1, answer, &stopped).ok();
                });
            }
        });
        Self {
            url,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches('/')).ok();
        self.thread.take().map(thread::JoinHandle::join);
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.trim_start_matches('/').to_string();
    let mut start = None;
    for line in lines {
        let line = line.ok()?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
    }
    Some((path, start))
}

fn respond(
    mut stream: TcpStream,
    file: &[u8],
    start: Option<usize>,
    answer: Answer,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let wait = || {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    };
    let mut head = |status: &str, length: Option<usize>, range: Option<usize>| {
        let length = length.map_or(String::new(), |n| format!("Content-Length: {n}\r\n"));
        let size = file.len();
        let range = range.map_or(String::new(), |first| {
            format!("Content-Range: bytes {first}-{}/{size}\r\n", size - 1)
        });
        let head = format!("HTTP/1.1 {status}\r\n{length}{range}Connection: close\r\n\r\n");
        stream
            .write_all(head.as_bytes())
            .map(|()| stream.try_clone())
    };
    // Headers of the file from `from` on.
    let mut part = |from: Option<usize>| match from {
        Some(first) if first >= file.len() => head("416 Range Not Satisfiable", Some(0), None),
        Some(first) => head("206 Partial Content", Some(file.len() - first), from),
        None => head("200 OK", Some(file.len()), None),
    };
    let rest = &file[start.unwrap_or(0).min(file.len())..];
    match answer {
        Answer::Whole => part(start)??.write_all(rest)?,
        Answer::NoRanges => part(None)??.write_all(file)?,
        Answer::Cut(count) => part(start)??.write_all(&rest[..count.min(rest.len())])?,
        Answer::CutNoRanges(count) => part(None)??.write_all(&file[..count])?,
        Answer::Stall(count) => {
            part(start)??.write_all(&rest[..count.min(rest.len())])?;
            wait();
        }
        Answer::Drip => {
            let mut stream = part(start)??;
            for byte in rest {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::Silent => wait(),
        Answer::Wrong => part(start)??.write_all(&vec![7; rest.len()])?,
        Answer::NoLength => head("200 OK", None, None)??.write_all(file)?,
        Answer::OtherRange => {
            head("206 Partial Content", Some(file.len()), Some(0))??.write_all(file)?;
        }
        Answer::Endless => head("200 OK", Some(1 << 40), None)??.write_all(file)?,
        Answer::Status(code) => drop(head(&format!("{code} Said So"), Some(0), None)??),
    }
    Ok(())
}
