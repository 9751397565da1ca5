//! What is printed: a line a family, a line a case that fails.

use std::process::ExitCode;

use crate::case::{Case, Result};
use crate::compare::Answer;

#[derive(Default)]
struct Line {
    name: String,
    compared: usize,
    refused: usize,
    failed: usize,
    error: f64,
    tolerance: f64,
}

pub struct Report {
    filters: Vec<String>,
    /// The families of the file at hand.
    lines: Vec<Line>,
    failures: Vec<String>,
    cases: usize,
    heading: bool,
}

/// As in Rust's own tests: words that a family's name must contain one of. `None` for `--list`.
pub fn filters(arguments: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let with_value = [
        "--skip",
        "--test-threads",
        "--color",
        "--format",
        "--logfile",
        "-Z",
    ];
    let mut filters = vec![];
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--list" {
            return None;
        }
        if with_value.contains(&argument.as_str()) {
            arguments.next();
        } else if !argument.starts_with('-') {
            filters.push(argument);
        }
    }
    Some(filters)
}

impl Report {
    pub fn new(filters: Vec<String>) -> Self {
        Self {
            filters,
            lines: vec![],
            failures: vec![],
            cases: 0,
            heading: false,
        }
    }

    pub fn wanted(&self, family: &str) -> bool {
        let contains = |filter: &String| family.contains(filter) || "parity".contains(filter);
        self.filters.is_empty() || self.filters.iter().any(contains)
    }

    /// A file that cannot be read.
    pub fn file(&mut self, name: &str, error: &str) {
        self.fail(format!("{name}: {error}"));
    }

    pub fn add(
        &mut self,
        file: &str,
        case: &Case,
        family: &str,
        tolerance: f64,
        answer: Result<Answer>,
    ) {
        let at = self.lines.iter().position(|line| line.name == family);
        let at = at.unwrap_or_else(|| {
            self.lines.push(Line {
                name: family.to_string(),
                tolerance,
                ..Line::default()
            });
            self.lines.len() - 1
        });
        let line = &mut self.lines[at];
        self.cases += 1;
        match answer {
            Ok(Answer::Agrees(error)) => {
                line.compared += 1;
                line.error = line.error.max(error);
            }
            Ok(Answer::Refused) => line.refused += 1,
            Err(error) => {
                line.failed += 1;
                self.fail(format!("{file}, {case}: {error}"));
            }
        }
    }

    fn fail(&mut self, message: String) {
        println!("FAILED {message}");
        self.failures.push(message);
    }

    /// The lines of a file that is done.
    pub fn print(&mut self, pytorch: &str) {
        if !self.heading {
            println!(
                "{:<22}{:>8}{:>9}{:>8}{:>15}{:>11}   PyTorch",
                "family", "agree", "refused", "failed", "largest error", "tolerance"
            );
            self.heading = true;
        }
        for line in self.lines.drain(..) {
            println!(
                "{:<22}{:>8}{:>9}{:>8}{:>15.1e}{:>11.0e}   {pytorch}",
                line.name, line.compared, line.refused, line.failed, line.error, line.tolerance
            );
        }
    }

    pub fn finish(self) -> ExitCode {
        let (cases, failed) = (self.cases, self.failures.len());
        println!("{cases} cases, {failed} failures");
        let none = cases == 0 && self.filters.is_empty();
        match failed == 0 && !none {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
