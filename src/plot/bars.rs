use super::Figure;
use super::chart::{Mark, Panel, Series, draw};
use crate::{Error, Result};

/// A bar for each name.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `title`, `x_label`, `y_label` | what is written around it | may be empty |
/// | `bars` | pairs of a name and its value | at least one |
///
/// # Errors
///
/// [`Error::Plot`] where there is no bar.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let figure = plot::bars("Images", "digit", "count", &[("0", 5923.0), ("1", 6742.0)])?;
/// assert!(figure.svg().contains("digit"));
/// # Ok(())
/// # }
/// ```
pub fn bars<S: AsRef<str>>(
    title: &str,
    x_label: &str,
    y_label: &str,
    bars: &[(S, f64)],
) -> Result<Figure> {
    if bars.is_empty() {
        return Err(Error::Plot {
            picture: "plot::bars",
            problem: "there is no bar; give at least one".into(),
        });
    }
    let points = bars
        .iter()
        .enumerate()
        .map(|(i, (_, value))| (i as f64, *value))
        .collect();
    let panel = Panel {
        title: title.into(),
        x_label: x_label.into(),
        y_label: y_label.into(),
        series: vec![Series {
            name: String::new(),
            points,
            color: 0,
            mark: Mark::Bars,
        }],
        categories: bars.iter().map(|(name, _)| name.as_ref().into()).collect(),
        ..Panel::default()
    };
    draw("plot::bars", &[panel], 640, 320)
}

/// How often values fall into each of `bins` equal parts of their range.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `title`, `x_label` | what is written around it | may be empty |
/// | `values` | the values; those that are not finite are left out | at least one finite |
/// | `bins` | parts | at least 1 |
///
/// # Errors
///
/// [`Error::Plot`] where no value is finite or `bins` is 0.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let figure = plot::histogram("Squares", "value", &[0.0, 1.0, 4.0, 9.0, 16.0], 4)?;
/// assert!(figure.svg().contains("count"));
/// # Ok(())
/// # }
/// ```
pub fn histogram(title: &str, x_label: &str, values: &[f64], bins: usize) -> Result<Figure> {
    let finite: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    let fail = |problem: &str| {
        Err(Error::Plot {
            picture: "plot::histogram",
            problem: problem.into(),
        })
    };
    if finite.is_empty() {
        return fail("there is no finite value; give at least one");
    }
    if bins == 0 {
        return fail("bins=0 must be at least 1; 20 is a good start");
    }
    let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = if high > low {
        (high - low) / bins as f64
    } else {
        1.0
    };
    let mut counts = vec![0usize; bins];
    for value in finite {
        counts[(((value - low) / width) as usize).min(bins - 1)] += 1;
    }
    let points = counts
        .iter()
        .enumerate()
        .map(|(i, &n)| (low + (i as f64 + 0.5) * width, n as f64))
        .collect();
    let panel = Panel {
        title: title.into(),
        x_label: x_label.into(),
        y_label: "count".into(),
        series: vec![Series {
            name: String::new(),
            points,
            color: 0,
            mark: Mark::Bars,
        }],
        ..Panel::default()
    };
    draw("plot::histogram", &[panel], 640, 320)
}
