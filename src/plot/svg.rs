//! Writing SVG by hand, for the pictures made of tiles; the charts are plotters'.

use std::fmt::Write;
use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::Figure;
use super::figure::{BACKGROUND, FOREGROUND};
use crate::{Error, Result};

/// Roughly the width of a sans-serif text, in units of its size.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG being written. Lengths are CSS pixels.
pub(super) struct Canvas {
    body: String,
    width: f64,
    height: f64,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            body: String::new(),
            width: width.ceil(),
            height: height.ceil(),
        }
    }

    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        );
    }

    /// Text whose baseline is at `y`, in the foreground's colour.
    pub fn text(&mut self, x: f64, y: f64, size: f64, anchor: Anchor, text: &str) {
        self.colored_text(x, y, size, anchor, FOREGROUND, text);
    }

    pub fn colored_text(
        &mut self,
        x: f64,
        y: f64,
        size: f64,
        anchor: Anchor,
        fill: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{}</text>"#,
            escape(text)
        );
    }

    pub fn vertical_text(&mut self, x: f64, y: f64, size: f64, text: &str) {
        let _ = writeln!(
            self.body,
            r#"<text transform="translate({x:.1},{y:.1}) rotate(-90)" font-size="{size}" text-anchor="middle" fill="{FOREGROUND}">{}</text>"#,
            escape(text)
        );
    }

    /// A line through points, 2 pixels wide.
    pub fn polyline(&mut self, points: &[(f64, f64)], color: &str) {
        let _ = write!(
            self.body,
            r#"<polyline fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round" points=""#
        );
        for (x, y) in points {
            let _ = write!(self.body, "{x:.1},{y:.1} ");
        }
        self.body.push_str("\"/>\n");
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, line: &str) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{fill}" stroke="{line}" stroke-width="2"/>"#
        );
    }

    /// What is drawn until [`close_clip`](Self::close_clip) counts from this corner and is cut off at the edges.
    pub fn open_clip(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.body,
            r#"<svg x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" overflow="hidden">"#
        );
    }

    pub fn close_clip(&mut self) {
        self.body.push_str("</svg>\n");
    }

    /// Pixels of red, green and blue, `columns` to a row, as one picture with hard edges.
    pub fn pixels(
        &mut self,
        place: [f64; 4],
        rgb: &[u8],
        columns: usize,
        label: &str,
    ) -> Result<()> {
        let [x, y, width, height] = place;
        let rows = rgb.len() / 3 / columns.max(1);
        let mut png = Cursor::new(Vec::new());
        PngEncoder::new(&mut png)
            .write_image(rgb, columns as u32, rows as u32, ExtendedColorType::Rgb8)
            .map_err(|error| Error::Plot {
                picture: "plot",
                problem: error.to_string(),
            })?;
        let _ = writeln!(
            self.body,
            r#"<image x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,{}"><title>{}</title></image>"#,
            STANDARD.encode(png.into_inner()),
            escape(label)
        );
        Ok(())
    }

    pub fn finish(self) -> Figure {
        let Self {
            body,
            width,
            height,
        } = self;
        Figure::new(
            format!("{}{body}</svg>", open(width as u32, height as u32, 1)),
            width as u32,
            height as u32,
        )
    }
}

/// The first tag and the background: `width` by `height` CSS pixels, each `resolution` units.
pub(super) fn open(width: u32, height: u32, resolution: u32) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {w} {h}" font-family="system-ui, sans-serif" style="max-width:100%;height:auto">
<rect width="{w}" height="{h}" fill="{BACKGROUND}"/>
"#,
        w = width * resolution,
        h = height * resolution,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A short form of a value: at most four characters where that is honest.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => value.to_string(),
        0.0 => "0".into(),
        a if value.fract() == 0.0 && a < 1e5 => format!("{value:.0}"),
        a if !(5e-3..1e5).contains(&a) => format!("{value:.0e}"),
        a if a >= 100.0 => format!("{value:.0}"),
        a if a >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// How to write values that stand together: with as many decimals each, and no more than they need.
pub(super) fn alike(values: &[f64]) -> impl Fn(f64) -> String + use<> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let largest = finite().map(f64::abs).fold(0.0, f64::max);
    let most: i32 = match largest {
        _ if !(5e-3..1e5).contains(&largest) => -1,
        _ if largest >= 100.0 => 0,
        _ if largest >= 10.0 => 1,
        _ => 2,
    };
    let rounded = |value: f64, decimals: i32| (value * 10f64.powi(decimals)).round();
    let needed = |decimals: &i32| {
        finite().any(|value| rounded(value, *decimals) != 10.0 * rounded(value, *decimals - 1))
    };
    let decimals = (1..=most).rev().find(needed).unwrap_or(0) as usize;
    move |value| {
        if most < 0 || value == 0.0 || !value.is_finite() {
            return short(value);
        }
        let text = format!("{value:.decimals$}");
        let is_zero = text.trim_start_matches(['-', '0', '.']).is_empty();
        text.trim_start_matches(if is_zero { "-" } else { "" })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_stand_together_have_as_many_decimals() {
        let all = |values: &[f64]| {
            let text = alike(values);
            values.iter().map(|&value| text(value)).collect::<Vec<_>>()
        };
        assert_eq!(all(&[0.5, 1.0, 0.0, -1.5]), ["0.5", "1.0", "0", "-1.5"]);
        assert_eq!(all(&[3.0, -12.0]), ["3", "-12"]);
        assert_eq!(
            all(&[-0.70, -7.0, -75.9, 0.01]),
            ["-0.7", "-7.0", "-75.9", "0.0"]
        );
        assert_eq!(all(&[0.25, 0.5, -0.001]), ["0.25", "0.50", "0.00"]);
        assert_eq!(all(&[100.4, 0.6]), ["100", "1"]);
        assert_eq!(all(&[0.001, f64::NAN]), ["1e-3", "NaN"]);
    }

    #[test]
    fn text_is_escaped_and_values_are_short() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text(0.0, 0.0, 12.0, Anchor::Start, "a < b & c");
        assert!(canvas.finish().svg().contains(">a &lt; b &amp; c<"));
        assert_eq!(
            [0.0, 3.0, -0.25, 12.34, 123.4, 0.001].map(short),
            ["0", "3", "-0.25", "12.3", "123", "1e-3"]
        );
    }
}
