//! The kernels: one for each chapter that runs cells, a few at most, and a warm one in reserve.
//!
//! A kernel takes memory, so a chapter gets one at its first run, not when its page opens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use kernel_protocol::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, watch};

use super::launch::{Kernel, Launcher};
use super::session::Command;
use super::terminal;

/// Kernels at one time, the one in reserve included. On Linux one more takes 22 MB and what its cells keep, elsewhere a
/// gigabyte.
pub const MOST: usize = if cfg!(target_os = "linux") { 12 } else { 4 };
/// How often the end of the kernels is looked for before the server ends without it.
const LAST_LOOKS: usize = 150;

/// A kernel and what it says.
pub struct Started {
    /// Ends the kernel when dropped.
    pub kernel: Box<dyn Kernel>,
    /// Ends when the kernel does.
    pub events: UnboundedReceiver<Event>,
    _alive: Arc<()>,
}

struct Held {
    session: UnboundedSender<Command>,
    busy: bool,
    used: Instant,
}

#[derive(Default)]
struct State {
    held: HashMap<String, Held>,
    spare: Option<(u64, Started)>,
    /// When a chapter last did something with a kernel.
    used: Option<Instant>,
    started: u64,
    is_closed: bool,
}

/// See the module.
pub struct Pool {
    launcher: Arc<dyn Launcher>,
    prepared: tokio::sync::Mutex<bool>,
    state: Mutex<State>,
    freed: Notify,
    /// One more for each kernel.
    alive: Arc<()>,
    /// What is being done while no chapter has a kernel of its own.
    status: watch::Sender<String>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(launcher: Arc<dyn Launcher>) -> Arc<Self> {
        Arc::new(Self {
            launcher,
            prepared: tokio::sync::Mutex::new(false),
            state: Mutex::default(),
            freed: Notify::new(),
            alive: Arc::default(),
            status: watch::Sender::new(String::new()),
        })
    }

