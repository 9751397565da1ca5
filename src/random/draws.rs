//! One number at a time, as torchvision's transforms draw them.

use super::Generator;

impl Generator {
    /// A number from 0 to `range` − 1. Equivalent of `torch.randint(0, range, (1,))`.
    pub(crate) fn below(&mut self, range: u64) -> u64 {
        // PyTorch: two draws where 32 bits would favour some numbers too much.
        let draw = match range < 1 << 28 {
            true => u64::from(self.next_u32()),
            false => self.next_u64(),
        };
        draw % range.max(1)
    }

    /// A number uniform in [low, high), in single precision. Equivalent of
    /// `torch.empty(1).uniform_(low, high).item()`.
    pub(crate) fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        self.uniform(1, low, high).into_iter().map(f64::from).sum()
    }

    /// Whether what has the probability `p` happens. Equivalent of `torch.rand(1) < p`.
    pub(crate) fn happens(&mut self, p: f64) -> bool {
        self.between((0.0, 1.0)) < f64::from(p as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From PyTorch 2.15: `torch.manual_seed(5); torch.randint(0, range, (1,))`.
    #[test]
    fn below_is_pytorchs() {
        for (range, expected) in [
            (100, 11),
            ((1 << 28) - 1, 148_147_046),
            (1 << 28, 236_996_814),
            (1 << 40, 425_438_759_118),
        ] {
            assert_eq!(Generator::new(5).below(range), expected);
        }
    }
}
