//! A network's parameters from named tensors.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Tensor, Var};

use super::Network;
use crate::{Error, Result};

/// Gives each parameter the tensor of its name; `path` is where they come from, for errors.
///
/// Everything is checked and converted before anything changes.
pub(crate) fn assign(net: &dyn Network, tensors: Vec<(String, Tensor)>, path: &Path) -> Result<()> {
    let parameters = net.named_parameters();
    let named: HashMap<&str, &Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut problems = Vec::new();
    let mut pairs: Vec<(&Var, &Tensor)> = Vec::new();
    for (name, var) in &parameters {
        match named.get(name.as_str()) {
            None => problems.push(format!("{name} is missing")),
            Some(tensor) if tensor.dims() != var.dims() => problems.push(format!(
                "{name} has shape {:?}, the network's {:?}",
                tensor.dims(),
                var.dims()
            )),
            Some(tensor) => pairs.push((var, tensor)),
        }
    }
    for (name, _) in &tensors {
        if !parameters.iter().any(|(known, _)| known == name) {
            problems.push(format!("{name} is not in the network"));
        }
    }
    if !problems.is_empty() {
        return Err(Error::WrongState {
            path: path.into(),
            problem: problems.join(", ").replace(['\n', '\r'], " "),
        });
    }
    let converted = pairs
        .into_iter()
        .map(|(var, tensor)| {
            let tensor = tensor.to_dtype(var.dtype())?.to_device(var.device())?;
            // A tensor of its own: the caller's stays the caller's.
            Ok((var, tensor.copy()?))
        })
        .collect::<Result<Vec<_>>>()?;
    for (var, tensor) in converted {
        var.set(&tensor)?;
    }
    Ok(())
}
