use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use candle_core::Device;

use crate::{Error, Result};

/// A device, and why it was picked. `Display` says both.
///
/// It stands wherever a [`Device`] or a `&Device` does.
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
    reason: String,
}

impl DeviceChoice {
    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `cpu` or `cuda`.
    pub fn name(&self) -> &'static str {
        name(&self.device)
    }

    /// Why it was picked.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// CUDA's first device where this build and this machine have it, else the CPU.
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
/// let device = pick_device()?;
/// println!("training on {device}");
/// assert!(["cpu", "cuda"].contains(&device.name()));
/// # Ok(())
/// # }
/// ```
pub fn pick_device() -> Result<DeviceChoice> {
    Ok(match cuda() {
        Ok(device) => DeviceChoice {
            device,
            reason: "the build and the machine have it".into(),
        },
        Err(problem) => DeviceChoice {
            device: Device::Cpu,
            reason: problem,
        },
    })
}

/// `auto` is [`pick_device`]; `cpu`; `cuda` is an error where it cannot be had.
impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let reason = "asked for".to_string();
        match text {
            "auto" => pick_device(),
            "cpu" => Ok(Self {
                device: Device::Cpu,
                reason,
            }),
            "cuda" => match cuda() {
                Ok(device) => Ok(Self { device, reason }),
                Err(problem) => Err(Error::NoDevice {
                    device: text.into(),
                    problem: format!("{problem}; use cpu or auto"),
                }),
            },
            _ => Err(Error::NoDevice {
                device: text.into(),
                problem: "not known; use cpu, cuda or auto".into(),
            }),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> std::result::Result<Device, String> {
    Device::new_cuda(0).map_err(|error| {
        let error = error.to_string();
        format!(
            "no CUDA device: {}",
            error.lines().next().unwrap_or("it cannot be opened")
        )
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> std::result::Result<Device, String> {
    Err("this build is without the feature cuda".into())
}

pub(super) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.reason)
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
