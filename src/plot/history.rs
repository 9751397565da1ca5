use super::Figure;
use super::chart::{Mark, Panel, Series, draw};
use crate::Result;
use crate::train::{History, StepRecord};

/// A training run: the loss and the accuracy of each step, as they are and smoothed, and of the test
/// set after each epoch.
///
/// # Errors
///
/// [`Error::Plot`](crate::Error::Plot).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut history = History::default();
/// history.steps.push(StepRecord { step: 1, epoch: 1, loss: 2.3, accuracy: 0.1 });
/// let figure = plot::history(&history)?;
/// assert!(figure.svg().contains("accuracy"));
/// # Ok(())
/// # }
/// ```
pub fn history(history: &History) -> Result<Figure> {
    draw("plot::history", &panels(history, None), 760, 320)
}

/// [`history()`] of a run that goes on: the axis of steps ends at `steps` from the start, so that it stands still
/// while the picture is redrawn.
///
/// # Errors
///
/// [`Error::Plot`](crate::Error::Plot).
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut history = History::default();
/// history.steps.push(StepRecord { step: 1, epoch: 1, loss: 2.3, accuracy: 0.1 });
/// let figure = plot::history_of(&history, 938)?;
/// assert!(figure.svg().contains("800"));
/// # Ok(())
/// # }
/// ```
pub fn history_of(history: &History, steps: usize) -> Result<Figure> {
    draw("plot::history_of", &panels(history, Some(steps)), 760, 320)
}

fn panels(history: &History, steps: Option<usize>) -> [Panel; 2] {
    let x_range = steps.map(|steps| 0.0..steps as f64);
    let steps_per_epoch = |epoch: usize| {
        history
            .steps
            .iter()
            .filter(|step| step.epoch <= epoch)
            .count()
    };
    let panel = |title: &str, of: fn(&StepRecord) -> f64, test: Vec<Option<f64>>| {
        let raw: Vec<(f64, f64)> = history
            .steps
            .iter()
            .map(|step| (step.step as f64, of(step)))
            .collect();
        let mut series = vec![
            Series {
                name: "each batch".into(),
                points: thinned(&raw),
                color: 0,
                mark: Mark::Faint,
            },
            Series {
                name: "smoothed".into(),
                points: thinned(&smoothed(&raw)),
                color: 0,
                mark: Mark::Line,
            },
        ];
        let test: Vec<(f64, f64)> = history
            .epochs
            .iter()
            .zip(test)
            .filter_map(|(epoch, value)| Some((steps_per_epoch(epoch.epoch) as f64, value?)))
            .collect();
        if !test.is_empty() {
            series.push(Series {
                name: "test".into(),
                points: test,
                color: 1,
                mark: Mark::Dots,
            });
        }
        Panel {
            title: title.into(),
            x_label: "step".into(),
            series,
            x_range: x_range.clone(),
            ..Panel::default()
        }
    };
    let loss = Panel {
        y_range: upper(history).map(|high| 0.0..high),
        ..panel(
            "loss",
            |step| step.loss,
            history.epochs.iter().map(|epoch| epoch.test_loss).collect(),
        )
    };
    let accuracy = Panel {
        y_range: Some(0.0..1.02),
        percent: true,
        ..panel(
            "accuracy",
            |step| step.accuracy,
            history
                .epochs
                .iter()
                .map(|epoch| epoch.test_accuracy)
                .collect(),
        )
    };
    [loss, accuracy]
}

/// The greatest finite loss, and a little more.
fn upper(history: &History) -> Option<f64> {
    let losses = history
        .steps
        .iter()
        .map(|step| step.loss)
        .chain(history.epochs.iter().filter_map(|e| e.test_loss));
    losses
        .filter(|loss| loss.is_finite())
        .reduce(f64::max)
        .map(|high| 1.05 * high.max(1e-6))
}

/// The mean of the values around each, over a window of a fortieth of the run.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / 80;
    (0..points.len())
        .map(|i| {
            let window = &points[i.saturating_sub(reach)..(i + reach + 1).min(points.len())];
            (
                points[i].0,
                window.iter().map(|(_, y)| y).sum::<f64>() / window.len() as f64,
            )
        })
        .collect()
}

/// At most about 700 points, as many as the picture has columns: the extremes of each stretch, so
/// that no peak is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(350).max(1);
    if stretch < 3 {
        return points.to_vec();
    }
    points
        .chunks(stretch)
        .flat_map(|part| {
            let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let ends = [part.iter().min_by(by_value), part.iter().max_by(by_value)];
            let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
            ends.sort_by(|a, b| a.0.total_cmp(&b.0));
            ends
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks_and_order() {
        let mut points: Vec<(f64, f64)> = (0..5000).map(|i| (f64::from(i), 1.0)).collect();
        points[1234].1 = 9.0;
        let thin = thinned(&points);
        assert!(thin.len() <= 700 && thin.contains(&(1234.0, 9.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
