//! MNIST and its siblings: one reader, and a set of constants for each.

mod builder;
mod kind;
mod processed;
mod raw;

pub use builder::MnistBuilder;
pub use kind::{Digits, Fashion, Kuzushiji, MnistKind, Resource};
#[cfg(feature = "download")]
pub(super) use raw::hex_md5;

use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use image::GrayImage;

use super::dataset::{Dataset, RawImages, checked};
use crate::transforms::Transform;
use crate::{Error, Result};

const HEIGHT: usize = 28;
const WIDTH: usize = 28;
const PIXELS: usize = HEIGHT * WIDTH;
/// Bytes that the memory gives at once.
const LINE: usize = 64;

type ImageTransform = Arc<dyn Transform<GrayImage, Output = Tensor>>;
type LabelTransform = Arc<dyn Fn(i64) -> i64 + Send + Sync>;

/// MNIST: 60,000 handwritten digits to train on and 10,000 to test with, 28 × 28, gray. Equivalent
/// of `torchvision.datasets.MNIST`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let test = Mnist::builder("data").train(false).build()?;
/// assert_eq!(test.len(), 10_000);
/// let (image, label) = test.get(0)?;
/// assert_eq!(image.dims(), [1, 28, 28]);
/// assert_eq!(label, 7);
/// assert_eq!(Mnist::CLASSES, 10);
/// # Ok(())
/// # }
/// ```
pub type Mnist = MnistLike<Digits>;

/// Fashion-MNIST: pictures of clothes, as many and as large as MNIST's digits. Equivalent of
/// `torchvision.datasets.FashionMNIST`.
///
/// # Example
///
/// `FashionMnist::builder("data").download(true).build()?` gets it the first time. Without `download`:
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = FashionMnist::builder("elsewhere").build().unwrap_err().to_string();
/// assert!(error.starts_with("elsewhere/FashionMNIST/raw: no such file or folder"));
/// assert!(error.contains("download(true)"));
/// ```
pub type FashionMnist = MnistLike<Fashion>;

/// Kuzushiji-MNIST: characters of old Japanese handwriting, as many and as large as MNIST's digits.
/// Equivalent of `torchvision.datasets.KMNIST`.
///
/// # Example
///
/// `KMnist::builder("data").download(true).build()?` gets it the first time. Without `download`:
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = KMnist::builder("elsewhere").build().unwrap_err().to_string();
/// assert!(error.starts_with("elsewhere/KMNIST/raw: no such file or folder"));
/// assert!(error.contains("download(true)"));
/// ```
pub type KMnist = MnistLike<Kuzushiji>;

/// A data set in the form of MNIST: [`Mnist`], [`FashionMnist`], [`KMnist`], or one of your own
/// [`MnistKind`].
///
/// A clone is cheap: it shares the images.
///
/// # Example
///
/// ```
/// use candlelight::data::MnistKind;
/// use candlelight::prelude::*;
///
/// fn ink<K: MnistKind>(data: &MnistLike<K>) -> usize {
///     data.images().iter().filter(|&&gray| gray > 0).count()
/// }
///
/// # fn main() -> Result<()> {
/// assert_eq!(ink(&Mnist::builder("data").train(false).build()?), 1_511_219);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MnistLike<K> {
    samples: Samples,
    transform: ImageTransform,
    target_transform: Option<LabelTransform>,
    /// The transformed value of each of the 256 grays, where the transform allows it.
    table: Option<Arc<[f32; 256]>>,
    train: bool,
    kind: PhantomData<K>,
}

/// What a data set's files hold.
#[derive(Clone)]
struct Samples {
    /// N × 28 × 28 grays.
    images: Arc<[u8]>,
    labels: Arc<[u8]>,
}

impl Samples {
    /// Why the labels cannot be those of the images.
    fn problem(&self, classes: usize) -> Option<String> {
        let (images, labels) = (self.images.len() / PIXELS, self.labels.len());
        if images != labels {
            return Some(format!("{labels} labels for {images} images"));
        }
        let beyond = self
            .labels
            .iter()
            .position(|&label| usize::from(label) >= classes)?;
        Some(format!(
            "label {beyond} is not one of 0 to {}",
            classes.saturating_sub(1)
        ))
    }
}

impl<K: MnistKind> MnistLike<K> {
    /// How many classes there are.
    pub const CLASSES: usize = K::CLASSES.len();
    /// Rows of an image.
    pub const HEIGHT: usize = HEIGHT;
    /// Columns of an image.
    pub const WIDTH: usize = WIDTH;

