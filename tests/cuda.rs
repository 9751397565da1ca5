//! What needs a card: training there gives what it gives on the CPU, and what is on a card comes back.
//!
//!     cargo test --features cuda --test cuda [-- NAME]
//!
//! With a name it runs the tests that have it in theirs. Without a card it says so and passes. The kernels by themselves are compared without one, in `cuda_emulated.rs`, and
//! with PyTorch on a card by `PARITY_DEVICE=cuda cargo test --features cuda --test parity`.

use std::error::Error;
use std::process::ExitCode;

use candlelight::nn::Layer;
use candlelight::optim::schedule::OneCycleLr;
use candlelight::prelude::*;

#[path = "cuda/fed.rs"]
mod fed;

type Anything<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let card = match "cuda".parse::<DeviceChoice>() {
        Ok(card) => card,
        Err(error) => {
            println!("cuda: skipped: {error}");
            return ExitCode::SUCCESS;
        }
    };
    println!("cuda: on {card}");
    // tests/cuda_emulated/card.sh: slow.
    let emulated = card
        .hardware()
        .is_some_and(|found| found.name == "emulated card");
    let images = if emulated { 200 } else { 1000 };
    type Test = Box<dyn Fn(&DeviceChoice) -> Anything<()>>;
    let mut tests: Vec<(&str, Test)> = vec![
        (
            "a card is opened once, and one that there is not is refused",
            Box::new(devices),
        ),
        (
            "training has the CPU's losses",
            Box::new(move |card| training(card, images)),
        ),
        (
            "a captured step is the CPU's with every option",
            Box::new(move |card| with_every_option(card, images)),
        ),
        (
            "a checkpoint of a card goes on there as if it had not stopped",
            Box::new(checkpoint),
        ),
        (
            "a captured step is that of the layers one by one",
            Box::new(move |card| layer_by_layer(card, images)),
        ),
        (
            "a step that cannot be captured says why",
            Box::new(not_captured),
        ),
        (
            "every optimizer takes the CPU's steps",
            Box::new(optimizers),
        ),
        ("a net goes to the card and back", Box::new(moved)),
        (
            "batches that are copied there meanwhile",
            Box::new(fed::training),
        ),
        (
            "more steps than are read at once",
            Box::new(fed::many_steps),
        ),
        (
            "a batch that fails ends an epoch",
            Box::new(fed::what_ends_an_epoch),
        ),
    ];
    match emulated {
        true => println!("cuda: tensor cores: skipped, for an emulated card does not round"),
        false => tests.push((
            "tensor cores train to losses near by",
            Box::new(tensor_cores),
        )),
    }
    if let Some(part) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) {
        tests.retain(|(name, _)| name.contains(&part));
        println!("cuda: {} tests have {part} in their names", tests.len());
    }
    let mut done = ExitCode::SUCCESS;
    for (name, test) in tests {
        match test(&card) {
            Ok(()) => println!("cuda: {name}: ok"),
            Err(error) => {
                println!("cuda: {name}: FAILED: {error}");
                done = ExitCode::FAILURE;
            }
        }
    }
    done
}

/// The largest difference, by the larger of 1 and what was expected; an error beyond `tolerance`.
fn near(found: &[f64], expected: &[f64], tolerance: f64) -> Anything<()> {
    if found.len() != expected.len() {
        return Err(format!("{} numbers, expected {}", found.len(), expected.len()).into());
    }
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs() / expected.abs().max(1.0);
        if apart.is_nan() || apart > tolerance {
            return Err(format!("number {i} is {found:e}, expected {expected:e}").into());
        }
    }
    Ok(())
}

