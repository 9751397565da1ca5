//! Plain candle, as its users write it, in a process of its own: this program once more.

use std::error::Error;
use std::io::BufRead;
use std::process::Command;
use std::time::Instant;

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{Conv2d, Linear, Optimizer, SGD, VarBuilder, VarMap};
use candlelight::compose;
use candlelight::prelude::{Dataset, Generator, Mnist, Normalize, ToTensor};
use serde_json::{Value, json};

use super::Process;

/// The argument that makes this program the other side.
pub const ARGUMENT: &str = "candle";
/// Images of an epoch that are trained on, of the small net and of the large: its time is that of all of them.
const SMALL: usize = 640;
const LARGE: usize = 128;

/// With as many threads.
pub fn start(threads: usize) -> std::result::Result<Process, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--serve", ARGUMENT])
        // CANDLE_NUM_THREADS, the threads of its element-wise operations, stays at the 1 of .cargo/config.toml:
        // they spin while they wait, and more of them make it slower on two cores.
        .env("RAYON_NUM_THREADS", threads.to_string());
    Process::start("candle 0.11", &mut command)
}

/// Answers each task on the standard input with its seconds, until there is no more.
pub fn serve() -> std::result::Result<(), Box<dyn Error>> {
    let mut side = Side::new()?;
    println!("{}", json!({}));
    for line in std::io::stdin().lock().lines() {
        let task: Value = serde_json::from_str(&line?)?;
        let number = |name: &str| task[name].as_u64().map_or(0, |n| n as usize);
        let large = task["net"] == "large";
        let seconds = side.train(large, number("batch"), number("images"))?;
        println!("{}", json!({"answer": seconds}));
    }
    Ok(())
}

struct Small {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Small {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: candle_nn::conv2d(1, 10, 5, Default::default(), vb.pp("conv1"))?,
            conv2: candle_nn::conv2d(10, 20, 5, Default::default(), vb.pp("conv2"))?,
            fc1: candle_nn::linear(320, 50, vb.pp("fc1"))?,
            fc2: candle_nn::linear(50, 10, vb.pp("fc2"))?,
        })
    }
}

impl Module for Small {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = images.apply(&self.conv1)?.max_pool2d(2)?.relu()?;
        let x = x.apply(&self.conv2)?.max_pool2d(2)?.relu()?;
        let x = x.flatten_from(1)?.apply(&self.fc1)?.relu()?;
        x.apply(&self.fc2)
    }
}

struct Large {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Large {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: candle_nn::conv2d(1, 32, 3, Default::default(), vb.pp("conv1"))?,
            conv2: candle_nn::conv2d(32, 64, 3, Default::default(), vb.pp("conv2"))?,
            fc1: candle_nn::linear(9216, 128, vb.pp("fc1"))?,
            fc2: candle_nn::linear(128, 10, vb.pp("fc2"))?,
        })
    }
}

impl Module for Large {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = images.apply(&self.conv1)?.relu()?;
        let x = x.apply(&self.conv2)?.relu()?.max_pool2d(2)?;
        let x = x.flatten_from(1)?.apply(&self.fc1)?.relu()?;
        x.apply(&self.fc2)
    }
}

struct Side {
    small: (Small, SGD),
    large: (Large, SGD),
    images: Tensor,
    targets: Tensor,
}

impl Side {
    fn new() -> std::result::Result<Self, Box<dyn Error>> {
        let (small, large) = (VarMap::new(), VarMap::new());
        let vb = |map| VarBuilder::from_varmap(map, DType::F32, &Device::Cpu);
        // candle's own has no momentum.
        let sgd = |map: &VarMap| SGD::new(map.all_vars(), 0.01);
        let set = Mnist::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/data"))
            .train(true)
            .transform(compose![ToTensor, Normalize::new([0.1307], [0.3081])?])
            .build()?;
        let samples: candlelight::Result<Vec<_>> = (0..SMALL).map(|index| set.get(index)).collect();
        let (images, targets): (Vec<Tensor>, Vec<i64>) = samples?.into_iter().unzip();
        Ok(Self {
            small: (Small::new(&vb(&small))?, sgd(&small)?),
            large: (Large::new(&vb(&large))?, sgd(&large)?),
            images: Tensor::stack(&images, 0)?,
            targets: Tensor::new(targets, &Device::Cpu)?,
        })
    }

    /// The seconds for `images`, from those for fewer.
    fn train(&mut self, large: bool, batch: usize, images: usize) -> Result<f64> {
        let (net, sgd, count): (&dyn Module, &mut SGD, usize) = match large {
            true => (&self.large.0, &mut self.large.1, LARGE),
            false => (&self.small.0, &mut self.small.1, SMALL),
        };
        let order = Generator::new(0).randperm(count);
        let order: Vec<u32> = order.into_iter().map(|index| index as u32).collect();
        let start = Instant::now();
        for chosen in order.chunks(batch.max(1)) {
            let chosen = Tensor::new(chosen, &Device::Cpu)?;
            let logits = net.forward(&self.images.index_select(&chosen, 0)?)?;
            let targets = self.targets.index_select(&chosen, 0)?;
            let loss = candle_nn::loss::cross_entropy(&logits, &targets)?;
            sgd.backward_step(&loss)?;
            loss.to_scalar::<f32>()?;
        }
        Ok(start.elapsed().as_secs_f64() * images as f64 / count as f64)
    }
}
