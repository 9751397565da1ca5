//! The matrix product of wide linear layers, in vectors of f32.
//!
//! Each sum runs through its products one after another, each rounded once with its addition: the order of the
//! library under PyTorch on x86 (oneMKL). So it does not matter who computes which piece.
#![allow(unsafe_code)]
// Indices, so that the compiler unrolls the loops and keeps the arrays in registers.
#![allow(clippy::needless_range_loop)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::direct::transposed;
use super::gemm::{Into, Matrix};
use super::simd::{Kernel, Level, Simd};

/// Rows of a tile, whose sums stay in registers.
const ROWS: usize = 6;
/// Columns of the widest tile: four vectors of 16.
const MOST_COLUMNS: usize = 64;

thread_local! {
    /// One block of `b`, its rows as long as a tile's.
    static PACKED: RefCell<Aligned> = RefCell::default();
}

/// `into = a·b` or `into += a·b`, row after row. The inner dimension falls into parts that end at `ends`; each is
/// summed by itself and then added.
pub(super) fn product(
    level: Level,
    into: &mut [f32],
    mode: Into,
    a: Matrix<'_, f32>,
    b: Matrix<'_, f32>,
    ends: &[usize],
) {
    let ((m, k), (inner, n)) = (a.dims(), b.dims());
    assert_eq!(k, inner);
    assert_eq!(into.len(), m * n);
    assert!(ends.is_sorted() && ends.last() == Some(&k));
    let width = tile_columns(level);
    let blocks = n.div_ceil(width);
    // As many tasks as there are threads, though not of a few rows: each packs its block by itself.
    let split = rayon::current_num_threads().div_ceil(blocks.max(1));
    let rows = m.div_ceil(split).next_multiple_of(ROWS);
    let place = Place(into.as_mut_ptr());
    let work = |task: usize| {
        let columns = task % blocks * width..n.min((task % blocks + 1) * width);
        let first = task / blocks * rows;
        let block = Block {
            rows: first..m.min(first + rows),
            columns,
            n,
            place: &place,
        };
        PACKED.with_borrow_mut(|packed| block.run(level, mode, (a, b), ends, packed));
    };
    let tasks = blocks * m.div_ceil(rows.max(1));
    match tasks {
        0 | 1 => (0..tasks).for_each(work),
        _ => (0..tasks).into_par_iter().with_max_len(1).for_each(work),
    }
}

fn tile_columns(level: Level) -> usize {
    level.lanes() * vectors_a_tile(level.registers())
}

/// With [`ROWS`] rows each, so that their sums stay in registers.
const fn vectors_a_tile(registers: usize) -> usize {
    if registers >= 32 { 4 } else { 2 }
}

struct Place(*mut f32);

// SAFETY: each task writes rows and columns of its own.
unsafe impl Sync for Place {}

/// Some rows and columns of the result, the columns of one tile.
struct Block<'a> {
    rows: Range<usize>,
    columns: Range<usize>,
    n: usize,
    place: &'a Place,
}

impl Block<'_> {
    fn run(
        &self,
        level: Level,
        mode: Into,
        (a, b): (Matrix<'_, f32>, Matrix<'_, f32>),
        ends: &[usize],
        packed: &mut Aligned,
    ) {
        let width = tile_columns(level);
        let starts = [0].into_iter().chain(ends.iter().copied());
        for (start, &end) in starts.zip(ends) {
            let part = start..end;
            let add = start > 0 || mode == Into::Add;
            let packed = packed.at_least(part.len() * width);
            pack(b, part.clone(), self.columns.clone(), width, packed);
            for first in self.rows.clone().step_by(ROWS) {
                let rows = ROWS.min(self.rows.end - first);
                let (from, row, step) = a.place(first, part.start);
                let job = Job {
                    rows,
                    a: from,
                    row,
                    step,
                    k: part.len(),
                    b: packed.as_ptr(),
                    // SAFETY: the row is one of the result's.
                    to: unsafe { self.place.0.add(first * self.n + self.columns.start) },
                    n: self.n,
                    columns: self.columns.len(),
                    add,
                };
                // SAFETY: the level was detected on this processor; the rows, the columns and the part lie
                // within the matrices.
                unsafe { level.run(job) };
            }
        }
    }
}

/// Some rows and columns of `b`, row after row, each as long as a tile's; what lies beyond the columns is of no
/// account.
fn pack(
    b: Matrix<'_, f32>,
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
    to: &mut [f32],
) {
    if b.lies_by_rows() {
        for (k, to) in rows.zip(to.chunks_exact_mut(width)) {
            let from = &b.row(k)[columns.clone()];
            to[..from.len()].copy_from_slice(from);
        }
        return;
    }
    // Squares of four by four; where there is no fourth column, the last comes again.
    for start in columns.clone().step_by(4) {
        let four: [&[f32]; 4] = std::array::from_fn(|i| {
            let column = (start + i).min(columns.end - 1);
            &b.t().row(column)[rows.clone()]
        });
        let start = start - columns.start;
        let (squares, rest) = four[0].as_chunks::<4>();
        for q in 0..squares.len() {
            let square = four.map(|line| {
                let mut numbers = [0.0; 4];
                numbers.copy_from_slice(&line[4 * q..4 * q + 4]);
                numbers
            });
            for (i, numbers) in transposed(square).iter().enumerate() {
                to[(4 * q + i) * width + start..][..4].copy_from_slice(numbers);
            }
        }
        let done = rows.len() - rest.len();
        for i in done..rows.len() {
            to[i * width + start..][..4].copy_from_slice(&four.map(|line| line[i]));
        }
    }
}