    /// What is being done, as it changes; empty where a kernel waits.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<String> {
        self.status.subscribe()
    }

    /// Builds the kernel and starts the one in reserve.
    pub async fn warm(self: &Arc<Self>) {
        match self.prepare().await {
            Ok(()) => self.refill(),
            Err(error) => self.fail(&format!("no cell can run: {error:#}")),
        }
    }

    /// Starts a kernel in reserve where there is none and room for one.
    pub fn refill(self: &Arc<Self>) {
        let mut state = self.state();
        if state.spare.is_none() && state.held.len() < MOST {
            match self.start(&mut state) {
                Ok(spare) => state.spare = Some(spare),
                Err(error) => self.fail(&format!("no kernel starts: {error:#}")),
            }
        }
    }

    /// A kernel for this chapter: the one in reserve, a new one, or the place of the chapter that has
    /// been idle longest. Where every chapter is busy, waits for one that is not.
    ///
    /// # Errors
    ///
    /// One line where none can be built or started.
    pub async fn acquire(
        self: &Arc<Self>,
        chapter: &str,
        session: UnboundedSender<Command>,
    ) -> Result<Started> {
        self.prepare().await?;
        loop {
            let freed = self.freed.notified();
            if let Some(started) = self.try_acquire(chapter, &session)? {
                return Ok(started);
            }
            freed.await;
        }
    }

    fn try_acquire(
        self: &Arc<Self>,
        chapter: &str,
        session: &UnboundedSender<Command>,
    ) -> Result<Option<Started>> {
        let mut state = self.state();
        if state.held.len() >= MOST {
            let idle = state.held.iter().filter(|(_, held)| !held.busy);
            let Some(oldest) = idle.min_by_key(|(_, held)| held.used) else {
                return Ok(None);
            };
            let oldest = oldest.0.clone();
            if let Some(held) = state.held.remove(&oldest) {
                // A session that is gone needs no word.
                let why = "made room for another chapter";
                let _ = held.session.send(Command::Evict { why });
            }
        }
        let started = match state.spare.take() {
            Some((_, spare)) => spare,
            None => self.start(&mut state)?.1,
        };
        state.held.insert(
            chapter.to_owned(),
            Held {
                session: session.clone(),
                busy: true,
                used: Instant::now(),
            },
        );
        Ok(Some(started))
    }

    /// Notes whether a chapter runs something. False where its kernel was given up meanwhile.
    pub fn mark(self: &Arc<Self>, chapter: &str, busy: bool) -> bool {
        let now = Instant::now();
        let is_held = {
            let mut state = self.state();
            state.used = Some(now);
            match state.held.get_mut(chapter) {
                Some(held) => {
                    (held.busy, held.used) = (busy, now);
                    true
                }
                None => false,
            }
        };
        if !busy {
            self.freed.notify_waiters();
            self.refill();
        }
        is_held
    }

    /// The chapter's kernel is no more.
    pub fn release(self: &Arc<Self>, chapter: &str) {
        self.state().held.remove(chapter);
        self.freed.notify_waiters();
        self.refill();
    }

    /// Ends kernels that nobody has used for so long, at last the one in reserve. The next cell brings one back.
    pub fn let_go(&self, idle: Duration) {
        let mut state = self.state();
        let old = state
            .held
            .extract_if(|_, held| !held.busy && held.used.elapsed() >= idle);
        for (_, held) in old {
            let why = "was let go, since it was not used for long";
            let _ = held.session.send(Command::Evict { why });
        }
        let used = state.used.is_some_and(|used| used.elapsed() < idle);
        if state.held.is_empty() && !used {
            state.spare = None;
        }
    }

    /// Ends the kernel in reserve, has every session end its own, and waits until they have.
    pub async fn close(&self) {
        {
            let mut state = self.state();
            state.is_closed = true;
            state.spare = None;
            for held in state.held.drain().map(|(_, held)| held) {
                let _ = held.session.send(Command::Close);
            }
        }
        for _ in 0..LAST_LOOKS {
            if Arc::strong_count(&self.alive) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn prepare(self: &Arc<Self>) -> Result<()> {
        let mut prepared = self.prepared.lock().await;
        if !*prepared {
            let pool = Arc::clone(self);
            let work = move || pool.launcher.prepare(&mut |line| pool.say(line));
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| anyhow!("the build of the kernel was broken off"))??;
            *prepared = true;
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, state: &mut State) -> Result<(u64, Started)> {
        if state.is_closed {
            bail!("the server ends");
        }
        let (kernel, from) = self.launcher.start()?;
        state.started += 1;
        let id = state.started;
        let (to, events) = unbounded_channel();
        tokio::spawn(Arc::clone(self).forward(id, from, to));
        let _alive = Arc::clone(&self.alive);
        Ok((
            id,
            Started {
                kernel,
                events,
                _alive,
            },
        ))
    }

    /// Passes a kernel's events on, and says on the terminal what it prepares.
    async fn forward(
        self: Arc<Self>,
        id: u64,
        mut from: UnboundedReceiver<Event>,
        to: UnboundedSender<Event>,
    ) {
        let mut is_preparing = true;
        while let Some(event) = from.recv().await {
            match &event {
                Event::Preparing { what } if is_preparing => self.say(what),
                Event::Ready if is_preparing => {
                    is_preparing = false;
                    self.say("");
                    terminal::done("kernel: ready");
                }
                // A kernel that the server itself ends has nothing to tell.
                Event::Failed { why } if !self.state().is_closed => self.fail(why),
                _ => {}
            }
            // A session that ended no longer listens.
            let _ = to.send(event);
        }
        let mut state = self.state();
        if state.spare.as_ref().is_some_and(|(spare, _)| *spare == id) {
            state.spare = None;
        }
    }

    fn say(&self, line: &str) {
        self.status.send_if_modified(|status| {
            let is_new = status != line;
            if is_new {
                if !line.is_empty() {
                    terminal::doing(&format!("kernel: {line}"));
                }
                line.clone_into(status);
            }
            is_new
        });
    }

    fn fail(&self, why: &str) {
        terminal::done(&format!("kernel: {why}"));
        self.status.send_replace(why.to_owned());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
