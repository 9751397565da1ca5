//! How many seconds a new net takes to 99 % on MNIST: trains one for each seed and prints a table.
//!
//!     cargo run --release --example ninety_nine

use std::process::ExitCode;
use std::time::Instant;

use candlelight::prelude::*;
use clap::Parser;

/// What the accuracy is to reach.
const GOAL: f64 = 0.99;

/// Trains a net for each seed, as fast as it can, and says how many reach 99 % on MNIST's test set.
#[derive(Parser)]
struct Args {
    /// Passes over the training set
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: u16,
    /// Kernels of the first and of the second convolution
    #[arg(long, num_args = 2, default_values_t = [10, 24], value_parser = clap::value_parser!(u16).range(1..=512))]
    kernels: Vec<u16>,
    /// Images in a batch
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    batch_size: u32,
    /// The highest learning rate of the cycle
    #[arg(long, default_value_t = 0.05)]
    lr: f64,
    /// How much each step pulls the weights towards 0
    #[arg(long, default_value_t = 0.0)]
    weight_decay: f64,
    /// How many seeds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// Where to train: auto, cpu, cuda, cuda:1 or metal. On a card the first seed's seconds count compiling the kernels
    #[arg(long, default_value = "auto")]
    device: String,
    /// Train on 50,000 images, and measure on the other 10,000 of the training set: to choose a recipe by
    #[arg(long)]
    held_back: bool,
    /// The folder that holds MNIST/raw
    #[arg(long, default_value = "data")]
    data: String,
}

/// One net.
struct Run {
    seconds: f64,
    accuracy: f64,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let (train, test) = loaders(args)?;
    let device = args.device.parse::<DeviceChoice>()?;
    let first = net(args, &device)?;
    eprintln!(
        "{} parameters, on {device}, {} threads",
        first.parameter_count(),
        rayon::current_num_threads()
    );
    println!("seed  epochs  seconds  accuracy");
    let mut runs = Vec::new();
    for seed in (args.first_seed..).take(usize::from(args.seeds)) {
        let run = one(args, seed, &device, &train, &test)?;
        let (seconds, accuracy) = (run.seconds, 100.0 * run.accuracy);
        println!(
            "{seed:4}  {:6}  {seconds:7.2}  {accuracy:.2} %",
            args.epochs
        );
        runs.push(run);
    }
    let (seconds, accuracies): (Vec<f64>, Vec<f64>) = runs
        .iter()
        .map(|run| (run.seconds, 100.0 * run.accuracy))
        .unzip();
    let reached = runs.iter().filter(|run| run.accuracy >= GOAL).count();
    println!(
        "mean ± standard deviation: {} s, {} %; {reached} of {} reach 99 %",
        spread(&seconds),
        spread(&accuracies),
        runs.len()
    );
    Ok(())
}

/// What is trained on, and what the accuracy is measured on.
fn loaders(args: &Args) -> Result<(DataLoader, DataLoader)> {
    let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
    let set = |train| {
        let mnist = Mnist::builder(&args.data).train(train);
        mnist.transform(normalize.clone()).build()
    };
    let train = set(true)?;
    let (learned, test, measured) = match args.held_back {
        true => (0..50_000, train.clone(), 50_000..60_000),
        false => (0..60_000, set(false)?, 0..10_000),
    };
    let train = Subset::new(train, learned.collect())?;
    let train = DataLoader::builder(train)
        .batch_size(args.batch_size as usize)
        .shuffle(true)
        .build()?;
    let test = Subset::new(test, measured.collect())?;
    let test = DataLoader::builder(test).batch_size(1000).build()?;
    Ok((train, test))
}

fn net(args: &Args, device: &Device) -> Result<Sequential> {
    let vb = var_builder(DType::F32, device);
    let first = usize::from(args.kernels[0]);
    let second = usize::from(args.kernels[1]);
    Ok(sequential![
        Conv2d::builder(1, first, 5).build(vb.pp("conv1"))?,
        MaxPool2d::builder(2).build()?,
        Relu,
        Conv2d::builder(first, second, 5).build(vb.pp("conv2"))?,
        MaxPool2d::builder(2).build()?,
        Relu,
        Flatten,
        Linear::builder(second * 4 * 4, 10).build(vb.pp("fc"))?,
    ])
}

/// The clock runs from before the first weight is drawn to the end of the last step.
fn one(
    args: &Args,
    seed: u64,
    device: &Device,
    train: &DataLoader,
    test: &DataLoader,
) -> Result<Run> {
    let epochs = usize::from(args.epochs);
    let start = Instant::now();
    manual_seed(seed);
    let net = net(args, device)?;
    let sgd = Sgd::builder(net.parameters(), args.lr)
        .momentum(0.9)
        .nesterov(true)
        .weight_decay(args.weight_decay)
        .build()?;
    let schedule = OneCycleLr::builder_with_epochs(args.lr, epochs, train.len()).build()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    Trainer::builder(net.clone(), criterion, sgd)
        .epochs(epochs)
        .schedule(schedule, Every::Step)
        .build()?
        .fit(train, None)?;
    let seconds = start.elapsed().as_secs_f64();
    let accuracy = evaluate(&net, test)?.accuracy;
    Ok(Run { seconds, accuracy })
}

/// Mean and sample standard deviation; of one value the value.
fn spread(values: &[f64]) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return format!("{mean:.2}");
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    format!("{mean:.2} ± {:.2}", (squares / (n - 1.0)).sqrt())
}
