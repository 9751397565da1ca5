//! What the server is doing, on the terminal: one line that rewrites itself while something is being
//! prepared, and a line each for what is done.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines about the same thing where they cannot be rewritten.
const PAUSE: Duration = Duration::from_secs(5);

struct Line {
    /// The cursor stands behind a line that may be rewritten.
    is_open: bool,
    said: Option<(String, Instant)>,
}

static LINE: Mutex<Line> = Mutex::new(Line {
    is_open: false,
    said: None,
});

/// Something under way: `what: details`.
pub fn doing(text: &str) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A terminal that is gone has nobody to read it.
        let _ = write!(stderr, "\r\x1b[2K{text}");
        let _ = stderr.flush();
        line.is_open = true;
        return;
    }
    let what = text.split(':').next().unwrap_or(text);
    let is_soon = |(said, at): &(String, Instant)| said == what && at.elapsed() < PAUSE;
    if !line.said.as_ref().is_some_and(is_soon) {
        let _ = writeln!(stderr, "{text}");
        line.said = Some((what.to_owned(), Instant::now()));
    }
}

/// Something done, or gone wrong.
pub fn done(text: &str) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let begin = if line.is_open { "\r\x1b[2K" } else { "" };
    let _ = writeln!(std::io::stderr(), "{begin}{text}");
    line.is_open = false;
    line.said = None;
}
