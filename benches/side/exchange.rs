//! How near to each other the cores are: the time for an answer from another thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const QUESTIONS: usize = 20_000;

/// Nanoseconds from a question to its answer, each a number that one thread writes and another waits for.
pub fn answer() -> f64 {
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..QUESTIONS {
                while asked.load(Ordering::Acquire) != 2 * i + 1 {}
                asked.store(2 * i + 2, Ordering::Release);
            }
        });
        let start = Instant::now();
        for i in 0..QUESTIONS {
            asked.store(2 * i + 1, Ordering::Release);
            while asked.load(Ordering::Acquire) != 2 * i + 2 {}
        }
        start.elapsed().as_secs_f64() * 1e9 / QUESTIONS as f64
    })
}
