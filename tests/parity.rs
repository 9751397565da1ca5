//! Every case of every file of a folder, against what PyTorch answered. The folder is named by the
//! environment variable `PARITY_CASES`; without it, it is `tests/parity`, beside the script that makes
//! more of them, `generate.py`.
//!
//! They run on the device that `PARITY_DEVICE` names, such as `cuda`; without it on the CPU.
//!
//! A line a family, with its largest error; a line a case that fails, with its number and arguments. No
//! case is left out: one that is not understood fails.
#![allow(missing_docs)]

#[path = "parity/case.rs"]
mod case;
#[path = "parity/compare.rs"]
mod compare;
#[path = "parity/cross_entropy.rs"]
mod cross_entropy;
#[path = "parity/layers.rs"]
mod layers;
#[path = "parity/optimizers.rs"]
mod optimizers;
#[path = "parity/refusal.rs"]
mod refusal;
#[path = "parity/report.rs"]
mod report;
#[path = "parity/schedules.rs"]
mod schedules;
#[path = "parity/seeded.rs"]
mod seeded;
#[path = "parity/training.rs"]
mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candlelight::candle_core::DType;
use case::{Case, Result};
use compare::{Answer, tolerance};
use report::Report;

/// What a case is checked by, under which name, and how exactly.
struct Family {
    name: String,
    tolerance: f64,
    run: fn(&Case) -> Result<Answer>,
}

fn family(case: &Case) -> Result<Family> {
    let op = case.op.as_str();
    let dtype = case.find("x").map_or(DType::F32, |x| x.dtype());
    let of_tensors = match dtype {
        DType::F32 => op.to_string(),
        other => format!("{op} {}", other.as_str()),
    };
    let trains = case.find("losses").is_some();
    let family = |name: &str, tolerance, run| Family {
        name: name.to_string(),
        tolerance,
        run,
    };
    Ok(match op {
        "conv2d" => family(&of_tensors, tolerance(dtype), layers::conv2d),
        "max_pool2d" => family(&of_tensors, tolerance(dtype), layers::max_pool2d),
        "linear" => family(&of_tensors, tolerance(dtype), layers::linear),
        "cross_entropy" => family(&of_tensors, tolerance(dtype), cross_entropy::cross_entropy),
        "training_run" => family(op, training::tolerance(), training::training_run),
        "SGD" | "Adam" | "AdamW" | "RMSprop" | "Adagrad" if trains => {
            let name = format!("training {op}");
            family(&name, training::tolerance(), training::training)
        }
        "SGD" | "Adam" | "AdamW" | "RMSprop" | "Adagrad" => {
            family(op, optimizers::TOLERANCE, optimizers::optimizer)
        }
        "StepLR" | "MultiStepLR" | "ExponentialLR" | "CosineAnnealingLR" | "LinearLR"
        | "OneCycleLR" => family(op, schedules::TOLERANCE, schedules::schedule),
        "rand" => family(op, 0.0, seeded::rand),
        "randperm" => family(op, 0.0, seeded::randperm),
        "net_init" => family(op, 0.0, seeded::net_init),
        "loader_order" => family(op, 0.0, seeded::loader_order),
        other => return Err(format!("no family for {other}").into()),
    })
}

fn run(family: &Family, case: &Case) -> Result<Answer> {
    match catch_unwind(AssertUnwindSafe(|| (family.run)(case))) {
        Ok(answer) => answer,
        Err(_) => Err("panics".into()),
    }
}

fn folder() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    std::env::var_os("PARITY_CASES").map_or(default, PathBuf::from)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err("holds no .safetensors; make some with tests/parity/generate.py".into()),
        false => Ok(files),
    }
}

fn main() -> ExitCode {
    let filters = match report::filters(std::env::args().skip(1)) {
        Some(filters) => filters,
        // `--list`: there is one test.
        None => {
            println!("parity: test");
            return ExitCode::SUCCESS;
        }
    };
    let folder = folder();
    let files = match files(&folder) {
        Ok(files) => files,
        Err(error) => {
            println!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let device = match case::choose_device() {
        Ok(device) => device,
        Err(error) => {
            println!("PARITY_DEVICE: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("cases of {} on {device}", folder.display());
    let mut report = Report::new(filters);
    for path in files {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let cases = match case::read(&path) {
            Ok(cases) => cases,
            Err(error) => {
                report.file(&name, &error.to_string());
                continue;
            }
        };
        for case in &cases.list {
            match family(case) {
                Ok(family) if !report.wanted(&family.name) => {}
                Ok(family) => {
                    let answer = run(&family, case);
                    report.add(&name, case, &family.name, family.tolerance, answer);
                }
                Err(error) => report.add(&name, case, &case.op, 0.0, Err(error)),
            }
        }
        report.print(&cases.pytorch);
    }
    report.finish()
}
