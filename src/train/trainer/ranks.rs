//! What a trainer does where it is one of several processes.

use super::Trainer;
use super::epoch::Found;
use crate::Result;
use crate::data::DataLoader;
use crate::distributed::{ProcessGroup, Reducer};
use crate::error::invalid;
use crate::train::evaluate::{evaluate_share, right};
use crate::train::resident::Resident;

impl Trainer {
    /// Where it is one of several.
    pub(super) fn group(&self) -> Option<&ProcessGroup> {
        let group = self.reducer.as_ref().map(Reducer::group);
        group.filter(|group| group.world_size() > 1)
    }

    /// Refuses a loader that gives two ranks the same images.
    pub(super) fn expect_share(&self, train: &DataLoader) -> Result<()> {
        let Some(group) = self.group() else {
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

    /// What steps found over all ranks' images.
    pub(super) fn of_all(&self, own: Vec<Found>) -> Result<Vec<Found>> {
        let Some(group) = self.group() else {
            return Ok(own);
        };
        let numbers = own.iter().flat_map(|found| {
            let n = found.n as f64;
            [found.loss * n, found.right as f64, n]
        });
        let sums = group.sum(numbers.collect())?;
        // A sum is a mean times the ranks, and may be off a whole number by a rounding.
        let found = |sums: &[f64]| Found {
            loss: sums[0] / sums[2].round(),
            right: sums[1].round() as usize,
            n: sums[2].round() as usize,
        };
        Ok(sums.chunks_exact(3).map(found).collect())
    }

    /// Loss and accuracy of the test set, of which this rank has found its share.
    pub(super) fn all_shares(&self, own: Found) -> Result<(f64, f64)> {
        let all = self.of_all(vec![own])?;
        let [Found { loss, right, n }] = all[..] else {
            unreachable!("one for one")
        };
        Ok((loss, right as f64 / n as f64))
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
        let own = own.map_or(Found::default(), |found| Found {
            loss: found.loss,
            right: right(&found.predictions, &found.targets),
            n: found.targets.len(),
        });
        self.all_shares(own)
    }
}
