//! Colours that most people with a colour vision deficiency can tell apart, and that read on white
//! and on near-black alike.

use plotters::style::RGBColor;

/// For the curves of one picture, in this order: Okabe and Ito's blue, vermilion, green and
/// purple, the blue a little lighter; then gray.
pub(super) const SERIES: [RGBColor; 5] = [
    RGBColor(0x1f, 0x7d, 0xc4),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xb8, 0x6b, 0xa5),
    RGBColor(0x80, 0x80, 0x80),
];

/// Light to dark blue, for values from 0 up.
const SEQUENTIAL: [[f64; 3]; 5] = [
    [247.0, 251.0, 255.0],
    [198.0, 219.0, 239.0],
    [107.0, 174.0, 214.0],
    [33.0, 113.0, 181.0],
    [8.0, 48.0, 107.0],
];
/// Orange through white to blue, for values around 0.
const DIVERGING: [[f64; 3]; 5] = [
    [166.0, 70.0, 6.0],
    [240.0, 163.0, 94.0],
    [247.0, 247.0, 247.0],
    [106.0, 172.0, 213.0],
    [15.0, 82.0, 150.0],
];

/// Maps values to colours; one scale for all maps of a picture, so that they compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
}

impl Scale {
    /// From 0 to the greatest value; or as far below 0 as above, where a value is below 0.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (0.0f64, 0.0f64);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        match (low < 0.0, low == high) {
            (true, _) => Self {
                low: -high.max(-low),
                high: high.max(-low),
            },
            (false, true) => Self { low, high: 1.0 },
            (false, false) => Self { low, high },
        }
    }

    /// The colour of a value; gray for one that is not a number.
    pub fn color(&self, value: f64) -> [u8; 3] {
        if value.is_nan() {
            return [128; 3];
        }
        let stops = if self.low < 0.0 {
            DIVERGING
        } else {
            SEQUENTIAL
        };
        let position = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
            * (stops.len() - 1) as f64;
        let below = (position as usize).min(stops.len() - 2);
        let part = position - below as f64;
        std::array::from_fn(|i| {
            (stops[below][i] * (1.0 - part) + stops[below + 1][i] * part).round() as u8
        })
    }

    /// A colour for text on top of a value's.
    pub fn text_color(&self, value: f64) -> &'static str {
        let [r, g, b] = self.color(value).map(f64::from);
        if 0.299 * r + 0.587 * g + 0.114 * b > 140.0 {
            "#111"
        } else {
            "#fff"
        }
    }
}

pub(super) fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_symmetric_where_a_value_is_negative() {
        assert_eq!(
            Scale::of([-1.0, 3.0]),
            Scale {
                low: -3.0,
                high: 3.0
            }
        );
        assert_eq!(
            Scale::of([1.0, 3.0, f64::NAN]),
            Scale {
                low: 0.0,
                high: 3.0
            }
        );
        assert_eq!(
            Scale::of([0.0]),
            Scale {
                low: 0.0,
                high: 1.0
            }
        );
        assert_eq!(Scale::of([-1.0, 1.0]).color(0.0), [247; 3]);
        assert_eq!(Scale::of([2.0]).color(f64::INFINITY), [8, 48, 107]);
    }
}
