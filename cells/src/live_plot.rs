use std::time::{Duration, Instant};

use candlelight::plot;
use candlelight::train::{EpochRecord, History, Progress, StepRecord};

use crate::LiveFigure;

/// Between two pictures.
const INTERVAL: Duration = Duration::from_millis(500);
/// Of a run's time, drawing takes at most one part in so many.
const SHARE: u32 = 20;

/// A callback for [`Trainer`](candlelight::train::Trainer) that draws loss and accuracy while the training runs, in
/// one picture that is redrawn: [`History::plot`], its axis as long as the run.
///
/// evcxr's own kernel for Jupyter cannot take a picture back: there it appears once, at the end of the run.
///
/// # Example
///
/// ```
/// let trainer = Trainer::builder(net.clone(), criterion.clone(), sgd)
///     .on_progress(live_plot())
///     .build()?;
/// ```
pub fn live_plot() -> impl FnMut(&Progress) + Send + 'static {
    let mut history = History::default();
    let mut figure: Option<LiveFigure> = None;
    let mut due = Instant::now();
    move |progress| {
        note(&mut history, progress);
        let now = Instant::now();
        if !progress.done && now < due {
            return;
        }
        let figure_now = figure.get_or_insert_default();
        // Without a plot the training is as good.
        let steps = progress.epochs * progress.steps;
        if let Ok(plot) = plot::history_of(&history, steps) {
            figure_now.show(&plot);
        }
        due = now + INTERVAL.max(SHARE * now.elapsed());
        if progress.done {
            // The trainer may be asked to go on: that run has a picture of its own.
            figure = None;
            history = History::default();
        }
    }
}

fn note(history: &mut History, progress: &Progress) {
    let step = progress.epoch.saturating_sub(1) * progress.steps + progress.step;
    // The end of an epoch is told once more, evaluated.
    if history.steps.last().is_none_or(|last| last.step < step) {
        history.steps.push(StepRecord {
            step,
            epoch: progress.epoch,
            loss: progress.batch_loss,
            accuracy: progress.batch_accuracy,
        });
    }
    if progress.epoch_done {
        history.epochs.push(EpochRecord {
            epoch: progress.epoch,
            train_loss: progress.loss,
            train_accuracy: progress.accuracy,
            test_loss: progress.test_loss,
            test_accuracy: progress.test_accuracy,
            seconds: f64::NAN,
            images: 0,
        });
    }
}
