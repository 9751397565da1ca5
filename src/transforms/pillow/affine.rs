//! `Image.transform` with an affine map from the output's places to the image's.

use crate::transforms::InterpolationMode;
use crate::transforms::pixel::{Image, ImagePixel};

/// (a, b, c, d, e, f): the output's (x, y) shows the image's (a·x + b·y + c, d·x + e·y + f).
pub(super) type Matrix = [f64; 6];

/// Fills in the pixels of `output` that `matrix` maps into `image`; the others stay.
pub(in crate::transforms) fn transform<P: ImagePixel>(
    image: &Image<P>,
    output: &mut Image<P>,
    matrix: Matrix,
    mode: InterpolationMode,
) {
    match mode {
        InterpolationMode::Bilinear => interpolate(image, output, matrix, bilinear),
        InterpolationMode::Bicubic => interpolate(image, output, matrix, bicubic),
        _ if matrix[1] == 0.0 && matrix[3] == 0.0 => scale(image, output, matrix),
        _ if fits_fixed(output, matrix) => fixed(image, output, matrix),
        _ => floating(image, output, matrix),
    }
}

/// The nearest pixel where rows stay rows and columns stay columns.
pub(super) fn scale<P: ImagePixel>(image: &Image<P>, output: &mut Image<P>, matrix: Matrix) {
    let [a, _, c, _, e, f] = matrix;
    // Step by step, so that the roundings add up as in Pillow.
    let places = |start: f64, step: f64, count: u32, length: u32| -> Vec<Option<u32>> {
        let mut place = start + step * 0.5;
        let mut next = || {
            let source = inside(place, length);
            place += step;
            source
        };
        (0..count).map(|_| next()).collect()
    };
    let columns = places(c, a, output.width(), image.width());
    let rows = places(f, e, output.height(), image.height());
    for (x, y, pixel) in output.enumerate_pixels_mut() {
        if let (Some(x), Some(y)) = (columns[x as usize], rows[y as usize]) {
            *pixel = *image.get_pixel(x, y);
        }
    }
}

/// The pixel that `place` lies in.
fn inside(place: f64, length: u32) -> Option<u32> {
    match place >= 0.0 && place < f64::from(length) {
        true => Some(place as u32),
        false => None,
    }
}

/// Whether the corners' places can be told in 16 bits before the point.
fn fits_fixed<P: ImagePixel>(output: &Image<P>, [a, b, c, d, e, f]: Matrix) -> bool {
    let (width, height) = (f64::from(output.width()), f64::from(output.height()));
    let fits =
        |x: f64, y: f64| (x * a + y * b + c).abs() < 32768.0 && (x * d + y * e + f).abs() < 32768.0;
    fits(0.0, 0.0) && fits(width, height) && fits(0.0, height) && fits(width, 0.0)
}

/// The nearest pixel, its place with 16 bits before and 16 after the point.
fn fixed<P: ImagePixel>(image: &Image<P>, output: &mut Image<P>, matrix: Matrix) {
    let [a, b, c, d, e, f] = matrix;
    let fix = |value: f64| int((value * 65536.0 + 0.5).floor());
    let (step_x, step_y) = ([fix(a), fix(b)], [fix(d), fix(e)]);
    let start = [fix(c + a * 0.5 + b * 0.5), fix(f + d * 0.5 + e * 0.5)];
    let at = |start: i32, [by_x, by_y]: [i32; 2], x: u32, y: u32| {
        let place = start
            .wrapping_add(by_x.wrapping_mul(x as i32))
            .wrapping_add(by_y.wrapping_mul(y as i32));
        u32::try_from(place >> 16).ok()
    };
    for (x, y, pixel) in output.enumerate_pixels_mut() {
        let source_x = at(start[0], step_x, x, y).filter(|&x| x < image.width());
        let source_y = at(start[1], step_y, x, y).filter(|&y| y < image.height());
        if let (Some(x), Some(y)) = (source_x, source_y) {
            *pixel = *image.get_pixel(x, y);
        }
    }
}

/// What the processor makes of a float that is too large for an `int`, where C leaves it open.
fn int(value: f64) -> i32 {
    match (-2147483648.0..2147483648.0).contains(&value) {
        true => value as i32,
        false => i32::MIN,
    }
}

/// The nearest pixel for places that do not fit into 16 bits.
fn floating<P: ImagePixel>(image: &Image<P>, output: &mut Image<P>, matrix: Matrix) {
    let [a, b, c, d, e, f] = matrix;
    let mut start = [c + b * 0.5 + a * 0.5, f + e * 0.5 + d * 0.5];
    for row in output.rows_mut() {
        let [mut x, mut y] = start;
        for pixel in row {
            if let (Some(x), Some(y)) = (inside(x, image.width()), inside(y, image.height())) {
                *pixel = *image.get_pixel(x, y);
            }
            x += a;
            y += d;
        }
        start[0] += b;
        start[1] += e;
    }
}

/// One channel of an image.
struct Channel<'a> {
    pixels: &'a [u8],
    width: i64,
    height: i64,
    channels: i64,
}

impl Channel<'_> {
    /// The value of a pixel; beyond the edge lies the edge.
    fn at(&self, x: i64, y: i64) -> f64 {
        let (x, y) = (x.clamp(0, self.width - 1), y.clamp(0, self.height - 1));
        f64::from(self.pixels[((y * self.width + x) * self.channels) as usize])
    }
}

/// `value` makes a channel's value of the whole parts and the fractions of x and of y.
fn interpolate<P: ImagePixel>(
    image: &Image<P>,
    output: &mut Image<P>,
    [a, b, c, d, e, f]: Matrix,
    value: impl Fn(&Channel, (i64, f64), (i64, f64)) -> u8,
) {
    let split = |place: f64| {
        let place = place - 0.5;
        (place.floor() as i64, place - place.floor())
    };
    for (x, y, pixel) in output.enumerate_pixels_mut() {
        let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        let (x, y) = (a * x + b * y + c, d * x + e * y + f);
        if inside(x, image.width()).is_none() || inside(y, image.height()).is_none() {
            continue;
        }
        for (first, target) in pixel.channels_mut().iter_mut().enumerate() {
            let channel = Channel {
                pixels: &image.as_raw()[first..],
                width: i64::from(image.width()),
                height: i64::from(image.height()),
                channels: i64::from(P::CHANNEL_COUNT),
            };
            *target = value(&channel, split(x), split(y));
        }
    }
}

fn bilinear(channel: &Channel, (x, dx): (i64, f64), (y, dy): (i64, f64)) -> u8 {
    let row = |y: i64| {
        let (left, right) = (channel.at(x, y), channel.at(x + 1, y));
        left + (right - left) * dx
    };
    let (above, below) = (row(y), row(y + 1));
    (above + (below - above) * dy) as u8
}

fn bicubic(channel: &Channel, (x, dx): (i64, f64), (y, dy): (i64, f64)) -> u8 {
    let row = |y: i64| cubic([x - 1, x, x + 1, x + 2].map(|x| channel.at(x, y)), dx);
    // `as` stops at 0 and 255.
    cubic([y - 1, y, y + 1, y + 2].map(row), dy) as u8
}

/// Between the second and the third of four values.
fn cubic([v1, v2, v3, v4]: [f64; 4], d: f64) -> f64 {
    let p1 = v2;
    let p2 = -v1 + v3;
    let p3 = 2.0 * (v1 - v2) + v3 - v4;
    let p4 = -v1 + v2 - v3 + v4;
    p1 + d * (p2 + d * (p3 + d * p4))
}
