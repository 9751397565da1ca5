//! Normal numbers: the Box-Muller transform, in the two ways in which PyTorch applies it.

use std::f64::consts::PI;

use super::Generator;

/// From so many numbers on they are made sixteen at a time, in single precision.
const BLOCK: usize = 16;

impl Generator {
    /// `n` numbers, normal with mean 0 and deviation 1. Equivalent of
    /// `torch.empty(n).normal_(generator=…)`.
    ///
    /// # Differences from PyTorch
    ///
    /// The same draws; the last digit of a float can differ, because the logarithm, the sine and the
    /// cosine of PyTorch's vector library are rounded otherwise on some processors.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::random::Generator;
    ///
    /// // torch.manual_seed(3); torch.empty(2).normal_()
    /// let values = Generator::new(3).normal(2);
    /// assert!((values[0] - 0.8033).abs() < 1e-4 && (values[1] - 0.1748).abs() < 1e-4);
    /// ```
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        if n < BLOCK {
            return (0..n).map(|_| self.one_normal() as f32).collect();
        }
        let mut values = self.rand(n);
        for block in values.chunks_exact_mut(BLOCK) {
            box_muller(block);
        }
        // The last sixteen are drawn anew where the blocks leave some over.
        if !n.is_multiple_of(BLOCK) {
            let mut last = self.rand(BLOCK);
            box_muller(&mut last);
            values.truncate(n - BLOCK);
            values.append(&mut last);
        }
        values
    }

    /// Each transform gives two numbers; the second waits for the next call.
    fn one_normal(&mut self) -> f64 {
        if let Some(waiting) = self.next_normal.take() {
            return waiting;
        }
        let mut unit = || self.uniform_f64(1, 0.0, 1.0).into_iter().sum::<f64>();
        let (u1, u2) = (unit(), unit());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let angle = 2.0 * PI * u1;
        self.next_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// The first eight of sixteen uniform numbers give the radii, the others the angles.
fn box_muller(block: &mut [f32]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (first, second) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * f64::from(1.0 - *first).ln() as f32).sqrt();
        let angle = f64::from(2.0 * PI as f32 * *second);
        *first = radius * angle.cos() as f32;
        *second = radius * angle.sin() as f32;
    }
}
