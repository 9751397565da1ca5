//! The memory of a step: images with their borders, gradients, what an epoch is given and gives.

use super::layer::Layer;
use super::means::{Bucket, Mean};
use super::memory::{Layout, Place, Word};
use super::plan::{Epoch, Grid, Launch, RING, Settings};
use super::tiles::{self, Cut};
use crate::ops::update::OnCard;
use crate::size::Size2;

/// Numbers as images: each begins with a border of zeros where a layer pads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images {
    /// The border's first number.
    pub(super) start: Place,
    /// The first pixel.
    pub(super) first: Place,
    pub(super) image: usize,
    pub(super) channel: usize,
    pub(super) row: usize,
}

/// Where a parameter's gradient is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) numbers: usize,
    pub(super) partials: Place,
    pub(super) parts: usize,
    pub(super) parts_apart: usize,
    pub(super) columns: usize,
    pub(super) row: usize,
}

impl Parameter {
    /// The words of its gradient in the kernels' `struct Parameter`.
    pub(super) fn gradient(&self) -> [Word; 5] {
        [
            Word::At(self.partials),
            Word::size(self.parts),
            Word::size(self.parts_apart),
            Word::size(self.columns),
            Word::size(self.row),
        ]
    }
}

pub(super) struct Planner<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) settings: &'a Settings,
    pub(super) memory: Layout,
    pub(super) launches: Vec<Launch>,
    pub(super) means: Vec<Mean>,
    pub(super) parameters: Vec<Parameter>,
    /// Where gradients are averaged over the ranks: those of the layers, bucket by bucket.
    pub(super) buckets: Vec<Bucket>,
    pub(super) sums: Vec<(Parameter, Place)>,
    /// What each layer takes, and in the end the logits.
    pub(super) values: Vec<Images>,
    /// What flows back to each layer's convolution.
    pub(super) grads: Vec<Images>,
    /// Which of its outputs let something through.
    pub(super) which: Vec<Option<Place>>,
}

impl Planner<'_> {
    pub(super) fn epoch(&mut self) -> Epoch {
        let (total, steps) = (self.settings.total, self.settings.steps());
        let sums = match self.settings.averages {
            true => self.layers.len(),
            false => 0,
        };
        let entries = self.parameters_in_all() + sums;
        let ring = RING * self.settings.batch * self.settings.image.iter().product::<usize>();
        let is_fed = self.settings.pixels.is_none();
        let memory = &mut self.memory;
        Epoch {
            ring: is_fed.then(|| memory.reals(ring)),
            order: memory.room(4 * total),
            targets: memory.room(8 * total),
            steps: memory.room(size_of::<OnCard>() * steps),
            divisors: memory.room(8 * steps),
            next: memory.room(8),
            now: memory.room(8),
            losses: memory.reals(total),
            right: memory.room(total),
            parameters: memory.room(8 * PARAMETER * entries),
        }
    }

    pub(super) fn parameters_in_all(&self) -> usize {
        let each = self.layers.iter().map(|layer| 1 + usize::from(layer.bias));
        each.sum()
    }

    /// Images of `channels` with a border.
    pub(super) fn images(
        &mut self,
        channels: usize,
        size: Size2,
        before: Size2,
        after: Size2,
    ) -> Images {
        let row = before.w + size.w + after.w;
        let channel = row * (before.h + size.h + after.h);
        let image = channel * channels;
        let start = self.memory.reals(image * self.settings.batch);
        Images {
            start,
            first: self.memory.after(start, before.h * row + before.w),
            image,
            channel,
            row,
        }
    }

    pub(super) fn lay_out(&mut self) {
        let [channels, h, w] = self.settings.image;
        let (mut channels, mut size) = (channels, Size2 { h, w });
        let nothing = Size2::from(0);
        for layer in self.layers {
            let (before, after) = (layer.geometry.before, layer.geometry.after);
            let values = self.images(channels, size, before, after);
            // A fully connected layer takes an image's numbers as they lie.
            self.values.push(match layer.linear {
                true => Images {
                    channel: 1,
                    row: 0,
                    ..values
                },
                false => values,
            });
            (channels, size) = (layer.out_channels, layer.output());
            let outputs = self.settings.batch * layer.outputs();
            let trains = self.settings.optimizer.is_some();
            let lets = trains && (layer.relu || layer.pool);
            let which = lets.then(|| self.memory.room(outputs));
            self.which.push(which);
            if !trains {
                continue;
            }
            let grads = match layer.linear {
                true => self.images(channels, size, nothing, nothing),
                // So that the filters, turned round, pass over it as over an input: input and reach.
                false => {
                    let (reach, input) = (layer.reach(), layer.input);
                    let before = Size2 {
                        h: reach.h - before.h,
                        w: reach.w - before.w,
                    };
                    let rest = Size2 {
                        h: input.h + reach.h - before.h,
                        w: input.w + reach.w - before.w,
                    };
                    self.images(channels, rest, before, nothing)
                }
            };
            self.grads.push(grads);
        }
        let logits = self.images(channels, size, nothing, nothing);
        self.values.push(logits);
    }

    pub(super) fn launch(
        &mut self,
        kind: &'static str,
        function: String,
        words: Vec<Word>,
        grid: Grid,
    ) {
        self.launches.push(Launch {
            kind,
            function,
            words,
            grid,
            aside: false,
        });
    }

    /// What was launched last goes on beside the rest.
    pub(super) fn aside(&mut self) {
        if let Some(launch) = self.launches.last_mut() {
            launch.aside = true;
        }
    }

    pub(super) fn cut(&self, size: [usize; 3], most_splits: usize) -> Cut {
        let Settings {
            tiles,
            multiprocessors,
            precision,
            ..
        } = self.settings;
        tiles::cut(tiles, size, most_splits, (*multiprocessors, *precision))
    }
}

/// The words of `struct Parameter` in the kernels.
const PARAMETER: usize = 9;
