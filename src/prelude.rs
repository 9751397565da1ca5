//! The one line that a cell imports: `use candlelight::prelude::*;`.

pub use crate::compose;
pub use crate::data::{Batch, DataLoader, Dataset, Mnist, mean_and_std};
pub use crate::random::manual_seed;
pub use crate::transforms::{Compose, Normalize, ToTensor, Transform};
pub use crate::{Error, Result};
pub use candle_core::{D, DType, Device, Module, Shape, Tensor, Var};
pub use image::GrayImage;
