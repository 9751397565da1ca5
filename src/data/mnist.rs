use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use image::GrayImage;

use super::dataset::{Dataset, checked};
use super::source::{Source, corrupt, elements, read};
use crate::transforms::{ToTensor, Transform};
use crate::{Error, Result};

/// The images and the labels of the training set, then of the test set.
const TRAIN: [Source; 2] = [
    Source {
        name: "train-images-idx3-ubyte",
        md5: "6bbc9ace898e44ae57da46a324031adb",
    },
    Source {
        name: "train-labels-idx1-ubyte",
        md5: "a25bea736e30d166cdddb491f175f624",
    },
];
const TEST: [Source; 2] = [
    Source {
        name: "t10k-images-idx3-ubyte",
        md5: "2646ac647ad5339dbf082846283269ea",
    },
    Source {
        name: "t10k-labels-idx1-ubyte",
        md5: "27ae3e4e09519cfbb04c329615203637",
    },
];
const FOLDER: &str = "MNIST/raw";

/// MNIST: 60,000 handwritten digits to train on and 10,000 to test with, 28 × 28, gray. Equivalent
/// of `torchvision.datasets.MNIST`.
///
/// A clone is cheap: it shares the images.
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
#[derive(Clone)]
pub struct Mnist {
    images: Arc<[u8]>,
    labels: Arc<[u8]>,
    transform: Arc<dyn Transform<GrayImage, Output = Tensor>>,
    /// The transformed value of each of the 256 grays, where the transform allows it.
    table: Option<Arc<[f32]>>,
    train: bool,
}

impl Mnist {
    /// The digits 0 to 9.
    pub const CLASSES: usize = 10;
    /// Rows of an image.
    pub const HEIGHT: usize = 28;
    /// Columns of an image.
    pub const WIDTH: usize = 28;
    const PIXELS: usize = Self::HEIGHT * Self::WIDTH;

    /// Reads MNIST from `root`, the folder that holds `MNIST/raw`.
    pub fn builder(root: impl AsRef<Path>) -> MnistBuilder {
        MnistBuilder {
            root: root.as_ref().into(),
            train: true,
            transform: Arc::new(ToTensor),
        }
    }

    /// One image, as it is on disk.
    ///
    /// # Errors
    ///
    /// [`Error::IndexOutOfRange`].
    pub fn image(&self, index: usize) -> Result<GrayImage> {
        let pixels = self.pixels(index)?.to_vec();
        GrayImage::from_raw(Self::WIDTH as u32, Self::HEIGHT as u32, pixels).ok_or(
            Error::IndexOutOfRange {
                what: "image",
                index: index as i64,
                len: self.len(),
            },
        )
    }

    /// All images as they are on disk: N × 28 × 28 bytes, row by row.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, each 0 to 9.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    fn pixels(&self, index: usize) -> Result<&[u8]> {
        let start = checked(index, self.len())? * Self::PIXELS;
        Ok(&self.images[start..start + Self::PIXELS])
    }
}

impl Dataset for Mnist {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        Ok((
            self.transform.apply(&self.image(index)?)?,
            i64::from(self.labels[index]),
        ))
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let labels = indices
            .iter()
            .map(|&index| Ok(i64::from(self.labels[checked(index, self.len())?])))
            .collect::<Result<Vec<i64>>>()?;
        let labels = Tensor::new(labels, &Device::Cpu)?;
        let Some(table) = &self.table else {
            let images = indices
                .iter()
                .map(|&i| self.transform.apply(&self.image(i)?))
                .collect::<Result<Vec<_>>>()?;
            return Ok((Tensor::stack(&images, 0)?, labels));
        };
        let mut values = Vec::with_capacity(indices.len() * Self::PIXELS);
        for &index in indices {
            values.extend(
                self.pixels(index)?
                    .iter()
                    .map(|&gray| table[usize::from(gray)]),
            );
        }
        let shape = (indices.len(), 1, Self::HEIGHT, Self::WIDTH);
        Ok((Tensor::from_vec(values, shape, &Device::Cpu)?, labels))
    }
}

impl fmt::Debug for Mnist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Mnist({} {} images)",
            self.len(),
            if self.train { "training" } else { "test" }
        )
    }
}

/// Options of [`Mnist`].
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `root` | required | the folder that holds `MNIST/raw` | a folder |
/// | `train` | `true` | the training set or the test set | |
/// | `transform` | [`ToTensor`] | what turns an image into a tensor | |
///
/// # Differences from PyTorch
///
/// Without a transform an item is a tensor, not an image ([`Mnist::image`] gives that). The content
/// of each file is checked against its MD5 every time, not only after a download. There is no
/// `download`: the files come with the project.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let normalize = Normalize::new([0.1307], [0.3081])?;
/// let test = Mnist::builder("data").train(false).transform(compose![ToTensor, normalize]).build()?;
/// assert!(test.get(0)?.0.min_all()?.to_scalar::<f32>()? < 0.0);
///
/// let error = Mnist::builder("elsewhere").build().unwrap_err();
/// assert!(error.to_string().starts_with("elsewhere/MNIST/raw: no such file or folder"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MnistBuilder {
    root: PathBuf,
    train: bool,
    transform: Arc<dyn Transform<GrayImage, Output = Tensor>>,
}

impl MnistBuilder {
    /// The 60,000 images to train on (`true`) or the 10,000 to test with (`false`).
    pub fn train(mut self, train: bool) -> Self {
        self.train = train;
        self
    }

    /// What turns each image into a tensor, each time it is asked for.
    pub fn transform(
        mut self,
        transform: impl Transform<GrayImage, Output = Tensor> + 'static,
    ) -> Self {
        self.transform = Arc::new(transform);
        self
    }

    /// Reads and checks the files: `NAME.gz` where there is one, else the unpacked `NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] where the folder or a file is not there, [`Error::CorruptFile`] where a
    /// file is truncated, is of another kind, or has another MD5, [`Error::Io`] where it cannot be
    /// read.
    pub fn build(self) -> Result<Mnist> {
        let folder = self.root.join(FOLDER);
        if !folder.is_dir() {
            return Err(Error::MissingFile {
                path: folder,
                cure: format!(
                    "give Mnist::builder the folder that holds {FOLDER}, or start the program in the project's root, where it is data"
                ),
            });
        }
        let [image_source, label_source] = if self.train { TRAIN } else { TEST };
        let (path, bytes) = read(&folder, &image_source)?;
        let (dims, images) = elements(&path, &bytes, 3, &image_source)?;
        if dims[1..] != [Mnist::HEIGHT, Mnist::WIDTH] {
            return Err(corrupt(
                &path,
                format!("images of {} × {}, expected 28 × 28", dims[1], dims[2]),
                &image_source,
            ));
        }
        let (path, bytes) = read(&folder, &label_source)?;
        let (label_dims, labels) = elements(&path, &bytes, 1, &label_source)?;
        if label_dims[0] != dims[0] {
            return Err(corrupt(
                &path,
                format!("{} labels for {} images", label_dims[0], dims[0]),
                &label_source,
            ));
        }
        // A pointwise transform of an image that has every gray gives the table for all images.
        let grays = GrayImage::from_fn(16, 16, |x, y| image::Luma([(16 * y + x) as u8]));
        let table = match self.transform.is_pointwise() {
            true => Some(
                self.transform
                    .apply(&grays)?
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .into(),
            ),
            false => None,
        };
        Ok(Mnist {
            images,
            labels,
            transform: self.transform,
            table,
            train: self.train,
        })
    }
}
