//! From what a cell prints to events, as it is printed.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kernel_protocol::{Event, Output};

use crate::checkpoints::Checkpoints;
use crate::events::Events;
use crate::memory;
use crate::wire::{Cutter, Panic, Piece};

/// A cell's text beyond this is dropped.
const MOST_TEXT: usize = 1_000_000;
/// A cell's pictures beyond this are dropped.
const MOST_RICH: usize = 32_000_000;
/// How much of stderr's end is looked through for Rust's last words, in bytes.
const LAST_WORDS: usize = 200;
/// How long to wait for the rest of what a process printed that is gone, or is about to be.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the kernel must know about a cell that ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// The panic that ended the cell.
    pub panic: Option<Panic>,
    /// The error that `?` ended the cell with.
    pub error: Option<String>,
    /// How many bytes the cell could not have.
    pub refused: Option<u64>,
    /// What its process has written, where that is gone.
    pub checkpoints: Checkpoints,
}

/// The outputs of the cell that runs.
#[derive(Clone)]
pub struct Outputs {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    events: Events,
}

#[derive(Default)]
struct State {
    /// The cell that runs; what is printed while there is none is dropped.
    cell: Option<(u64, u32)>,
    text: usize,
    rich: usize,
    /// How large the outputs are that have a name.
    named: HashMap<String, usize>,
    cut: bool,
    /// The open streams of each process that ran cells, the first started first.
    open: Vec<u8>,
    /// The process that runs cells now; it may not have connected yet.
    process: usize,
    /// What that process wrote.
    checkpoints: Checkpoints,
    /// Whether stderr has been read to the cell's end.
    err_ended: bool,
    panic: Option<Panic>,
    error: Option<String>,
    refused: Option<u64>,
    /// The end of what came on stderr: Rust writes its last words in portions.
    last_words: String,
    panicked: bool,
    failed: bool,
    /// Lines that evcxr must hear.
    answer: String,
}

impl Outputs {
    /// Listens for the processes that run cells: each connects twice, for its stdout and its stderr.
    pub fn listen(listener: UnixListener, events: Events) -> Self {
        let outputs = Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                events,
            }),
        };
        let shared = Arc::clone(&outputs.shared);
        std::thread::spawn(move || {
            while let (Ok((out, _)), Ok((err, _))) = (listener.accept(), listener.accept()) {
                let mut state = shared.lock();
                let process = state.open.len();
                state.open.push(2);
                drop(state);
                let (for_out, for_err) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || for_out.read(out, "stdout", process));
                std::thread::spawn(move || for_err.read(err, "stderr", process));
            }
        });
        outputs
    }

    /// From now on, outputs belong to this cell.
    pub fn begin(&self, id: u64, count: u32) {
        let mut state = self.shared.lock();
        *state = State {
            cell: Some((id, count)),
            open: std::mem::take(&mut state.open),
            process: state.process,
            checkpoints: std::mem::take(&mut state.checkpoints),
            ..State::default()
        };
    }

    /// Puts an output behind those of the cell that runs.
    pub fn add(&self, output: Output) {
        self.shared.lock().send(&self.shared.events, output, None);
    }

    /// The cell ended; after a crash, once all that its process still printed has been read.
    pub fn end(&self, crashed: bool) -> Ending {
        let mut state = self.shared.lock();
        let mut checkpoints = Checkpoints::default();
        if crashed {
            // A program that the cell started may hold them open: do not wait for it.
            let talks = |state: &mut State| state.open.get(state.process) != Some(&0);
            state = match self
                .shared
                .changed
                .wait_timeout_while(state, PATIENCE, talks)
            {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            state.process += 1;
            checkpoints = std::mem::take(&mut state.checkpoints);
        }
        let mut ending = Ending {
            refused: state.refused,
            checkpoints,
            ..Ending::default()
        };
        if state.panicked {
            ending.panic = state.panic.take();
        }
        if state.failed {
            ending.error = state.error.take();
        }
        state.release(&self.shared.events);
        ending
    }

    /// evcxr has started another process to run cells.
    pub fn restarted(&self) {
        let mut state = self.shared.lock();
        state.process += 1;
        state.checkpoints = Checkpoints::default();
    }

    /// Output after this is dropped, until the next cell begins.
    pub fn close(&self) {
        self.shared.lock().cell = None;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut stream: UnixStream, name: &'static str, process: usize) {
        let mut cutter = Cutter::default();
        let mut portion = vec![0; 1 << 16];
        while let Ok(length @ 1..) = stream.read(&mut portion) {
            let mut ended = false;
            cutter.feed(&portion[..length], &mut |piece| {
                ended |= piece == Piece::End;
                self.lock().take(&self.events, name, piece);
            });
            if ended && name == "stderr" {
                self.lock().err_ended = true;
                self.changed.notify_all();
            } else if ended && self.answer(&mut stream).is_err() {
                break;
            }
        }
        cutter.finish(&mut |piece| self.lock().take(&self.events, name, piece));
        self.lock().open[process] -= 1;
        self.changed.notify_all();
    }

    /// Lets the runtime go on once its stderr, too, has been read to the cell's end.
    fn answer(&self, stream: &mut UnixStream) -> std::io::Result<()> {
        let state = self.lock();
        let waits = |state: &mut State| !state.err_ended;
        let mut state = match self.changed.wait_timeout_while(state, PATIENCE, waits) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
        state.err_ended = false;
        let answer = std::mem::take(&mut state.answer);
        drop(state);
        stream.write_all(&(answer.len() as u32).to_le_bytes())?;
        stream.write_all(answer.as_bytes())
    }
}

