//! The one line that a cell imports: `use candlelight::prelude::*;`.

pub use candle_core::{D, DType, Device, Module, Shape, Tensor, Var};
pub use candle_nn::VarBuilder;
// `VarBuilder` is an alias that mentions it: evcxr writes the type out when a cell keeps one.
#[doc(no_inline)]
pub use candle_nn::var_builder::SimpleBackend;
pub use image::{GrayImage, RgbImage};

pub use crate::data::{
    Batch, DataLoader, Dataset, FashionMnist, KMnist, Mnist, Subset, mean_and_std,
};
pub use crate::{compose, sequential};
// What the data sets' names stand for: evcxr writes the types out when a cell keeps one.
#[doc(no_inline)]
pub use crate::data::{Digits, Fashion, Kuzushiji, MnistLike};
pub use crate::loss::{CrossEntropyLoss, Reduction};
pub use crate::nn::{
    Conv2d, Flatten, LargeNet, Layer, Linear, MaxPool2d, Net, Network, PaddingMode, Relu,
    Sequential, relu, var_builder, var_builder_from,
};
pub use crate::optim::schedule::{
    AnnealStrategy, CosineAnnealingLr, ExponentialLr, LinearLr, MultiStepLr, OneCycleLr, Schedule,
    StepLr,
};
pub use crate::optim::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
pub use crate::plot::{self, Figure, ImageTile};
pub use crate::pt::load_pt;
pub use crate::random::{Generator, manual_seed};
pub use crate::size::{Padding2, Size2};
pub use crate::state::StateDict;
pub use crate::train::{
    Checkpoint, Confusion, DeviceChoice, EpochRecord, Evaluation, Every, History, Mistake,
    Precision, Progress, StepRecord, Trainer, best_device, evaluate,
};
pub use crate::transforms::{
    CenterCrop, Compose, Degrees, ErasingValue, Fill, InterpolationMode, Lambda, Normalize, Pad,
    PadMode, Padding4, RandomAffine, RandomCrop, RandomErasing, RandomHorizontalFlip,
    RandomRotation, Resize, Shear, ToTensor, Transform,
};
pub use crate::{Error, Result};

/// Keeps evcxr from compiling a cell twice.
///
/// evcxr first compiles a cell's last expression with `.evcxr_display()` behind it and, where that
/// does not compile, compiles the cell again with `{:?}`. With this trait in scope the first attempt
/// succeeds for whatever is `Debug`. A type's own `evcxr_display`, such as a figure's, still wins.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// vec![1, 2, 3].evcxr_display(); // shows [1, 2, 3]
/// ```
pub trait DisplayAny {
    /// Shows the value as `{:?}` does, as the cell's result; nothing for `()`.
    fn evcxr_display(&self);
}

impl<T: std::fmt::Debug + ?Sized> DisplayAny for T {
    fn evcxr_display(&self) {
        let text = format!("{self:?}");
        if text != "()" {
            println!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT");
        }
    }
}
