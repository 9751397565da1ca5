//! Gradients averaged over the ranks while the backward pass goes on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::iter::repeat_n;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, TensorId, Var};

use super::ProcessGroup;
use super::group::Mean;
use crate::Result;
use crate::ops::backward::{backward, backward_into};

/// Bytes, as in PyTorch: the first bucket is small, so that the sending begins early.
const FIRST_BUCKET: usize = 1 << 20;
const BUCKET: usize = 25 << 20;

/// A net's parameters, their gradients averaged.
#[derive(Debug)]
pub(crate) struct Reducer {
    group: ProcessGroup,
    parameters: Vec<Var>,
    buckets: Arc<Buckets>,
}

/// The parameters in buckets, the last layers' first: theirs are the first gradients to be there. A bucket travels
/// as soon as it is full.
#[derive(Debug)]
struct Buckets {
    of: HashMap<TensorId, usize>,
    /// How many parameters each has.
    sizes: Vec<usize>,
}

impl Buckets {
    fn new(parameters: &[Var]) -> Self {
        let bytes = |var: &Var| var.elem_count() * var.dtype().size_in_bytes();
        let sizes = buckets(parameters.iter().rev().map(bytes));
        let numbers = sizes.iter().enumerate();
        let numbers = numbers.flat_map(|(bucket, size)| repeat_n(bucket, *size));
        let ids = parameters.iter().rev().map(|var| var.id());
        Self {
            of: ids.zip(numbers).collect(),
            sizes,
        }
    }
}

/// How many neighbours go into each bucket, by their bytes.
pub(crate) fn buckets(bytes: impl Iterator<Item = usize>) -> Vec<usize> {
    let (mut sizes, mut filled) = (Vec::new(), usize::MAX);
    for bytes in bytes {
        let room = if sizes.len() <= 1 {
            FIRST_BUCKET
        } else {
            BUCKET
        };
        if filled >= room {
            sizes.push(0);
            filled = 0;
        }
        filled += bytes;
        *sizes.last_mut().unwrap_or(&mut 0) += 1;
    }
    sizes
}

impl Reducer {
    /// Gives all ranks rank 0's parameters.
    pub(crate) fn new(group: ProcessGroup, parameters: Vec<Var>) -> Result<Self> {
        group.broadcast(&parameters)?;
        Ok(Self {
            buckets: Arc::new(Buckets::new(&parameters)),
            group,
            parameters,
        })
    }

    pub(crate) fn group(&self) -> &ProcessGroup {
        &self.group
    }

    /// What `loss.backward()` gives, each parameter's gradient averaged over the ranks.
    pub(crate) fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        if self.group.world_size() == 1 {
            return Ok(backward(loss)?);
        }
        let sums = Rc::new(RefCell::new(Sums {
            group: self.group.clone(),
            buckets: self.buckets.clone(),
            waiting: self.buckets.sizes.iter().map(|_| Vec::new()).collect(),
            sent: Vec::new(),
        }));
        let sink = sums.clone();
        let sink = move |var: &Tensor, grad| sink.borrow_mut().ready(var.id(), grad);
        let mut grads = backward_into(loss, Box::new(sink))?;
        let mut sums = sums.borrow_mut();
        // What no layer handed over, candle has added up.
        for var in &self.parameters {
            if let Some(grad) = grads.remove(var) {
                sums.ready(var.id(), grad);
            }
        }
        let means = sums.finish()?;
        for var in &self.parameters {
            let mut own = means.iter().filter(|(id, _)| *id == var.id());
            if let Some((_, first)) = own.next() {
                // A variable that is used twice: the sum's mean is the sum of the means.
                let sum = own.try_fold(first.clone(), |sum, (_, mean)| sum + mean)?;
                grads.insert(var, sum);
            }
        }
        Ok(grads)
    }
}

/// One step's gradients.
struct Sums {
    group: ProcessGroup,
    buckets: Arc<Buckets>,
    /// In each bucket.
    waiting: Vec<Vec<(TensorId, Tensor)>>,
    sent: Vec<(Vec<TensorId>, Mean)>,
}

impl Sums {
    fn ready(&mut self, id: TensorId, grad: Tensor) {
        // A variable of another net: nobody asks for its gradient.
        let Some(&bucket) = self.buckets.of.get(&id) else {
            return;
        };
        self.waiting[bucket].push((id, grad));
        if self.waiting[bucket].len() == self.buckets.sizes[bucket] {
            self.send(bucket);
        }
    }

    fn send(&mut self, bucket: usize) {
        let (ids, grads) = self.waiting[bucket].drain(..).unzip();
        self.sent.push((ids, self.group.mean_beside(grads)));
    }

    /// Sends the rest, and waits for all.
    fn finish(&mut self) -> Result<Vec<(TensorId, Tensor)>> {
        for bucket in 0..self.waiting.len() {
            if !self.waiting[bucket].is_empty() {
                self.send(bucket);
            }
        }
        let mut means = Vec::new();
        for (ids, mean) in self.sent.drain(..) {
            means.extend(ids.into_iter().zip(mean.wait()?));
        }
        Ok(means)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_last_layers_come_first_and_the_first_bucket_is_small() {
        let var = |n: usize| Var::zeros(n, DType::F32, &Device::Cpu).unwrap();
        let mib = FIRST_BUCKET / 4;
        let parameters = [
            var(5),
            var(20 * mib),
            var(8 * mib),
            var(mib / 2),
            var(10),
            var(mib / 2),
        ];
        let buckets = Buckets::new(&parameters);
        let of: Vec<usize> = parameters.iter().map(|var| buckets.of[&var.id()]).collect();
        assert_eq!(of, [2, 1, 1, 0, 0, 0]);
        assert_eq!(buckets.sizes, [3, 2, 1]);
    }
}
