use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// A numbered collection of images, each with its label. Equivalent of `torch.utils.data.Dataset`.
///
/// # Differences from PyTorch
///
/// A label is a class index; a whole batch can be asked for at once ([`batch`](Dataset::batch)),
/// which a data set overrides where it can do better than one image after another.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// /// Images of nothing, labelled by parity.
/// struct Blank;
///
/// impl Dataset for Blank {
///     fn len(&self) -> usize {
///         10
///     }
///
///     fn get(&self, index: usize) -> Result<(Tensor, i64)> {
///         Ok((Tensor::zeros((1, 28, 28), DType::F32, &Device::Cpu)?, index as i64 % 2))
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let (images, targets) = Blank.batch(&[3, 4])?;
/// assert_eq!(images.dims(), [2, 1, 28, 28]);
/// assert_eq!(targets.to_vec1::<i64>()?, [1, 0]);
/// # Ok(())
/// # }
/// ```
pub trait Dataset: Send + Sync {
    /// How many images it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a batch may be prepared while a net trains on the one before. Not where [`get`](Self::get)
    /// draws random numbers: they would come in another order. `false` unless a data set says otherwise.
    fn can_prefetch(&self) -> bool {
        false
    }

    /// The images as bytes, where each byte becomes the same number in every image and at every time, so that a device
    /// can keep them as they are. None unless a data set says otherwise.
    fn raw(&self) -> Option<RawImages<'_>> {
        None
    }

    /// The place of image `index` among the [`raw`](Self::raw) images, and its label.
    fn raw_index(&self, index: usize) -> Result<(usize, i64)> {
        Ok((index, self.get(index)?.1))
    }

    /// One image, transformed, and its label.
    fn get(&self, index: usize) -> Result<(Tensor, i64)>;

    /// Several images stacked along a new first dimension, and their labels, in the order of
    /// `indices`.
    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let (images, labels): (Vec<_>, Vec<_>) = indices
            .iter()
            .map(|&index| self.get(index))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        Ok((
            Tensor::stack(&images, 0)?,
            Tensor::new(labels, &Device::Cpu)?,
        ))
    }
}

/// Images as bytes; see [`Dataset::raw`].
#[derive(Debug, Clone, Copy)]
pub struct RawImages<'a> {
    /// N · C · H · W bytes.
    pub bytes: &'a [u8],
    /// The number that each byte becomes.
    pub table: &'a [f32; 256],
    /// Channels, rows and columns of an image.
    pub shape: [usize; 3],
}

/// `index`, if a data set of `len` images has it.
pub(crate) fn checked(index: usize, len: usize) -> Result<usize> {
    if index < len {
        Ok(index)
    } else {
        Err(Error::IndexOutOfRange {
            what: "image",
            index: index as i64,
            len,
        })
    }
}
