//! The book over HTTP, with a kernel behind every page.

use anyhow::{Result, bail};

use crate::project::Project;

/// How `cargo book serve` was called.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Whether to open the address in a browser.
    pub open: bool,
}

/// Builds the book if needed and serves it until interrupted.
///
/// # Errors
///
/// One line where the port is taken or the book cannot be built.
pub fn run(_project: &Project, _options: &Options) -> Result<()> {
    bail!("serve is not there yet")
}
