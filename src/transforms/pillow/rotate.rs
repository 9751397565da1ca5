//! `Image.rotate`.

use image::{ImageBuffer, imageops};

use super::affine::{Matrix, transform};
use crate::Result;
use crate::transforms::InterpolationMode;
use crate::transforms::pixel::{Image, ImagePixel, checked_size};

/// The image turned by `angle` degrees counter-clockwise around `center`, (x, y), by default the
/// image's.
pub(in crate::transforms) fn rotate<P: ImagePixel>(
    name: &'static str,
    image: &Image<P>,
    angle: f64,
    mode: InterpolationMode,
    expand: bool,
    center: Option<(f64, f64)>,
    fill: P,
) -> Result<Image<P>> {
    let angle = angle.rem_euclid(360.0);
    let swaps = expand || image.width() == image.height();
    if center.is_none() {
        if angle == 0.0 {
            return Ok(image.clone());
        } else if angle == 180.0 {
            return Ok(imageops::rotate180(image));
        } else if angle == 90.0 && swaps {
            return Ok(imageops::rotate270(image));
        } else if angle == 270.0 && swaps {
            return Ok(imageops::rotate90(image));
        }
    }
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let (x, y) = center.unwrap_or((width / 2.0, height / 2.0));
    let radians = -angle.to_radians();
    let (cos, sin) = (fifteen_digits(radians.cos()), fifteen_digits(radians.sin()));
    let mut matrix = [cos, sin, 0.0, fifteen_digits(-radians.sin()), cos, 0.0];
    (matrix[2], matrix[5]) = map(matrix, (-x, -y));
    matrix[2] += x;
    matrix[5] += y;
    let mut size = image.dimensions();
    if expand {
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)];
        let corners = corners.map(|corner| map(matrix, corner));
        let span = |values: [f64; 4]| {
            let largest = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
            let smallest = values.into_iter().fold(f64::INFINITY, f64::min);
            largest.ceil() - smallest.floor()
        };
        let new = (span(corners.map(|(x, _)| x)), span(corners.map(|(_, y)| y)));
        (matrix[2], matrix[5]) = map(matrix, (-(new.0 - width) / 2.0, -(new.1 - height) / 2.0));
        size = checked_size(name, "expand", "True", (new.0 as i64, new.1 as i64))?;
    }
    let mut output = ImageBuffer::from_pixel(size.0, size.1, fill);
    transform(image, &mut output, matrix, mode);
    Ok(output)
}

fn map([a, b, c, d, e, f]: Matrix, (x, y): (f64, f64)) -> (f64, f64) {
    (a * x + b * y + c, d * x + e * y + f)
}

/// Python's `round(value, 15)`: the nearest decimal number of fifteen digits behind the point.
fn fifteen_digits(value: f64) -> f64 {
    format!("{value:.15}").parse().unwrap_or(value)
}
