use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use super::Dataset;
use crate::random::{Generator, random_i64};
use crate::{Error, Result};

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

/// Cuts a data set into batches, in order or shuffled. Equivalent of `torch.utils.data.DataLoader`.
///
/// A clone is cheap: it shares the data set.
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
    drop_last: bool,
}

impl DataLoader {
    /// A loader of this data set.
    pub fn builder(dataset: impl Dataset + 'static) -> DataLoaderBuilder {
        DataLoaderBuilder(Self {
            dataset: Arc::new(dataset),
            batch_size: 1,
            shuffle: false,
            drop_last: false,
        })
    }

    /// One pass over the data set. Each call draws a new order where `shuffle` is on.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyDataset`] where there is not one batch: the data set is empty, or `drop_last`
    /// drops the only one.
    pub fn iter(&self) -> Result<Batches> {
        if self.is_empty() {
            return Err(Error::EmptyDataset { what: "DataLoader" });
        }
        // PyTorch's iterator draws a seed for its workers whether there are any or not, and then
        // the sampler one for its own generator; the order after manual_seed depends on both.
        random_i64();
        let mut order: Vec<usize> = match self.shuffle {
            true => Generator::new(random_i64() as u64).randperm(self.dataset.len()),
            false => (0..self.dataset.len()).collect(),
        };
        if self.drop_last {
            order.truncate(self.len() * self.batch_size);
        }
        Ok(Batches {
            dataset: self.dataset.clone(),
            batch_size: self.batch_size,
            order,
            next: 0,
        })
    }

    /// How many batches one pass gives.
    pub fn len(&self) -> usize {
        match self.drop_last {
            true => self.dataset.len() / self.batch_size,
            false => self.dataset.len().div_ceil(self.batch_size),
        }
    }

    /// Whether a pass gives none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many images one pass gives.
    pub fn images(&self) -> usize {
        self.dataset.len().min(self.len() * self.batch_size)
    }

    /// The data set.
    pub fn dataset(&self) -> &dyn Dataset {
        self.dataset.as_ref()
    }

    /// Images in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dataset,
            batch_size,
            shuffle,
            drop_last,
        } = self;
        let images = dataset.len();
        write!(
            f,
            "DataLoader({images} images, batch_size={batch_size}, shuffle={shuffle}, drop_last={drop_last})"
        )
    }
}

/// Options of [`DataLoader`].
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `batch_size` | 1 | images in a batch | at least 1 |
/// | `shuffle` | `false` | a new random order for each pass | |
/// | `drop_last` | `false` | leave out a last batch that is not full | |
///
/// # Differences from PyTorch
///
/// None for these: after the same [`manual_seed`](crate::random::manual_seed) the order is PyTorch's.
/// There are no workers, as a batch takes some tens of microseconds to assemble.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let all = DataLoader::builder(test.clone()).batch_size(64).build()?;
/// let full = DataLoader::builder(test).batch_size(64).drop_last(true).build()?;
/// assert_eq!((all.len(), full.len()), (157, 156));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DataLoaderBuilder(DataLoader);

impl DataLoaderBuilder {
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

    /// Whether to leave out a last batch that is not full.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.0.drop_last = drop_last;
        self
    }

    /// The loader.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`] where `batch_size` is 0.
    pub fn build(self) -> Result<DataLoader> {
        if self.0.batch_size == 0 {
            return Err(Error::InvalidParameter {
                layer: "DataLoader",
                parameter: "batch_size",
                value: "0".into(),
                problem: "must be at least 1; 64 suits MNIST".into(),
            });
        }
        Ok(self.0)
    }
}

/// One pass of a [`DataLoader`] over its data set.
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
#[derive(Clone)]
pub struct Batches {
    dataset: Arc<dyn Dataset>,
    batch_size: usize,
    order: Vec<usize>,
    next: usize,
}

impl Batches {
    /// The index of each image in the data set, in the order in which this pass gives them.
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let rest = &self.order[self.next..];
        if rest.is_empty() {
            return None;
        }
        let indices = &rest[..self.batch_size.min(rest.len())];
        self.next += indices.len();
        Some(
            self.dataset
                .batch(indices)
                .map(|(images, targets)| Batch { images, targets }),
        )
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Batches({} of {} images to come)",
            self.order.len() - self.next,
            self.order.len()
        )
    }
}
