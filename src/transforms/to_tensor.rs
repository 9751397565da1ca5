use std::fmt;

use candle_core::{Device, Tensor};

use super::Transform;
use super::pixel::{Image, ImagePixel};
use crate::Result;

/// An image as a tensor of values between 0 and 1. Equivalent of
/// `torchvision.transforms.ToTensor`.
///
/// `y = x / 255`, in `f32`.
///
/// # Shape
///
/// H rows and W columns of `u8` become (1, H, W) of `f32`, those of an RGB image (3, H, W).
///
/// # Differences from PyTorch
///
/// Gray and RGB images of 8 bits only.
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

impl<P: ImagePixel> Transform<Image<P>> for ToTensor {
    type Output = Tensor;

    fn apply(&self, image: &Image<P>) -> Result<Tensor> {
        let channels = usize::from(P::CHANNEL_COUNT);
        let pixels = image.as_raw();
        let channel = |c: usize| pixels.iter().skip(c).step_by(channels);
        let values: Vec<f32> = (0..channels)
            .flat_map(channel)
            .map(|&v| f32::from(v) / 255.0)
            .collect();
        let shape = (channels, image.height() as usize, image.width() as usize);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn is_pointwise(&self) -> bool {
        // Three channels have no one table.
        P::CHANNEL_COUNT == 1
    }
}

impl fmt::Display for ToTensor {
    /// What torchvision's `repr` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToTensor()")
    }
}
