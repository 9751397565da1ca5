use std::collections::BTreeMap;
use std::collections::btree_map::{IntoIter, Iter};
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::file;
use crate::Result;

/// Tensors and numbers under their names. Equivalent of what PyTorch's `state_dict` returns.
///
/// A number is a tensor of rank 0 and type f64, so that all of it fits into a safetensors file. The
/// entries are in the order of their names.
///
/// # Differences from PyTorch
///
/// The tensors are copies: training on does not change them. Nested dictionaries are names with
/// points in them: an optimizer's `state[0]["exp_avg"]` is `state.0.exp_avg`, its
/// `param_groups[0]["lr"]` is `param_groups.0.lr`.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
/// let state = net.state_dict()?;
/// assert_eq!(state.len(), 8);
/// assert_eq!(state.names().next(), Some("conv1.bias"));
/// assert_eq!(state.get("fc2.weight").map(|weight| weight.dims()), Some(&[10, 50][..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    entries: BTreeMap<String, Tensor>,
}

impl StateDict {
    /// One without entries.
    ///
    /// # Example
    ///
    /// ```
    /// assert!(candlelight::state::StateDict::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an entry.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let mut state = StateDict::new();
    /// state.insert("fc.bias", Tensor::zeros(10, DType::F32, &Device::Cpu)?);
    /// assert_eq!(state.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.entries.insert(name.into(), tensor);
    }

    /// Sets an entry that is a number.
    ///
    /// # Errors
    ///
    /// [`Error::Candle`](crate::Error::Candle) where there is no memory.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let mut state = StateDict::new();
    /// state.insert_number("last_epoch", 3.0)?;
    /// assert_eq!(state.number("last_epoch"), Some(3.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_number(&mut self, name: impl Into<String>, number: f64) -> Result<()> {
        self.insert(name, Tensor::new(number, &Device::Cpu)?);
        Ok(())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries.get(name)
    }

    /// The number of this name; none where the entry is no number.
    pub fn number(&self, name: &str) -> Option<f64> {
        let tensor = self.get(name)?;
        match tensor.dtype() {
            DType::F64 => tensor.to_scalar::<f64>().ok(),
            _ => None,
        }
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The entries, in the order of their names.
    pub fn iter(&self) -> Iter<'_, String, Tensor> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes it as a safetensors file, which `safetensors.torch.load_file` reads. Equivalent of
    /// `torch.save(state_dict, path)`.
    ///
    /// The file is written beside `path`, flushed to the disk and renamed: whenever the process is
    /// killed, `path` holds the old file or the new one, whole. What a kill interrupts stays beside it as
    /// `.candlelight-….part`.
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
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// let path = std::env::temp_dir().join("candlelight-doc-state.safetensors");
    /// let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    /// net.state_dict()?.save(&path)?;
    /// net.load_state_dict(&StateDict::load(&path)?)?;
    /// # std::fs::remove_file(path).ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write(path.as_ref(), self, "pt")
    }

    /// Reads a safetensors file. Equivalent of `torch.load(path)`.
    ///
    /// The tensors are on the CPU; what takes them brings them to its own device.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`](crate::Error::MissingFile),
    /// [`Error::CorruptFile`](crate::Error::CorruptFile) where it is no safetensors file,
    /// [`Error::Io`](crate::Error::Io).
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::prelude::*;
    ///
    /// let error = StateDict::load("none.safetensors").unwrap_err();
    /// assert!(error.to_string().starts_with("none.safetensors: no such file or folder; "));
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Ok(file::read(path.as_ref())?.0)
    }

    /// Adds all entries of `other`, with `prefix` before their names.
    pub(crate) fn extend(&mut self, prefix: &str, other: &StateDict) {
        for (name, tensor) in other.iter() {
            self.insert(format!("{prefix}{name}"), tensor.clone());
        }
    }

    /// The entries whose names begin with `prefix`, without it.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
        };
        self.iter().filter_map(strip).collect()
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a StateDict {
    type Item = (&'a String, &'a Tensor);
    type IntoIter = Iter<'a, String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
