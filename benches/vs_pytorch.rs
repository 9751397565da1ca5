//! Candlelight beside PyTorch and plain candle, in turn in one run, on the same machine and number of threads.
//!
//!     cargo bench --bench vs_pytorch
//!
//! The Python that has PyTorch is `python3`, or what the variable PYTHON names. Without PyTorch it says so and
//! measures nothing. With `-- --rounds 5` more rounds, with `-- --threads 1` on one thread.
#![allow(missing_docs)]

mod side;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use side::{Candlelight, Process, Spread, candle, exchange, pytorch};

/// Measures Candlelight beside PyTorch, in turn.
#[derive(Parser)]
struct Args {
    /// How often each side is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Threads of each side; all cores unless set
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Also the table of batch and image sizes
    #[arg(long)]
    sizes: bool,
    /// What PyTorch users can turn on
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = ["eager", "channels_last", "compile", "compile_channels_last"],
        default_value = "eager,channels_last,compile,compile_channels_last"
    )]
    variants: Vec<String>,
    /// Be one of the other sides: how this program starts itself once more
    #[arg(long, hide = true, value_parser = [candle::ARGUMENT])]
    serve: Option<String>,
    /// Sent by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.serve {
        Some(_) => candle::serve(),
        None => run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured of both sides: its name, what it is sent as, and what one pass is scaled to.
struct Measure {
    name: &'static str,
    task: serde_json::Value,
    scale: f64,
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism()?.get();
    let threads = args.threads.map_or(cores, usize::from);
    let mut others = Vec::new();
    for variant in &args.variants {
        match pytorch::start(variant, threads) {
            Ok(side) => others.push(side),
            Err(problem) => {
                println!("skipped: {problem}");
                return Ok(());
            }
        }
    }
    let Some(version) = others.first().map(|side| side.hello["version"].clone()) else {
        return Ok(());
    };
    println!(
        "Candlelight {} beside PyTorch {}",
        env!("CARGO_PKG_VERSION"),
        version.as_str().unwrap_or("?")
    );
    println!(
        "{}, {threads} threads, {} rounds in turn\n",
        side::processor(),
        args.rounds
    );
    let mut own = Candlelight::new(threads)?;
    let mut plain = candle::start(threads)?;
    let measures = [
        Measure {
            name: "small net, an epoch",
            task: json!({"task": "train", "net": "small", "batch": 64, "images": 60_000}),
            scale: 1.0,
        },
        Measure {
            name: "large net, an epoch",
            task: json!({"task": "train", "net": "large", "batch": 64, "images": 3_200}),
            scale: 60_000.0 / 3_200.0,
        },
        // Over in a twentieth of a second: the mean of five.
        Measure {
            name: "small net, test set",
            task: json!({"task": "evaluate", "net": "small", "batch": 1000, "repeat": 5}),
            scale: 1.0,
        },
        Measure {
            name: "large net, test set",
            task: json!({"task": "evaluate", "net": "large", "batch": 1000, "repeat": 1}),
            scale: 1.0,
        },
    ];
    println!(
        "seconds: minimum / median / maximum; ratio: Candlelight's time by the other's, round by round"
    );
    for measure in &measures {
        // Plain candle is compared in what takes longest.
        let plain = Some(&mut plain).filter(|_| measure.task["task"] == "train");
        let mut sides: Vec<&mut Process> = plain.into_iter().chain(&mut others).collect();
        compare(measure, &mut own, &mut sides, args.rounds)?;
    }
    if threads > 1 {
        let eager = pytorch::start(&args.variants[0], 1)?;
        scaling(&mut own, &mut others[0], eager, threads, args.rounds)?;
    }
    println!("peak memory of the process, MB");
    println!("  {:28} {:>8.0}", "Candlelight", own.peak_memory()? / 1e6);
    for other in &mut others {
        let theirs = other.ask(&json!({"task": "memory"}))?;
        println!("  {:28} {:>8.0}", other.name, theirs / 1e6);
    }
    if args.sizes {
        sizes(&mut own, &mut others[0])?;
    }
    Ok(())
}

