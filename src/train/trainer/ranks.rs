//! What a trainer does where it is one of several processes.

use super::Trainer;
use crate::Result;
use crate::data::DataLoader;
use crate::distributed::{ProcessGroup, Reducer};
use crate::error::invalid;
use crate::train::evaluate::{evaluate_share, right};
use crate::train::resident::Resident;

impl Trainer {
    pub(super) fn group(&self) -> Option<&ProcessGroup> {
        self.reducer.as_ref().map(Reducer::group)
    }

    /// Refuses a loader that gives two ranks the same images.
    pub(super) fn expect_share(&self, train: &DataLoader) -> Result<()> {
        let Some(group) = self.group().filter(|group| group.world_size() > 1) else {
            return Ok(());
        };
        let of = train.sampler().map(|s| (s.rank(), s.num_replicas()));
        match of == Some((group.rank(), group.world_size())) {
            true => Ok(()),
            false => invalid(
                "Trainer",
                "process_group",
                group,
                "needs a train loader whose sampler is for this rank; build it with \
                 sampler(DistributedSampler::builder(images, &group).build()?)",
            ),
        }
    }

    /// The loss over all ranks' batches, how many are right, and how many there are.
    pub(super) fn of_all(
        &self,
        loss: f64,
        correct: usize,
        n: usize,
    ) -> Result<(f64, usize, usize)> {
        let Some(group) = self.group().filter(|group| group.world_size() > 1) else {
            return Ok((loss, correct, n));
        };
        let [loss, correct, n] = group.sum([loss * n as f64, correct as f64, n as f64])?;
        Ok((loss / n, correct as usize, n as usize))
    }

    /// Loss and accuracy on the test set, of which each rank looks at its share.
    pub(super) fn evaluate_shared(
        &self,
        test: &DataLoader,
        resident: Option<&Resident>,
    ) -> Result<(f64, f64)> {
        let (rank, ranks) = self.group().map_or((0, 1), |g| (g.rank(), g.world_size()));
        let net = self.net.as_ref();
        let own = evaluate_share(net, test, &self.device, (rank, ranks), resident)?;
        let own = own.map_or((0.0, 0, 0), |found| {
            let n = found.targets.len();
            (found.loss, right(&found.predictions, &found.targets), n)
        });
        let (loss, correct, n) = self.of_all(own.0, own.1, own.2)?;
        Ok((loss, correct as f64 / n as f64))
    }
}
