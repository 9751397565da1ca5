//! What the explorers look at: small grids of numbers, digits, and filters.

use candlelight::candle_core::{Device, Tensor};
use candlelight::random::Generator;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::drawing::SIDE;
use crate::maps::told;

/// Ten test images of MNIST, one of each digit, 28 × 28 bytes each; `examples/digits.rs` writes it.
const DIGITS: &[u8] = include_bytes!("../data/digits.bin");

/// The first test image of a digit: 28 × 28 grays, row after row.
///
/// # Errors
///
/// Where `digit` is none.
#[wasm_bindgen]
pub fn test_digit(digit: usize) -> Result<Vec<u8>, String> {
    let image = DIGITS.chunks(SIDE * SIDE).nth(digit);
    let image = image.ok_or_else(|| format!("digit={digit} must be at most 9"))?;
    Ok(image.to_vec())
}

/// An input of `channels` maps: `numbers` (whole, 0 to 9), `ramp`, `impulse`, or `digit` (MNIST's, 0 to 1, the
/// `digit`th and those after it).
pub fn input(kind: &str, channels: usize, size: usize, digit: usize) -> Result<Tensor, String> {
    if digit > 9 {
        return Err(format!("digit={digit} must be at most 9"));
    }
    let count = channels * size * size;
    let values: Vec<f32> = match kind {
        "numbers" => {
            let drawn = Generator::new(4).rand(count);
            drawn.iter().map(|value| (value * 10.0).floor()).collect()
        }
        "ramp" => (0..count).map(|i| (i % (size * size)) as f32).collect(),
        "impulse" => {
            let middle = (size / 2) * size + size / 2;
            let at = |i: usize| f32::from(u8::from(i % (size * size) == middle));
            (0..count).map(at).collect()
        }
        "digit" => {
            let maps = (0..channels).flat_map(|channel| {
                let start = (digit + channel) % 10 * SIDE * SIDE;
                &DIGITS[start..start + SIDE * SIDE]
            });
            maps.map(|&byte| f32::from(byte) / 255.0).collect()
        }
        other => {
            return Err(format!(
                "input={other} is not known; choose numbers, ramp, impulse or digit"
            ));
        }
    };
    let size = if kind == "digit" { SIDE } else { size };
    Tensor::from_vec(values, (channels, size, size), &Device::Cpu).map_err(told)
}

/// Filters of one kind, of any shape (out, in, rows, columns): `vertical` and `horizontal` edges, `blur`, `sharpen`,
/// `identity`, or whole numbers from −2 to 2 (`random`). Filters after the first are shifted copies or further draws, so
/// that channels differ.
pub fn weight(kind: &str, shape: (usize, usize, usize, usize)) -> Result<Tensor, String> {
    let (filters, channels, rows, columns) = shape;
    let area = (rows * columns) as f32;
    let middle = (rows / 2, columns / 2);
    let drawn = Generator::new(1).rand(filters * channels * rows * columns);
    let side = |place: usize, length: usize| match (2 * place + 1).cmp(&length) {
        std::cmp::Ordering::Less => -1.0,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => 1.0,
    };
    let mut values = Vec::with_capacity(drawn.len());
    for (i, drawn) in drawn.iter().enumerate() {
        let (y, x) = (i / columns % rows, i % columns);
        let filter = i / (columns * rows * channels);
        let centre = f32::from(u8::from((y, x) == middle));
        // The second filter looks the other way.
        let turned = filter % 2 == 1;
        values.push(match kind {
            "vertical" if !turned => side(x, columns),
            "horizontal" if turned => side(x, columns),
            "vertical" | "horizontal" => side(y, rows),
            "blur" => 1.0 / area,
            "sharpen" => centre * area - if area > 1.0 { 1.0 } else { 0.0 },
            "identity" => centre,
            "random" => (drawn * 5.0).floor() - 2.0,
            other => {
                return Err(format!(
                    "weight={other} is not known; choose vertical, horizontal, blur, sharpen, identity or random"
                ));
            }
        });
    }
    Tensor::from_vec(values, shape, &Device::Cpu).map_err(told)
}
