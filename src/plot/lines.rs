use super::Figure;
use super::chart::{Mark, Panel, Series, draw};
use crate::{Error, Result};

/// Curves through points, one colour each, with a legend above them where there are several.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | what is written around it | may be empty |
/// | `series` | pairs of a name and its points `(x, y)`, in the order of x | at least one point |
///
/// Where a value is not finite the curve has a gap.
///
/// # Errors
///
/// [`Error::Plot`] where there is no point at all.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let train: Vec<(f64, f64)> = (0..50).map(|step| (step as f64, 2.3 / (1.0 + step as f64))).collect();
/// let test = vec![(0.0, 2.3), (49.0, 0.1)];
/// let figure = plot::lines("Loss", "step", "loss", &[("train", &train), ("test", &test)])?;
/// assert!(figure.svg().contains("train"));
/// # Ok(())
/// # }
/// ```
pub fn lines<S, P>(title: &str, x_label: &str, y_label: &str, series: &[(S, P)]) -> Result<Figure>
where
    S: AsRef<str>,
    P: AsRef<[(f64, f64)]>,
{
    let series: Vec<Series> = series
        .iter()
        .enumerate()
        .map(|(color, (name, points))| {
            let points = points.as_ref().to_vec();
            // Few points are measurements: show each.
            let mark = if points.len() <= 20 {
                Mark::Dots
            } else {
                Mark::Line
            };
            Series {
                name: name.as_ref().into(),
                points,
                color,
                mark,
            }
        })
        .collect();
    if series.iter().all(|series| series.points.is_empty()) {
        return Err(Error::Plot {
            picture: "plot::lines",
            problem: "there is no point; give at least one".into(),
        });
    }
    let panel = Panel {
        title: title.into(),
        x_label: x_label.into(),
        y_label: y_label.into(),
        series,
        ..Panel::default()
    };
    draw("plot::lines", &[panel], 640, 360)
}
