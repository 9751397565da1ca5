//! A kernel without a process: it understands a few words, one a line.
//!
//! `print WORDS`, `svg`, `progress`, `let NAME`, `use NAME`, `wrong`, `panic`, `loop`, `die`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use bookbinder::serve::launch::{Kernel, Launcher};
use kernel_protocol::{Event, Output, Request};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// Counts the kernels that are alive.
#[derive(Default)]
pub struct Pretended {
    pub alive: Arc<AtomicUsize>,
    pub started: AtomicUsize,
    /// How long a kernel prepares.
    pub warm_up: Duration,
}

impl Launcher for Pretended {
    fn prepare(&self, report: &mut dyn FnMut(&str)) -> Result<()> {
        report("building the kernel");
        std::thread::sleep(self.warm_up);
        Ok(())
    }

    fn start(&self) -> Result<(Box<dyn Kernel>, UnboundedReceiver<Event>)> {
        let (events, receiver) = unbounded_channel();
        self.alive.fetch_add(1, Ordering::SeqCst);
        self.started.fetch_add(1, Ordering::SeqCst);
        let (ready, pause) = (events.clone(), self.warm_up);
        tokio::spawn(async move {
            let what = "preparing a context".to_owned();
            let _ = ready.send(Event::Preparing { what });
            tokio::time::sleep(pause).await;
            let _ = ready.send(Event::Ready);
        });
        let kernel = Words {
            events: Some(events),
            variables: Arc::default(),
            running: None,
            alive: Arc::clone(&self.alive),
        };
        Ok((Box::new(kernel), receiver))
    }
}

struct Words {
    events: Option<UnboundedSender<Event>>,
    variables: Arc<Mutex<BTreeSet<String>>>,
    running: Option<(u64, JoinHandle<bool>)>,
    alive: Arc<AtomicUsize>,
}

impl Kernel for Words {
    fn send(&mut self, request: Request) {
        let Some(events) = self.events.clone() else {
            return;
        };
        match request {
            Request::Execute { id, code } => {
                if code.trim() == "die" {
                    self.events = None;
                    return;
                }
                let variables = Arc::clone(&self.variables);
                self.running = Some((id, tokio::spawn(execute(id, code, events, variables))));
            }
            Request::Interrupt => {
                if let Some((id, running)) = self.running.take() {
                    running.abort();
                    self.variables.lock().unwrap().clear();
                    let _ = events.send(error(id, "interrupt", "the cell was stopped"));
                    let _ = events.send(done(id, false, true));
                }
            }
            Request::Complete { id, code, position } => {
                let _ = events.send(Event::Completed {
                    id,
                    start: 0,
                    end: position,
                    matches: vec![format!("{}_and_more", &code[..position])],
                });
            }
            Request::Inspect { id, code, .. } => {
                let data = BTreeMap::from([("text/plain".to_owned(), code)]);
                let _ = events.send(Event::Inspected { id, data });
            }
            Request::Reset => {
                self.variables.lock().unwrap().clear();
                let _ = events.send(Event::Ready);
            }
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn execute(
    id: u64,
    code: String,
    events: UnboundedSender<Event>,
    variables: Arc<Mutex<BTreeSet<String>>>,
) -> bool {
    let say = |event| {
        let _ = events.send(event);
    };
    for line in code.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "print" => say(stream(id, &format!("{rest}\n"))),
            "svg" => say(Event::Output {
                id,
                output: Output::DisplayData {
                    data: BTreeMap::from([("image/svg+xml".to_owned(), PICTURE.to_owned())]),
                    metadata: serde_json::Map::new(),
                },
                display: None,
            }),
            "progress" => {
                for step in 0..=20 {
                    say(stream(
                        id,
                        &format!("\rstep {step}/20  loss {:.3}\n", 2.3 / f64::from(step + 1)),
                    ));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            "redraw" => {
                for number in 0..3 {
                    let data = format!("picture {number} of {rest}");
                    say(Event::Output {
                        id,
                        output: Output::DisplayData {
                            data: BTreeMap::from([("text/plain".to_owned(), data)]),
                            metadata: serde_json::Map::new(),
                        },
                        display: Some(rest.to_owned()),
                    });
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            "let" => {
                variables.lock().unwrap().insert(rest.to_owned());
            }
            "use" if variables.lock().unwrap().contains(rest) => say(stream(id, "there\n")),
            "use" => {
                let text = format!(
                    "\u{1b}[31merror[E0425]\u{1b}[0m: cannot find value `{rest}` in this scope"
                );
                say(error(id, "compile error", &text));
                say(done(id, false, false));
                return false;
            }
            "panic" => {
                say(error(id, "panic", "a panic: explicit panic"));
                say(done(id, false, false));
                return false;
            }
            "loop" => std::future::pending().await,
            _ => {}
        }
    }
    say(done(id, true, false));
    true
}

fn stream(id: u64, text: &str) -> Event {
    let (name, text) = ("stdout".to_owned(), text.to_owned());
    Event::Output {
        id,
        output: Output::Stream { name, text },
        display: None,
    }
}

fn error(id: u64, ename: &str, text: &str) -> Event {
    Event::Output {
        id,
        output: Output::Error {
            ename: ename.to_owned(),
            evalue: text.to_owned(),
            traceback: vec![text.to_owned()],
        },
        display: None,
    }
}

fn done(id: u64, ok: bool, lost: bool) -> Event {
    Event::Done {
        id,
        ok,
        lost,
        seconds: 0.25,
    }
}

const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 160\" width=\"400\" height=\"160\">\
    <rect width=\"400\" height=\"160\" fill=\"var(--figure-bg, #fff)\"/>\
    <path d=\"M40 20V130H380\" fill=\"none\" stroke=\"var(--figure-fg, #222)\"/>\
    <path d=\"M40 30C120 120 200 120 380 125\" fill=\"none\" stroke=\"#4c78a8\" stroke-width=\"2\"/>\
    <text x=\"200\" y=\"152\" fill=\"var(--figure-fg, #222)\" font-size=\"13\">step</text></svg>";
