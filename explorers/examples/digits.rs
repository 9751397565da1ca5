//! Writes `data/digits.bin`, what the explorers look at: the first test image of each digit.
//!
//!     cargo run --package candlelight-explorers --example digits

use std::error::Error;
use std::path::Path;

use candlelight::data::Mnist;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = Mnist::builder(here.join("../data")).train(false).build()?;
    let mut bytes = Vec::new();
    for digit in 0..10 {
        let index = test.labels().iter().position(|&label| label == digit);
        let index = index.ok_or_else(|| format!("no {digit} in the test set"))?;
        bytes.extend_from_slice(test.image(index)?.as_raw());
    }
    std::fs::write(here.join("data/digits.bin"), bytes)?;
    Ok(())
}
