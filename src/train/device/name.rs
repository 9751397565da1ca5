use std::fmt;
use std::str::FromStr;

use candle_core::{Device, DeviceLocation};

use crate::{Error, Result};

/// A device as PyTorch writes it: a kind, and a number where there can be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Cpu,
    Cuda(usize),
    Metal(usize),
}

/// The device's name: `cpu`, `cuda:0`, `metal:0`.
pub(in crate::train) fn name(device: &Device) -> String {
    let name = match device.location() {
        DeviceLocation::Cpu => Name::Cpu,
        DeviceLocation::Cuda { gpu_id } => Name::Cuda(gpu_id),
        DeviceLocation::Metal { gpu_id } => Name::Metal(gpu_id),
    };
    name.to_string()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal(number) => write!(f, "metal:{number}"),
        }
    }
}

/// `cpu`, `cuda`, `cuda:1`, `metal`, `metal:0`; without a number it is the first.
impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, Some(number)),
            None => (text, None),
        };
        let index = number.map_or(Ok(0), str::parse::<usize>);
        match (kind, number, index) {
            ("cpu", None, _) => Ok(Self::Cpu),
            ("cuda", _, Ok(index)) => Ok(Self::Cuda(index)),
            ("metal", _, Ok(index)) => Ok(Self::Metal(index)),
            _ => Err(Error::NoDevice {
                device: text.into(),
                problem: "not known; use auto, cpu, cuda or metal, the last two with a number where there are several, such as cuda:1".into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pytorchs() {
        for (text, name) in [
            ("cpu", Name::Cpu),
            ("cuda", Name::Cuda(0)),
            ("cuda:1", Name::Cuda(1)),
            ("metal:0", Name::Metal(0)),
        ] {
            assert_eq!(text.parse::<Name>().unwrap(), name);
        }
        for text in [
            "", "gpu", "cuda:", "cuda:-1", "cuda:one", "cpu:0", "CUDA", "cuda :1",
        ] {
            let error = text.parse::<Name>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("device {text}: not known; use auto, cpu")));
        }
    }
}
