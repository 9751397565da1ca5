//! Kernels' machine code: compiled for the card at hand, kept on disk, loaded once.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaModule;
use candle_core::cuda_backend::cudarc::nvrtc::{Ptx, result, sys};
use candle_core::{Error, Result, bail};
use rayon::prelude::*;

use crate::ops::architecture::architecture;
use crate::ops::kept;

/// What is compiled by itself.
pub(super) struct Unit {
    /// A text of kernels, by a name of its own.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// What comes behind it.
    pub(super) own: String,
    pub(super) options: Vec<String>,
}

/// The modules of all units on a device. Those that are missing are compiled side by side.
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
            let module = match context.load_module(Ptx::from_binary(image)) {
                Ok(module) => module,
                Err(error) => {
                    let (name, (major, minor)) = (units[i].name, version()?);
                    bail!(
                        "CUDA: the driver does not load what NVRTC {major}.{minor} made of {name}: {error}; the driver must be as new as the toolkit, or newer"
                    )
                }
            };
            known().insert(keys[i].clone(), module);
        }
    }
    let known = known();
    Ok(keys.iter().map(|key| known[key].clone()).collect())
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
        let mut options = self.options.clone();
        options.extend([
            "--std=c++17".into(),
            format!("--gpu-architecture={kind}"),
            // NVRTC has no header for it.
            "-DINFINITY=__int_as_float(0x7f800000)".into(),
        ]);
        let text = format!("{}\n{}", self.text, self.own);
        let (major, minor) = version()?;
        let key = format!("NVRTC {major}.{minor} {options:?}\n{text}");
        kept::compiled(&key, || compile(self.name, &text, &options))
    }
}

/// Machine code, or PTX where the options name no kind of card's own.
#[allow(unsafe_code)]
fn compile(name: &str, text: &str, options: &[String]) -> Result<Vec<u8>> {
    let (text, file) = match (CString::new(text), CString::new(format!("{name}.cu"))) {
        (Ok(text), Ok(file)) => (text, file),
        _ => bail!("CUDA: the text of {name} holds a zero"),
    };
    let program = result::create_program(&text, Some(&file)).map_err(Error::wrap)?;
    let ptx = options.iter().any(|option| option.contains("=compute_"));
    let code = || {
        // SAFETY: the program is there until the end, and what is written has the size that it states.
        unsafe {
            if ptx {
                let code = result::get_ptx(program)?;
                return Ok(code.into_iter().map(|byte| byte as u8).collect());
            }
            let mut size = 0;
            sys::nvrtcGetCUBINSize(program, &mut size).result()?;
            let mut code = vec![0; size];
            sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()?;
            Ok(code)
        }
    };
    // SAFETY: the program is this function's own; it is destroyed once, at the end.
    let (compiled, log) = unsafe {
        let compiled = result::compile_program(program, options).and_then(|()| code());
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

    fn options(kind: &str) -> Vec<String> {
        vec!["-Dreal=float".into(), format!("--gpu-architecture={kind}")]
    }

    #[test]
    fn a_known_kind_gets_machine_code_and_an_older_one_ptx() {
        assert!(kinds().unwrap().contains(&90));
        let code = compile("twice", TWICE, &options("sm_90")).unwrap();
        assert!(code.starts_with(b"\x7fELF"));
        let code = compile("twice", TWICE, &options("compute_90")).unwrap();
        assert!(code.ends_with(&[0]));
        assert!(String::from_utf8(code).unwrap().contains(".target sm_90"));
    }

    #[test]
    fn what_does_not_compile_is_shown() {
        let error = compile("twice", "void twice(number x) {}", &options("sm_90")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("twice does not compile"), "{error}");
        assert!(error.contains("\"number\" is undefined"), "{error}");
    }
}
