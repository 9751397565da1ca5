//! Trains the small network and writes `data/net.safetensors`, with which the page names a drawn digit. The images are
//! turned, sheared, scaled and moved a little, because a mouse does not write as a pen does.
//!
//!     cargo run --release --package candlelight-explorers --example weights

use std::error::Error;
use std::path::Path;

use candlelight::nn::save;
use candlelight::prelude::*;

const EPOCHS: usize = 8;
const LR: f64 = 0.05;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mean, std) = ([0.1307], [0.3081]);
    let moved = RandomAffine::builder(12.0)
        .translate((0.08, 0.08))
        .scale((0.85, 1.1))
        .shear(8.0)
        .build()?;
    let set = |train: bool| Mnist::builder(here.join("../data")).train(train);
    let train = set(true).transform(compose![moved, ToTensor, Normalize::new(mean, std)?]);
    let train = DataLoader::builder(train.build()?)
        .shuffle(true)
        .batch_size(64);
    let train = train.num_workers(2).build()?;
    let test = set(false).transform(compose![ToTensor, Normalize::new(mean, std)?]);
    let test = DataLoader::builder(test.build()?)
        .batch_size(1000)
        .build()?;

    manual_seed(0);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    let sgd = Sgd::builder(net.parameters(), LR)
        .momentum(0.9)
        .nesterov(true)
        .build()?;
    let schedule = OneCycleLr::builder_with_epochs(LR, EPOCHS, train.len()).build()?;
    Trainer::builder(net.clone(), CrossEntropyLoss::builder().build()?, sgd)
        .epochs(EPOCHS)
        .schedule(schedule, Every::Step)
        .build()?
        .fit(&train, None)?;
    let accuracy = evaluate(&net, &test)?.accuracy;
    println!("{:.2} % of the test set", 100.0 * accuracy);
    save(&net, here.join("data/net.safetensors"))?;
    Ok(())
}
