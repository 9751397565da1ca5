use candle_core::Tensor;

use super::dataset::{Dataset, RawImages, checked};
use crate::Result;

/// Some of a data set's images, in an order of one's own. Equivalent of `torch.utils.data.Subset`.
///
/// `subset[i] = dataset[indices[i]]`
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `dataset` | required | the whole | |
/// | `indices` | required | which images, in which order; one may stand twice | each below the data set's length |
///
/// # Differences from PyTorch
///
/// An index that the data set does not have is refused here, not when the image is asked for.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// let few = Subset::new(test.clone(), vec![3, 1])?;
/// assert_eq!(few.len(), 2);
/// assert_eq!(few.get(0)?.1, test.get(3)?.1);
/// assert!(Subset::new(test, vec![10_000]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// These images of the data set.
    ///
    /// # Errors
    ///
    /// [`Error::IndexOutOfRange`](crate::Error::IndexOutOfRange).
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self> {
        for &index in &indices {
            checked(index, dataset.len())?;
        }
        Ok(Self { dataset, indices })
    }

    /// The index of each image in the whole data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn can_prefetch(&self) -> bool {
        self.dataset.can_prefetch()
    }

    /// Those of the whole data set.
    fn raw(&self) -> Option<RawImages<'_>> {
        self.dataset.raw()
    }

    fn raw_index(&self, index: usize) -> Result<(usize, i64)> {
        let index = self.indices[checked(index, self.len())?];
        self.dataset.raw_index(index)
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        self.dataset.get(self.indices[checked(index, self.len())?])
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let whole = indices
            .iter()
            .map(|&index| Ok(self.indices[checked(index, self.len())?]))
            .collect::<Result<Vec<_>>>()?;
        self.dataset.batch(&whole)
    }
}
