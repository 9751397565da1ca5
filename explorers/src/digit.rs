//! A drawn digit on its way through the trained small network.

use candlelight::candle_core::{DType, Device, Tensor};
use candlelight::candle_nn::VarBuilder;
use candlelight::candle_nn::ops::softmax;
use candlelight::nn::{Conv2d, Linear, MaxPool2d, relu};
use candlelight::prelude::{GrayImage, Normalize, ToTensor, Transform};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::drawing::prepare;
use crate::maps::{Maps, told};

/// The weights of `Net`; `examples/weights.rs` trains them.
const WEIGHTS: &[u8] = include_bytes!("../data/net.safetensors");

/// What each layer made of a drawing.
#[wasm_bindgen]
#[derive(Debug)]
pub struct DigitView {
    image: Tensor,
    first: Tensor,
    second: Tensor,
    hidden: Tensor,
    probabilities: Tensor,
}

#[wasm_bindgen]
impl DigitView {
    /// (1, 28, 28), 0 to 1: the drawing as an image of MNIST.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn image(&self) -> Result<Maps, String> {
        Maps::of(&self.image)
    }

    /// (10, 12, 12): after conv1, the pooling and ReLU.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn first(&self) -> Result<Maps, String> {
        Maps::of(&self.first)
    }

    /// (20, 4, 4): after conv2, the pooling and ReLU.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn second(&self) -> Result<Maps, String> {
        Maps::of(&self.second)
    }

    /// (1, 5, 10): the fifty values of fc1 after ReLU, ten in a row.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn hidden(&self) -> Result<Maps, String> {
        Maps::of(&self.hidden)
    }

    /// (10): the softmax of the logits.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn probabilities(&self) -> Result<Maps, String> {
        Maps::of(&self.probabilities)
    }
}

/// Sends a drawing through the trained network: `pixels` are grays, white on black, row after row, `width` in each.
///
/// # Errors
///
/// Where the pixels do not fill rows of `width`.
#[wasm_bindgen]
pub fn digit(pixels: Vec<u8>, width: u32) -> Result<DigitView, String> {
    let count = pixels.len();
    let height = (count as u32).checked_div(width).unwrap_or(0);
    let fits = (width * height) as usize == count && height > 0;
    let drawing = fits
        .then(|| GrayImage::from_raw(width, height, pixels))
        .flatten();
    let drawing = drawing.ok_or(format!("{count} pixels do not fill rows of {width}"))?;
    look(&prepare(&drawing)?).map_err(told)
}

/// `Net`'s own layers one by one, for what is between them.
fn look(image: &GrayImage) -> candlelight::Result<DigitView> {
    let vb = VarBuilder::from_slice_safetensors(WEIGHTS, DType::F32, &Device::Cpu)?;
    let conv1 = Conv2d::builder(1, 10, 5).build(vb.pp("conv1"))?;
    let conv2 = Conv2d::builder(10, 20, 5).build(vb.pp("conv2"))?;
    let fc1 = Linear::builder(320, 50).build(vb.pp("fc1"))?;
    let fc2 = Linear::builder(50, 10).build(vb.pp("fc2"))?;
    let pool = MaxPool2d::builder(2).build()?;
    let image = ToTensor.apply(image)?;
    let input = Normalize::new([0.1307], [0.3081])?
        .apply(&image)?
        .unsqueeze(0)?;
    let first = relu(&pool.forward(&conv1.forward(&input)?)?)?;
    let second = relu(&pool.forward(&conv2.forward(&first)?)?)?;
    let hidden = relu(&fc1.forward(&second.flatten_from(1)?)?)?;
    let logits = fc2.forward(&hidden)?;
    Ok(DigitView {
        image,
        first: first.squeeze(0)?,
        second: second.squeeze(0)?,
        hidden: hidden.reshape((1, 5, 10))?,
        probabilities: softmax(&logits, 1)?.squeeze(0)?,
    })
}
