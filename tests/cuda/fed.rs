//! Batches that a card does not keep: they are copied there while it works on others.

use super::*;

/// Images that a transform turns each time otherwise.
fn turned(images: usize, batch_size: usize) -> Result<DataLoader> {
    let transform = compose![
        RandomRotation::builder(10.0).build()?,
        ToTensor,
        Normalize::new([0.1307], [0.3081])?
    ];
    loader_with(transform, images, batch_size)
}

/// Losses of two epochs, whose steps are more than the batches on their way, and the last of which is smaller.
fn losses(net: impl Network + 'static, train: &DataLoader, lr: f64) -> Anything<Vec<f64>> {
    let sgd = Sgd::builder(net.parameters(), lr).momentum(0.9).build()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    let mut trainer = Trainer::builder(net, criterion, sgd).epochs(2).build()?;
    let history = trainer.fit(train, None)?;
    Ok(history.steps.iter().map(|step| step.loss).collect())
}

pub fn training(card: &DeviceChoice) -> Anything<()> {
    let run = |device: &Device, captured| {
        manual_seed(6);
        let net = Net::new(var_builder(DType::F32, device))?;
        let train = turned(187, 8)?;
        match captured {
            true => losses(net, &train, 0.01),
            false => losses(LayerByLayer(net), &train, 0.01),
        }
    };
    let expected = run(&Device::Cpu, true)?;
    near(&run(card, true)?, &expected, 2e-3)?;
    near(&run(card, false)?, &expected, 2e-3)
}

/// Losses are read while later steps run.
pub fn many_steps(card: &DeviceChoice) -> Anything<()> {
    let run = |device: &Device, train: &DataLoader| {
        manual_seed(7);
        let vb = var_builder(DType::F32, device);
        let net = sequential![Flatten, Linear::builder(784, 10).build(vb)?];
        losses(net, train, 0.001)
    };
    let (fed, kept) = (turned(299, 2)?, loader_of(299, 2)?);
    for train in [&fed, &kept] {
        near(&run(card, train)?, &run(&Device::Cpu, train)?, 2e-3)?;
    }
    Ok(())
}

/// Noise, of a digit's size up to one image; the next is smaller, the one after it is none.
struct Ends {
    smaller: usize,
}

impl Dataset for Ends {
    fn len(&self) -> usize {
        self.smaller + 16
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let side = match index {
            _ if index < self.smaller => 28,
            _ if index < self.smaller + 8 => 27,
            _ => return Err(candlelight::candle_core::Error::msg("the disk is gone").into()),
        };
        let pixels = Generator::new(index as u64).rand(side * side);
        let image = Tensor::from_vec(pixels, (1, side, side), &Device::Cpu)?;
        Ok((image, (index % 10) as i64))
    }
}

pub fn what_ends_an_epoch(card: &DeviceChoice) -> Anything<()> {
    let net = Net::new(var_builder(DType::F32, card))?;
    let criterion = CrossEntropyLoss::builder().build()?;
    let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
    // Which needs a captured step.
    let trainer = Trainer::builder(net, criterion, sgd).float32_matmul_precision(Precision::High);
    let mut trainer = trainer.build()?;
    let mut fails_with = |loader: &DataLoader, with: &str| match trainer.fit(loader, None) {
        Ok(_) => Err(format!("no error with {with}").into()),
        Err(error) if error.to_string().contains(with) => Ok(()),
        Err(error) => Anything::Err(error.into()),
    };
    let smaller = DataLoader::builder(Ends { smaller: 80 }).batch_size(8);
    fails_with(&smaller.build()?, "[8, 1, 28, 28] of f32")?;
    let gone = Subset::new(Ends { smaller: 80 }, (0..80).chain([90]).collect())?;
    let gone = DataLoader::builder(gone).batch_size(8).build()?;
    fails_with(&gone, "the disk is gone")?;
    // Nor is anything lost.
    trainer.fit(&turned(64, 8)?, None)?;
    Ok(())
}
