//! Which outputs' gradients are not zero: those that the pooling took and the ReLU let through.
#![allow(unsafe_code)]

use std::cmp::Ordering::{Equal, Less};
use std::ops::Range;

use crate::ops::simd::Level;
use crate::size::Size2;

/// Gradients that are not zero, side by side with where they are.
#[derive(Debug, Default)]
pub(in crate::ops) struct List {
    pub(in crate::ops) values: Vec<f32>,
    /// The place of the window's first pixel in the padded input.
    pub(in crate::ops) at: Vec<u32>,
    n: usize,
}

/// One channel of one image: its outputs after pooling and ReLU, their gradients, and which pixel of its
/// window each was; without a pooling `which` is empty.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Plane<'a> {
    /// Where a ReLU made them; without, the gradients themselves tell which are not zero.
    pub(in crate::ops) outputs: Option<&'a [f32]>,
    pub(in crate::ops) grads: &'a [f32],
    pub(in crate::ops) which: &'a [u8],
    /// Rows and columns of `grads`.
    pub(in crate::ops) size: Size2,
}

impl Plane<'_> {
    fn pooled(&self) -> bool {
        !self.which.is_empty()
    }

    /// Rows of the convolution's output, as far as the pooling saw them.
    pub(in crate::ops) fn rows(&self) -> usize {
        self.size.h * if self.pooled() { 2 } else { 1 }
    }
}

impl List {
    /// An empty list with room for `n`, in rows of `w`.
    pub(in crate::ops) fn clear(&mut self, n: usize, w: usize) {
        self.n = 0;
        // Whole vectors are written, of which only the first numbers may count.
        let room = n + w + 16;
        if self.at.len() < room {
            self.values.resize(room, 0.0);
            self.at.resize(room, 0);
        }
    }

    /// How many numbers may be written.
    pub(super) fn room(&self) -> usize {
        self.at.len()
    }

    pub(in crate::ops) fn len(&self) -> usize {
        self.n
    }

    /// Some rows of the convolution's output; the window of pixel (y, x) has its first at
    /// `first` + y·`width` + x.
    pub(in crate::ops) fn push(
        &mut self,
        level: Level,
        plane: Plane<'_>,
        rows: Range<usize>,
        first: u32,
        width: u32,
    ) {
        let Size2 { h, w } = plane.size;
        assert!(rows.end <= plane.rows());
        assert!(plane.grads.len() == h * w);
        assert!(plane.outputs.is_none_or(|outputs| outputs.len() == h * w));
        assert!(!plane.pooled() || plane.which.len() == h * w);
        let most = rows.len().div_ceil(if plane.pooled() { 2 } else { 1 }) * w;
        assert!(self.n + most + 16 <= self.at.len());
        assert!(self.values.len() == self.at.len());
        match level {
            // SAFETY: the level was detected on this processor; the assertions hold that the rows are there,
            // and that there is room.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.push_avx512(plane, rows, first, width) },
            // The others cannot store the chosen of a vector side by side.
            _ => self.push_plain(plane, rows, first, width),
        }
    }

    /// Without a branch: which are there is as good as random.
    fn push_plain(&mut self, plane: Plane<'_>, rows: Range<usize>, first: u32, width: u32) {
        let w = plane.size.w;
        let mut n = self.n;
        for y in rows {
            let (row, window) = if plane.pooled() { (y / 2, 2) } else { (y, 1) };
            let grads = &plane.grads[row * w..][..w];
            for (x, &grad) in grads.iter().enumerate() {
                let mut there = match plane.outputs {
                    Some(outputs) => {
                        !matches!(outputs[row * w + x].partial_cmp(&0.0), Some(Less | Equal))
                    }
                    None => grad != 0.0,
                };
                let mut at = first + y as u32 * width + window * x as u32;
                if plane.pooled() {
                    let which = plane.which[row * w + x];
                    there &= usize::from(which >> 1) == y % 2;
                    at += u32::from(which & 1);
                }
                (self.values[n], self.at[n]) = (grad, at);
                n += usize::from(there);
            }
        }
        self.n = n;
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,popcnt")]
    unsafe fn push_avx512(&mut self, plane: Plane<'_>, rows: Range<usize>, first: u32, width: u32) {
        use std::arch::x86_64::*;
        let w = plane.size.w;
        let pooled = plane.pooled();
        let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        let (values_to, at_to) = (self.values.as_mut_ptr(), self.at.as_mut_ptr());
        let mut n = self.n;
        // SAFETY: what is loaded lies in the row; what is stored, in the room that `clear` made.
        unsafe {
            for y in rows {
                let row = if pooled { y / 2 } else { y };
                let first = _mm512_set1_epi32((first + y as u32 * width) as i32);
                for x in (0..w).step_by(16) {
                    let in_row = (0xffff_u32 >> (16 - (w - x).min(16))) as u16;
                    let place = row * w + x;
                    let grads = _mm512_maskz_loadu_ps(in_row, plane.grads.as_ptr().add(place));
                    let zero = _mm512_setzero_ps();
                    let mut there = match plane.outputs {
                        Some(outputs) => {
                            let outputs = outputs.as_ptr().add(place);
                            let outputs = _mm512_maskz_loadu_ps(in_row, outputs);
                            _mm512_mask_cmp_ps_mask::<_CMP_NLE_UQ>(in_row, outputs, zero)
                        }
                        None => _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(in_row, grads, zero),
                    };
                    let column = _mm512_add_epi32(_mm512_set1_epi32(x as i32), lanes);
                    let mut at = _mm512_add_epi32(first, column);
                    if pooled {
                        let which = plane.which.as_ptr().add(place).cast();
                        let which = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(in_row, which));
                        let two = _mm512_set1_epi32(2);
                        let low = _mm512_mask_test_epi32_mask(there, which, two);
                        there = if y % 2 == 1 { low } else { there & !low };
                        let right = _mm512_and_si512(which, _mm512_set1_epi32(1));
                        at = _mm512_add_epi32(_mm512_add_epi32(at, column), right);
                    }
                    let values = _mm512_maskz_compress_ps(there, grads);
                    let at = _mm512_maskz_compress_epi32(there, at);
                    _mm512_storeu_ps(values_to.add(n), values);
                    _mm512_storeu_si512(at_to.add(n).cast(), at);
                    n += there.count_ones() as usize;
                }
            }
        }
        self.n = n;
    }
}
