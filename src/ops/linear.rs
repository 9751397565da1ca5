//! The fully connected layer as an operation of candle: bias and product in one, and no transposed
//! copies on the way back.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::backward::hand_over;
use super::buffer::{Element, elements, for_float, output, with_elements, zeros};
use super::cascade::column_sums;
use super::gemm::{Into, Matrix, Threads, gemm, is_small};
use super::narrow;
use super::product::product;
use super::simd::Level;

const NAME: &str = "linear";

/// `input` (rows, in), `weight` (out, in), `bias` (out).
pub(crate) fn linear(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !input.device().is_cpu() {
        let product = input.matmul(&weight.t()?)?;
        return match bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        };
    }
    let (input, weight) = (input.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => input.apply_op3(&weight, &bias.contiguous()?, LinearOp),
        None => input.apply_op2(&weight, LinearOp),
    }
}

struct LinearOp;

/// How many inputs the library under PyTorch (oneMKL) sums before it adds them to the output; where there
/// are up to twice as many, it sums them in two halves.
const INPUTS_AT_ONCE: usize = 192;
/// Rows of a large product that one task takes. Fixed, since a product of one row sums in another order, and
/// the last task may have but one.
const ROWS_A_TASK: usize = 32;

/// Multiply-adds below which even a thread that is awake comes too late.
const TOO_FEW: usize = 1 << 17;

/// With fewer rows it costs about as much to pack the weights as to multiply by them.
const FEW_ROWS: usize = 4;
/// The longest sums on the way back that are taken in one piece. Longer ones are left to the other product, which
/// cuts them; how the library under PyTorch does it was not probed.
const MOST_IN_VECTORS: usize = 256;

/// The parts of a sum over inputs, in the order in which they are added up.
fn parts(inputs: usize) -> impl Iterator<Item = Range<usize>> {
    let part = match inputs {
        0..=INPUTS_AT_ONCE => INPUTS_AT_ONCE,
        n if n <= 2 * INPUTS_AT_ONCE => n.div_ceil(2),
        _ => INPUTS_AT_ONCE,
    };
    (0..inputs)
        .step_by(part)
        .map(move |start| start..inputs.min(start + part))
}

fn forward<T: Element>(
    (input, input_layout): (&CpuStorage, &Layout),
    (weight, weight_layout): (&CpuStorage, &Layout),
    bias: Option<(&CpuStorage, &Layout)>,
) -> Result<(CpuStorage, Shape)> {
    let rows = input_layout.shape().dims2()?.0;
    let sizes = weight_layout.shape().dims2()?;
    let mut values = zeros::<T>(rows * sizes.0)?;
    let input = elements::<T>(input, input_layout)?;
    let weight = elements::<T>(weight, weight_layout)?;
    let bias = bias.map(|(bias, layout)| elements::<T>(bias, layout));
    outputs(&mut values, input, (weight, sizes), bias.transpose()?);
    output(values, (rows, sizes.0))
}

/// `into` (rows, out) of `input` (rows, in); a weight is (out, in).
pub(super) fn outputs<T: Element>(
    into: &mut [T],
    input: &[T],
    (weight, (outputs, inputs)): (&[T], (usize, usize)),
    bias: Option<&[T]>,
) {
    match (T::as_f32_mut(into), T::as_f32(input), T::as_f32(weight)) {
        (Some(into), Some(input), Some(weight)) if narrow::FEW.contains(&outputs) => {
            narrow::forward(into, input, weight, bias.and_then(T::as_f32), outputs);
        }
        _ => wide(into, input, Matrix::new(weight, outputs, inputs), bias),
    }
}

/// Rows in tasks; of each, the inputs part by part.
fn wide<T: Element>(into: &mut [T], input: &[T], weight: Matrix<'_, T>, bias: Option<&[T]>) {
    let (outputs, inputs) = weight.dims();
    if into.is_empty() {
        return;
    }
    let rows = into.len() / outputs;
    if inputs > 0
        && let (Some(into), Some(input), Some(weight), Some(level)) = (
            T::as_f32_mut(into),
            T::as_f32(input),
            weight.as_f32(),
            in_vectors(rows),
        )
    {
        let mode = begin(into, bias.and_then(T::as_f32));
        let input = Matrix::new(input, rows, inputs);
        let ends: Vec<usize> = parts(inputs).map(|part| part.end).collect();
        return product(level, into, mode, input, weight.t(), &ends);
    }
    let task = match is_small(rows, inputs, outputs) {
        // Halves, but of no few rows.
        true if rows > ROWS_A_TASK => rows.div_ceil(2),
        true => rows,
        false => ROWS_A_TASK,
    };
    let run = |(i, into): (usize, &mut [T])| {
        let mode = begin(into, bias);
        let rows = into.len() / outputs;
        let input = Matrix::new(&input[i * task * inputs..][..rows * inputs], rows, inputs);
        for part in parts(inputs) {
            let mode = if part.start == 0 { mode } else { Into::Add };
            let (input, weight) = (input.some_columns(part.clone()), weight.some_columns(part));
            gemm(into, mode, input, weight.t(), Threads::One);
        }
    };
    match task < rows {
        true => into
            .par_chunks_mut(task * outputs)
            .enumerate()
            .for_each(run),
        false => run((0, into)),
    }
}

