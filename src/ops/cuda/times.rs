//! How long the kernels of a step take on the card at hand, each cut into every size of tile: what `captured/tiles.rs` is to
//! go by.
//!
//!     cargo test --release --features cuda --lib times -- --ignored --nocapture
//!
//! Without a card it says so and passes.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::cuda_backend::cudarc::driver::sys::{
    CUgraphInstantiate_flags, CUstreamCaptureMode,
};
use candle_core::{DType, Device, Error, Result, Tensor, Var, bail};

use super::captured::{Captured, address, launch_one};
use super::multiprocessors;
use super::pass::Given;
use crate::nn::{LargeNet, Net, Network, captured, var_builder};
use crate::ops::captured::{Memory, Plan, Precision, SIZES, Settings};
use crate::optim::{Optimizer, Sgd};
use crate::train::DeviceChoice;

const BATCH: usize = 64;

#[test]
#[ignore = "takes minutes, and a card: scripts/on-a-card"]
fn kernels_by_tile() {
    let card = match "cuda".parse::<DeviceChoice>() {
        Ok(card) => card,
        Err(error) => return println!("times: skipped: {error}"),
    };
    // What the processor emulates is slow, and its times are of no use.
    let emulated = card
        .hardware()
        .is_some_and(|found| found.name == "emulated card");
    println!("times: on {card}, batch {BATCH}; microseconds of each kernel, repeated in a graph");
    let precisions = [Precision::Highest, Precision::High, Precision::Medium];
    let how_many = if emulated { 1 } else { precisions.len() };
    for precision in precisions.into_iter().take(how_many) {
        let vb = || var_builder(DType::F32, &card);
        by_tile("small", &Net::new(vb()).unwrap(), precision, emulated);
        if !emulated {
            by_tile("large", &LargeNet::new(vb()).unwrap(), precision, emulated);
        }
    }
}

/// A kernel's name, the tile that it was cut into, its blocks and its time.
type Row = (String, String, usize, f64);

fn by_tile(name: &str, net: &impl Network, precision: Precision, emulated: bool) {
    let device = net.parameters()[0].device().clone();
    let Device::Cuda(device) = &device else {
        panic!("not on a card")
    };
    let own = multiprocessors(device).unwrap();
    let repeats = if emulated { 1 } else { 50 };
    let times = |tiles, multiprocessors| {
        of_plan(device, net, precision, tiles, multiprocessors, repeats).unwrap()
    };
    let chosen = times(&SIZES, own);
    let sum: f64 = chosen.iter().map(|(.., time)| time).sum();
    println!("\n{name} net, precision {precision}: as it is cut, {sum:.1} in all");
    for (kernel, tile, blocks, time) in &chosen {
        println!("  {kernel:18} {tile:9} {blocks:6} blocks {time:8.2}");
    }
    let mut all: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let sizes = if emulated { &SIZES[..1] } else { &SIZES[..] };
    for tile in sizes {
        let fits = precision == Precision::Highest || tile[0] % 32 == 0;
        // As if the card had fewer or more of them, the depth is cut into fewer or more parts.
        for multiprocessors in [own / 2, own, 2 * own].into_iter().filter(|_| fits) {
            for row in times(std::slice::from_ref(tile), multiprocessors) {
                all.entry(row.0.clone()).or_default().push(row);
            }
        }
    }
    println!("{name} net, precision {precision}: the fastest of each kernel");
    for (kernel, mut rows) in all {
        rows.sort_by(|a, b| a.3.total_cmp(&b.3));
        let mut known = HashSet::new();
        rows.retain(|(_, tile, blocks, _)| known.insert((tile.clone(), *blocks)));
        let best = rows.iter().take(5);
        let best = best.map(|(_, tile, blocks, time)| format!("{tile} {blocks} {time:.2}"));
        println!("  {kernel:18} {}", best.collect::<Vec<_>>().join(", "));
    }
}

