//! Cells in a chapter's kernel: queued, begun, ended.

use std::sync::Arc;

use kernel_protocol::{Event, Output, Request};
use tokio::time::Instant;

use super::shown::Shown;
use super::{Command, Job, PATIENCE, Session, waits};
use crate::serve::message::{Done, ToPage};
use crate::serve::pool::MOST;

impl Session {
    pub(super) fn enqueue(&mut self, job: Job) {
        if let Some(waiting) = self
            .queue
            .iter_mut()
            .find(|waiting| waiting.cell == job.cell)
        {
            *waiting = job;
            return;
        }
        if self
            .running
            .as_ref()
            .is_some_and(|(_, cell)| *cell == job.cell)
        {
            return;
        }
        self.tell(&waits(&job.cell, true));
        self.queue.push_back(job);
        if self.kernel.is_none() {
            self.acquire();
        } else if !self.pool.mark(&self.chapter, true) {
            // Evicted: the word is on its way, and will find this cell waiting.
            return;
        }
        self.advance();
    }

    pub(super) fn acquire(&mut self) {
        if self.is_acquiring {
            return;
        }
        self.is_acquiring = true;
        let doing = self.status.borrow().clone();
        if doing.is_empty() {
            self.say(&format!(
                "waiting for a kernel; at most {MOST} chapters have one at a time"
            ));
        } else {
            self.say(&doing);
        }
        let (pool, chapter, me) = (
            Arc::clone(&self.pool),
            self.chapter.clone(),
            self.me.clone(),
        );
        tokio::spawn(async move {
            let started = pool.acquire(&chapter, me.clone()).await;
            // The session lives as long as the server.
            let _ = me.send(Command::Started(started));
        });
    }

    /// Runs the next cell if the kernel is free.
    fn advance(&mut self) {
        let Some(started) = self
            .kernel
            .as_mut()
            .filter(|_| self.is_ready && self.running.is_none())
        else {
            return;
        };
        let Some(job) = self.queue.pop_front() else {
            self.pool.mark(&self.chapter, false);
            return;
        };
        self.next_id += 1;
        started.kernel.send(Request::Execute {
            id: self.next_id,
            code: job.code.clone(),
        });
        self.begin(job);
    }

    fn begin(&mut self, Job { cell, code, source }: Job) {
        let shown = Shown::new(code, source);
        self.tell(&shown.began(&cell));
        self.shown.insert(cell.clone(), shown);
        self.running = Some((self.next_id, cell));
    }

    pub(super) fn note(&mut self, event: Event) {
        match event {
            Event::Preparing { what } => self.say(&what),
            Event::Ready => {
                self.is_ready = true;
                self.say("");
                self.look_now();
                self.advance();
            }
            Event::Failed { why } => self.lose(&why),
            Event::Output {
                id,
                output,
                display,
            } => {
                if let Some(shown) = self.running_shown(id) {
                    let at = shown.add(output, display);
                    self.flush_at = Some(self.flush_at.map_or(at, |before| before.min(at)));
                }
            }
            Event::Marks { id, marks } => {
                if let Some((running, cell)) = self.running.clone()
                    && running == id
                    && let Some(shown) = self.shown.get_mut(&cell)
                {
                    let message = shown.mark(&cell, marks);
                    self.tell(&message);
                }
            }
            event @ (Event::Completed { .. } | Event::Inspected { .. }) => self.looks.found(event),
            Event::Done {
                id,
                ok,
                lost,
                seconds,
            } => {
                if self.running_shown(id).is_some() {
                    self.finish(Done { ok, lost, seconds });
                }
            }
        }
    }

    fn running_shown(&mut self, id: u64) -> Option<&mut Shown> {
        let (running, cell) = self.running.as_ref()?;
        if *running == id {
            self.shown.get_mut(cell)
        } else {
            None
        }
    }

    pub(super) fn flush(&mut self) {
        self.flush_at = None;
        let Some((_, cell)) = &self.running else {
            return;
        };
        let messages = self
            .shown
            .get_mut(cell)
            .map(|shown| shown.news(cell))
            .unwrap_or_default();
        for message in messages {
            self.tell(&message);
        }
    }

    fn finish(&mut self, done: Done) {
        self.flush();
        self.stopped_by = None;
        let Some((_, cell)) = self.running.take() else {
            return;
        };
        if let Some(shown) = self.shown.get_mut(&cell) {
            shown.done = Some(done.clone());
        }
        let (ok, lost) = (done.ok, done.lost);
        self.tell(&ToPage::Done { cell, done });
        if !ok {
            self.forget_queue();
        }
        if lost && !self.reset_when_done {
            self.gone("this chapter's variables are gone with the cell that ended");
        }
        if self.reset_when_done {
            self.reset();
        } else {
            self.advance();
        }
    }

    fn forget_queue(&mut self) {
        while let Some(job) = self.queue.pop_front() {
            self.tell(&waits(&job.cell, false));
        }
    }

    pub(super) fn interrupt(&mut self) {
        self.forget_queue();
        if self.running.is_some()
            && let Some(started) = &mut self.kernel
        {
            started.kernel.send(Request::Interrupt);
            self.stopped_by = Some(Instant::now() + PATIENCE);
        } else if self.kernel.is_some() {
            self.pool.mark(&self.chapter, false);
        }
    }

    pub(super) fn reset(&mut self) {
        if self.running.is_some() {
            self.reset_when_done = true;
            self.interrupt();
            return;
        }
        self.reset_when_done = false;
        self.forget_queue();
        self.shown.clear();
        let had_one = self.kernel.take().is_some();
        self.is_ready = false;
        self.looks.forget();
        self.gone("reset: this chapter's variables are gone");
        if had_one {
            // The one in reserve is ready at once.
            self.pool.release(&self.chapter);
            self.acquire();
        }
    }

    /// The kernel is no more: the cell that it ran, or the first that waited for it, says so.
    pub(super) fn lose(&mut self, why: &str) {
        self.kernel = None;
        self.is_ready = false;
        self.looks.forget();
        self.reset_when_done = false;
        if self.running.is_none()
            && let Some(job) = self.queue.pop_front()
        {
            self.next_id += 1;
            self.begin(job);
        }
        if let Some((_, cell)) = &self.running
            && let Some(shown) = self.shown.get_mut(cell)
        {
            let error = Output::Error {
                ename: "kernel".to_owned(),
                evalue: why.to_owned(),
                traceback: Vec::new(),
            };
            shown.add(error, None);
            let seconds = shown.seconds();
            self.finish(Done {
                ok: false,
                lost: true,
                seconds,
            });
        } else {
            self.gone(&format!("{why}; this chapter's variables are gone"));
        }
        self.pool.release(&self.chapter);
    }
}
