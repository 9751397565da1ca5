//! `ImageOps.expand`, `numpy.pad` and `Image.crop`.

use image::ImageBuffer;

use crate::Result;
use crate::error::invalid;
use crate::transforms::pixel::{Image, ImagePixel, checked_size, not_empty};
use crate::transforms::{Fill, PadMode, Padding4};

/// Puts pixels around an image, or takes some away.
pub(in crate::transforms) fn pad<P: ImagePixel>(
    transform: &'static str,
    image: &Image<P>,
    padding: Padding4,
    fill: &Fill,
    mode: PadMode,
) -> Result<Image<P>> {
    not_empty(transform, image)?;
    let [left, top, right, bottom] = padding.sides();
    let length = |before: i64, length: u32, after: i64| {
        before
            .checked_add(i64::from(length))
            .and_then(|sum| sum.checked_add(after))
            .unwrap_or(i64::MAX)
    };
    let size = (
        length(left, image.width(), right),
        length(top, image.height(), bottom),
    );
    let (width, height) = checked_size(transform, "padding", padding, size)?;
    if mode == PadMode::Constant {
        let fill = fill.pixel(transform)?;
        return Ok(ImageBuffer::from_fn(width, height, |x, y| {
            let at = |place: u32, before: i64, length: u32| {
                u32::try_from(i64::from(place).saturating_sub(before))
                    .ok()
                    .filter(|&place| place < length)
            };
            match (at(x, left, image.width()), at(y, top, image.height())) {
                (Some(x), Some(y)) => *image.get_pixel(x, y),
                _ => fill,
            }
        }));
    }
    let columns = sources(mode, image.width(), left, right, width);
    let rows = sources(mode, image.height(), top, bottom, height);
    match (columns, rows) {
        (Some(columns), Some(rows)) => Ok(ImageBuffer::from_fn(width, height, |x, y| {
            *image.get_pixel(columns[x as usize], rows[y as usize])
        })),
        _ => {
            let problem = format!(
                "takes away all {} rows or all {} columns, and nothing is left to repeat; use padding_mode constant, or take away fewer",
                image.height(),
                image.width()
            );
            invalid(transform, "padding", padding, problem)
        }
    }
}

/// Which place of the image each place of the padded axis shows; `None` where nothing is left of the
/// image.
fn sources(mode: PadMode, length: u32, before: i64, after: i64, padded: u32) -> Option<Vec<u32>> {
    // What is taken away goes first, then the rest is repeated.
    let taken = |side: i64| side.min(0).saturating_neg();
    let first = taken(before);
    let left = i64::from(length).saturating_sub(first.saturating_add(taken(after)));
    if left < 1 {
        return None;
    }
    let source = |place: i64| {
        let place = place - before.max(0);
        let place = match mode {
            PadMode::Constant | PadMode::Edge => place.clamp(0, left - 1),
            // There and back, as often as needed.
            PadMode::Reflect if left == 1 => 0,
            PadMode::Reflect => {
                let place = place.rem_euclid(2 * (left - 1));
                place.min(2 * (left - 1) - place)
            }
            PadMode::Symmetric => {
                let place = place.rem_euclid(2 * left);
                place.min(2 * left - 1 - place)
            }
        };
        (first + place) as u32
    };
    Some((0..i64::from(padded)).map(source).collect())
}

/// `height` rows and `width` columns from (`top`, `left`) on, all of them inside the image.
pub(in crate::transforms) fn crop<P: ImagePixel>(
    image: &Image<P>,
    (top, left): (u32, u32),
    (height, width): (u32, u32),
) -> Image<P> {
    image::imageops::crop_imm(image, left, top, width, height).to_image()
}
