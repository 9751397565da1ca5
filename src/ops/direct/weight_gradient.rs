//! The gradients of weights and bias: which part of them, and of the batch, a task takes.

use std::ops::Range;

use rayon::prelude::*;

use super::layout::Layout;
use super::sums::blocks;
use super::turn::{lane_blocks, turn};
use super::weights::{Weights, rows_a_tile, weights};
use crate::ops::conv2d::Problem;
use crate::ops::simd::Level;

/// How many numbers of images and gradients are turned before they are summed: what fits into the second
/// cache.
const NEAR: usize = 1 << 16;
/// Output channels beyond which a weight's sum runs through the whole batch.
const WHOLE_BATCH: usize = 16;

/// Tasks for each thread, so that none waits long for the last.
const TASKS_A_THREAD: usize = 4;

/// Where the images lie: the batch itself, or a copy with its padding.
pub(super) struct Images<'a> {
    pub(super) values: &'a [f32],
    /// How many numbers one image has.
    pub(super) image: usize,
}

pub(super) fn weight_gradient(
    problem: &Problem,
    layout: &Layout,
    level: Level,
    images: &Images<'_>,
    grad: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    // PyTorch on two threads sums in two halves of the batch: the bias always, the weights where there are
    // few output channels. The same here, whatever the number of threads.
    let middle = problem.images.div_ceil(2);
    let first = match layout.out_channels > WHOLE_BATCH {
        true => problem.images,
        false => middle,
    };
    let parts = [0..first, first..problem.images];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.collect();
    let lanes = lane_blocks(level, layout.out_channels);
    let shares = layout.groups * parts.len() * lanes.len();
    let ranges = row_ranges(layout, level, shares);
    let mut tasks = Vec::with_capacity(shares * ranges.len());
    for part in parts {
        for group in 0..layout.groups {
            for &(start, lanes) in &lanes {
                tasks.extend(ranges.iter().map(|rows| Task {
                    images: part.clone(),
                    middle,
                    group,
                    start,
                    lanes,
                    rows: rows.clone(),
                }));
            }
        }
    }
    let done: Vec<Sums> = tasks
        .par_iter()
        .map(|task| task.run(problem, layout, level, images, grad))
        .collect();
    let mut weight = vec![0.0; layout.groups * layout.out_channels * layout.taps];
    let mut bias = vec![0.0; problem.out_channels];
    for (task, sums) in tasks.iter().zip(&done) {
        task.add(layout, sums, &mut weight, &mut bias);
    }
    (weight, bias)
}

/// The kernel's rows in as many ranges as keep the threads busy, but whole tiles where that is enough.
fn row_ranges(layout: &Layout, level: Level, shares: usize) -> Vec<Range<usize>> {
    let rows = layout.rows.len();
    let most = rows_a_tile(level.registers(), layout.columns);
    let threads = rayon::current_num_threads();
    let tiles = rows.div_ceil(most);
    let wanted = (threads * TASKS_A_THREAD).div_ceil(shares).min(tiles);
    let ranges = wanted.max(threads.div_ceil(shares)).min(rows);
    blocks(rows, rows.div_ceil(ranges))
        .map(|(start, n)| start..start + n)
        .collect()
}

/// Some weights of one vector of output channels, over some images; where `rows` begins at 0, their bias
/// too.
struct Task {
    images: Range<usize>,
    /// The first image of the batch's second half.
    middle: usize,
    group: usize,
    start: usize,
    lanes: usize,
    rows: Range<usize>,
}

struct Sums {
    /// Lanes side by side.
    weight: Vec<f32>,
    /// Of the first half of the batch, and of the second.
    bias: [[f32; 16]; 2],
}

impl Task {
    fn run(
        &self,
        problem: &Problem,
        layout: &Layout,
        level: Level,
        images: &Images<'_>,
        grad: &[f32],
    ) -> Sums {
        let pixels = layout.output.h * layout.output.w;
        let channels = self.channels(layout);
        let (_, image_out) = problem.image_sizes();
        let first = (self.group * layout.out_channels + self.start) * pixels;
        let group_in = self.group * layout.in_channels * layout.padded_plane();
        let mut sums = Sums {
            weight: vec![0.0; self.rows.len() * layout.columns * self.lanes],
            bias: [[0.0; 16]; 2],
        };
        let turned_image = pixels * self.lanes;
        let together = (NEAR / (images.image + turned_image)).clamp(1, self.images.len().max(1));
        let zeros = vec![0.0; pixels];
        let mut turned = vec![0.0; together * turned_image];
        for start in self.images.clone().step_by(together) {
            let end = self.images.end.min(start + together);
            for (image, to) in (start..end).zip(turned.chunks_mut(turned_image)) {
                let planes = &grad[image * image_out + first..][..channels * pixels];
                let half = usize::from(image >= self.middle);
                turn(planes, &zeros, self.lanes, to, &mut sums.bias[half]);
            }
            let job = Weights {
                from: &images.values[start * images.image + group_in..],
                from_image: images.image,
                from_row: layout.padded.w,
                rows: &layout.rows[self.rows.clone()],
                columns: layout.columns,
                grad: &turned,
                grad_image: turned_image,
                lanes: self.lanes,
                output: layout.output,
                images: end - start,
            };
            weights(level, &job, &mut sums.weight);
        }
        sums
    }

    /// Lanes that have a channel.
    fn channels(&self, layout: &Layout) -> usize {
        self.lanes.min(layout.out_channels - self.start)
    }

    fn add(&self, layout: &Layout, sums: &Sums, weight: &mut [f32], bias: &mut [f32]) {
        let first = self.group * layout.out_channels + self.start;
        let taps = self.rows.start * layout.columns;
        for lane in 0..self.channels(layout) {
            let to = &mut weight[(first + lane) * layout.taps + taps..];
            for (to, lanes) in to.iter_mut().zip(sums.weight.chunks(self.lanes)) {
                *to += lanes[lane];
            }
            if self.rows.start == 0 {
                bias[first + lane] += sums.bias[0][lane];
                bias[first + lane] += sums.bias[1][lane];
            }
        }
    }
}
