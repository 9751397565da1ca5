use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use candle_core::Device;

use super::accelerator::{Hardware, cuda, metal};
use super::name::{Name, name};
use crate::{Error, Result};

/// A device, and why it was picked. `Display` says both, and what the card is.
///
/// It stands wherever a [`Device`] or a `&Device` does. Asked for twice, `cuda:0` is the same device; two calls of
/// `Device::new_cuda(0)` are two devices to candle, and their tensors do not meet.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let device = "cpu".parse::<DeviceChoice>()?;
/// assert_eq!(device.to_string(), "cpu (asked for)");
/// let zeros = Tensor::zeros(3, DType::F32, &device)?;
/// assert!(zeros.device().is_cpu());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DeviceChoice {
    device: Device,
    hardware: Option<Hardware>,
    reason: String,
}

impl DeviceChoice {
    fn cpu(reason: impl Into<String>) -> Self {
        Self {
            device: Device::Cpu,
            hardware: None,
            reason: reason.into(),
        }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `cpu`, `cuda:0`, `cuda:1`, `metal:0`.
    pub fn name(&self) -> String {
        name(&self.device)
    }

    /// A CUDA card's name and memory.
    pub fn hardware(&self) -> Option<&Hardware> {
        self.hardware.as_ref()
    }

    /// Why it was picked.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// CUDA's first device where this build and this machine have it, else Metal's, else the CPU.
///
/// `CUDA_VISIBLE_DEVICES` decides which card is the first.
///
/// # Errors
///
/// None today: without CUDA there is always the CPU.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let device = best_device()?;
/// println!("training on {device}");
/// assert!(["cpu", "cuda:0", "metal:0"].contains(&&device.name()[..]));
/// # Ok(())
/// # }
/// ```
pub fn best_device() -> Result<DeviceChoice> {
    let found = |(device, hardware)| DeviceChoice {
        device,
        hardware,
        reason: "the build and the machine have it".into(),
    };
    let no_cuda = match cuda(0) {
        Ok(device) => return Ok(found(device)),
        Err(problem) => problem,
    };
    if let Ok(device) = metal(0) {
        return Ok(found(device));
    }
    // The cure is to use what it is.
    let reason = no_cuda.split("; ").next().unwrap_or(&no_cuda);
    Ok(DeviceChoice::cpu(reason))
}

/// `auto` is [`best_device`]; else one of PyTorch's names `cpu`, `cuda`, `cuda:1`, or `metal`, which PyTorch calls
/// `mps`. What is asked for by its name and cannot be had is an error.
impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" {
            return best_device();
        }
        let found = match text.parse()? {
            Name::Cpu => return Ok(Self::cpu("asked for")),
            Name::Cuda(number) => cuda(number),
            Name::Metal(number) => metal(number),
        };
        match found {
            Ok((device, hardware)) => Ok(Self {
                device,
                hardware,
                reason: "asked for".into(),
            }),
            Err(problem) => Err(Error::NoDevice {
                device: text.into(),
                problem,
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(hardware) = &self.hardware {
            write!(f, ", {hardware}")?;
        }
        write!(f, " ({})", self.reason)
    }
}

impl Deref for DeviceChoice {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl From<DeviceChoice> for Device {
    fn from(choice: DeviceChoice) -> Device {
        choice.device
    }
}

impl From<&DeviceChoice> for Device {
    fn from(choice: &DeviceChoice) -> Device {
        choice.device.clone()
    }
}
