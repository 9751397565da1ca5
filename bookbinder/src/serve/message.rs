//! What a page and the server say to each other, one JSON object a message.

use kernel_protocol::Mark;
use serde::{Deserialize, Serialize};

/// What a page asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromPage {
    /// Run one cell after those that wait.
    Run {
        /// The cell's id.
        cell: String,
        /// Its code, as edited.
        code: String,
        /// Which version of the chapter's cell it was edited from; comes back with the outputs.
        #[serde(default)]
        source: String,
    },
    /// Stop the running cell and forget those that wait.
    Interrupt {},
    /// Forget every variable.
    Reset {},
    /// What could stand at a place in a cell.
    Complete(Place),
    /// What stands there.
    Inspect(Place),
}

/// A place in a cell that a page asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Comes back with the answer.
    pub ask: u64,
    /// The cell's code, as edited.
    pub code: String,
    /// The place, in bytes of UTF-8.
    pub position: usize,
}

/// What the server tells a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToPage {
    /// What the server is doing, for the status bar; empty where there is nothing to say.
    Status {
        /// One line.
        status: String,
    },
    /// The variables are gone, and why.
    Gone {
        /// One line.
        gone: String,
    },
    /// The book was built again.
    Reload {
        /// Always true.
        reload: bool,
    },
    /// A cell waits, or no longer does.
    Waits {
        /// The cell's id.
        cell: String,
        /// Whether it is in the queue.
        queued: bool,
    },
    /// A cell began: its earlier outputs go.
    Began {
        /// The cell's id.
        cell: String,
        /// Seconds that it has been running.
        began: f64,
        /// As in [`FromPage::Run`].
        source: String,
    },
    /// Outputs of a cell.
    Output {
        /// The cell's id.
        cell: String,
        /// One element, or several.
        html: String,
        /// Which of the cell's elements it is, from 0, or the first of them: it takes its place.
        at: usize,
    },
    /// Where a cell went wrong.
    Marks {
        /// The cell's id.
        cell: String,
        /// The code that ran.
        code: String,
        /// At least one.
        marks: Vec<Mark>,
    },
    /// What could stand at a place.
    Completed {
        /// The page's number for it.
        ask: u64,
        /// Where what it would replace begins, in bytes.
        start: usize,
        /// Where that ends.
        end: usize,
        /// Each in full; none where the kernel runs a cell or knows nothing.
        matches: Vec<String>,
    },
    /// What stands at a place.
    Inspected {
        /// The page's number for it.
        ask: u64,
        /// As text; empty as above.
        text: String,
    },
    /// A cell ended.
    Done {
        /// The cell's id.
        cell: String,
        /// How.
        done: Done,
    },
}

/// How a cell ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Without an error.
    pub ok: bool,
    /// The variables of earlier cells are gone too.
    pub lost: bool,
    /// From its begin to its end.
    pub seconds: f64,
}
