//! What a pass over a data set is made of, shared by its iterator and its workers.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Batch;
use crate::data::Dataset;
use crate::random::Generator;
use crate::{Error, Result};

pub(super) struct Pass {
    pub dataset: Arc<dyn Dataset>,
    pub batch_size: usize,
    pub order: Vec<usize>,
    pub num_workers: usize,
    pub prefetch_factor: usize,
    /// Worker w's generator starts from it, plus w.
    pub base_seed: u64,
    /// What is drawn at the end of the pass.
    pub rest: Option<Rest>,
}

impl Pass {
    /// How many batches there are.
    pub fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// The images of batch `number`.
    pub fn indices(&self, number: usize) -> &[usize] {
        let rest = &self.order[number * self.batch_size..];
        &rest[..self.batch_size.min(rest.len())]
    }

    /// Prepares a batch. A panic in the data set comes out as an error, on whatever thread.
    pub fn batch(&self, number: usize) -> Result<Batch> {
        let indices = self.indices(number);
        let prepare = AssertUnwindSafe(|| self.dataset.batch(indices));
        let (images, targets) =
            catch_unwind(prepare).unwrap_or_else(|panic| Err(panicked(number, panic.as_ref())))?;
        Ok(Batch { images, targets })
    }
}

pub(super) fn panicked(batch: usize, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let message = text.or(panic.downcast_ref::<&str>().copied());
    Error::DatasetPanicked {
        batch,
        message: message.unwrap_or("no message").replace(['\n', '\r'], " "),
    }
}

/// PyTorch's sampler, when it has given the last index, draws another order of which it takes none.
/// From a generator of the loader's own, the next pass's order depends on it.
pub(super) struct Rest {
    generator: Arc<Mutex<Generator>>,
    images: usize,
    /// How many batches the sampler is ahead of those that were taken.
    ahead: usize,
    /// The batch, counted from 1, for which the sampler finds that it has given all.
    end: usize,
    drawn: AtomicBool,
}

impl Rest {
    pub fn new(generator: Arc<Mutex<Generator>>, images: usize, ahead: usize, end: usize) -> Self {
        let rest = Self {
            generator,
            images,
            ahead,
            end,
            drawn: AtomicBool::new(false),
        };
        rest.taken(0);
        rest
    }

    /// So many batches have been asked for, by this iterator or a clone of it.
    pub fn taken(&self, batches: usize) {
        let pulled = batches.saturating_add(self.ahead);
        if pulled >= self.end && !self.drawn.swap(true, Ordering::Relaxed) {
            let mut generator = self
                .generator
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            generator.randperm(self.images);
        }
    }
}
