use std::time::{Duration, Instant};

use candlelight::train::Progress;

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(250);

/// A callback for [`Trainer`](candlelight::train::Trainer) that writes one line and rewrites it while
/// the training runs; the last one says how the last epoch ended.
///
/// Each time it starts with a carriage return, which tells the page to write over the line before;
/// it ends with a newline, because evcxr passes on whole lines only.
pub fn progress_line() -> impl FnMut(&Progress) + Send + 'static {
    let mut written: Option<Instant> = None;
    move |progress| {
        if progress.epoch_done || written.is_none_or(|at| at.elapsed() >= INTERVAL) {
            println!("\r{progress}");
            written = Some(Instant::now());
        }
    }
}
