//! Trains a net on MNIST and evaluates it.
//!
//!     cargo run --release --example train -- --epochs 3 --momentum 0.9
//!
//! As two processes, each with half of the images (needs an MPI, and the feature mpi):
//!
//!     cargo build --release --features mpi --example train
//!     mpirun -n 2 target/release/examples/train --backend mpi --batch-size 32

use std::error::Error;
use std::process::ExitCode;

use candlelight::distributed::{
    Backend, DistributedSampler, ProcessGroup, destroy_process_group, init_process_group,
};
use candlelight::prelude::*;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// Trains a convolutional network on MNIST and evaluates it on the test set.
#[derive(Parser)]
#[command(allow_negative_numbers = true)]
struct Args {
    /// Passes over the training set
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: u16,
    /// Images in a batch
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    batch_size: u32,
    /// The learning rate
    #[arg(long, default_value_t = 0.01, value_parser = at_least_0)]
    lr: f64,
    /// How much of the last step goes into the next, 0 to 1
    #[arg(long, default_value_t = 0.5, value_parser = at_least_0)]
    momentum: f64,
    /// The seed of the initial weights and of the order of images
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where it runs: cpu, cuda, or auto for CUDA where it can be had
    #[arg(long, default_value = "auto")]
    device: String,
    /// As what a CUDA card multiplies: f32, TF32 or bf16
    #[arg(long, value_enum, default_value_t = PrecisionName::Highest)]
    float32_matmul_precision: PrecisionName,
    /// Which network
    #[arg(long, value_enum, default_value_t = NetName::Small)]
    net: NetName,
    /// Train as one of the processes that mpirun, torchrun or srun has started, each with its share of the images;
    /// the batch size is each one's own. What carries the gradients: mpi, on the CPU; nccl, on a card each
    #[arg(long)]
    backend: Option<Backend>,
    /// The folder that holds MNIST/raw
    #[arg(long, default_value = "data")]
    data: String,
    /// Fetch the files of MNIST that are not there or not right
    #[arg(long)]
    download: bool,
    /// End with one line that is a JSON object; its final_loss is the last epoch's mean training loss
    #[arg(long)]
    json: bool,
}

/// Those of `torch.set_float32_matmul_precision`.
#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    Highest,
    High,
    Medium,
}

#[derive(Clone, Copy, ValueEnum)]
enum NetName {
    /// Two convolutions of 5×5 with 10 and 20 channels
    Small,
    /// Two convolutions of 3×3 with 32 and 64 channels
    Large,
}

fn at_least_0(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("must be a number that is at least 0".into()),
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> std::result::Result<(), Box<dyn Error>> {
    let group = args.backend.map(init_process_group).transpose()?;
    let device = match &group {
        Some(group) => group.device().clone(),
        None => args.device.parse()?,
    };
    let first = group.as_ref().is_none_or(|group| group.rank() == 0);
    // The other ranks find what rank 0 has fetched.
    if !first {
        wait(group.as_ref())?;
    }
    let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
    let fetched = download_bar()?;
    let shown = fetched.clone();
    // All four files: the test set's, too.
    let train = Mnist::builder(&args.data)
        .train(true)
        .transform(normalize.clone())
        .download(args.download && first)
        .on_download(move |progress| {
            shown.set_message(progress.file.clone());
            shown.set_length(progress.total.unwrap_or(progress.received));
            shown.set_position(progress.received);
        })
        .build()?;
    fetched.finish_and_clear();
    if first {
        wait(group.as_ref())?;
    }
    let test = Mnist::builder(&args.data)
        .train(false)
        .transform(normalize)
        .build()?;
    let images = train.len();
    let train = DataLoader::builder(train).batch_size(args.batch_size as usize);
    let train = match &group {
        Some(group) => {
            let sampler = DistributedSampler::builder(images, group).seed(args.seed);
            train.sampler(sampler.build()?)
        }
        None => train.shuffle(true),
    };
    let loaders = (
        train.build()?,
        DataLoader::builder(test).batch_size(1000).build()?,
    );

    manual_seed(args.seed);
    let vb = var_builder(DType::F32, &device);
    let group_of = group.as_ref();
    match args.net {
        NetName::Small => fit(&args, Net::new(vb)?, device, group_of, &loaders),
        NetName::Large => fit(&args, LargeNet::new(vb)?, device, group_of, &loaders),
    }?;
    if let Some(group) = &group {
        destroy_process_group(group)?;
    }
    Ok(())
}

fn wait(group: Option<&ProcessGroup>) -> Result<()> {
    group.map_or(Ok(()), ProcessGroup::barrier)
}

fn fit(
    args: &Args,
    net: impl Network + Clone + 'static,
    device: DeviceChoice,
    group: Option<&ProcessGroup>,
    (train, test): &(DataLoader, DataLoader),
) -> std::result::Result<(), Box<dyn Error>> {
    let threads = rayon::current_num_threads();
    let parameters = net.parameter_count();
    let rank = group.map_or(String::new(), |group| format!("{group}: "));
    eprintln!("{rank}{parameters} parameters, on {device}, {threads} threads");
    let criterion = CrossEntropyLoss::builder().build()?;
    let sgd = Sgd::builder(net.parameters(), args.lr)
        .momentum(args.momentum)
        .build()?;
    let mut trainer = Trainer::builder(net, criterion, sgd)
        .device(&device)
        .epochs(usize::from(args.epochs))
        .float32_matmul_precision(match args.float32_matmul_precision {
            PrecisionName::Highest => Precision::Highest,
            PrecisionName::High => Precision::High,
            PrecisionName::Medium => Precision::Medium,
        })
        .on_progress(bar()?);
    if let Some(group) = group {
        trainer = trainer.process_group(group);
    }
    let history = trainer.build()?.fit(train, Some(test))?;
    if group.is_some_and(|group| group.rank() > 0) {
        return Ok(());
    }
    println!("{history}");
    if args.json {
        let last = history.last();
        let line = json!({
            "device": device.name(),
            "net": match args.net {
                NetName::Small => "small",
                NetName::Large => "large",
            },
            "ranks": group.map_or(1, ProcessGroup::world_size),
            "epochs": args.epochs,
            "batch_size": args.batch_size,
            "threads": threads,
            "seconds_per_epoch": history.epochs.iter().map(|epoch| epoch.seconds).collect::<Vec<_>>(),
            "images_per_second": history.images_per_second(),
            "test_accuracy": last.and_then(|epoch| epoch.test_accuracy),
            "final_loss": last.map(|epoch| epoch.train_loss),
        });
        println!("{line}");
    }
    Ok(())
}

/// One bar for the files, one after the other.
fn download_bar() -> std::result::Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}")?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// A bar for each epoch; indicatif shows none where standard error is not a terminal.
fn bar() -> std::result::Result<impl FnMut(&Progress) + Send + 'static, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}")?;
    let mut current: Option<ProgressBar> = None;
    Ok(move |progress: &Progress| {
        let bar = current.get_or_insert_with(|| {
            let bar = ProgressBar::new(progress.steps as u64).with_style(style.clone());
            bar.with_prefix(format!("epoch {}/{}", progress.epoch, progress.epochs))
        });
        bar.set_position(progress.step as u64);
        let test = progress
            .test_accuracy
            .map_or(String::new(), |a| format!("  test {:.2}%", 100.0 * a));
        bar.set_message(format!(
            "loss {:.4}  {:.0} images/s{test}",
            progress.loss, progress.images_per_second
        ));
        if progress.epoch_done {
            bar.abandon();
            current = None;
        }
    })
}
