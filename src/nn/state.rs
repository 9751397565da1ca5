//! A network's parameters, saved and loaded.

use std::path::Path;

use candle_core::{Tensor, Var};

use super::Network;
use crate::state::StateDict;
use crate::{Error, Result};

/// Writes a network's parameters as a safetensors file, under PyTorch's names. Equivalent of
/// `torch.save(net.state_dict(), path)`.
///
/// In Python `net.load_state_dict(safetensors.torch.load_file(path))` reads it. Whenever the process is
/// killed, `path` holds the old file or the new one, whole.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) where the file cannot be written.
///
/// # Differences from PyTorch
///
/// The format: safetensors, which holds nothing but tensors and runs no code when loaded.
///
/// # Example
///
/// ```
/// use candlelight::nn;
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let path = std::env::temp_dir().join("candlelight-doc-net.safetensors");
/// let trained = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// nn::save(&trained, &path)?;
///
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// nn::load(&net, &path)?;
/// let images = Tensor::rand(0f32, 1f32, (2, 1, 28, 28), &Device::Cpu)?;
/// let (here, there) = (net.forward(&images)?, trained.forward(&images)?);
/// assert_eq!(here.to_vec2::<f32>()?, there.to_vec2::<f32>()?);
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
pub fn save(net: &(impl Network + ?Sized), path: impl AsRef<Path>) -> Result<()> {
    net.state_dict()?.save(path)
}

/// Reads what [`save`] wrote, or `safetensors.torch.save_file` in Python, into a network of the same
/// parameters. Equivalent of `net.load_state_dict(torch.load(path))`.
///
/// # Errors
///
/// [`Error::MissingFile`](crate::Error::MissingFile), [`Error::CorruptFile`](crate::Error::CorruptFile),
/// [`Error::Io`](crate::Error::Io) where the file cannot be read, and
/// [`Error::WrongState`](crate::Error::WrongState), which names the tensor, where one is missing,
/// has no place in the network, or has another shape or dtype. Then nothing has changed.
///
/// # Differences from PyTorch
///
/// Another dtype is an error; PyTorch converts.
///
/// # Example
///
/// ```
/// use candlelight::nn;
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let path = std::env::temp_dir().join("candlelight-doc-large.safetensors");
/// nn::save(&LargeNet::new(var_builder(DType::F32, &Device::Cpu))?, &path)?;
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let error = nn::load(&net, &path).unwrap_err().to_string();
/// assert!(error.contains("conv1.weight has shape [32, 1, 3, 3], the network's [10, 1, 5, 5]"));
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
pub fn load(net: &(impl Network + ?Sized), path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    assign(net, &StateDict::load(path)?, path.display().to_string())
}

pub(super) fn state_dict(net: &(impl Network + ?Sized)) -> Result<StateDict> {
    let copy = |(name, var): (String, Var)| Ok((name, var.as_tensor().copy()?.detach()));
    net.named_parameters().into_iter().map(copy).collect()
}

/// Gives each parameter the tensor of its name; `owner` is where they come from, for errors.
///
/// Everything is checked before anything changes.
pub(crate) fn assign(
    net: &(impl Network + ?Sized),
    state: &StateDict,
    owner: String,
) -> Result<()> {
    let parameters = net.named_parameters();
    let mut problems = Vec::new();
    let mut pairs: Vec<(&Var, &Tensor)> = Vec::new();
    for (name, var) in &parameters {
        let Some(tensor) = state.get(name) else {
            problems.push(format!("{name} is missing"));
            continue;
        };
        let (shape, dtype) = (tensor.dims(), tensor.dtype());
        if shape != var.dims() {
            problems.push(format!(
                "{name} has shape {shape:?}, the network's {:?}",
                var.dims()
            ));
        } else if dtype != var.dtype() {
            problems.push(format!(
                "{name} has dtype {dtype:?}, the network's {:?}",
                var.dtype()
            ));
        } else {
            pairs.push((var, tensor));
        }
    }
    for name in state.names() {
        if !parameters.iter().any(|(known, _)| known == name) {
            problems.push(format!("{name} is not in the network"));
        }
    }
    if !problems.is_empty() {
        return Err(Error::WrongState {
            owner,
            problem: problems.join(", ").replace(['\n', '\r'], " "),
            cure: "load it into the network that it was saved from",
        });
    }
    let moved = pairs
        .into_iter()
        // A tensor of its own: `set` refuses the variable's.
        .map(|(var, tensor)| Ok((var, tensor.to_device(var.device())?.copy()?)))
        .collect::<Result<Vec<_>>>()?;
    for (var, tensor) in moved {
        var.set(&tensor)?;
    }
    Ok(())
}
