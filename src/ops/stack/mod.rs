//! The convolutional part of a net and the fully connected layer that follows as one operation of candle:
//! convolution, pooling, ReLU, and again, then the weighted sums.
//!
//! An image goes through all blocks while it is in the cache, and no gradient between two blocks becomes a
//! tensor. On the way back only the gradients that are not zero are followed, see [`sparse`](super::sparse).

mod backward;
mod chunk;
mod op;
mod plan;
mod pool;
mod single;
mod weights;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::simd::Level;
use chunk::Chunk;
pub(crate) use op::stack_then_linear;
pub(crate) use plan::Block;
use plan::Plan;
pub(super) use single::{backward, is_sparse};

/// What is kept from step to step, so that nothing is allocated or planned twice.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plan: Option<Arc<Plan>>,
    /// Of this plan; the padding in another's lies elsewhere.
    chunks: Vec<Chunk>,
    passed: Vec<Passed>,
}

/// What the linear layer takes of the last block, and its gradient. As tensors each would be zeroed first, and the
/// gradient added to zeros, by one thread while the others wait.
#[derive(Default)]
struct Passed {
    values: Vec<f32>,
    grad: Vec<f32>,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, blocks: &[Block], level: Level) -> Arc<Plan> {
        let mut kept = self.kept();
        match &kept.plan {
            Some(plan) if plan.is_for(blocks) => plan.clone(),
            _ => {
                kept.chunks.clear();
                let plan = Arc::new(Plan::new(blocks, level));
                kept.plan.insert(plan).clone()
            }
        }
    }

    /// At most `n` chunks that were used with this plan.
    fn take(&self, plan: &Arc<Plan>, n: usize) -> Vec<Chunk> {
        let mut kept = self.kept();
        match kept.is_of(plan) {
            true => {
                let left = kept.chunks.len().saturating_sub(n);
                kept.chunks.split_off(left)
            }
            false => Vec::new(),
        }
    }

    fn take_passed(&self) -> Passed {
        self.kept().passed.pop().unwrap_or_default()
    }

    fn give(&self, plan: &Arc<Plan>, chunks: &mut Vec<Chunk>, passed: Passed) {
        let mut kept = self.kept();
        kept.passed.push(passed);
        if kept.is_of(plan) {
            kept.chunks.append(chunks);
        }
    }
}

impl Kept {
    fn is_of(&self, other: &Arc<Plan>) -> bool {
        self.plan
            .as_ref()
            .is_some_and(|plan| Arc::ptr_eq(plan, other))
    }
}

/// Whether this processor has vectors for it.
pub(crate) fn available() -> bool {
    Level::detect().is_some()
}

/// Each task on some thread; one alone here, since to hand it over takes as long as an image.
fn each<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
    match tasks.len() {
        1 => tasks.into_iter().for_each(work),
        _ => tasks.into_par_iter().with_max_len(1).for_each(work),
    }
}