fn numbers(net: &impl Network) -> Anything<Vec<f64>> {
    let mut all = Vec::new();
    for var in net.parameters() {
        let var = var.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        all.extend(var.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok(all)
}

fn devices(card: &DeviceChoice) -> Anything<()> {
    let again: DeviceChoice = "cuda:0".parse()?;
    if !again.same_device(card) {
        return Err("cuda and cuda:0 are two devices".into());
    }
    match "cuda:99".parse::<DeviceChoice>() {
        Ok(_) => Err("cuda:99 is taken".into()),
        Err(error) if error.to_string().contains("CUDA device") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn loader(images: usize) -> Result<DataLoader> {
    loader_of(images, 64)
}

fn loader_of(images: usize, batch_size: usize) -> Result<DataLoader> {
    let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
    loader_with(normalize, images, batch_size)
}

fn loader_with(
    transform: impl Transform<GrayImage, Output = Tensor> + 'static,
    images: usize,
    batch_size: usize,
) -> Result<DataLoader> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let test = Mnist::builder(data)
        .train(false)
        .transform(transform)
        .build()?;
    let few = Subset::new(test, (0..images).collect())?;
    DataLoader::builder(few)
        .batch_size(batch_size)
        .shuffle(true)
        .build()
}

/// Losses of steps and of the test, then the accuracy.
fn trained(device: &Device, large: bool, images: usize) -> Anything<Vec<f64>> {
    fn run(
        net: impl Network + Clone + 'static,
        test: &DataLoader,
        images: usize,
    ) -> Anything<Vec<f64>> {
        let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
        let criterion = CrossEntropyLoss::builder().build()?;
        let mut trainer = Trainer::builder(net, criterion, sgd).epochs(2).build()?;
        let history = trainer.fit(&loader(images)?, Some(test))?;
        let mut losses: Vec<f64> = history.steps.iter().map(|step| step.loss).collect();
        let last = history.last().ok_or("no epoch")?;
        losses.extend(last.test_loss.into_iter().chain(last.test_accuracy));
        Ok(losses)
    }
    manual_seed(0);
    let vb = var_builder(DType::F32, device);
    let test = loader(images * 7 / 10)?;
    match large {
        false => run(Net::new(vb)?, &test, images),
        true => run(LargeNet::new(vb)?, &test, images),
    }
}

fn training(card: &DeviceChoice, images: usize) -> Anything<()> {
    for large in [false, true] {
        let expected = trained(&Device::Cpu, large, images)?;
        near(&trained(card, large, images)?, &expected, 2e-3)?;
    }
    Ok(())
}

/// A net that does not list its layers, and so is not captured.
#[derive(Clone)]
struct LayerByLayer<N>(N);

impl<N: Network> Network for LayerByLayer<N> {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.0.forward(images)
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.0.named_parameters()
    }
}

/// A net that names its parameters from the last to the first.
#[derive(Clone)]
struct Reversed<N>(N);

impl<N: Network> Network for Reversed<N> {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.0.forward(images)
    }

    fn layers(&self) -> Option<Vec<Layer>> {
        self.0.layers()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.0.named_parameters().into_iter().rev().collect()
    }
}

#[derive(Clone, Copy)]
enum As {
    Itself,
    LayerByLayer,
    Reversed,
}

/// Losses of steps and of the test, then SGD's parameters, of two epochs with everything that a captured step takes.
fn with_everything(device: &Device, adam: bool, how: As, images: usize) -> Anything<Vec<f64>> {
    fn run(net: impl Network + Clone + 'static, adam: bool, images: usize) -> Anything<Vec<f64>> {
        let optimizer: Box<dyn Optimizer + Send> = match adam {
            true => Box::new(Adam::builder(net.parameters()).amsgrad(true).build()?),
            false => {
                let sgd = Sgd::builder(net.parameters(), 0.1)
                    .momentum(0.9)
                    .dampening(0.1);
                Box::new(sgd.weight_decay(1e-3).build()?)
            }
        };
        let weight = Tensor::new(
            &[1f32, 2.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.5],
            &Device::Cpu,
        )?;
        let criterion = CrossEntropyLoss::builder().weight(weight).ignore_index(7);
        let criterion = criterion.label_smoothing(0.1).build()?;
        // The last batch is smaller.
        let (train, test) = (loader(images)?, loader(images * 7 / 10)?);
        let schedule = OneCycleLr::builder_with_epochs(0.02, 2, train.len()).build()?;
        let trainer = Trainer::builder(net.clone(), criterion, optimizer).epochs(2);
        let mut trainer = trainer.schedule(schedule, Every::Step).build()?;
        let history = trainer.fit(&train, Some(&test))?;
        let mut found: Vec<f64> = history.steps.iter().map(|step| step.loss).collect();
        for epoch in &history.epochs {
            found.extend(epoch.test_loss.into_iter().chain(epoch.test_accuracy));
        }
        // Adam follows the sign of a gradient that is all but 0, and so its rounding.
        if !adam {
            found.extend(numbers(&net)?);
        }
        Ok(found)
    }
    manual_seed(4);
    let net = Net::new(var_builder(DType::F32, device))?;
    match how {
        As::Itself => run(net, adam, images),
        As::LayerByLayer => run(LayerByLayer(net), adam, images),
        As::Reversed => run(Reversed(net), adam, images),
    }
}

fn with_every_option(card: &DeviceChoice, images: usize) -> Anything<()> {
    for (adam, how) in [
        (false, As::Itself),
        (true, As::Itself),
        (false, As::Reversed),
    ] {
        let expected = with_everything(&Device::Cpu, adam, how, images)?;
        near(&with_everything(card, adam, how, images)?, &expected, 5e-3)?;
    }
    Ok(())
}

fn layer_by_layer(card: &DeviceChoice, images: usize) -> Anything<()> {
    for adam in [false, true] {
        let expected = with_everything(card, adam, As::LayerByLayer, images)?;
        let found = with_everything(card, adam, As::Itself, images)?;
        near(&found, &expected, 5e-3)?;
    }
    Ok(())
}

fn tensor_cores(card: &DeviceChoice) -> Anything<()> {
    let run = |precision| {
        manual_seed(5);
        let net = LargeNet::new(var_builder(DType::F32, card))?;
        let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
        let criterion = CrossEntropyLoss::builder().build()?;
        let trainer = Trainer::builder(net, criterion, sgd).float32_matmul_precision(precision);
        let history = trainer.build()?.fit(&loader(1000)?, None)?;
        let losses: Vec<f64> = history.steps.iter().map(|step| step.loss).collect();
        Ok::<_, Box<dyn Error>>(losses)
    };
    let exact = run(Precision::Highest)?;
    for (precision, tolerance) in [(Precision::High, 0.01), (Precision::Medium, 0.05)] {
        let found = run(precision)?;
        near(&found, &exact, tolerance)?;
        if found == exact {
            return Err(format!("{precision} is no other than highest").into());
        }
    }
    Ok(())
}

fn not_captured(card: &DeviceChoice) -> Anything<()> {
    let net = LayerByLayer(Net::new(var_builder(DType::F32, card))?);
    let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    let trainer = Trainer::builder(net, criterion, sgd).float32_matmul_precision(Precision::High);
    match trainer.build()?.fit(&loader(100)?, None) {
        Ok(_) => Err("it is taken".into()),
        Err(error) if error.to_string().contains("not of layers that it takes") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn optimizers(card: &DeviceChoice) -> Anything<()> {
    type Build = fn(Vec<Var>) -> Result<Box<dyn Optimizer>>;
    let all: [Build; 5] = [
        |p| {
            Ok(Box::new(
                Sgd::builder(p, 0.1).momentum(0.9).nesterov(true).build()?,
            ))
        },
        |p| {
            Ok(Box::new(
                Adam::builder(p).amsgrad(true).weight_decay(0.01).build()?,
            ))
        },
        |p| Ok(Box::new(AdamW::builder(p).build()?)),
        |p| {
            Ok(Box::new(
                RmsProp::builder(p).momentum(0.5).centered(true).build()?,
            ))
        },
        |p| Ok(Box::new(Adagrad::builder(p).build()?)),
    ];
    for build in all {
        let run = |device: &Device| {
            let start = Generator::new(3).rand(1000);
            let p = Var::from_tensor(&Tensor::from_vec(start, 1000, device)?)?;
            let mut optimizer = build(vec![p.clone()])?;
            for _ in 0..5 {
                let loss = p.affine(3.0, -1.0)?.sqr()?.mean_all()?;
                optimizer.step(&loss.backward()?)?;
            }
            Ok::<_, Box<dyn Error>>(p.to_dtype(DType::F64)?.to_vec1::<f64>()?)
        };
        near(&run(card)?, &run(&Device::Cpu)?, 1e-6)?;
    }
    Ok(())
}

fn moved(card: &DeviceChoice) -> Anything<()> {
    manual_seed(1);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    let there = net.to_device(card)?;
    let back = there.to_device(&Device::Cpu)?;
    if !there.parameters().iter().all(|var| var.device().is_cuda()) {
        return Err("a parameter stayed".into());
    }
    near(&numbers(&back)?, &numbers(&net)?, 0.0)?;
    let batch = loader(64)?.iter()?.next().ok_or("no batch")??;
    let output = |net: &Net, batch: &Batch| {
        let output = net.forward(&batch.images)?.to_dtype(DType::F64)?;
        Ok::<_, Box<dyn Error>>(output.flatten_all()?.to_vec1::<f64>()?)
    };
    near(
        &output(&there, &batch.to_device(card)?)?,
        &output(&net, &batch)?,
        1e-5,
    )
}

fn checkpoint(card: &DeviceChoice) -> Anything<()> {
    let folder = tempfile::tempdir()?;
    let run = |name: &str, epochs: usize| {
        let path = folder.path().join(name);
        manual_seed(2);
        let net = Net::new(var_builder(DType::F32, card))?;
        let adam = Adam::builder(net.parameters()).build()?;
        let criterion = CrossEntropyLoss::builder().build()?;
        let trainer = Trainer::builder(net.clone(), criterion, adam).epochs(epochs);
        let mut trainer = trainer.checkpoint(&path).build()?;
        if path.exists() {
            trainer.resume(&path)?;
        }
        trainer.fit(&loader(500)?, None)?;
        numbers(&net)
    };
    let whole = run("whole", 2)?;
    run("stopped", 1)?;
    near(&run("stopped", 2)?, &whole, 0.0)
}
