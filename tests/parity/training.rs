//! Training on MNIST: from PyTorch's first weights and in PyTorch's order, and from nothing but the seed.

use std::io::Read;
use std::sync::OnceLock;

use candlelight::candle_core::{DType, Device, Tensor};
use candlelight::prelude::{
    CrossEntropyLoss, Generator, Net, Network, VarBuilder, manual_seed, var_builder,
};
use candlelight::random::random_i64;

use crate::case::{Case, Result};
use crate::compare::{Answer, apart};
use crate::optimizers;
use crate::seeded::seed;

/// How far the loss at step 100, and the mean of the losses until then, may be from PyTorch's.
///
/// A window with two nearly equal values may have its maximum at the one here and at the other in PyTorch;
/// from then on the paths part slowly, faster at a larger learning rate. PyTorch's own do so between one
/// thread and two.
pub const TOLERANCE: f64 = 1e-3;
const STEPS: usize = 100;
/// Of each of the first losses, before the paths part.
const FIRST_TOLERANCE: f64 = 1e-4;
const FIRST_STEPS: usize = 20;
/// Of each weight after the last step, where the learning rate is so small that the paths stay close.
const FINAL_TOLERANCE: f64 = 1e-2;
const FINAL_LR: f64 = 0.05;

struct Mnist {
    /// Normalised.
    images: Tensor,
    labels: Vec<u8>,
}

fn mnist() -> Result<&'static Mnist> {
    static MNIST: OnceLock<Result<Mnist, String>> = OnceLock::new();
    let mnist = MNIST.get_or_init(|| read_mnist().map_err(|error| error.to_string()));
    Ok(mnist.as_ref().map_err(String::clone)?)
}

fn read_mnist() -> Result<Mnist> {
    let read = |name: &str, header: usize| -> Result<Vec<u8>> {
        let path = format!("{}/data/MNIST/raw/{name}.gz", env!("CARGO_MANIFEST_DIR"));
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
        Ok(bytes.split_off(header))
    };
    let pixels = read("train-images-idx3-ubyte", 16)?;
    let normal = |pixel: &u8| (f32::from(*pixel) / 255.0 - 0.1307) / 0.3081;
    let images: Vec<f32> = pixels.iter().map(normal).collect();
    Ok(Mnist {
        images: Tensor::from_vec(images, (60_000, 1, 28, 28), &Device::Cpu)?,
        labels: read("train-labels-idx1-ubyte", 8)?,
    })
}

/// Trains the net, for as many steps as PyTorch did, and compares the losses.
fn compare(case: &Case, op: &str, net: &Net, order: &[u32], batch_size: usize) -> Result<Answer> {
    let mnist = mnist()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    let mut optimizer = optimizers::build(op, case, net.parameters())??;
    let expected = case.get("losses")?;
    let steps = expected.elem_count();
    let mut losses = Vec::with_capacity(steps);
    for batch in order.chunks(batch_size).take(steps) {
        let indices = Tensor::new(batch, &Device::Cpu)?;
        let targets: Vec<u8> = batch.iter().map(|&i| mnist.labels[i as usize]).collect();
        let targets = Tensor::new(targets, &Device::Cpu)?;
        let logits = net.forward(&mnist.images.index_select(&indices, 0)?)?;
        let loss = criterion.forward(&logits, &targets)?;
        optimizer.step(&loss.backward()?)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    let losses = Tensor::new(losses, &Device::Cpu)?;
    let first = |losses: &Tensor| losses.narrow(0, 0, FIRST_STEPS);
    let (found, wanted) = (first(&losses)?, first(expected)?);
    apart("one of the first losses", &found, &wanted, FIRST_TOLERANCE)?;
    let at_the_end = |losses: &Tensor| {
        let mean = losses.narrow(0, 0, STEPS)?.mean_keepdim(0)?;
        Tensor::cat(&[mean, losses.narrow(0, STEPS - 1, 1)?], 0)
    };
    let (found, wanted) = (at_the_end(&losses)?, at_the_end(expected)?);
    let what = "mean loss, loss at step 100";
    Ok(Answer::Agrees(apart(what, &found, &wanted, TOLERANCE)?))
}

/// From the first weights of the case, in its order.
pub fn training(case: &Case) -> Result<Answer> {
    let first = case.named("init.");
    let net = Net::new(VarBuilder::from_tensors(first, DType::F32, &Device::Cpu))?;
    let order = case.get("order")?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
    let batch_size = case.fields["batch_size"].as_u64().ok_or("no batch_size")?;
    let answer = compare(case, &case.op, &net, &order, batch_size as usize)?;
    // Adam's steps are as long as its learning rate, however small the gradient: its paths part sooner.
    if case.op == "SGD" && case.f64("lr")? < FINAL_LR {
        for (name, var) in net.named_parameters() {
            let name = format!("final.{name}");
            apart(&name, &var, case.get(&name)?, FINAL_TOLERANCE)?;
        }
    }
    Ok(answer)
}

/// As PyTorch's script would: seed, build the net, then let the loader draw its order.
pub fn training_run(case: &Case) -> Result<Answer> {
    manual_seed(seed(case)?);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    random_i64();
    let order = Generator::new(random_i64() as u64).randperm(60_000);
    let order: Vec<u32> = order.into_iter().map(|i| i as u32).collect();
    compare(case, "SGD", &net, &order, case.usize("batch_size")?)
}
