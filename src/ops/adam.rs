//! One step of Adam and AdamW.

use candle_core::{Result, Tensor};

use super::buffer::Element;
use super::update::{self, Buffers, Lerp, OnCard, lerp};

/// The buffers: `exp_avg`, `exp_avg_sq`, and with amsgrad `max_exp_avg_sq`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) lr: f64,
    pub(crate) betas: (f64, f64),
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    pub(crate) maximize: bool,
    /// Whether weights decay by themselves (AdamW), not through the gradient (Adam).
    pub(crate) decoupled: bool,
    /// Whether the third buffer counts; it may be there without.
    pub(crate) amsgrad: bool,
    /// From 1.
    pub(crate) step: u64,
}

impl Rule {
    /// The rate, the root of the second moment's correction, and what decay leaves of a parameter.
    fn scales(&self) -> (f64, f64, f64) {
        let step = self.step as f64;
        let rate = self.lr / (1.0 - self.betas.0.powf(step));
        let root = (1.0 - self.betas.1.powf(step)).sqrt();
        let keep = match self.decoupled {
            true => 1.0 - self.lr * self.weight_decay,
            false => 1.0,
        };
        (rate, root, keep)
    }
}

impl update::Rule for Rule {
    const NAME: &'static str = "adam";

    #[inline(always)]
    fn on_cpu<T: Element>(
        &self,
        parameter: &mut [T],
        gradient: &[T],
        [mean, square, largest]: [&mut [T]; 3],
    ) {
        let (rate, root, keep) = self.scales();
        let (down, root, keep) = (T::from_f64(-rate), T::from_f64(root), T::from_f64(keep));
        let sign = T::from_f64(if self.maximize { -1.0 } else { 1.0 });
        let coupled = self.weight_decay != 0.0 && !self.decoupled;
        let decay = T::from_f64(self.weight_decay);
        let lerp = Lerp::new(1.0 - self.betas.0);
        let keep_square = T::from_f64(self.betas.1);
        let share = T::from_f64(1.0 - self.betas.1);
        let eps = T::from_f64(self.eps);
        // The moments of one element, and its parameter less the decay.
        let moments = |p: &mut T, g: T, m: &mut T, v: &mut T| {
            let mut g = sign * g;
            if coupled {
                g = decay.mul_add(*p, g);
            }
            *p *= keep;
            *m = lerp.at(*m, g);
            *v = (share * g).mul_add(g, *v * keep_square);
        };
        let step = |p: &mut T, m: T, v: T| *p += down * m / (v.sqrt() / root + eps);
        let each = parameter.iter_mut().zip(gradient).zip(mean).zip(square);
        if !self.amsgrad {
            for (((p, &g), m), v) in each {
                moments(p, g, m, v);
                step(p, *m, *v);
            }
        } else {
            for ((((p, &g), m), v), largest) in each.zip(largest) {
                moments(p, g, m, v);
                *largest = maximum(*largest, *v);
                step(p, *m, *largest);
            }
        }
    }

    fn on_card(&self) -> OnCard {
        let (rate, root, keep) = self.scales();
        let decay = match self.decoupled {
            true => 0.0,
            false => self.weight_decay,
        };
        let (first, second) = self.betas;
        let numbers = [rate, root, keep, first, second, self.eps, decay];
        OnCard::new(numbers, [self.maximize, self.amsgrad])
    }

    fn on_device(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        buffers: &mut Buffers,
    ) -> Result<Tensor> {
        let (rate, root, keep) = self.scales();
        let decay = if self.decoupled {
            0.0
        } else {
            self.weight_decay
        };
        let g = update::wanted(parameter, gradient, self.maximize, decay)?;
        let [Some(mean), Some(square), largest] = buffers else {
            candle_core::bail!("adam: a buffer is missing");
        };
        *mean = lerp(mean, &g, 1.0 - self.betas.0)?;
        let share = (g.affine(1.0 - self.betas.1, 0.0)? * &g)?;
        *square = (square.affine(self.betas.1, 0.0)? + share)?;
        let second = match largest {
            Some(largest) if self.amsgrad => {
                *largest = largest.maximum(&*square)?;
                &*largest
            }
            _ => &*square,
        };
        let denominator = (second.sqrt()? / root)?.affine(1.0, self.eps)?;
        let parameter = parameter.affine(keep, 0.0)?;
        parameter - (mean.affine(rate, 0.0)? / denominator)?
    }
}

/// The larger; NaN where one is, as `torch.maximum`.
fn maximum<T: Element>(a: T, b: T) -> T {
    if a >= b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::update::tests::both_ways_agree;

    #[test]
    fn the_device_does_the_same() {
        for amsgrad in [false, true] {
            for (decoupled, maximize, beta) in [(false, false, 0.9), (true, true, 0.3)] {
                let rule = |step| Rule {
                    lr: 0.1,
                    betas: (beta, 0.99),
                    eps: 1e-8,
                    weight_decay: 0.1,
                    maximize,
                    decoupled,
                    amsgrad,
                    step,
                };
                both_ways_agree(rule, [true, true, amsgrad]);
                // What is there without its option stays as it is.
                both_ways_agree(rule, [true; 3]);
            }
        }
    }
}
