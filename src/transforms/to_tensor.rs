use candle_core::{Device, Tensor};
use image::GrayImage;

use super::Transform;
use crate::Result;

/// A gray image as a tensor of values between 0 and 1. Equivalent of
/// `torchvision.transforms.ToTensor`.
///
/// `y = x / 255`, in `f32`.
///
/// # Shape
///
/// H rows and W columns of `u8` become (1, H, W) of `f32`.
///
/// # Differences from PyTorch
///
/// Gray images only.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
/// use image::GrayImage;
///
/// # fn main() -> Result<()> {
/// let image = GrayImage::from_fn(28, 28, |column, _row| image::Luma([column as u8]));
/// let tensor = ToTensor.apply(&image)?;
/// assert_eq!(tensor.dims(), [1, 28, 28]);
/// assert_eq!(tensor.get(0)?.get(5)?.get(17)?.to_scalar::<f32>()?, 17.0 / 255.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ToTensor;

impl Transform<GrayImage> for ToTensor {
    type Output = Tensor;

    fn apply(&self, image: &GrayImage) -> Result<Tensor> {
        let values: Vec<f32> = image
            .as_raw()
            .iter()
            .map(|&v| f32::from(v) / 255.0)
            .collect();
        let shape = (1, image.height() as usize, image.width() as usize);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn is_pointwise(&self) -> bool {
        true
    }
}
