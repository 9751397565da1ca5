use std::fmt;
use std::sync::Arc;

use super::Batch;
use super::pass::Pass;
use super::workers::Workers;
use crate::Result;
use crate::data::Dataset;

/// One pass of a [`DataLoader`](super::DataLoader) over its data set.
///
/// Its workers, where it has any, start when the first batch is asked for and end with the pass. A
/// clone goes on at the same batch, with workers of its own.
///
/// An error, or a panic in the data set, stands in its batch's place; the batches behind it follow.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let mut batches = DataLoader::builder(test).batch_size(4).build()?.iter()?;
/// assert_eq!(batches.order()[..4], [0, 1, 2, 3]);
/// let first = batches.next().transpose()?;
/// assert_eq!(first.map(|batch| batch.images.dims().to_vec()), Some(vec![4, 1, 28, 28]));
/// # Ok(())
/// # }
/// ```
pub struct Batches {
    pass: Arc<Pass>,
    /// The number of the next batch.
    next: usize,
    workers: Option<Workers>,
}

impl Batches {
    pub(super) fn new(pass: Pass) -> Self {
        Self {
            pass: Arc::new(pass),
            next: 0,
            workers: None,
        }
    }

    /// The index of each image in the data set, in the order in which this pass gives them.
    pub fn order(&self) -> &[usize] {
        &self.pass.order
    }

    pub(crate) fn dataset(&self) -> Arc<dyn Dataset> {
        self.pass.dataset.clone()
    }

    /// The images of the next batch, which is not prepared.
    pub(crate) fn next_indices(&mut self) -> Option<&[usize]> {
        let number = self.advance()?;
        Some(self.pass.indices(number))
    }

    /// The next batch's number.
    fn advance(&mut self) -> Option<usize> {
        if let Some(rest) = &self.pass.rest {
            rest.taken(self.next + 1);
        }
        if self.next == self.pass.len() {
            // Its threads end.
            self.workers = None;
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    fn prepared(&mut self, number: usize) -> Result<Batch> {
        if self.pass.num_workers == 0 {
            return self.pass.batch(number);
        }
        let workers = match self.workers.take() {
            Some(workers) => workers,
            None => Workers::start(&self.pass, number)?,
        };
        self.workers.insert(workers).batch(number)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let number = self.advance()?;
        Some(self.prepared(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.pass.len() - self.next;
        (left, Some(left))
    }
}

impl Clone for Batches {
    fn clone(&self) -> Self {
        Self {
            pass: self.pass.clone(),
            next: self.next,
            workers: None,
        }
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.pass.order.len();
        let given = images.min(self.next.saturating_mul(self.pass.batch_size));
        write!(f, "Batches({} of {images} images to come)", images - given)
    }
}
