//! A history as tensors: one row a step, one row an epoch.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::state::StateDict;
use crate::train::{EpochRecord, History, StepRecord};

pub(super) fn to_state(history: &History) -> Result<StateDict> {
    let step = |record: &StepRecord| {
        let StepRecord {
            step,
            epoch,
            loss,
            accuracy,
        } = *record;
        [step as f64, epoch as f64, loss, accuracy]
    };
    // A number that is not there is a 0 and its flag: a loss itself can be anything.
    let optional =
        |value: Option<f64>| [f64::from(u8::from(value.is_some())), value.unwrap_or(0.0)];
    let epoch = |record: &EpochRecord| {
        let [has_loss, test_loss] = optional(record.test_loss);
        let [has_accuracy, test_accuracy] = optional(record.test_accuracy);
        [
            record.epoch as f64,
            record.train_loss,
            record.train_accuracy,
            has_loss,
            test_loss,
            has_accuracy,
            test_accuracy,
            record.seconds,
            record.images as f64,
        ]
    };
    let mut state = StateDict::new();
    state.insert("steps", rows(history.steps.iter().map(step))?);
    state.insert("epochs", rows(history.epochs.iter().map(epoch))?);
    Ok(state)
}

fn rows<const N: usize>(rows: impl Iterator<Item = [f64; N]>) -> Result<Tensor> {
    let values: Vec<f64> = rows.flatten().collect();
    let shape = (values.len() / N, N);
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// None where the state is no history's.
pub(super) fn from_state(state: &StateDict) -> Option<History> {
    let step = |row: &Vec<f64>| match row[..] {
        [step, epoch, loss, accuracy] => Some(StepRecord {
            step: step as usize,
            epoch: epoch as usize,
            loss,
            accuracy,
        }),
        _ => None,
    };
    let epoch = |row: &Vec<f64>| match row[..] {
        [
            epoch,
            train_loss,
            train_accuracy,
            has_loss,
            test_loss,
            has_accuracy,
            test_accuracy,
            seconds,
            images,
        ] => Some(EpochRecord {
            epoch: epoch as usize,
            train_loss,
            train_accuracy,
            test_loss: (has_loss == 1.0).then_some(test_loss),
            test_accuracy: (has_accuracy == 1.0).then_some(test_accuracy),
            seconds,
            images: images as usize,
        }),
        _ => None,
    };
    let read = |name| state.get(name)?.to_vec2::<f64>().ok();
    Some(History {
        steps: read("steps")?.iter().map(step).collect::<Option<_>>()?,
        epochs: read("epochs")?.iter().map(epoch).collect::<Option<_>>()?,
    })
}
