//! The fully connected layer as an operation of candle: bias and product in one, and no transposed
//! copies on the way back.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::buffer::{Element, add, elements, for_float, output, with_elements, zeros};
use super::gemm::{Into, Matrix, Threads, gemm};

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

fn forward<T: Element>(
    (input, input_layout): (&CpuStorage, &Layout),
    (weight, weight_layout): (&CpuStorage, &Layout),
    bias: Option<(&CpuStorage, &Layout)>,
) -> Result<(CpuStorage, Shape)> {
    let (rows, inputs) = input_layout.shape().dims2()?;
    let (outputs, _) = weight_layout.shape().dims2()?;
    let mut values = zeros::<T>(rows * outputs)?;
    let mode = match bias {
        Some((bias, layout)) => {
            let bias = elements::<T>(bias, layout)?;
            for row in values.chunks_mut(outputs.max(1)) {
                row.copy_from_slice(bias);
            }
            Into::Add
        }
        None => Into::Replace,
    };
    let input = Matrix::new(elements::<T>(input, input_layout)?, rows, inputs);
    let weight = Matrix::new(elements::<T>(weight, weight_layout)?, outputs, inputs);
    gemm(&mut values, mode, input, weight.t(), Threads::Pool);
    output(values, (rows, outputs))
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
    let mut grad_weight = zeros::<T>(outputs * inputs)?;
    let mut grad_bias = zeros::<T>(outputs)?;
    with_elements::<T, _>(grad, |grad| {
        for row in grad.chunks(outputs.max(1)) {
            add(&mut grad_bias, row);
        }
        let grad = Matrix::new(grad, rows, outputs);
        with_elements::<T, _>(input, |input| {
            let input = Matrix::new(input, rows, inputs);
            gemm(
                &mut grad_weight,
                Into::Replace,
                grad.t(),
                input,
                Threads::Pool,
            );
            Ok(())
        })?;
        with_elements::<T, _>(weight, |weight| {
            if let Some(grad_input) = &mut grad_input {
                let weight = Matrix::new(weight, outputs, inputs);
                gemm(grad_input, Into::Replace, grad, weight, Threads::Pool);
            }
            Ok(())
        })
    })?;
    let device = input.device();
    Ok((
        grad_input
            .map(|values| Tensor::from_vec(values, input.shape(), device))
            .transpose()?,
        Tensor::from_vec(grad_weight, weight.shape(), device)?,
        Tensor::from_vec(grad_bias, outputs, device)?,
    ))
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
        Ok((grad_input, Some(grad_weight)))
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
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad_input, grad_weight, grad_bias) = gradients(input, weight, grad)?;
        Ok((grad_input, Some(grad_weight), Some(grad_bias)))
    }
}
