//! Threads that do not fall asleep between two pieces of work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long a thread looks for work before it rests: longer than anything that one thread does by itself in a
/// step, so that only an evaluation's end, a checkpoint or a slow callback sends them to rest.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long it rests before it looks again.
const REST: Duration = Duration::from_micros(100);

/// Calls `work` on a thread of the pool, while the others keep looking for its tasks. A step has a dozen of
/// them, of tens of microseconds each; to wake a thread takes as long.
pub(super) fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let (caller, done) = (rayon::current_thread_index(), &done);
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != caller {
                look_for_work(done);
            }
        });
        let _end = End(done);
        work()
    })
}

/// Ends the search also where the work panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn look_for_work(done: &AtomicBool) {
    let mut last = Instant::now();
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            last = Instant::now();
        } else if last.elapsed() < PATIENCE {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            // Where other programs want the processor, they get it.
            std::thread::yield_now();
        } else {
            std::thread::sleep(REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn the_work_is_done_and_a_panic_ends_it() {
        let sum = awake(|| (0..1000).into_par_iter().map(|i| i % 7).sum::<usize>());
        assert_eq!(sum, (0..1000).map(|i| i % 7).sum::<usize>());
        assert!(
            std::panic::catch_unwind(|| awake(|| -> () { panic!("as a callback may") })).is_err()
        );
        assert_eq!(awake(|| awake(|| 3)), 3);
    }
}
