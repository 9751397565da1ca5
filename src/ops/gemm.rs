//! The matrix product, over the crate that candle uses.

use super::buffer::Element;

/// A matrix somewhere in a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Element> Matrix<'a, T> {
    /// The same matrix, where it is of f32.
    pub(crate) fn as_f32(self) -> Option<Matrix<'a, f32>> {
        Some(Matrix {
            values: T::as_f32(self.values)?,
            rows: self.rows,
            columns: self.columns,
            row_stride: self.row_stride,
            column_stride: self.column_stride,
        })
    }
}

impl<'a, T> Matrix<'a, T> {
    /// `rows` × `columns`, row after row.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Rows and columns.
    pub(crate) fn dims(self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Where an element lies, how far the next row is, and how far the next column.
    pub(crate) fn place(self, row: usize, column: usize) -> (*const T, usize, usize) {
        assert!(row < self.rows && column <= self.columns);
        let at = row * self.row_stride + column * self.column_stride;
        let from = self.values[at.min(self.values.len())..].as_ptr();
        (from, self.row_stride, self.column_stride)
    }

    /// Whether a row's elements lie side by side; else a column's do.
    pub(crate) fn lies_by_rows(self) -> bool {
        self.column_stride == 1
    }

    /// A row, of a matrix whose rows lie so.
    pub(crate) fn row(self, row: usize) -> &'a [T] {
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// Some of its columns; nothing moves.
    pub(crate) fn some_columns(self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.columns);
        Self {
            values: &self.values[range.start * self.column_stride..],
            columns: range.len(),
            ..self
        }
    }

    /// The transposed matrix; nothing moves.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Who works on one product. The result is the same: the order of each sum is fixed.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    /// The caller's thread.
    One,
    /// The current rayon pool.
    Pool,
}

/// Multiply-adds below which waking another thread takes longer than the work.
const SMALL: usize = 1 << 22;

/// Whether a product of (m, k) and (k, n) is.
pub(crate) fn is_small(m: usize, k: usize, n: usize) -> bool {
    m.saturating_mul(n).saturating_mul(k) < SMALL
}

/// What happens to what the destination holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// It is overwritten.
    Replace,
    /// The product is added to it.
    Add,
}

/// `into = a·b` or `into += a·b`; `into` is row after row.
pub(crate) fn gemm<T: Element>(
    into: &mut [T],
    mode: Into,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    threads: Threads,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows);
    assert_eq!(into.len(), m * n);
    let one = T::from_f64(1.0);
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::Pool if is_small(m, k, n) => gemm::Parallelism::None,
        Threads::Pool => match rayon::current_num_threads() {
            1 => gemm::Parallelism::None,
            n => gemm::Parallelism::Rayon(n),
        },
    };
    // SAFETY: `Matrix::new` and the assertions hold that each matrix lies within its slice, and
    // `into` is borrowed mutably, so it overlaps neither. T is f32 or f64, which gemm takes.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            into.as_mut_ptr(),
            1,
            n as isize,
            mode == Into::Add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            one,
            one,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_definition() {
        for (m, k, n) in [(1, 1, 1), (3, 4, 5), (10, 25, 576), (64, 9, 7), (7, 0, 3)] {
            let a: Vec<f64> = (0..m * k).map(|i| (i % 7) as f64 - 3.0).collect();
            let b: Vec<f64> = (0..k * n).map(|i| (i % 5) as f64 - 2.0).collect();
            let mut got = vec![1.0; m * n];
            let (a_matrix, b_matrix) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            gemm(&mut got, Into::Add, a_matrix, b_matrix, Threads::Pool);
            let mut transposed = vec![9.0; n * m];
            gemm(
                &mut transposed,
                Into::Replace,
                b_matrix.t(),
                a_matrix.t(),
                Threads::One,
            );
            for i in 0..m {
                for j in 0..n {
                    let product: f64 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                    assert_eq!(got[i * n + j], 1.0 + product);
                    assert_eq!(transposed[j * m + i], product);
                }
            }
        }
    }

    #[test]
    fn the_threads_do_not_change_a_digit() {
        let value = |i: usize| ((i * 7919) % 1013) as f32 / 1013.0 - 0.5;
        for (m, k, n) in [
            (64, 9216, 128),
            (128, 64, 9216),
            (64, 128, 9216),
            (64, 50, 10),
        ] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(value).collect();
            let product = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let mut into = vec![0f32; m * n];
                pool.unwrap().install(|| {
                    let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
                    gemm(&mut into, Into::Replace, a, b, Threads::Pool);
                });
                into
            };
            let one = product(1);
            for threads in [2, 3, 5, 8] {
                assert!(one == product(threads), "{m}×{k}×{n} on {threads} threads");
            }
        }
    }
}
