//! The rectifier with PyTorch's gradient: nothing where the input is 0.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::buffer::{Element, elements, for_float, output, with_elements};

/// How many numbers a thread takes at least: below, waking it takes longer than the work.
const PIECE: usize = 1 << 17;

pub(crate) fn relu(input: &Tensor) -> Result<Tensor> {
    if input.device().is_cpu() {
        input.contiguous()?.apply_op1(ReluOp)
    } else {
        // candle's own gradient at 0 is 1.
        input.le(0f64)?.where_cond(&input.zeros_like()?, input)
    }
}

struct ReluOp;

impl CustomOp1 for ReluOp {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_float!(input, "relu", T => {
            let input = elements::<T>(input, layout)?;
            output(map(input, input, |x, _| if x > T::ZERO || x.is_nan() { x } else { T::ZERO }), layout.shape())
        })
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let values = match grad.dtype() {
            candle_core::DType::F64 => masked::<f64>(result, &grad)?,
            _ => masked::<f32>(result, &grad)?,
        };
        Ok(Some(values))
    }
}

fn masked<T: Element>(result: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let values = with_elements::<T, _>(result, |y| {
        with_elements::<T, _>(grad, |g| {
            Ok(map(y, g, |y, g| {
                if y > T::ZERO || y.is_nan() {
                    g
                } else {
                    T::ZERO
                }
            }))
        })
    })?;
    Tensor::from_vec(values, result.shape(), result.device())
}

fn map<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let mut output = vec![T::ZERO; a.len()];
    let piece = |((output, a), b): ((&mut [T], &[T]), &[T])| {
        for ((output, &a), &b) in output.iter_mut().zip(a).zip(b) {
            *output = f(a, b);
        }
    };
    output
        .par_chunks_mut(PIECE)
        .zip(a.par_chunks(PIECE))
        .zip(b.par_chunks(PIECE))
        .for_each(piece);
    output
}
