//! Writes `data/subset.gz`, what the page trains on: how many images (16 bits), then a label and 28 × 28 grays of each of
//! the first 2,000 training images, then of every tenth test image of the first 5,000.
//!
//!     cargo run --package candlelight-explorers --example subset

use std::error::Error;
use std::io::Write;
use std::path::Path;

use candlelight::data::Mnist;
use flate2::{Compression, GzBuilder};

const TRAIN: u16 = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = TRAIN.to_le_bytes().to_vec();
    let mut write = |train: bool, indices: &mut dyn Iterator<Item = usize>| {
        let mnist = Mnist::builder(here.join("../data")).train(train).build()?;
        for index in indices {
            bytes.push(mnist.labels()[index]);
            bytes.extend_from_slice(mnist.image(index)?.as_raw());
        }
        Ok::<_, candlelight::Error>(())
    };
    write(true, &mut (0..usize::from(TRAIN)))?;
    write(false, &mut (0..5000).step_by(10))?;
    let file = std::fs::File::create(here.join("data/subset.gz"))?;
    // Without a time: the same bytes each time.
    let mut gz = GzBuilder::new().mtime(0).write(file, Compression::best());
    gz.write_all(&bytes)?;
    gz.finish()?;
    Ok(())
}
