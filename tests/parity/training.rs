//! Training on MNIST: from PyTorch's first weights and in PyTorch's order, and from nothing but the seed.

use std::sync::OnceLock;

use candlelight::compose;
use candlelight::prelude::{
    Batch, CrossEntropyLoss, DType, DataLoader, Mnist, Net, Network, Normalize, Subset, Tensor,
    ToTensor, VarBuilder, manual_seed, var_builder,
};

use crate::case::{Case, Result, device};
use crate::compare::{Answer, apart};
use crate::optimizers;
use crate::seeded::seed;

/// How far the loss at step 100, and the mean of the losses until then, may be from PyTorch's.
///
/// SGD's are the same to the last bit on x86 (`tests/same_losses.rs`). Elsewhere, and with Adam, whose square
/// root PyTorch rounds otherwise, a window with two nearly equal values may have its maximum at the one here
/// and at the other in PyTorch; from then on the paths part slowly. PyTorch's own do so between one thread and
/// two: of 16 seeds' runs, three parted, the furthest by 2e-3. A card sums in an order of its own.
pub fn tolerance() -> f64 {
    match device().is_cpu() {
        true => 1e-3,
        false => 5e-3,
    }
}
const STEPS: usize = 100;
/// Of each of the first losses, before the paths part.
const FIRST_TOLERANCE: f64 = 1e-4;
const FIRST_STEPS: usize = 20;
/// Of each weight after the last step, where the learning rate is so small that the paths stay close.
const FINAL_TOLERANCE: f64 = 1e-2;
const FINAL_LR: f64 = 0.05;

/// The training set as PyTorch's MNIST example has it.
fn mnist() -> Result<Mnist> {
    static MNIST: OnceLock<Result<Mnist, String>> = OnceLock::new();
    let read = || {
        let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        Mnist::builder(root).transform(normalize).build()
    };
    let mnist = MNIST.get_or_init(|| read().map_err(|error| error.to_string()));
    Ok(mnist.as_ref().map_err(String::clone)?.clone())
}

/// Trains the net, for as many steps as PyTorch did, and compares the losses.
fn compare(case: &Case, op: &str, net: &Net, loader: &DataLoader) -> Result<Answer> {
    let criterion = CrossEntropyLoss::builder().build()?;
    let mut optimizer = optimizers::build(op, case, net.parameters())??;
    let expected = case.get("losses")?;
    let steps = expected.elem_count();
    let mut losses = Vec::with_capacity(steps);
    for batch in loader.iter()?.take(steps) {
        let Batch { images, targets } = batch?.to_device(device())?;
        let loss = criterion.forward(&net.forward(&images)?, &targets)?;
        optimizer.step(&loss.backward()?)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    let losses = Tensor::new(losses, device())?;
    let first = |losses: &Tensor| losses.narrow(0, 0, FIRST_STEPS);
    let (found, wanted) = (first(&losses)?, first(expected)?);
    apart("one of the first losses", &found, &wanted, FIRST_TOLERANCE)?;
    let at_the_end = |losses: &Tensor| {
        let mean = losses.narrow(0, 0, STEPS)?.mean_keepdim(0)?;
        Tensor::cat(&[mean, losses.narrow(0, STEPS - 1, 1)?], 0)
    };
    let (found, wanted) = (at_the_end(&losses)?, at_the_end(expected)?);
    let what = "mean loss, loss at step 100";
    Ok(Answer::Agrees(apart(what, &found, &wanted, tolerance())?))
}

/// From the first weights of the case, in its order.
pub fn training(case: &Case) -> Result<Answer> {
    let first = case.named("init.");
    let net = Net::new(VarBuilder::from_tensors(first, DType::F32, device()))?;
    let order = case.get("order")?.to_vec1::<i64>()?;
    let images = Subset::new(mnist()?, order.into_iter().map(|i| i as usize).collect())?;
    let batch_size = case.fields["batch_size"].as_u64().ok_or("no batch_size")?;
    let loader = DataLoader::builder(images).batch_size(batch_size as usize);
    let answer = compare(case, &case.op, &net, &loader.build()?)?;
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
    let net = Net::new(var_builder(DType::F32, device()))?;
    let loader = DataLoader::builder(mnist()?)
        .batch_size(case.usize("batch_size")?)
        .shuffle(true);
    compare(case, "SGD", &net, &loader.build()?)
}
