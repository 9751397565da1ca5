//! What a cell's live outputs are, and which of them the pages have.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel_protocol::{Mark, Output};
use tokio::time::Instant;

use crate::outputs::Outputs;
use crate::render;
use crate::serve::message::{Done, ToPage};

/// Between two messages about a cell that prints and prints.
const PAUSE: Duration = Duration::from_millis(40);
/// The same once its last output is so long that rendering it anew takes time.
const LONG_PAUSE: Duration = Duration::from_millis(700);
const LONG: usize = 64 * 1024;

/// The outputs of one run of a cell.
pub struct Shown {
    outputs: Outputs,
    code: String,
    source: String,
    began: Instant,
    /// How many outputs the pages have.
    sent: usize,
    /// Which of those changed since.
    changed: BTreeSet<usize>,
    /// Where it went wrong.
    marks: Vec<Mark>,
    /// How it ended, once it has.
    pub done: Option<Done>,
}

impl Shown {
    /// A cell that begins now.
    pub fn new(code: String, source: String) -> Self {
        Self {
            outputs: Outputs::default(),
            code,
            source,
            began: Instant::now(),
            sent: 0,
            changed: BTreeSet::new(),
            marks: Vec::new(),
            done: None,
        }
    }

    /// How long it has been running.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Takes an output; says when the pages should have it.
    pub fn add(&mut self, output: Output, display: Option<String>) -> Instant {
        let at = self.outputs.add(output, display);
        if at < self.sent {
            self.changed.insert(at);
        }
        let pause = match self.outputs.all().get(at) {
            Some(Output::Stream { text, .. }) if text.len() > LONG => LONG_PAUSE,
            _ => PAUSE,
        };
        Instant::now() + pause
    }

    /// What the pages do not have yet.
    pub fn news(&mut self, cell: &str) -> Vec<ToPage> {
        let all = self.outputs.all();
        let changed = std::mem::take(&mut self.changed);
        let new = changed.into_iter().chain(self.sent..all.len());
        let messages = new
            .filter_map(|at| {
                Some(ToPage::Output {
                    cell: cell.to_owned(),
                    html: render::output(all.get(at)?),
                    at,
                })
            })
            .collect();
        self.sent = all.len();
        messages
    }

    /// That it began.
    pub fn began(&self, cell: &str) -> ToPage {
        ToPage::Began {
            cell: cell.to_owned(),
            began: self.seconds(),
            source: self.source.clone(),
        }
    }

    /// Takes where it went wrong, and gives what to tell the pages.
    pub fn mark(&mut self, cell: &str, marks: Vec<Mark>) -> ToPage {
        self.marks = marks;
        self.marked(cell)
    }

    fn marked(&self, cell: &str) -> ToPage {
        ToPage::Marks {
            cell: cell.to_owned(),
            code: self.code.clone(),
            marks: self.marks.clone(),
        }
    }

    /// All that the other pages have, for a new one.
    pub fn everything(&self, cell: &str) -> Vec<ToPage> {
        let mut messages = vec![self.began(cell)];
        if self.sent > 0 {
            messages.push(ToPage::Output {
                cell: cell.to_owned(),
                html: render::outputs(self.outputs.all().get(..self.sent).unwrap_or_default()),
                at: 0,
            });
        }
        if !self.marks.is_empty() {
            messages.push(self.marked(cell));
        }
        messages.extend(self.done.clone().map(|done| ToPage::Done {
            cell: cell.to_owned(),
            done,
        }));
        messages
    }
}
