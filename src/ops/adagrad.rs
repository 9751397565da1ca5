//! One step of Adagrad.

use candle_core::{Result, Tensor};

use super::buffer::Element;
use super::update::{self, Buffers, OnCard};

/// The first buffer: `sum`, of the squared gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// The rate of this step, its decay included.
    pub(crate) lr: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
    pub(crate) maximize: bool,
}

impl update::Rule for Rule {
    const NAME: &'static str = "adagrad";

    #[inline(always)]
    fn on_cpu<T: Element>(&self, parameter: &mut [T], gradient: &[T], [sum, _, _]: [&mut [T]; 3]) {
        let sign = T::from_f64(if self.maximize { -1.0 } else { 1.0 });
        let decay = T::from_f64(self.weight_decay);
        let eps = T::from_f64(self.eps);
        let down = T::from_f64(-self.lr);
        for ((p, &g), sum) in parameter.iter_mut().zip(gradient).zip(sum) {
            let mut g = sign * g;
            if self.weight_decay != 0.0 {
                g = decay.mul_add(*p, g);
            }
            *sum = g.mul_add(g, *sum);
            *p += down * g / (sum.sqrt() + eps);
        }
    }

    fn on_card(&self) -> OnCard {
        OnCard::new([self.lr, self.eps, self.weight_decay], [self.maximize])
    }

    fn on_device(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        [sum, _, _]: &mut Buffers,
    ) -> Result<Tensor> {
        let g = update::wanted(parameter, gradient, self.maximize, self.weight_decay)?;
        let Some(sum) = sum else {
            candle_core::bail!("adagrad: a buffer is missing");
        };
        *sum = (&*sum + g.sqr()?)?;
        let denominator = sum.sqrt()?.affine(1.0, self.eps)?;
        parameter - (g.affine(self.lr, 0.0)? / denominator)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::update::tests::both_ways_agree;

    #[test]
    fn the_device_does_the_same() {
        for maximize in [false, true] {
            let rule = |step| Rule {
                lr: 0.1 / step as f64,
                weight_decay: 0.1,
                eps: 1e-10,
                maximize,
            };
            both_ways_agree(rule, [true, false, false]);
        }
    }
}
