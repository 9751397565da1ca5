use std::time::{Duration, Instant};

use candlelight::train::Progress;

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(250);
/// Under another kernel each becomes a line of its own: fewer of them.
const INTERVAL_OF_LINES: Duration = Duration::from_secs(2);

/// A callback for [`Trainer`](candlelight::train::Trainer) that writes one line and rewrites it while
/// the training runs; the last one says how the last epoch ended.
///
/// Each time it starts with a carriage return, which tells the page to write over the line before;
/// it ends with a newline, because evcxr passes on whole lines only. evcxr's own kernel for Jupyter
/// cannot take a line back: there it is written less often.
pub fn progress_line() -> impl FnMut(&Progress) + Send + 'static {
    let interval = match crate::redraws() {
        true => INTERVAL,
        false => INTERVAL_OF_LINES,
    };
    // Not at once: a picture that another callback draws from the first step on stands above the line, and does
    // not part it.
    let mut written = Instant::now();
    move |progress| {
        if progress.epoch_done || written.elapsed() >= interval {
            println!("\r{progress}");
            written = Instant::now();
        }
    }
}