    /// Reads the data set from `root`, the folder that holds `MNIST/raw`, `FashionMNIST/raw` or
    /// `KMNIST/raw`.
    pub fn builder(root: impl AsRef<Path>) -> MnistBuilder<K> {
        MnistBuilder::new(root.as_ref())
    }

    fn new(
        samples: Samples,
        transform: ImageTransform,
        target_transform: Option<LabelTransform>,
        train: bool,
    ) -> Result<Self> {
        // A pointwise transform of an image that has every gray gives the table for all images.
        let grays = GrayImage::from_fn(16, 16, |x, y| image::Luma([(16 * y + x) as u8]));
        let table = match transform.is_pointwise() {
            // One that gives something else than a value for each pixel is applied image by image.
            true => match transform.apply(&grays)? {
                table if table.dims() == [1, 16, 16] && table.dtype() == DType::F32 => {
                    let table = table.flatten_all()?.to_vec1::<f32>()?;
                    table.try_into().ok().map(Arc::new)
                }
                _ => None,
            },
            false => None,
        };
        Ok(Self {
            samples,
            transform,
            target_transform,
            table,
            train,
            kind: PhantomData,
        })
    }

    /// What each label stands for. Equivalent of torchvision's `classes`.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let test = Mnist::builder("data").train(false).build()?;
    /// assert_eq!(test.classes()[7], "7 - seven");
    /// # Ok(())
    /// # }
    /// ```
    pub fn classes(&self) -> &'static [&'static str] {
        K::CLASSES
    }

    /// One image, as it is on disk.
    ///
    /// # Errors
    ///
    /// [`Error::IndexOutOfRange`].
    pub fn image(&self, index: usize) -> Result<GrayImage> {
        let pixels = self.pixels(index)?.to_vec();
        GrayImage::from_raw(WIDTH as u32, HEIGHT as u32, pixels).ok_or(Error::IndexOutOfRange {
            what: "image",
            index: index as i64,
            len: self.len(),
        })
    }

    /// All images as they are on disk: N × 28 × 28 bytes, row by row.
    pub fn images(&self) -> &[u8] {
        &self.samples.images
    }

    /// All labels as they are on disk, each below [`CLASSES`](Self::CLASSES).
    pub fn labels(&self) -> &[u8] {
        &self.samples.labels
    }

    fn pixels(&self, index: usize) -> Result<&[u8]> {
        let start = checked(index, self.len())? * PIXELS;
        Ok(&self.samples.images[start..start + PIXELS])
    }

    fn label(&self, index: usize) -> Result<i64> {
        let label = i64::from(self.samples.labels[checked(index, self.len())?]);
        Ok(match &self.target_transform {
            Some(transform) => transform(label),
            None => label,
        })
    }
}

impl<K: MnistKind> Dataset for MnistLike<K> {
    fn len(&self) -> usize {
        self.samples.labels.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let image = self.transform.apply(&self.image(index)?)?;
        Ok((image, self.label(index)?))
    }

    /// Where the transform gives each gray one value, and so draws nothing.
    fn can_prefetch(&self) -> bool {
        self.table.is_some()
    }

    fn raw(&self) -> Option<RawImages<'_>> {
        Some(RawImages {
            bytes: &self.samples.images,
            table: self.table.as_deref()?,
            shape: [1, HEIGHT, WIDTH],
        })
    }

    fn raw_index(&self, index: usize) -> Result<(usize, i64)> {
        Ok((index, self.label(index)?))
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let labels = indices
            .iter()
            .map(|&index| self.label(index))
            .collect::<Result<Vec<i64>>>()?;
        let labels = Tensor::new(labels, &Device::Cpu)?;
        let Some(table) = &self.table else {
            let images = indices
                .iter()
                .map(|&i| self.transform.apply(&self.image(i)?))
                .collect::<Result<Vec<_>>>()?;
            return Ok((Tensor::stack(&images, 0)?, labels));
        };
        let mut values = Vec::with_capacity(indices.len() * PIXELS);
        for &index in indices {
            let pixels = self.pixels(index)?;
            // An image is seldom near the one before. A look at each of its lines has the memory fetch all at
            // once; pixel by pixel it would be asked for one after another.
            black_box(pixels.iter().step_by(LINE).fold(0, |all, gray| all ^ gray));
            values.extend(pixels.iter().map(|&gray| table[usize::from(gray)]));
        }
        let shape = (indices.len(), 1, HEIGHT, WIDTH);
        Ok((Tensor::from_vec(values, shape, &Device::Cpu)?, labels))
    }
}

impl<K: MnistKind> fmt::Debug for MnistLike<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = if self.train { "training" } else { "test" };
        write!(f, "{}({} {set} images)", K::NAME, self.len())
    }
}
