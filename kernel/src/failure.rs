//! Error outputs other than the compiler's.

use kernel_protocol::Output;

use crate::diagnostic;
use crate::memory;
use crate::places::Places;
use crate::wire::Panic;

/// All that there was is gone, but for these checkpoints.
fn lost(checkpoints: Vec<String>) -> Vec<String> {
    let mut lines = vec!["All variables are lost; \"Run all above\" makes them again.".to_owned()];
    lines.extend(checkpoints);
    lines
}

/// What became of the variables.
fn kept(lost: &[String]) -> String {
    let names: Vec<String> = lost.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => "All variables are kept.".to_owned(),
        [name] => format!("Lost with this cell: {name}. All other variables are kept."),
        [names @ .., last] => {
            let names = names.join(", ");
            format!("Lost with this cell: {names} and {last}. All other variables are kept.")
        }
    }
}

/// The cell panicked.
pub fn panic(panic: &Panic, places: &Places<'_>, lost: &[String]) -> Output {
    let mut details = Vec::new();
    match cell_place(&panic.place, places) {
        Some((line, column)) => details.extend(diagnostic::pointer(places, line, column)),
        None if panic.place.starts_with("src/lib.rs:") => {}
        None => details.push(format!("  in {}", panic.place)),
    }
    details.push(kept(lost));
    error("panic", &panic.message, details)
}

/// Line and column of a panic, where it was in the cell itself.
pub fn cell_place(place: &str, places: &Places<'_>) -> Option<(usize, usize)> {
    let (line, column) = place.strip_prefix("src/lib.rs:")?.split_once(':')?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    let own = places.column(line, column).unwrap_or(column);
    Some((places.line(line)?, own))
}

/// A `?` met an error.
pub fn returned(message: &str, lost: &[String]) -> Output {
    error("error", message, vec![kept(lost)])
}

/// The cell's process ended under it, perhaps because it could not have so many bytes; `message` is evcxr's.
pub fn crashed(message: &str, refused: Option<u64>, checkpoints: Vec<String>) -> Output {
    if let Some(asked) = refused {
        return error("abort", &memory::message(asked), lost(checkpoints));
    }
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
    error("abort", &format!("{what} ({status})"), lost(checkpoints))
}

/// The cell was stopped.
pub fn interrupted(checkpoints: Vec<String>) -> Output {
    error("interrupt", "the cell was stopped", lost(checkpoints))
}

/// evcxr would not compile the cell.
pub fn refused(message: &str) -> Output {
    error("compile error", message, Vec::new())
}

/// Nothing can be compiled.
pub fn no_space() -> Output {
    let message =
        "the disk is full, so the cell cannot be compiled; free some space and run it again";
    error("no space", message, vec![kept(&[])])
}

/// The kernel itself cannot go on.
pub fn kernel(message: &str) -> Output {
    error("kernel", message, lost(Vec::new()))
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
