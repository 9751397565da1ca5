//! Error outputs other than the compiler's.

use kernel_protocol::Output;

use crate::diagnostic;
use crate::places::Places;
use crate::wire::Panic;

const KEPT: &str = "The variables of this cell are lost, those of earlier cells kept.";
const LOST: &str = "All variables are lost; \"Run all above\" makes them again.";

/// The cell panicked.
pub fn panic(panic: &Panic, places: &Places<'_>) -> Output {
    let mut details = Vec::new();
    match cell_place(&panic.place, places) {
        Some((line, column)) => details.extend(diagnostic::pointer(places, line, column)),
        None if panic.place.starts_with("src/lib.rs:") => {}
        None => details.push(format!("  in {}", panic.place)),
    }
    details.push(KEPT.to_owned());
    error("panic", &panic.message, details)
}

fn cell_place(place: &str, places: &Places<'_>) -> Option<(usize, usize)> {
    let (line, column) = place.strip_prefix("src/lib.rs:")?.split_once(':')?;
    Some((places.line(line.parse().ok()?)?, column.parse().ok()?))
}

/// A `?` met an error.
pub fn returned(message: &str) -> Output {
    error("error", message, vec![KEPT.to_owned()])
}

/// The cell's process ended under it; `message` is evcxr's.
pub fn crashed(message: &str) -> Output {
    let status = message.rsplit("with status: ").next().unwrap_or(message);
    let status = status.trim();
    let what = if status.contains("SIGABRT") {
        "the cell aborted its process"
    } else if status.contains("SIGSEGV") || status.contains("SIGBUS") {
        "the cell read or wrote memory that is not its own"
    } else if status.contains("SIGKILL") {
        "the cell's process was killed; perhaps memory ran out"
    } else {
        "the cell ended its process"
    };
    error(
        "abort",
        &format!("{what} ({status})"),
        vec![LOST.to_owned()],
    )
}

/// The cell was stopped.
pub fn interrupted() -> Output {
    error("interrupt", "the cell was stopped", vec![LOST.to_owned()])
}

/// evcxr would not compile the cell.
pub fn refused(message: &str) -> Output {
    error("compile error", message, Vec::new())
}

/// The kernel itself cannot go on.
pub fn kernel(message: &str) -> Output {
    error("kernel", message, vec![LOST.to_owned()])
}

fn error(ename: &str, message: &str, details: Vec<String>) -> Output {
    let mut traceback = Vec::new();
    for (number, line) in message.lines().enumerate() {
        traceback.push(match number {
            0 => format!("\x1b[1;31m{ename}\x1b[0m\x1b[1m: {line}\x1b[0m"),
            _ => line.to_owned(),
        });
    }
    traceback.extend(details);
    Output::Error {
        ename: ename.to_owned(),
        evalue: message.lines().next().unwrap_or_default().to_owned(),
        traceback,
    }
}
