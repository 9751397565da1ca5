//! The gradients of weights and biases: which of them, and of which part of the batch, a task takes.

use std::ops::Range;

use rayon::prelude::*;

use super::chunk::Chunk;
use super::plan::Plan;

/// Output channels beyond which a weight's sum runs through the whole batch; else it is summed in halves.
const WHOLE_BATCH: usize = 16;
/// How many output channels' weights a task sums.
const CHANNELS_A_TASK: usize = 5;
/// How many numbers of a block's input stay in the nearest cache.
const NEAR: usize = 6 << 10;

/// Each block's weights and biases, one after another, from what the chunks' way back listed.
pub(super) fn parameter_gradients(plan: &Plan, chunks: &[Chunk]) -> Vec<f32> {
    let images: usize = chunks.iter().map(|chunk| chunk.images).sum();
    let mut before = 0;
    let first_half = chunks.iter().take_while(|chunk| {
        before += chunk.images;
        before <= images.div_ceil(2)
    });
    let first_half = first_half.count();
    let mut tasks = Vec::new();
    // The last block's first: they take longest.
    for (k, planned) in plan.blocks.iter().enumerate().rev() {
        let out_channels = planned.block.out_channels;
        for start in (0..out_channels).step_by(CHANNELS_A_TASK) {
            let channels = start..out_channels.min(start + CHANNELS_A_TASK);
            let first = match out_channels > WHOLE_BATCH {
                true => chunks.len(),
                false => first_half,
            };
            let parts = [0..first, first..chunks.len()];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            tasks.extend(parts.map(|part| Task {
                block: k,
                channels: channels.clone(),
                part,
                first_half,
            }));
        }
    }
    let run = |task: &Task| task.run(plan, chunks);
    let done: Vec<Vec<f32>> = match chunks.len() {
        1 => tasks.iter().map(run).collect(),
        _ => tasks.par_iter().with_max_len(1).map(run).collect(),
    };
    let mut all = vec![0.0; plan.blocks.iter().map(|b| b.block.parameters()).sum()];
    let mut places = Vec::new();
    let mut place = 0;
    for planned in &plan.blocks {
        places.push(place);
        place += planned.block.parameters();
    }
    for (task, sums) in tasks.iter().zip(&done) {
        task.add(plan, sums, &mut all[places[task.block]..]);
    }
    all
}

/// The weights and biases of some channels of a block, over some chunks.
struct Task {
    block: usize,
    channels: Range<usize>,
    part: Range<usize>,
    /// How many chunks the batch's first half has.
    first_half: usize,
}

impl Task {
    /// Channel after channel its sums, then the biases' of the batch's first half.
    fn run(&self, plan: &Plan, chunks: &[Chunk]) -> Vec<f32> {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let n = windows.sums();
        let count = self.channels.len();
        let mut sums = vec![0.0; count * n + count];
        let (own, first_biases) = sums.split_at_mut(count * n);
        // How many pixels' windows stay near.
        let width = planned.block.padded().w;
        let strip = (NEAR / (width * windows.pixel())).max(1) * width;
        for c in self.part.clone() {
            if c == self.first_half {
                for (sums, bias) in own.chunks_exact_mut(n).zip(&mut *first_biases) {
                    *bias = windows.take_bias(sums);
                }
            }
            let chunk = &chunks[c];
            let kept = &chunk.blocks[self.block];
            let pixels = chunk.images * width * planned.block.padded().h;
            let mut lists: Vec<_> = self.channels.clone().map(|o| kept.gradients(o)).collect();
            for end in (0..pixels).step_by(strip).map(|start| start + strip) {
                for ((values, at), sums) in lists.iter_mut().zip(own.chunks_exact_mut(n)) {
                    let there = match end >= pixels {
                        true => at.len(),
                        false => at.partition_point(|&at| (at as usize) < end),
                    };
                    let (now_values, now_at);
                    (now_values, *values) = values.split_at(there);
                    (now_at, *at) = at.split_at(there);
                    windows.add(now_values, now_at, kept.from(), sums);
                }
            }
        }
        sums
    }

    fn add(&self, plan: &Plan, sums: &[f32], to: &mut [f32]) {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let (weights, biases) = to.split_at_mut(planned.block.weights());
        let (own, first_biases) = sums.split_at(self.channels.len() * windows.sums());
        let each = own.chunks_exact(windows.sums()).zip(first_biases);
        for (channel, (sums, first_bias)) in self.channels.clone().zip(each) {
            let to = &mut weights[channel * windows.taps()..];
            for (to, weight) in to.iter_mut().zip(windows.weights(sums)) {
                *to += weight;
            }
            biases[channel] += first_bias;
            biases[channel] += windows.bias(sums);
        }
    }
}
