use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use candle_core::Tensor;
use image::GrayImage;

use super::super::download::Download;
use super::super::progress::DownloadProgress;
use super::{ImageTransform, LabelTransform, MnistKind, MnistLike, processed, raw};
use crate::error::invalid;
use crate::transforms::{ToTensor, Transform};
use crate::{Error, Result};

/// Options of [`Mnist`](super::Mnist) and its siblings.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `root` | required | the folder that holds `MNIST/raw` | a folder |
/// | `train` | `true` | the training set or the test set | |
/// | `transform` | [`ToTensor`] | what turns an image into a tensor | |
/// | `target_transform` | none | what turns a label into another | |
/// | `download` | `false` | fetches the files that are not there or not right | |
/// | `mirrors` | the data set's own | where to fetch them, in this order | at least one |
/// | `timeout` | 30 s | how long a mirror may keep silent | more than 0 |
/// | `on_download` | nothing | is told how far a download is | |
///
/// The last three say how to download, and count where `download` is `true`.
///
/// # Which files are read
///
/// `MNIST/raw/NAME.gz` where there is one, else the unpacked `MNIST/raw/NAME`; where `raw` has neither
/// of the set's files, `MNIST/processed/training.pt` or `test.pt`, which earlier versions of torchvision
/// wrote; then nothing is downloaded.
///
/// # Errors
///
/// [`build`](Self::build) gives [`Error::MissingFile`], [`Error::CorruptFile`], [`Error::Io`],
/// [`Error::Download`] or [`Error::InvalidParameter`], and tells when.
///
/// # Differences from PyTorch
///
/// Without a transform an item is a tensor, not an image ([`MnistLike::image`] gives that). A file's
/// content is checked every time: its MD5 where that is known (all of MNIST's), else its form. With
/// `download` an unpacked file whose MD5 is not known does not count: the packed one is fetched.
/// torchvision prefers `processed` to `raw`, takes any file that is there for the right one, and
/// unpacks what it downloaded; with its `download=True` it unpacks what was downloaded here, too.
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
/// // Odd or even; nothing is downloaded, as the files are there.
/// let parity = Mnist::builder("data").train(false).target_transform(|label| label % 2).download(true).build()?;
/// assert_eq!((test.get(0)?.1, parity.get(0)?.1), (7, 1));
///
/// let error = Mnist::builder("elsewhere").build().unwrap_err();
/// assert!(error.to_string().starts_with("elsewhere/MNIST/raw: no such file or folder"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MnistBuilder<K> {
    root: PathBuf,
    train: bool,
    transform: ImageTransform,
    target_transform: Option<LabelTransform>,
    download: bool,
    how: Download,
    kind: PhantomData<K>,
}

impl<K: MnistKind> MnistBuilder<K> {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            train: true,
            transform: Arc::new(ToTensor),
            target_transform: None,
            download: false,
            how: Download::new(K::MIRRORS),
            kind: PhantomData,
        }
    }

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

    /// What turns each label into another, each time it is asked for.
    /// [`labels`](MnistLike::labels) are those on disk.
    pub fn target_transform(
        mut self,
        transform: impl Fn(i64) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.target_transform = Some(Arc::new(transform));
        self
    }

    /// Whether to fetch the data set's four files, those that are not there or not right.
    ///
    /// A file arrives as `NAME.gz.part` and takes its name when it is whole and its MD5 is right; what
    /// a cut leaves of it is gone on with, by the next attempt or the next program.
    pub fn download(mut self, download: bool) -> Self {
        self.download = download;
        self
    }

    /// Where to fetch the files instead, in this order: addresses to which `NAME.gz` is appended. For
    /// those who keep a mirror of their own.
    pub fn mirrors(mut self, mirrors: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.how.mirrors = mirrors.into_iter().map(Into::into).collect();
        self
    }

    /// How long a mirror may keep silent, and how long it may send less than 1 kB a second, until the
    /// next is tried.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.how.timeout = timeout;
        self
    }

    /// Is told, as each piece of a file arrives, how far the file is. Without it a download shows
    /// nothing.
    ///
    /// # Example
    ///
    /// A bar in the terminal, by indicatif; [`DownloadProgress`] prints as a line where a bar is too
    /// much.
    ///
    /// ```
    /// use candlelight::prelude::*;
    /// use indicatif::{ProgressBar, ProgressStyle};
    ///
    /// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    /// let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}")?;
    /// let bar = ProgressBar::new(0).with_style(style);
    /// let shown = bar.clone();
    /// let test = Mnist::builder("data")
    ///     .train(false)
    ///     .download(true)
    ///     .on_download(move |progress| {
    ///         shown.set_message(progress.file.clone());
    ///         shown.set_length(progress.total.unwrap_or(progress.received));
    ///         shown.set_position(progress.received);
    ///     })
    ///     .build()?;
    /// bar.finish_and_clear();
    ///
    /// // The files are there: nothing was downloaded, nothing shown.
    /// assert_eq!((test.len(), bar.position()), (10_000, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_download(
        mut self,
        callback: impl Fn(&DownloadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.how.on_progress = Some(Arc::new(callback));
        self
    }

    /// Reads and checks the files, after downloading where that was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] where the folder or a file is not there, [`Error::CorruptFile`] where a
    /// file is truncated, is of another kind, or has another MD5, [`Error::Io`] where it cannot be
    /// read or written, [`Error::Download`] where no mirror gave it, [`Error::InvalidParameter`] where
    /// `mirrors` is empty or `timeout` 0.
    pub fn build(self) -> Result<MnistLike<K>> {
        if self.how.mirrors.is_empty() {
            let problem = "must name one at least; leave it out for the data set's own";
            return invalid(K::NAME, "mirrors", "[]", problem);
        }
        if self.how.timeout.is_zero() {
            let problem = "must be more than 0; 30 s suit most networks";
            return invalid(K::NAME, "timeout", "0", problem);
        }
        let data = self.root.join(K::FOLDER);
        let folder = data.join("raw");
        let resources = if self.train { K::TRAIN } else { K::TEST };
        let processed = data.join("processed").join(processed::name(self.train));
        let samples = if !raw::exists(&folder, &resources) && processed.exists() {
            processed::read(&processed, K::CLASSES.len())?
        } else {
            if self.download {
                let is_right = |resource: &_| raw::is_right::<K>(&folder, resource);
                self.how.fetch::<K>(&folder, is_right)?;
            }
            if !folder.is_dir() {
                return Err(missing::<K>(folder));
            }
            raw::read::<K>(&folder, &resources)?
        };
        MnistLike::new(samples, self.transform, self.target_transform, self.train)
    }
}

fn missing<K: MnistKind>(path: PathBuf) -> Error {
    let (name, folder) = (K::NAME, K::FOLDER);
    let give = format!("give {name}::builder the folder that holds {folder}/raw");
    let cure = match K::IN_REPOSITORY {
        true => format!(
            "{give}, start the program in the project's root, where it is data, or get the files with download(true)"
        ),
        false => format!("{give}, or get the files with download(true)"),
    };
    Error::MissingFile { path, cure }
}
