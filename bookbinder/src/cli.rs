//! The command line.

use std::process::ExitCode;

/// Runs the command that the arguments name; an error is one line on stderr.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
