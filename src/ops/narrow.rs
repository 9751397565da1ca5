//! The linear layer with few outputs, fewer than a vector takes well: the ten classes of a last layer.
//!
//! Each output is a dot product in vectors of four, begun where the row of inputs lies at a multiple of four
//! numbers. This is the order of the library under PyTorch on x86 (oneMKL), found by summing 1s and one
//! large pair that cancels; so the results are the same to the last digit. It rounds product and sum.

use std::ops::Range;

/// How many outputs are few. One alone is a product of another kind.
pub(super) const FEW: Range<usize> = 2..12;

/// How many numbers before place `at` is a multiple of four.
fn head(at: usize) -> usize {
    at.next_multiple_of(4) - at
}

/// `into` (rows, outputs) is `input` (rows, inputs) times the transposed `weight` (outputs, inputs), plus
/// `bias`.
pub(super) fn forward(
    into: &mut [f32],
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    outputs: usize,
) {
    let inputs = weight.len() / outputs;
    for (row, into) in into.chunks_mut(outputs).enumerate() {
        let x = &input[row * inputs..][..inputs];
        let head = head(row * inputs).min(inputs);
        for (o, into) in into.iter_mut().enumerate() {
            let w = &weight[o * inputs..][..inputs];
            // Whole fours of outputs share a vector's load; the rest have time for two vectors each.
            let sum = match o < outputs / 4 * 4 {
                true => dot::<4>(x, w, head),
                false => dot::<8>(x, w, head),
            };
            *into = match bias {
                Some(bias) => sum + bias[o],
                None => sum,
            };
        }
    }
}

/// N running sums; the first `head` products go into the first of them, those left at the end into the
/// total.
fn dot<const N: usize>(x: &[f32], w: &[f32], head: usize) -> f32 {
    let mut sums = [0f32; N];
    for (x, w) in x[..head].iter().zip(w) {
        sums[0] += x * w;
    }
    let (x, x_tail) = x[head..].as_chunks::<N>();
    let (w, w_tail) = w[head..].as_chunks::<N>();
    for (x, w) in x.iter().zip(w) {
        for i in 0..N {
            sums[i] += x[i] * w[i];
        }
    }
    let four: [f32; 4] = std::array::from_fn(|i| match N {
        8 => sums[i] + sums[i + 4],
        _ => sums[i],
    });
    let total = (four[0] + four[2]) + (four[1] + four[3]);
    let tail = x_tail.iter().zip(w_tail);
    tail.fold(total, |total, (x, w)| total + x * w)
}

/// Outputs beyond the last whole four: their rows of the weights' gradient, `grad`ᵀ (rows, outputs) times
/// `input` (rows, inputs), sum row after row, rounding product and sum.
pub(super) fn last_outputs(outputs: usize) -> Range<usize> {
    outputs / 4 * 4..outputs
}

/// The rows of the weights' gradient that [`last_outputs`] names.
pub(super) fn weight_gradient(into: &mut [f32], grad: &[f32], input: &[f32], outputs: usize) {
    let inputs = into.len() / outputs;
    if inputs == 0 {
        return;
    }
    for o in last_outputs(outputs) {
        let into = &mut into[o * inputs..][..inputs];
        into.fill(0.0);
        for (grad, x) in grad.chunks(outputs).zip(input.chunks(inputs)) {
            for (into, x) in into.iter_mut().zip(x) {
                *into += grad[o] * x;
            }
        }
        for (i, into) in into.iter_mut().enumerate().take(head(o * inputs)) {
            let products = grad.chunks(outputs).zip(input.chunks(inputs));
            *into = alternate(products.map(|(grad, x)| grad[o] * x[i]));
        }
    }
}

/// Of each eight products the first four are added to the sum one by one, the others by themselves first.
fn alternate(products: impl Iterator<Item = f32>) -> f32 {
    let products: Vec<f32> = products.collect();
    let (eights, rest) = products.as_chunks::<8>();
    let mut sum = 0f32;
    for [a, b, c, d, e, f, g, h] in eights {
        sum = sum + a + b + c + d;
        sum += e + f + g + h;
    }
    rest.iter().fold(sum, |sum, product| sum + product)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers, whose sums are exact in any order.
    fn numbers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| (i * step % 7) as f32 - 3.0).collect()
    }

    #[test]
    fn products_agree_with_the_definition() {
        for outputs in FEW {
            for (rows, inputs) in [(1, 1), (3, 0), (5, 3), (8, 16), (17, 50), (64, 49)] {
                let (x, w) = (numbers(rows * inputs, 3), numbers(outputs * inputs, 5));
                let (bias, grad) = (numbers(outputs, 2), numbers(rows * outputs, 4));
                let mut into = vec![9.0; rows * outputs];
                forward(&mut into, &x, &w, Some(&bias), outputs);
                for (at, &found) in into.iter().enumerate() {
                    let (row, o) = (at / outputs, at % outputs);
                    let products = (0..inputs).map(|i| x[row * inputs + i] * w[o * inputs + i]);
                    assert_eq!(found, bias[o] + products.sum::<f32>());
                }
                let mut into = vec![9.0; outputs * inputs];
                weight_gradient(&mut into, &grad, &x, outputs);
                for (at, &found) in into.iter().enumerate() {
                    let (o, i) = (at / inputs, at % inputs);
                    let products = (0..rows).map(|r| grad[r * outputs + o] * x[r * inputs + i]);
                    let expected = match last_outputs(outputs).contains(&o) {
                        true => products.sum::<f32>(),
                        false => 9.0,
                    };
                    assert_eq!(
                        found, expected,
                        "output {o} of {outputs}, input {i} of {inputs}"
                    );
                }
            }
        }
    }
}
