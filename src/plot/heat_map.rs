use candle_core::Tensor;

use super::Figure;
use super::color::{Scale, hex};
use super::images::matrix;
use super::svg::{Anchor, Canvas, alike, text_width};
use crate::{Error, Result};

const TITLE_SIZE: f64 = 15.0;
const TEXT_SIZE: f64 = 12.0;
/// More rows or columns than this, and there is no room for values.
const MOST_LABELLED: usize = 14;

/// A matrix as colours, with its values written in where they fit. White is 0; blue is above, and
/// orange below.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `matrix` | (H, W), (1, H, W) or (1, 1, H, W) | at least one value |
/// | `title` | what is written above | may be empty |
///
/// # Errors
///
/// [`Error::Plot`] for another shape.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let matrix = Tensor::new(&[[1f32, -2.0], [0.5, 0.0]], &Device::Cpu)?;
/// let figure = plot::heat_map(&matrix, "Gradient")?;
/// assert!(figure.svg().contains(">-2.0<"));
/// # Ok(())
/// # }
/// ```
pub fn heat_map(matrix: &Tensor, title: &str) -> Result<Figure> {
    let (values, rows, columns) = self::matrix("plot::heat_map", matrix)?;
    let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
    let text = alike(&values);
    let grid = Grid {
        values,
        rows: names(rows),
        columns: names(columns),
        title,
        x_label: "column",
        y_label: "row",
        text: &text,
        gray_diagonal: false,
    };
    grid.draw("plot::heat_map")
}

/// A matrix with names along its sides.
pub(super) struct Grid<'a> {
    pub values: Vec<f64>,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub text: &'a dyn Fn(f64) -> String,
    /// Leave the diagonal gray and out of the colour scale.
    pub gray_diagonal: bool,
}

impl Grid<'_> {
    pub fn draw(&self, picture: &'static str) -> Result<Figure> {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        if rows * columns == 0 {
            return Err(Error::Plot {
                picture,
                problem: "the matrix holds no value; give at least one".into(),
            });
        }
        let gray = |i: usize| self.gray_diagonal && i / columns == i % columns;
        let scale = Scale::of(
            self.values
                .iter()
                .enumerate()
                .filter(|(i, _)| !gray(*i))
                .map(|(_, &value)| value),
        );
        let labelled = rows.max(columns) <= MOST_LABELLED;
        let widest = |texts: &mut dyn Iterator<Item = String>| {
            texts
                .map(|text| text_width(&text, TEXT_SIZE))
                .fold(0.0, f64::max)
        };
        let cell = if labelled {
            (widest(&mut self.values.iter().map(|&v| (self.text)(v))) + 12.0).max(34.0)
        } else {
            (420.0 / rows.max(columns) as f64).max(3.0)
        };
        let row_height = if labelled { cell.min(34.0) } else { cell };
        let left = 16.0
            + widest(&mut self.rows.iter().cloned())
            + if self.y_label.is_empty() { 0.0 } else { 22.0 };
        let head = if self.title.is_empty() { 10.0 } else { 40.0 };
        let top = head + 20.0;
        let (plot_width, plot_height) = (cell * columns as f64, row_height * rows as f64);
        let bar = left + plot_width + 18.0;
        let ends = [scale.high, (scale.low + scale.high) / 2.0, scale.low];
        let bar_texts = ends.map(alike(&ends));
        let right = if labelled {
            left + plot_width
        } else {
            bar + 20.0 + widest(&mut bar_texts.iter().cloned())
        };
        let width = (right + 12.0).max(text_width(self.title, TITLE_SIZE) + 20.0);
        let foot = if self.x_label.is_empty() { 12.0 } else { 32.0 };

        let mut canvas = Canvas::new(width, top + plot_height + foot);
        canvas.text(10.0, 25.0, TITLE_SIZE, Anchor::Start, self.title);
        if labelled {
            for (i, &value) in self.values.iter().enumerate() {
                let (x, y) = (
                    left + cell * (i % columns) as f64,
                    top + row_height * (i / columns) as f64,
                );
                let (fill, ink) = match gray(i) {
                    true => ("#d0d0d0".into(), "#111"),
                    false => (hex(scale.color(value)), scale.text_color(value)),
                };
                canvas.rect(x, y, cell - 1.0, row_height - 1.0, &fill);
                let (cx, cy) = (x + cell / 2.0, y + row_height / 2.0 + 0.35 * TEXT_SIZE);
                canvas.colored_text(cx, cy, TEXT_SIZE, Anchor::Middle, ink, &(self.text)(value));
            }
        } else {
            let rgb: Vec<u8> = self
                .values
                .iter()
                .flat_map(|&value| scale.color(value))
                .collect();
            canvas.pixels(
                [left, top, plot_width, plot_height],
                &rgb,
                columns,
                self.title,
            )?;
            color_bar(&mut canvas, scale, [bar, top, 12.0, plot_height.min(220.0)])?;
        }
        // Names as far apart as they can be read.
        let every = |size: f64| (16.0 / size).ceil().max(1.0) as usize;
        for (i, name) in self.rows.iter().enumerate().step_by(every(row_height)) {
            let y = top + row_height * (i as f64 + 0.5) + 0.35 * TEXT_SIZE;
            canvas.text(left - 6.0, y, TEXT_SIZE, Anchor::End, name);
        }
        for (i, name) in self.columns.iter().enumerate().step_by(every(cell / 1.5)) {
            canvas.text(
                left + cell * (i as f64 + 0.5),
                top - 6.0,
                TEXT_SIZE,
                Anchor::Middle,
                name,
            );
        }
        if !self.y_label.is_empty() {
            canvas.vertical_text(18.0, top + plot_height / 2.0, TEXT_SIZE, self.y_label);
        }
        if !self.x_label.is_empty() {
            canvas.text(
                left + plot_width / 2.0,
                top + plot_height + 20.0,
                TEXT_SIZE,
                Anchor::Middle,
                self.x_label,
            );
        }
        Ok(canvas.finish())
    }
}

/// The scale itself, greatest value above, with three values beside it.
pub(super) fn color_bar(
    canvas: &mut Canvas,
    scale: Scale,
    [x, y, width, height]: [f64; 4],
) -> Result<()> {
    let value = |part: f64| scale.high + (scale.low - scale.high) * part;
    let rgb: Vec<u8> = (0..64)
        .flat_map(|i| scale.color(value(f64::from(i) / 63.0)))
        .collect();
    canvas.pixels([x, y, width, height], &rgb, 1, "colour scale")?;
    let text = alike(&[0.0, 0.5, 1.0].map(value));
    for part in [0.0, 0.5, 1.0] {
        let baseline = y + 0.7 * TEXT_SIZE + part * (height - 0.7 * TEXT_SIZE);
        canvas.text(
            x + width + 6.0,
            baseline,
            TEXT_SIZE,
            Anchor::Start,
            &text(value(part)),
        );
    }
    Ok(())
}
