//! The loader: its options, one pass over a data set, and the threads that prepare batches ahead.

mod batches;
mod builder;
mod pass;
mod workers;

pub use batches::Batches;
pub use builder::DataLoaderBuilder;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Tensor};

use super::Dataset;
use crate::distributed::DistributedSampler;
use crate::error::invalid;
use crate::ops::buffer::fits;
use crate::random::{Generator, with_global};
use crate::{Error, Result};
use pass::{Pass, Rest};

/// Some images and their labels.
///
/// # Example
///
/// See [`DataLoader`].
#[derive(Debug, Clone)]
pub struct Batch {
    /// (N, C, H, W), on the CPU.
    pub images: Tensor,
    /// (N) of `i64`: the class of each image.
    pub targets: Tensor,
}

impl Batch {
    /// The batch on `device`; nothing is copied where it is there already.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`] where the memory there does not suffice.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            images: self.images.to_device(device)?,
            targets: self.targets.to_device(device)?,
        })
    }
}

/// Cuts a data set into batches, in order or shuffled. Equivalent of `torch.utils.data.DataLoader`.
///
/// A clone is cheap: it shares the data set, and the generator where it has one.
///
/// # Shape
///
/// Each batch holds images (N, C, H, W) and targets (N), where N is `batch_size`; the last one
/// holds what is left.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// manual_seed(0);
/// let test = Mnist::builder("data").train(false).build()?;
/// let loader = DataLoader::builder(test).batch_size(64).shuffle(true).build()?;
/// assert_eq!(loader.len(), 157);
///
/// let mut images_seen = 0;
/// for batch in loader.iter()? {
///     let Batch { images, targets } = batch?;
///     assert_eq!(images.dim(0)?, targets.dim(0)?);
///     images_seen += images.dim(0)?;
/// }
/// assert_eq!(images_seen, 10_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    batch_size: usize,
    shuffle: bool,
    sampler: Option<DistributedSampler>,
    drop_last: bool,
    generator: Option<Arc<Mutex<Generator>>>,
    num_workers: usize,
    prefetch_factor: Option<usize>,
}

impl DataLoader {
    /// A loader of this data set.
    pub fn builder(dataset: impl Dataset + 'static) -> DataLoaderBuilder {
        DataLoaderBuilder::new(Self {
            dataset: Arc::new(dataset),
            batch_size: 1,
            shuffle: false,
            sampler: None,
            drop_last: false,
            generator: None,
            num_workers: 0,
            prefetch_factor: None,
        })
    }

    /// One pass over the data set. Each call draws a new order where `shuffle` is on.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyDataset`] where there is not one batch: the data set is empty, or `drop_last`
    /// drops the only one. [`Error::InvalidParameter`] where the data set's `len` is so large that an
    /// order of it does not fit into memory.
    pub fn iter(&self) -> Result<Batches> {
        self.pass(0, 1)
    }

    /// Every `step`-th batch of a pass, from number `first`.
    pub(crate) fn pass(&self, first: usize, step: usize) -> Result<Batches> {
        if self.is_empty() {
            return Err(Error::EmptyDataset { what: "DataLoader" });
        }
        let images = self.dataset.len();
        // The order; the next one may be drawn ahead beside it.
        if !fits::<usize>(images, 2) {
            let problem = "makes an order that does not fit into memory; check the data set's len";
            return invalid("DataLoader", "len", images, problem);
        }
        // PyTorch's iterator draws a seed for its workers whether there are any or not; its sampler
        // then draws the order, from the loader's generator or from one that it seeds for the pass.
        let draw = |generator: &mut Generator| {
            let base_seed = generator.random_i64() as u64;
            let order = match (&self.sampler, self.shuffle, &self.generator) {
                (Some(sampler), _, _) => sampler.indices(),
                (None, false, _) => (0..images).collect(),
                (None, true, Some(_)) => generator.randperm(images),
                (None, true, None) => {
                    Generator::new(generator.random_i64() as u64).randperm(images)
                }
            };
            (base_seed, order)
        };
        let (base_seed, mut order): (u64, Vec<usize>) = match &self.generator {
            Some(own) => draw(&mut own.lock().unwrap_or_else(PoisonError::into_inner)),
            None => with_global(draw),
        };
        if self.drop_last {
            order.truncate(self.len() * self.batch_size);
        }
        if step > 1 {
            let batches = order.chunks(self.batch_size).skip(first).step_by(step);
            order = batches.flatten().copied().collect();
        }
        let prefetch_factor = self.prefetch_factor.unwrap_or(2);
        let rest = self.generator.as_ref().filter(|_| self.shuffle);
        let rest = rest.map(|generator| {
            let ahead = prefetch_factor.saturating_mul(self.num_workers);
            let full = self.drop_last || images.is_multiple_of(self.batch_size);
            let end = order.len().div_ceil(self.batch_size) + usize::from(full);
            Rest::new(generator.clone(), images, ahead, end)
        });
        Ok(Batches::new(Pass {
            dataset: self.dataset.clone(),
            batch_size: self.batch_size,
            order,
            num_workers: self.num_workers,
            prefetch_factor,
            base_seed,
            rest,
        }))
    }

    /// How many batches one pass gives.
    pub fn len(&self) -> usize {
        match self.drop_last {
            true => self.share() / self.batch_size,
            false => self.share().div_ceil(self.batch_size),
        }
    }

    /// Whether a pass gives none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many images one pass gives.
    pub fn images(&self) -> usize {
        self.share().min(self.len().saturating_mul(self.batch_size))
    }

    /// How many images there are for this loader before batches are cut.
    fn share(&self) -> usize {
        match &self.sampler {
            Some(sampler) => sampler.len(),
            None => self.dataset.len(),
        }
    }

    /// What gives this loader its share of the data set, where it has one.
    pub fn sampler(&self) -> Option<&DistributedSampler> {
        self.sampler.as_ref()
    }

    /// The data set.
    pub fn dataset(&self) -> &dyn Dataset {
        self.dataset.as_ref()
    }

    /// Images in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Threads that prepare batches ahead.
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }

    /// The generator that the order is drawn from, where it is not the global one.
    pub fn generator(&self) -> Option<&Arc<Mutex<Generator>>> {
        self.generator.as_ref()
    }
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.dataset.len();
        let (batch_size, shuffle, drop_last) = (self.batch_size, self.shuffle, self.drop_last);
        write!(
            f,
            "DataLoader({images} images, batch_size={batch_size}, shuffle={shuffle}, drop_last={drop_last}"
        )?;
        if self.num_workers > 0 {
            write!(f, ", num_workers={}", self.num_workers)?;
        }
        f.write_str(")")
    }
}
