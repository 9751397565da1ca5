use super::Figure;
use super::axis::tick;
use super::color::{SERIES, hex};
use super::figure::FOREGROUND;
use super::svg::{Anchor, Canvas, short, text_width};
use crate::{Error, Result};

const PICTURE: &str = "plot::paths";
const TITLE_SIZE: f64 = 15.0;
const TEXT_SIZE: f64 = 12.0;
/// The surface's rows and columns of pixels.
const PIXELS: usize = 220;
const PLOT: (f64, f64) = (460.0, 380.0);
/// Each band of losses is as wide as this part of the surface, less near the minimum.
const BANDS: usize = 14;
/// A path with more steps is drawn without a dot at each.
const MOST_DOTS: usize = 120;

/// A loss of two parameters as a map, dark where it is high, and the paths that optimizers took on it: a ring at
/// the start, a dot at each step where there are at most 120 points, and a larger one at the end.
///
/// The map has bands of one gray. Their limits are quantiles of the loss over the map, closer together near the
/// lowest, so that a narrow valley can be seen; the scale on the right names them.
///
/// | parameter | meaning | valid |
/// |---|---|---|
/// | `title` | what is written above | may be empty |
/// | `loss` | the loss at (x, y) | finite at one point at least |
/// | `x_range`, `y_range` | what is shown | finite, the first below the second |
/// | `paths` | pairs of a name and the points (x, y), start first | may be empty |
///
/// What leaves the map is cut off at its edge; a path ends where a coordinate is not finite.
///
/// # Errors
///
/// [`Error::Plot`] for a range or a loss that is not valid.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let bowl = |x: f64, y: f64| x * x + 10.0 * y * y;
/// let path: Vec<(f64, f64)> = (0..20).map(|step| (2.0 * 0.8f64.powi(step), 0.5 * 0.2f64.powi(step))).collect();
/// let figure = plot::paths("A bowl", bowl, (-3.0, 3.0), (-1.0, 1.0), &[("SGD", path)])?;
/// assert!(figure.svg().contains("SGD"));
/// # Ok(())
/// # }
/// ```
pub fn paths<S, P>(
    title: &str,
    loss: impl Fn(f64, f64) -> f64,
    x_range: (f64, f64),
    y_range: (f64, f64),
    paths: &[(S, P)],
) -> Result<Figure>
where
    S: AsRef<str>,
    P: AsRef<[(f64, f64)]>,
{
    for (name, (low, high)) in [("x_range", x_range), ("y_range", y_range)] {
        if !(low.is_finite() && high.is_finite() && low < high) {
            return fail(format!(
                "{name} is ({low}, {high}); both must be finite and the first below the second"
            ));
        }
    }
    let at =
        |(low, high): (f64, f64), i: usize| low + (high - low) * (i as f64 + 0.5) / PIXELS as f64;
    let values: Vec<f64> = (0..PIXELS * PIXELS)
        .map(|i| {
            loss(
                at(x_range, i % PIXELS),
                at(y_range, PIXELS - 1 - i / PIXELS),
            )
        })
        .collect();
    let limits = band_limits(&values);
    let Some(limits) = limits else {
        return fail("the loss is finite nowhere on this map; choose other ranges".into());
    };

    let named = paths.iter().any(|(name, _)| !name.as_ref().is_empty());
    let top = 12.0 + if title.is_empty() { 0.0 } else { 26.0 } + if named { 22.0 } else { 0.0 };
    let (left, (width, height)) = (62.0, PLOT);
    let bar = left + width + 18.0;
    let mut canvas = Canvas::new(bar + 14.0 + 62.0, top + height + 48.0);
    canvas.text(10.0, 24.0, TITLE_SIZE, Anchor::Start, title);
    let rgb: Vec<u8> = values.iter().flat_map(|&v| [gray(v, &limits); 3]).collect();
    canvas.pixels([left, top, width, height], &rgb, PIXELS, "the loss")?;
    scale(&mut canvas, &limits, [bar, top, 14.0, height])?;
    axes(&mut canvas, [left, top, width, height], x_range, y_range);

    let place = |(x, y): (f64, f64)| {
        (
            width * (x - x_range.0) / (x_range.1 - x_range.0),
            height * (y_range.1 - y) / (y_range.1 - y_range.0),
        )
    };
    canvas.open_clip(left, top, width, height);
    for (color, (_, points)) in paths.iter().enumerate() {
        let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points: Vec<_> = points.as_ref().iter().take_while(finite).collect();
        let points: Vec<_> = points.into_iter().map(|&point| place(point)).collect();
        draw_path(&mut canvas, &points, &color_of(color));
    }
    canvas.close_clip();
    let mut x = left;
    for (color, (name, _)) in paths.iter().enumerate() {
        let (name, y) = (name.as_ref(), top - 12.0);
        canvas.rect(x, y - 3.0, 18.0, 3.0, &color_of(color));
        canvas.text(x + 24.0, y + 3.0, TEXT_SIZE, Anchor::Start, name);
        x += 24.0 + text_width(name, TEXT_SIZE) + 18.0;
    }
    Ok(canvas.finish())
}

fn fail<T>(problem: String) -> Result<T> {
    Err(Error::Plot {
        picture: PICTURE,
        problem,
    })
}

