//! The small network, trained in the page on a part of MNIST.

use std::io::Read;

use candlelight::candle_core::{DType, Device, Tensor};
use candlelight::loss::CrossEntropyLoss;
use candlelight::nn::{Net, Network, var_builder};
use candlelight::optim::Optimizer;
use candlelight::random::{Generator, manual_seed};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::told;
use crate::optimizer::build;
use crate::options::Options;

/// Bytes of an image, and of its label before it.
const RECORD: usize = 1 + 28 * 28;

/// Images and labels.
struct Part {
    images: Tensor,
    labels: Tensor,
}

/// A training that goes on by a batch at a time.
#[wasm_bindgen]
pub struct Training {
    net: Net,
    optimizer: Box<dyn Optimizer>,
    criterion: CrossEntropyLoss,
    train: Part,
    test: Part,
    batch_size: usize,
    generator: Generator,
    /// What of this pass is still to come.
    order: Vec<usize>,
    steps: usize,
    rust: String,
    python: String,
}

/// A training of a new net: `data` is what `examples/subset.rs` writes; of `options` it takes `optimizer` and its
/// parameters by PyTorch's names, `batch_size`, `seed`, and `images`, how many to train on.
///
/// # Errors
///
/// Where the data are no such file, or which option cannot be read.
#[wasm_bindgen]
pub fn training(data: &[u8], options: &str) -> Result<Training, String> {
    let mut options = Options::parse(options)?;
    let seed = options.or("seed", 0)?;
    let batch_size: usize = options.or("batch_size", 64)?;
    if batch_size == 0 {
        return Err("batch_size=0 must be at least 1".into());
    }
    let (train, test) = parts(data, options.or("images", usize::MAX)?)?;
    manual_seed(seed);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu)).map_err(told)?;
    let (optimizer, call) = build(&mut options, net.parameters(), 0.01)?;
    options.end()?;
    Ok(Training {
        net,
        optimizer,
        criterion: CrossEntropyLoss::builder().build().map_err(told)?,
        train,
        test,
        batch_size,
        generator: Generator::new(seed),
        order: Vec::new(),
        steps: 0,
        rust: call.rust(),
        python: call.python(),
    })
}

#[wasm_bindgen]
impl Training {
    /// Trains on the next batch and gives its loss.
    ///
    /// # Errors
    ///
    /// Those of the network.
    pub fn step(&mut self) -> Result<f32, String> {
        self.stepped().map_err(told)
    }

    /// The share of the test images that the net names rightly.
    ///
    /// # Errors
    ///
    /// Those of the network.
    pub fn accuracy(&self) -> Result<f32, String> {
        self.tested().map_err(told)
    }

    /// How many batches it has seen.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Batches of a pass over the images.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.images().div_ceil(self.batch_size)
    }

    /// Images that it trains on.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn images(&self) -> usize {
        self.train.images.dims()[0]
    }

    /// The optimizer in Rust.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn rust(&self) -> String {
        self.rust.clone()
    }

    /// The optimizer in Python.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn python(&self) -> String {
        self.python.clone()
    }
}

impl Training {
    fn stepped(&mut self) -> candlelight::Result<f32> {
        if self.order.is_empty() {
            self.order = self.generator.randperm(self.images());
        }
        let rest = self.order.split_off(self.batch_size.min(self.order.len()));
        let batch = std::mem::replace(&mut self.order, rest);
        let batch: Vec<u32> = batch.into_iter().map(|index| index as u32).collect();
        let batch = Tensor::new(batch, &Device::Cpu)?;
        let logits = self
            .net
            .forward(&self.train.images.index_select(&batch, 0)?)?;
        let labels = self.train.labels.index_select(&batch, 0)?;
        let loss = self.criterion.forward(&logits, &labels)?;
        self.optimizer.step(&loss.backward()?)?;
        self.steps += 1;
        Ok(loss.to_scalar()?)
    }

    fn tested(&self) -> candlelight::Result<f32> {
        let named = self.net.infer(&self.test.images)?.argmax(1)?;
        let right = named.to_dtype(DType::I64)?.eq(&self.test.labels)?;
        Ok(right.to_dtype(DType::F32)?.mean_all()?.to_scalar()?)
    }
}

/// The first `most` images to train on, and those to test with.
fn parts(data: &[u8], most: usize) -> Result<(Part, Part), String> {
    let mut bytes = Vec::new();
    let read = flate2::read::GzDecoder::new(data).read_to_end(&mut bytes);
    read.map_err(|error| format!("the images cannot be read: {error}"))?;
    let wrong = || "the images are no such file as examples/subset.rs writes".to_string();
    let (head, records) = bytes.split_at_checked(2).ok_or_else(wrong)?;
    let count = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let (train, test) = records.split_at_checked(count * RECORD).ok_or_else(wrong)?;
    if count == 0 || test.is_empty() || test.len() % RECORD != 0 {
        return Err(wrong());
    }
    if most == 0 {
        return Err(format!("images=0 must be 1 to {count}"));
    }
    let train = &train[..most.min(count) * RECORD];
    Ok((part(train).map_err(told)?, part(test).map_err(told)?))
}

/// Images, normalized as in the chapters, and labels of these records.
fn part(records: &[u8]) -> candlelight::Result<Part> {
    let count = records.len() / RECORD;
    let labels: Vec<i64> = records
        .iter()
        .step_by(RECORD)
        .map(|&label| i64::from(label))
        .collect();
    let grays = records.chunks(RECORD).flat_map(|record| &record[1..]);
    let pixels: Vec<f32> = grays
        .map(|&gray| (f32::from(gray) / 255.0 - 0.1307) / 0.3081)
        .collect();
    Ok(Part {
        images: Tensor::from_vec(pixels, (count, 1, 28, 28), &Device::Cpu)?,
        labels: Tensor::from_vec(labels, count, &Device::Cpu)?,
    })
}
