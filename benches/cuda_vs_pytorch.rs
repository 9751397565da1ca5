//! Candlelight beside PyTorch on a CUDA card, in turn in one run: epochs of both nets, and 99 % of the test set.
//!
//!     cargo bench --features cuda --bench cuda_vs_pytorch
//!
//! The Python that has PyTorch is `python3`, or what the variable PYTHON names. Without a card, or without PyTorch, it
//! says so and measures nothing. With `-- --device cpu` it shows on the CPU that it runs; such times are of no use.
#![allow(missing_docs)]

#[path = "side/process.rs"]
mod process;
#[path = "side/spread.rs"]
mod spread;

use std::error::Error;
use std::process::{Command, ExitCode};

use candlelight::compose;
use candlelight::optim::schedule::OneCycleLr;
use candlelight::prelude::*;
use clap::Parser;
use serde_json::json;

use process::Process;
use spread::Spread;

/// Measures Candlelight beside PyTorch on a CUDA card, in turn.
#[derive(Parser)]
struct Args {
    /// How often each side is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How many seeds of the nets that are to find 99 %
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Their passes over the training set
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: u16,
    /// The card
    #[arg(long, default_value = "cuda")]
    device: String,
    /// Images of an epoch
    #[arg(long, default_value_t = 60_000)]
    images: usize,
    /// Sent by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let device = match args.device.parse::<DeviceChoice>() {
        Ok(device) => device,
        Err(error) => {
            println!("skipped: {error}");
            return ExitCode::SUCCESS;
        }
    };
    match run(&args, &device) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, device: &DeviceChoice) -> std::result::Result<(), Box<dyn Error>> {
    let mut pytorch = match pytorch(&args.device) {
        Ok(side) => side,
        Err(problem) => {
            println!("skipped: {problem}");
            return Ok(());
        }
    };
    let version = pytorch.hello["version"].as_str().unwrap_or("?").to_string();
    println!(
        "Candlelight {} beside PyTorch {version}, {} rounds in turn\n{device}\n",
        env!("CARGO_PKG_VERSION"),
        args.rounds
    );
    let own = Own::new(device.clone().into(), args.images)?;
    println!(
        "batch 64, SGD with momentum, an epoch of {} images",
        own.train.len()
    );
    println!(
        "seconds: minimum / median / maximum; ratio: Candlelight's by the other's, round by round"
    );
    let graphs: &[bool] = match device.is_cuda() {
        true => &[true, false],
        false => &[false],
    };
    let precisions: &[Precision] = match device.is_cuda() {
        true => &[Precision::Highest, Precision::High, Precision::Medium],
        false => &[Precision::Highest],
    };
    for large in [false, true] {
        let net = if large { "large" } else { "small" };
        for &precision in precisions {
            println!("{net} net, precision {precision}");
            let mut ours = Vec::new();
            let mut theirs = vec![Vec::new(); graphs.len()];
            // The first pass compiles, allocates and warms up; it does not count.
            for round in 0..=args.rounds {
                let seconds = own.epoch(large, precision)?;
                let mut all = Vec::new();
                for &graph in graphs {
                    all.push(pytorch.ask(&json!({
                        "task": "train", "net": net, "batch": 64, "images": own.train.len(), "graph": graph,
                        "precision": precision.to_string(),
                    }))?);
                }
                if round > 0 {
                    ours.push(seconds);
                    theirs
                        .iter_mut()
                        .zip(all)
                        .for_each(|(theirs, seconds)| theirs.push(seconds));
                }
            }
            println!("  {:28} {}", "Candlelight", Spread::of(&ours));
            for (theirs, graph) in theirs.iter().zip(graphs) {
                let name = if *graph {
                    "PyTorch, CUDA graph"
                } else {
                    "PyTorch"
                };
                let ratios: Vec<f64> = ours
                    .iter()
                    .zip(theirs)
                    .map(|(own, their)| own / their)
                    .collect();
                println!(
                    "  {name:28} {}   ratio {}",
                    Spread::of(theirs),
                    Spread::of(&ratios)
                );
            }
        }
    }
    accurate(args, &own, &mut pytorch)
}

