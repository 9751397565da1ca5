//! Where kernels come from: a seam, so that the pool and the sessions are tested without processes.

use anyhow::{Result, bail};
use kernel_protocol::{Event, Request};
use tokio::sync::mpsc::UnboundedReceiver;

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
    _project: Project,
}

impl Engines {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self {
            _project: project.clone(),
        }
    }
}

impl Launcher for Engines {
    fn prepare(&self, _report: &mut dyn FnMut(&str)) -> Result<()> {
        bail!("there is no kernel yet")
    }

    fn start(&self) -> Result<(Box<dyn Kernel>, UnboundedReceiver<Event>)> {
        bail!("there is no kernel yet")
    }
}
