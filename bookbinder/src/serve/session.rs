//! One chapter while the server runs: its kernel, the cells that wait, the outputs so far, and the
//! pages that look at it. A page that comes back, or is opened twice, finds everything as it stands.

mod look;
mod run;
mod shown;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kernel_protocol::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::message::{FromPage, ToPage};
use super::pool::{Pool, Started};
use look::{Look, Looks};
use shown::Shown;

/// A stopped cell ends within this, or its kernel is replaced.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a session is told.
pub enum Command {
    /// A page opened; it gets everything so far, then what changes.
    Join(UnboundedSender<ToPage>),
    /// A page asks; what it asks about a place in a cell it alone hears.
    Page(FromPage, UnboundedSender<ToPage>),
    /// The pool's answer.
    Started(Result<Started>),
    /// The pool takes the kernel away.
    Evict {
        /// What became of it, after "this chapter's kernel".
        why: &'static str,
    },
    /// The server ends.
    Close,
    /// The book was built again.
    Reload,
}

struct Job {
    cell: String,
    code: String,
    source: String,
}

/// See the module.
pub struct Session {
    chapter: String,
    pool: Arc<Pool>,
    status: watch::Receiver<String>,
    me: UnboundedSender<Command>,
    commands: UnboundedReceiver<Command>,
    pages: Vec<UnboundedSender<ToPage>>,
    kernel: Option<Started>,
    is_acquiring: bool,
    is_ready: bool,
    queue: VecDeque<Job>,
    running: Option<(u64, String)>,
    looks: Looks,
    next_id: u64,
    reset_when_done: bool,
    shown: BTreeMap<String, Shown>,
    flush_at: Option<Instant>,
    stopped_by: Option<Instant>,
}

impl Session {
    /// Starts the chapter's task.
    #[must_use]
    pub fn spawn(chapter: &str, pool: &Arc<Pool>) -> UnboundedSender<Command> {
        let (me, commands) = unbounded_channel();
        let session = Self {
            chapter: chapter.to_owned(),
            pool: Arc::clone(pool),
            status: pool.status(),
            me: me.clone(),
            commands,
            pages: Vec::new(),
            kernel: None,
            is_acquiring: false,
            is_ready: false,
            queue: VecDeque::new(),
            running: None,
            looks: Looks::default(),
            next_id: 0,
            reset_when_done: false,
            shown: BTreeMap::new(),
            flush_at: None,
            stopped_by: None,
        };
        tokio::spawn(session.live());
        me
    }

    async fn live(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(Command::Close) => return,
                    Some(command) => self.obey(command),
                },
                event = next_event(&mut self.kernel) => match event {
                    Some(event) => self.note(event),
                    None => self.lose("the kernel ended by itself"),
                },
                () = until(self.flush_at) => self.flush(),
                () = until(self.stopped_by) => self.lose("the cell did not stop, so its kernel was ended"),
                Ok(()) = self.status.changed() => {
                    let status = self.status.borrow_and_update().clone();
                    if self.kernel.is_none() {
                        self.say(&status);
                    }
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join(page) => self.join(page),
            Command::Page(asked, page) => self.answer(asked, page),
            Command::Started(Ok(started)) => {
                self.is_acquiring = false;
                self.kernel = Some(started);
                self.say("preparing this chapter's kernel");
                if self.queue.is_empty() {
                    self.pool.mark(&self.chapter, false);
                }
            }
            Command::Started(Err(error)) => {
                self.is_acquiring = false;
                self.lose(&format!("{error:#}"));
            }
            // It was given a cell in the same moment.
            Command::Evict { why } if self.running.is_some() => {
                self.lose(&format!("this chapter's kernel {why}"));
            }
            Command::Evict { why } => {
                self.kernel = None;
                self.is_ready = false;
                self.looks.forget();
                self.gone(&format!("this chapter's kernel {why}"));
                // A cell that waits gets another.
                if !self.queue.is_empty() {
                    self.acquire();
                }
            }
            Command::Reload => self.tell(&ToPage::Reload { reload: true }),
            Command::Close => {}
        }
    }

    fn answer(&mut self, asked: FromPage, page: UnboundedSender<ToPage>) {
        match asked {
            FromPage::Run { cell, code, source } => self.enqueue(Job { cell, code, source }),
            FromPage::Interrupt {} => self.interrupt(),
            FromPage::Reset {} => self.reset(),
            FromPage::Complete(place) => self.look(Look::Complete, place, page),
            FromPage::Inspect(place) => self.look(Look::Inspect, place, page),
        }
    }

    fn join(&mut self, page: UnboundedSender<ToPage>) {
        let mut messages = Vec::new();
        if self.kernel.is_none() {
            let status = self.status.borrow().clone();
            messages.push(ToPage::Status { status });
        }
        for (cell, shown) in &mut self.shown {
            messages.extend(shown.everything(cell));
        }
        for job in &self.queue {
            messages.push(waits(&job.cell, true));
        }
        // What is not sent yet comes to all pages with the next flush, so this one must not have it.
        if messages
            .into_iter()
            .all(|message| page.send(message).is_ok())
        {
            self.pages.push(page);
        }
    }

    fn say(&mut self, status: &str) {
        self.tell(&ToPage::Status {
            status: status.to_owned(),
        });
    }

    fn gone(&mut self, why: &str) {
        self.tell(&ToPage::Gone {
            gone: why.to_owned(),
        });
    }

    fn tell(&mut self, message: &ToPage) {
        self.pages.retain(|page| page.send(message.clone()).is_ok());
    }
}

fn waits(cell: &str, queued: bool) -> ToPage {
    ToPage::Waits {
        cell: cell.to_owned(),
        queued,
    }
}

async fn next_event(kernel: &mut Option<Started>) -> Option<Event> {
    match kernel {
        Some(started) => started.events.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
