//! Two processes that train one net over MPI. Without arguments: the tests; with: a rank of one of them.
//!
//!     cargo test --features mpi --test mpi

mod ranks;

use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use candlelight::distributed::Backend;
use candlelight::prelude::*;

use ranks::{Anything, Run, Test, lines, refused, run_all, same_steps};

const IMAGES: usize = 1000;
const EPOCHS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [rank, how, batch_size, checkpoint] if rank == "rank" => {
            return match run_rank(how, batch_size, Path::new(checkpoint)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: {error}");
                    ExitCode::FAILURE
                }
            };
        }
        _ => run_tests(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_tests() -> Anything<()> {
    if Command::new("mpirun").arg("--version").output().is_err() {
        println!("mpi: skipped, for there is no mpirun here; Debian has it in openmpi-bin");
        return Ok(());
    }
    let tests: [Test; 5] = [
        ("two ranks at batch 32 take the steps of one at 64", as_one),
        (
            "a rank that is killed ends the other, and the run goes on",
            killed,
        ),
        ("a rank's error is all ranks' end", failing),
        ("a loader without shares is refused", without_sampler),
        ("ranks that MPI does not know are refused", not_mpi),
    ];
    run_all("mpi", &tests)
}

/// What a rank does.
fn run_rank(how: &str, batch_size: &str, checkpoint: &Path) -> Anything<()> {
    let run = Run {
        backend: Backend::Mpi,
        large: true,
        images: IMAGES,
        epochs: EPOCHS,
        batch_size: batch_size.parse()?,
        shared: how != "without-sampler",
        checkpoint,
    };
    run.rank(|images, group| Unlucky {
        images,
        // In the second epoch; or in the first one that it takes.
        left: AtomicUsize::new(match how {
            "killed-again" => 100,
            _ => IMAGES / group.world_size() + 100,
        }),
        how: match group.rank() {
            1 => how.into(),
            _ => String::new(),
        },
    })
}

/// A data set that ends its rank after some images.
struct Unlucky {
    images: Subset<Mnist>,
    left: AtomicUsize,
    how: String,
}

impl Dataset for Unlucky {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        match &self.how[..] {
            "killed" | "killed-again" if left == 0 => {
                let own = std::process::id().to_string();
                Command::new("kill").args(["-9", &own]).status().ok();
                std::thread::sleep(Duration::from_secs(60));
            }
            "failing" if left == 0 => {
                return Err(candlelight::Error::EmptyDataset { what: "Unlucky" });
            }
            _ => {}
        }
        self.images.get(index)
    }
}

/// So many ranks; none is a process without a launcher.
fn start(
    ranks: Option<usize>,
    how: &str,
    batch_size: usize,
    checkpoint: &Path,
) -> Anything<Output> {
    let own = std::env::current_exe()?;
    let mut command = match ranks {
        None => Command::new(own),
        Some(ranks) => {
            let mut command = Command::new("mpirun");
            // As root in a container, and with more ranks than cores.
            command.args([
                "--allow-run-as-root",
                "--oversubscribe",
                "-n",
                &ranks.to_string(),
            ]);
            command.arg(own);
            command
        }
    };
    let command = command
        .args(["rank", how, &batch_size.to_string()])
        .arg(checkpoint);
    Ok(command.output()?)
}

fn as_one(folder: &Path) -> Anything<()> {
    let one = lines(&start(None, "well", 64, &folder.join("one.safetensors"))?)?;
    let two = folder.join("two.safetensors");
    let two = lines(&start(Some(2), "well", 32, &two)?)?;
    let steps = IMAGES.div_ceil(64);
    let furthest = same_steps(&one, &two, EPOCHS, steps)?;
    let steps = EPOCHS * steps;
    println!("mpi: losses of {steps} steps, furthest apart: {furthest:.1e} of the loss");
    Ok(())
}

fn killed(folder: &Path) -> Anything<()> {
    let (whole, broken) = (
        folder.join("whole.safetensors"),
        folder.join("broken.safetensors"),
    );
    let expected = lines(&start(Some(2), "well", 32, &whole)?)?;
    let said = format!(
        "rank 0 of 2 was told to end, as the launcher does when another rank has died; \
         start all ranks again and resume from {}, which holds epoch 1",
        broken.display()
    );
    // Again after a resume, before a checkpoint of its own: the one that it came from is named.
    for how in ["killed", "killed-again"] {
        let before = Instant::now();
        let output = start(Some(2), how, 32, &broken)?;
        let (error, took) = (String::from_utf8_lossy(&output.stderr), before.elapsed());
        if output.status.success() || !error.contains(&said) || took > Duration::from_secs(60) {
            return Err(format!("{how}: after {took:?}, {}: {error}", output.status).into());
        }
    }
    let found = lines(&start(Some(2), "well", 32, &broken)?)?;
    match found == expected {
        true => Ok(()),
        false => Err(format!("went on with {found:?}, expected {expected:?}").into()),
    }
}

fn failing(folder: &Path) -> Anything<()> {
    let output = start(Some(2), "failing", 32, &folder.join("net.safetensors"))?;
    let own = "error: rank 1 of 2: Unlucky: there is nothing in it";
    refused(
        &output,
        &[
            own,
            "net.safetensors, which holds epoch 1",
            "rank 0 of 2 was told to end",
        ],
    )
}

fn without_sampler(folder: &Path) -> Anything<()> {
    let output = start(
        Some(2),
        "without-sampler",
        32,
        &folder.join("net.safetensors"),
    )?;
    refused(
        &output,
        &[
            "Trainer: process_group=rank",
            "needs a train loader whose sampler is for this rank",
        ],
    )
}

fn not_mpi(folder: &Path) -> Anything<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let command = command
        .args(["rank", "well", "32"])
        .arg(folder.join("net.safetensors"));
    let output = command.env("RANK", "1").env("WORLD_SIZE", "2").output()?;
    refused(
        &output,
        &[
            "init_process_group: rank=1 of 2 is rank 0 of 1 to MPI; start the program with mpirun -n 2",
        ],
    )
}
