//! Sums over pixels for many taps: the inner loop of the weights' gradient.
//!
//! Each weight's sum runs image after image, row after row, pixel after pixel, in one register lane:
//! PyTorch's order, so the same to the last digit. The lanes are output channels.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use super::sums::blocks;
use crate::ops::simd::{Kernel, Level, Quarter, Simd};
use crate::size::Size2;

/// Sums over images and their outputs' pixels (y, x), for each kernel row r and column j:
/// `to[(r·columns + j)·lanes + l] += Σ grad[y, x, l]·from[rows[r] + y·from_row + x + j]`.
pub(super) struct Weights<'a> {
    /// Images one after another.
    pub(super) from: &'a [f32],
    pub(super) from_image: usize,
    pub(super) from_row: usize,
    /// Where each row of the kernel reads for output pixel (0, 0).
    pub(super) rows: &'a [usize],
    pub(super) columns: usize,
    /// Pixel after pixel, `lanes` channels each.
    pub(super) grad: &'a [f32],
    pub(super) grad_image: usize,
    pub(super) lanes: usize,
    pub(super) output: Size2,
    pub(super) images: usize,
}

/// How many rows of a kernel of `columns` are summed at once, at most: what stays in registers.
pub(super) fn rows_a_tile(registers: usize, columns: usize) -> usize {
    match (columns.min(MOST_COLUMNS), registers) {
        (5, 32) => 5,
        (4, 32) => 6,
        (1..=3, 32) => 8,
        (5, _) => 2,
        (4, _) => 3,
        (3, _) => 4,
        (2, _) => 6,
        _ => 8,
    }
}

const MOST_COLUMNS: usize = 5;

pub(super) fn weights(level: Level, job: &Weights<'_>, to: &mut [f32]) {
    let Some(last) = job.rows.iter().max() else {
        return;
    };
    let Size2 { h, w } = job.output;
    if job.images == 0 || h == 0 || w == 0 || job.columns == 0 {
        return;
    }
    let before = job.images - 1;
    let end = last + (h - 1) * job.from_row + w - 1 + job.columns;
    assert!(before * job.from_image + end <= job.from.len());
    assert!(before * job.grad_image + h * w * job.lanes <= job.grad.len());
    assert!(job.rows.len() * job.columns * job.lanes <= to.len());
    // SAFETY: the level was detected on this processor; the assertions hold that all that is read
    // and written lies within the slices.
    unsafe { level.run(AllWeights(job, to.as_mut_ptr())) }
}

struct AllWeights<'a>(&'a Weights<'a>, *mut f32);

impl Kernel for AllWeights<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self(job, to) = self;
        // SAFETY: the caller's conditions.
        unsafe {
            match job.lanes {
                lanes if lanes == S::LANES => all::<S>(S::REGISTERS, job, to),
                lanes if lanes == S::Half::LANES => all::<S::Half>(S::REGISTERS, job, to),
                _ => all::<Quarter<S>>(S::REGISTERS, job, to),
            }
        }
    }
}

#[inline(always)]
unsafe fn all<S: Simd>(registers: usize, job: &Weights<'_>, to: *mut f32) {
    for (j, columns) in blocks(job.columns, MOST_COLUMNS) {
        let most = rows_a_tile(registers, columns);
        for (r, rows) in blocks(job.rows.len(), most) {
            // SAFETY: the tile lies within what `weights` checked.
            unsafe { Tile { r, rows, j }.dispatch::<S>(job, columns, most, to) };
        }
    }
}

struct Tile {
    /// The first of the kernel's rows, and how many.
    r: usize,
    rows: usize,
    /// The first of the kernel's columns.
    j: usize,
}

impl Tile {
    /// Few sizes are compiled: where there are fewer rows, the last is summed several times.
    #[inline(always)]
    unsafe fn dispatch<S: Simd>(
        &self,
        job: &Weights<'_>,
        columns: usize,
        most: usize,
        to: *mut f32,
    ) {
        let size = match self.rows {
            1 => 1,
            2 | 3 if most > 3 => 3,
            _ => most,
        };
        // SAFETY: the caller's conditions.
        unsafe {
            match (size, columns) {
                (1, 5) => self.run::<S, 1, 5>(job, to),
                (2, 5) => self.run::<S, 2, 5>(job, to),
                (3, 5) => self.run::<S, 3, 5>(job, to),
                (5, 5) => self.run::<S, 5, 5>(job, to),
                (1, 4) => self.run::<S, 1, 4>(job, to),
                (3, 4) => self.run::<S, 3, 4>(job, to),
                (6, 4) => self.run::<S, 6, 4>(job, to),
                (1, 3) => self.run::<S, 1, 3>(job, to),
                (3, 3) => self.run::<S, 3, 3>(job, to),
                (4, 3) => self.run::<S, 4, 3>(job, to),
                (8, 3) => self.run::<S, 8, 3>(job, to),
                (1, 2) => self.run::<S, 1, 2>(job, to),
                (3, 2) => self.run::<S, 3, 2>(job, to),
                (6, 2) => self.run::<S, 6, 2>(job, to),
                (8, 2) => self.run::<S, 8, 2>(job, to),
                (1, _) => self.run::<S, 1, 1>(job, to),
                (3, _) => self.run::<S, 3, 1>(job, to),
                _ => self.run::<S, 8, 1>(job, to),
            }
        }
    }

    /// R rows and J columns, summed in registers over the images.
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const J: usize>(&self, job: &Weights<'_>, to: *mut f32) {
        // SAFETY: the caller's conditions.
        unsafe {
            let place =
                |r: usize, j: usize| to.add(((self.r + r) * job.columns + self.j + j) * S::LANES);
            let mut starts = [0; R];
            let mut sums = [[S::zero(); J]; R];
            for r in 0..R {
                let r_there = r.min(self.rows - 1);
                starts[r] = job.rows[self.r + r_there] + self.j;
                for j in 0..J {
                    sums[r][j] = S::load(place(r_there, j));
                }
            }
            for image in 0..job.images {
                let from = job.from.as_ptr().add(image * job.from_image);
                let mut grad = job.grad.as_ptr().add(image * job.grad_image);
                for y in 0..job.output.h {
                    let mut rows = [from; R];
                    for r in 0..R {
                        rows[r] = from.add(starts[r] + y * job.from_row);
                    }
                    for x in 0..job.output.w {
                        let pixel = S::load(grad);
                        for r in 0..R {
                            for j in 0..J {
                                let from = S::splat(*rows[r].add(x + j));
                                sums[r][j] = S::mul_add(pixel, from, sums[r][j]);
                            }
                        }
                        grad = grad.add(S::LANES);
                    }
                }
            }
            for r in 0..self.rows.min(R) {
                for j in 0..J {
                    S::store(sums[r][j], place(r, j));
                }
            }
        }
    }
}
