//! Two processes, each with a card, that train one net over NCCL. Without arguments: the tests; with: a rank of one of them.
//!
//!     cargo test --features nccl --test nccl
//!
//! With fewer than two cards it says so and passes. `cuda_emulated/card.sh` runs it on cards, and an NCCL, that the processor
//! emulates.

mod ranks;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use candlelight::distributed::Backend;
use candlelight::prelude::*;

use ranks::{Anything, Run, Test, lines, refused, run_all, same_steps};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [rank, net, images, epochs, batch_size, checkpoint] if rank == "rank" => {
            run_rank(net, [images, epochs, batch_size], Path::new(checkpoint))
        }
        _ => run_tests(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_rank(net: &str, numbers: [&str; 3], checkpoint: &Path) -> Anything<()> {
    let [images, epochs, batch_size] = numbers.map(str::parse);
    let run = Run {
        backend: Backend::Nccl,
        large: net == "large",
        images: images?,
        epochs: epochs?,
        batch_size: batch_size?,
        shared: true,
        checkpoint,
    };
    run.rank(|images, _| images)
}

fn run_tests() -> Anything<()> {
    if let Err(error) = "cuda:1".parse::<DeviceChoice>() {
        println!("nccl: skipped, for it needs two cards: {error}");
        return Ok(());
    }
    let tests: [Test; 3] = [
        ("two ranks at batch 32 take the steps of one at 64", as_one),
        (
            "they go on from a checkpoint as if they had not stopped",
            resumed,
        ),
        ("ranks of one card are refused", of_one_card),
    ];
    run_all("nccl", &tests)
}

/// What a rank is started with besides its place.
struct Start<'a> {
    net: &'a str,
    images: usize,
    epochs: usize,
    batch_size: usize,
    checkpoint: &'a Path,
}

impl Start<'_> {
    /// So many ranks, as torchrun starts them, on these cards. Gives their outputs.
    fn on(&self, cards: &[usize]) -> Anything<Vec<Output>> {
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let start = |(rank, card): (usize, &usize)| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["rank", self.net]);
            command.args([self.images, self.epochs, self.batch_size].map(|n| n.to_string()));
            command.arg(self.checkpoint);
            let (rank, ranks) = (rank.to_string(), cards.len().to_string());
            command.env("RANK", rank).env("WORLD_SIZE", ranks);
            command.env("LOCAL_RANK", card.to_string());
            command.env("MASTER_ADDR", "127.0.0.1");
            command.env("MASTER_PORT", free.to_string());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            Ok(command.spawn()?)
        };
        let ranks = cards.iter().enumerate().map(start);
        let mut ranks = ranks.collect::<Anything<Vec<Child>>>()?;
        // A launcher ends the others, too.
        let mut running = ranks.len();
        while running > 0 {
            std::thread::sleep(Duration::from_millis(20));
            running = 0;
            let mut failed = false;
            for rank in &mut ranks {
                match rank.try_wait()? {
                    Some(status) => failed |= !status.success(),
                    None => running += 1,
                }
            }
            if failed {
                for rank in &mut ranks {
                    rank.kill().ok();
                }
            }
        }
        let outputs = ranks.into_iter().map(|rank| Ok(rank.wait_with_output()?));
        outputs.collect()
    }

    /// What rank 0 prints.
    fn lines(&self, cards: &[usize]) -> Anything<ranks::Lines> {
        let outputs = self.on(cards)?;
        for output in &outputs[1..] {
            lines(output)?;
        }
        lines(&outputs[0])
    }
}

fn as_one(folder: &Path) -> Anything<()> {
    for (net, images) in [("small", 300), ("large", 100)] {
        let path = |ranks: usize| folder.join(format!("{net}-{ranks}.safetensors"));
        let (one, two) = (path(1), path(2));
        let start = |batch_size, checkpoint| Start {
            net,
            images,
            epochs: 2,
            batch_size,
            checkpoint,
        };
        let one = start(64, &one).lines(&[0])?;
        let two = start(32, &two).lines(&[0, 1])?;
        let steps = images.div_ceil(64);
        let furthest = same_steps(&one, &two, 2, steps)?;
        println!(
            "nccl: {net} net, losses of {} steps, furthest apart: {furthest:.1e} of the loss",
            2 * steps
        );
    }
    Ok(())
}

fn resumed(folder: &Path) -> Anything<()> {
    let (whole, broken) = (folder.join("whole"), folder.join("broken"));
    let start = |epochs, checkpoint| Start {
        net: "small",
        images: 200,
        epochs,
        batch_size: 32,
        checkpoint,
    };
    let expected = start(3, &whole).lines(&[0, 1])?;
    start(2, &broken).lines(&[0, 1])?;
    let found = start(3, &broken).lines(&[0, 1])?;
    match found == expected {
        true => Ok(()),
        false => Err(format!("went on with {found:?}, expected {expected:?}").into()),
    }
}

fn of_one_card(folder: &Path) -> Anything<()> {
    let checkpoint = folder.join("net.safetensors");
    let start = Start {
        net: "small",
        images: 64,
        epochs: 1,
        batch_size: 32,
        checkpoint: &checkpoint,
    };
    let outputs = start.on(&[0, 0])?;
    let said = "init_process_group: backend=nccl cannot start: ";
    // One may be ended by the other before it says so.
    let all = outputs.iter().map(|output| refused(output, &[said]));
    match all.into_iter().any(|refused| refused.is_ok()) {
        true => Ok(()),
        false => refused(&outputs[0], &[said]),
    }
}
