//! Image classification with a convolutional network, one parameter at a time: PyTorch's layers,
//! losses and optimizers, with PyTorch's names, defaults and gradients, on top of [candle](candle_core).
//!
//! | looking for | is in |
//! |---|---|
//! | everything a cell needs, in one line | [`prelude`] |
//! | MNIST and batches | [`data`], [`transforms`] |
//! | layers and the networks | [`nn`] |
//! | the loss | [`loss`] |
//! | the optimizers, the learning rate's schedules | [`optim`], [`optim::schedule`] |
//! | saved parameters and state | [`state`] |
//! | the training loop, its history, its metrics | [`train`] |
//! | several processes that train one net | [`distributed`] |
//! | pictures | [`plot`] |
//! | PyTorch's `.pt` files | [`pt`] |
//! | seeds | [`random`] |
//! | an int or a pair | [`size`] |
//!
//! # Example
//!
//! A step of training on four images of noise:
//!
//! ```
//! use candlelight::prelude::*;
//!
//! # fn main() -> Result<()> {
//! manual_seed(0);
//! let device = Device::Cpu;
//! let net = Net::new(var_builder(DType::F32, &device))?;
//! let criterion = CrossEntropyLoss::builder().build()?;
//! let mut sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.5).build()?;
//!
//! let images = Tensor::rand(0f32, 1f32, (4, 1, 28, 28), &device)?;
//! let targets = Tensor::new(&[3i64, 1, 4, 1], &device)?;
//! let loss = criterion.forward(&net.forward(&images)?, &targets)?;
//! sgd.step(&loss.backward()?)?;
//! assert_eq!(loss.rank(), 0);
//! # Ok(())
//! # }
//! ```

pub mod data;
pub mod distributed;
pub mod error;
mod files;
pub mod loss;
pub mod nn;
mod ops;
pub mod optim;
pub mod plot;
pub mod prelude;
pub mod pt;
pub mod random;
pub mod size;
pub mod state;
pub mod train;
pub mod transforms;

pub use candle_core;
pub use candle_nn;
pub use error::{Error, Result};
pub use image;
