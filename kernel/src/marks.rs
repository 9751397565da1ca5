//! The places in a cell at which it went wrong, for an editor to underline.

use evcxr::CompilationError;
use kernel_protocol::Mark;

use crate::diagnostic::{named, severe};
use crate::failure::cell_place;
use crate::places::Places;
use crate::wire::Panic;

/// The compiler's, of errors alone where there are errors.
pub fn of_errors(errors: &[CompilationError]) -> Vec<Mark> {
    severe(errors).filter_map(of_error).collect()
}

fn of_error(error: &CompilationError) -> Option<Mark> {
    let primary = error.primary_spanned_message()?;
    let span = primary.span?;
    let message = named(&error.message());
    let mut lines = vec![match error.code() {
        Some(code) => format!("{code}: {message}"),
        None => message,
    }];
    // Without a label of its own a place repeats the message.
    if !primary.label.is_empty() && !primary.label.starts_with("error: ") {
        lines.push(named(&primary.label));
    }
    lines.extend(
        error
            .help()
            .iter()
            .map(|help| format!("help: {}", named(help))),
    );
    Some(Mark {
        start: (span.start_line, span.start_column),
        end: (span.end_line, span.end_column),
        message: lines.join("\n"),
    })
}

/// Where a panic began, to the end of that line.
pub fn of_panic(panic: &Panic, places: &Places<'_>) -> Option<Mark> {
    let (line, column) = cell_place(&panic.place, places)?;
    let end = places.text(line).trim_end().chars().count() + 1;
    (column < end).then(|| Mark {
        start: (line, column),
        end: (line, end),
        message: format!("panic: {}", panic.message),
    })
}