impl State {
    fn take(&mut self, events: &Events, name: &str, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => {
                if name == "stderr" {
                    self.listen_for_refusal(&text);
                }
                self.stream(events, name, &text);
            }
            Piece::Content {
                mime,
                display,
                body,
            } => self.content(events, mime, display, body.into_owned()),
            Piece::Panic(panic) => {
                if panic.main {
                    self.release(events);
                    self.panic = Some(panic);
                } else {
                    self.stream(events, "stderr", &told(&panic));
                }
            }
            Piece::Error(error) => {
                self.release(events);
                self.error = Some(error);
            }
            Piece::Panicked => {
                self.panicked = true;
                self.answer.push_str("EVCXR_PANIC_NOTIFICATION\n");
            }
            Piece::Failed => {
                self.failed = true;
                self.answer.push_str("EVCXR_ERROR_OCCURRED\n");
            }
            Piece::Checkpoint { epoch, path } => self.checkpoints.note(path, epoch),
            Piece::Changed(name) => {
                self.answer.push_str("EVCXR_VARIABLE_CHANGED_TYPE:");
                self.answer.push_str(name);
                self.answer.push('\n');
            }
            Piece::End => {}
        }
    }

    fn listen_for_refusal(&mut self, text: &str) {
        self.last_words.push_str(text);
        self.refused = memory::refused(&self.last_words).or(self.refused);
        let mut spare = self.last_words.len().saturating_sub(LAST_WORDS);
        while !self.last_words.is_char_boundary(spare) {
            spare += 1;
        }
        self.last_words.drain(..spare);
    }

    /// Shows as text what was held back as the cell's end and was not.
    fn release(&mut self, events: &Events) {
        if let Some(panic) = self.panic.take() {
            self.stream(events, "stderr", &told(&panic));
        }
        if let Some(error) = self.error.take() {
            self.stream(events, "stderr", &format!("{error}\n"));
        }
    }

    fn stream(&mut self, events: &Events, name: &str, text: &str) {
        if self.cut || text.is_empty() {
            return;
        }
        let mut shown = text.len().min(MOST_TEXT - self.text);
        while !text.is_char_boundary(shown) {
            shown -= 1;
        }
        self.text += shown;
        if shown > 0 {
            self.send(events, stream(name, &text[..shown]), None);
        }
        if shown < text.len() {
            self.cut = true;
            let note = "\n[The cell printed more than 1 MB; the rest is not shown.]\n";
            self.send(events, stream("stderr", note), None);
        }
    }

    fn content(&mut self, events: &Events, mime: &str, display: Option<&str>, body: String) {
        // A loop at the end of a cell has no value to show.
        if mime == "text/plain" && body == "()" {
            return;
        }
        let replaced = display.and_then(|name| self.named.insert(name.to_owned(), body.len()));
        self.rich = self.rich + body.len() - replaced.unwrap_or(0);
        if self.rich > MOST_RICH {
            let note = "[A picture is not shown: the cell's pictures are over 32 MB.]\n";
            self.send(events, stream("stderr", note), None);
            return;
        }
        let data = BTreeMap::from([(mime.to_owned(), body)]);
        let count = self.cell.map(|(_, count)| count);
        let display = display.map(str::to_owned);
        self.send(events, shown(data, count), display);
    }

    fn send(&self, events: &Events, output: Output, display: Option<String>) {
        if let Some((id, _)) = self.cell {
            events.send(&Event::Output {
                id,
                output,
                display,
            });
        }
    }
}

/// Rich output: what is but text is the value of the cell's last expression.
pub fn shown(data: BTreeMap<String, String>, execution_count: Option<u32>) -> Output {
    let metadata = serde_json::Map::new();
    if data.keys().all(|mime| mime == "text/plain") {
        Output::ExecuteResult {
            execution_count,
            data,
            metadata,
        }
    } else {
        Output::DisplayData { data, metadata }
    }
}

fn stream(name: &str, text: &str) -> Output {
    Output::Stream {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// A panic that did not end the cell, as Rust tells it.
fn told(panic: &Panic) -> String {
    let place = panic.place.replace("src/lib.rs", "the cell's code");
    format!("a thread panicked at {place}:\n{}\n", panic.message)
}
