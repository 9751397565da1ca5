use std::sync::{Arc, Mutex};

use super::DataLoader;
use crate::Result;
use crate::distributed::DistributedSampler;
use crate::error::invalid;
use crate::random::Generator;

/// Options of [`DataLoader`].
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `batch_size` | 1 | images in a batch | at least 1 |
/// | `shuffle` | `false` | a new random order for each pass | |
/// | `sampler` | none | one process's share of the data set, where several processes train one net | without `shuffle`; of this data set |
/// | `drop_last` | `false` | leave out a last batch that is not full | |
/// | `generator` | the global one | what the orders are drawn from | |
/// | `seed` | none | a `generator` of its own that starts at this seed | |
/// | `num_workers` | 0 | threads that prepare batches ahead | |
/// | `prefetch_factor` | 2 | batches that each of them prepares ahead | at least 1; with `num_workers` only |
///
/// # Errors
///
/// [`build`](Self::build) gives [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a value
/// outside its range.
///
/// # Differences from PyTorch
///
/// `sampler` is a [`DistributedSampler`] and no other. There are no `batch_sampler`, `collate_fn`, `pin_memory`, `timeout`, `worker_init_fn`,
/// `multiprocessing_context`, `persistent_workers`, `pin_memory_device` and `in_order`: a data set's
/// [`batch`](crate::data::Dataset::batch) makes the batch, and batches come in order.
///
/// The order does not differ: after the same [`manual_seed`](crate::random::manual_seed), or from a generator
/// with the same seed, it is PyTorch's, whatever the number of workers. `seed(s)` is PyTorch's
/// `generator=torch.Generator().manual_seed(s)`.
///
/// Workers are threads, not processes. As in PyTorch, worker w prepares each batch whose number is w
/// modulo `num_workers`, and what the transforms draw there from the global generator comes from one of
/// the worker's own. Its seed is a number drawn for the pass, plus w. So random transforms give the same images for the
/// same seed and the same number of workers, PyTorch's, and other images for another number. A batch
/// without random transforms is the same with any number.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let all = DataLoader::builder(test.clone()).batch_size(64).build()?;
/// let full = DataLoader::builder(test.clone()).batch_size(64).drop_last(true).build()?;
/// assert_eq!((all.len(), full.len()), (157, 156));
///
/// let order = |num_workers| {
///     let loader = DataLoader::builder(test.clone()).shuffle(true).seed(3).num_workers(num_workers);
///     Ok::<_, Error>(loader.build()?.iter()?.order().to_vec())
/// };
/// assert_eq!(order(0)?, order(2)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DataLoaderBuilder(DataLoader);

impl DataLoaderBuilder {
    pub(super) fn new(loader: DataLoader) -> Self {
        Self(loader)
    }

    /// Images in a batch.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.0.batch_size = batch_size;
        self
    }

    /// Whether each pass has a new random order.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.0.shuffle = shuffle;
        self
    }

    /// This rank's share of the data set.
    pub fn sampler(mut self, sampler: DistributedSampler) -> Self {
        self.0.sampler = Some(sampler);
        self
    }

    /// Whether to leave out a last batch that is not full.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.0.drop_last = drop_last;
        self
    }

    /// What each pass draws from, its order and its workers' seed, instead of the global generator. It
    /// is shared: clones of the [`Arc`] go on where the last draw left it.
    pub fn generator(mut self, generator: Arc<Mutex<Generator>>) -> Self {
        self.0.generator = Some(generator);
        self
    }

    /// A [`generator`](Self::generator) of its own, from this seed. Of the two the last one counts.
    pub fn seed(self, seed: u64) -> Self {
        self.generator(Arc::new(Mutex::new(Generator::new(seed))))
    }

    /// Threads that prepare batches ahead; with 0 each batch is prepared when it is asked for. They
    /// pay where the transforms take longer than a step.
    pub fn num_workers(mut self, num_workers: usize) -> Self {
        self.0.num_workers = num_workers;
        self
    }

    /// Batches that each worker prepares ahead.
    pub fn prefetch_factor(mut self, prefetch_factor: usize) -> Self {
        self.0.prefetch_factor = Some(prefetch_factor);
        self
    }

    /// The loader.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where `batch_size` is 0, where `sampler`
    /// stands beside `shuffle` or is for another number of images, or where `prefetch_factor` is 0 or
    /// stands without `num_workers`.
    pub fn build(self) -> Result<DataLoader> {
        if self.0.batch_size == 0 {
            let problem = "must be at least 1; 64 suits MNIST";
            return invalid("DataLoader", "batch_size", 0, problem);
        }
        if let Some(sampler) = &self.0.sampler {
            if self.0.shuffle {
                let problem =
                    "does not go with a sampler; leave it out, and give shuffle to the sampler";
                return invalid("DataLoader", "shuffle", true, problem);
            }
            let images = self.0.dataset.len();
            if sampler.images() != images {
                let problem = format!("is for another data set; this one has {images} images");
                return invalid("DataLoader", "sampler", format!("{sampler:?}"), problem);
            }
        }
        match self.0.prefetch_factor {
            Some(0) => {
                let problem = "must be at least 1; leave it out for 2";
                invalid("DataLoader", "prefetch_factor", 0, problem)
            }
            Some(factor) if self.0.num_workers == 0 => {
                let problem = "goes with workers only; set num_workers, or leave it out";
                invalid("DataLoader", "prefetch_factor", factor, problem)
            }
            _ => Ok(self.0),
        }
    }
}
