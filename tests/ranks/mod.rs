//! What the ranks of a test do, whatever carries their gradients, and what is said of what they print.

use std::error::Error;
use std::path::Path;
use std::process::Output;

use candlelight::distributed::{
    Backend, DistributedSampler, ProcessGroup, destroy_process_group, init_process_group,
};
use candlelight::prelude::*;

pub type Anything<T> = std::result::Result<T, Box<dyn Error>>;

/// A test, and what it shows.
pub type Test = (&'static str, fn(&Path) -> Anything<()>);

/// Runs tests, each in a folder of its own, to the first that fails.
pub fn run_all(backend: &str, tests: &[Test]) -> Anything<()> {
    let folder = tempfile::tempdir()?;
    for (number, (name, test)) in tests.iter().enumerate() {
        let own = folder.path().join(number.to_string());
        std::fs::create_dir(&own)?;
        test(&own).map_err(|error| format!("{name}: {error}"))?;
        println!("{backend}: {name}: ok");
    }
    Ok(())
}

/// The training that is compared.
pub struct Run<'a> {
    pub backend: Backend,
    pub large: bool,
    /// The first so many of the test set's are trained on.
    pub images: usize,
    pub epochs: usize,
    pub batch_size: usize,
    /// Whether each rank has images of its own.
    pub shared: bool,
    pub checkpoint: &'a Path,
}

impl Run<'_> {
    /// What a rank does; rank 0 prints each step's loss and each epoch's.
    pub fn rank<D: Dataset + 'static>(
        &self,
        images: impl FnOnce(Subset<Mnist>, &ProcessGroup) -> D,
    ) -> Anything<()> {
        let group = init_process_group(self.backend)?;
        match self.large {
            true => self.train(&group, LargeNet::new, images)?,
            false => self.train(&group, Net::new, images)?,
        }
        destroy_process_group(&group)?;
        Ok(())
    }

    fn train<N: Network + 'static, D: Dataset + 'static>(
        &self,
        group: &ProcessGroup,
        net: impl FnOnce(candle_nn::VarBuilder<'static>) -> Result<N>,
        images: impl FnOnce(Subset<Mnist>, &ProcessGroup) -> D,
    ) -> Anything<()> {
        let normalize = compose![ToTensor, Normalize::new([0.1307], [0.3081])?];
        let mnist = |indices: std::ops::Range<usize>| {
            let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
            let mnist = Mnist::builder(data).train(false);
            let mnist = mnist.transform(normalize.clone()).build()?;
            Subset::new(mnist, indices.collect())
        };
        let train = images(mnist(0..self.images)?, group);
        let mut loader = DataLoader::builder(train).batch_size(self.batch_size);
        if self.shared {
            let sampler = DistributedSampler::builder(self.images, group);
            loader = loader.sampler(sampler.seed(3).build()?);
        }
        let test = DataLoader::builder(mnist(5000..5700)?).batch_size(100);
        // Not all begin with the same weights: rank 0's count.
        manual_seed(group.rank() as u64);
        let net = net(var_builder(DType::F32, group.device()))?;
        let sgd = Sgd::builder(net.parameters(), 0.01).momentum(0.9).build()?;
        let schedule = StepLr::builder(0.01, 1).gamma(0.5).build()?;
        let mut trainer = Trainer::builder(net, CrossEntropyLoss::builder().build()?, sgd)
            .process_group(group)
            .schedule(schedule, Every::Epoch)
            .epochs(self.epochs)
            .checkpoint(self.checkpoint)
            .build()?;
        if self.checkpoint.exists() {
            trainer.resume(self.checkpoint)?;
        }
        let history = trainer.fit(&loader.build()?, Some(&test.build()?))?;
        if group.rank() == 0 {
            for step in &history.steps {
                println!("step {} {:e} {}", step.step, step.loss, step.accuracy);
            }
            for epoch in &history.epochs {
                let (loss, accuracy) = (epoch.test_loss, epoch.test_accuracy);
                println!(
                    "epoch {} {:e} {}",
                    epoch.epoch,
                    loss.unwrap_or(f64::NAN),
                    accuracy.unwrap_or(f64::NAN)
                );
            }
        }
        Ok(())
    }
}

/// What rank 0 printed: (word, number, loss, accuracy).
pub type Lines = Vec<(String, usize, f64, f64)>;

pub fn lines(output: &Output) -> Anything<Lines> {
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ended with {}: {error}", output.status).into());
    }
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().ok_or("a line is too short");
        Ok((
            next()?.into(),
            next()?.parse()?,
            next()?.parse()?,
            next()?.parse()?,
        ))
    };
    text.lines().map(line).collect()
}

/// Refuses two runs of so many epochs of so many steps that are not the same but for rounding, or learn nothing. Gives the
/// largest difference of two losses, by the loss.
pub fn same_steps(one: &Lines, two: &Lines, epochs: usize, steps: usize) -> Anything<f64> {
    if one.len() != epochs * (steps + 1) || two.len() != one.len() {
        return Err(format!("{} and {} lines", one.len(), two.len()).into());
    }
    let mut furthest = 0f64;
    for (one, two) in one.iter().zip(two) {
        let apart = (one.2 - two.2).abs() / one.2;
        furthest = furthest.max(apart);
        if (&one.0, one.1) != (&two.0, two.1) || apart > 1e-4 || (one.3 - two.3).abs() > 0.002 {
            return Err(format!("{one:?} alone, {two:?} together").into());
        }
    }
    let last = epochs * steps - 1;
    match one[0].2 > one[last].2 {
        true => Ok(furthest),
        false => Err(format!("nothing was learned: {one:?}").into()),
    }
}

/// Refuses an output that does not end badly, or does not say each of these.
pub fn refused(output: &Output, said: &[&str]) -> Anything<()> {
    let error = String::from_utf8_lossy(&output.stderr);
    match !output.status.success() && said.iter().all(|said| error.contains(said)) {
        true => Ok(()),
        false => Err(format!("{}: {error}", output.status).into()),
    }
}
