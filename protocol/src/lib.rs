//! What the book's server and a kernel process say to each other: one JSON object a line, requests on
//! the kernel's stdin, events on its stdout. Outputs have Jupyter's form, live and stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable that names how many seconds the warm context that a kernel was copied from waits for the next kernel
/// after this one's end.
pub const LINGERS: &str = "CANDLELIGHT_KERNEL_LINGERS";

/// The variable that names the features of the cells' crate, with commas between them.
pub const FEATURES: &str = "CANDLELIGHT_FEATURES";

/// What the server asks of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Run one cell; every event about it carries `id`.
    Execute {
        /// The server's number for this execution.
        id: u64,
        /// The cell's source.
        code: String,
    },
    /// What could stand at a place in a cell.
    Complete {
        /// Returned with the answer.
        id: u64,
        /// The cell's source.
        code: String,
        /// The place, in bytes.
        position: usize,
    },
    /// What stands at a place in a cell.
    Inspect {
        /// Returned with the answer.
        id: u64,
        /// The cell's source.
        code: String,
        /// The place, in bytes.
        position: usize,
    },
    /// Stop the running cell. Its process is ended, so all variables are lost.
    Interrupt,
    /// Forget every variable and import, and make ready again.
    Reset,
}

/// What a kernel tells the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What the kernel is doing while it gets ready, one line for a person.
    Preparing {
        /// For instance `building candle for the cells`.
        what: String,
    },
    /// The kernel waits for a cell (after the start, and after a reset).
    Ready,
    /// The kernel cannot start or go on; the process ends after this.
    Failed {
        /// One line: what failed and the cure.
        why: String,
    },
    /// One output of the running cell, in order.
    Output {
        /// The execution that it belongs to.
        id: u64,
        /// The output.
        output: Output,
        /// A name of this output within the execution: another with the same name takes its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display: Option<String>,
    },
    /// Where in the cell it went wrong; comes before the output that says what.
    Marks {
        /// The execution.
        id: u64,
        /// At least one.
        marks: Vec<Mark>,
    },
    /// What could stand there.
    Completed {
        /// The request's.
        id: u64,
        /// Where what it would replace begins, in bytes.
        start: usize,
        /// Where that ends.
        end: usize,
        /// Each in full.
        matches: Vec<String>,
    },
    /// What stands there.
    Inspected {
        /// The request's.
        id: u64,
        /// MIME type to content; empty where nothing is known.
        data: BTreeMap<String, String>,
    },
    /// The cell ended.
    Done {
        /// The execution that ended.
        id: u64,
        /// Whether it ended without an error.
        ok: bool,
        /// Whether the variables of earlier cells are gone too (abort, interrupt).
        lost: bool,
        /// Seconds that it took, compiling included.
        seconds: f64,
    },
}

/// A place in a cell that is wrong. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Line and column of the first character.
    pub start: (usize, usize),
    /// Line and column behind the last.
    pub end: (usize, usize),
    /// What is wrong there, and what would help: a line each.
    pub message: String,
}

/// An output, as nbformat 4.5 stores it.
///
/// A stream's text that starts with a carriage return replaces the last line before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "output_type", rename_all = "snake_case")]
pub enum Output {
    /// Text that the cell printed.
    Stream {
        /// `stdout` or `stderr`.
        name: String,
        /// The text, with its newlines.
        text: String,
    },
    /// A picture or other rich output.
    DisplayData {
        /// MIME type to content; binary content in base64.
        data: BTreeMap<String, String>,
        /// Always there, usually empty.
        #[serde(default)]
        metadata: serde_json::Map<String, serde_json::Value>,
    },
    /// The value of the cell's last expression.
    ExecuteResult {
        /// The cell's number in the notebook.
        execution_count: Option<u32>,
        /// MIME type to content.
        data: BTreeMap<String, String>,
        /// Always there, usually empty.
        #[serde(default)]
        metadata: serde_json::Map<String, serde_json::Value>,
    },
    /// The cell failed.
    Error {
        /// The kind: `compile error`, `panic`, `error`, `abort`, `interrupt`.
        ename: String,
        /// One line.
        evalue: String,
        /// The whole message, a line each; may hold ANSI colours.
        traceback: Vec<String>,
    },
}
