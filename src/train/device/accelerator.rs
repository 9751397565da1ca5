//! What this build and this machine have besides the CPU.

use std::fmt;

use candle_core::Device;

/// A graphics card.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hardware {
    /// What its maker calls it.
    pub name: String,
    /// Its memory, in bytes.
    pub memory: usize,
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory as f64 / f64::from(1 << 30);
        write!(f, "{}, {gib:.1} GiB", self.name)
    }
}

/// A device that can be opened, else why not, with the cure.
pub(super) type Found = std::result::Result<(Device, Option<Hardware>), String>;

/// The variable by which CUDA is told which cards there are.
#[cfg(any(feature = "cuda", test))]
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Why there is no card of this number among those that CUDA counts.
#[cfg(any(feature = "cuda", test))]
fn out_of_range(number: usize, count: usize, visible: Option<&str>) -> String {
    let (there, cure) = match count {
        0 => ("there is no CUDA device".into(), "use cpu".into()),
        1 => (
            "there is one CUDA device".to_string(),
            "use cuda:0".to_string(),
        ),
        _ => (
            format!("there are {count} CUDA devices"),
            format!("use cuda:0 to cuda:{}", count - 1),
        ),
    };
    match visible {
        Some(visible) => format!(
            "{there} for this program, since {VISIBLE}={visible}, which numbers those it lists from 0; {cure}, or set the variable to other devices"
        ),
        None if number == 0 => format!("{there}; {cure}"),
        None => format!("{there}, numbered from 0; {cure}"),
    }
}

#[cfg(feature = "cuda")]
pub(super) fn cuda(number: usize) -> Found {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    let first_line = |error: String| {
        let line = error.lines().next().unwrap_or("it cannot be opened");
        format!("CUDA says: {line}; check the driver with nvidia-smi, or use cpu")
    };
    let count = CudaContext::device_count().map_err(|error| first_line(error.to_string()))?;
    let count = usize::try_from(count).unwrap_or(0);
    if number >= count {
        let visible = std::env::var(VISIBLE).ok();
        return Err(out_of_range(number, count, visible.as_deref()));
    }
    let device = opened(number).map_err(|error| first_line(error.to_string()))?;
    let hardware = match &device {
        Device::Cuda(cuda) => {
            let context = cuda.cuda_stream().context().clone();
            let of = || Some((context.name().ok()?, context.total_mem().ok()?));
            of().map(|(name, memory)| Hardware { name, memory })
        }
        _ => None,
    };
    Ok((device, hardware))
}

/// A card is opened once: to candle, each opening is a device of its own, and tensors of one do not meet those of
/// the other.
#[cfg(feature = "cuda")]
fn opened(number: usize) -> candle_core::Result<Device> {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};

    static OPENED: Mutex<Option<HashMap<usize, Device>>> = Mutex::new(None);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = opened.get_or_insert_default();
    if let Some(device) = opened.get(&number) {
        return Ok(device.clone());
    }
    // A stream that all threads share, and that a graph can be captured from.
    let device = Device::new_cuda_with_stream(number)?;
    keep_memory(&device);
    opened.insert(number, device.clone());
    Ok(device)
}

/// What is freed is kept for the next tensor. By CUDA's default it goes back to the system at each wait for the card, and
/// every step takes it anew.
#[cfg(feature = "cuda")]
fn keep_memory(device: &Device) {
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    use sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as RELEASE_THRESHOLD;

    let Device::Cuda(device) = device else {
        return;
    };
    let mut all = u64::MAX;
    // SAFETY: the pool is the device's, and the attribute a u64. A card without pools has none to ask, and works as before.
    #[allow(unsafe_code)]
    unsafe {
        let number = device.cuda_stream().context().cu_device();
        if let Ok(pool) = result::device::get_default_mem_pool(number) {
            result::mem_pool::set_attribute(pool, RELEASE_THRESHOLD, (&raw mut all).cast()).ok();
        }
    }
}

#[cfg(not(feature = "cuda"))]
pub(super) fn cuda(_: usize) -> Found {
    Err("this build is without the feature cuda; build with --features cuda, or use cpu".into())
}

#[cfg(feature = "metal")]
pub(super) fn metal(number: usize) -> Found {
    let device = Device::new_metal(number);
    let device = device.map_err(|error| format!("Metal says: {error}; use cpu"))?;
    Ok((device, None))
}

#[cfg(not(feature = "metal"))]
pub(super) fn metal(_: usize) -> Found {
    Err("this build is without the feature metal; build with --features metal, or use cpu".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_there_is_not_is_told_with_what_hides_it() {
        assert_eq!(
            out_of_range(3, 2, None),
            "there are 2 CUDA devices, numbered from 0; use cuda:0 to cuda:1"
        );
        assert_eq!(
            out_of_range(5, 1, Some("5")),
            "there is one CUDA device for this program, since CUDA_VISIBLE_DEVICES=5, which numbers those it lists from 0; use cuda:0, or set the variable to other devices"
        );
        assert_eq!(out_of_range(0, 0, None), "there is no CUDA device; use cpu");
    }

    #[test]
    fn a_cards_memory_is_in_gibibytes() {
        let card = Hardware {
            name: "NVIDIA H100 80GB HBM3".into(),
            memory: 85_017_755_648,
        };
        assert_eq!(card.to_string(), "NVIDIA H100 80GB HBM3, 79.2 GiB");
    }
}
