//! Candlelight in this process.

use std::error::Error;
use std::time::Instant;

use candlelight::compose;
use candlelight::prelude::*;
use serde_json::Value;

pub struct Candlelight {
    pool: rayon::ThreadPool,
    train: Mnist,
    test: Mnist,
    small: Net,
    large: LargeNet,
}

/// The small net's convolutions and one linear layer, for images of any size.
fn sized(size: usize) -> candlelight::Result<Sequential> {
    let vb = var_builder(DType::F32, &Device::Cpu);
    let side = ((size - 4) / 2 - 4) / 2;
    Ok(sequential![
        Conv2d::builder(1, 10, 5).build(vb.pp("0"))?,
        MaxPool2d::builder(2).build()?,
        Relu,
        Conv2d::builder(10, 20, 5).build(vb.pp("3"))?,
        MaxPool2d::builder(2).build()?,
        Relu,
        Flatten,
        Linear::builder(20 * side * side, 10).build(vb.pp("7"))?,
    ])
}

impl Candlelight {
    pub fn new(threads: usize) -> Result<Self, Box<dyn Error>> {
        let transform = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        let set = |train| {
            Mnist::builder(root)
                .train(train)
                .transform(transform.clone())
                .build()
        };
        manual_seed(0);
        let vb = var_builder(DType::F32, &Device::Cpu);
        Ok(Self {
            pool: rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()?,
            train: set(true)?,
            test: set(false)?,
            small: Net::new(vb.pp("small"))?,
            large: LargeNet::new(vb.pp("large"))?,
        })
    }

    /// How many seconds a task took.
    pub fn ask(&mut self, task: &Value) -> Result<f64, Box<dyn Error>> {
        let number = |name: &str| task[name].as_u64().map_or(0, |n| n as usize);
        let large = task["net"] == "large";
        let seconds = match task["task"].as_str() {
            Some("train") if large => train(
                &self.pool,
                &self.large,
                &self.train,
                number("batch"),
                number("images"),
            )?,
            Some("train") => train(
                &self.pool,
                &self.small,
                &self.train,
                number("batch"),
                number("images"),
            )?,
            Some("evaluate") => {
                let (batch, repeat) = (number("batch"), number("repeat"));
                let loader = DataLoader::builder(self.test.clone())
                    .batch_size(batch)
                    .build()?;
                let (small, big) = (&self.small, &self.large);
                self.pool.install(|| -> candlelight::Result<f64> {
                    let start = Instant::now();
                    let net: &dyn Network = if large { big } else { small };
                    for _ in 0..repeat {
                        evaluate(net, &loader)?;
                    }
                    Ok(start.elapsed().as_secs_f64() / repeat as f64)
                })?
            }
            _ => {
                let (size, repeat) = (number("size"), number("repeat"));
                let shape = (number("batch"), 1, size, size);
                let images = Tensor::randn(0f32, 1f32, shape, &Device::Cpu)?;
                let net = sized(size)?;
                self.pool.install(|| -> candlelight::Result<f64> {
                    let start = Instant::now();
                    for _ in 0..repeat {
                        net.forward(&images)?.sqr()?.mean_all()?.backward()?;
                    }
                    Ok(start.elapsed().as_secs_f64() / repeat as f64)
                })?
            }
        };
        Ok(seconds)
    }

    /// The most memory that this process has had, in bytes.
    pub fn peak_memory(&self) -> Result<f64, Box<dyn Error>> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kilobytes: f64 = peak
            .ok_or("the system tells no peak of memory")?
            .trim()
            .parse()?;
        Ok(kilobytes * 1024.0)
    }
}

/// Trains on the first `images` of a new order, and returns the seconds.
fn train(
    pool: &rayon::ThreadPool,
    net: &(impl Network + Clone + 'static),
    set: &Mnist,
    batch: usize,
    images: usize,
) -> Result<f64, Box<dyn Error>> {
    let order = Generator::new(0).randperm(set.len());
    let chosen = Subset::new(set.clone(), order[..images].to_vec())?;
    let loader = DataLoader::builder(chosen)
        .batch_size(batch)
        .shuffle(true)
        .build()?;
    let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.5).build()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    let mut trainer = Trainer::builder(net.clone(), criterion, sgd).build()?;
    let history = pool.install(|| trainer.fit(&loader, None))?;
    let seconds = history.last().map(|epoch| epoch.seconds);
    Ok(seconds.ok_or("no epoch was trained")?)
}
