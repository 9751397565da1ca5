//! Cells in a kernel process.

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use super::{Ran, Runner};
use crate::project::Project;

/// Runs cells in a kernel, which is built and started when the first cell needs it.
pub struct Kernel {
    _project: Project,
    _bar: ProgressBar,
}

impl Kernel {
    /// A kernel that is not started yet; what it does meanwhile goes to the bar.
    ///
    /// # Errors
    ///
    /// Where the machine gives no thread.
    pub fn new(project: Project, bar: ProgressBar) -> Result<Self> {
        Ok(Self {
            _project: project,
            _bar: bar,
        })
    }
}

impl Runner for Kernel {
    fn reset(&mut self) -> Result<()> {
        bail!("there is no kernel yet")
    }

    fn run(&mut self, _code: &str) -> Result<Ran> {
        bail!("there is no kernel yet")
    }
}
