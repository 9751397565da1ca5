//! Where kernels come from: a seam, so that the pool and the sessions are tested without processes.

use anyhow::Result;
use kernel_protocol::{Event, Request};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::engine::{self, Engine};
use crate::project::Project;

/// Starts kernels.
pub trait Launcher: Send + Sync + 'static {
    /// Builds what kernels need; blocks, and reports in lines for a person.
    ///
    /// # Errors
    ///
    /// One line where it cannot be built.
    fn prepare(&self, report: &mut dyn FnMut(&str)) -> Result<()>;

    /// Starts one kernel inside the Tokio runtime; its events end when it does.
    ///
    /// # Errors
    ///
    /// One line where it cannot be started.
    fn start(&self) -> Result<(Box<dyn Kernel>, UnboundedReceiver<Event>)>;
}

/// One running kernel; it ends when this is dropped.
pub trait Kernel: Send {
    /// Hands it a request. A kernel that has died says so by ending its events.
    fn send(&mut self, request: Request);
}

/// The kernels of a project: processes.
pub struct Engines {
    project: Project,
}

impl Engines {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self {
            project: project.clone(),
        }
    }
}

impl Launcher for Engines {
    fn prepare(&self, report: &mut dyn FnMut(&str)) -> Result<()> {
        engine::ensure_built(&self.project, report).map(drop)
    }

    fn start(&self) -> Result<(Box<dyn Kernel>, UnboundedReceiver<Event>)> {
        let (engine, events) = Engine::start(&self.project)?;
        Ok((Box::new(engine), events))
    }
}

impl Kernel for Engine {
    fn send(&mut self, request: Request) {
        // Where the process is gone, its last event says so.
        let _ = Engine::send(self, request);
    }
}
