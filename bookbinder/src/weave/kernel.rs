//! Cells in a kernel process.

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;
use kernel_protocol::{Event, Request};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Ran, Runner};
use crate::engine::{self, Engine};
use crate::project::Project;

/// Runs cells in a kernel, which is built and started when the first cell needs it.
pub struct Kernel {
    project: Project,
    bar: ProgressBar,
    runtime: Runtime,
    started: Option<(Engine, UnboundedReceiver<Event>)>,
}

impl Kernel {
    /// A kernel that is not started yet; what it does meanwhile goes to the bar.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses what a runtime needs.
    pub fn new(project: Project, bar: ProgressBar) -> Result<Self> {
        Ok(Self {
            project,
            bar,
            runtime: Builder::new_current_thread().enable_all().build()?,
            started: None,
        })
    }
}

impl Runner for Kernel {
    fn reset(&mut self) -> Result<()> {
        let bar = self.bar.clone();
        let mut report = move |what: &str| bar.set_message(what.to_owned());
        let _inside = self.runtime.enter();
        if let Some((engine, _)) = &self.started {
            engine.send(Request::Reset)?;
        } else {
            engine::ensure_built(&self.project, &mut report)?;
            self.started = Some(Engine::start(&self.project)?);
        }
        let Some((_, events)) = self.started.as_mut() else {
            return Err(not_started());
        };
        let ready = self.runtime.block_on(engine::ready(events, &mut report));
        if ready.is_err() {
            // The next chapter gets a kernel of its own.
            self.started = None;
        }
        ready
    }

    fn run(&mut self, code: &str) -> Result<Ran> {
        let (engine, events) = self.started.as_mut().ok_or_else(not_started)?;
        let ran = self
            .runtime
            .block_on(engine::run_cell(engine, events, code));
        if ran.is_err() {
            self.started = None;
        }
        let (outputs, done) = ran?;
        Ok(Ran {
            outputs,
            ok: done.ok,
        })
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Some((engine, _)) = self.started.take() {
            self.runtime.block_on(engine.shutdown());
        }
    }
}

fn not_started() -> anyhow::Error {
    anyhow!("no kernel has been started")
}
