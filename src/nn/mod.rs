//! Layers: convolution, max pooling, fully connected; and two networks made of them.

#[cfg(any(feature = "cuda", test))]
mod captured;
mod conv2d;
mod features;
mod init;
mod linear;
mod max_pool2d;
mod net;
mod relu;
mod sequential;
mod state;

#[cfg(any(feature = "cuda", test))]
pub(crate) use captured::captured;
pub use conv2d::{Conv2d, Conv2dBuilder, PaddingMode};
pub use init::{var_builder, var_builder_from};
pub use linear::{Linear, LinearBuilder};
pub use max_pool2d::{MaxPool2d, MaxPool2dBuilder};
pub use net::{LargeNet, Net, Network};
pub use relu::relu;
pub use sequential::{Flatten, Layer, Relu, Sequential};
pub(crate) use state::assign;
pub use state::{load, save};

use candle_core::{DType, Device, Tensor, Var};

use crate::{Error, Result};

/// A layer's parameters under PyTorch's names.
fn weight_and_bias(weight: &Var, bias: Option<&Var>) -> Vec<(String, Var)> {
    let weight = ("weight".to_string(), weight.clone());
    let bias = bias.map(|bias| ("bias".to_string(), bias.clone()));
    std::iter::once(weight).chain(bias).collect()
}

/// The variable on another device; the same one where it is there already.
fn moved(var: &Var, device: &Device) -> Result<Var> {
    match var.device().same_device(device) {
        true => Ok(var.clone()),
        false => Ok(Var::from_tensor(
            &var.as_detached_tensor().to_device(device)?,
        )?),
    }
}

fn count(parameters: &[(String, Var)]) -> usize {
    parameters.iter().map(|(_, var)| var.elem_count()).sum()
}

fn expect_shape(
    layer: &'static str,
    what: &'static str,
    tensor: &Tensor,
    shape: &[usize],
) -> Result<()> {
    if tensor.dims() == shape {
        return Ok(());
    }
    Err(Error::WrongShape {
        layer,
        what,
        got: tensor.dims().to_vec(),
        expected: format!("{shape:?}"),
        cure: "reshape it or change the layer's sizes".to_string(),
    })
}

/// The type in which a layer computes on an input of `dtype`: f32 for the halves, which are rounded
/// once, at the end, as on PyTorch's CPU; `None` where the layers do not take it.
pub(crate) fn working_dtype(dtype: DType) -> Option<DType> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Some(DType::F32),
        DType::F64 => Some(DType::F64),
        _ => None,
    }
}

/// As [`working_dtype`]; the input must have the weights' type.
fn expect_dtype(layer: &'static str, input: &Tensor, weight: DType) -> Result<DType> {
    let got = input.dtype();
    match working_dtype(got) {
        Some(working) if got == weight => Ok(working),
        _ => Err(Error::WrongDType {
            layer,
            what: "input",
            got,
            expected: match weight {
                DType::F32 => "f32, as the weights",
                DType::F64 => "f64, as the weights",
                DType::F16 => "f16, as the weights",
                DType::BF16 => "bf16, as the weights",
                _ => "f32, f64, f16 or bf16, and the weights the same",
            },
        }),
    }
}
