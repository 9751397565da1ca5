//! One step of RMSprop.

use candle_core::{Result, Tensor};

use super::buffer::Element;
use super::update::{self, Buffers, Lerp, OnCard, lerp};

/// The buffers: `square_avg`, with a momentum `momentum_buffer`, and where centered `grad_avg`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) lr: f64,
    pub(crate) alpha: f64,
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    pub(crate) momentum: f64,
    pub(crate) maximize: bool,
    /// Whether the third buffer counts; it may be there without.
    pub(crate) centered: bool,
}

impl update::Rule for Rule {
    const NAME: &'static str = "rms_prop";

    #[inline(always)]
    fn on_cpu<T: Element>(
        &self,
        parameter: &mut [T],
        gradient: &[T],
        [square, direction, mean]: [&mut [T]; 3],
    ) {
        let sign = T::from_f64(if self.maximize { -1.0 } else { 1.0 });
        let decay = T::from_f64(self.weight_decay);
        let keep_square = T::from_f64(self.alpha);
        let share = T::from_f64(1.0 - self.alpha);
        let eps = T::from_f64(self.eps);
        let momentum = T::from_f64(self.momentum);
        let down = T::from_f64(-self.lr);
        let lerp = Lerp::new(1.0 - self.alpha);
        let decays = self.weight_decay != 0.0;
        let wanted = |p: T, g: T| match decays {
            true => decay.mul_add(p, sign * g),
            false => sign * g,
        };
        let mean_square = |v: &mut T, g: T| {
            *v = (share * g).mul_add(g, *v * keep_square);
            *v
        };
        let variance = |v: &mut T, m: &mut T, g: T| {
            *m = lerp.at(*m, g);
            (-*m).mul_add(*m, mean_square(v, g))
        };
        let straight = |p: &mut T, g: T, spread: T| *p += down * g / (spread.sqrt() + eps);
        let gliding = |p: &mut T, b: &mut T, g: T, spread: T| {
            *b = *b * momentum + g / (spread.sqrt() + eps);
            *p = down.mul_add(*b, *p);
        };
        // A loop for each, so that the compiler can do several elements at once.
        let each = parameter.iter_mut().zip(gradient).zip(square);
        // A schedule may take the momentum away, and give it back.
        match (self.momentum > 0.0, !self.centered) {
            (false, true) => {
                for ((p, &g), v) in each {
                    let g = wanted(*p, g);
                    straight(p, g, mean_square(v, g));
                }
            }
            (false, false) => {
                for (((p, &g), v), m) in each.zip(mean) {
                    let g = wanted(*p, g);
                    straight(p, g, variance(v, m, g));
                }
            }
            (true, true) => {
                for (((p, &g), v), b) in each.zip(direction) {
                    let g = wanted(*p, g);
                    gliding(p, b, g, mean_square(v, g));
                }
            }
            (true, false) => {
                for ((((p, &g), v), b), m) in each.zip(direction).zip(mean) {
                    let g = wanted(*p, g);
                    gliding(p, b, g, variance(v, m, g));
                }
            }
        }
    }

    fn on_card(&self) -> OnCard {
        let numbers = [
            self.lr,
            self.alpha,
            self.eps,
            self.weight_decay,
            self.momentum,
        ];
        OnCard::new(numbers, [self.maximize, self.centered])
    }

    fn on_device(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        [square, direction, mean]: &mut Buffers,
    ) -> Result<Tensor> {
        let g = update::wanted(parameter, gradient, self.maximize, self.weight_decay)?;
        let Some(square) = square else {
            candle_core::bail!("rms_prop: a buffer is missing");
        };
        let share = (g.affine(1.0 - self.alpha, 0.0)? * &g)?;
        *square = (square.affine(self.alpha, 0.0)? + share)?;
        let spread = match mean {
            Some(mean) if self.centered => {
                *mean = lerp(mean, &g, 1.0 - self.alpha)?;
                (&*square - mean.sqr()?)?
            }
            _ => square.clone(),
        };
        let denominator = spread.sqrt()?.affine(1.0, self.eps)?;
        match direction {
            Some(direction) if self.momentum > 0.0 => {
                *direction = (direction.affine(self.momentum, 0.0)? + (g / denominator)?)?;
                parameter - direction.affine(self.lr, 0.0)?
            }
            _ => parameter - (g.affine(self.lr, 0.0)? / denominator)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::update::tests::both_ways_agree;

    #[test]
    fn the_device_does_the_same() {
        for (momentum, centered) in [(0.0, false), (0.9, false), (0.0, true), (0.9, true)] {
            let rule = |_| Rule {
                lr: 0.01,
                alpha: if centered { 0.4 } else { 0.9 },
                eps: 1e-3,
                weight_decay: 0.1,
                momentum,
                maximize: centered,
                centered,
            };
            both_ways_agree(rule, [true, momentum > 0.0, centered]);
            // What is there without its option stays as it is.
            both_ways_agree(rule, [true; 3]);
        }
    }
}