/// A net that finds 99 % of the test set: how long it is trained.
fn accurate(
    args: &Args,
    own: &Own,
    pytorch: &mut Process,
) -> std::result::Result<(), Box<dyn Error>> {
    println!(
        "\nconv 1-24 k5, pool, conv 24-32 k3, pool, fc 800-256-10; batch 256, Adam, one-cycle to 0.01, {} epochs, {} seeds",
        args.epochs, args.seeds
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for seed in 0..=args.seeds {
        let pair = own.recipe(seed, usize::from(args.epochs))?;
        let task = json!({"task": "recipe", "seed": seed, "epochs": args.epochs, "images": own.train.len()});
        let seconds = pytorch.ask(&task)?;
        let found = pytorch.ask(&json!({"task": "accuracy"}))?;
        if seed > 0 {
            ours.push(pair);
            theirs.push((seconds, found));
        }
    }
    for (name, found) in [("Candlelight", &ours), ("PyTorch", &theirs)] {
        let (seconds, accuracy): (Vec<f64>, Vec<f64>) = found.iter().copied().unzip();
        let mean = 100.0 * accuracy.iter().sum::<f64>() / accuracy.len() as f64;
        let least = 100.0 * accuracy.iter().copied().fold(1.0, f64::min);
        println!(
            "  {name:28} {} s, mean {mean:.2} %, least {least:.2} %",
            Spread::of(&seconds)
        );
    }
    Ok(())
}

fn pytorch(device: &str) -> std::result::Result<Process, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new(&python);
    command.arg(format!("{folder}/benches/cuda_vs_pytorch.py"));
    command.args([&format!("{folder}/data/MNIST/raw"), device]);
    // PyTorch has libraries of its own: scripts/on-a-card names ours for this program alone.
    command.env_remove("LD_PRELOAD");
    match std::env::var_os("LIBRARY_PATH_OF_PYTORCH") {
        Some(path) => command.env("LD_LIBRARY_PATH", path),
        None => &mut command,
    };
    Process::start("PyTorch", &mut command).map_err(|error| {
        format!(
            "{python} does not start PyTorch ({error}); install it with `pip install torch numpy`, or name the \
             Python that has it in PYTHON"
        )
    })
}

struct Own {
    device: Device,
    train: Subset<Mnist>,
    test: Mnist,
}

impl Own {
    fn new(device: Device, images: usize) -> Result<Self> {
        let transform = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        let set = |train| {
            Mnist::builder(root)
                .train(train)
                .transform(transform.clone())
                .build()
        };
        let train = set(true)?;
        let images = images.min(train.len());
        Ok(Self {
            device,
            train: Subset::new(train, (0..images).collect())?,
            test: set(false)?,
        })
    }

    /// The seconds of an epoch.
    fn epoch(&self, large: bool, precision: Precision) -> Result<f64> {
        let loader = DataLoader::builder(self.train.clone())
            .batch_size(64)
            .shuffle(true)
            .build()?;
        manual_seed(0);
        let vb = var_builder(DType::F32, &self.device);
        let sgd = |parameters| Sgd::builder(parameters, 0.01).momentum(0.5).build();
        let criterion = CrossEntropyLoss::builder().build()?;
        let trainer = match large {
            false => {
                let net = Net::new(vb)?;
                let sgd = sgd(net.parameters())?;
                Trainer::builder(net, criterion, sgd)
            }
            true => {
                let net = LargeNet::new(vb)?;
                let sgd = sgd(net.parameters())?;
                Trainer::builder(net, criterion, sgd)
            }
        };
        let mut trainer = trainer.float32_matmul_precision(precision).build()?;
        let history = trainer.fit(&loader, None)?;
        Ok(history.epochs.iter().map(|epoch| epoch.seconds).sum())
    }

    /// Seconds of training, and the accuracy on the test set.
    fn recipe(&self, seed: u64, epochs: usize) -> Result<(f64, f64)> {
        manual_seed(seed);
        let vb = var_builder(DType::F32, &self.device);
        let net = sequential![
            Conv2d::builder(1, 24, 5).build(vb.pp("0"))?,
            MaxPool2d::builder(2).build()?,
            Relu,
            Conv2d::builder(24, 32, 3).build(vb.pp("3"))?,
            MaxPool2d::builder(2).build()?,
            Relu,
            Flatten,
            Linear::builder(800, 256).build(vb.pp("7"))?,
            Relu,
            Linear::builder(256, 10).build(vb.pp("9"))?,
        ];
        let loader = DataLoader::builder(self.train.clone())
            .batch_size(256)
            .shuffle(true)
            .build()?;
        let test = DataLoader::builder(self.test.clone())
            .batch_size(1000)
            .build()?;
        let adam = Adam::builder(net.parameters()).betas((0.7, 0.9)).build()?;
        let schedule = OneCycleLr::builder_with_epochs(0.01, epochs, loader.len());
        let schedule = schedule.cycle_momentum(false).build()?;
        let criterion = CrossEntropyLoss::builder().build()?;
        let trainer = Trainer::builder(net, criterion, adam).epochs(epochs);
        let mut trainer = trainer.schedule(schedule, Every::Step).build()?;
        let history = trainer.fit(&loader, Some(&test))?;
        let seconds = history.epochs.iter().map(|epoch| epoch.seconds).sum();
        let accuracy = history.last().and_then(|epoch| epoch.test_accuracy);
        Ok((seconds, accuracy.unwrap_or(f64::NAN)))
    }
}
