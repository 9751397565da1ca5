//! The one error of the crate.

use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one line: the layer, the parameter, the value received, what is allowed,
/// and the cure.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// let error = MaxPool2d::builder(2).stride(0).build().unwrap_err();
/// assert!(matches!(error, candlelight::Error::InvalidParameter { parameter: "stride", .. }));
/// assert_eq!(error.to_string(), "MaxPool2d: stride=(0, 0) must be at least 1; leave it out for stride = kernel_size");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter's value is outside its range, or does not go with another one.
    #[error("{layer}: {parameter}={value} {problem}")]
    InvalidParameter {
        /// What has the parameter: a layer, loss, optimizer, schedule, data loader, …
        layer: &'static str,
        /// The parameter's name, as in PyTorch.
        parameter: &'static str,
        /// The value received.
        value: String,
        /// Why it is refused, and the cure.
        problem: String,
    },

    /// A tensor has another shape than the layer takes.
    #[error("{layer}: {what} has shape {got:?}, expected {expected}; {cure}")]
    WrongShape {
        /// The layer, loss or optimizer.
        layer: &'static str,
        /// Which tensor: `input`, `targets`, …
        what: &'static str,
        /// The shape received.
        got: Vec<usize>,
        /// The shape that is taken, in words.
        expected: String,
        /// How to get there.
        cure: String,
    },

    /// The kernel does not fit into the padded input.
    #[error(
        "{layer}: the kernel spans {kernel:?} (kernel_size={kernel_size:?}, dilation={dilation:?}) but the padded input is only {padded:?}; \
         use a smaller kernel_size or dilation, more padding, or a larger image"
    )]
    KernelTooLarge {
        /// The layer.
        layer: &'static str,
        /// Rows and columns that the dilated kernel covers.
        kernel: (usize, usize),
        /// The kernel's own rows and columns.
        kernel_size: (usize, usize),
        /// The spacing between the kernel's taps.
        dilation: (usize, usize),
        /// The input's rows and columns, padding included.
        padded: (usize, usize),
    },

    /// A tensor has an element type that the layer does not take.
    #[error("{layer}: {what} has dtype {got:?}, expected {expected}; convert it with to_dtype")]
    WrongDType {
        /// The layer, loss or optimizer.
        layer: &'static str,
        /// Which tensor.
        what: &'static str,
        /// The type received.
        got: candle_core::DType,
        /// The types that are taken.
        expected: &'static str,
    },

    /// A class index is not one of the classes that the logits have.
    #[error("CrossEntropyLoss: target {target} at position {position} is out of range for {classes} classes; targets are 0 to {}", classes - 1)]
    TargetOutOfRange {
        /// The index received.
        target: i64,
        /// Its place in the targets, flattened, from 0.
        position: usize,
        /// How many classes the logits have.
        classes: usize,
    },

    /// A file or folder is not there.
    #[error("{}: no such file or folder; {cure}", path.display())]
    MissingFile {
        /// Where it was looked for.
        path: PathBuf,
        /// How to get it.
        cure: String,
    },

    /// A file is truncated, or holds something else than it should.
    #[error("{}: {problem}; {cure}", path.display())]
    CorruptFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// How to get a good one.
        cure: String,
    },

    /// No mirror gave a file.
    #[error(
        "{}: cannot be downloaded ({}); check the connection, name another mirror with mirrors, or put the file there by hand",
        path.display(), failures.join("; ")
    )]
    Download {
        /// The file.
        path: PathBuf,
        /// Each address that was tried, and why it failed; last the file on disk, where that failed too. Or, alone,
        /// that another program is downloading it.
        failures: Vec<String>,
    },

    /// A file cannot be read or written.
    #[error("{}: {source}; check the path, the permissions and the free space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },

    /// A saved state does not fit what is to take it.
    #[error("{owner}: {problem}; {cure}")]
    WrongState {
        /// The file it is from, or what was to take it: `Adam`, `StepLr`, …
        owner: String,
        /// Which entries are missing, too many, or of another shape or type.
        problem: String,
        /// Where to get one that fits.
        cure: &'static str,
    },

    /// There is no such element.
    #[error("{what} {index} is out of range; there are {len}, numbered from 0")]
    IndexOutOfRange {
        /// What is counted: `image`, `class`, …
        what: &'static str,
        /// The index received.
        index: i64,
        /// How many there are.
        len: usize,
    },

    /// There is not one image, or not one batch.
    #[error(
        "{what}: there is nothing in it; give it a data set that holds images, and with drop_last at least one full batch"
    )]
    EmptyDataset {
        /// What needs images.
        what: &'static str,
    },

    /// A data set panicked while a batch was prepared.
    #[error(
        "DataLoader: the data set panicked in batch {batch} ({message}); make its get return an error instead"
    )]
    DatasetPanicked {
        /// The batch's number in its pass, from 0.
        batch: usize,
        /// What the panic said.
        message: String,
    },

    /// The device that was asked for cannot be had.
    #[error("device {device}: {problem}")]
    NoDevice {
        /// Its name.
        device: String,
        /// Why, and the cure.
        problem: String,
    },

    /// This build cannot do it.
    #[error("{what}: this build is without the feature {feature}; build with --features {feature}")]
    MissingFeature {
        /// What was asked for.
        what: String,
        /// The feature of this crate.
        feature: &'static str,
    },

    /// One process of several failed.
    #[error("rank {rank} of {world_size}: {source}; the other ranks are ended with it: {cure}")]
    RankFailed {
        /// Its number.
        rank: usize,
        /// How many there are.
        world_size: usize,
        /// Why.
        source: Box<Error>,
        /// From where to go on.
        cure: String,
    },

    /// A picture cannot be drawn.
    #[error("{picture}: {problem}")]
    Plot {
        /// The function that draws it.
        picture: &'static str,
        /// What is wrong, and the cure.
        problem: String,
    },

    /// An operation of candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// For candle's traits, whose methods return candle's error.
    pub(crate) fn into_candle(self) -> candle_core::Error {
        match self {
            Self::Candle(error) => error,
            other => candle_core::Error::wrap(other),
        }
    }
}

/// Refuses a parameter's value.
pub(crate) fn invalid<T>(
    layer: &'static str,
    parameter: &'static str,
    value: impl std::fmt::Display,
    problem: impl Into<String>,
) -> Result<T> {
    Err(Error::InvalidParameter {
        layer,
        parameter,
        value: value.to_string(),
        problem: problem.into(),
    })
}