/// The bias in each row, where there is one.
fn begin<T: Element>(into: &mut [T], bias: Option<&[T]>) -> Into {
    let Some(bias) = bias else {
        return Into::Replace;
    };
    for row in into.chunks_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
    Into::Add
}

/// The processor's vectors, where there are rows enough for them.
fn in_vectors(rows: usize) -> Option<Level> {
    (rows >= FEW_ROWS).then(Level::detect).flatten()
}

/// The gradients of input (where it is asked for), weight and bias.
fn backward<T: Element>(
    input: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let (rows, inputs) = input.dims2()?;
    let outputs = weight.dim(0)?;
    let mut grad_input = match input.track_op() {
        true => Some(zeros::<T>(rows * inputs)?),
        false => None,
    };
    let mut found = Gradients {
        weight: zeros::<T>(outputs * inputs)?,
        bias: zeros::<T>(outputs)?,
    };
    with_elements::<T, _>(grad, |grad| {
        with_elements::<T, _>(input, |input| {
            with_elements::<T, _>(weight, |weight| {
                let weight = (weight, (outputs, inputs));
                found.of(grad_input.as_deref_mut(), input, weight, grad, rows);
                Ok(())
            })
        })
    })?;
    let device = input.device();
    Ok((
        grad_input
            .map(|values| Tensor::from_vec(values, input.shape(), device))
            .transpose()?,
        Tensor::from_vec(found.weight, weight.shape(), device)?,
        Tensor::from_vec(found.bias, outputs, device)?,
    ))
}

/// Of weight and bias, with room for them.
pub(super) struct Gradients<T> {
    pub(super) weight: Vec<T>,
    pub(super) bias: Vec<T>,
}

impl<T: Element> Gradients<T> {
    /// Fills them, and `of_input` where it is asked for.
    pub(super) fn of(
        &mut self,
        mut of_input: Option<&mut [T]>,
        input: &[T],
        (weight, (outputs, inputs)): (&[T], (usize, usize)),
        grad: &[T],
        rows: usize,
    ) {
        let mut of_weight = || {
            column_sums(grad, &mut self.bias);
            weight_gradient(&mut self.weight, grad, input, (rows, inputs, outputs));
        };
        let mut of_input = || {
            if let Some(into) = &mut of_input {
                let grad = Matrix::new(grad, rows, outputs);
                multiply(into, grad, Matrix::new(weight, outputs, inputs), rows);
            }
        };
        if rows * inputs * outputs < TOO_FEW {
            of_weight();
            of_input();
        } else {
            rayon::join(of_weight, of_input);
        }
    }
}

/// `grad`ᵀ (rows, outputs) times `input` (rows, inputs).
fn weight_gradient<T: Element>(
    into: &mut [T],
    grad: &[T],
    input: &[T],
    (rows, inputs, outputs): (usize, usize, usize),
) {
    let mut wide = outputs;
    if let (Some(into), Some(grad), Some(input)) =
        (T::as_f32_mut(into), T::as_f32(grad), T::as_f32(input))
        && narrow::FEW.contains(&outputs)
    {
        narrow::weight_gradient(into, grad, input, outputs);
        wide = narrow::last_outputs(outputs).start;
    }
    let grad = Matrix::new(grad, rows, outputs).some_columns(0..wide);
    let input = Matrix::new(input, rows, inputs);
    multiply(&mut into[..wide * inputs], grad.t(), input, rows);
}

/// `into = a·b`, on the way back of a batch of so many rows.
fn multiply<T: Element>(into: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, rows: usize) {
    let (_, inner) = a.dims();
    if inner <= MOST_IN_VECTORS
        && let (Some(into), Some(a), Some(b), Some(level)) = (
            T::as_f32_mut(into),
            a.as_f32(),
            b.as_f32(),
            in_vectors(rows),
        )
    {
        return product(level, into, Into::Replace, a, b, &[inner]);
    }
    gemm(into, Into::Replace, a, b, Threads::Pool);
}

fn gradients(
    input: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let grad = grad.contiguous()?;
    match grad.dtype() {
        DType::F64 => backward::<f64>(input, weight, &grad),
        _ => backward::<f32>(input, weight, &grad),
    }
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_float!(input, NAME, T => {
            forward::<T>((input, input_layout), (weight, weight_layout), None)
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (grad_input, grad_weight, _) = gradients(input, weight, grad)?;
        Ok((grad_input, hand_over(weight, grad_weight)))
    }
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_float!(input, NAME, T => {
            let bias = Some((bias, bias_layout));
            forward::<T>((input, input_layout), (weight, weight_layout), bias)
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_input, grad_weight, grad_bias) = gradients(input, weight, grad)?;
        let grad_bias = hand_over(bias, grad_bias);
        Ok((grad_input, hand_over(weight, grad_weight), grad_bias))
    }
}