/// One tile: up to [`ROWS`] rows of `a` with a packed block.
struct Job {
    rows: usize,
    a: *const f32,
    /// From a row of `a` to the next, and from a column to the next.
    row: usize,
    step: usize,
    k: usize,
    b: *const f32,
    to: *mut f32,
    n: usize,
    columns: usize,
    add: bool,
}

impl Kernel for Job {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's conditions.
        unsafe {
            match vectors_a_tile(S::REGISTERS) {
                4 => tile::<S, 4>(&self),
                _ => tile::<S, 2>(&self),
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<S: Simd, const V: usize>(job: &Job) {
    // SAFETY: the caller's conditions.
    unsafe {
        match job.rows {
            1 => sums::<S, V, 1>(job),
            2 => sums::<S, V, 2>(job),
            3 => sums::<S, V, 3>(job),
            4 => sums::<S, V, 4>(job),
            5 => sums::<S, V, 5>(job),
            _ => sums::<S, V, ROWS>(job),
        }
    }
}

#[inline(always)]
unsafe fn sums<S: Simd, const V: usize, const R: usize>(job: &Job) {
    // SAFETY: the caller's conditions; a tile that is not whole goes to the result by way of `edge`.
    unsafe {
        let mut sums = [[S::zero(); V]; R];
        for k in 0..job.k {
            let b = job.b.add(k * V * S::LANES);
            let mut row = [S::zero(); V];
            for v in 0..V {
                row[v] = S::load(b.add(v * S::LANES));
            }
            let a = job.a.add(k * job.step);
            for r in 0..R {
                let factor = S::splat(*a.add(r * job.row));
                for v in 0..V {
                    sums[r][v] = S::mul_add(factor, row[v], sums[r][v]);
                }
            }
        }
        let whole = job.columns == V * S::LANES;
        let mut edge = [0f32; MOST_COLUMNS];
        for r in 0..R {
            let to = job.to.add(r * job.n);
            if whole {
                for v in 0..V {
                    let to = to.add(v * S::LANES);
                    let sum = match job.add {
                        true => S::add(S::load(to), sums[r][v]),
                        false => sums[r][v],
                    };
                    S::store(sum, to);
                }
            } else {
                for v in 0..V {
                    S::store(sums[r][v], edge.as_mut_ptr().add(v * S::LANES));
                }
                for (column, sum) in edge.iter().enumerate().take(job.columns) {
                    let to = to.add(column);
                    *to = if job.add { *to + sum } else { *sum };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gemm::{Threads, gemm};

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        crate::random::Generator::new(seed).uniform(n, -1.0, 1.0)
    }

    /// Rows, inner dimension, columns.
    const SIZES: [(usize, usize, usize); 9] = [
        (64, 320, 50),
        (50, 64, 320),
        (64, 50, 320),
        (7, 33, 129),
        (6, 1, 64),
        (13, 0, 5),
        (2, 5, 3),
        (32, 192, 128),
        (0, 3, 4),
    ];

    #[test]
    fn each_sum_runs_through_its_products_in_order() {
        for level in Level::all() {
            for (seed, (m, k, n)) in (0..).zip(SIZES) {
                let (a, b) = (numbers(m * k, seed), numbers(k * n, seed + 50));
                // Both also lying on their side.
                let side = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                    let all = (0..rows * columns).map(|i| x[i % rows * columns + i / rows]);
                    all.collect()
                };
                let (a_side, b_side) = (side(&a, m, k), side(&b, k, n));
                let half = k / 2;
                for ends in [&[k][..], &[half, k]] {
                    let expected: Vec<f32> = (0..m * n)
                        .map(|i| {
                            let (row, column) = (i / n, i % n);
                            let starts = [0, half];
                            starts.iter().zip(ends).fold(1.0, |total, (&start, &end)| {
                                let products =
                                    (start..end).map(|p| (a[row * k + p], b[p * n + column]));
                                total + products.fold(0f32, |sum, (a, b)| a.mul_add(b, sum))
                            })
                        })
                        .collect();
                    let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
                    let (a_side, b_side) = (
                        Matrix::new(&a_side, k, m).t(),
                        Matrix::new(&b_side, n, k).t(),
                    );
                    for (a, b) in [(a, b), (a_side, b), (a, b_side), (a_side, b_side)] {
                        let mut into = vec![1.0; m * n];
                        product(level, &mut into, Into::Add, a, b, ends);
                        assert!(into == expected, "{level:?}: ({m}, {k}, {n}), {ends:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn as_the_other_product_to_the_last_bit() {
        for level in Level::all() {
            for (seed, (m, k, n)) in (0..).zip(SIZES) {
                let (a, b) = (numbers(m * k, seed), numbers(k * n, seed + 50));
                let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
                let (mut found, mut expected) = (vec![9.0; m * n], vec![9.0; m * n]);
                product(level, &mut found, Into::Replace, a, b, &[k]);
                gemm(&mut expected, Into::Replace, a, b, Threads::One);
                assert!(found == expected, "{level:?}: ({m}, {k}, {n})");
            }
        }
    }
}
