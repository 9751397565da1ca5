//! The gradients of weights and biases: of which channels, and of which half of the batch, a thread takes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chunk::Chunk;
use super::each;
use super::plan::Plan;

/// Output channels beyond which a weight's sum runs through the whole batch; else it is summed in halves.
const WHOLE_BATCH: usize = 16;
/// Of how many output channels the weights are summed at a time.
const CHANNELS_AT_ONCE: usize = 5;
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
    let halves = chunks.split_at(first_half.count());
    let threads = match chunks.len() {
        1 => 1,
        _ => rayon::current_num_threads(),
    };
    let queues = Queues::new(plan, if halves.1.is_empty() { 1 } else { 2 });
    each((0..threads).collect(), |thread| {
        let near = 2 * thread / threads;
        while let Some((half, mut sums)) = queues.take(near) {
            sums.add(plan, if half == 0 { halves.0 } else { halves.1 });
            queues.give(half, sums);
        }
    });
    let mut all = vec![0.0; plan.blocks.iter().map(|b| b.block.parameters()).sum()];
    for sums in queues.done() {
        let before = plan.blocks[..sums.block].iter();
        let place: usize = before.map(|planned| planned.block.parameters()).sum();
        sums.write(plan, &mut all[place..]);
    }
    all
}

/// What is to be summed in each half of the batch.
///
/// A half's lists and inputs lie in the cache of the core that made them. They are read there alone: for a core to
/// write where another has read takes longer than the sums.
struct Queues(Mutex<State>);

struct State {
    halves: [VecDeque<Sums>; 2],
    done: Vec<Sums>,
}

impl Queues {
    fn new(plan: &Plan, halves: usize) -> Self {
        let mut queues = [VecDeque::new(), VecDeque::new()];
        // The last block's first: they take longest, and the second half waits for them.
        for (k, planned) in plan.blocks.iter().enumerate().rev() {
            let out_channels = planned.block.out_channels;
            let whole = out_channels > WHOLE_BATCH;
            for start in (0..out_channels).step_by(CHANNELS_AT_ONCE) {
                let channels = start..out_channels.min(start + CHANNELS_AT_ONCE);
                let firsts = if whole { 1 } else { halves };
                for queue in &mut queues[..firsts] {
                    let goes_on = whole && halves == 2;
                    queue.push_back(Sums::new(plan, k, channels.clone(), goes_on));
                }
            }
        }
        Self(Mutex::new(State {
            halves: queues,
            done: Vec::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some sums of the half that is near, else of the other. Where there are none, what is still to come is taken
    /// by those who give it.
    fn take(&self, near: usize) -> Option<(usize, Sums)> {
        let mut state = self.state();
        if let Some(sums) = state.halves[near].pop_front() {
            return Some((near, sums));
        }
        let far = 1 - near;
        state.halves[far].pop_back().map(|sums| (far, sums))
    }

    fn give(&self, half: usize, sums: Sums) {
        let mut state = self.state();
        match half {
            0 if sums.goes_on => state.halves[1].push_back(sums),
            _ => state.done.push(sums),
        }
    }

    fn done(self) -> Vec<Sums> {
        self.0
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .done
    }
}

/// The weights and biases of some channels of a block.
struct Sums {
    block: usize,
    channels: Range<usize>,
    /// Whether the sum of the first half goes on in the second; else each has its own.
    goes_on: bool,
    /// Channel after channel.
    sums: Vec<f32>,
    /// The biases of what was added before; these are summed in halves throughout.
    biases: Vec<f32>,
}

impl Sums {
    fn new(plan: &Plan, block: usize, channels: Range<usize>, goes_on: bool) -> Self {
        let count = channels.len();
        Self {
            block,
            channels,
            goes_on,
            sums: vec![0.0; count * plan.blocks[block].windows.sums()],
            biases: vec![0.0; count],
        }
    }

    /// Adds what a half's chunks listed.
    fn add(&mut self, plan: &Plan, chunks: &[Chunk]) {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let n = windows.sums();
        for (sums, bias) in self.sums.chunks_exact_mut(n).zip(&mut self.biases) {
            *bias = windows.take_bias(sums);
        }
        // How many pixels' windows stay near.
        let width = planned.block.padded().w;
        let strip = (NEAR / (width * windows.pixel())).max(1) * width;
        for chunk in chunks {
            let kept = &chunk.blocks[self.block];
            let pixels = chunk.images * width * planned.block.padded().h;
            let mut lists: Vec<_> = self.channels.clone().map(|o| kept.gradients(o)).collect();
            for end in (0..pixels).step_by(strip).map(|start| start + strip) {
                for ((values, at), sums) in lists.iter_mut().zip(self.sums.chunks_exact_mut(n)) {
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
    }

    fn write(&self, plan: &Plan, to: &mut [f32]) {
        let planned = &plan.blocks[self.block];
        let windows = &planned.windows;
        let (weights, biases) = to.split_at_mut(planned.block.weights());
        let each = self.sums.chunks_exact(windows.sums()).zip(&self.biases);
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
