//! Numbers in memory: which types the kernels take, and how they reach a tensor's elements.

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor, WithDType, bail};

use super::exp_log;

/// f32 and f64.
pub(crate) trait Element: WithDType + std::ops::Neg<Output = Self> {
    const ZERO: Self;
    const NEG_INFINITY: Self;

    fn is_nan(self) -> bool;
    fn exp_all(values: &mut [Self]);
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    /// `self · factor + term`, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `yes` or `no`, without a branch.
    fn select(condition: bool, yes: Self, no: Self) -> Self;
    fn as_mut_slice(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// The same numbers, for kernels that take f32 alone; `None` for f64.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;
    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]>;
    /// The way back; called for f32 alone.
    fn from_f32_vec(values: Vec<f32>) -> Vec<Self>;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn exp_all(values: &mut [f32]) {
        exp_log::exp_all(values);
    }

    fn ln(self) -> Self {
        exp_log::ln(self)
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }

    fn select(condition: bool, yes: Self, no: Self) -> Self {
        let mask = u32::from(condition).wrapping_neg();
        Self::from_bits((yes.to_bits() & mask) | (no.to_bits() & !mask))
    }

    fn as_mut_slice(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }

    fn as_f32(values: &[f32]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_f32_mut(values: &mut [f32]) -> Option<&mut [f32]> {
        Some(values)
    }

    fn from_f32_vec(values: Vec<f32>) -> Vec<f32> {
        values
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn exp_all(values: &mut [f64]) {
        for value in values {
            *value = value.exp();
        }
    }

    fn ln(self) -> Self {
        self.ln()
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }

    fn select(condition: bool, yes: Self, no: Self) -> Self {
        let mask = u64::from(condition).wrapping_neg();
        Self::from_bits((yes.to_bits() & mask) | (no.to_bits() & !mask))
    }

    fn as_mut_slice(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(values) => Some(values),
            _ => None,
        }
    }

    fn as_f32(_: &[f64]) -> Option<&[f32]> {
        None
    }

    fn as_f32_mut(_: &mut [f64]) -> Option<&mut [f32]> {
        None
    }

    fn from_f32_vec(values: Vec<f32>) -> Vec<f64> {
        values.into_iter().map(f64::from).collect()
    }
}

/// Calls `$body` with `$T` the element type of `$storage`; an error for other types.
macro_rules! for_float {
    ($storage:expr, $name:expr, $T:ident => $body:expr) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => {
                type $T = f32;
                $body
            }
            candle_core::CpuStorage::F64(_) => {
                type $T = f64;
                $body
            }
            _ => candle_core::bail!("{}: the elements must be f32 or f64", $name),
        }
    };
}
pub(crate) use for_float;

/// The elements of a contiguous tensor.
pub(crate) fn elements<'a, T: Element>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [T]> {
    let all = storage.as_slice::<T>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!("a kernel was given a tensor that is not contiguous"),
    }
}

/// Calls `body` with the elements of a contiguous tensor on the CPU.
pub(crate) fn with_elements<T: Element, R>(
    tensor: &Tensor,
    body: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => body(elements(storage, layout)?),
        _ => bail!("a CPU kernel was given a tensor on another device"),
    }
}

/// Whether `copies` times `n` elements of this type fit into memory.
pub(crate) fn fits<T>(n: usize, copies: usize) -> bool {
    // Only large requests can fail; for those, ask before taking.
    if n <= 1 << 26 {
        return true;
    }
    let mut asked = Vec::<T>::new();
    let there = n
        .checked_mul(copies)
        .is_some_and(|n| asked.try_reserve_exact(n).is_ok());
    // Unseen by the optimizer, which takes away a request that nobody uses, and says it was granted.
    std::hint::black_box(&asked);
    there
}

/// `n` zeros; an error where there is no such memory.
pub(crate) fn zeros<T: Element>(n: usize) -> Result<Vec<T>> {
    if n > 1 << 14 {
        super::memory::keep_freed();
    }
    if !fits::<T>(n, 1) {
        bail!("{n} numbers do not fit into memory; use a smaller batch, image or padding");
    }
    Ok(vec![T::ZERO; n])
}

/// A result of a kernel as candle wants it.
pub(crate) fn output<T: Element>(
    values: Vec<T>,
    shape: impl Into<Shape>,
) -> Result<(CpuStorage, Shape)> {
    Ok((T::to_cpu_storage_owned(values), shape.into()))
}

/// The sum in a fixed order: sixteen running sums, which the compiler keeps in vector registers,
/// then those one after another.
pub(crate) fn sum<T: Element>(values: &[T]) -> T {
    let mut lanes = [T::ZERO; 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    lanes.into_iter().fold(T::ZERO, |total, lane| total + lane)
}

/// `into[i] += from[i]`.
pub(crate) fn add<T: Element>(into: &mut [T], from: &[T]) {
    for (into, &from) in into.iter_mut().zip(from) {
        *into += from;
    }
}
