//! The weights by which Pillow resizes.

use std::f64::consts::PI;

use crate::transforms::InterpolationMode;

/// The weight at a distance from the centre, and the distance beyond which it is 0.
pub(super) type Filter = (fn(f64) -> f64, f64);

/// The filter of a mode; `None` for the nearest pixel, which needs none.
pub(super) fn filter(mode: InterpolationMode) -> Option<Filter> {
    match mode {
        InterpolationMode::Nearest | InterpolationMode::NearestExact => None,
        InterpolationMode::Bilinear => Some((triangle, 1.0)),
        InterpolationMode::Bicubic => Some((cubic, 2.0)),
        InterpolationMode::Box => Some((flat, 0.5)),
        InterpolationMode::Hamming => Some((hamming, 1.0)),
        InterpolationMode::Lanczos => Some((lanczos, 3.0)),
    }
}

fn flat(x: f64) -> f64 {
    match x > -0.5 && x <= 0.5 {
        true => 1.0,
        false => 0.0,
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys' cubic convolution with a = −1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn hamming(x: f64) -> f64 {
    let x = x.abs();
    match x {
        0.0 => 1.0,
        x if x >= 1.0 => 0.0,
        // The two constants are single precision in Pillow.
        x => sinc(x) * (f64::from(0.54f32) + f64::from(0.46f32) * (x * PI).cos()),
    }
}

fn lanczos(x: f64) -> f64 {
    match (-3.0..3.0).contains(&x) {
        true => sinc(x) * sinc(x / 3.0),
        false => 0.0,
    }
}

fn sinc(x: f64) -> f64 {
    match x {
        0.0 => 1.0,
        x => (x * PI).sin() / (x * PI),
    }
}
