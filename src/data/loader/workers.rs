//! Threads that prepare a pass's batches ahead, each its own share of them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::Batch;
use super::pass::{Pass, panicked};
use crate::error::invalid;
use crate::random::seed_this_thread;
use crate::{Error, Result};

pub(super) struct Workers {
    pass: Arc<Pass>,
    /// One for each worker: its batches, in order.
    batches: Vec<Option<Receiver<Result<Batch>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts preparing the batches from number `first` on.
    pub fn start(pass: &Arc<Pass>, first: usize) -> Result<Self> {
        let mut workers = Self {
            pass: pass.clone(),
            batches: Vec::new(),
            threads: Vec::new(),
        };
        // More workers than batches would have nothing to do.
        for worker in 0..pass.num_workers.min(pass.len()) {
            // The first batch whose turn it is, `first` or behind it.
            let turn = first % pass.num_workers;
            let skip = match worker.checked_sub(turn) {
                Some(skip) => skip,
                None => pass.num_workers - (turn - worker),
            };
            let mut share = (first..pass.len()).skip(skip).step_by(pass.num_workers);
            if share.len() == 0 {
                workers.batches.push(None);
                continue;
            }
            // One more is in the worker's hands.
            let (sender, receiver) = sync_channel((pass.prefetch_factor - 1).min(share.len()));
            let pass = pass.clone();
            let run = move || {
                seed_this_thread(pass.base_seed.wrapping_add(worker as u64));
                // The iterator that went away wants no more.
                while let Some(number) = share.next()
                    && sender.send(pass.batch(number)).is_ok()
                {}
            };
            let thread = thread::Builder::new().name(format!("loader worker {worker}"));
            match thread.spawn(run) {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => return refused(workers.pass.num_workers, &error),
            }
            workers.batches.push(Some(receiver));
        }
        Ok(workers)
    }

    /// The batch of this number, when its worker has it.
    pub fn batch(&self, number: usize) -> Result<Batch> {
        let worker = self.batches.get(number % self.pass.num_workers);
        match worker.and_then(Option::as_ref).map(Receiver::recv) {
            Some(Ok(batch)) => batch,
            _ => Err(panicked(number, &"its worker ended")),
        }
    }
}

fn refused(num_workers: usize, error: &std::io::Error) -> Result<Workers, Error> {
    let problem = format!("are more threads than can be started ({error}); use fewer");
    invalid("DataLoader", "num_workers", num_workers, problem)
}

impl Drop for Workers {
    /// No thread outlives the pass; each ends with the batch that it is at.
    fn drop(&mut self) {
        self.batches.clear();
        for thread in self.threads.drain(..) {
            // A panic of the data set is an error of its batch already.
            thread.join().ok();
        }
    }
}
