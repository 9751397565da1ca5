//! Kernels' machine code: compiled for the card at hand, kept on disk, loaded once.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
use candle_core::cuda_backend::cudarc::driver::{CudaModule, DriverError};
use candle_core::cuda_backend::cudarc::nvrtc::{Ptx, result, sys};
use candle_core::{Error, Result, bail};
use rayon::prelude::*;

use crate::ops::architecture::architecture;
use crate::ops::kept;

/// NVRTC has no header for INFINITY.
const FOR_ALL: [&str; 2] = ["--std=c++17", "-DINFINITY=__int_as_float(0x7f800000)"];

/// What is compiled by itself.
pub(super) struct Unit {
    /// A text of kernels, by a name of its own.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// What comes behind it.
    pub(super) own: String,
    pub(super) options: Vec<String>,
}

/// The modules of all units on a device. Those that are missing are compiled side by side, as far as NVRTC does that: the
/// small net's twelve kernels take NVRTC 13.0 1.6 s in turn, and 1.0 s with two threads.
pub(super) fn loaded(device: &CudaDevice, units: &[Unit]) -> Result<Vec<Arc<CudaModule>>> {
    let context = device.cuda_stream().context().clone();
    let keys: Vec<Key> = units
        .iter()
        .map(|unit| unit.key(context.ordinal()))
        .collect();
    let missing: Vec<usize> = {
        let known = known();
        (0..units.len())
            .filter(|&i| !known.contains_key(&keys[i]))
            .collect()
    };
    if !missing.is_empty() {
        let card = context.compute_capability().map_err(Error::wrap)?;
        let kind = architecture(&kinds()?, card)?;
        // Nothing is locked meanwhile: a thread that waits here may do another's work, which asks for kernels, too.
        let images = missing.par_iter().map(|&i| units[i].compiled(&kind));
        let images = images.collect::<Result<Vec<_>>>()?;
        for (i, image) in missing.into_iter().zip(images) {
            let module = context.load_module(Ptx::from_binary(image));
            let module = module.map_err(|error| refused(&units[i], error))?;
            // Another thread's, where it was faster: what runs meanwhile may be of that one.
            known().entry(keys[i].clone()).or_insert(module);
        }
    }
    let known = known();
    Ok(keys.iter().map(|key| known[key].clone()).collect())
}

/// Why the driver did not load a unit.
fn refused(unit: &Unit, error: DriverError) -> Error {
    let cure = match error.0 {
        CUresult::CUDA_ERROR_INVALID_IMAGE
        | CUresult::CUDA_ERROR_INVALID_PTX
        | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
            "; the driver must be as new as the CUDA toolkit, or newer"
        }
        _ => "",
    };
    let what = unit.own.trim();
    Error::msg(format!(
        "CUDA: the driver does not load {} {what}: {error}{cure}",
        unit.name
    ))
}

/// The card's number and what tells a unit from others.
type Key = (usize, String);

/// All that is loaded. It stays: a trainer captures a step at each `fit`.
fn known() -> MutexGuard<'static, BTreeMap<Key, Arc<CudaModule>>> {
    static KNOWN: Mutex<BTreeMap<Key, Arc<CudaModule>>> = Mutex::new(BTreeMap::new());
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unit {
    fn key(&self, card: usize) -> Key {
        let Self {
            name, own, options, ..
        } = self;
        (card, format!("{name} {} {own}", options.join(" ")))
    }

    /// From the user's cache where it is there.
    fn compiled(&self, kind: &str) -> Result<Vec<u8>> {
        let text = format!("{}\n{}", self.text, self.own);
        let (major, minor) = version()?;
        let options = &self.options;
        let key = format!("NVRTC {major}.{minor} {kind} {FOR_ALL:?} {options:?}\n{text}");
        kept::compiled(&key, || compile(self.name, &text, options, kind))
    }
}