fn color_of(path: usize) -> String {
    // Blue comes second: on gray, vermilion is seen first.
    let color = SERIES[[1, 0, 2, 3][path % 4]];
    hex([color.0, color.1, color.2])
}

/// The lowest finite value, and the highest of each band.
fn band_limits(values: &[f64]) -> Option<Vec<f64>> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    let last = finite.len().checked_sub(1)?;
    let quantile = |i: usize| {
        let part = (i as f64 / BANDS as f64).powf(1.6);
        finite[(part * last as f64).round() as usize]
    };
    Some((0..=BANDS).map(quantile).collect())
}

/// Light in the lowest band; as the highest where there is no number.
fn gray(value: f64, limits: &[f64]) -> u8 {
    let band = limits[1..BANDS].partition_point(|&limit| limit < value);
    let band = if value.is_nan() { BANDS - 1 } else { band };
    (250.0 - 118.0 * band as f64 / (BANDS - 1) as f64).round() as u8
}

/// The bands, lowest below, with the losses between them.
fn scale(canvas: &mut Canvas, limits: &[f64], [x, y, width, height]: [f64; 4]) -> Result<()> {
    let rgb: Vec<u8> = (0..BANDS)
        .rev()
        .flat_map(|band| [gray(limits[band + 1], limits); 3])
        .collect();
    canvas.pixels([x, y, width, height], &rgb, 1, "scale of the loss")?;
    for (band, &limit) in limits.iter().enumerate().step_by(2) {
        let edge = y + height * (BANDS - band) as f64 / BANDS as f64;
        let baseline = (edge + 0.35 * TEXT_SIZE).max(y + 0.7 * TEXT_SIZE);
        canvas.text(
            x + width + 6.0,
            baseline,
            TEXT_SIZE,
            Anchor::Start,
            &short(limit),
        );
    }
    canvas.text(x, y + height + 20.0, TEXT_SIZE, Anchor::Start, "loss");
    Ok(())
}

fn axes(
    canvas: &mut Canvas,
    [left, top, width, height]: [f64; 4],
    x_range: (f64, f64),
    y_range: (f64, f64),
) {
    for value in ticks(x_range) {
        let x = left + width * (value - x_range.0) / (x_range.1 - x_range.0);
        canvas.rect(x - 0.5, top + height, 1.0, 5.0, FOREGROUND);
        canvas.text(
            x,
            top + height + 18.0,
            TEXT_SIZE,
            Anchor::Middle,
            &tick(value),
        );
    }
    for value in ticks(y_range) {
        let y = top + height * (y_range.1 - value) / (y_range.1 - y_range.0);
        canvas.rect(left - 5.0, y - 0.5, 5.0, 1.0, FOREGROUND);
        canvas.text(
            left - 9.0,
            y + 0.35 * TEXT_SIZE,
            TEXT_SIZE,
            Anchor::End,
            &tick(value),
        );
    }
    let below = top + height + 38.0;
    canvas.text(left + width / 2.0, below, TEXT_SIZE, Anchor::Middle, "x");
    canvas.vertical_text(16.0, top + height / 2.0, TEXT_SIZE, "y");
}

/// Round numbers inside a range, four to nine of them.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|part| part * power);
    let step = step
        .into_iter()
        .find(|&step| step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..)
        .map(|i| i as f64 * step)
        .take_while(|&value| value <= high + 1e-9 * step)
        .collect()
}

fn draw_path(canvas: &mut Canvas, points: &[(f64, f64)], color: &str) {
    let (Some(&start), Some(&end)) = (points.first(), points.last()) else {
        return;
    };
    canvas.polyline(points, color);
    if points.len() <= MOST_DOTS {
        for &point in points {
            canvas.circle(point, 2.4, color, "none");
        }
    }
    canvas.circle(start, 5.0, "#fff", color);
    canvas.circle(end, 4.6, color, "#fff");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((-3.0, 3.0)), [-2.0, 0.0, 2.0]);
        assert_eq!(
            ticks((0.0, 1.0)),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(ticks((-1.0, 1.0)), [-1.0, -0.5, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn bands_are_lighter_where_the_loss_is_lower() {
        let values: Vec<f64> = (0..1000).map(f64::from).chain([f64::NAN]).collect();
        let limits = band_limits(&values).unwrap();
        assert_eq!((limits[0], limits[BANDS]), (0.0, 999.0));
        assert!(gray(0.0, &limits) > gray(500.0, &limits));
        assert_eq!(gray(f64::NAN, &limits), gray(999.0, &limits));
        assert!(band_limits(&[f64::NAN]).is_none());
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let none: [(&str, Vec<(f64, f64)>); 0] = [];
        let error = paths("", |x, _| x, (1.0, 1.0), (0.0, 1.0), &none).unwrap_err();
        assert!(error.to_string().contains("x_range is (1, 1)"), "{error}");
        let error = paths("", |_, _| f64::NAN, (0.0, 1.0), (0.0, 1.0), &none).unwrap_err();
        assert!(error.to_string().contains("finite nowhere"), "{error}");
        let path = vec![(0.5, 0.5), (9.0, 0.1), (f64::INFINITY, 0.0)];
        let figure = paths("T", |x, y| x * y, (0.0, 1.0), (0.0, 1.0), &[("", path)]).unwrap();
        assert!(!figure.svg().contains("inf") && !figure.svg().contains("NaN"));
    }
}
