//! A drawing made into what the data set is made of.

use candlelight::prelude::{GrayImage, InterpolationMode, Resize, Transform};

use crate::maps::told;

/// An MNIST image's side, and that of the box that holds its digit.
pub const SIDE: usize = 28;
const BOX: f32 = 20.0;

/// A drawing, white on black, as MNIST's images were made: the digit scaled into a box of 20 × 20 pixels, sides in
/// proportion, and placed with its centre of mass in the middle of 28 × 28 (LeCun, Cortes and Burges, "The MNIST
/// database of handwritten digits"). A drawing without a white pixel stays black.
pub fn prepare(drawing: &GrayImage) -> Result<GrayImage, String> {
    let mut prepared = GrayImage::new(SIDE as u32, SIDE as u32);
    let Some(ink) = cut(drawing) else {
        return Ok(prepared);
    };
    let (width, height) = ink.dimensions();
    let scale = BOX / width.max(height) as f32;
    let side = |length: u32| ((length as f32 * scale).round() as usize).max(1);
    let resize = Resize::builder((side(height), side(width))).interpolation(InterpolationMode::Box);
    let small = resize.build().and_then(|resize| resize.apply(&ink));
    let small = small.map_err(told)?;
    let (x, y) = centre_of_mass(&small);
    // The middle of 28 pixels lies between two of them.
    let place = |centre: f32, length: u32| {
        let start = (SIDE as f32 / 2.0 - centre).round() as i64;
        start.clamp(0, SIDE as i64 - i64::from(length)) as u32
    };
    let (left, top) = (place(x, small.width()), place(y, small.height()));
    for (x, y, pixel) in small.enumerate_pixels() {
        prepared.put_pixel(left + x, top + y, *pixel);
    }
    Ok(prepared)
}

/// The smallest part that holds all that is drawn.
fn cut(drawing: &GrayImage) -> Option<GrayImage> {
    let drawn = drawing
        .enumerate_pixels()
        .filter(|(_, _, gray)| gray.0[0] > 25);
    let mut corners: Option<[u32; 4]> = None;
    for (x, y, _) in drawn {
        let [left, top, right, bottom] = corners.unwrap_or([x, y, x, y]);
        corners = Some([left.min(x), top.min(y), right.max(x), bottom.max(y)]);
    }
    let [left, top, right, bottom] = corners?;
    let pixel = |x, y| *drawing.get_pixel(left + x, top + y);
    Some(GrayImage::from_fn(
        right - left + 1,
        bottom - top + 1,
        pixel,
    ))
}

/// In pixels from the left and from the top, a pixel's own middle being at a half.
fn centre_of_mass(image: &GrayImage) -> (f32, f32) {
    let (mut mass, mut x_mass, mut y_mass) = (0.0, 0.0, 0.0);
    for (x, y, gray) in image.enumerate_pixels() {
        let gray = f32::from(gray.0[0]);
        mass += gray;
        x_mass += gray * (x as f32 + 0.5);
        y_mass += gray * (y as f32 + 0.5);
    }
    (x_mass / mass, y_mass / mass)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_scaled_and_centred_and_nothing_stays_nothing() {
        let bar = GrayImage::from_fn(280, 280, |x, y| {
            [u8::from((20..40).contains(&x) && (10..110).contains(&y)) * 255].into()
        });
        let prepared = prepare(&bar).unwrap();
        let lit = prepared
            .enumerate_pixels()
            .filter(|(_, _, gray)| gray.0[0] > 0);
        let (columns, rows): (Vec<u32>, Vec<u32>) = lit.map(|(x, y, _)| (x, y)).unzip();
        assert_eq!(
            columns.iter().min().zip(columns.iter().max()),
            Some((&12, &15))
        );
        assert_eq!(rows.iter().min().zip(rows.iter().max()), Some((&4, &23)));
        let empty = prepare(&GrayImage::new(280, 280)).unwrap();
        assert!(empty.as_raw().iter().all(|&gray| gray == 0));
    }

    #[test]
    fn a_test_image_drawn_large_is_named_as_before() {
        for digit in 0..10 {
            let original = crate::pictures::test_digit(digit).unwrap();
            let image = GrayImage::from_raw(28, 28, original).unwrap();
            let resize = Resize::builder((140, 140)).build().unwrap();
            // In a corner of a larger paper.
            let large = resize.apply(&image).unwrap();
            let paper = GrayImage::from_fn(280, 200, |x, y| match x < 140 && y < 140 {
                true => *large.get_pixel(x, y),
                false => [0].into(),
            });
            let view = crate::digit(paper.into_raw(), 280).unwrap();
            let probabilities = view.probabilities().unwrap().values();
            assert!(probabilities[digit] > 0.9, "{digit}: {probabilities:?}");
        }
    }
}