/// Machine code for a kind of card, or PTX for a virtual one.
#[allow(unsafe_code)]
fn compile(name: &str, text: &str, options: &[String], kind: &str) -> Result<Vec<u8>> {
    let mut options = options.to_vec();
    options.extend(FOR_ALL.map(String::from));
    options.push(format!("--gpu-architecture={kind}"));
    let (text, file) = match (CString::new(text), CString::new(format!("{name}.cu"))) {
        (Ok(text), Ok(file)) => (text, file),
        _ => bail!("CUDA: the text of {name} holds a zero"),
    };
    let program = result::create_program(&text, Some(&file)).map_err(Error::wrap)?;
    let ptx = kind.starts_with("compute_");
    let code = || {
        // SAFETY: the program is there until the end, and what is written has the size that it states.
        unsafe {
            if ptx {
                let code = result::get_ptx(program)?;
                return Ok(code.into_iter().map(|byte| byte as u8).collect());
            }
            let mut size = 0;
            sys::nvrtcGetCUBINSize(program, &mut size).result()?;
            // For a kind that is no card's.
            if size == 0 {
                return Err(result::NvrtcError(
                    sys::nvrtcResult::NVRTC_ERROR_INVALID_INPUT,
                ));
            }
            let mut code = vec![0; size];
            sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()?;
            Ok(code)
        }
    };
    // SAFETY: the program is this function's own; it is destroyed once, at the end.
    let (compiled, log) = unsafe {
        let compiled = result::compile_program(program, &options).and_then(|()| code());
        let log = result::get_program_log(program);
        let _ = result::destroy_program(program);
        (compiled, log)
    };
    compiled.or_else(|error: result::NvrtcError| {
        let log: Vec<u8> = log
            .unwrap_or_default()
            .into_iter()
            .map(|c| c as u8)
            .collect();
        let log = CStr::from_bytes_until_nul(&log).unwrap_or_default();
        bail!(
            "CUDA: {name} does not compile: {error:?}\n{}",
            log.to_string_lossy()
        )
    })
}

/// The kinds of cards that NVRTC knows, 90 for compute capability 9.0.
#[allow(unsafe_code)]
fn kinds() -> Result<Vec<i32>> {
    let mut count = 0;
    // SAFETY: it writes a number.
    let found = unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) };
    found.result().map_err(Error::wrap)?;
    let mut kinds = vec![0; count.max(0) as usize];
    // SAFETY: it writes so many numbers.
    let found = unsafe { sys::nvrtcGetSupportedArchs(kinds.as_mut_ptr()) };
    found.result().map_err(Error::wrap)?;
    Ok(kinds)
}

#[allow(unsafe_code)]
fn version() -> Result<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: it writes two numbers.
    let found = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    found.result().map_err(Error::wrap)?;
    Ok((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWICE: &str = "extern \"C\" __global__ void twice(real *x) { x[0] *= 2; }";

    fn of_float(name: &str, text: &str, kind: &str) -> Result<Vec<u8>> {
        compile(name, text, &["-Dreal=float".into()], kind)
    }

    #[test]
    fn a_known_kind_gets_machine_code_and_an_older_one_ptx() {
        assert!(kinds().unwrap().contains(&90));
        let code = of_float("twice", TWICE, "sm_90").unwrap();
        assert!(code.starts_with(b"\x7fELF"));
        let code = of_float("twice", TWICE, "compute_90").unwrap();
        assert!(code.ends_with(&[0]));
        assert!(String::from_utf8(code).unwrap().contains(".target sm_90"));
    }

    /// The nets' kernels, for a card's own kind and for one that the driver translates from.
    #[test]
    fn every_kernel_of_a_step_compiles() {
        let mut texts: Vec<String> = Vec::new();
        for plan in crate::ops::captured::tests::plans_for_a_card() {
            texts.extend(plan.kernels().0.into_iter().map(|kernel| kernel.text));
        }
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 12);
        let all = ["sm_90", "compute_80"].map(|kind| texts.iter().map(move |text| (kind, text)));
        let all: Vec<_> = all.into_iter().flatten().collect();
        all.into_par_iter().for_each(|(kind, text)| {
            let text = format!("{}\n{text}", crate::ops::captured::KERNELS);
            of_float("step", &text, kind).unwrap();
        });
    }

    #[test]
    fn what_does_not_compile_is_shown() {
        let error = of_float("twice", "void twice(number x) {}", "sm_90").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("twice does not compile"), "{error}");
        assert!(error.contains("\"number\" is undefined"), "{error}");
    }
}
