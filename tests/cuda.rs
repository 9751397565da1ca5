//! What needs a card: training there gives what it gives on the CPU, and what is on a card comes back.
//!
//!     cargo test --features cuda --test cuda
//!
//! Without a card it says so and passes. The kernels by themselves are compared without one, in `cuda_emulated.rs`, and
//! with PyTorch on a card by `PARITY_DEVICE=cuda cargo test --features cuda --test parity`.

use std::error::Error;
use std::process::ExitCode;

use candlelight::prelude::*;

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
    type Test = fn(&DeviceChoice) -> Anything<()>;
    let tests: [(&str, Test); 5] = [
        (
            "a card is opened once, and one that there is not is refused",
            devices,
        ),
        ("training has the CPU's losses", training),
        ("every optimizer takes the CPU's steps", optimizers),
        ("a net goes to the card and back", moved),
        (
            "a checkpoint of a card goes on there as if it had not stopped",
            checkpoint,
        ),
    ];
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
        all.extend(var.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?);
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
    let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let test = Mnist::builder(data)
        .train(false)
        .transform(normalize)
        .build()?;
    let few = Subset::new(test, (0..images).collect())?;
    DataLoader::builder(few)
        .batch_size(64)
        .shuffle(true)
        .build()
}

/// Losses of steps and of the test, then the accuracy.
fn trained(device: &Device, large: bool) -> Anything<Vec<f64>> {
    fn run(net: impl Network + Clone + 'static, test: &DataLoader) -> Anything<Vec<f64>> {
        let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
        let criterion = CrossEntropyLoss::builder().build()?;
        let mut trainer = Trainer::builder(net, criterion, sgd).epochs(2).build()?;
        let history = trainer.fit(&loader(1000)?, Some(test))?;
        let mut losses: Vec<f64> = history.steps.iter().map(|step| step.loss).collect();
        let last = history.last().ok_or("no epoch")?;
        losses.extend(last.test_loss.into_iter().chain(last.test_accuracy));
        Ok(losses)
    }
    manual_seed(0);
    let vb = var_builder(DType::F32, device);
    let test = loader(700)?;
    match large {
        false => run(Net::new(vb)?, &test),
        true => run(LargeNet::new(vb)?, &test),
    }
}

fn training(card: &DeviceChoice) -> Anything<()> {
    for large in [false, true] {
        near(&trained(card, large)?, &trained(&Device::Cpu, large)?, 2e-3)?;
    }
    Ok(())
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
