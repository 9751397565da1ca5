//! The files in `processed`, in which earlier versions of torchvision kept their data sets: a pair of
//! tensors, saved with `torch.save`.

use std::path::Path;

use candle_core::{DType, Tensor};

use super::{HEIGHT, Samples, WIDTH};
use crate::pt;
use crate::{Error, Result};

const CURE: &str = "remove it and read the files in raw, which download(true) gets";

/// The file of the training set or of the test set.
pub(super) fn name(train: bool) -> &'static str {
    if train { "training.pt" } else { "test.pt" }
}

/// Reads the images and the labels.
pub(super) fn read(path: &Path, classes: usize) -> Result<Samples> {
    let corrupt = |problem: String| Error::CorruptFile {
        path: path.into(),
        problem,
        cure: CURE.into(),
    };
    let tensors = pt::read_tuple(path, CURE)?;
    let [images, labels] = tensors.as_slice() else {
        let problem = format!("{} tensors, expected images and labels", tensors.len());
        return Err(corrupt(problem));
    };
    match images.dims() {
        [_, HEIGHT, WIDTH] if images.dtype() == DType::U8 => {}
        _ => return Err(corrupt(unexpected("images", images, "(N, 28, 28) of U8"))),
    }
    if labels.rank() != 1 || labels.dtype() != DType::I64 {
        return Err(corrupt(unexpected("labels", labels, "(N) of I64")));
    }
    // A label beyond a byte is beyond the classes too.
    let label = |label: i64| u8::try_from(label).unwrap_or(u8::MAX);
    let samples = Samples {
        images: images.flatten_all()?.to_vec1::<u8>()?.into(),
        labels: labels.to_vec1::<i64>()?.into_iter().map(label).collect(),
    };
    match samples.problem(classes) {
        Some(problem) => Err(corrupt(problem)),
        None => Ok(samples),
    }
}

fn unexpected(what: &str, tensor: &Tensor, expected: &str) -> String {
    let (shape, dtype) = (tensor.dims(), tensor.dtype());
    format!("{what} of shape {shape:?} and {dtype:?}, expected {expected}")
}