fn of_plan(
    device: &CudaDevice,
    net: &impl Network,
    precision: Precision,
    tiles: &'static [[usize; 2]],
    multiprocessors: usize,
    repeats: usize,
) -> Result<Vec<Row>> {
    let parameters = net.parameters();
    let sgd = Sgd::builder(parameters.clone(), 0.01).momentum(0.9);
    let mut sgd = sgd.build().map_err(crate::Error::into_candle)?;
    let layers = net.layers().and_then(|own| captured(&own, [1, 28, 28]));
    let Some(layers) = layers else {
        bail!("a net that is not captured")
    };
    let settings = Settings {
        batch: BATCH,
        image: [1, 28, 28],
        pixels: Some(vec![0.5; 256]),
        total: BATCH,
        class_weights: None,
        ignore_index: -100,
        label_smoothing: 0.0,
        optimizer: sgd.fuses().map(|(rule, _)| rule),
        real: 4,
        precision,
        tiles,
        multiprocessors,
        averages: false,
    };
    let Some(plan) = Plan::new(&layers, settings) else {
        bail!("a net that has no plan")
    };
    let images = Tensor::zeros((BATCH, 784), DType::U8, &Device::Cuda(device.clone()))?;
    let no_mean = |_, _, _| bail!("one rank");
    let mut step = Captured::new(device, plan, Some(&images), &parameters, &no_mean)?;
    let fused = sgd.fused().map_err(crate::Error::into_candle)?;
    step.give(&Given {
        order: &[0; BATCH],
        targets: &[0; BATCH],
        divisors: &[BATCH as f64],
        steps: &[fused.numbers],
        parameters: &fused.parameters,
    })?;
    let launches = 0..step.plan().launches.len();
    launches
        .map(|i| of_launch(&step, &parameters, i, repeats))
        .collect()
}

fn of_launch(step: &Captured, parameters: &[Var], i: usize, repeats: usize) -> Result<Row> {
    let (launch, function) = (&step.plan().launches[i], &step._kept.2[i]);
    let stream = &step.stream;
    let base = step.own.device_ptr(stream).0;
    // Asked for now: a capture may not wait for what was written outside.
    let weights = parameters.iter().map(|var| address::<f32>(var, stream));
    let weights = weights.collect::<Result<Vec<_>>>()?;
    let place = |memory| match memory {
        Memory::Own => Ok(base),
        Memory::Images => Ok(step.images),
        Memory::Parameter(i) => Ok(weights[i]),
        Memory::Buffer(..) => bail!("a buffer outside the parameters' table"),
    };
    stream
        .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .map_err(Error::wrap)?;
    let launched = (0..repeats).try_for_each(|_| launch_one(stream, launch, function, place));
    let graph = stream.end_capture(CUgraphInstantiate_flags(0));
    launched?;
    let Some(graph) = graph.map_err(Error::wrap)? else {
        bail!("CUDA captured no graph");
    };
    let mut fastest = f64::INFINITY;
    for _ in 0..4 {
        stream.synchronize().map_err(Error::wrap)?;
        let start = Instant::now();
        graph.launch().map_err(Error::wrap)?;
        stream.synchronize().map_err(Error::wrap)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    // "forward<Tile<float32, 128, 64, 16>, true, false>": the kernel, and rows and columns.
    let (kernel, rest) = launch
        .function
        .split_once('<')
        .unwrap_or((&launch.function, ""));
    let numbers = rest.split(", ").skip(1).take(2);
    let same = |other: &&crate::ops::captured::Launch| {
        other.function.split('<').next() == launch.function.split('<').next()
    };
    let number = step.plan().launches[..i].iter().filter(same).count();
    Ok((
        format!("{kernel} {number}"),
        numbers.collect::<Vec<_>>().join("x"),
        launch.grid.blocks,
        1e6 * fastest / repeats as f64,
    ))
}
