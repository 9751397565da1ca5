//! The files of cases. The metadata's `cases` is a JSON list; the tensors of case i are named `i/…`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use candlelight::candle_core::{Device, Tensor, Var, safetensors};
use candlelight::prelude::DeviceChoice;
use candlelight::size::Size2;
use serde_json::Value;

/// What stops a case from being compared: a file without a tensor it should have, an argument of a
/// kind that is not known, or an error of the library where PyTorch has an answer.
pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

static DEVICE: OnceLock<DeviceChoice> = OnceLock::new();

/// Where layers, losses and optimizers are run: what `PARITY_DEVICE` names, else the CPU.
pub fn choose_device() -> Result<&'static DeviceChoice> {
    let name = std::env::var("PARITY_DEVICE").unwrap_or("cpu".into());
    let device = name.parse::<DeviceChoice>()?;
    Ok(DEVICE.get_or_init(|| device))
}

/// The chosen one.
pub fn device() -> &'static Device {
    DEVICE.get().map_or(&Device::Cpu, DeviceChoice::device)
}

/// A file of cases.
pub struct Cases {
    pub pytorch: String,
    pub list: Vec<Case>,
}

pub struct Case {
    pub index: usize,
    /// The operation: `conv2d`, `Adam`, `randperm`, …
    pub op: String,
    pub args: Value,
    /// PyTorch's message, where it refused.
    pub refusal: Option<String>,
    /// What else is known: `steps`, `batch_size`.
    pub fields: Value,
    tensors: HashMap<String, Tensor>,
}

pub fn read(path: &Path) -> Result<Cases> {
    let bytes = std::fs::read(path)?;
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes)?;
    let entry = |name: &str| -> Result<String> {
        let metadata = header.metadata().as_ref();
        let entry = metadata.and_then(|metadata| metadata.get(name));
        Ok(entry.ok_or(format!("no metadata {name}"))?.clone())
    };
    let cases: Vec<Value> = serde_json::from_str(&entry("cases")?)?;
    let mut list = Vec::with_capacity(cases.len());
    for (index, fields) in cases.into_iter().enumerate() {
        let refusal = match fields["raises"].as_bool() {
            Some(true) => Some(fields["message"].as_str().unwrap_or_default().to_string()),
            _ => None,
        };
        list.push(Case {
            index,
            op: fields["op"]
                .as_str()
                .ok_or("a case without op")?
                .to_string(),
            args: fields["args"].clone(),
            refusal,
            fields,
            tensors: HashMap::new(),
        });
    }
    for (name, tensor) in safetensors::load_buffer(&bytes, device())? {
        let (index, name) = name.split_once('/').ok_or("a tensor without a case")?;
        let case = list.get_mut(index.parse::<usize>()?);
        let case = case.ok_or("a tensor of no case")?;
        case.tensors.insert(name.to_string(), tensor);
    }
    Ok(Cases {
        pytorch: entry("torch")?,
        list,
    })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {}, {} {}", self.index, self.op, self.args)
    }
}

impl Case {
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub fn get(&self, name: &str) -> Result<&Tensor> {
        Ok(self.find(name).ok_or(format!("no tensor {name}"))?)
    }

    pub fn var(&self, name: &str) -> Result<Var> {
        Ok(Var::from_tensor(self.get(name)?)?)
    }

    /// The tensors whose name begins with `prefix`, under the rest of their names.
    pub fn named(&self, prefix: &str) -> HashMap<String, Tensor> {
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
        };
        self.tensors.iter().filter_map(strip).collect()
    }

    /// The argument, converted by `read`.
    pub fn arg<'a, T>(&'a self, name: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<T> {
        self.optional(name, read)?
            .ok_or(format!("no argument {name}").into())
    }

    /// The argument; `None` where it was left out, or given as PyTorch's `None`.
    pub fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match &self.args[name] {
            Value::Null => Ok(None),
            value => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(format!("{name}={value} is not understood").into()),
            },
        }
    }

    pub fn usize(&self, name: &str) -> Result<usize> {
        self.arg(name, count)
    }

    pub fn f64(&self, name: &str) -> Result<f64> {
        self.arg(name, Value::as_f64)
    }

    pub fn bool(&self, name: &str) -> Result<bool> {
        self.arg(name, Value::as_bool)
    }

    pub fn str(&self, name: &str) -> Result<&str> {
        self.arg(name, Value::as_str)
    }

    pub fn size(&self, name: &str) -> Result<Size2> {
        self.arg(name, size)
    }
}

pub fn count(value: &Value) -> Option<usize> {
    Some(value.as_u64()? as usize)
}

/// An int or a pair.
pub fn size(value: &Value) -> Option<Size2> {
    match value.as_array() {
        None => count(value).map(Size2::from),
        Some(pair) => match pair.as_slice() {
            [h, w] => Some(Size2::from((count(h)?, count(w)?))),
            _ => None,
        },
    }
}
