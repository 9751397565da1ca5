use image::{ImageBuffer, Luma, Pixel, Rgb};

use crate::Result;
use crate::error::invalid;

/// A pixel of the images that the transforms take: `Luma<u8>` ([`GrayImage`](image::GrayImage),
/// PIL's mode `L`) or `Rgb<u8>` ([`RgbImage`](image::RgbImage), mode `RGB`).
///
/// # Differences from PyTorch
///
/// PIL's other modes have no counterpart: an image with alpha, of 16 bits or of floats is converted
/// first, for instance with `DynamicImage::to_luma8`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
/// use candlelight::transforms::ImagePixel;
/// use image::{ImageBuffer, RgbImage};
///
/// fn width<P: ImagePixel>(image: &ImageBuffer<P, Vec<u8>>) -> u32 {
///     image.width()
/// }
///
/// assert_eq!(width(&GrayImage::new(3, 2)), 3);
/// assert_eq!(width(&RgbImage::new(5, 2)), 5);
/// ```
pub trait ImagePixel: Pixel<Subpixel = u8> + Send + Sync + sealed::Sealed + 'static {}

impl ImagePixel for Luma<u8> {}
impl ImagePixel for Rgb<u8> {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for image::Luma<u8> {}
    impl Sealed for image::Rgb<u8> {}
}

/// An image with such pixels.
pub(super) type Image<P> = ImageBuffer<P, Vec<u8>>;

/// The most pixels of an image that a transform makes; Pillow refuses to crop more than that.
const LARGEST: u64 = 178_956_970;

/// `width` × `height` as an image's size, or an error that blames `parameter`.
pub(super) fn checked_size(
    transform: &'static str,
    parameter: &'static str,
    value: impl std::fmt::Display,
    (width, height): (i64, i64),
) -> Result<(u32, u32)> {
    let side = |length| u32::try_from(length).ok().filter(|&length| length > 0);
    match (side(width), side(height)) {
        (Some(w), Some(h)) if u64::from(w) * u64::from(h) <= LARGEST => Ok((w, h)),
        (Some(_), Some(_)) => {
            let problem = format!(
                "makes an image of {height} rows and {width} columns, more than {LARGEST} pixels; use a smaller one"
            );
            invalid(transform, parameter, value, problem)
        }
        _ => {
            let problem = format!(
                "makes an image of {height} rows and {width} columns; at least one of each must be left"
            );
            invalid(transform, parameter, value, problem)
        }
    }
}

/// Refuses an image without pixels.
pub(super) fn not_empty<P: ImagePixel>(transform: &'static str, image: &Image<P>) -> Result<()> {
    match image.width() > 0 && image.height() > 0 {
        true => Ok(()),
        false => Err(crate::Error::WrongShape {
            layer: transform,
            what: "image",
            got: vec![image.height() as usize, image.width() as usize],
            expected: "at least one row and one column".into(),
            cure: "leave empty images out".into(),
        }),
    }
}
