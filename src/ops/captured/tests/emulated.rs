//! The kernels of a plan as a program for the processor.

use std::path::{Path, PathBuf};

use candle_core::{Tensor, Var};

use super::super::*;
use super::agree::Data;
use crate::ops::program;
use crate::ops::update::Buffers;
use crate::optim::Fused;

pub(super) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The kernels as a program.
fn program(plan: &Plan, folder: &Path) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = |path: &str| format!("#include \"{}\"\n", root.join(path).display());
    let mut source = include("tests/cuda_emulated/emulate.h");
    source += "#include <cmath>\n";
    source += &include("tests/cuda_emulated/step.h");
    source += &include("tests/cuda_emulated/tensor_core.h");
    source += KERNELS;
    let (kernels, calls) = plan.kernels();
    source.extend(kernels.iter().map(|kernel| &kernel.text[..]));
    source += "static void call(word kernel, word blocks, word threads, const std::vector<word> &words)\n{\n";
    for (i, (launch, kernel)) in plan.launches.iter().zip(calls).enumerate() {
        let (kind, name) = (launch.kind, &kernels[kernel].name);
        source += &format!(
            "if (kernel == {i}) {{ auto p = parameter<{kind}>(words); launch(blocks, threads, [&] {{ {name}(p); }}); }}\n"
        );
    }
    source += "}\n";
    let path = folder.join("step.cpp");
    std::fs::write(&path, source).unwrap();
    program::compile_to(&path, folder.join("step"))
}

fn word(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

/// The number of a memory among those that the program is given.
fn number(memory: Memory) -> u64 {
    match memory {
        Memory::Own => 0,
        Memory::Images => 1,
        Memory::Parameter(i) => 2 + 4 * i as u64,
        Memory::Buffer(i, b) => 3 + 4 * i as u64 + b as u64,
    }
}

/// A word, or the number of a memory and a place in it.
fn resolved(bytes: &mut Vec<u8>, of: Word) {
    match of {
        Word::At(place) => {
            word(bytes, number(place.memory));
            word(bytes, place.offset as u64);
        }
        other => {
            word(bytes, u64::MAX);
            word(bytes, other.bits(Err).unwrap());
        }
    }
}

/// An epoch of the plan's steps: the losses of all images, which were found, the parameters and the optimizer's buffers.
pub(super) type Found = (Vec<f64>, Vec<bool>, Vec<Vec<f64>>, Vec<Vec<f64>>);

pub(super) fn run(
    plan: &Plan,
    data: &Data,
    parameters: &[(Var, Buffers)],
    steps: &[Fused],
    divisors: &[f64],
) -> Option<Found> {
    let folder = tempfile::tempdir().unwrap();
    let program = program(plan, folder.path())?;
    let doubles = |all: &[f64]| {
        all.iter()
            .flat_map(|x| x.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut own = vec![0; plan.bytes];
    let mut put =
        |offset: usize, bytes: &[u8]| own[offset..offset + bytes.len()].copy_from_slice(bytes);
    for (offset, table) in &plan.tables {
        put(*offset, &table.bytes(8));
    }
    let epoch = &plan.epoch;
    let order = match epoch.ring {
        Some(ring) => {
            // All of the epoch at once: it is no more than has a place.
            put(ring.offset, &doubles(&data.images(0, data.order.len())));
            (0..data.order.len() as u32).collect()
        }
        None => data.order.clone(),
    };
    let order = order.into_iter().flat_map(u32::to_le_bytes);
    put(epoch.order.offset, &order.collect::<Vec<u8>>());
    let targets = data.targets.iter().flat_map(|x| x.to_le_bytes());
    put(epoch.targets.offset, &targets.collect::<Vec<u8>>());
    let numbers_of = steps.iter().flat_map(|step| step.numbers.bytes());
    put(epoch.steps.offset, &numbers_of.collect::<Vec<u8>>());
    put(epoch.divisors.offset, &doubles(divisors));

    let mut memories = vec![own, data.bytes.clone()];
    for (var, buffers) in parameters {
        memories.push(doubles(&numbers(var)));
        let buffers = buffers.iter().map(|buffer| buffer.as_ref().map(numbers));
        memories.extend(buffers.map(|buffer| doubles(&buffer.unwrap_or_default())));
    }
    let mut input = Vec::new();
    word(&mut input, memories.len() as u64);
    for memory in &memories {
        word(&mut input, memory.len() as u64);
        input.extend(memory);
    }
    let there = parameters
        .iter()
        .map(|(_, buffers)| buffers.each_ref().map(Option::is_some));
    let table = plan.parameters(&there.collect::<Vec<_>>());
    word(&mut input, table.len() as u64);
    for (i, &entry) in table.iter().enumerate() {
        word(&mut input, (epoch.parameters.offset + 8 * i) as u64);
        resolved(&mut input, entry);
    }
    word(&mut input, plan.launches.len() as u64);
    for launch in &plan.launches {
        word(&mut input, launch.grid.blocks as u64);
        word(&mut input, launch.grid.threads as u64);
        word(&mut input, launch.words.len() as u64);
        launch
            .words
            .iter()
            .for_each(|&entry| resolved(&mut input, entry));
    }
    word(&mut input, divisors.len() as u64);

    let output = program::run(&program, &[], &input);
    let mut rest = &output[..];
    let mut after = memories.iter().map(|memory| {
        let (own, others) = rest.split_at(memory.len());
        rest = others;
        own
    });
    let own = after.next().unwrap();
    after.next();
    let reals = |bytes: &[u8]| program::take(&mut &*bytes, bytes.len() / 8);
    let total = data.order.len();
    let losses = reals(&own[epoch.losses.offset..][..8 * total]);
    let right = own[epoch.right.offset..][..total]
        .iter()
        .map(|&byte| byte == 1);
    let (mut values, mut buffers) = (Vec::new(), Vec::new());
    for (i, memory) in after.enumerate() {
        match i % 4 {
            0 => values.push(reals(memory)),
            _ => buffers.push(reals(memory)),
        }
    }
    Some((losses, right.collect(), values, buffers))
}
