//! Each operation and a whole step, by criterion: `cargo bench --bench ops`.
//!
//! Batches of 64 in the sizes of the small net; "backward" is forward and backward together, since candle
//! differentiates a graph only once it has one.
#![allow(missing_docs)]

use std::hint::black_box;

use candlelight::Result;
use candlelight::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};

const BATCH: usize = 64;

fn random(shape: impl Into<candlelight::candle_core::Shape>) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 1f32, shape, &Device::Cpu)?)
}

/// A layer forward, and forward and backward with the gradient of its input.
fn layer(
    criterion: &mut Criterion,
    name: &str,
    input: Tensor,
    forward: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    let input = Var::from_tensor(&input)?;
    let detached = input.as_detached_tensor();
    let mut group = criterion.benchmark_group(name);
    group.bench_function("forward", |bencher| {
        bencher.iter(|| black_box(forward(&detached).ok()));
    });
    group.bench_function("backward", |bencher| {
        bencher.iter(|| {
            black_box(
                forward(&input)
                    .and_then(|y| Ok(y.sum_all()?.backward()?))
                    .ok(),
            )
        });
    });
    group.finish();
    Ok(())
}

fn layers(criterion: &mut Criterion) -> Result<()> {
    let vb = var_builder(DType::F32, &Device::Cpu);
    let conv1 = Conv2d::builder(1, 10, 5).build(vb.pp("conv1"))?;
    let conv2 = Conv2d::builder(10, 20, 5).build(vb.pp("conv2"))?;
    let pool = MaxPool2d::builder(2).build()?;
    let fc1 = Linear::builder(320, 50).build(vb.pp("fc1"))?;
    let loss = CrossEntropyLoss::builder().build()?;
    let targets = Tensor::new(
        (0..BATCH as i64).map(|i| i % 10).collect::<Vec<_>>(),
        &Device::Cpu,
    )?;
    layer(
        criterion,
        "conv2d 1 to 10",
        random((BATCH, 1, 28, 28))?,
        |x| conv1.forward(x),
    )?;
    layer(
        criterion,
        "conv2d 10 to 20",
        random((BATCH, 10, 12, 12))?,
        |x| conv2.forward(x),
    )?;
    layer(criterion, "max_pool2d", random((BATCH, 10, 24, 24))?, |x| {
        pool.forward(x)
    })?;
    layer(criterion, "relu", random((BATCH, 10, 12, 12))?, relu)?;
    layer(criterion, "linear", random((BATCH, 320))?, |x| {
        fc1.forward(x)
    })?;
    layer(criterion, "cross_entropy", random((BATCH, 10))?, |x| {
        loss.forward(x, &targets)
    })
}

/// Forward, loss, backward and the optimizer's step.
fn step(
    criterion: &mut Criterion,
    name: &str,
    net: &dyn Network,
    optimizer: &mut dyn Optimizer,
    batch: usize,
) -> Result<()> {
    let loss = CrossEntropyLoss::builder().build()?;
    let images = random((batch, 1, 28, 28))?;
    let targets = Tensor::new(
        (0..batch as i64).map(|i| i % 10).collect::<Vec<_>>(),
        &Device::Cpu,
    )?;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let loss = loss.forward(&net.forward(&images)?, &targets)?;
            optimizer.step(&loss.backward()?)
        });
    });
    Ok(())
}

/// An optimizer's step alone, on the large net's parameters.
fn optimizer(
    criterion: &mut Criterion,
    name: &str,
    net: &LargeNet,
    optimizer: &mut dyn Optimizer,
) -> Result<()> {
    let loss = net.forward(&random((1, 1, 28, 28))?)?.sqr()?.sum_all()?;
    let gradients = loss.backward()?;
    criterion.bench_function(name, |bencher| bencher.iter(|| optimizer.step(&gradients)));
    Ok(())
}

fn steps(criterion: &mut Criterion) -> Result<()> {
    let vb = var_builder(DType::F32, &Device::Cpu);
    let small = Net::new(vb.pp("small"))?;
    let large = LargeNet::new(vb.pp("large"))?;
    // Small enough that the weights stay finite for as long as criterion goes on.
    let mut of_small = Sgd::builder(small.parameters(), 1e-6)
        .momentum(0.5)
        .build()?;
    let mut of_large = Sgd::builder(large.parameters(), 1e-6)
        .momentum(0.5)
        .build()?;
    step(
        criterion,
        "step, small net, batch 1",
        &small,
        &mut of_small,
        1,
    )?;
    step(
        criterion,
        "step, small net, batch 64",
        &small,
        &mut of_small,
        BATCH,
    )?;
    step(
        criterion,
        "step, large net, batch 64",
        &large,
        &mut of_large,
        BATCH,
    )?;
    let parameters = || large.parameters();
    let mut adam = Adam::builder(parameters()).lr(1e-9).build()?;
    let mut adam_w = AdamW::builder(parameters()).lr(1e-9).build()?;
    let mut rms_prop = RmsProp::builder(parameters()).lr(1e-9).build()?;
    let mut adagrad = Adagrad::builder(parameters()).lr(1e-9).build()?;
    optimizer(criterion, "Sgd", &large, &mut of_large)?;
    optimizer(criterion, "Adam", &large, &mut adam)?;
    optimizer(criterion, "AdamW", &large, &mut adam_w)?;
    optimizer(criterion, "RmsProp", &large, &mut rms_prop)?;
    optimizer(criterion, "Adagrad", &large, &mut adagrad)
}

/// Reports what went wrong and measures nothing further.
fn all(criterion: &mut Criterion) {
    if let Err(error) = layers(criterion).and_then(|()| steps(criterion)) {
        eprintln!("error: {error}");
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
