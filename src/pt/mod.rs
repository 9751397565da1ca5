//! PyTorch's `.pt` files: a state dict into a network, without Python.
//!
//! | PyTorch | here |
//! |---|---|
//! | `torch.load(path)`, of a state dict | [`read_state_dict`] |
//! | `net.load_state_dict(torch.load(path))` | [`load_pt`] |
//!
//! Both serialisations are read: the zip archive of PyTorch 1.6 and later, and the older one
//! (`_use_new_zipfile_serialization=False`). As with `weights_only=True`, nothing in a file is run.

mod archive;
mod machine;
mod pickle;
mod tensor;

use std::path::Path;

use candle_core::Tensor;

use crate::nn::{Network, assign};
use crate::state::StateDict;
use crate::{Error, Result, files};
use archive::Archive;
use pickle::{Id, Problem, Value};
use tensor::Budget;

const CURE: &str = "save it again with torch.save(net.state_dict(), path)";

/// The tensors of a state dict with their names, in the file's order. Equivalent of `torch.load(path)`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `path` | required | what `torch.save(net.state_dict(), path)` wrote | a file |
///
/// Tensors of f64, f32, f16, bf16, i64, i32, i16, u8 and bool, with any strides. Tensors that share a
/// storage are each read in full; together they may have 32 times the bytes of the file's storages and
/// 64 MiB.
///
/// # Errors
///
/// [`Error::MissingFile`] where there is no such file, [`Error::Io`] where it cannot be read,
/// [`Error::CorruptFile`] where it is truncated, is no `.pt` file, or holds something else than a dict
/// of tensors.
///
/// # Differences from PyTorch
///
/// A small file whose tensors would fill the memory is refused. The tensors are on the CPU, wherever
/// they were saved from. A bool becomes a `u8` of 0 or 1. Files
/// from big-endian machines and types that candle has not are refused.
///
/// # Example
///
/// ```
/// use candlelight::pt::read_state_dict;
///
/// # fn main() -> candlelight::Result<()> {
/// let state = read_state_dict("tests/pt/net.pt")?;
/// let (name, tensor) = &state[0];
/// assert_eq!((name.as_str(), tensor.dims()), ("conv1.weight", [10, 1, 5, 5].as_slice()));
/// # Ok(())
/// # }
/// ```
pub fn read_state_dict(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    let path = path.as_ref();
    let archive = open(path, CURE)?;
    state_dict(&archive).map_err(|problem| corrupt(path, problem, CURE))
}

/// Gives a network the parameters in a state dict. Equivalent of
/// `net.load_state_dict(torch.load(path))`.
///
/// | parameter | default | meaning | valid |
/// |---|---|---|---|
/// | `net` | required | the network | its parameters have the names that the file has |
/// | `path` | required | what `torch.save(net.state_dict(), path)` wrote | a file |
///
/// Values are brought to the parameter's dtype and device. Where there is an error no parameter has
/// changed.
///
/// # Errors
///
/// Those of [`read_state_dict`]; [`Error::WrongState`] where the file lacks a parameter, has one too
/// many, or has one of another shape.
///
/// # Differences from PyTorch
///
/// Always strict. There are no buffers: a network's state is its parameters.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// load_pt(&net, "tests/pt/net.pt")?;
///
/// let large = LargeNet::new(var_builder(DType::F32, &Device::Cpu))?;
/// let error = load_pt(&large, "tests/pt/net.pt").unwrap_err();
/// assert!(error.to_string().contains("conv1.weight has shape [10, 1, 5, 5], the network's [32, 1, 3, 3]"));
/// # Ok(())
/// # }
/// ```
pub fn load_pt(net: &dyn Network, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut state: StateDict = read_state_dict(path)?.into_iter().collect();
    for (name, var) in net.named_parameters() {
        if let Some(tensor) = state.get(&name) {
            state.insert(name, tensor.to_dtype(var.dtype())?);
        }
    }
    assign(net, &state, path.display().to_string())
}

/// The tensors of a file that holds a tuple of them, such as a data set; `cure` tells how to get a
/// good one.
pub(crate) fn read_tuple(path: &Path, cure: &str) -> Result<Vec<Tensor>> {
    let archive = open(path, cure)?;
    let pickle = &archive.pickle;
    let mut budget = Budget::of(&archive);
    let items = pickle.tuple(pickle.root);
    items
        .and_then(|items| {
            items
                .iter()
                .map(|&id| tensor::tensor(&archive, id, &mut budget))
                .collect()
        })
        .map_err(|problem| corrupt(path, problem, cure))
}

fn open(path: &Path, cure: &str) -> Result<Archive> {
    let bytes = files::read(path, cure)?;
    Archive::parse(&bytes).map_err(|problem| corrupt(path, problem, cure))
}

fn state_dict(archive: &Archive) -> Result<Vec<(String, Tensor)>, Problem> {
    let pickle = &archive.pickle;
    let entries = match pickle.value(pickle.root) {
        Value::Dict(entries) => entries,
        other => {
            return Err(format!(
                "it holds {} where a state dict stands",
                pickle.describe(other)
            ));
        }
    };
    let mut budget = Budget::of(archive);
    let entry = |&(key, value): &(Id, Id)| {
        let name = pickle.text(key)?.to_string();
        let tensor = tensor::tensor(archive, value, &mut budget)
            .map_err(|problem| format!("under {name:?} it holds {problem}"))?;
        Ok((name, tensor))
    };
    entries.iter().map(entry).collect()
}

fn corrupt(path: &Path, problem: Problem, cure: &str) -> Error {
    Error::CorruptFile {
        path: path.into(),
        // A file's own names stand in some problems, and an error is one line.
        problem: problem.replace(['\n', '\r'], " "),
        cure: cure.into(),
    }
}
