//! Gradients averaged over the ranks of a process group: those of neighbouring layers lie side by side, in a bucket, which
//! travels while the layers before them are still computed.

use super::memory::Place;
use super::plan::Epoch;
use super::planner::{Parameter, Planner};
use crate::distributed::buckets;

/// Reals that become their mean over the ranks, after so many launches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    pub(crate) after: usize,
    pub(crate) place: Place,
    pub(crate) numbers: usize,
}

/// The gradients of some layers, the last layer's first.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Each layer's number, and where its gradient is.
    layers: Vec<(usize, Place)>,
    /// From the first gradient to the end of the last, with what lies between them.
    numbers: usize,
}

impl Planner<'_> {
    /// Finds room for the gradients that are averaged.
    pub(super) fn fill_buckets(&mut self) {
        if !self.settings.averages {
            return;
        }
        let numbers = |layer: usize| {
            let layer = &self.layers[layer];
            layer.out_channels * (layer.depth() + 1)
        };
        let backwards: Vec<(usize, usize)> = (0..self.layers.len())
            .rev()
            .map(|layer| (layer, numbers(layer)))
            .collect();
        let bytes = backwards
            .iter()
            .map(|(_, numbers)| numbers * self.settings.real);
        let sizes = buckets(bytes);
        let mut rest = &backwards[..];
        for size in sizes {
            let (own, others) = rest.split_at(size);
            rest = others;
            let start = self.memory.bytes;
            let layers = own
                .iter()
                .map(|&(layer, numbers)| (layer, self.memory.reals(numbers)));
            let layers = layers.collect();
            let numbers = (self.memory.bytes - start) / self.settings.real;
            self.buckets.push(Bucket { layers, numbers });
        }
    }

    /// Where the parameters find layer `i`'s gradient, of so many parts, and in how many parts.
    pub(super) fn averaged(&mut self, i: usize, partials: Place, parts: usize) -> (Place, usize) {
        let mut all = self.buckets.iter().flat_map(|bucket| &bucket.layers);
        let Some(&(_, sum)) = all.find(|(layer, _)| *layer == i) else {
            return (partials, parts);
        };
        let layer = &self.layers[i];
        let numbers = layer.out_channels * (layer.depth() + 1);
        let gradient = Parameter {
            numbers,
            partials,
            parts,
            parts_apart: numbers,
            columns: numbers,
            row: 0,
        };
        self.sums.push((gradient, sum));
        (sum, 1)
    }

    /// Sums the gradients of a bucket that layer `i` was the last of, and has them averaged.
    pub(super) fn average(&mut self, i: usize, epoch: &Epoch) {
        let full = |bucket: &&Bucket| bucket.layers.last().is_some_and(|(last, _)| *last == i);
        let Some(bucket) = self.buckets.iter().find(full) else {
            return;
        };
        let (place, numbers, layers) = (bucket.layers[0].1, bucket.numbers, bucket.layers.len());
        let first = self.sums.len() - layers;
        let own: Vec<Parameter> = self.sums[first..].iter().map(|(own, _)| *own).collect();
        self.change(epoch, "sum", &own, self.parameters_in_all() + first);
        self.aside();
        self.means.push(Mean {
            after: self.launches.len(),
            place,
            numbers,
        });
    }
}
