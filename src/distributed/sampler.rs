use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ProcessGroup;
use crate::Result;
use crate::error::invalid;
use crate::random::Generator;

const NAME: &str = "DistributedSampler";

/// Each rank's share of a data set: every `num_replicas`-th image of an order that all ranks agree on.
///
/// The order of an epoch comes from a generator that is seeded with `seed + epoch`, on every rank alike. So that all
/// shares have the same number of images, the order's first images are repeated at its end, or with `drop_last` its
/// last are left out.
///
/// # Differences from PyTorch
///
/// `torch.utils.data.DistributedSampler` gives the same indices. There every pass must be told its epoch, lest all
/// have the same order; [`Trainer`](crate::train::Trainer) does that here.
///
/// # Example
///
/// ```
/// use candlelight::distributed::DistributedSampler;
///
/// # fn main() -> candlelight::Result<()> {
/// let sampler = DistributedSampler::builder_of(10, 4, 3).shuffle(false).build()?;
/// assert_eq!(sampler.indices(), [3, 7, 1]); // 11 would be next: the order begins again
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DistributedSampler {
    images: usize,
    num_replicas: usize,
    rank: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    /// Of all clones: the loader has one, and whoever sets the epoch another.
    epoch: Arc<AtomicUsize>,
}

/// The options of a [`DistributedSampler`], with PyTorch's defaults.
#[derive(Debug, Clone)]
pub struct DistributedSamplerBuilder(DistributedSampler);

impl DistributedSamplerBuilder {
    /// Whether each epoch has an order of its own; true by default.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.0.shuffle = shuffle;
        self
    }

    /// What the orders come from, the same on all ranks; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    /// Whether images that do not go into the shares are left out instead of others repeated; false by default.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.0.drop_last = drop_last;
        self
    }

    /// The sampler.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) where there is no replica, or the rank is not one
    /// of them.
    pub fn build(self) -> Result<DistributedSampler> {
        let DistributedSampler {
            num_replicas, rank, ..
        } = self.0;
        if num_replicas == 0 {
            return invalid(NAME, "num_replicas", 0, "must be at least 1");
        }
        if rank >= num_replicas {
            let problem = format!("must be below num_replicas={num_replicas}");
            return invalid(NAME, "rank", rank, problem);
        }
        Ok(self.0)
    }
}

impl DistributedSampler {
    /// This rank's share of `images` images.
    pub fn builder(images: usize, group: &ProcessGroup) -> DistributedSamplerBuilder {
        Self::builder_of(images, group.world_size(), group.rank())
    }

    /// The share of rank `rank` of `num_replicas`.
    pub fn builder_of(
        images: usize,
        num_replicas: usize,
        rank: usize,
    ) -> DistributedSamplerBuilder {
        DistributedSamplerBuilder(Self {
            images,
            num_replicas,
            rank,
            shuffle: true,
            seed: 0,
            drop_last: false,
            epoch: Arc::default(),
        })
    }

    /// The next passes are of this epoch, counted from 0.
    pub fn set_epoch(&self, epoch: usize) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// How many images the share has.
    pub fn len(&self) -> usize {
        match self.drop_last {
            true => self.images / self.num_replicas,
            false => self.images.div_ceil(self.num_replicas),
        }
    }

    /// Whether the share has no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many images the whole data set has.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How many ranks share them.
    pub fn num_replicas(&self) -> usize {
        self.num_replicas
    }

    /// Whose share this is.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The share in this epoch: indices of the data set, in their order.
    pub fn indices(&self) -> Vec<usize> {
        let epoch = self.epoch.load(Ordering::Relaxed) as u64;
        let order: Vec<usize> = match self.shuffle {
            true => Generator::new(self.seed.wrapping_add(epoch)).randperm(self.images),
            false => (0..self.images).collect(),
        };
        let total = self.len() * self.num_replicas;
        // Where they do not suffice, the order begins again.
        let order = order.into_iter().cycle().take(total);
        order.skip(self.rank).step_by(self.num_replicas).collect()
    }
}

impl fmt::Debug for DistributedSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            images,
            num_replicas,
            rank,
            shuffle,
            seed,
            drop_last,
            ..
        } = self;
        write!(
            f,
            "DistributedSampler({images} images, num_replicas={num_replicas}, rank={rank}, shuffle={shuffle}, seed={seed}, drop_last={drop_last})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(images: usize, ranks: usize, rank: usize) -> DistributedSamplerBuilder {
        DistributedSampler::builder_of(images, ranks, rank)
    }

    /// From PyTorch 2.15: `list(DistributedSampler(range(11), 3, rank, shuffle, seed=7, drop_last=drop_last))` after
    /// `set_epoch(2)`.
    #[test]
    fn the_shares_are_pytorchs() {
        let of = |rank, shuffle, drop_last| {
            let sampler = share(11, 3, rank).shuffle(shuffle).drop_last(drop_last);
            let sampler = sampler.seed(7).build().unwrap();
            sampler.set_epoch(2);
            assert_eq!(sampler.len(), sampler.indices().len());
            sampler.indices()
        };
        let golden = [
            (
                true,
                false,
                [vec![4, 8, 0, 10], vec![9, 3, 1, 6], vec![2, 7, 5, 4]],
            ),
            (true, true, [vec![4, 8, 0], vec![9, 3, 1], vec![2, 7, 5]]),
            (
                false,
                false,
                [vec![0, 3, 6, 9], vec![1, 4, 7, 10], vec![2, 5, 8, 0]],
            ),
            (false, true, [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5, 8]]),
        ];
        for (shuffle, drop_last, shares) in golden {
            for (rank, expected) in shares.iter().enumerate() {
                assert_eq!(of(rank, shuffle, drop_last), *expected);
            }
        }
    }

    #[test]
    fn few_images_for_many_ranks_are_repeated_as_often_as_needed() {
        let shares = (0..5).map(|rank| share(2, 5, rank).shuffle(false).build().unwrap());
        let indices: Vec<_> = shares.map(|sampler| sampler.indices()).collect();
        assert_eq!(indices, [[0], [1], [0], [1], [0]]);
        assert!(share(2, 5, 0).drop_last(true).build().unwrap().is_empty());
        assert!(share(0, 2, 1).build().unwrap().indices().is_empty());
    }

    #[test]
    fn a_rank_that_there_is_not_is_refused() {
        assert_eq!(
            share(4, 2, 2).build().unwrap_err().to_string(),
            "DistributedSampler: rank=2 must be below num_replicas=2"
        );
        assert_eq!(
            share(4, 0, 0).build().unwrap_err().to_string(),
            "DistributedSampler: num_replicas=0 must be at least 1"
        );
    }
}
