//! `Image.resize`: columns and rows one after the other, each with weights in fixed point.

use image::ImageBuffer;

use super::affine;
use super::filters::{Filter, filter};
use crate::transforms::InterpolationMode;
use crate::transforms::pixel::{Image, ImagePixel};

/// The fraction's bits of a weight: 8 of the 32 are the result's, 2 catch sums below 0 and above 1.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The image at `height` rows and `width` columns; both images have pixels.
pub(in crate::transforms) fn resize<P: ImagePixel>(
    image: &Image<P>,
    (height, width): (u32, u32),
    mode: InterpolationMode,
) -> Image<P> {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    let Some(filter) = filter(mode) else {
        let steps = [
            f64::from(image.width()) / f64::from(width),
            f64::from(image.height()) / f64::from(height),
        ];
        let black = *P::from_slice(&vec![0; usize::from(P::CHANNEL_COUNT)]);
        let mut output = ImageBuffer::from_pixel(width, height, black);
        affine::scale(image, &mut output, [steps[0], 0.0, 0.0, 0.0, steps[1], 0.0]);
        return output;
    };
    let channels = usize::from(P::CHANNEL_COUNT);
    let (old_width, old_height) = (image.width() as usize, image.height() as usize);
    let (new_width, new_height) = (width as usize, height as usize);
    // Columns are places `channels` apart in each row; rows are places a row apart.
    let columns = |pixels: &[u8], rows: usize| match new_width == old_width {
        true => pixels.to_vec(),
        false => {
            let weights = weights(old_width, new_width, filter);
            stretch(pixels, rows, old_width, channels, &weights)
        }
    };
    let rows = |pixels: &[u8], columns: usize| match new_height == old_height {
        true => pixels.to_vec(),
        false => {
            let weights = weights(old_height, new_height, filter);
            stretch(pixels, 1, old_height, columns * channels, &weights)
        }
    };
    let pixels = match rows_first(image.dimensions(), (width, height)) {
        true => columns(&rows(image.as_raw(), old_width), new_height),
        false => rows(&columns(image.as_raw(), old_height), new_width),
    };
    ImageBuffer::from_fn(width, height, |x, y| {
        let at = (y as usize * new_width + x as usize) * channels;
        *P::from_slice(&pixels[at..at + channels])
    })
}

/// Whether the rows are resized before the columns: the second pass sees the first one's roundings.
///
/// So it is in Pillow 13, found by comparing both orders with its results; before, the columns always
/// came first.
fn rows_first((old_width, old_height): (u32, u32), (width, height): (u32, u32)) -> bool {
    let lost = |old: u32, new: u32| i64::from(old) - i64::from(new);
    let rows = lost(old_height, height);
    rows > 0 && rows > 2 * lost(old_width, width)
}

/// The first place that counts for a new place, and the weight of each from there on.
struct Weights {
    first: usize,
    weights: Vec<i32>,
}

fn weights(old: usize, new: usize, (filter, support): Filter) -> Vec<Weights> {
    let scale = old as f64 / new as f64;
    // Where the image shrinks the filter grows with it: that is the antialiasing.
    let filter_scale = scale.max(1.0);
    let support = support * filter_scale;
    let inverse = 1.0 / filter_scale;
    let fixed = |weight: f64| {
        let half = if weight < 0.0 { -0.5 } else { 0.5 };
        (half + weight * f64::from(1 << PRECISION_BITS)) as i32
    };
    let at = |place: usize| {
        let center = (place as f64 + 0.5) * scale;
        // `as usize` cuts off the fraction, and makes 0 of what is negative.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(old);
        let weight = |i: usize| filter((i as f64 - center + 0.5) * inverse);
        let mut weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        Weights {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (0..new).map(at).collect()
}

/// Resizes the middle axis of `outer` × `length` × `inner` bytes.
fn stretch(
    pixels: &[u8],
    outer: usize,
    length: usize,
    inner: usize,
    weights: &[Weights],
) -> Vec<u8> {
    let mut stretched = Vec::with_capacity(outer * weights.len() * inner);
    let mut sums = vec![0i32; inner];
    for block in pixels.chunks_exact(length * inner).take(outer) {
        for Weights { first, weights } in weights {
            sums.fill(1 << (PRECISION_BITS - 1));
            for (source, &weight) in block[first * inner..].chunks_exact(inner).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(source) {
                    *sum += i32::from(value) * weight;
                }
            }
            stretched.extend(
                sums.iter()
                    .map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8),
            );
        }
    }
    stretched
}
