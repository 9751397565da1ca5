//! What captured steps found, written down: of an epoch that a card has whole, and of one that it is fed.

use super::Trainer;
use super::epoch::{Found, Tally};
use crate::Result;
use crate::ops::cuda::pass::Step;
use crate::train::{History, Progress};

/// The steps of an epoch.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) batch: usize,
    pub(super) images: usize,
    /// Of the steps so far.
    pub(super) divisors: &'a [f64],
}

impl Trainer {
    /// What divides the sum of a batch's losses, that they have their mean.
    pub(super) fn divisor(&self, targets: &[i64]) -> f64 {
        let rule = self.criterion.rule();
        let counted = targets
            .iter()
            .filter(|&&target| target != rule.ignore_index);
        let weight = |&target: &i64| match &rule.weight {
            Some(weight) => weight[target as usize],
            None => 1.0,
        };
        counted.map(weight).sum()
    }

    /// Writes down what steps have found, from the `first` on.
    pub(super) fn record_steps(
        &mut self,
        first: usize,
        steps: Vec<Step>,
        of: Steps<'_>,
        tally: &mut Tally,
        progress: &mut Progress,
        history: &mut History,
    ) -> Result<()> {
        let found = (first..).zip(steps).map(|(step, found)| Found {
            loss: found.losses / of.divisors[step],
            right: found.right,
            n: of.images.min((step + 1) * of.batch) - step * of.batch,
        });
        for found in self.of_all(found.collect())? {
            self.record(found, tally, progress, history);
        }
        Ok(())
    }
}
