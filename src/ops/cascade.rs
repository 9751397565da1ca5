//! Sums in PyTorch's order: sixteen at a time, and those sums sixteen at a time. Their rounding grows with
//! the logarithm of how many there are, not with their number.

use super::buffer::Element;

/// log₂ of how many are added up before the sum goes one level up, and how many levels there are.
const STEP: usize = 4;
const LEVELS: usize = 4;
/// How many columns PyTorch sums side by side.
const SIDE_BY_SIDE: usize = 32;

/// `into[c]` is the sum of column c of `values`, whose rows are as long as `into`. Equivalent of
/// `torch.sum(values, 0)`.
pub(super) fn column_sums<T: Element>(values: &[T], into: &mut [T]) {
    let columns = into.len();
    if columns == 0 {
        return;
    }
    let rows = values.len() / columns;
    let wide = columns / SIDE_BY_SIDE * SIDE_BY_SIDE;
    for (block, into) in into[..wide].chunks_mut(SIDE_BY_SIDE).enumerate() {
        let first = block * SIDE_BY_SIDE;
        let row = |r: usize, c: usize| values[r * columns + first + c];
        into.copy_from_slice(&cascade::<T, SIDE_BY_SIDE>(rows, row));
    }
    // The rest: four sums of every fourth row.
    for (c, into) in into.iter_mut().enumerate().skip(wide) {
        let column = |r: usize| values[r * columns + c];
        let mut sums = cascade::<T, 4>(rows / 4, |r, i| column(4 * r + i));
        for r in rows / 4 * 4..rows {
            sums[0] += column(r);
        }
        *into = ((sums[0] + sums[1]) + sums[2]) + sums[3];
    }
}

/// N sums side by side, each of `n` values.
fn cascade<T: Element, const N: usize>(n: usize, value: impl Fn(usize, usize) -> T) -> [T; N] {
    let step = STEP.max(n.next_power_of_two().trailing_zeros() as usize / LEVELS);
    let mut levels = [[T::ZERO; N]; LEVELS];
    for i in 0..n {
        for (k, sum) in levels[0].iter_mut().enumerate() {
            *sum += value(i, k);
        }
        let done = i + 1;
        for level in 1..LEVELS {
            if done % (1 << (level * step)) != 0 {
                break;
            }
            let below = std::mem::replace(&mut levels[level - 1], [T::ZERO; N]);
            add(&mut levels[level], &below);
        }
    }
    let [mut sum, rest @ ..] = levels;
    for level in &rest {
        add(&mut sum, level);
    }
    sum
}

fn add<T: Element, const N: usize>(into: &mut [T; N], from: &[T; N]) {
    for (into, &from) in into.iter_mut().zip(from) {
        *into += from;
    }
}

/// The sum of the losses of a batch: PyTorch's loss begins a new sum after each value whose place is a
/// multiple of sixteen.
pub(super) fn sum_of_losses<T: Element>(losses: &[T]) -> T {
    const LEVELS: usize = 8;
    let n = losses.len();
    let step = STEP.max(n.next_power_of_two().trailing_zeros() as usize / LEVELS);
    let mut levels = [T::ZERO; LEVELS];
    for (i, &loss) in losses.iter().enumerate() {
        levels[0] += loss;
        for level in 1..LEVELS {
            if i % (1 << (level * step)) != 0 {
                break;
            }
            let below = std::mem::replace(&mut levels[level - 1], T::ZERO);
            levels[level] += below;
        }
    }
    levels.into_iter().fold(T::ZERO, |sum, level| sum + level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_once() {
        for rows in [0, 1, 3, 16, 17, 64, 300, 70_000] {
            for columns in [1, 3, 32, 50] {
                let values: Vec<f64> = (0..rows * columns).map(|i| (i % 11) as f64).collect();
                let mut sums = vec![7.0; columns];
                column_sums(&values, &mut sums);
                for (c, &sum) in sums.iter().enumerate() {
                    let column = values.iter().skip(c).step_by(columns);
                    assert_eq!(
                        sum,
                        column.sum::<f64>(),
                        "{rows} rows, column {c} of {columns}"
                    );
                }
            }
            let losses: Vec<f64> = (0..rows).map(|i| (i % 11) as f64).collect();
            assert_eq!(sum_of_losses(&losses), losses.iter().sum::<f64>());
        }
    }

    /// One large value takes in the small ones that are added to it; so the sums show the order.
    #[test]
    fn the_order_is_pytorchs() {
        let large = 2f32.powi(40);
        let kept = |columns: usize, column: usize, (i, j): (usize, usize)| {
            let mut values = vec![1f32; 64 * columns];
            values[i * columns + column] = large;
            values[j * columns + column] = -large;
            let mut sums = vec![0.0; columns];
            column_sums(&values, &mut sums);
            sums[column]
        };
        // As torch.ones(64, columns).sum(0) with the same two values replaced.
        assert_eq!(kept(50, 0, (0, 1)), 62.0);
        assert_eq!(kept(50, 0, (0, 15)), 48.0);
        assert_eq!(kept(50, 0, (0, 16)), 32.0);
        assert_eq!(kept(50, 49, (0, 4)), 62.0);
        assert_eq!(kept(50, 49, (0, 1)), 32.0);
        assert_eq!(kept(10, 0, (0, 3)), 0.0);
    }
}