fn compare(
    measure: &Measure,
    own: &mut Candlelight,
    others: &mut [&mut Process],
    rounds: u16,
) -> Result<(), Box<dyn Error>> {
    // The first pass compiles, allocates and warms up; it does not count.
    own.ask(&measure.task)?;
    for other in &mut *others {
        other.ask(&measure.task)?;
    }
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); others.len()];
    for _ in 0..rounds {
        ours.push(own.ask(&measure.task)? * measure.scale);
        for (other, times) in others.iter_mut().zip(&mut theirs) {
            times.push(other.ask(&measure.task)? * measure.scale);
        }
    }
    println!("{}", measure.name);
    println!("  {:28} {}", "Candlelight", Spread::of(&ours));
    for (other, theirs) in others.iter().zip(&theirs) {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .map(|(own, their)| own / their)
            .collect();
        println!(
            "  {:28} {}   ratio {}",
            other.name,
            Spread::of(theirs),
            Spread::of(&ratios)
        );
    }
    println!();
    Ok(())
}

/// One thread beside all of them, in short turns: what else the machine does then falls on both.
fn scaling(
    own: &mut Candlelight,
    other: &mut Process,
    mut other_one: Process,
    threads: usize,
    rounds: u16,
) -> Result<(), Box<dyn Error>> {
    let mut one = Candlelight::new(1)?;
    let mut answers = Vec::new();
    println!("one thread's time by that of {threads}");
    for (net, images, turns) in [("small", 6400, 4 * rounds), ("large", 3200, rounds)] {
        let task = json!({"task": "train", "net": net, "batch": 64, "images": images});
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for turn in 0..=turns {
            let pair = [
                one.ask(&task)? / own.ask(&task)?,
                other_one.ask(&task)? / other.ask(&task)?,
            ];
            answers.push(exchange::answer());
            // The first warms up.
            if turn > 0 {
                ours.push(pair[0]);
                theirs.push(pair[1]);
            }
        }
        for (name, ratios) in [("Candlelight", ours), (&other.name, theirs)] {
            println!(
                "  {:28} {}",
                format!("{net} net, {name}"),
                Spread::of(&ratios)
            );
        }
    }
    // A machine that is shared may move its cores apart; what they exchange in a step then takes longer.
    println!("  {:28} {}", "a core's answer, ns", Spread::of(&answers));
    println!();
    Ok(())
}

/// Time by batch and by image size: it should grow no faster than they do.
fn sizes(own: &mut Candlelight, other: &mut Process) -> Result<(), Box<dyn Error>> {
    println!("\na step of the small net by batch size, microseconds an image");
    println!(
        "  {:>8} {:>12} {:>12} {:>6}",
        "batch", "Candlelight", other.name, "ratio"
    );
    for batch in [1usize, 4, 16, 64, 256, 1024] {
        let images = (batch * 200).clamp(1024, 30 * 1024) / batch * batch;
        let task = json!({"task": "train", "net": "small", "batch": batch, "images": images});
        row(own, other, batch, &task, 1e6 / images as f64)?;
    }
    println!(
        "\nits convolutions and a linear layer, forward and backward, batch 16, by image size:"
    );
    println!("microseconds a million multiplications of the way forward");
    println!(
        "  {:>8} {:>12} {:>12} {:>6}",
        "size", "Candlelight", other.name, "ratio"
    );
    for size in [28usize, 56, 112, 224] {
        let repeat = 200_000 / (size * size) + 2;
        let task = json!({"task": "sized", "batch": 16, "size": size, "repeat": repeat});
        let millions = 16.0 * multiplications(size) as f64 / 1e6;
        row(own, other, size, &task, 1e6 / millions)?;
    }
    Ok(())
}

/// Of the net for images of this size, an image. A pixel of a larger image takes more: without padding the border
/// has no outputs.
fn multiplications(size: usize) -> usize {
    let conv1 = size - 4;
    let conv2 = conv1 / 2 - 4;
    let pooled = conv2 / 2;
    10 * 25 * conv1.pow(2) + 20 * 10 * 25 * conv2.pow(2) + 10 * 20 * pooled.pow(2)
}

/// The best of five each, in turn.
fn row(
    own: &mut Candlelight,
    other: &mut Process,
    size: usize,
    task: &serde_json::Value,
    scale: f64,
) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..6 {
        ours = ours.min(own.ask(task)? * scale);
        theirs = theirs.min(other.ask(task)? * scale);
    }
    println!(
        "  {size:>8} {ours:>12.2} {theirs:>12.2} {:>6.2}",
        ours / theirs
    );
    Ok(())
}
